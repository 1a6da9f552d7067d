"""Backbone and embedder together: sequences of context windows of frames, or of features, -> embeddings."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence

import numpy as np
import tensorflow as tf

from tcc.config import check_choice
from tcc.errors import ShapeError
from tcc.models.backbone import Backbone, pool_to_grid
from tcc.models.embedder_base import SequenceEmbedder
from tcc.shapes import check_rank

# A zero vector stays zero when it is divided by its norm.
_SMALLEST_SQUARE = 1e-12


class Encoder(tf.Module):
    """What training changes and embedding uses.

    Args of the constructor:
      backbone: turns frames into features; None where the features come ready.
      embedder: turns sequences of context windows of features into embeddings; see `build_embedder`.
      trained: frozen, batch_norm or all: what of the backbone is trained. A frozen backbone runs in inference mode; in
        training the others normalize by the batch's own statistics, as the reference.
      grid: features are average-pooled to grid x grid cells before the embedder; None: they stay as they are.
    """

    def __init__(
        self,
        backbone: Optional[Backbone],
        embedder: SequenceEmbedder,
        *,
        trained: str = "frozen",
        grid: Optional[int] = None,
    ):
        super().__init__(name="encoder")
        check_choice("trained", trained, ("frozen", "batch_norm", "all"))
        if backbone is not None and backbone.feature_channels != embedder.feature_channels:
            raise ShapeError(
                f"embedder: expects {embedder.feature_channels} feature channels, "
                f"the backbone {backbone.name_} gives {backbone.feature_channels}; build it with those"
            )
        self.backbone = backbone
        self.embedder = embedder
        self.trained = trained
        self.grid = grid

    def __call__(
        self,
        inputs: tf.Tensor,
        *,
        training: bool = False,
        dropout_masks: Sequence[tf.Tensor] = (),
        frame_mask: Optional[tf.Tensor] = None,
        dtype: tf.DType = tf.float32,
        normalize: bool = True,
    ) -> tf.Tensor:
        """Embeddings of whole sequences.

        Args:
          inputs: with a backbone frames [B, T, num_context_frames, H, W, 3], RGB, uint8 or float in 0..255; without one
            features [B, T, num_context_frames, h, w, C].
          training: see `SequenceEmbedder`; the backbone follows where it is trained.
          dropout_masks, frame_mask: see `SequenceEmbedder`.
          dtype: what the backbone and the costly part of the embedder compute in; see `SequenceEmbedder`.
          normalize: divide by the L2 norm where config.normalize of the embedder says so; False: in no case.
        Returns: float32 [B, T, D].
        Raises: ShapeError if the inputs do not fit.
        """
        features = inputs
        if self.backbone is not None:
            check_rank("frames", inputs, 6, axes="B T context H W 3")
            of_frames = self._features(self.backbone, tf.reshape(inputs, [-1, *inputs.shape[3:]]), training, dtype)
            features = tf.reshape(of_frames, [-1, *inputs.shape[1:3], *of_frames.shape[1:]])
        embeddings = self.embedder(
            features, training=training, dropout_masks=dropout_masks, frame_mask=frame_mask, dtype=dtype
        )
        if not (normalize and self.embedder.config.normalize):
            return embeddings
        return tf.math.l2_normalize(embeddings, axis=-1, epsilon=_SMALLEST_SQUARE)

    def frame_part(self, frames: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """All that is done to a frame before its context comes in, outside training: the backbone, and what the embedder can.

        Args:
          frames: [N, H, W, 3]; without a backbone features [N, h, w, C].
          dtype: see a call.
        Returns: [N, ...], for `windows_part`.
        """
        features = frames
        if self.backbone is not None:
            features = self._features(self.backbone, frames, training=False, dtype=dtype)
        return self.embedder.frame_part(features, dtype=dtype)

    def windows_part(self, windows: tf.Tensor, *, dtype: tf.DType = tf.float32) -> tf.Tensor:
        """The part of an embedding that each frame has by itself.

        Args:
          windows: `frame_part` of each frame's context frames [N, num_context_frames, ...].
          dtype: see a call.
        Returns: float32 [N, W]; `clip_function` makes embeddings of those of a clip.
        """
        return self.embedder.windows_part(windows, dtype=dtype)

    def clip_function(self, *, dtype: tf.DType = tf.float32) -> Callable[[np.ndarray], np.ndarray]:
        """From the `windows_part` of all frames of a clip [T, W] to its embeddings [T, D], for any T."""
        over_time = self.embedder.clip_function(dtype=dtype)
        if not self.embedder.config.normalize:
            return over_time
        return lambda vectors: _l2_normalized(over_time(vectors))

    def named_variables(self) -> Dict[str, tf.Variable]:
        """Every variable by its key "<layer>/<weight>"; the backbone's first."""
        own = {} if self.backbone is None else self.backbone.named_variables()
        return {**own, **self.embedder.named_variables()}

    def trained_variables(self) -> List[tf.Variable]:
        """What the optimizer may change, in a stable order: the backbone's part, then the embedder's."""
        own = [] if self.backbone is None else self.backbone.trained_variables(self.trained)
        return own + self.embedder.trained_variables()

    def regularized_variables(self) -> List[tf.Variable]:
        """Those of the embedder; the backbone has none, as the reference."""
        return self.embedder.regularized_variables()

    def _features(self, backbone: Backbone, frames: tf.Tensor, training: bool, dtype: tf.DType) -> tf.Tensor:
        features = backbone(frames, training=training and self.trained != "frozen", dtype=dtype)
        if self.trained == "frozen":
            features = tf.stop_gradient(features)
        return features if self.grid is None else pool_to_grid(tf.cast(features, tf.float32), self.grid)


def _l2_normalized(embeddings: np.ndarray) -> np.ndarray:
    squares = np.sum(np.square(embeddings), axis=-1, keepdims=True)
    return embeddings / np.sqrt(np.maximum(squares, np.float32(_SMALLEST_SQUARE)))
