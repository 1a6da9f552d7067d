"""One training step: embed a batch, compute the losses, change the weights."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import TrainingConfig
from tcc.dataset import Batch
from tcc.training.methods import StepInputs, method_terms, needs_views
from tcc.training.optimizer import clip_by_global_norm, global_norm

# Fields of a batch that go to the losses under the same names.
_DRAWN = (
    *("frame_indices", "sequence_lengths", "labels", "triplets", "triplet_labels"),
    *("valid", "cycles", "cycle_starts"),
)


class TrainingStep:
    """A step as one compiled function; weights, optimizer state and batch statistics change in place.

    Inputs are arrays from the host with shapes that never change, randomness included, so that the same function runs
    on every device.

    Args:
      encoder: `tcc.models.Encoder`, or anything called like it.
      optimizer: from `build_optimizer`, made for `trained_variables(encoder, head)`.
      training: method, weights of the terms, clipping.
      head: from `build_head`; None where the method has none.
    """

    def __init__(self, encoder: Any, optimizer: Any, training: TrainingConfig, head: Any = None):
        self.encoder = encoder
        self.head = head
        self.optimizer = optimizer
        self.training = training
        self._compiled = tf.function(self._step, autograph=False)
        self._compiled_losses = tf.function(self._losses_in_inference, autograph=False)

    def __call__(self, batch: Batch, learning_rate: float) -> Dict[str, float]:
        """Train on one batch.

        Returns: the terms of the loss, their sum "loss", and "gradient_norm" before clipping.
        """
        return _as_floats(self._compiled(*_tensors(batch), tf.constant(learning_rate, tf.float32)))

    def losses(self, batch: Batch) -> Dict[str, float]:
        """The terms of the loss and their sum in inference mode; nothing changes."""
        return _as_floats(self._compiled_losses(*_tensors(batch)))

    def concrete_function(self, batch: Batch) -> Any:
        """The traced step for batches of this shape, for looking at its operations."""
        return self._compiled.get_concrete_function(*_tensors(batch), tf.constant(0.0, tf.float32))

    def _step(self, inputs, drawn, dropout_masks, learning_rate):
        with tf.GradientTape() as tape:
            embeddings = self._embed(inputs, drawn, dropout_masks, training=True)
            terms = self._terms(embeddings, drawn, training=True)
        variables = trained_variables(self.encoder, self.head)
        gradients = tape.gradient(terms["loss"], variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        norm = global_norm(gradients)
        clipped = clip_by_global_norm(gradients, norm, self.training.clip_norm)
        self.optimizer.apply(clipped, variables, learning_rate)
        return {**terms, "gradient_norm": norm}

    def _losses_in_inference(self, inputs, drawn, dropout_masks):
        embeddings = self._embed(inputs, drawn, (), training=False)
        return self._terms(embeddings, drawn, training=False)

    def _embed(self, inputs, drawn, dropout_masks, *, training: bool):
        """Embeddings [B, T, D], or with positives [B, 2T, D]; these are sequences of their own to the encoder."""
        num_clips, num_windows, num_frames = int(inputs.shape[0]), int(inputs.shape[1]), _num_frames(drawn)
        has_views = needs_views(self.training)
        sequences = tf.reshape(inputs, [num_clips * num_windows // num_frames, num_frames, *inputs.shape[2:]])
        masks = {"dropout_masks": dropout_masks, "frame_mask": drawn["valid"] if has_views else None}
        # The head of a method with views comes before the normalization of the embeddings.
        embeddings = self.encoder(sequences, training=training, normalize=not has_views, **masks)
        return tf.reshape(embeddings, [num_clips, num_windows, embeddings.shape[-1]])

    def _terms(self, embeddings, drawn, *, training: bool) -> Dict[str, tf.Tensor]:
        num_frames = _num_frames(drawn)
        inputs = StepInputs(
            anchors=embeddings[:, :num_frames],
            positives=embeddings[:, num_frames:],
            training=training,
            **drawn,
        )
        terms = method_terms(inputs, self.head, self.training)
        if self.training.weight_decay:
            squares = mean_squared_weights(self.encoder.regularized_variables())
            terms["weight_decay"] = self.training.weight_decay * squares
        return {"loss": tf.add_n(list(terms.values())), **terms}


def trained_variables(encoder: Any, head: Optional[Any] = None) -> List[tf.Variable]:
    """What a training changes, in a stable order: the encoder's part, then the head's."""
    return encoder.trained_variables() + (head.trained_variables() if head is not None else [])


def mean_squared_weights(variables) -> tf.Tensor:
    """Mean over the variables of each one's sum of squares. The mean, not the sum, is what the reference adds."""
    return tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables]) / float(len(variables))


def _num_frames(drawn) -> int:
    """T, from the indices of the anchors' frames."""
    return int(drawn["frame_indices"].shape[1])


def _tensors(batch: Batch) -> Tuple[Any, ...]:
    masks = tuple(tf.constant(mask) for mask in batch.dropout_masks)
    drawn = {name: tf.constant(getattr(batch, name)) for name in _DRAWN}
    return tf.constant(batch.inputs), drawn, masks


def _as_floats(terms: Dict[str, tf.Tensor]) -> Dict[str, float]:
    return {name: float(np.asarray(value)) for name, value in terms.items()}
