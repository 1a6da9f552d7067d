"""Numbers that tell a collapsed embedding from one that tells frames apart."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.errors import MetricUndefined
from tcc.evaluation import collapse, kendalls_tau
from tcc.training.collapse import embedding_health
from tests.reference import evaluation as reference
from tests.tcc.evaluation_clips import clip_of, random_clips


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("size", [3, 300])
def test_collapse_matches_the_definitions(distance, size):
    """With 300 dimensions the eigenvalues are those of the products of frames."""
    clips = random_clips(seed=0, count=3, num_phases=5, size=size, noise=1.0)
    result = collapse(clips, frame_stride=2, distance=distance)
    assert result.value == pytest.approx(reference.neighbor_entropy(clips, distance), rel=1e-12)
    assert result.count == 6
    for name, expected in reference.spread(clips).items():
        assert result.details[name] == pytest.approx(expected, rel=1e-6), name
    assert (result.details["undefined_tau_share"], result.details["constant_clips"]) == (0, [])


def test_the_names_that_training_uses_mean_the_same_here():
    values = np.random.default_rng(0).normal(size=(4, 12, 5)) + np.arange(4)[:, None, None]
    clips = [clip_of(str(n), clip, [0] * 12) for n, clip in enumerate(values)]
    result = collapse(clips, frame_stride=1)
    health = embedding_health(values)
    assert result.value == pytest.approx(health.pop("neighbor_entropy"))
    assert health == pytest.approx({name: result.details[name] for name in health})


def test_one_frame_that_is_the_neighbor_of_all_is_a_collapse():
    """From each clip to the other all frames meet one: no entropy, and no order for Kendall's tau."""
    near, far = (clip_of(n, np.arange(s, s + 6.0)[:, None], [0] * 6) for n, s in (("near", 0), ("far", 100)))
    result = collapse([near, far], frame_stride=1)
    assert (result.value, result.details["undefined_tau_share"]) == (0, 1)
    even = collapse([near, clip_of("same", near.values, [0] * 6)], frame_stride=1)
    assert (even.value, even.details["undefined_tau_share"]) == (pytest.approx(1), 0)
    assert even.details["share_within_clips"] == 1


def test_every_neighbor_in_a_longer_clip_is_full_entropy():
    """Three frames meet three of nine, and cannot meet more; the nine meet each of the three as often."""
    nine = np.array([0, 1, 1.9, 3, 4, 5, 7, 8, 9])[:, None]
    clips = [clip_of("short", [[0.0], [4], [8]], [0] * 3), clip_of("long", nine, [0] * 9)]
    assert collapse(clips, frame_stride=1).value == pytest.approx(1)


def test_constant_clips_are_named_and_count_as_collapsed():
    clips = random_clips(seed=0, count=3, num_phases=5)
    still = clip_of("still", np.full_like(clips[0].values, 0.7), clips[0].labels)
    noise = np.nextafter(still.values, np.random.default_rng(0).choice([0, 1], still.values.shape).astype(np.float32))
    hum = clip_of("hum", noise, clips[0].labels)
    result = collapse([*clips, still, hum], frame_stride=2)
    assert result.value == pytest.approx(collapse(clips, frame_stride=2).value * 6 / 20)
    assert result.details["constant_clips"] == ["still", "hum"]
    tau = kendalls_tau([*clips, still, hum], frame_stride=2)
    assert result.details["undefined_tau_share"] == tau.details["undefined_share"] == 14 / 20
    whole = collapse([still, clip_of("other", still.values, still.labels)], frame_stride=2)
    assert (whole.value, whole.count, whole.undefined) == (0, 2, [])
    assert [whole.details[name] for name in ("effective_rank", "embedding_rank", "share_within_clips")] == [None] * 3
    assert whole.details["embedding_spread"] == pytest.approx(0, abs=1e-12)


def test_clips_that_are_not_finite_are_left_out_and_named():
    clips = random_clips(seed=0, count=3, num_phases=5)
    broken = clip_of("broken", np.full((9, 8), np.nan), [0] * 9)
    result = collapse([*clips, broken], frame_stride=2)
    whole = collapse(clips, frame_stride=2)
    assert (result.value, result.count) == (whole.value, 6)
    assert result.undefined == [{"what": "clip broken", "reason": "embeddings that are not finite"}]
    assert result.details["embedding_variance"] == whole.details["embedding_variance"]
    assert result.details["undefined_tau_share"] == 0.5
    with pytest.raises(MetricUndefined, match="collapse: no clip is left: 1 x embeddings that are not finite"):
        collapse([broken], frame_stride=2)


def test_one_clip_has_variance_and_no_neighbors():
    (clip,) = random_clips(seed=0, count=1, num_phases=5)
    for clips in ([clip], [clip, clip_of("single", clip.values[:1], [0])]):
        result = collapse(clips, frame_stride=2)
        assert (result.value, result.count) == (None, 0)
        assert result.undefined[-1] == {"what": "all", "reason": "no two clips with two frames or more are left"}
        assert result.details["effective_rank"] > 1
    assert collapse([clip], frame_stride=2).details["undefined_tau_share"] is None


def test_a_video_of_three_frames():
    clips = random_clips(seed=0, count=2, num_phases=5)
    short = clip_of("short", clips[0].values[[0, 20, 35]], [0, 1, 2])
    result = collapse([*clips, short], frame_stride=5)
    assert (result.count, result.details["undefined_tau_share"]) == (6, 4 / 6)
