"""Shuffle and learn: tell from three frames of a sequence whether they are in the order of time."""

from __future__ import annotations

from typing import Callable, Tuple

import numpy as np
import tensorflow as tf

from tcc.errors import SettingsError, ShapeError
from tcc.losses.inputs import static_float32
from tcc.losses.supervised import softmax_cross_entropy

# Frames that a triplet is made of: three in order, and one before and one after them to put in the middle.
_FRAMES_PER_TRIPLET = 5


def shuffle_and_learn_loss(embeddings, *, indices, labels, classifier: Callable, label_smoothing: float = 0.0):
    """Mean cross-entropy of a classifier that sees the embeddings of three frames, one after the other.

        logits[r] = classifier([x[r % B, indices[r, 0]], x[r % B, indices[r, 1]], x[r % B, indices[r, 2]]])

    Args:
      embeddings: float [B, T, D], any float type; computed in float32.
      indices: int [R, 3], frames 0 .. T-1 of sequence r % B; draw them with `draw_triplets`.
      labels: int [R], 1 where the triplet is shuffled, else 0.
      classifier: float32 [R, 3 D] -> float32 [R, 2].
      label_smoothing: e in [0, 1]: targets are (1 - e) one_hot + e / 2.
    Returns: scalar float32.
    Raises: ShapeError unless the shapes fit, those of the classifier's answer among them.
    Reference: Misra et al., Shuffle and Learn, ECCV 2016.
    """
    embeddings = static_float32("embeddings", embeddings, axes="B T D")
    num_sequences, num_frames, size = embeddings.shape
    indices, labels = tf.cast(indices, tf.int32), tf.cast(labels, tf.int32)
    if len(indices.shape) != 2 or indices.shape[1] != 3:
        raise ShapeError(f"indices: expected [R, 3], got shape {list(indices.shape)}")
    num_triplets = indices.shape[0]
    if tuple(labels.shape) != (num_triplets,):
        raise ShapeError(f"labels: expected [{num_triplets}], got shape {list(labels.shape)}")
    first_frames = num_frames * (np.arange(num_triplets, dtype=np.int32)[:, np.newaxis] % num_sequences)
    frames = tf.gather(tf.reshape(embeddings, [num_sequences * num_frames, size]), first_frames + indices)
    logits = classifier(tf.reshape(frames, [num_triplets, 3 * size]))
    if tuple(logits.shape) != (num_triplets, 2):
        raise ShapeError(f"classifier: expected to return [{num_triplets}, 2], got shape {list(logits.shape)}")
    return tf.reduce_mean(softmax_cross_entropy(logits, labels, label_smoothing=label_smoothing))


def draw_triplets(
    rng: np.random.Generator, *, batch_size: int, num_samples: int, shuffle_fraction: float, num_frames: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Triplets for `shuffle_and_learn_loss`; triplet r belongs to sequence r % batch_size.

    Of five different frames a < b < c < d < e, drawn uniformly, a triplet is (b, c, d), or shuffled (b, a, d) or
    (b, e, d) with equal chances. With chance 1/2 all triplets of the draw are read backwards.

    Args:
      rng: where the draw comes from; the same numbers give the same triplets in every NumPy.
      batch_size: B.
      num_samples: triplets per sequence.
      shuffle_fraction: share in [0, 1] of the R = B num_samples triplets that are shuffled, rounded down.
      num_frames: T, 5 or more.
    Returns: indices int32 [R, 3] and labels int32 [R], 1 where shuffled, in random order.
    Raises: SettingsError if there are fewer than 5 frames, no triplet, or the share is none.
    Reference: Misra et al., Shuffle and Learn, ECCV 2016, section 3.1; reading backwards is in the TCC code.
    """
    if num_frames < _FRAMES_PER_TRIPLET:
        raise SettingsError(f"num_frames: shuffle and learn needs {_FRAMES_PER_TRIPLET} or more, got {num_frames}")
    if batch_size < 1 or num_samples < 1:
        raise SettingsError(f"batch_size, num_samples: must be 1 or more; got {batch_size}, {num_samples}")
    if not 0.0 <= shuffle_fraction <= 1.0:
        raise SettingsError(f"shuffle_fraction: must be from 0 to 1; got {shuffle_fraction}")
    num_triplets = batch_size * num_samples
    # The small number keeps 0.7 * 10 from counting as 6.999.
    num_shuffled = int(np.floor(shuffle_fraction * num_triplets + 1e-6))
    # Of NumPy's draws only `random` is the same in every version.
    frames = np.argsort(rng.random((num_triplets, num_frames)), axis=1, kind="stable")[:, :_FRAMES_PER_TRIPLET]
    frames = np.sort(frames, axis=1)
    shuffled = np.argsort(rng.random(num_triplets), kind="stable") < num_shuffled
    middle = np.where(shuffled, np.where(rng.random(num_triplets) < 0.5, 0, 4), 2)
    indices = np.stack([frames[:, 1], frames[np.arange(num_triplets), middle], frames[:, 3]], axis=1)
    if rng.random() < 0.5:
        indices = indices[:, ::-1]
    return np.ascontiguousarray(indices, np.int32), shuffled.astype(np.int32)
