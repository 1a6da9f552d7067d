"""The pair of clips that is shown, and the video of it."""

from __future__ import annotations

import random

import av
import cv2
import numpy as np
import pytest

from tcc.errors import ShapeError, VideoError
from tcc.report import align_pair, choose_pair, write_aligned_video
from tcc.report.alignment_pair import LONGEST
from tcc.sequences import ClipSequence
from tests.tcc.report_samples import PHASES, draw_frames, make_clip, make_clips

PIXELS = 64
GAP = 8


def write(path, pair, *, fps=10.0, **options):
    frames = {clip.name: draw_frames(clip, pixels=PIXELS) for clip in (pair.reference, pair.other)}
    return write_aligned_video(path, pair, frames, fps=fps, pixels=PIXELS, phases=PHASES, **options)


def read(path):
    """All pictures of a video, blue first."""
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="bgr24") for frame in file.decode(video=0)]


def ball_place(panel: np.ndarray) -> float:
    """Horizontal center of the ball in one panel."""
    blue, _, red = (panel[..., channel].astype(int) for channel in range(3))
    return float(np.nonzero(red - blue > 80)[1].mean())


def two_clips():
    return make_clip("slow.mp4", length=40, pace=2.0), make_clip("fast.mp4", length=25, pace=0.6)


# Which frame goes with which.


def test_matches_lead_to_the_same_progress_and_never_go_back():
    reference, other = two_clips()
    pair = align_pair(reference, other)
    steps_apart = np.diff(other.values[:, 2]).max()
    np.testing.assert_allclose(other.values[pair.matches, 2], reference.values[:, 2], atol=steps_apart)
    assert (np.diff(pair.matches) >= 0).all()


def test_matches_are_the_middle_of_the_path():
    pair = align_pair(*two_clips())
    for step, match in enumerate(pair.matches):
        on_path = [column for row, column in zip(*pair.path) if row == step]
        assert match == on_path[len(on_path) // 2]


def test_shift_and_cost_of_a_clip_with_itself_are_zero():
    clip = make_clip("a", length=20, pace=1.5)
    pair = align_pair(clip, clip)
    assert pair.shift_seconds == 0
    assert pair.relative_cost == pytest.approx(0, abs=1e-12)


def test_a_long_clip_is_thinned_out():
    long = make_clip("long", length=1000, pace=1.0)
    pair = align_pair(long, make_clip("short", length=50, pace=1.0))
    assert len(pair.reference) == LONGEST
    assert (pair.reference_steps[0], pair.reference_steps[-1]) == (0, 999)
    np.testing.assert_array_equal(pair.reference.timestamps, long.timestamps[pair.reference_steps])


# Which pair.


def test_the_same_pair_whatever_the_order_of_the_clips():
    clips = make_clips(count=6)
    expected, compared = choose_pair(clips)
    random.Random(0).shuffle(clips)
    again, _ = choose_pair(clips)
    assert (again.reference.name, again.other.name) == (expected.reference.name, expected.other.name)
    assert compared == 15


def test_the_pair_is_aligned_well_and_out_of_step():
    """Four clips of one action and one of noise: never the noise, and not the two that are in step anyhow."""
    noise = np.random.default_rng(0).normal(size=(90, 3)) * 5
    clips = [make_clip(f"{pace}", length=50, pace=pace) for pace in (1.0, 1.02, 1.6, 2.4)]
    clips.append(ClipSequence("noise", np.arange(90) / 10, np.zeros(90, np.int64), noise))
    pair, compared = choose_pair(clips)
    assert compared == 10
    assert "noise" not in (pair.reference.name, pair.other.name)
    assert {pair.reference.name, pair.other.name} != {"1.0", "1.02"}


def test_the_reference_is_the_longer_clip():
    pair, _ = choose_pair(list(two_clips())[::-1])
    assert pair.reference.name == "slow.mp4"


def test_at_most_sixteen_clips_are_compared():
    _, compared = choose_pair([make_clip(f"{index:02d}", length=10 + index, pace=1.0) for index in range(30)])
    assert compared == 16 * 15 // 2


def test_clips_that_cannot_be_aligned_or_shown_are_left_out():
    clips = make_clips(count=4)
    clips[0].values[3] = np.nan
    pair, compared = choose_pair(clips, playable={clip.name for clip in clips[:3]})
    assert compared == 1
    assert {pair.reference.name, pair.other.name} == {"clip_01.mp4", "clip_02.mp4"}


def test_one_clip_is_no_pair():
    with pytest.raises(VideoError, match=r"takes two clips .* there are 1 of 1: give the test split more clips"):
        choose_pair(make_clips(count=1))


def test_collapsed_embeddings_still_give_a_pair():
    clips = [ClipSequence(name, np.arange(8) / 10, np.zeros(8, np.int64), np.ones((8, 3))) for name in ("a", "b", "c")]
    pair, _ = choose_pair(clips)
    assert (pair.reference.name, pair.other.name) == ("a", "b")


# The video.


def test_the_video_decodes_to_what_was_promised(tmp_path):
    made = write(tmp_path / "a.mp4", align_pair(*two_clips()))
    # 40 steps at 10 per second, and 0.6 s of the last picture.
    assert (made.num_frames, made.seconds, made.speed) == (46, 4.6, 1)
    with av.open(str(tmp_path / "a.mp4")) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate) == 10
        assert not file.streams.audio
        pictures = [frame.to_ndarray(format="bgr24") for frame in file.decode(stream)]
    assert len(pictures) == 46
    assert pictures[0].shape == (made.height, made.width, 3)
    assert made.width % 2 == made.height % 2 == 0
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    poster = cv2.imdecode(np.frombuffer(made.poster, np.uint8), cv2.IMREAD_COLOR)
    assert poster.shape == (made.height, made.width, 3)


def test_the_middle_panel_is_in_step_and_the_right_one_is_not(tmp_path):
    write(tmp_path / "a.mp4", align_pair(*two_clips()))
    apart = {"in step": [], "as filmed": []}
    for picture in read(tmp_path / "a.mp4")[:40]:
        left, middle, right = (
            picture[-PIXELS:, start : start + PIXELS] for start in range(0, 3 * PIXELS, PIXELS + GAP)
        )
        apart["in step"].append(abs(ball_place(left) - ball_place(middle)))
        if len(apart["as filmed"]) < 25:  # then the clip has ended and its last frame is faded
            apart["as filmed"].append(abs(ball_place(left) - ball_place(right)))
    assert np.mean(apart["in step"]) < 2
    assert np.mean(apart["as filmed"]) > 10


def test_the_other_clip_is_faded_once_it_has_ended(tmp_path):
    write(tmp_path / "a.mp4", align_pair(*two_clips()))
    right = [picture[-PIXELS:, -PIXELS:].mean() for picture in read(tmp_path / "a.mp4")]
    assert right[30] > right[20] + 10


def test_the_same_input_gives_the_same_bytes(tmp_path):
    pair = align_pair(*two_clips())
    contents = set()
    for _ in range(4):  # without x264's cpu-independent, two are alike now and then
        write(tmp_path / "a.mp4", pair)
        contents.add((tmp_path / "a.mp4").read_bytes())
    assert len(contents) == 1


def test_a_long_reference_is_played_faster(tmp_path):
    pair = align_pair(make_clip("long", length=700, pace=1.0), make_clip("short", length=20, pace=1.0))
    frames = {"long": [draw_frames(pair.reference)[0]] * 700, "short": draw_frames(pair.other)}
    made = write_aligned_video(tmp_path / "a.mp4", pair, frames, fps=5.0, pixels=32)
    # 69.9 s in at most 30: three times as fast, 5 frames a second and 3 that are held.
    assert made.speed == 3
    assert made.num_frames == 117 + 3
    assert len(read(tmp_path / "a.mp4")) == 120


def test_another_shape_and_odd_sizes_give_even_sizes(tmp_path):
    pair = align_pair(*two_clips())
    frames = {clip.name: draw_frames(clip) for clip in (pair.reference, pair.other)}
    made = write_aligned_video(tmp_path / "a.mp4", pair, frames, fps=7.5, pixels=45, aspect=1.31)
    assert made.width == 3 * 60 + 2 * GAP
    assert made.height % 2 == 0
    assert len(read(tmp_path / "a.mp4")) == made.num_frames


def test_a_video_that_is_too_large_is_written_in_lower_quality(tmp_path):
    pair = align_pair(*two_clips())
    write(tmp_path / "fine.mp4", pair)
    made = write(tmp_path / "coarse.mp4", pair, max_bytes=1)
    fine, coarse = (tmp_path / "fine.mp4").stat().st_size, (tmp_path / "coarse.mp4").stat().st_size
    assert coarse < 0.7 * fine
    assert len(read(tmp_path / "coarse.mp4")) == made.num_frames


def test_progress_is_told(tmp_path):
    told = []
    write(tmp_path / "a.mp4", align_pair(*two_clips()), progress=lambda fraction, status: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1


def test_missing_frames_are_named(tmp_path):
    pair = align_pair(*two_clips())
    frames = {"slow.mp4": draw_frames(pair.reference)}
    with pytest.raises(VideoError, match=r"clip fast\.mp4: there are no frames to show"):
        write_aligned_video(tmp_path / "a.mp4", pair, frames, fps=10, pixels=32)
    frames["fast.mp4"] = draw_frames(pair.other)[:9]
    with pytest.raises(ShapeError, match=r"clip fast\.mp4: 9 frames for 25 steps; pass one frame for each step"):
        write_aligned_video(tmp_path / "a.mp4", pair, frames, fps=10, pixels=32)


def test_a_damaged_frame_is_named_and_no_video_is_left(tmp_path):
    pair = align_pair(*two_clips())
    frames = {"slow.mp4": draw_frames(pair.reference), "fast.mp4": [b"no picture"] * 25}
    with pytest.raises(VideoError, match=r"clip fast\.mp4: a frame is not a readable JPEG"):
        write_aligned_video(tmp_path / "a.mp4", pair, frames, fps=10, pixels=32)
    assert not (tmp_path / "a.mp4").exists()
