"""Errors against the true progress: by loops, by hand, and where the truth is full of holes."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.config import EvaluationConfig
from tcc.errors import MetricUndefined, SettingsError, ShapeError
from tcc.evaluation import alignment, clock_length, evaluate
from tcc.evaluation.alignment import times_of_progress
from tcc.evaluation.matching import draw_pairs, ordered_pairs
from tests.reference import alignment as reference_alignment
from tests.reference import evaluation as reference
from tests.tcc.evaluation_clips import PHASES, clip_of, random_clips

DRAW = {"dtw_pairs": 400, "seed": 0}
ERRORS = ("progress_error", "time_error_seconds", "cycle_error_seconds")


def progress_of(clips, *, holes=False):
    """Progress that stands still at times, from 0 or later to 1 or earlier."""
    truth = {}
    for n, clip in enumerate(clips):
        rng = np.random.default_rng([n, 3])
        steps = rng.random(len(clip)) * (rng.random(len(clip)) < 0.7)
        # In whole hundredths: clips share levels, some of which last.
        truth[clip.name] = np.round(0.02 * n + (0.95 - 0.02 * n) * np.cumsum(steps) / steps.sum(), 2)
        if holes:
            truth[clip.name][rng.random(len(clip)) < 0.3] = np.nan
    return truth


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_alignment_matches_double_loop(distance, holes):
    clips = random_clips(seed=0, count=3, num_phases=5, size=3, noise=1.0)
    truth = progress_of(clips, holes=holes)
    result = alignment(clips, truth=truth, distance=distance, dtw_pairs=5, seed=0)

    def neighbors(i, j):
        own, other = clips[i].values, clips[j].values
        both = (own, other), (other, own)
        return [reference_alignment.nearest_neighbors(*pair, distance) for pair in both]

    def warped(i, j):
        return reference_alignment.first_matches(clips[i].values, clips[j].values, distance)

    everything, drawn = ordered_pairs(3), draw_pairs(3, 5, seed=0)
    for name, pairs, match in (("nearest_neighbor", everything, neighbors), ("dtw", drawn, warped)):
        expected = reference.alignment_errors(clips, truth, pairs, match)
        assert [result.details[name][error] for error in ERRORS] == pytest.approx(expected, rel=1e-12)
        assert (result.details[name]["pairs"], result.details[name]["pairs_in_all"]) == (len(pairs), 6)
        known = {clip.name: int((~np.isnan(truth[clip.name])).sum()) for clip in clips}
        assert result.details[name]["frames"] == sum(known[clips[i].name] for i, _ in pairs)
        assert result.details[name]["frames_whose_progress_is_never_reached"] > 0
        assert (result.details[name]["frames_matched_where_progress_is_unknown"] > 0) is holes
    assert (result.value, result.count) == (result.details["nearest_neighbor"]["progress_error"], 6)
    assert result.value > 0.01


def test_a_perfect_embedding_has_no_error():
    """The embedding is the progress, at another pace in each clip."""
    paces = [np.linspace(0, 1, 21), np.linspace(0, 1, 41), np.linspace(0, 1, 11)]
    clips = [clip_of(str(n), pace[:, None], [0] * len(pace)) for n, pace in enumerate(paces)]
    truth = {str(n): pace for n, pace in enumerate(paces)}
    slow_to_quick = alignment([clips[1], clips[0]], truth=truth, **DRAW).details
    assert slow_to_quick["nearest_neighbor"]["progress_error"] == pytest.approx(0.025 * 20 / 41 / 2)
    same = alignment([clips[0], clip_of("1", clips[0].values, [0] * 21)], truth={"0": paces[0], "1": paces[0]}, **DRAW)
    for name in ("nearest_neighbor", "dtw"):
        assert [same.details[name][error] for error in ERRORS] == pytest.approx([0, 0, 0])


def test_errors_are_in_shares_of_the_action_and_in_seconds():
    """b does the same one second later: a clock matches equal frames, so progress is 0.1 off and time one second."""
    clock = np.arange(100.0)[:, None]
    clips = [clip_of(name, clock, [0] * 100) for name in ("a", "b")]
    early = np.clip(np.arange(100) / 100, 0, 1)
    truth = {"a": early, "b": np.clip(early - 0.1, 0, 1)}
    result = alignment(clips, truth=truth, **DRAW)
    known = result.details["nearest_neighbor"]
    assert known["progress_error"] == pytest.approx((90 * 0.1 + sum(range(10)) / 100) / 100)
    # From a: 0 is reached from 0 to 1 s, so frame 0 is right; 0.01 .. 0.89 are 1 s late; 0.9 and more never come.
    # From b: the eleven frames of 0 belong to a's first, 0 to 1 s away; the others are 1 s early.
    assert known["time_error_seconds"] == pytest.approx((89 / 90 + (5.5 + 89) / 100) / 2)
    assert known["frames_whose_progress_is_never_reached"] == 10
    assert known["cycle_error_seconds"] == 0


def test_times_of_progress():
    times, progress = np.array([0.0, 1, 2, 3, 5]), np.array([0.1, 0.1, 0.3, 0.5, 0.5])
    low, high = times_of_progress(times, progress, np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.5, 0.6]))
    np.testing.assert_allclose(low, [np.nan, 0, 1.5, 2, 2.75, 3, np.nan])
    np.testing.assert_allclose(high, [np.nan, 1, 1.5, 2, 2.75, 5, np.nan])


def test_truth_that_does_not_fit_is_refused():
    clips = random_clips(seed=0, count=2, num_phases=5)
    truth = progress_of(clips)
    for wrong, message in (
        (truth["clip0"][:-1], r"truth: clip clip0: expected \[\d+\], got shape \[\d+\]"),
        (truth["clip0"] + 0.5, r"truth: clip clip0: progress must lie in \[0, 1\] and never fall, got .* a fall of 0"),
        (truth["clip0"][::-1], r"truth: clip clip0: .* never fall, got .* and a fall of 0\.0[0-9]+"),
    ):
        with pytest.raises(ShapeError, match=message):
            alignment(clips, truth={**truth, "clip0": wrong}, **DRAW)
    with pytest.raises(SettingsError, match="dtw_pairs: must be at least 1, got 0"):
        alignment(clips, truth=truth, dtw_pairs=0, seed=0)


def test_clips_without_truth_or_embeddings_are_left_out_and_named():
    clips = random_clips(seed=0, count=5, num_phases=5)
    truth = progress_of(clips)
    broken = clip_of("clip2", np.full_like(clips[2].values, np.nan), clips[2].labels)
    still = clip_of("clip4", np.full_like(clips[4].values, 0.7), clips[4].labels)
    changed = [*clips[:2], broken, clips[3], still]
    del truth["clip3"]
    result = alignment(changed, truth=truth, **DRAW)
    assert result.undefined == [
        {"what": "clip clip2", "reason": "embeddings that are not finite"},
        {"what": "clip clip4", "reason": "constant embedding"},
        {"what": "clip clip3", "reason": "true progress is not known"},
    ]
    assert result.count == 2
    assert result.value == alignment(clips[:2], truth=truth, **DRAW).value
    with pytest.raises(MetricUndefined, match=r"alignment: no ordered pair of clips \(of 5 clips\) is left: 5 x true"):
        alignment(clips, truth={}, **DRAW)
    unknown = {clip.name: np.full(len(clip), np.nan) for clip in clips}
    with pytest.raises(MetricUndefined, match="5 x true progress is not known"):
        alignment(clips, truth=unknown, **DRAW)
    with pytest.raises(MetricUndefined, match=r"of 1 clips\) is left"):
        alignment(clips[:1], truth=truth, **DRAW)


def test_a_video_of_three_frames_and_one_of_a_single_frame():
    clips = random_clips(seed=0, count=2, num_phases=5)
    short = clip_of("short", clips[0].values[[0, 20, 35]], [0, 1, 2])
    single = clip_of("single", clips[0].values[:1], [0])
    truth = {**progress_of(clips), "short": np.array([0.0, 0.4, 1.0]), "single": np.array([0.5])}
    result = alignment([*clips, short, single], truth=truth, **DRAW)
    assert result.count == 6
    assert result.undefined == [{"what": "clip single", "reason": "one frame only"}]


def test_evaluate_measures_alignment_for_model_and_baselines_where_the_truth_is_given():
    clips = random_clips(seed=0, count=3, num_phases=5)
    config, truth = EvaluationConfig(few_shot_videos=(1,), few_shot_episodes=1, dtw_pairs=2), progress_of(clips)
    baselines = {"clock": (clock_length(clips), clock_length(clips))}
    settings = {"phases": PHASES, "split": "test", "config": config, "baselines": baselines}
    keys = []

    def recall(depends_on, measure):
        keys.append((depends_on["metric"], str(depends_on)))
        return measure()

    known = evaluate(clips, clips, truth=truth, recall=recall, **settings)["alignment"]
    assert known["value"] == alignment(clips, truth=truth, dtw_pairs=2, seed=0).value
    clock = alignment(clock_length(clips), truth=truth, dtw_pairs=2, seed=0)
    assert known["baselines"]["clock"]["value"] == clock.value
    assert known["details"]["dtw"]["pairs"] == known["baselines"]["clock"]["details"]["dtw"]["pairs"] == 2
    before, keys = keys, []
    evaluate(clips, clips, truth={**truth, "clip0": truth["clip0"] / 2}, recall=recall, **settings)
    assert {name for (name, one), (_, other) in zip(before, keys) if one != other} == {"alignment"}
    for missing in (None, {}):
        skipped = evaluate(clips, clips, truth=missing, **settings)["alignment"]
        assert (skipped["value"], skipped["undefined"]) == (
            None,
            [{"what": "all", "reason": "skipped: true progress is not known"}],
        )
