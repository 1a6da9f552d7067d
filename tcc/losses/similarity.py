"""How close frames are: negative squared L2 distance, dot product, cosine. Larger is closer."""

from __future__ import annotations

import tensorflow as tf

from tcc.errors import SettingsError
from tcc.shapes import check_same_axis

SIMILARITIES = ("negative_squared_l2", "dot", "cosine")


def scaled_similarity(query, candidates, *, similarity: str = "negative_squared_l2", temperature: float = 0.1):
    """Similarity of every query frame to every candidate frame, ready for a softmax.

        negative_squared_l2: -|q - c|^2 / (D temperature)
        dot:                      q . c / (D temperature)   (what the TCC reference calls cosine)
        cosine:        q . c / (|q| |c| D temperature)

    Args:
      query: float32 [..., T, D].
      candidates: float32 [..., S, D].
      similarity: one of the three above.
      temperature: > 0; smaller makes the softmax harder.
    Returns: float32 [..., T, S].
    Raises: SettingsError for an unknown similarity; ShapeError if D differs.
    Reference: Dwibedi et al., Temporal Cycle-Consistency Learning, CVPR 2019; the division by D is in its code.
    """
    check_same_axis("query", query, "candidates", candidates, axis=-1, what="embedding size")
    if similarity not in SIMILARITIES:
        raise SettingsError(f"similarity: must be one of {', '.join(SIMILARITIES)}; got {similarity!r}")
    if similarity == "cosine":
        query, candidates = l2_normalize(query), l2_normalize(candidates)
    if similarity == "negative_squared_l2":
        values = -squared_distances(query, candidates)
    else:
        values = tf.matmul(query, candidates, transpose_b=True)
    return values / (float(query.shape[-1]) * temperature)


def l2_normalize(embeddings):
    """x / |x| along the last axis; a zero vector stays zero and passes a finite gradient."""
    return tf.math.l2_normalize(embeddings, axis=-1, epsilon=1e-12)


@tf.custom_gradient
def as_float32(embeddings):
    """Cast to float32; the gradient saturates at the largest finite number of the type it goes back to.

    A loss is computed in float32 whatever comes in; its gradient may still exceed what float16 can hold.
    """

    def gradient(upstream):
        return tf.saturate_cast(upstream, embeddings.dtype)

    return tf.cast(embeddings, tf.float32), gradient


def squared_distances(query, candidates):
    """|q - c|^2 of every query frame and every candidate frame: [..., T, D] and [..., S, D] -> [..., T, S]."""
    # Distances do not depend on a common shift; a shift to the middle keeps |q|^2 + |c|^2 - 2 q.c from cancelling.
    center = tf.stop_gradient(tf.reduce_mean(candidates, axis=-2, keepdims=True))
    query, candidates = query - center, candidates - center
    query_norms = tf.reduce_sum(tf.square(query), axis=-1, keepdims=True)
    candidate_norms = tf.expand_dims(tf.reduce_sum(tf.square(candidates), axis=-1), axis=-2)
    return query_norms + candidate_norms - 2.0 * tf.matmul(query, candidates, transpose_b=True)
