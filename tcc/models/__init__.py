"""Networks: backbone (frame -> features), embedder (context window -> embedding), and both together."""

from tcc.models.backbone import Backbone, build_backbone, pool_to_grid
from tcc.models.embedder import Embedder, draw_dropout_masks
from tcc.models.encoder import Encoder

__all__ = ["Backbone", "Embedder", "Encoder", "build_backbone", "draw_dropout_masks", "pool_to_grid"]
