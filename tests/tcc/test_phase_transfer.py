"""Phases carried from labelled clips to another by votes."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.alignment import NearestInEach, pairwise_distances, transfer_phases
from tcc.alignment.phase_transfer import Stretch, stretches
from tcc.errors import LabelError
from tests.reference import alignment as reference
from tests.tcc.evaluation_clips import clip_of, random_clips


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_phases_and_confidence_match_a_loop(distance):
    """Clips with unlabelled ends, one without a label, one with a single phase, and one that lacks a phase."""
    query, *clips = random_clips(seed=1, count=5, num_phases=3, noise=0.8, unlabelled=True)
    bare = clip_of("bare", clips[0].values, np.full(len(clips[0]), -1))
    single = clip_of("single", clips[1].values, np.full(len(clips[1]), 2))
    lacks = clip_of("lacks", clips[2].values, np.where(clips[2].labels == 1, -1, clips[2].labels))
    references = [*clips, bare, single, lacks]
    found = transfer_phases(query.values, references, distance=distance)
    pairs = [(clip.values, clip.labels.tolist()) for clip in references]
    expected = reference.transferred_phases(query.values, pairs, 3, distance)
    np.testing.assert_array_equal(found.phases, [phase for phase, _ in expected])
    np.testing.assert_allclose(found.confidence, [value for _, value in expected], rtol=1e-9, atol=1e-12)
    assert found.num_clips == 6


def test_known_phases_are_found_again_and_sure_frames_are_right_more_often():
    """Weighted votes were right for 0.85 of such frames, one vote a clip for 0.83, the single nearest frame for 0.81."""
    right, confidence, chance = [], [], []
    for seed in range(10):
        query, *clips = random_clips(seed=seed, count=8, num_phases=4, noise=0.9)
        found = transfer_phases(query.values, clips)
        right.append(found.phases == query.labels)
        confidence.append(found.confidence)
        chance.append(np.bincount(query.labels).max() / len(query))
    right, confidence = np.concatenate(right), np.concatenate(confidence)
    assert right.mean() > np.mean(chance) + 0.25
    sure = confidence > np.median(confidence)
    assert right[sure].mean() > right[~sure].mean() + 0.1


def test_a_constant_embedding_has_no_confidence():
    clips = [clip_of(name, np.ones((6, 3)), [0, 0, 0, 1, 1, 1]) for name in "ab"]
    found = transfer_phases(np.ones((5, 3)), clips)
    np.testing.assert_array_equal(found.confidence, np.zeros(5))
    np.testing.assert_array_equal(found.phases, np.zeros(5))


def test_clips_that_contradict_each_other_leave_no_confidence():
    frames = np.array([[0.0], [10.0]])
    clips = [clip_of("a", frames, [0, 1]), clip_of("b", frames, [1, 0])]
    np.testing.assert_array_equal(transfer_phases(frames, clips).confidence, [0, 0])
    agreeing = transfer_phases(frames, [clips[0], clips[0]])
    assert (agreeing.phases.tolist(), agreeing.confidence.tolist()) == ([0, 1], [1, 1])


def test_where_no_vote_has_weight_most_clips_win():
    clips = [clip_of(name, np.ones((2, 1)), [phase, phase]) for name, phase in (("a", 0), ("b", 2), ("c", 2))]
    found = transfer_phases(np.ones((1, 1)), clips)
    assert (found.phases.tolist(), found.confidence.tolist()) == ([2], [0])
    as_many = transfer_phases(np.ones((1, 1)), [clips[1], clips[0]])
    assert as_many.phases.tolist() == [0]


def test_without_labels_there_is_nothing_to_carry():
    with pytest.raises(LabelError, match="none of the 1 clips to carry phases from has a label; label at least one"):
        transfer_phases(np.ones((2, 3)), [clip_of("a", np.ones((2, 3)), [-1, -1])])


@pytest.mark.parametrize("distance", ["sqeuclidean", "cosine"])
def test_distances_to_the_nearest_in_each(distance):
    query, *clips = random_clips(seed=3, count=4, num_phases=3)
    found = NearestInEach([clip.values for clip in clips], distance=distance).distances(query.values)
    for row, clip in zip(found, clips):
        expected = pairwise_distances(query.values, clip.values, distance=distance).min(axis=1)
        np.testing.assert_allclose(row, expected, rtol=1e-9, atol=1e-14)
    assert not NearestInEach([query.values], distance=distance).distances(query.values).any()


def test_stretches_of_one_phase():
    found = stretches(np.array([-1, 0, 0, 2, -1, -1, 2, 1]))
    assert found == [Stretch(1, 2, 0), Stretch(3, 3, 2), Stretch(6, 6, 2), Stretch(7, 7, 1)]
    assert stretches(np.array([], int)) == [] and stretches(np.array([3])) == [Stretch(0, 0, 3)]
