"""HTML from Python's values: what is not `Html` is escaped."""

from __future__ import annotations

import base64
import html
from typing import Any, Iterable, Optional, Sequence

LONGEST_OPEN_TABLE = 12  # rows
CHART = '<img src="data:image/svg+xml;base64,'  # how each chart begins


class Html(str):
    """Text that is HTML already."""


class Number(str):
    """A number as it is to be shown; it stands at the right of its column."""


def escape(value: Any) -> Html:
    """`value` as HTML: unchanged if it is `Html`, else its text with &, <, >, quotes escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[Any], separator: str = "") -> Html:
    """Several values one after another."""
    return Html(separator.join(escape(part) for part in parts))


def element(name: str, *content: Any, **attributes: Any) -> Html:
    """<name attributes>content</name>. `class_` is written class, `aria_label` aria-label; None leaves it out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>{join(content)}</{name}>")


def paragraph(*content: Any, **attributes: Any) -> Html:
    """A paragraph."""
    return element("p", *content, **attributes)


def section(identifier: str, title: str, *content: Any) -> Html:
    """A section with a heading that names it for screen readers, too."""
    heading = element("h2", title, id=f"{identifier}-title")
    return element("section", heading, *content, id=identifier, aria_labelledby=f"{identifier}-title")


def table(caption: Any, columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Html:
    """A table whose first column names the rows; it scrolls sideways on a narrow screen, also by keyboard."""
    rows = list(rows)
    numeric = [any(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    head = [
        element("th", name, scope="col", class_=_class(right)) for name, right in zip(columns, [False, *numeric[1:]])
    ]
    body = [
        element(
            "tr", element("th", row[0], scope="row"), *(element("td", c, class_=_class(_is_number(c))) for c in row[1:])
        )
        for row in rows
    ]
    parts = (table_caption(caption), element("thead", element("tr", *head)), element("tbody", *body))
    return scrollable(element("table", *parts), label=caption)


def foldable(
    caption: str, columns: Sequence[Any], rows: Sequence[Sequence[Any]], *, longest_open: int = LONGEST_OPEN_TABLE
) -> Html:
    """A table; a long one is folded behind its caption."""
    made = table(caption, columns, rows)
    if len(rows) <= longest_open:
        return made
    return element("details", element("summary", caption), made)


def table_caption(text: Any) -> Html:
    """What a table shows."""
    return element("caption", element("span", text))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, Number)) and not isinstance(value, bool)


def _class(is_number: bool) -> Optional[str]:
    return "number" if is_number else None


def scrollable(content: Html, *, label: Any) -> Html:
    """A box that scrolls sideways and can be reached by keyboard."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)


def figure(picture: Html, caption: Any) -> Html:
    """A picture or video with its caption."""
    return element("figure", picture, element("figcaption", caption))


def svg_image(svg: str, *, alternative: str) -> Html:
    """An SVG as an image of its own: its ids and fonts meet nobody else's."""
    return Html(f'{CHART}{base64.b64encode(svg.encode()).decode("ascii")}" alt="{html.escape(alternative)}">')


def plural(word: str, count: int) -> str:
    """The word as it stands behind this number."""
    return word if count == 1 else f"{word}s"


def data_uri(mime: str, content: bytes) -> str:
    """`content` as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
