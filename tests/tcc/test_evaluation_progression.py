"""The predictions behind phase progression, clip by clip."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.errors import MetricUndefined, SettingsError
from tcc.evaluation import phase_progression, predict_progression
from tests.tcc.evaluation_clips import PHASES, random_clips


def clips():
    train = random_clips(seed=0, count=6, num_phases=5)
    return train, random_clips(seed=1, count=4, num_phases=5)


def predicted_by_loop(train, test_clip):
    """Least squares with a column of ones, and the targets frame by frame."""

    def target(clip, frame):
        last = [max(t for t in range(len(clip)) if clip.labels[t] == phase) for phase in range(4)]
        return [(frame - e) / len(clip) for e in last]

    rows = [np.append(clip.values[t].astype(float), 1.0) for clip in train for t in range(len(clip))]
    targets = [target(clip, t) for clip in train for t in range(len(clip))]
    weights = np.linalg.lstsq(np.array(rows), np.array(targets), rcond=None)[0]
    truth = np.array([target(test_clip, t) for t in range(len(test_clip))])
    return truth, np.array([np.append(v.astype(float), 1.0) @ weights for v in test_clip.values])


@pytest.mark.parametrize(("fraction", "count"), [(1.0, 6), (0.5, 3)])
def test_predictions_match_the_loop(fraction, count):
    train, test = clips()
    found = predict_progression(train, test, phases=PHASES, train_fraction=fraction)
    assert [one.name for one in found] == [clip.name for clip in test]
    for one, clip in zip(found, test):
        truth, predicted = predicted_by_loop(train[:count], clip)
        np.testing.assert_allclose(one.truth, truth, atol=1e-12)
        np.testing.assert_allclose(one.predicted, predicted, atol=1e-8)
        assert one.mean_absolute_error == pytest.approx(np.abs(predicted - truth).mean())
        np.testing.assert_array_equal(one.seconds, clip.timestamps)


def test_predictions_are_those_that_the_metric_scores():
    train, test = clips()
    found = predict_progression(train, test, phases=PHASES)
    truth = np.concatenate([one.truth for one in found])
    residual = truth - np.concatenate([one.predicted for one in found])
    scores = 1 - np.square(residual).sum(axis=0) / np.square(truth - truth.mean(axis=0)).sum(axis=0)
    metric = phase_progression(train, test, phases=PHASES, train_fractions=(0.5, 1.0))
    assert metric.value == pytest.approx(scores.mean(), abs=1e-12)


def test_clips_without_all_phases_are_left_out():
    train, test = clips()
    test[1].labels[test[1].labels == 2] = -1
    assert [one.name for one in predict_progression(train, test, phases=PHASES)] == ["clip0", "clip2", "clip3"]


def test_what_is_undefined_is_refused_as_the_metric_refuses_it():
    train, test = clips()
    for clip in train:
        clip.values[:] = 1.0
    with pytest.raises(MetricUndefined, match=r"phase_progression: no fraction is left: 1 x constant embedding"):
        predict_progression(train, test, phases=PHASES)
    with pytest.raises(MetricUndefined, match=r"no key event \(it takes two phases, there are 1\) is left"):
        predict_progression(train, test, phases=PHASES[:1])
    with pytest.raises(SettingsError, match=r"train_fractions: pass some in \(0, 1\], got \[2.0\]"):
        predict_progression(train, test, phases=PHASES, train_fraction=2.0)
