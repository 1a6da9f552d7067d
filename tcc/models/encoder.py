"""Backbone and embedder together: context windows of frames, or of features, -> embeddings."""

from __future__ import annotations

from typing import Dict, List, Optional, Sequence

import tensorflow as tf

from tcc.config import check_choice
from tcc.errors import ShapeError
from tcc.models.backbone import Backbone, pool_to_grid
from tcc.models.embedder import Embedder
from tcc.shapes import check_rank


class Encoder(tf.Module):
    """What training changes and embedding uses.

    Args of the constructor:
      backbone: turns frames into features; None where the features come ready.
      embedder: turns context windows of features into embeddings.
      trained: frozen, batch_norm or all: what of the backbone is trained. A frozen backbone runs in inference mode; in
        training the others normalize by the batch's own statistics, as the reference.
      grid: features are average-pooled to grid x grid cells before the embedder; None: they stay as they are.
    """

    def __init__(
        self,
        backbone: Optional[Backbone],
        embedder: Embedder,
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
        dtype: tf.DType = tf.float32,
        normalize: bool = True,
    ) -> tf.Tensor:
        """Embeddings of context windows.

        Args:
          inputs: with a backbone frames [N, num_context_frames, H, W, 3], RGB, uint8 or float in 0..255; without one
            features [N, num_context_frames, h, w, C].
          training: see `Embedder`; the backbone follows where it is trained.
          dropout_masks: see `Embedder`.
          dtype: what the backbone and the convolutions of the embedder compute in.
          normalize: divide by the L2 norm where config.normalize of the embedder says so; False: in no case.
        Returns: float32 [N, D].
        Raises: ShapeError if the inputs do not fit.
        """
        features = inputs if self.backbone is None else self._features(self.backbone, inputs, training, dtype)
        embeddings = self.embedder(features, training=training, dropout_masks=dropout_masks, dtype=dtype)
        if not (normalize and self.embedder.config.normalize):
            return embeddings
        return tf.math.l2_normalize(embeddings, axis=-1, epsilon=1e-12)

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

    def _features(self, backbone: Backbone, frames: tf.Tensor, training: bool, dtype) -> tf.Tensor:
        check_rank("frames", frames, 5, axes="N context H W 3")
        images = tf.reshape(frames, [-1, *frames.shape[2:]])
        features = backbone(images, training=training and self.trained != "frozen", dtype=dtype)
        if self.trained == "frozen":
            features = tf.stop_gradient(features)
        if self.grid is not None:
            features = pool_to_grid(tf.cast(features, tf.float32), self.grid)
        return tf.reshape(features, [-1, frames.shape[1], *features.shape[1:]])
