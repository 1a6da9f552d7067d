"""An HTML file that needs nothing else, neither network nor script."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Union

from tcc.errors import TargetError
from tcc.report.markup import Html, escape
from tcc.report.style import SCRIPT, STYLE

TIMING_BEGINS = "<!-- timing block begins -->"
TIMING_ENDS = "<!-- timing block ends -->"


def write_document(path: Union[str, Path], title: str, body: Html) -> None:
    """Write a page with this title and body; the file is absent or whole."""
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    # File names may be no UTF-8.
    temporary.write_text(_document(title, body), encoding="utf-8", errors="backslashreplace")
    os.replace(temporary, path)


def without_timing(html: str) -> str:
    """The page without the block that may differ when the same result is made again.

    Raises: TargetError if the block is not there.
    """
    before, begins, rest = html.partition(TIMING_BEGINS)
    _, ends, after = rest.partition(TIMING_ENDS)
    if not (begins and ends):
        raise TargetError("the report has no whole timing block: it is damaged; delete its folder and run again")
    return before + after


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
