"""Clips that a metric has no value for: each has a reason, none a silent number."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tcc.config import METRIC_SETTINGS, EvaluationConfig
from tcc.errors import MetricUndefined
from tcc.evaluation import (
    MetricResult,
    alignment,
    boundary_transfer,
    collapse,
    evaluate,
    few_shot_classification,
    kendalls_tau,
    linear_classification,
    phase_agreement,
    phase_classification,
    phase_progression,
    retrieval,
)
from tcc.evaluation.clips import phase_boundary, phase_runs
from tcc.evaluation.result import nothing_left
from tests.tcc.evaluation_clips import PHASES, TRIMS, clip_of, random_clips

FRACTIONS = {"phases": PHASES, "train_fractions": (0.5, 1.0)}
FEW_SHOT = {"phases": PHASES, "num_videos": (1, 2), "num_episodes": 4, "seed": 0}
ON_TRAINING = (
    (phase_classification, FRACTIONS),
    (linear_classification, FRACTIONS),
    (phase_progression, FRACTIONS),
    (few_shot_classification, FEW_SHOT),
)
TRUTH = {clip.name: np.linspace(0, 1, len(clip)) for clip in random_clips(seed=0, count=4, num_phases=5)}
ACROSS = (
    (alignment, {"truth": TRUTH, "dtw_pairs": 400, "seed": 0}),
    (kendalls_tau, {"frame_stride": 2}),
    (retrieval, {"phases": PHASES, "num_frames": (5,)}),
    (phase_agreement, {"phases": PHASES, **TRIMS}),
    (boundary_transfer, {"phases": PHASES, **TRIMS}),
)


@pytest.fixture
def clips():
    return random_clips(seed=0, count=4, num_phases=5)


def with_values(clip, values):
    return clip_of(clip.name, values, clip.labels)


def with_labels(clip, labels):
    return clip_of(clip.name, clip.values, np.broadcast_to(labels, len(clip)))


def broken(clip):
    return with_values(clip, np.where(np.arange(len(clip))[:, None] == 3, np.nan, clip.values))


def constant(clip):
    return with_values(clip, np.full_like(clip.values, 0.7))


@pytest.mark.parametrize(("metric", "settings"), ON_TRAINING)
def test_a_clip_that_is_not_finite_is_left_out_and_named(metric, settings, clips):
    result = metric([broken(clips[0]), *clips[1:]], [*clips[:3], broken(clips[3])], **settings)
    reason = "embeddings that are not finite"
    assert {"what": "training clip clip0", "reason": reason} in result.undefined
    assert {"what": "test clip clip3", "reason": reason} in result.undefined
    assert result.value == metric(clips[1:], clips[:3], **settings).value


@pytest.mark.parametrize(("metric", "settings"), ACROSS)
def test_a_clip_that_is_not_finite_leaves_the_others(metric, settings, clips):
    result = metric([*clips[:3], broken(clips[3])], **settings)
    assert result.value == metric(clips[:3], **settings).value
    assert any("clip3" in entry["what"] and "not finite" in entry["reason"] for entry in result.undefined)


@pytest.mark.parametrize(("metric", "settings"), ON_TRAINING)
def test_no_finite_clip(metric, settings, clips):
    bad = [broken(clip) for clip in clips]
    with pytest.raises(MetricUndefined, match=r"no training clip is left: 4 x embeddings that are not finite"):
        metric(bad, clips, **settings)
    with pytest.raises(MetricUndefined, match=r"no test clip is left: 4 x embeddings that are not finite"):
        metric(clips, bad, **settings)
    with pytest.raises(MetricUndefined, match=r"no training clip is left$"):
        metric([], clips, **settings)


@pytest.mark.parametrize(("metric", "settings"), ACROSS)
def test_one_clip_has_nothing_to_be_compared_with(metric, settings, clips):
    with pytest.raises(MetricUndefined, match=r"1 (of 1 )?clips.* is left|of 1 clips have is left"):
        metric(clips[:1], **settings)


@pytest.mark.parametrize(("metric", "settings"), ON_TRAINING)
def test_constant_training_embeddings(metric, settings, clips):
    with pytest.raises(MetricUndefined, match="constant embedding"):
        metric([constant(clip) for clip in clips], clips, **settings)


@pytest.mark.parametrize(("metric", "settings"), ACROSS)
def test_constant_embeddings(metric, settings, clips):
    with pytest.raises(MetricUndefined, match="constant embedding"):
        metric([constant(clip) for clip in clips], **settings)


@pytest.fixture
def collapsed(clips):
    """A collapsed network's outputs differ in the last digit of float32, from batch to batch."""
    rng = np.random.default_rng(0)
    towards = [rng.choice([0, 1], clip.values.shape).astype(np.float32) for clip in clips]
    return [with_values(c, np.nextafter(np.full_like(c.values, 0.7), t)) for c, t in zip(clips, towards)]


@pytest.mark.parametrize(("metric", "settings"), ACROSS)
def test_float_noise_on_a_constant_is_constant(metric, settings, collapsed):
    assert len(np.unique(collapsed[0].values)) == 2
    with pytest.raises(MetricUndefined, match="constant embedding"):
        metric(collapsed, **settings)


@pytest.mark.parametrize(("metric", "settings"), ON_TRAINING)
def test_float_noise_on_constant_training_embeddings_is_constant(metric, settings, collapsed, clips):
    with pytest.raises(MetricUndefined, match="constant embedding"):
        metric(collapsed, clips, **settings)


def test_a_constant_clip_costs_its_pairs(clips):
    result = kendalls_tau([*clips[:3], constant(clips[3])], frame_stride=2)
    assert (result.count, len(result.undefined)) == (6, 6)
    assert {"what": "pair clip3 -> clip0", "reason": "constant embedding (clip3)"} in result.undefined
    assert {"what": "pair clip0 -> clip3", "reason": "constant embedding (clip3)"} in result.undefined
    assert result.details["undefined_share"] == 0.5
    assert result.value == kendalls_tau(clips[:3], frame_stride=2).value


def test_a_pair_whose_frames_all_have_one_neighbor():
    """All of `far` is nearest to the last frame of `near`: no order in that direction; the other way round as well."""
    near, far = (clip_of(n, np.arange(s, s + 6.0)[:, None], [0] * 6) for n, s in (("near", 0), ("far", 100)))
    with pytest.raises(MetricUndefined, match="2 x all frames have the same nearest neighbor"):
        kendalls_tau([near, far], frame_stride=1)


def test_a_video_of_three_frames(clips):
    short = clip_of("short", clips[0].values[[0, 20, 35]], [0, 1, 2])
    result = kendalls_tau([*clips, short], frame_stride=5)
    assert {"what": "pair clip0 -> short", "reason": "fewer than two frames at this stride (short)"} in result.undefined
    assert (result.count, len(result.undefined)) == (12, 8)
    assert kendalls_tau([*clips, short], frame_stride=2).count == 20  # two frames have an order
    assert phase_agreement([*clips, short], phases=PHASES, **TRIMS).count == 20
    assert retrieval([*clips, short], phases=PHASES, num_frames=(5,)).count == sum(map(len, clips)) + 3
    undefined = boundary_transfer([*clips, short], phases=PHASES, **TRIMS).undefined
    assert {"what": "clip short, boundary put -> leave", "reason": "phase 'put' is missing"} in undefined
    progression = phase_progression(clips, [*clips, short], **FRACTIONS)
    assert {"what": "test clip short", "reason": "phase 'put' is missing"} in progression.undefined
    for metric in (phase_classification, linear_classification):
        assert metric(clips, [short], **FRACTIONS).count == 3


def test_a_clip_of_one_frame_or_none(clips):
    single, empty = clip_of("single", clips[0].values[:1], [0]), clip_of("empty", clips[0].values[:0], [])
    result = phase_agreement([*clips, single, empty], phases=PHASES, **TRIMS)
    assert {"what": "clip single", "reason": "one frame only"} in result.undefined
    assert {"what": "clip empty", "reason": "no frames"} in result.undefined
    assert kendalls_tau([*clips, single, empty], frame_stride=1).count == 12
    for metric, settings in ON_TRAINING:
        assert {"what": "training clip empty", "reason": "no frames"} in metric(
            [*clips, empty], clips, **settings
        ).undefined


def test_a_single_phase_in_training(clips):
    one = [with_labels(clip, 2) for clip in clips]
    for metric in (phase_classification, linear_classification):
        reason = f"{metric.__name__}: no fraction is left: 2 x the training clips hold a"
        with pytest.raises(MetricUndefined, match=reason):
            metric(one, clips, **FRACTIONS)
    with pytest.raises(MetricUndefined, match="few_shot_classification: no number of videos is left: 8 x the training"):
        few_shot_classification(one, clips, **FEW_SHOT)
    with pytest.raises(
        MetricUndefined, match="phase_progression: no training clip is left: 4 x phase 'reach' is missing"
    ):
        phase_progression(one, clips, **FRACTIONS)


def test_a_single_phase_in_the_first_clips_only(clips):
    mixed = [with_labels(clips[0], 2), with_labels(clips[1], 2), *clips[2:]]
    for metric in (phase_classification, linear_classification):
        result = metric(mixed, clips, **FRACTIONS)
        assert {"what": "fraction 0.5", "reason": "the training clips hold a single phase"} in result.undefined
        assert result.details["fractions"][0]["value"] is None
        assert result.value == result.details["fractions"][1]["value"] > 0.5
    few = few_shot_classification(mixed, clips, **FEW_SHOT)
    lost = [entry for entry in few.undefined if entry["what"].startswith("1 labelled videos, episode")]
    assert few.details["videos"][0]["episodes"] == 4 - len(lost) < 4


def test_a_single_phase_in_all(clips):
    one = [clip_of(clip.name, clip.values, [0] * len(clip)) for clip in clips]
    for metric in (phase_progression, phase_classification, linear_classification):
        with pytest.raises(MetricUndefined, match=r"single phase|it takes two phases, there are 1"):
            metric(one, one, phases=PHASES[:1], train_fractions=(1.0,))
    with pytest.raises(MetricUndefined, match=r"boundary .it takes two phases, there are 1. is left"):
        boundary_transfer(one, phases=PHASES[:1], **TRIMS)
    assert phase_agreement(one, phases=PHASES[:1], **TRIMS).value == 1.0
    result = retrieval(one, phases=PHASES[:1], num_frames=(5,))
    assert (result.value, result.details["chance"]) == (1.0, 1.0)


@pytest.mark.parametrize("metric", [phase_classification, linear_classification])
def test_a_phase_that_training_lacks_counts_as_wrong_and_is_named(metric, clips):
    lacking = [clip_of(c.name, c.values[c.labels < 4], c.labels[c.labels < 4]) for c in clips]
    result = metric(lacking, clips, **FRACTIONS)
    assert result.details["phases_without_training_frame"] == ["leave"]
    assert result.details["phases_without_test_frame"] == []
    assert np.array(result.details["confusion"])[:, 4].tolist() == [0] * 5
    other_way = metric(clips, lacking, **FRACTIONS)
    assert other_way.details["phases_without_test_frame"] == ["leave"]


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ([0, 0, 1, 1, 3, 3], "phase 'pour' is missing"),
        ([0, 1, 0, 2, 3, 3], "phase 'reach' is repeated"),
        ([0, 2, 1, 1, 3, 3], "phase 'lift' does not follow 'reach'"),
        ([0, 0, 1, 1, 2, 2], "phase 'put' is missing"),
        ([-1] * 6, "no labelled frame"),
    ],
)
def test_a_clip_without_all_phases_in_order_has_no_progression(labels, reason):
    clips = random_clips(seed=0, count=3, num_phases=4)
    odd = clip_of("odd", clips[0].values[:6], labels)
    settings = {"phases": PHASES[:4], "train_fractions": (1.0,)}
    result = phase_progression([*clips, odd], [*clips, odd], **settings)
    assert result.undefined == [{"what": f"{where} clip odd", "reason": reason} for where in ("training", "test")]
    assert result.value == phase_progression(clips, clips, **settings).value
    with pytest.raises(MetricUndefined, match="phase_progression: no test clip is left: 1 x "):
        phase_progression(clips, [odd], **settings)


def test_unlabelled_frames_neither_end_nor_repeat_a_phase():
    runs = phase_runs(np.array([-1, 0, 0, -1, 0, -1, 1, 1, -1]))
    assert runs == [(0, 1, 4), (1, 6, 7)]
    assert phase_boundary(runs, 0, PHASES) == (4, 6)
    assert phase_runs(np.array([-1, -1])) == []


def test_more_videos_than_clips(clips):
    result = few_shot_classification(clips, clips, **{**FEW_SHOT, "num_videos": (1, 4, 5)})
    assert result.undefined == [{"what": "5 labelled videos", "reason": "there are only 4 usable training clips"}]
    assert result.details["value_at_videos"] == 4
    assert [entry["value"] is None for entry in result.details["videos"]] == [False, False, True]
    with pytest.raises(
        MetricUndefined, match="no number of videos is left: 1 x there are only 4 usable training clips"
    ):
        few_shot_classification(clips, clips, **{**FEW_SHOT, "num_videos": (5,)})


def test_more_frames_than_can_be_retrieved(clips):
    short = [clip_of(f"{n}", clips[n].values[:3], [0, 1, 2]) for n in (0, 1)]
    result = retrieval([*short, clips[2]], phases=PHASES, num_frames=(9, 6, 7))
    reason = "a query has only 6 labelled frames in other clips"
    assert result.undefined == [{"what": f"{k} frames", "reason": reason} for k in (7, 9)]
    assert [entry["value"] is None for entry in result.details["retrieved"]] == [False, True, True]
    assert result.details["value_at_frames"] == 6
    with pytest.raises(MetricUndefined, match=f"retrieval: no number of frames is left: 1 x {reason}"):
        retrieval([*short, clips[2]], phases=PHASES, num_frames=(7,))


def test_a_phase_that_no_other_clip_has_is_never_retrieved(clips):
    lacking = [clip_of(c.name, c.values[c.labels < 4], c.labels[c.labels < 4]) for c in clips[1:]]
    result = retrieval([clips[0], *lacking], phases=PHASES, num_frames=(5,))
    assert result.details["clips"][0]["value"] <= np.mean(clips[0].labels < 4)


def test_one_episode_has_no_interval(clips):
    result = few_shot_classification(clips, clips, **{**FEW_SHOT, "num_episodes": 1})
    assert (result.interval, result.interval_over) == (None, "")
    assert result.value is not None


def test_a_zero_embedding_has_no_cosine(clips):
    zero = with_values(clips[0], np.where(np.arange(len(clips[0]))[:, None] == 2, 0, clips[0].values))
    result = kendalls_tau([zero, *clips[1:]], frame_stride=2, distance="cosine")
    assert "embeddings of length zero, which have no cosine distance (clip0)" in {e["reason"] for e in result.undefined}
    assert result.count == 6
    assert kendalls_tau([zero, *clips[1:]], frame_stride=2).count == 12


def test_a_clip_with_a_zero_embedding_is_left_out_where_frames_are_compared_by_cosine(clips):
    zero = with_values(clips[0], np.where(np.arange(len(clips[0]))[:, None] == 2, 0, clips[0].values))
    left = {"what": "clip clip0", "reason": "embeddings of length zero, which have no cosine distance"}
    for metric, settings in (*ACROSS, (collapse, {"frame_stride": 2})):
        if metric is not kendalls_tau:
            result = metric([zero, *clips[1:]], distance="cosine", **settings)
            assert left in result.undefined
            assert result.value == metric(clips[1:], distance="cosine", **settings).value
            assert left in result.details.get("dtw", {}).get("undefined", [left])


def test_clips_without_labels_are_left_out_where_labels_are_needed(clips):
    bare = with_labels(clips[3], -1)
    for metric, settings in ACROSS:
        result = metric([*clips[:3], bare], **settings)
        needs_labels = metric not in (alignment, kendalls_tau)
        assert ({"what": "clip clip3", "reason": "no labelled frame"} in result.undefined) is needs_labels
        assert (result.value == metric(clips[:3], **settings).value) is needs_labels
    agreement = phase_agreement([*clips[:3], bare], phases=PHASES, **TRIMS).details["dtw"]
    assert (agreement["count"], len(agreement["undefined"])) == (6, 6)
    assert {"what": "pair clip0 -> clip3", "reason": "no labelled frame meets another"} in agreement["undefined"]


def test_trims_that_leave_no_boundary_are_said_so(clips):
    result = boundary_transfer(clips, phases=PHASES, **{**TRIMS, "trim_start_seconds": 100.0})
    assert result.value is not None
    assert result.details["trimmed"]["value"] is None
    assert result.details["trimmed"]["undefined"]


def test_trims_that_leave_no_label_are_said_so():
    clips = [
        clip_of(c.name, c.values, np.where(np.arange(len(c)) < 3, 0, -1))
        for c in random_clips(seed=0, count=2, num_phases=2)
    ]
    trimmed = phase_agreement(clips, phases=PHASES[:2], **{**TRIMS, "trim_start_seconds": 1e4}).details["trimmed"]
    assert (trimmed["value"], trimmed["count"]) == (None, 0)
    assert "2 x no labelled frame" in trimmed["undefined"][0]["reason"]


def test_results_are_json_without_nan():
    result = MetricResult(
        "m", "p v1", "val", np.float32(0.5), 3, details={"a": np.array([1, np.nan]), "b": (np.int64(2),)}
    )
    assert json.loads(json.dumps(result.as_dict(), allow_nan=False)) == {
        "metric": "m",
        "protocol": "p v1",
        "split": "val",
        "value": 0.5,
        "interval": None,
        "interval_over": "",
        "count": 3,
        "undefined": [],
        "details": {"a": [1.0, None], "b": [2]},
    }


def test_an_error_counts_its_reasons_the_commonest_first():
    undefined = [{"what": str(n), "reason": reason} for n, reason in enumerate("abbbccdde")]
    assert str(nothing_left("tau", "pair", undefined)) == (
        "tau: no pair is left: 3 x b; 2 x c; 2 x d; and 2 other reasons"
    )


def test_evaluate_without_labels(clips):
    unlabelled = [with_labels(clip, -1) for clip in clips]
    config = EvaluationConfig(few_shot_videos=(1,), few_shot_episodes=2)
    baselines = {"same": (unlabelled, unlabelled)}
    for phases, given in ((PHASES, unlabelled), ((), clips), ((), unlabelled)):
        results = evaluate(given, given, phases=phases, split="test", config=config, baselines=baselines)
        tau = results.pop("kendalls_tau")
        assert results.pop("collapse")["value"] > 0
        assert results.pop("alignment")["undefined"][0]["reason"] == "skipped: true progress is not known"
        assert tau["value"] == tau["baselines"]["same"]["value"] == kendalls_tau(clips, frame_stride=2).value
        assert len(results) == len(METRIC_SETTINGS) - 3
        for result in results.values():
            for entry in (result, result["baselines"]["same"]):
                assert (entry["value"], entry["count"]) == (None, 0)
                assert entry["undefined"] == [{"what": "all", "reason": "skipped: no labels"}]
