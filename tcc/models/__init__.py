"""Networks: backbone (frame -> features), embedder (context window -> embedding), and both together."""

from tcc.models.backbone import Backbone, build_backbone, pool_to_grid
from tcc.models.embedder import Embedder, draw_dropout_masks
from tcc.models.encoder import Encoder
from tcc.models.projection_head import ProjectionHead
from tcc.models.triplet_classifier import TripletClassifier

__all__ = [
    "Backbone",
    "Embedder",
    "Encoder",
    "ProjectionHead",
    "TripletClassifier",
    "build_backbone",
    "draw_dropout_masks",
    "pool_to_grid",
]
