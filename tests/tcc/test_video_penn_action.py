"""The Penn Action data set as released, made up small: which clips an action has, and what is said of a bad copy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.io

from tcc.errors import LabelError, SettingsError, VideoError
from tcc.video import PENN_ACTIONS, PennClip, hash_image_folders, list_image_folders, read_penn_action
from tcc.video.inventory import HashCache
from tcc.video.penn_action import PennClips


def write_label(root, clip, action, train=None):
    """A label file with the fields of the release."""
    fields = {"action": action, "nframes": 2, "x": np.zeros((2, 13)), "visibility": np.ones((2, 13), np.uint8)}
    (root / "labels").mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(root / "labels" / f"{clip}.mat", fields if train is None else {**fields, "train": train})


def write_clip(root, clip, action, train=None):
    """Two images and a label file."""
    folder = root / "frames" / clip
    folder.mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(str(folder / f"{number:06d}.jpg"), np.full((4, 6, 3), 20 * number, np.uint8))
    write_label(root, clip, action, train)


@pytest.fixture
def root(tmp_path):
    """Four actions, two of which the label files call otherwise than the paper does."""
    actions = ["bowl", "tennis_serve", "bowl", "squat", "tennis_serve", "bowl", "strum_guitar"]
    for number, action in enumerate(actions, 1):
        write_clip(tmp_path, f"{number:04d}", action, train=1 if number % 3 else -1)
    return tmp_path


def test_the_clips_of_one_action_are_found_with_their_split(root):
    found = read_penn_action(root, "bowling")
    assert found == PennClips(
        clips=(
            PennClip("frames/0001", "bowling", "train"),
            PennClip("frames/0003", "bowling", "test"),
            PennClip("frames/0006", "bowling", "test"),
        ),
        warnings=(),
    )
    names = [clip.name for clip in found.clips]
    assert set(names) < set(list_image_folders(root))
    assert len(hash_image_folders(root, names, HashCache(root / "cache.json"))) == 3


@pytest.mark.parametrize("action", ["bowling", "bowl", "Bowling", " bowl "])
def test_an_action_may_be_named_as_in_the_paper_or_in_the_files(root, action):
    assert read_penn_action(root, action) == read_penn_action(root, "bowling")


def test_an_action_of_the_release_beyond_the_thirteen_may_be_used(root):
    assert [clip.name for clip in read_penn_action(root, "strum guitar").clips] == ["frames/0007"]


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (
            "tenis_serve",
            r"action: no clip of 'tenis_serve' in .*labels; did you mean 'tennis_serve'\? They hold bowling",
        ),
        ("squad", r"did you mean 'squat'\?"),
        (
            "",
            r"no clip of '' in .*labels; They hold bowling \(3\), squats \(1\), strum_guitar \(1\), tennis_serve \(2\)",
        ),
        ("situp", r"no clip of 'situp' in"),
    ],
)
def test_an_action_that_no_file_tells_is_refused_with_those_that_are_told(root, action, message):
    with pytest.raises(SettingsError, match=message):
        read_penn_action(root, action)


def test_files_without_a_split_leave_it_to_the_caller(root):
    for clip in ("0001", "0003", "0006"):
        write_label(root, clip, "bowl")
    found = read_penn_action(root, "bowling")
    assert [clip.split for clip in found.clips] == ["", "", ""]
    assert found.warnings == ()
    write_label(root, "0003", "bowl", train=-1)
    found = read_penn_action(root, "bowling")
    assert [clip.split for clip in found.clips] == ["", "test", ""]
    assert found.warnings == ("2 of 3 clips of bowling tell no split: 0001, 0006",)


def test_what_lacks_its_other_half_is_counted_and_named(root):
    write_label(root, "0008", "bowl", train=1)
    write_label(root, "0009", "squat", train=1)
    for number in range(4):
        write_clip(root, f"2{number:03d}", "bowl")
        (root / "labels" / f"2{number:03d}.mat").unlink()
    (root / "frames" / "0006" / "000001.jpg").unlink()
    (root / "frames" / "0006" / "000002.jpg").unlink()
    found = read_penn_action(root, "bowling")
    assert [clip.name for clip in found.clips] == ["frames/0001", "frames/0003"]
    assert found.warnings == (
        "2 of 4 clips of bowling have a label file and no images, and are left out: 0006, 0008",
        "4 folders of images have no label file, and are left out: 2000, 2001, 2002, ...",
    )


def test_an_action_without_any_images_is_refused(root):
    for path in sorted((root / "frames" / "0004").iterdir()):
        path.unlink()
    with pytest.raises(
        VideoError, match=r"none of the 1 clips of squats has a folder of images .* 0004/000001.jpg; extract"
    ):
        read_penn_action(root, "squats")


def test_a_wrong_folder_says_which_is_right(root, tmp_path_factory):
    with pytest.raises(VideoError, match=r"frames: no folder frames and no folder labels here; set the path to the"):
        read_penn_action(root / "frames", "bowling")
    outer = tmp_path_factory.mktemp("outer")
    (outer / "Penn_Action").symlink_to(root)
    with pytest.raises(VideoError, match=r"no folder frames .* here; did you mean .*outer0/Penn_Action\?"):
        read_penn_action(outer, "bowling")
    (outer / "frames").mkdir()
    with pytest.raises(VideoError, match="outer0: no folder labels here"):
        read_penn_action(outer, "bowling")
    (outer / "labels").mkdir()
    with pytest.raises(VideoError, match=r"labels: holds no label file; expected files that end in \.mat"):
        read_penn_action(outer, "bowling")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"cannot be read as a MATLAB file \(.*\); copy it again"),
        (b"hello world" * 100, r"cannot be read as a MATLAB file"),
        (
            b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n",
            r"format 7\.3 \(HDF5\), which is not read",
        ),
    ],
)
def test_a_file_of_another_format_is_named(root, content, message):
    (root / "labels" / "0002.mat").write_bytes(content)
    with pytest.raises(LabelError, match=r"0002\.mat: " + ".*" + message):
        read_penn_action(root, "bowling")


def test_a_file_that_is_cut_off_is_named(root):
    """Before or inside its action it cannot be used; behind it the split is missing."""
    whole = (root / "labels" / "0003.mat").read_bytes()
    for kept in (100, 150, 190):
        (root / "labels" / "0003.mat").write_bytes(whole[:kept])
        with pytest.raises(LabelError, match=r"0003\.mat: (cannot be read as a MATLAB file|tells no action)"):
            read_penn_action(root, "bowling")
    (root / "labels" / "0003.mat").write_bytes(whole[: len(whole) // 2])
    assert read_penn_action(root, "bowling").warnings == ("1 of 3 clips of bowling tell no split: 0003",)


@pytest.mark.parametrize("fields", [{"x": 1}, {"action": 3}, {"action": ""}])
def test_a_file_without_an_action_is_named(root, fields):
    scipy.io.savemat(root / "labels" / "0002.mat", fields)
    with pytest.raises(LabelError, match=r"0002\.mat: tells no action; take the release's own file, or remove it"):
        read_penn_action(root, "bowling")


def test_progress_is_told_by_label_file(root):
    reports = []
    read_penn_action(root, "bowling", lambda fraction, status: reports.append((round(fraction, 2), status)))
    assert len(reports) == 8
    assert reports[1] == (0.14, "reading 1 of 7 label files")
    assert reports[-1] == (1.0, "read 7 label files")


def test_the_thirteen_actions_have_the_phases_of_the_literature():
    phases = {name: action.num_phases for name, action in PENN_ACTIONS.items()}
    assert phases == {
        "baseball_pitch": 4,
        "baseball_swing": 3,
        "bench_press": 2,
        "bowling": 3,
        "clean_and_jerk": 6,
        "golf_swing": 3,
        "jumping_jacks": 4,
        "pullups": 2,
        "pushups": 2,
        "situp": 2,
        "squats": 4,
        "tennis_forehand": 3,
        "tennis_serve": 4,
    }
    for sizes, sums in (("paper_sizes", (1160, 966)), ("code_sizes", (1204, 948))):
        assert tuple(sum(getattr(action, sizes)[part] for action in PENN_ACTIONS.values()) for part in (0, 1)) == sums
    assert {a.name: a.mat_name for a in PENN_ACTIONS.values() if a.name != a.mat_name} == {
        "bowling": "bowl",
        "pullups": "pullup",
        "pushups": "pushup",
        "squats": "squat",
    }
