"""Each metric against the slow loops and the reference's numbers."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

from tcc.errors import MetricUndefined, SettingsError, ShapeError
from tcc.evaluation import (
    boundary_transfer,
    draw_episodes,
    few_shot_classification,
    kendalls_tau,
    linear_classification,
    pairwise_taus,
    phase_agreement,
    phase_classification,
    phase_progression,
    retrieval,
    support_vectors,
    trim_clips,
)
from tcc.evaluation.kendalls_tau import taus_of_neighbors
from tcc.evaluation.linear_classification import fit_linear
from tcc.evaluation.phase_progression import least_squares, progression_targets
from tcc.evaluation.result import mean_interval
from tcc.sequences import ClipSequence
from tests.golden import golden_path
from tests.reference import evaluation as reference
from tests.tcc.evaluation_clips import PHASES, TRIMS, clip_of, random_clips

FRACTIONS = (0.1, 0.5, 1.0)


@pytest.fixture(scope="module")
def golden():
    """Training and validation clips of the reference's evaluation, and its numbers."""
    arrays = np.load(golden_path("evaluation.npz"))
    numbers = json.loads(golden_path("evaluation.json").read_text())

    def clips(split, count):
        names = [f"{split}_{index:02d}" for index in range(count)]
        return [clip_of(name, arrays[f"{name}_embs"], arrays[f"{name}_labels"]) for name in names]

    return clips("train", 12), clips("val", 6), numbers


def test_phase_classification_as_the_reference(golden):
    train, val, numbers = golden
    result = phase_classification(train, val, phases=PHASES, train_fractions=FRACTIONS, split="val")
    two_frames = 2 / 269 + 1e-9
    for entry in result.details["fractions"]:
        for name, value in (("train", entry["train_value"]), ("val", entry["value"])):
            expected = numbers["classification"][f"classification/{name}_pouring_{entry['fraction']}_accuracy"]
            assert value == pytest.approx(expected, abs=two_frames)
    assert [entry["train_clips"] for entry in result.details["fractions"]] == [1, 6, 12]
    assert (result.value, result.count, result.undefined) == (result.details["fractions"][-1]["value"], 269, [])


def test_few_shot_classification_as_the_reference(golden):
    train, val, numbers = golden
    episodes = {int(k): drawn for k, drawn in numbers["few_shot_episodes"].items()}
    settings = {"phases": PHASES, "num_videos": range(1, 6), "num_episodes": 50, "seed": 0, "split": "val"}
    result = few_shot_classification(train, val, episodes=episodes, **settings)
    expected = numbers["few_shot"]
    for entry in result.details["videos"]:
        name = f"pouring_{entry['num_videos']}"
        low, high = entry["interval_95"]
        assert entry["value"] == pytest.approx(expected[f"few_shot_cxn/val_{name}_accuracy"], abs=2 / 269)
        assert entry["train_value"] == pytest.approx(expected[f"few_shot_cxn/train_{name}_accuracy"], abs=1e-3)
        assert (high - low) / 2 == pytest.approx(expected[f"few_shot_cxn/val_{name}_ci"], abs=1e-3)
    assert (result.value, result.count) == (result.details["videos"][-1]["value"], 50)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
@pytest.mark.parametrize("frame_stride", [2, 5])
def test_kendalls_tau_as_the_reference(golden, distance, frame_stride):
    train, val, numbers = golden
    expected = numbers[f"kendalls_tau_{distance}_stride{frame_stride}"]
    for split, clips in (("train", train), ("val", val)):
        result = kendalls_tau(clips, frame_stride=frame_stride, distance=distance)
        assert result.value == pytest.approx(expected[f"kendalls_tau/pouring_{split}_align_tau"], abs=1e-9)
        assert result.count == len(clips) * (len(clips) - 1)


def test_phase_progression_as_the_reference(golden):
    train, val, numbers = golden
    result = phase_progression(train, val, phases=PHASES, train_fractions=FRACTIONS, split="val")
    for entry in result.details["fractions"]:
        for name, value in (("train", entry["train_value"]), ("val", entry["value"])):
            expected = numbers["event_completion"][f"event_completion/{name}_pouring_{entry['fraction']}_score"]
            assert value == pytest.approx(expected, abs=1e-4)


def test_progression_targets_as_the_reference(golden):
    arrays = np.load(golden_path("evaluation.npz"))
    for index, clip in enumerate(golden[1][:3]):
        expected = arrays[f"regression_labels_val_{index:02d}"]
        np.testing.assert_allclose(progression_targets(clip.labels, 5), expected, atol=1e-12)


@pytest.mark.parametrize("num_phases", [2, 5])
def test_phase_classification_matches_scikit_learns_own_predictions(num_phases):
    phases = PHASES[:num_phases]
    train, test = (random_clips(seed=seed, count=5, num_phases=num_phases, noise=2.0) for seed in (0, 1))
    result = phase_classification(train, test, phases=phases, train_fractions=(0.5, 1.0))
    for entry, num_clips in zip(result.details["fractions"], (2, 5)):
        assert (entry["train_value"], entry["value"]) == pytest.approx(reference.svm_accuracy(train[:num_clips], test))
    confusion = np.array(result.details["confusion"])
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result.value)
    assert confusion.sum(axis=1).tolist() == [sum((c.labels == k).sum() for c in test) for k in range(num_phases)]


@pytest.mark.parametrize(("num_phases", "size"), [(2, 8), (5, 8), (5, 1), (4, 400)])
def test_linear_classification_matches_plain_descent(num_phases, size):
    """With 400 dimensions there are fewer training frames than dimensions, and the fit is on coordinates in their span."""
    phases = PHASES[:num_phases]
    train, test = (random_clips(seed=seed, count=3, num_phases=num_phases, size=size, noise=2) for seed in (0, 1))
    result = linear_classification(train, test, phases=phases, train_fractions=(0.4, 1.0))
    for entry, num_clips in zip(result.details["fractions"], (1, 3)):
        assert entry["converged"] is True
        predicted, expected = reference.logistic_predictions(train[:num_clips], test), reference.joined(test)[1]
        allowed = 1.01 / len(expected)  # one frame on the boundary of two phases
        assert entry["value"] == pytest.approx(np.mean(predicted == expected), abs=allowed)
        shares = [np.mean(predicted[expected == phase] == phase) for phase in range(num_phases)]
        assert entry["balanced_value"] == pytest.approx(np.mean(shares), abs=allowed)
    assert result.value == result.details["fractions"][-1]["value"]
    assert result.details["balanced_value"] == result.details["fractions"][-1]["balanced_value"]
    confusion = np.array(result.details["confusion"])
    assert np.trace(confusion) / confusion.sum() == pytest.approx(result.value)
    assert result.details["balanced_value"] == pytest.approx(np.mean(np.diag(confusion) / confusion.sum(axis=1)))


@pytest.mark.parametrize("copies", [1, 2])
def test_weights_of_many_dimensions_are_those_of_the_whole_problem(copies):
    """At the minimum the gradient of all D weights vanishes; frames that are there twice make the products singular."""
    rng = np.random.default_rng(0)
    frames, labels = np.tile(rng.normal(size=(30, 80)), (copies, 1)), np.tile(np.arange(30) % 3, copies)
    fitted = fit_linear(frames, labels)
    assert (fitted.weights.shape, fitted.converged) == ((80, 3), True)
    gradient = reference.logistic_gradient(fitted.weights, fitted.offsets, frames, labels)
    assert np.abs(gradient).max() < 1e-4 * len(frames) * np.sqrt(len(frames))


def test_linear_classification_asks_neither_for_size_nor_place_nor_for_a_constant_dimension():
    train, test = (random_clips(seed=seed, count=3, num_phases=4, noise=2) for seed in (0, 1))
    settings = {"phases": PHASES[:4], "train_fractions": (1.0,)}
    changed = [
        [clip_of(c.name, np.c_[c.values * [1e3, *[1] * 6, 1e-3] + 5, [0.1] * len(c)], c.labels) for c in clips]
        for clips in (train, test)
    ]
    value = linear_classification(train, test, **settings).value
    assert linear_classification(*changed, **settings).value == pytest.approx(value, abs=0.01)


def test_a_solver_that_runs_out_of_iterations_says_so(monkeypatch):
    clips = random_clips(seed=0, count=3, num_phases=4, noise=2)
    monkeypatch.setattr(importlib.import_module("tcc.evaluation.linear_classification"), "MAX_ITERATIONS", 2)
    (entry,) = linear_classification(clips, clips, phases=PHASES[:4], train_fractions=(1.0,)).details["fractions"]
    assert (entry["iterations"], entry["converged"]) == (2, False)


@pytest.mark.parametrize(
    "limits", [{"SMALL_SIZE": 0}, {"MAX_KERNEL_FRAMES": 0}, {"SMALL_SIZE": 0, "MAX_TABLE_BYTES": 0}]
)
def test_phase_classification_is_the_same_however_kernels_are_had(monkeypatch, limits):
    train, test = (random_clips(seed=seed, count=4, num_phases=5, noise=2.0) for seed in (0, 1))
    settings = {"phases": PHASES, "train_fractions": (0.5, 1.0)}
    whole = phase_classification(train, test, **settings)
    for name, value in limits.items():
        monkeypatch.setattr(support_vectors, name, value)
    monkeypatch.setattr(support_vectors, "_BLOCK_ELEMENTS", 1000)
    assert phase_classification(train, test, **settings).as_dict() == whole.as_dict()


def test_few_shot_classification_is_the_mean_over_episodes():
    train, test = (random_clips(seed=seed, count=6, num_phases=5, noise=2.0) for seed in (0, 1))
    settings = {"phases": PHASES, "num_videos": (2,), "num_episodes": 4, "seed": 3}
    result = few_shot_classification(train, test, **settings)
    episodes = draw_episodes(6, 2, 4, seed=3)
    accuracies = [reference.svm_accuracy([train[clip] for clip in episode], test)[1] for episode in episodes]
    assert result.value == pytest.approx(np.mean(accuracies))
    assert result.interval == pytest.approx(mean_interval(accuracies))
    assert result.interval_over == "episodes"
    assert len({tuple(episode) for episode in episodes}) > 1


@pytest.mark.parametrize("num_threads", [1, 3])
def test_few_shot_classification_does_not_depend_on_threads(num_threads):
    train, test = (random_clips(seed=seed, count=6, num_phases=5, noise=2.0) for seed in (0, 1))
    settings = {"phases": PHASES, "num_videos": (1, 3), "num_episodes": 5, "seed": 3}
    expected = few_shot_classification(train, test, num_threads=2, **settings).as_dict()
    assert few_shot_classification(train, test, num_threads=num_threads, **settings).as_dict() == expected


def test_few_shot_classification_tells_how_far_it_is():
    clips, told = random_clips(seed=0, count=4, num_phases=5), []
    settings = {"phases": PHASES, "num_videos": (1,), "num_episodes": 9, "seed": 0}
    few_shot_classification(clips, clips, progress=lambda fraction, status: told.append(fraction), **settings)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_interval_of_a_mean():
    """t(0.975, 3) = 3.18245; 1, 2, 3, 4 has s = 1.29099, so the half width is 3.18245 * 1.29099 / 2 = 2.05426."""
    assert mean_interval([1, 2, 3, 4]) == pytest.approx([2.5 - 2.05426, 2.5 + 2.05426], abs=1e-5)
    assert mean_interval([1]) is None


def test_draws_differ_between_numbers_of_videos_and_seeds():
    draws = {str(draw_episodes(9, k, 5, seed=seed)) for k in (3, 4) for seed in (0, 1)}
    assert len(draws) == 4
    fewer, more = draw_episodes(9, 3, 5, seed=0), draw_episodes(9, 4, 5, seed=0)
    assert not all(set(three) < set(four) for three, four in zip(fewer, more))
    assert draw_episodes(9, 3, 5, seed=0) == draw_episodes(9, 3, 5, seed=0)
    assert all(len(set(episode)) == 3 and max(episode) < 9 for episode in draw_episodes(9, 3, 50, seed=0))


@pytest.mark.parametrize("size", [3, 40, 300])
def test_phase_progression_matches_ordinary_regression(size):
    """D = 3 and 40 are determined by the frames, 300 leaves the weights open: the smallest are taken."""
    train, test = (random_clips(seed=seed, count=4, num_phases=4, size=size, noise=0.5) for seed in (0, 1))
    result = phase_progression(train, test, phases=PHASES[:4], train_fractions=(1.0,))
    expected = reference.progression_scores(train, test, 4)
    assert [event["value"] for event in result.details["key_events"]] == pytest.approx(expected, abs=1e-6)
    assert result.value == pytest.approx(np.mean(expected), abs=1e-6)
    assert result.details["key_events"][0]["key_event"] == "reach -> lift"


def test_repeated_columns_share_their_weight():
    """With x given twice every split of the weight fits; the smallest weights are equal halves."""
    rng = np.random.default_rng(0)
    column, targets = rng.normal(size=(50, 1)), rng.normal(size=(50, 2))
    single, offsets = least_squares(column, targets)
    double, same_offsets = least_squares(np.repeat(column, 2, axis=1), targets)
    np.testing.assert_allclose(double, np.repeat(single, 2, axis=0) / 2, rtol=1e-9)
    np.testing.assert_allclose(same_offsets, offsets, rtol=1e-9)


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_kendalls_tau_matches_double_loop(distance):
    clips = random_clips(seed=0, count=4, num_phases=5, size=3, noise=1.0)
    result = kendalls_tau(clips, frame_stride=3, distance=distance)
    assert result.value == pytest.approx(reference.mean_tau(clips, 3, distance), rel=1e-12)
    assert result.details["stride_seconds"] == pytest.approx(0.3)


def test_taus_of_many_frames_are_those_of_few(monkeypatch):
    neighbors = np.random.default_rng(0).integers(0, 9, size=(5, 30))
    neighbors[3] = 4
    expected = [np.nan if row is None else row for row in map(reference.tau_b, neighbors.tolist())]
    np.testing.assert_allclose(taus_of_neighbors(neighbors), expected, rtol=1e-12)
    module = importlib.import_module("tcc.evaluation.kendalls_tau")  # the package has the function of this name
    monkeypatch.setattr(module, "_BLOCK_ELEMENTS", 500)
    np.testing.assert_allclose(taus_of_neighbors(neighbors), expected, rtol=1e-12)
    monkeypatch.setattr(module, "_LONGEST_BY_SIGNS", 10)
    np.testing.assert_allclose(taus_of_neighbors(neighbors), expected, rtol=1e-12)


def test_a_clip_that_runs_backwards_is_named():
    """Two clips forwards, one backwards: of six pairs the two forwards have tau 1, four have -1; the mean is -1/3."""
    ramps = [clip_of(name, np.linspace(0, 1, 20)[:, None], np.zeros(20, int)) for name in ("a", "b")]
    backwards = clip_of("backwards", np.linspace(1, 0, 20)[:, None], np.zeros(20, int))
    result = kendalls_tau([*ramps, backwards], frame_stride=1)
    assert result.value == pytest.approx(-1 / 3)
    assert result.details["outliers"] == ["backwards"]
    assert pairwise_taus([*ramps, backwards], frame_stride=1).taus[0, 1] == pytest.approx(1)


def test_phase_agreement_matches_double_loop():
    clips = random_clips(seed=0, count=4, num_phases=5, size=3, noise=1.0, unlabelled=True)
    result = phase_agreement(clips, phases=PHASES, **TRIMS)
    assert result.value == pytest.approx(reference.phase_agreement(clips), rel=1e-12)
    assert 0.2 < result.value < 0.95
    assert result.count == 12
    trimmed = reference.phase_agreement(trim_clips(clips, 3.0, 2.0, seed=0))
    assert result.details["trimmed"]["value"] == pytest.approx(trimmed, rel=1e-12)
    assert result.details["trimmed"]["value"] != result.value


def test_phase_agreement_says_what_can_be_reached():
    """Clip b lacks the last of two phases: of a's frames 4 of 6 can agree with b, all of b's with a."""
    clips = [clip_of("a", np.arange(6.0)[:, None], [0, 0, 0, 0, 1, 1]), clip_of("b", np.arange(3.0)[:, None], [0] * 3)]
    result = phase_agreement(clips, phases=PHASES[:2], **TRIMS)
    assert result.value == pytest.approx((4 / 6 + 1) / 2)
    assert result.details["possible"] == pytest.approx((4 / 6 + 1) / 2)
    assert result.details["value_where_possible"] == 1.0


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_retrieval_matches_double_loop(distance, monkeypatch):
    clips = random_clips(seed=0, count=4, num_phases=5, size=3, noise=1.0, unlabelled=True)
    settings = {"phases": PHASES, "num_frames": (7, 3, 20), "distance": distance}
    result = retrieval(clips, **settings)
    expected = reference.retrieval(clips, (3, 7, 20), distance)
    assert [entry["value"] for entry in result.details["retrieved"]] == pytest.approx(expected, rel=1e-12)
    assert result.value == result.details["retrieved"][0]["value"]
    assert result.count == sum(np.count_nonzero(clip.labels >= 0) for clip in clips)
    assert result.value > result.details["chance"] == pytest.approx(reference.retrieval_chance(clips), rel=1e-12)
    monkeypatch.setattr(importlib.import_module("tcc.evaluation.retrieval"), "_BLOCK_ELEMENTS", 500)
    assert retrieval(clips, **settings).as_dict() == result.as_dict()


@pytest.mark.parametrize("values", ["clock", "two places", "far away"])
def test_of_equally_near_frames_those_of_the_earlier_clip_are_retrieved(values):
    """Clocks have frames at equal distance in every clip and on both sides of each frame."""
    clips = random_clips(seed=0, count=4, num_phases=5)
    places = {
        "clock": lambda clip: np.arange(len(clip)) / 10,
        "two places": lambda clip: np.arange(len(clip)) % 2,
        "far away": lambda clip: 1e6 + np.arange(len(clip)) // 3,
    }
    clips = [clip_of(clip.name, places[values](clip)[:, None], clip.labels) for clip in clips]
    result = retrieval(clips, phases=PHASES, num_frames=(5, 11))
    expected = reference.retrieval(clips, (5, 11))
    assert [entry["value"] for entry in result.details["retrieved"]] == pytest.approx(expected, rel=1e-12)


def test_boundary_transfer_matches_double_loop():
    clips = random_clips(seed=0, count=4, num_phases=5, size=3, noise=1.0)
    result = boundary_transfer(clips, phases=PHASES, **TRIMS)
    errors = reference.boundary_errors(clips, 5)
    assert result.value == pytest.approx(np.median(errors))
    assert result.details["mean"] == pytest.approx(np.mean(errors))
    assert result.details["quartiles"] == pytest.approx(np.percentile(errors, [25, 75]).tolist())
    assert result.count == len(errors) == 4 * 3 * 4
    assert result.value > 0


def test_boundary_transfer_between_a_clip_and_its_slow_copy():
    """Same embeddings at half the speed: each boundary is found at its frames, so the error in seconds is 0."""
    (clip,) = random_clips(seed=0, count=1, num_phases=5, noise=0.1)
    slow = ClipSequence("slow", clip.timestamps * 2, clip.labels, clip.values)
    assert boundary_transfer([clip, slow], phases=PHASES, **TRIMS).value == pytest.approx(0, abs=1e-12)


def test_boundary_transfer_is_in_seconds():
    """a's boundary between frames 2 and 3 is put at b's 2 and 3, but b's own is at 3 and 4: one frame, 0.1 s, later."""
    a = clip_of("a", np.arange(8.0)[:, None], [0, 0, 0, 1, 1, 1, 1, 1])
    b = clip_of("b", np.arange(8.0)[:, None], [0, 0, 0, 0, 1, 1, 1, 1])
    result = boundary_transfer([a, b], phases=PHASES[:2], **TRIMS)
    assert (result.value, result.count) == (pytest.approx(0.1), 2)


def test_boundary_between_labels_with_a_gap_is_in_its_middle():
    a = clip_of("a", np.arange(8.0)[:, None], [0, 0, -1, -1, 1, 1, 1, 1])  # between 1 and 4: 0.25 s
    b = clip_of("b", np.arange(8.0)[:, None], [0, 0, 0, 0, 1, 1, 1, 1])  # between 3 and 4: 0.35 s
    assert boundary_transfer([a, b], phases=PHASES[:2], **TRIMS).value == pytest.approx(0.1)


def test_trimmed_clips_are_parts_and_the_same_for_any_embeddings():
    clips = random_clips(seed=0, count=20, num_phases=5)
    trimmed = trim_clips(clips, 3.0, 2.0, seed=5)
    other = trim_clips([clip_of(c.name, np.zeros((len(c), 1)), c.labels) for c in clips], 3.0, 2.0, seed=5)
    for whole, part, same in zip(clips, trimmed, other):
        start = int(np.flatnonzero(whole.timestamps == part.timestamps[0])[0])
        np.testing.assert_array_equal(part.values, whole.values[start : start + len(part)])
        np.testing.assert_array_equal(part.timestamps, same.timestamps)
        assert len(part) >= 5
        assert part.timestamps[0] <= 3.0
        assert part.timestamps[-1] >= whole.timestamps[-1] - 2.0
    assert len({clip.timestamps[0] for clip in trimmed}) > 5
    assert [len(clip) for clip in trim_clips(clips, 3.0, 2.0, seed=6)] != [len(clip) for clip in trimmed]
    assert [len(clip) for clip in trim_clips(clips[:3], 3.0, 2.0, seed=5)] == [len(clip) for clip in trimmed[:3]]


@pytest.mark.parametrize("num_frames", [1, 3, 5, 6, 12])
def test_trimming_keeps_a_few_frames(num_frames):
    clip = clip_of("short", np.arange(float(num_frames))[:, None], [0] * num_frames)
    (trimmed,) = trim_clips([clip], 30.0, 20.0, seed=0)
    assert len(trimmed) == min(5, num_frames)


def test_no_trim_changes_nothing():
    clips = random_clips(seed=0, count=2, num_phases=5)
    for whole, same in zip(clips, trim_clips(clips, 0.0, 0.0, seed=0)):
        np.testing.assert_array_equal(whole.values, same.values)


def test_embeddings_that_do_not_fit_together_are_refused():
    clips, narrow = random_clips(seed=0, count=2, num_phases=5), random_clips(seed=0, count=2, num_phases=5, size=3)
    fractions = {"phases": PHASES, "train_fractions": (1.0,)}
    few_shot = {"phases": PHASES, "num_videos": (1,), "num_episodes": 2, "seed": 0}
    for metric, settings in (
        (phase_classification, fractions),
        (linear_classification, fractions),
        (phase_progression, fractions),
        (few_shot_classification, few_shot),
    ):
        with pytest.raises(ShapeError, match="train and test: all clips need the same embedding size D, got 8 and 3"):
            metric(clips, narrow, **settings)
        with pytest.raises(ShapeError, match=r"train: all clips need the same embedding size D, got \[3, 8\]"):
            metric([*clips, *narrow], clips, **settings)
        with pytest.raises(ShapeError, match=r"labels must lie in -1\.\.2 for 3 phases, got 0\.\.4"):
            metric(clips, clips, **{**settings, "phases": PHASES[:3]})
    for metric in (phase_agreement, boundary_transfer):
        with pytest.raises(ShapeError, match=r"clips: clip clip0: labels must lie in -1\.\.2 for 3 phases"):
            metric(clips, phases=PHASES[:3], **TRIMS)
    with pytest.raises(ShapeError, match=r"clips: clip a: expected \[T, D\], got shape \[4, 2, 2\]"):
        kendalls_tau([clip_of("a", np.zeros((4, 2, 2)), [0] * 4)], frame_stride=1)


def test_settings_that_mean_nothing_are_refused():
    clips = random_clips(seed=0, count=2, num_phases=5)
    for metric in (phase_classification, linear_classification, phase_progression):
        for fractions in ((), (0.0,), (0.5, 1.5)):
            with pytest.raises(SettingsError, match=r"train_fractions: pass some in \(0, 1\], got"):
                metric(clips, clips, phases=PHASES, train_fractions=fractions)
    with pytest.raises(SettingsError, match=r"num_videos and num_episodes: must be at least 1, got \[0\] and 2"):
        few_shot_classification(clips, clips, phases=PHASES, num_videos=(0,), num_episodes=2, seed=0)
    with pytest.raises(SettingsError, match="frame_stride: must be at least 1 frame, got 0"):
        kendalls_tau(clips, frame_stride=0)
    with pytest.raises(SettingsError, match="trim seconds: must be at least 0, got -1 and 2"):
        trim_clips(clips, -1, 2, seed=0)
    with pytest.raises(SettingsError, match=r"num_frames: must be at least 1, got \[3, 0\]"):
        retrieval(clips, phases=PHASES, num_frames=(3, 0))
    for metric in (phase_agreement, boundary_transfer):
        with pytest.raises(SettingsError, match="distance: must be one of sqeuclidean, cosine; got 'l2'"):
            metric(clips, phases=PHASES, distance="l2", **TRIMS)


def test_metric_undefined_is_no_value_error():
    with pytest.raises(MetricUndefined, match=r"kendalls_tau: no ordered pair of clips \(of 0 clips\) is left"):
        kendalls_tau([], frame_stride=1)
