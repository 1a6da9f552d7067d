"""The fonts of the report's text and of its figures."""

from __future__ import annotations

FONTS = "-apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
