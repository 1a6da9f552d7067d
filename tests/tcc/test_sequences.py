"""Clips as sequences of values, in memory and in files."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from tcc.errors import ShapeError, ShardError
from tcc.sequences import ClipSequence, center, load_sequences, save_sequences, write_sequences
from tcc.stored_values import StoredValues

PHASES = ["reach", "pour"]


def clips_of(lengths, frame_shape=(2, 2, 3), dtype=np.float16):
    rng = np.random.default_rng(0)
    return [
        ClipSequence(
            f"clip{index}",
            np.arange(length) / 10,
            np.arange(length) % 3 - 1,
            (rng.normal(size=(length, *frame_shape)) + 5 * rng.normal(size=(1, *frame_shape))).astype(dtype),
        )
        for index, length in enumerate(lengths)
    ]


def saved(tmp_path, clips, **options):
    save_sequences(tmp_path / "a.npz", clips, phases=PHASES, **options)
    return tmp_path / "a.npz"


def rewritten(path, **changes):
    """The file again with arrays replaced, or left out where None."""
    with np.load(path) as arrays:
        content = {**arrays, **changes}
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path


def test_centered_clips_have_no_mean_in_any_cell_and_keep_their_changes():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(9, 2, 2, 3)) + 50 * rng.normal(size=(1, 2, 2, 3))).astype(np.float16)
    clip = ClipSequence("a", np.arange(9) / 10, np.full(9, -1), values)
    centered = center(clip).values
    assert centered.dtype == np.float16
    expected = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(centered, expected, atol=4e-3)
    assert np.abs(values.mean(axis=0, dtype=np.float64)).max() > 10


@pytest.mark.parametrize("length", [1, 255, 256, 257, 700])
def test_the_mean_is_numpys_to_the_bit_in_memory_and_on_disk(tmp_path, length):
    (clip,) = clips_of([length])
    (stored,), _ = load_sequences(saved(tmp_path, [clip]), in_memory=False)
    mean = clip.values.mean(axis=0, dtype=np.float32)
    expected = (clip.values - mean).astype(np.float16)
    np.testing.assert_array_equal(center(clip).values, expected)
    centered = center(stored).values
    assert isinstance(centered, StoredValues)
    np.testing.assert_array_equal(centered[:], expected)
    np.testing.assert_array_equal(centered[np.array([[0, length - 1]])], expected[np.array([[0, length - 1]])])


def test_arrays_are_named_by_what_they_are(tmp_path):
    clips = clips_of([3, 2], frame_shape=(4,), dtype=np.float32)
    with np.load(saved(tmp_path, clips, fingerprint="0123abcd"), allow_pickle=False) as arrays:
        assert sorted(arrays.files) == sorted(
            ["embeddings", "timestamps", "labels", "names", "lengths", "phases", "fingerprint", "format"]
        )
        assert arrays["embeddings"].shape == (5, 4) and arrays["embeddings"].dtype == np.float32
        assert arrays["names"].tolist() == ["clip0", "clip1"] and arrays["lengths"].tolist() == [3, 2]
        assert str(arrays["fingerprint"]) == "0123abcd" and arrays["phases"].tolist() == PHASES


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", ["embeddings", "features"])
def test_what_was_saved_comes_back(tmp_path, kind, in_memory):
    clips = clips_of([3, 1, 6])
    read, phases = load_sequences(saved(tmp_path, clips, kind=kind), in_memory=in_memory)
    assert phases == PHASES
    for one, other in zip(clips, read):
        assert one.name == other.name and len(one) == len(other)
        np.testing.assert_array_equal(one.timestamps, other.timestamps)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert isinstance(other.values, np.ndarray) == in_memory
        assert other.values.shape == one.values.shape and other.values.dtype == one.values.dtype
        np.testing.assert_array_equal(one.values, np.asarray(other.values))


def test_parts_that_end_anywhere_make_the_file_that_numpy_makes_of_the_whole(tmp_path):
    clips = clips_of([3, 1, 6])
    whole = np.concatenate([clip.values for clip in clips])
    path = saved(tmp_path, clips, kind="features")
    write_sequences(
        tmp_path / "b.npz",
        iter([whole[:2], whole[2:7], whole[7:]]),
        names=[clip.name for clip in clips],
        timestamps=[clip.timestamps for clip in clips],
        labels=[clip.labels for clip in clips],
        phases=PHASES,
        kind="features",
    )
    assert path.read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(path) as arrays:
        np.savez(tmp_path / "c.npz", **arrays)
    with zipfile.ZipFile(path) as ours, zipfile.ZipFile(tmp_path / "c.npz") as numpys:
        for name in ours.namelist():
            assert ours.read(name) == numpys.read(name)


def test_stored_values_are_read_by_any_index(tmp_path):
    clips = clips_of([3, 9])
    (_, stored), _ = load_sequences(saved(tmp_path, clips), in_memory=False)
    values = clips[1].values
    for index in (4, -1, slice(2, 5), slice(None), np.array([8, 0, 0]), np.array([[1, 2], [3, 4]])):
        np.testing.assert_array_equal(stored.values[index], values[index])
        assert type(stored.values[index]) is np.ndarray
    np.testing.assert_array_equal(np.asarray(stored.values, np.float32), values.astype(np.float32))


def test_no_clips_at_all_are_a_file_too(tmp_path):
    for in_memory in (True, False):
        assert load_sequences(saved(tmp_path, []), in_memory=in_memory) == ([], PHASES)


def test_parts_that_do_not_fit_the_clips_are_refused_and_leave_no_file(tmp_path):
    options = {"names": ["a"], "timestamps": [np.arange(3)], "labels": [np.zeros(3)], "phases": [], "kind": "features"}
    short, other = np.zeros((2, 4), np.float16), np.zeros((1, 5), np.float16)
    with pytest.raises(ShapeError, match="features: 2 frames were given, the clips have 3"):
        write_sequences(tmp_path / "a.npz", iter([short]), **options)
    with pytest.raises(ShapeError, match=r"features: frames of one type and shape are needed, got float16 \(5,\)"):
        write_sequences(tmp_path / "a.npz", iter([short, other]), **options)
    assert not (tmp_path / "a.npz").exists()


@pytest.mark.parametrize("in_memory", [True, False])
def test_files_that_are_damaged_or_something_else_are_refused(tmp_path, in_memory):
    path = saved(tmp_path, clips_of([3, 9]))
    whole = path.read_bytes()
    place = whole.index(clips_of([3, 9])[1].values.tobytes())
    for damaged in (whole[: len(whole) // 2], whole[:place] + b"\x00\x01\x02" + whole[place + 3 :], b"text"):
        path.write_bytes(damaged)
        with pytest.raises(ShardError, match=r"not a file of clip sequences .*; delete its folder and run again"):
            load_sequences(path, in_memory=in_memory)
    path.write_bytes(whole)
    for changes in ({"embeddings": None}, {"features": np.zeros(2)}, {"names": None}):
        path.write_bytes(whole)
        with pytest.raises(ShardError, match="not a file of clip sequences"):
            load_sequences(rewritten(path, **changes), in_memory=in_memory)


def test_compressed_values_are_not_read_piece_by_piece(tmp_path):
    path = saved(tmp_path, clips_of([3]))
    with np.load(path) as arrays:
        np.savez_compressed(path, **arrays)
    assert len(load_sequences(path)[0]) == 1
    with pytest.raises(ShardError, match="embeddings is compressed"):
        load_sequences(path, in_memory=False)


@pytest.mark.parametrize("file_format, found", [(None, "none"), (1, "1"), (3, "3")])
def test_other_formats_are_refused_by_number(tmp_path, file_format, found):
    path = rewritten(saved(tmp_path, clips_of([3])), format=file_format)
    with pytest.raises(
        ShardError, match=f"is of format {found}, this version reads 2; delete its folder and run again"
    ):
        load_sequences(path)
