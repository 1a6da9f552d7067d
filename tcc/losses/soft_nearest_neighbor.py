"""The soft nearest neighbor of a frame in another sequence: a softmax-weighted mean of that sequence's frames."""

from __future__ import annotations

import tensorflow as tf

from tcc.losses.similarity import scaled_similarity


def soft_nearest_neighbor(query, candidates, *, similarity: str = "negative_squared_l2", temperature: float = 0.1):
    """Soft nearest neighbor of each query frame among the candidates.

        alpha[t, s] = softmax_s(similarity(query[t], candidates[s]) / (D temperature))
        neighbor[t] = sum_s alpha[t, s] candidates[s]

    Args:
      query: float32 [..., T, D].
      candidates: float32 [..., S, D].
      similarity, temperature: see `tcc.losses.scaled_similarity`.
    Returns: float32 [..., T, D].
    Raises: SettingsError for an unknown similarity; ShapeError if D differs.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019, section 3.1.
    """
    weights = tf.nn.softmax(scaled_similarity(query, candidates, similarity=similarity, temperature=temperature))
    return tf.matmul(weights, candidates)
