"""The classifier of shuffle and learn: three embeddings in a row -> dense layers -> in order, or shuffled."""

from __future__ import annotations

from typing import Dict, List, Sequence

import numpy as np
import tensorflow as tf

from tcc.errors import ShapeError
from tcc.models.layers import Dense, Layer, named_variables, trainable_variables


class TripletClassifier(tf.Module):
    """Embeddings of three frames, concatenated [R, 3 D] -> logits [R, 2]: in the order of time, shuffled.

    Only training needs it; it is no part of an embedding.

    Args:
      embedding_size: D.
      seed: of its first weights.
      hidden: widths of the hidden layers; each is followed by a ReLU.
    Source: SaL classifier of the TCC code, without dropout, as its settings have it.
    """

    def __init__(self, embedding_size: int, *, seed: int, hidden: Sequence[int] = (128, 64)):
        super().__init__(name="triplet_classifier")
        self.embedding_size = embedding_size
        rng = np.random.default_rng([seed, 2])
        widths = (3 * embedding_size, *hidden)
        self.denses = [
            Dense(f"sal_fc{i}", before, after, rng=rng) for i, (before, after) in enumerate(zip(widths, widths[1:]))
        ]
        self.output = Dense("sal_out0", widths[-1], 2, rng=rng)

    def __call__(self, triplets: tf.Tensor) -> tf.Tensor:
        """Logits float32 [R, 2] of triplets float32 [R, 3 D]. Raises: ShapeError if the width differs."""
        if len(triplets.shape) != 2 or triplets.shape[1] != 3 * self.embedding_size:
            raise ShapeError(f"triplets: expected [R, {3 * self.embedding_size}], got shape {list(triplets.shape)}")
        for dense in self.denses:
            triplets = tf.nn.relu(dense(triplets))
        return self.output(triplets)

    def layers(self) -> List[Layer]:
        """All layers, in an order that never changes."""
        return [*self.denses, self.output]

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"."""
        return named_variables(self.layers())

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order."""
        return trainable_variables(self.layers())
