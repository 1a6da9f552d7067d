"""True progress from a CSV of source frames to the times of sampled ones."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.errors import LabelError
from tcc.sequences import ClipSequence
from tcc.true_progress import read_progress


def clip(name, times):
    return ClipSequence(name, np.array(times), np.full(len(times), -1), np.zeros((len(times), 1)))


def written(folder, *rows, header="clip,frame,seconds,progress"):
    path = folder / "progress.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_progress_is_interpolated_to_the_clips_own_times(tmp_path):
    path = written(
        tmp_path, "a.mp4,0,0.0,0.0", "a.mp4,1,0.5,0.1", "a.mp4,2,1.0,0.1", "a.mp4,3,1.5,0.9", "b.mp4,0,0,0.4"
    )
    found = read_progress(path, [clip("a.mp4", [0.0, 0.25, 0.5, 0.75, 1.4]), clip("b.mp4", [0.0])])
    np.testing.assert_allclose(found["a.mp4"], [0, 0.05, 0.1, 0.1, 0.74])
    assert found["b.mp4"].tolist() == [0.4]


def test_what_is_not_known_stays_unknown(tmp_path):
    path = written(tmp_path, "a,0,1.0,0.2", "a,1,2.0,", "a,2,3.0,0.4", "a,3,4.0,0.6")
    found = read_progress(path, [clip("a", [-0.1, 0.5, 1.0, 1.5, 2.5, 3.0, 3.5, 4.9, 5.1]), clip("other", [0.0])])
    np.testing.assert_allclose(found["a"], [np.nan, 0.2, 0.2, np.nan, np.nan, 0.4, 0.5, 0.6, np.nan])
    assert list(found) == ["a"]


def test_names_may_lack_folder_and_suffix_and_other_clips_are_passed_over(tmp_path):
    path = written(tmp_path, "a,0,0,0.5", "elsewhere,0,0,0.1")
    assert list(read_progress(path, [clip("test/a.mp4", [0.0])])) == ["test/a.mp4"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a,0,0,0.5", "a,1,0,0.6"], "line 3, clip 'a': seconds 0 does not come after 0; order rows by time"),
        (["a,0,0,0.5", "a,1,1,0.4"], "line 3, clip 'a': progress 0.4 falls from 0.5; it may stand still, not go back"),
        (["a,0,0,0.5", "a,1,1,", "a,2,2,0.4"], "line 4, clip 'a': progress 0.4 falls from 0.5"),
        (["a,0,0,1.5"], "line 2, clip 'a': progress 1.5 is not between 0 and 1; leave it empty where it is not known"),
        (["a,0,soon,0.5"], "line 2, clip 'a': seconds 'soon' is not a number; write it with a decimal point"),
        (["a,0,0,nan"], "line 2, clip 'a': progress 'nan' is not a number"),
        (["c,0,0,0.5"], "line 2, clip 'c': .*"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, rows, message):
    with pytest.raises(LabelError, match=f"progress.csv, {message}"):
        read_progress(written(tmp_path, *rows), [clip("a", [0.0])])


def test_a_file_without_the_columns_is_refused(tmp_path):
    with pytest.raises(LabelError, match="line 1: no column seconds; the first line must be clip,seconds,progress"):
        read_progress(written(tmp_path, header="clip,frame,progress"), [clip("a", [0.0])])
