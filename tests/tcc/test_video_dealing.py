"""Chunks and shards are even, and stay as they are when a clip comes, goes or is replaced."""

from __future__ import annotations

import numpy as np
import pytest

from tcc.video.dealing import deal


def sizes_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return {f"clip_{index:05d}.mp4": int(size) for index, size in enumerate(rng.lognormal(14, 0.8, count))}


@pytest.mark.parametrize(("clips", "buckets"), [(40, 2), (60, 4), (300, 8), (2000, 16)])
@pytest.mark.parametrize("seed", range(5))
def test_no_bucket_holds_much_more_than_the_others(clips, buckets, seed):
    sizes = sizes_of(clips, seed)
    loads = np.zeros(buckets)
    for name, bucket in deal(sizes, buckets).items():
        loads[bucket] += sizes[name]
    assert loads.max() <= max(1.4 * loads.mean(), 1.2 * max(sizes.values()))


def test_without_the_bound_some_would():
    """The same sizes dealt by the preferences alone are less even: the bound does something."""
    fullest = []
    for seed in range(10):
        sizes = sizes_of(60, seed)
        alone, bounded = np.zeros(4), np.zeros(4)
        for name, bucket in deal(sizes, 4).items():
            bounded[bucket] += sizes[name]
            alone[deal({name: 1}, 4)[name]] += sizes[name]
        fullest.append((bounded.max(), alone.max()))
    assert np.mean(fullest, axis=0)[0] < 0.95 * np.mean(fullest, axis=0)[1]


def test_one_clip_more_or_less_moves_hardly_any_other():
    sizes = sizes_of(1000)
    before = deal(sizes, 16, salt="chunk")
    moved = []
    for index in range(30):
        after = deal({**sizes, f"new_{index}.mp4": 1_500_000}, 16, salt="chunk")
        moved.append(sum(before[name] != after[name] for name in before))
    for name in list(sizes)[:30]:
        after = deal({other: size for other, size in sizes.items() if other != name}, 16, salt="chunk")
        moved.append(sum(before[other] != after[other] for other in after))
    assert np.mean(moved) <= 1 and np.median(moved) == 0


def test_a_replaced_clip_of_similar_size_moves_none():
    sizes = sizes_of(1000)
    before = deal(sizes, 16)
    moved = 0
    for name in list(sizes)[:30]:
        after = deal({**sizes, name: int(sizes[name] * 1.02)}, 16)
        moved += sum(before[other] != after[other] for other in before)
    assert moved <= 3


def test_the_order_of_the_names_does_not_matter_and_salts_do():
    sizes = sizes_of(50)
    backwards = dict(reversed(list(sizes.items())))
    assert deal(sizes, 4) == deal(backwards, 4)
    assert deal(sizes, 4, salt="train") != deal(sizes, 4, salt="val")


def test_nothing_and_one_bucket():
    assert deal({}, 3) == {}
    assert set(deal(sizes_of(5), 1).values()) == {0}
