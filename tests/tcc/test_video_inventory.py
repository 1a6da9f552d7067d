"""Folders of videos, content hashes, stable splits."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter

import pytest

from tcc.errors import VideoError
from tcc.video import HashCache, hash_file, hash_videos, list_videos, split_of, stable_bucket
from tcc.video import inventory as inventory_module
from tcc.video.inventory import hold_out, safe_file_name, split_by_ratio


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_videos_are_found_below_a_folder_in_order(tmp_path):
    touch(
        tmp_path,
        "b.mp4",
        "a/c.MOV",
        "a b/d 'x'.webm",
        "über.mkv",
        ".hidden.mp4",
        ".git/e.mp4",
        "notes.txt",
        "new\nline.avi",
    )
    (tmp_path / "folder.mp4").mkdir()
    touch(tmp_path, "folder.mp4/f.gif")
    found = list_videos(tmp_path)
    assert found == ["a b/d 'x'.webm", "a/c.MOV", "b.mp4", "folder.mp4/f.gif", "new\nline.avi", "über.mkv"]


def test_linked_folders_are_followed_once(tmp_path):
    touch(tmp_path / "store", "a.mp4")
    os.symlink(tmp_path / "store", tmp_path / "store" / "loop")
    (tmp_path / "set").mkdir()
    os.symlink(tmp_path / "store", tmp_path / "set" / "linked")
    assert list_videos(tmp_path / "set") == ["linked/a.mp4"]


def test_a_missing_folder_and_one_without_videos_say_what_to_do(tmp_path):
    with pytest.raises(VideoError, match="gone: no such folder of videos; set the path"):
        list_videos(tmp_path / "gone")
    touch(tmp_path, "notes.txt")
    with pytest.raises(VideoError, match=r"holds no video; expected files that end in \.3gp, .*\.webm"):
        list_videos(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def walk(folder, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "locked")))
        return iter(())

    monkeypatch.setattr(inventory_module.os, "walk", walk)
    with pytest.raises(VideoError, match=r"locked: cannot be read \(Permission denied\); change its permissions"):
        list_videos(tmp_path)


def test_hashes_are_read_once_and_kept(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4", "b.mp4")
    expected = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("a.mp4", "b.mp4")}
    reports = []
    hashes = hash_videos(
        tmp_path, ["a.mp4", "b.mp4"], HashCache(tmp_path / "cache.json"), lambda f, s: reports.append((f, s))
    )
    assert hashes == expected
    assert reports == [(0.0, "hashing 0 of 2 videos"), (0.5, "hashing 1 of 2 videos"), (1.0, "hashed 2 videos")]

    monkeypatch.setattr(inventory_module, "hash_file", lambda path: pytest.fail("was read again"))
    assert hash_videos(tmp_path, ["a.mp4", "b.mp4"], HashCache(tmp_path / "cache.json")) == expected


def test_touching_a_file_reads_it_again_and_changes_nothing(tmp_path):
    touch(tmp_path, "a.mp4")
    cache = HashCache(tmp_path / "cache.json")
    before = cache.sha256(tmp_path / "a.mp4")
    os.utime(tmp_path / "a.mp4", (1, 1))
    assert cache.sha256(tmp_path / "a.mp4") == before
    (tmp_path / "a.mp4").write_bytes(b"other")
    assert cache.sha256(tmp_path / "a.mp4") == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"format": 0, "files": {"x": [1, 2, "y"]}}', b'{"format": 1, "files": []}']
)
def test_a_damaged_cache_is_as_good_as_none(tmp_path, content):
    (tmp_path / "cache.json").write_bytes(content)
    touch(tmp_path, "a.mp4")
    assert HashCache(tmp_path / "cache.json").sha256(tmp_path / "a.mp4") == hash_file(tmp_path / "a.mp4")


def test_an_interrupted_hashing_keeps_what_it_has(tmp_path):
    touch(tmp_path, "a.mp4")
    with pytest.raises(VideoError, match=r"gone.mp4: went away \(No such file or directory\); run again"):
        hash_videos(tmp_path, ["a.mp4", "gone.mp4"], HashCache(tmp_path / "cache.json"))
    assert str(tmp_path / "a.mp4") in (tmp_path / "cache.json").read_text()


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    touch(tmp_path, "a.mp4")

    def grow(path):
        (tmp_path / "a.mp4").write_bytes(b"longer than before")
        return "0"

    monkeypatch.setattr(inventory_module, "hash_file", grow)
    with pytest.raises(VideoError, match="changed while it was being read; run again when it is complete"):
        HashCache(tmp_path / "cache.json").sha256(tmp_path / "a.mp4")


def test_splits_are_pinned_and_near_their_fractions():
    """The values are part of the format: other ones would move every user's clips to other splits."""
    names = [f"clip{i}.mp4" for i in range(2000)]
    splits = [split_of(name, seed=0, train_fraction=0.6, val_fraction=0.2) for name in names]
    assert splits[:6] == ["train", "test", "val", "train", "val", "train"]
    assert [round(splits.count(split) / 2000, 1) for split in ("train", "val", "test")] == [0.6, 0.2, 0.2]
    other = [split_of(name, seed=1, train_fraction=0.6, val_fraction=0.2) for name in names]
    assert sum(a != b for a, b in zip(splits, other)) > 500


def test_buckets_are_pinned_and_even():
    assert [stable_bucket(f"clip{i}", 4) for i in range(8)] == [2, 3, 1, 0, 2, 0, 3, 1]
    counts = [[stable_bucket(f"clip{i}", 4, salt=salt) for i in range(4000)].count(0) for salt in ("", "x")]
    assert all(900 < count < 1100 for count in counts)


def test_every_name_gets_a_harmless_file_name_of_its_own():
    names = ["a/b.mp4", "a_b.mp4", "../../etc/passwd", "new\nline", "x" * 300, ".hidden", "日本", "'\";"]
    made = [safe_file_name(name) for name in names]
    assert all(re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}", harmless) for harmless, _ in made)
    assert len(set(made)) == len(names)
    assert safe_file_name("a/b.mp4")[0] == safe_file_name("a_b.mp4")[0] == "a_b.mp4"


RATIO = {"seed": 0, "train_fraction": 0.6, "val_fraction": 0.2}


def test_splits_by_ratio_are_those_of_each_clip_alone_where_there_are_many():
    names = [f"clip_{index}.mp4" for index in range(300)]
    splits = split_by_ratio(names, **RATIO)
    assert splits == {name: split_of(name, **RATIO) for name in names}
    assert abs(sum(split == "train" for split in splits.values()) - 180) < 30


@pytest.mark.parametrize("count", range(3, 12))
def test_few_clips_leave_no_split_empty(count):
    for seed in range(30):
        names = [f"{seed}_{index}.mp4" for index in range(count)]
        found = Counter(split_by_ratio(names, **RATIO).values())
        assert min(found[split] for split in ("train", "val", "test")) >= (2 if count >= 6 else 1)


def test_a_split_that_nobody_wants_stays_empty():
    names = [f"{index}.mp4" for index in range(5)]
    assert set(split_by_ratio(names, seed=0, train_fraction=1.0, val_fraction=0.0).values()) == {"train"}
    assert set(hold_out(names, seed=0, train_fraction=0.6, val_fraction=0.2).values()) == {"train", "val"}
    assert split_by_ratio(["one.mp4"], **RATIO) in ({"one.mp4": split} for split in ("train", "val", "test"))
    assert split_by_ratio([], **RATIO) == {}


def test_clips_of_a_group_stay_together():
    names = [f"clip_{index}.mp4" for index in range(60)]
    groups = {name: f"person {index % 15}" for index, name in enumerate(names)}
    splits = split_by_ratio(names, groups=groups, **RATIO)
    assert {len({splits[name] for name in names if groups[name] == group}) for group in groups.values()} == {1}
    assert set(splits.values()) == {"train", "val", "test"}
