"""Pretrained weights: which files are shipped, and how they are written, checked and read. No TensorFlow."""

from tcc.weights.files import check_sha256, load, load_into, save, sha256_of
from tcc.weights.registry import shipped_path, shipped_sha256

__all__ = ["check_sha256", "load", "load_into", "save", "sha256_of", "shipped_path", "shipped_sha256"]
