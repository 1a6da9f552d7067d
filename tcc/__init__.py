"""Self-supervised alignment of videos of a repeated action. Importing does nothing; see docs/architecture.md."""

__version__ = "0.1.0"
