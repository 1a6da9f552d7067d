"""One training step: embed a batch, compute the losses, change the weights."""

from __future__ import annotations

from typing import Any, Dict, Tuple

import numpy as np
import tensorflow as tf

from tcc.config import TrainingConfig
from tcc.dataset import Batch
from tcc.losses import cycle_consistency_loss, time_contrastive_loss
from tcc.training.optimizer import clip_by_global_norm, global_norm

CYCLE_BACK_LOSS_OF_METHOD = {
    "tcc_regression_variance": "regression_variance",
    "tcc_regression": "regression",
    "tcc_classification": "classification",
}


class TrainingStep:
    """A step as one compiled function; weights, optimizer state and batch statistics change in place.

    Inputs are arrays from the host with shapes that never change, randomness included, so that the same function runs
    on every device.

    Args:
      encoder: `tcc.models.Encoder`, or anything called like it.
      optimizer: from `build_optimizer`, made for encoder.trained_variables().
      training: method, weights of the terms, clipping.
    """

    def __init__(self, encoder: Any, optimizer: Any, training: TrainingConfig):
        self.encoder = encoder
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

    def _step(self, inputs, frame_indices, sequence_lengths, dropout_masks, learning_rate):
        with tf.GradientTape() as tape:
            embeddings = self._embed(inputs, dropout_masks, training=True)
            terms = self._terms(embeddings, frame_indices, sequence_lengths)
        variables = self.encoder.trained_variables()
        gradients = tape.gradient(terms["loss"], variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        norm = global_norm(gradients)
        clipped = clip_by_global_norm(gradients, norm, self.training.clip_norm)
        self.optimizer.apply(clipped, variables, learning_rate)
        return {**terms, "gradient_norm": norm}

    def _losses_in_inference(self, inputs, frame_indices, sequence_lengths, dropout_masks):
        embeddings = self._embed(inputs, (), training=False)
        return self._terms(embeddings, frame_indices, sequence_lengths)

    def _embed(self, inputs, dropout_masks, *, training: bool):
        num_clips, num_windows = int(inputs.shape[0]), int(inputs.shape[1])
        windows = tf.reshape(inputs, [num_clips * num_windows, *inputs.shape[2:]])
        embeddings = self.encoder(windows, training=training, dropout_masks=dropout_masks)
        return tf.reshape(embeddings, [num_clips, num_windows, embeddings.shape[-1]])

    def _terms(self, embeddings, frame_indices, sequence_lengths) -> Dict[str, tf.Tensor]:
        num_frames = int(frame_indices.shape[1])
        anchors, positives = embeddings[:, :num_frames], embeddings[:, num_frames:]
        config = self.training
        terms = {"method": method_loss(anchors, frame_indices, sequence_lengths, config)}
        if config.tcn_weight:
            contrast = time_contrastive_loss(anchors, positives, l2_weight=config.tcn_l2_weight)
            terms["tcn"] = config.tcn_weight * contrast
        if config.weight_decay:
            terms["weight_decay"] = config.weight_decay * mean_squared_weights(self.encoder.regularized_variables())
        return {"loss": tf.add_n(list(terms.values())), **terms}


def method_loss(embeddings, frame_indices, sequence_lengths, training: TrainingConfig) -> tf.Tensor:
    """The loss that [training] method names, on embeddings [B, T, D]; here settings become keyword arguments."""
    return cycle_consistency_loss(
        embeddings,
        frame_indices=frame_indices,
        sequence_lengths=sequence_lengths,
        loss=CYCLE_BACK_LOSS_OF_METHOD[training.method],
        similarity=training.similarity,
        temperature=training.temperature,
        variance_weight=training.variance_weight,
        variance_floor=training.variance_floor,
        label_smoothing=training.label_smoothing,
        normalize_indices=training.normalize_indices,
        normalize_embeddings=training.normalize_embeddings,
    )


def mean_squared_weights(variables) -> tf.Tensor:
    """Mean over the variables of each one's sum of squares. The mean, not the sum, is what the reference adds."""
    return tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables]) / float(len(variables))


def _tensors(batch: Batch) -> Tuple[Any, ...]:
    masks = tuple(tf.constant(mask) for mask in batch.dropout_masks)
    return tf.constant(batch.inputs), tf.constant(batch.frame_indices), tf.constant(batch.sequence_lengths), masks


def _as_floats(terms: Dict[str, tf.Tensor]) -> Dict[str, float]:
    return {name: float(np.asarray(value)) for name, value in terms.items()}
