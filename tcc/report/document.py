"""An HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Union

from tcc.report.markup import Html, escape
from tcc.report.style import SCRIPT, STYLE


def write_document(path: Union[str, Path], title: str, body: Html) -> None:
    """Write a page with this title and body; the file is absent or whole."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    # File names may be no UTF-8.
    temporary.write_text(_document(title, body), encoding="utf-8", errors="backslashreplace")
    os.replace(temporary, path)


def _document(title: str, body: Html) -> str:
    # The browser itself then refuses whatever is not in this file.
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode("ascii")
    policy = (
        f"default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
{body}
<script>{SCRIPT}</script>
</body>
</html>
"""
