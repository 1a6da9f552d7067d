"""Pretrained weights: which files are known, and how they are written, checked and read. No TensorFlow."""

from tcc.weights.files import check_sha256, load, load_into, save, sha256_of
from tcc.weights.h5 import is_keras_file, load_keras
from tcc.weights.registry import Published, find_published, published, shipped_path, shipped_sha256

__all__ = [
    "Published",
    "check_sha256",
    "find_published",
    "is_keras_file",
    "load",
    "load_into",
    "load_keras",
    "published",
    "save",
    "sha256_of",
    "shipped_path",
    "shipped_sha256",
]
