"""HTML from Python's values: what is not `Html` is escaped."""

from __future__ import annotations

import base64
import html
from typing import Any, Iterable, Sequence


class Html(str):
    """Text that is HTML already."""


def escape(value: Any) -> Html:
    """`value` as HTML: unchanged if it is `Html`, else its text with &, <, >, quotes escaped."""
    return value if isinstance(value, Html) else Html(html.escape(str(value)))


def join(parts: Iterable[Any], separator: str = "") -> Html:
    """Several values one after another."""
    return Html(separator.join(escape(part) for part in parts))


def element(name: str, *content: Any, **attributes: Any) -> Html:
    """<name attributes>content</name>. An attribute `class_` is written class, `tab_index` tab-index; None leaves it out."""
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


def table(caption: Any, columns: Sequence[Any], rows: Iterable[Sequence[Any]], *, class_: str = "") -> Html:
    """A table whose first column names the rows; it scrolls sideways on a narrow screen, also by keyboard."""
    head = element("tr", *(element("th", column, scope="col") for column in columns))
    body = [element("tr", element("th", row[0], scope="row"), *(number_cell(cell) for cell in row[1:])) for row in rows]
    whole = element(
        "table", element("caption", caption), element("thead", head), element("tbody", *body), class_=class_ or None
    )
    return scrollable(whole, label=caption)


def number_cell(value: Any) -> Html:
    """A cell; numbers stand at the right."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return element("td", value, class_="number" if is_number else None)


def scrollable(content: Html, *, label: Any) -> Html:
    """A box that scrolls sideways and can be reached by keyboard."""
    return element("div", content, class_="scroll", role="region", tabindex=0, aria_label=label)


def figure(picture: Html, caption: Any) -> Html:
    """A picture or video with its caption."""
    return element("figure", picture, element("figcaption", caption))


def svg_image(svg: str, *, alternative: str) -> Html:
    """An SVG as an image of its own: its ids and fonts meet nobody else's."""
    return Html(f'<img src="{data_uri("image/svg+xml", svg.encode())}" alt="{html.escape(alternative)}">')


def data_uri(mime: str, content: bytes) -> str:
    """`content` as an address that holds it."""
    return f"data:{mime};base64,{base64.b64encode(content).decode('ascii')}"
