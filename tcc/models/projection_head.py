"""The head of sequence contrastive training: an embedding -> what its loss compares."""

from __future__ import annotations

from typing import Dict, List

import numpy as np
import tensorflow as tf

from tcc.models.layers import BatchNorm, Dense, Layer, named_variables, trainable_variables


class ProjectionHead(tf.Module):
    """Embeddings [..., D] -> linear, batch normalization, ReLU, linear -> [..., size]; the loss divides by the L2 norm.

    Only training needs it; it is no part of an embedding.

    Args:
      embedding_size: D.
      seed: of its first weights.
      size: width of both linear layers.
    Source: projection of the CARL code, whose hidden width is the size of its output.
    """

    def __init__(self, embedding_size: int, *, seed: int, size: int = 128):
        super().__init__(name="projection_head")
        rng = np.random.default_rng([seed, 4])
        self.hidden = Dense("proj_fc0", embedding_size, size, rng=rng)
        self.norm = BatchNorm("proj_bn0", size)
        self.output = Dense("proj_out0", size, size, rng=rng)

    def __call__(self, embeddings: tf.Tensor, *, training: bool = False) -> tf.Tensor:
        """Projections float32 [..., size]; `training` normalizes by the batch's statistics and updates the moving ones."""
        hidden = self.hidden(tf.reshape(embeddings, [-1, embeddings.shape[-1]]))
        hidden = self.norm(hidden[:, tf.newaxis, tf.newaxis], training=training)[:, 0, 0]
        return tf.reshape(self.output(tf.nn.relu(hidden)), [*embeddings.shape[:-1], -1])

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        return [self.hidden, self.norm, self.output]

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self.layers())

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order."""
        return trainable_variables(self.layers())
