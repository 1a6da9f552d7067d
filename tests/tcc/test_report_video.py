"""The pair of clips that is shown, and the video of it."""

from __future__ import annotations

import random

import av
import cv2
import numpy as np
import pytest

from tcc.errors import ShapeError, VideoError
from tcc.report import align_all, align_pair, choose_grid, choose_pair, write_aligned_video, write_grid_video
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


def test_a_turned_pair_is_the_pair_seen_from_the_other_clip():
    pair = align_pair(*two_clips())
    turned = pair.turned()
    assert (turned.reference.name, turned.other.name) == (pair.other.name, pair.reference.name)
    for step, match in enumerate(turned.matches):
        on_path = [row for row, column in zip(*pair.path) if column == step]
        assert match == on_path[len(on_path) // 2]
    again = turned.turned()
    np.testing.assert_array_equal(again.matches, pair.matches)
    np.testing.assert_array_equal(again.distances, pair.distances)


# Which pair, and which clips for the grid.


def test_the_same_pair_whatever_the_order_of_the_clips():
    clips = make_clips(count=6)
    pairs = align_all(clips)
    expected = choose_pair(pairs)
    random.Random(0).shuffle(clips)
    again = choose_pair(align_all(clips))
    assert (again.reference.name, again.other.name) == (expected.reference.name, expected.other.name)
    assert len(pairs) == 15


def test_the_pair_is_aligned_well_and_out_of_step():
    """Four clips of one action and one of noise: never the noise, and not the two that are in step anyhow."""
    noise = np.random.default_rng(0).normal(size=(90, 3)) * 5
    clips = [make_clip(f"{pace}", length=50, pace=pace) for pace in (1.0, 1.02, 1.6, 2.4)]
    clips.append(ClipSequence("noise", np.arange(90) / 10, np.zeros(90, np.int64), noise))
    pairs = align_all(clips)
    assert len(pairs) == 10
    pair = choose_pair(pairs)
    assert "noise" not in (pair.reference.name, pair.other.name)
    assert {pair.reference.name, pair.other.name} != {"1.0", "1.02"}


def test_the_reference_is_the_longer_clip():
    (pair,) = align_all(list(two_clips())[::-1])
    assert pair.reference.name == "slow.mp4"


def test_at_most_sixteen_clips_are_compared():
    pairs = align_all([make_clip(f"{index:02d}", length=10 + index, pace=1.0) for index in range(30)])
    assert len(pairs) == 16 * 15 // 2


def test_clips_that_cannot_be_aligned_or_shown_are_left_out():
    clips = make_clips(count=4)
    clips[0].values[3] = np.nan
    (pair,) = align_all(clips, playable={clip.name for clip in clips[:3]})
    assert {pair.reference.name, pair.other.name} == {"clip_01.mp4", "clip_02.mp4"}


def test_one_clip_is_no_pair():
    with pytest.raises(VideoError, match=r"takes two clips .* there are 1 of 1: give the test split more clips"):
        align_all(make_clips(count=1))


def test_collapsed_embeddings_still_give_a_pair():
    clips = [ClipSequence(name, np.arange(8) / 10, np.zeros(8, np.int64), np.ones((8, 3))) for name in ("a", "b", "c")]
    pair = choose_pair(align_all(clips))
    assert (pair.reference.name, pair.other.name) == ("a", "b")


def slow_medoid(clips):
    """The clip with the lowest mean cost: every pair by itself."""
    means = {}
    for clip in clips:
        costs = []
        for other in clips:
            if other is not clip:
                longer, shorter = sorted((clip, other), key=lambda one: (-len(one), one.name))
                costs.append(align_pair(longer, shorter).relative_cost)
        means[clip.name] = np.mean(costs)
    return min(means, key=means.get), means


def test_the_reference_of_the_grid_is_the_medoid_whatever_the_order_of_the_clips():
    rng = np.random.default_rng(0)
    clips = [make_clip(f"{k}", length=24 + 6 * k, pace=0.6 + 0.3 * k) for k in range(6)]
    for number, clip in enumerate(clips):
        clip.values[:] += rng.normal(size=clip.values.shape) * (0.05, 0.3, 0.02, 0.2, 0.1, 0.4)[number]
    medoid, means = slow_medoid(clips)
    for _ in range(3):
        grid = choose_grid(align_all(clips))
        assert grid.reference.name == medoid
        assert grid.mean_cost == pytest.approx(means[medoid])
        assert [pair.relative_cost for pair in grid.pairs] == sorted(pair.relative_cost for pair in grid.pairs)
        assert {clip.name for clip in grid.others} == set(means) - {medoid}
        random.Random(1).shuffle(clips)


def test_the_grid_shows_eight_others_with_the_best_and_the_worst():
    rng = np.random.default_rng(0)
    clips = [make_clip(f"{k:02d}", length=30 + k, pace=1.0) for k in range(12)]
    for number, clip in enumerate(clips):
        clip.values[:] += rng.normal(size=clip.values.shape) * 0.02 * (1 + number)
    pairs = align_all(clips)
    grid = choose_grid(pairs)
    costs = [pair.relative_cost for pair in pairs if grid.reference.name in (pair.reference.name, pair.other.name)]
    assert len(grid.pairs) == 8
    assert (grid.pairs[0].relative_cost, grid.pairs[-1].relative_cost) == (min(costs), max(costs))


# The videos.


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


def grid_of(clips, path, *, pixels=PIXELS, **options):
    grid = choose_grid(align_all(clips))
    frames = {clip.name: draw_frames(clip, pixels=pixels) for clip in clips}
    return grid, write_grid_video(path, grid, frames, fps=10.0, pixels=pixels, phases=PHASES, **options)


def tiles_of(picture, columns, rows, pixels=PIXELS):
    """The pictures in the tiles, row by row."""
    tile_height = (len(picture) - GAP) // rows
    return [
        picture[(row + 1) * tile_height - pixels : (row + 1) * tile_height, GAP + column * (pixels + GAP) :][:, :pixels]
        for row in range(rows)
        for column in range(columns)
    ]


@pytest.mark.parametrize(("count", "columns", "rows"), [(2, 2, 1), (3, 3, 1), (4, 2, 2), (6, 3, 2), (12, 3, 3)])
def test_every_tile_is_in_step_with_the_reference(tmp_path, count, columns, rows):
    clips = make_clips(count=count)
    grid, made = grid_of(clips, tmp_path / "a.mp4")
    pictures = read(tmp_path / "a.mp4")
    assert len(pictures) == made.num_frames == len(grid.reference) + 6
    assert pictures[0].shape == (made.height, made.width, 3)
    assert made.width == columns * (PIXELS + GAP) + GAP
    apart = []
    for picture in pictures[:: len(pictures) // 6]:
        reference, *others = (ball_place(tile) for tile in tiles_of(picture, columns, rows)[: 1 + len(grid.others)])
        apart += [abs(place - reference) for place in others]
    assert np.mean(apart) < 2


def test_the_reference_is_framed(tmp_path):
    grid_of(make_clips(count=4), tmp_path / "a.mp4")
    picture = read(tmp_path / "a.mp4")[0].max(axis=2)
    assert picture[len(picture) // 4, GAP - 2] < 60
    assert picture[len(picture) // 4, GAP + PIXELS + GAP - 2] > 200


def test_the_same_grid_has_the_same_bytes(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        grid_of(make_clips(count=4), tmp_path / name)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_even_noise_fits_into_the_bytes_that_are_allowed(tmp_path):
    rng = np.random.default_rng(0)
    clips = make_clips(count=9)
    noise = [cv2.imencode(".jpg", rng.integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes() for _ in range(8)]
    frames = {clip.name: [noise[(3 * k + len(clip)) % 8] for k in range(len(clip))] for clip in clips}
    grid = choose_grid(align_all(clips))
    write_grid_video(tmp_path / "a.mp4", grid, frames, fps=10.0, pixels=PIXELS, max_bytes=10**9)
    free = (tmp_path / "a.mp4").stat().st_size
    write_grid_video(tmp_path / "a.mp4", grid, frames, fps=10.0, pixels=PIXELS, max_bytes=free // 20)
    assert (tmp_path / "a.mp4").stat().st_size <= free // 20
