"""Networks: backbone (frame -> features), embedder (sequences -> embeddings), and both together."""

from tcc.models.backbone import Backbone, build_backbone, pool_to_grid
from tcc.models.conv_embedder import Embedder
from tcc.models.conv_gru_embedder import ConvGRUEmbedder
from tcc.models.embedder import build_embedder
from tcc.models.embedder_base import SequenceEmbedder, draw_dropout_masks
from tcc.models.encoder import Encoder
from tcc.models.projection_head import ProjectionHead
from tcc.models.transformer_embedder import TransformerEmbedder
from tcc.models.triplet_classifier import TripletClassifier

__all__ = [
    "Backbone",
    "ConvGRUEmbedder",
    "Embedder",
    "Encoder",
    "ProjectionHead",
    "SequenceEmbedder",
    "TransformerEmbedder",
    "TripletClassifier",
    "build_backbone",
    "build_embedder",
    "draw_dropout_masks",
    "pool_to_grid",
]
