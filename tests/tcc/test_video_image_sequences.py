"""Folders of images as clips: which there are, what they are called by content, and what their images show."""

from __future__ import annotations

import functools
import hashlib
import os
import struct
import zlib

import cv2
import numpy as np
import pytest

from tcc.errors import SettingsError, VideoError
from tcc.video import (
    ClipInfo,
    HashCache,
    ImageReader,
    hash_image_folders,
    image_names,
    list_image_folders,
    probe_clips,
    probe_image_folder,
    read_image_index,
)
from tcc.video import image_sequences as sequences_module
from tcc.video import inventory as inventory_module
from tcc.video.container import UnusableVideo
from tcc.video.decode import sampling_plan
from tests.tcc.video_samples import number_of, picture


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def write_images(folder, count, suffix=".jpg", first=0, size=(96, 64)):
    """Image k, called k, shows the number k."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        image = picture(number, width=size[0], height=size[1])[..., ::-1]
        (folder / f"{number:06d}{suffix}").write_bytes(encoded(image, suffix))
    return folder


def exif(orientation):
    return b"II*\0\x08\0\0\0" + struct.pack("<HHHIHH", 1, 0x112, 3, 1, orientation, 0) + bytes(4)


def with_exif(jpeg, orientation):
    content = b"Exif\0\0" + exif(orientation)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content + jpeg[2:]


def png(color_type, rows, width, *chunks):
    """A PNG of a kind that OpenCV does not write."""
    header = struct.pack(">IIBBBBB", width, len(rows), 8, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *chunks, (b"IDAT", pixels), (b"IEND", b"")]
    framed = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def bmp_with_alpha(image):
    """A BMP of version 4, whose header tells where the fourth channel lies, as some programs write it."""
    height, width, _ = image.shape
    masks = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + bytes(48)
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, image.nbytes, 0, 0, 0, 0) + masks
    return b"BM" + struct.pack("<IHHI", 122 + image.nbytes, 0, 0, 122) + header + image[::-1].tobytes()


def shown(folder, fps=30.0):
    """All images of a folder."""
    reader = ImageReader(folder, read_image_index(folder, fps))
    return [reader.retrieve() for _ in reader.times()]


def show(folder, data, name="a.png"):
    """One image with this content."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data)
    return shown(folder)[0]


# which clips there are


def test_folders_that_hold_images_themselves_are_clips_in_order(tmp_path):
    touch(tmp_path, "b/1.JPG", "a/x y/1.jpeg", "a/x y/deep/1.Png", "über 日本/1.bmp", "new\nline/1.jpg", "b/notes.txt")
    touch(tmp_path, "videos/a.mp4", "only/._1.jpg", ".hidden/1.jpg", "b/.thumbs/1.jpg", "notes.txt")
    (tmp_path / "empty" / "folder.jpg").mkdir(parents=True)
    assert list_image_folders(tmp_path) == ["a/x y", "a/x y/deep", "b", "new\nline", "über 日本"]


def test_linked_folders_are_followed_once_and_under_the_same_name(tmp_path):
    touch(tmp_path / "store", "b/1.jpg")
    os.symlink(tmp_path / "store", tmp_path / "store" / "loop")
    (tmp_path / "set").mkdir()
    for name in ("z", "linked", "m"):
        os.symlink(tmp_path / "store", tmp_path / "set" / name)
    assert list_image_folders(tmp_path / "set") == ["linked/b"]


def test_a_folder_without_clips_says_what_to_do(tmp_path):
    with pytest.raises(VideoError, match="gone: no such folder of image folders; set the path to an existing folder"):
        list_image_folders(tmp_path / "gone")
    touch(tmp_path, "a/notes.txt")
    with pytest.raises(VideoError, match=r"holds no folder of images; expected files that end in \.bmp, .*\.png"):
        list_image_folders(tmp_path)
    touch(tmp_path, "a/1.jpg", "loose.PNG")
    with pytest.raises(VideoError, match=r"holds images itself \(loose.PNG\); put each clip's images into a folder of"):
        list_image_folders(tmp_path)


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    def walk(folder, followlinks, onerror):
        onerror(PermissionError(13, "Permission denied", str(tmp_path / "locked")))
        return iter(())

    monkeypatch.setattr(inventory_module.os, "walk", walk)
    with pytest.raises(VideoError, match=r"locked: cannot be read \(Permission denied\); change its permissions"):
        list_image_folders(tmp_path)


def test_numbers_in_file_names_are_compared_as_numbers(tmp_path):
    ordered = ["7.jpg", "frame.jpg", "frame-3.jpg", "frame_02.JPG", "frame_2.png", "frame_10.jpg", "frame_10_1.jpg"]
    touch(tmp_path, *reversed(ordered), ".frame_1.jpg", "frame_3.txt")
    (tmp_path / "frame_4.jpg").mkdir()
    assert image_names(tmp_path) == ordered


# what their content is


def test_the_identity_of_a_clip_is_pinned(tmp_path):
    """The value is part of the format: another one would make every target stale."""
    touch(tmp_path, "a/2.jpg", "a/10.jpg")
    lines = "".join(f"{name}\0{hashlib.sha256(f'a/{name}'.encode()).hexdigest()}\n" for name in ("2.jpg", "10.jpg"))
    assert hash_image_folders(tmp_path, ["a"], HashCache(tmp_path / "cache.json")) == {
        "a": hashlib.sha256(lines.encode()).hexdigest()
    }


def test_hashes_are_read_once_and_kept_in_one_row_for_a_folder(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{clip}/{number}.jpg" for clip in "ab" for number in range(20)))
    reports = []
    hashes = hash_image_folders(
        tmp_path, ["a", "b"], HashCache(tmp_path / "cache.json"), lambda f, s: reports.append((f, s))
    )
    assert hashes["a"] != hashes["b"]
    assert reports == [
        (0.0, "hashing 0 of 2 image folders"),
        (0.5, "hashing 1 of 2 image folders"),
        (1.0, "hashed 2 image folders"),
    ]
    assert (tmp_path / "cache.json").read_text().count(str(tmp_path)) == 2

    monkeypatch.setattr(inventory_module, "hash_file", lambda path: pytest.fail("was read again"))
    assert hash_image_folders(tmp_path, ["a", "b"], HashCache(tmp_path / "cache.json")) == hashes


def test_the_identity_follows_content_and_names_and_nothing_else(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/2.jpg", "a/notes.txt")
    cache = HashCache(tmp_path / "cache.json")

    def identity():
        return hash_image_folders(tmp_path, ["a"], cache)["a"]

    before = identity()
    os.utime(tmp_path / "a" / "1.jpg", (1, 1))
    touch(tmp_path, "a/more.txt")
    assert identity() == before
    seen = {before}
    for change in (
        lambda: (tmp_path / "a" / "1.jpg").write_bytes(b"other"),
        lambda: (tmp_path / "a" / "1.jpg").rename(tmp_path / "a" / "3.jpg"),
        lambda: touch(tmp_path, "a/4.jpg"),
        lambda: (tmp_path / "a" / "2.jpg").unlink(),
    ):
        change()
        assert identity() not in seen
        seen.add(identity())


def test_an_interrupted_hashing_keeps_what_it_has_and_names_what_is_gone(tmp_path):
    touch(tmp_path, "a/1.jpg")
    with pytest.raises(VideoError, match=r"gone: went away \(No such file or directory\); run again"):
        hash_image_folders(tmp_path, ["a", "gone"], HashCache(tmp_path / "cache.json"))
    assert str(tmp_path / "a") in (tmp_path / "cache.json").read_text()
    with pytest.raises(VideoError, match=r"a/2.jpg: went away \(No such file or directory\)"):
        HashCache(tmp_path / "cache.json").sha256_of_folder(tmp_path / "a", ["1.jpg", "2.jpg"])


def test_a_folder_that_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    touch(tmp_path, "a/1.jpg")

    def grow(path):
        (tmp_path / "a" / "1.jpg").write_bytes(b"longer than before")
        return "0"

    monkeypatch.setattr(inventory_module, "hash_file", grow)
    with pytest.raises(VideoError, match="a: changed while it was being read; run again when it is complete"):
        hash_image_folders(tmp_path, ["a"], HashCache(tmp_path / "cache.json"))


# what they show


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp"])
def test_images_are_frames_in_order_at_the_given_rate(tmp_path, suffix):
    folder = write_images(tmp_path / "über 日本", 12, suffix)
    index = read_image_index(folder, 15)
    assert (len(index), index.counts_only, index.missing_frames, index.average_fps) == (12, True, 0, 15.0)
    assert index.codec == {".jpg": "jpeg", ".JPEG": "jpeg", ".png": "png", ".bmp": "bmp"}[suffix]
    assert index.timestamps.tolist() == [round(number / 15, 9) for number in range(12)]
    assert index.duration_seconds == pytest.approx(0.8)
    assert (index.stream_offset_seconds, index.origin_seconds) == (0.0, 0.0)
    reader = ImageReader(folder, index)
    seen = [(seconds, number_of(reader.retrieve())) for seconds in reader.times()]
    assert seen == [(round(number / 15, 9), number) for number in range(12)]
    assert reader.rotation == 0
    reader.close()


def test_every_image_is_sampled_once_at_the_images_own_rate(tmp_path):
    index = read_image_index(write_images(tmp_path / "a", 40), 29.97)
    np.testing.assert_array_equal(sampling_plan(index.timestamps, 29.97), np.arange(40))


def test_frames_that_nobody_asks_for_are_not_opened(tmp_path):
    folder = write_images(tmp_path / "a", 3)
    (folder / "000001.jpg").write_bytes(b"")
    reader = ImageReader(folder, read_image_index(folder, 30))
    assert [number_of(reader.retrieve()) for number, _ in enumerate(reader.times()) if number != 1] == [0, 2]


def test_images_of_one_clip_may_differ_in_kind_and_size(tmp_path):
    folder = write_images(tmp_path / "a", 1, ".png")
    write_images(folder, 1, ".jpg", first=1, size=(48, 32))
    assert read_image_index(folder, 30).codec == "mixed"
    images = shown(folder)
    assert [image.shape for image in images] == [(64, 96, 3), (32, 48, 3)]
    assert [number_of(image) for image in images] == [0, 1]


def test_a_single_image_lasts_as_long_as_its_rate_says(tmp_path):
    index = read_image_index(write_images(tmp_path / "a", 1), 30)
    assert (len(index), index.period_seconds, index.duration_seconds) == (1, 0.0, 1 / 30)


COLORS = np.array([[[10, 120, 250], [40, 80, 160]]], np.uint8)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(COLORS), COLORS),
        (encoded(COLORS[..., 0]), [[[10] * 3, [40] * 3]]),
        (encoded(COLORS.astype(np.uint16) * 257), COLORS),
        (encoded(COLORS[..., 2].astype(np.uint16) * 257), [[[250] * 3, [160] * 3]]),
        (encoded(np.dstack([COLORS, np.array([[255, 0]], np.uint8)])), [[[10, 120, 250], [0, 0, 0]]]),
        (encoded(np.dstack([COLORS, np.array([[51, 102]], np.uint8)])), [[[2, 24, 50], [16, 32, 64]]]),
        (
            encoded(np.dstack([COLORS.astype(np.uint16) * 256, np.array([[65535, 0]], np.uint16)])),
            [[[10, 120, 249], [0] * 3]],
        ),
        (png(4, [bytes([10, 255, 40, 0])], 2), [[[10] * 3, [0] * 3]]),
        (png(0, [bytes([10, 40])], 2), [[[10] * 3, [40] * 3]]),
        (
            png(3, [bytes([0, 1])], 2, (b"PLTE", bytes([1, 2, 3, 4, 5, 6])), (b"tRNS", bytes([255, 0]))),
            [[[3, 2, 1], [0] * 3]],
        ),
        (bmp_with_alpha(np.dstack([COLORS, np.zeros((1, 2), np.uint8)])), COLORS),
    ],
    ids=[
        "color",
        "gray",
        "color16",
        "gray16",
        "alpha",
        "half_alpha",
        "alpha16",
        "gray_alpha",
        "gray8",
        "palette",
        "bmp_alpha",
    ],
)
def test_any_kind_of_image_becomes_bgr_with_black_behind_it(tmp_path, data, expected):
    image = show(tmp_path / "a", data)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, expected)


def test_a_file_is_what_it_holds_whatever_its_name_says(tmp_path):
    np.testing.assert_array_equal(show(tmp_path / "a", encoded(COLORS), "a.jpg"), COLORS)


@pytest.mark.parametrize(
    ("orientation", "turn"),
    [
        (1, lambda image: image),
        (3, lambda image: cv2.rotate(image, cv2.ROTATE_180)),
        (6, lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        (8, lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
    ],
)
def test_images_are_turned_as_their_exif_says(tmp_path, orientation, turn):
    plain = encoded(picture(5)[..., ::-1], ".jpg")
    upright = show(tmp_path / "a", with_exif(plain, orientation), "a.jpg")
    np.testing.assert_array_equal(upright, turn(show(tmp_path / "b", plain, "a.jpg")))
    rows = [row.tobytes() for row in picture(5)]
    np.testing.assert_array_equal(
        show(tmp_path / "c", png(2, rows, 96, (b"eXIf", exif(orientation))), "a.png"), turn(picture(5)[..., ::-1])
    )


# what is wrong with them


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp"])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
def test_a_broken_image_is_named(tmp_path, suffix, kept):
    folder = write_images(tmp_path / "a", 3, suffix, size=(640, 480))
    broken = folder / f"000001{suffix}"
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * kept)])
    name = f"000001\\{suffix}"
    with pytest.raises(
        UnusableVideo,
        match=rf"a: image {name} cannot be decoded \(not a whole image of a known kind\); replace or remove it",
    ):
        shown(folder)


def test_an_empty_a_missing_and_an_oversized_image_are_named(tmp_path):
    folder = write_images(tmp_path / "a", 2)
    index = read_image_index(folder, 30)
    (folder / "000001.jpg").write_bytes(b"")
    with pytest.raises(UnusableVideo, match=r"image 000001.jpg cannot be decoded \(the file is empty\); replace or"):
        shown(folder)
    reader = ImageReader(folder, index)
    (folder / "000000.jpg").unlink()
    with pytest.raises(UnusableVideo, match=r"image 000000.jpg cannot be decoded \(No such file or directory\)"):
        reader.retrieve()
    write_images(folder, 1)
    data = bytearray((folder / "000000.jpg").read_bytes())
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = b"\xfd\xe8\xfd\xe8"
    (folder / "000000.jpg").write_bytes(bytes(data))
    with pytest.raises(UnusableVideo, match=r"image 000000.jpg cannot be decoded \(OpenCV: .*pixels.*\); replace"):
        shown(folder)


def test_a_folder_without_images_is_no_clip(tmp_path):
    touch(tmp_path, "notes.txt")
    with pytest.raises(UnusableVideo, match="holds no image"):
        read_image_index(tmp_path, 30)
    with pytest.raises(
        UnusableVideo, match=r"gone: cannot be read as a folder of images \(No such file or directory\)"
    ):
        read_image_index(tmp_path / "gone", 30)
    with pytest.raises(SettingsError, match=r"fps: must be at least 0\.001, got 0"):
        read_image_index(tmp_path, 0)


# probing


def test_a_folder_is_described(tmp_path):
    info = probe_image_folder(write_images(tmp_path / "a", 20, ".png"), 12.5)
    assert info == ClipInfo(
        num_frames=20, fps=12.5, width=96, height=64, duration_seconds=1.6, codec="png", decoder="images"
    )


def test_what_is_wrong_is_described_not_raised(tmp_path, monkeypatch):
    folder = write_images(tmp_path / "a", 2)
    (folder / "000000.jpg").write_bytes(b"hello")
    assert probe_image_folder(folder, 30) == ClipInfo(
        problem="image 000000.jpg cannot be decoded (not a whole image of a known kind); replace or remove it"
    )
    assert probe_image_folder(tmp_path, 30).problem == "holds no image"
    assert "fps: must be at least" in probe_image_folder(folder, 0).problem
    assert probe_image_folder(tmp_path / "gone", 30).problem == (
        "cannot be read as a folder of images (No such file or directory)"
    )
    monkeypatch.setattr(sequences_module, "image_names", lambda path: 1 / 0)
    assert probe_image_folder(folder, 30).problem == "cannot be read as images (ZeroDivisionError: division by zero)"


def test_many_folders_are_described_by_processes(tmp_path):
    write_images(tmp_path / "b", 3)
    write_images(tmp_path / "a", 2, ".bmp")
    probe = functools.partial(probe_image_folder, fps=30.0)
    infos = probe_clips(tmp_path, ["a", "b", "gone"], workers=2, timeout_seconds=60, probe=probe)
    assert [(info.name, info.num_frames, info.codec, bool(info.problem)) for info in infos] == [
        ("a", 2, "bmp", False),
        ("b", 3, "jpeg", False),
        ("gone", 0, "", True),
    ]
