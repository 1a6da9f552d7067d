"""What a model must beat: clocks that look at no image, and the frozen backbone's features without training."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from scipy import linalg

from tcc.errors import MetricUndefined, SettingsError
from tcc.evaluation.clips import check_clips
from tcc.sequences import ClipSequence, center
from tcc.shapes import check_rank

GRID_CELLS = 4  # cells along each side


def standard_baselines(
    train: Sequence[ClipSequence],
    test: Sequence[ClipSequence],
    *,
    features: Optional[Tuple[Sequence[ClipSequence], Sequence[ClipSequence]]] = None,
    components: int,
) -> Dict[str, Tuple[List[ClipSequence], List[ClipSequence]]]:
    """The baselines of `evaluate` by name: clock_index, clock_length; with features also pool, grid, grid with
    PCA, and the same of grids less their mean over the clip.

    Args:
      train, test: clips of any values (their times and labels are used).
      features: the frozen backbone's features [T, h, w, C] of the training and test clips, or None.
      components: of the PCA.
    """
    baselines = {
        "clock_index": (clock_index(train), clock_index(test)),
        "clock_length": (clock_length(train), clock_length(test)),
    }
    if features is not None:
        grids = features_grid(features[0]), features_grid(features[1])
        baselines["features_pool"] = (features_pool(features[0]), features_pool(features[1]))
        baselines["features_grid"] = grids
        baselines["features_grid_pca"] = principal_components(*grids, components=components)
        centered = ([center(clip) for clip in clips] for clips in grids)
        baselines["features_grid_centered_pca"] = principal_components(*centered, components=components)
    return baselines


def clock_index(clips: Sequence[ClipSequence]) -> List[ClipSequence]:
    """The embedding is the frame's index: x(t) = t, float64 [T, 1]."""
    return [_with_values(clip, np.arange(len(clip), dtype=np.float64)[:, None]) for clip in clips]


def clock_length(clips: Sequence[ClipSequence]) -> List[ClipSequence]:
    """The embedding is the frame's index by the clip's length: x(t) = t / T in [0, 1), float64 [T, 1]."""
    return [_with_values(clip, np.arange(len(clip))[:, None] / max(1, len(clip))) for clip in clips]


def features_pool(clips: Sequence[ClipSequence]) -> List[ClipSequence]:
    """Backbone features averaged over the image: [T, h, w, C] -> float32 [T, C]."""
    return [_with_values(clip, _grid(clip, cells=1)) for clip in clips]


def features_grid(clips: Sequence[ClipSequence], *, cells: int = GRID_CELLS) -> List[ClipSequence]:
    """Backbone features averaged in a grid of cells x cells: [T, h, w, C] -> float32 [T, cells cells C].

    Cell i of n along an axis of h covers rows floor(i h / n) to ceil((i + 1) h / n); neighboring cells share a row
    where h is no multiple of n. A map smaller than the grid is taken as it is.
    """
    if cells < 1:
        raise SettingsError(f"cells: must be at least 1, got {cells}")
    return [_with_values(clip, _grid(clip, cells=cells)) for clip in clips]


def features_grid_pca(
    train: Sequence[ClipSequence], test: Sequence[ClipSequence], *, components: int, cells: int = GRID_CELLS
) -> Tuple[List[ClipSequence], List[ClipSequence]]:
    """The grid on its first principal components, which are those of the training clips; float32 [T, components]."""
    return principal_components(
        features_grid(train, cells=cells), features_grid(test, cells=cells), components=components
    )


def principal_components(
    train: Sequence[ClipSequence], test: Sequence[ClipSequence], *, components: int
) -> Tuple[List[ClipSequence], List[ClipSequence]]:
    """Embeddings [T, D] projected on the directions of largest variance: y = (x - mean) V, float32.

    Args:
      train: clips that mean and directions come from; frames that are not finite are left aside.
      test: projected in the same way. components: how many; no more than D, and than training frames less one, are
        kept.
    Raises: MetricUndefined if fewer than two training frames are finite; SettingsError for components below 1.
    """
    if components < 1:
        raise SettingsError(f"components: must be at least 1, got {components}")
    check_clips("train", train)
    check_clips("test", test)
    frames = np.concatenate([clip.values for clip in train]) if train else np.zeros((0, 0))
    frames = frames[np.isfinite(frames).all(axis=1)].astype(np.float64)
    if len(frames) < 2:
        raise MetricUndefined(f"principal components: {len(frames)} finite training frames; at least 2 are needed")
    mean = frames.mean(axis=0)
    directions = _directions(frames - mean, min(components, frames.shape[1], len(frames) - 1))

    def project(clips: Sequence[ClipSequence]) -> List[ClipSequence]:
        return [_with_values(clip, ((clip.values - mean) @ directions).astype(np.float32)) for clip in clips]

    return project(train), project(test)


def _directions(centred: np.ndarray, count: int) -> np.ndarray:
    """The `count` first principal directions, [D, count]; the largest number of each is positive.

    From the products of frames where there are fewer frames N than dimensions D: N^2 D instead of D^3, which for a grid of
    1024 channels is minutes. There a direction without variance is zero.
    """
    frames, size = centred.shape
    if frames < size:
        variances, vectors = _last_eigenvectors(centred @ centred.T, count)
        lengths = np.sqrt(np.maximum(variances, 0))
        counts = lengths > lengths[0] * np.sqrt(size * np.finfo(np.float64).eps)
        vectors = centred.T @ np.divide(vectors, lengths, out=np.zeros_like(vectors), where=counts)
    else:
        _, vectors = _last_eigenvectors(centred.T @ centred, count)
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(count)]
    return vectors * np.sign(largest)


def _last_eigenvectors(products: np.ndarray, count: int) -> Tuple[np.ndarray, np.ndarray]:
    size = len(products)
    values, vectors = linalg.eigh(products, subset_by_index=[size - count, size - 1])
    return values[::-1], vectors[:, ::-1]


def _grid(clip: ClipSequence, *, cells: int) -> np.ndarray:
    check_rank(f"clip {clip.name}", clip.values, 4, axes="T h w C")
    num_frames, height, width, channels = clip.values.shape
    rows, columns = _averages(height, cells), _averages(width, cells)
    features = clip.values.astype(np.float32).reshape(num_frames, height, width * channels)
    # Rows first, then columns: two small matrix products instead of a loop over cells.
    by_rows = np.matmul(rows, features).reshape(num_frames, len(rows), width, channels)
    return np.matmul(columns, by_rows).reshape(num_frames, len(rows) * len(columns) * channels)


def _averages(size: int, cells: int) -> np.ndarray:
    """Weights [cells, size] that average each cell of an axis."""
    cells = min(cells, size)
    weights = np.zeros((cells, size), dtype=np.float32)
    for cell in range(cells):
        start, end = cell * size // cells, -((-(cell + 1) * size) // cells)
        weights[cell, start:end] = 1 / (end - start)
    return weights


def _with_values(clip: ClipSequence, values: np.ndarray) -> ClipSequence:
    return ClipSequence(clip.name, clip.timestamps, clip.labels, values)
