"""Clips as sequences of values."""

from __future__ import annotations

import numpy as np

from tcc.sequences import ClipSequence, center


def test_centered_clips_have_no_mean_in_any_cell_and_keep_their_changes():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(9, 2, 2, 3)) + 50 * rng.normal(size=(1, 2, 2, 3))).astype(np.float16)
    clip = ClipSequence("a", np.arange(9) / 10, np.full(9, -1), values)
    centered = center(clip).values
    assert centered.dtype == np.float16
    expected = values.astype(np.float64) - values.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(centered, expected, atol=4e-3)
    assert np.abs(values.mean(axis=0, dtype=np.float64)).max() > 10
