"""The reference's training step and embeddings in Keras: ResNet50V2 to conv4_block3_out, 3-D embedder, TCC, Adam.

Layers are named as ours, so that weights can be taken over. Only benchmarks use it; tcc has no Keras.
"""

from __future__ import annotations

from typing import Any, Dict

import tensorflow as tf

layers = tf.keras.layers


class KerasReference:
    """Model, loss and optimizer of the reference's defaults.

    Args:
      trained: batch_norm: the backbone's batch norms are trained and use the batch's statistics; frozen: it is inference.
      learning_rate, weight_decay, variance_weight, temperature: of the training.
    """

    def __init__(
        self,
        *,
        trained: str,
        image_pixels: int,
        learning_rate: float = 1e-4,
        weight_decay: float = 1e-5,
        variance_weight: float = 0.001,
        temperature: float = 0.1,
    ):
        self.trains_backbone = trained == "batch_norm"
        self.weight_decay, self.variance_weight, self.temperature = weight_decay, variance_weight, temperature
        whole = tf.keras.applications.ResNet50V2(
            include_top=False, weights=None, pooling=None, input_shape=(image_pixels, image_pixels, 3)
        )
        self.backbone = tf.keras.Model(whole.input, whole.get_layer("conv4_block3_out").output)
        for layer in self.backbone.layers:
            layer.trainable = self.trains_backbone and isinstance(layer, layers.BatchNormalization)
        self.convs = [layers.Conv3D(512, 3, padding="same", name=f"emb_conv{i}") for i in range(2)]
        self.norms = [layers.BatchNormalization(name=f"emb_bn{i}") for i in range(2)]
        self.pool = layers.GlobalMaxPooling3D()
        self.denses = [layers.Dense(512, activation="relu", name=f"emb_fc{i}") for i in range(2)]
        self.output = layers.Dense(128, name="emb_out0")
        self.optimizer = tf.keras.optimizers.Adam(learning_rate=learning_rate)
        side = image_pixels // 16
        self._embed(tf.zeros([1, 2, side, side, 1024]))
        self.step = tf.function(self._step)

    def assign(self, values: Dict[str, Any]) -> None:
        """Take over the weights of an encoder, by "<layer>/<weight>"."""
        used = set()
        for layer in [*self.backbone.layers, *self.convs, *self.norms, *self.denses, self.output]:
            for weight in layer.weights:
                key = f"{layer.name}/{weight.name.split('/')[-1].split(':')[0]}"
                weight.assign(values[key])
                used.add(key)
        left = set(values) - used
        if left:
            raise ValueError(f"weights that Keras has no place for: {sorted(left)}")

    def embed(self, windows):
        """Embeddings [N, D] of windows uint8 [N, 2, H, W, 3], eagerly, as the reference's evaluation makes them."""
        frames = tf.cast(windows, tf.float32) / 127.5 - 1
        features = self.backbone(tf.reshape(frames, [-1, *frames.shape[2:]]), training=False)
        return self._embed(tf.reshape(features, [*frames.shape[:2], *features.shape[1:]]))

    def _step(self, frames, frame_indices, sequence_lengths):
        """frames: float32 [B, T, 2, H, W, 3] in [-1, 1]. Returns the loss without regularization."""
        with tf.GradientTape() as tape:
            embeddings = self._embeddings(frames)
            loss = self._cycle_loss(embeddings, frame_indices, sequence_lengths)
            total = loss + self.weight_decay * self._regularization()
        variables = self._trained()
        self.optimizer.apply_gradients(zip(tape.gradient(total, variables), variables))
        return loss

    def _embeddings(self, frames):
        num_clips, num_frames = frames.shape[:2]
        images = tf.reshape(frames, [-1, *frames.shape[3:]])
        features = self.backbone(images, training=self.trains_backbone)
        windows = tf.reshape(features, [num_clips * num_frames, 2, *features.shape[1:]])
        return tf.reshape(self._embed(windows, training=True), [num_clips, num_frames, -1])

    def _embed(self, windows, training=False):
        for conv, norm in zip(self.convs, self.norms):
            windows = tf.nn.relu(norm(conv(windows), training=training))
        hidden = self.pool(windows)
        for dense in self.denses:
            hidden = dense(hidden)
        return self.output(hidden)

    def _cycle_loss(self, embeddings, frame_indices, sequence_lengths):
        """regression_mse_var over every ordered pair of sequences."""
        times = tf.cast(frame_indices, tf.float32) / tf.cast(sequence_lengths, tf.float32)[:, tf.newaxis]
        num_clips = embeddings.shape[0]
        pairs = [(i, j) for i in range(num_clips) for j in range(num_clips) if i != j]
        costs = [self._cycle_cost(embeddings[i], embeddings[j], times[i]) for i, j in pairs]
        return tf.reduce_mean(tf.concat(costs, axis=0))

    def _cycle_cost(self, start, other, times):
        there = tf.matmul(tf.nn.softmax(self._similarity(start, other)), other)
        back = tf.nn.softmax(self._similarity(there, start))
        mean = tf.reduce_sum(back * times, axis=1)
        variance = tf.reduce_sum(back * tf.square(times - mean[:, tf.newaxis]), axis=1)
        log_variance = tf.math.log(variance)
        return tf.exp(-log_variance) * tf.square(times - mean) + self.variance_weight * log_variance

    def _similarity(self, a, b):
        distances = tf.reduce_sum(tf.square(a[:, tf.newaxis] - b[tf.newaxis]), axis=-1)
        return -distances / (a.shape[-1] * self.temperature)

    def _regularization(self):
        regularized = [*self.convs, *self.denses, self.output]
        variables = [variable for layer in regularized for variable in layer.trainable_variables]
        return tf.add_n([tf.reduce_sum(tf.square(variable)) for variable in variables]) / len(variables)

    def _trained(self):
        own = [*self.convs, *self.norms, *self.denses, self.output]
        return self.backbone.trainable_variables + [one for layer in own for one in layer.trainable_variables]
