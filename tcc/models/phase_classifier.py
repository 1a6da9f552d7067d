"""The head of supervised training: an embedding -> one linear layer -> a logit for each phase."""

from __future__ import annotations

from typing import Dict, List

import numpy as np
import tensorflow as tf

from tcc.models.layers import Dense, Layer, named_variables, trainable_variables


class PhaseClassifier(tf.Module):
    """Embeddings [B, T, D] -> logits [B, T, K]. Only training needs it; it is no part of an embedding.

    Args:
      embedding_size: D.
      num_phases: K.
      seed: of its first weights.
    """

    def __init__(self, embedding_size: int, num_phases: int, *, seed: int):
        super().__init__(name="phase_classifier")
        self.output = Dense("cls_out0", embedding_size, num_phases, rng=np.random.default_rng([seed, 3]))

    def __call__(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Logits of the phases of each frame."""
        rows = tf.reshape(embeddings, [-1, embeddings.shape[-1]])
        return tf.reshape(self.output(rows), [*embeddings.shape[:-1], -1])

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        return [self.output]

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self.layers())

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order."""
        return trainable_variables(self.layers())
