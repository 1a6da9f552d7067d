"""The table of metrics: a row for each, the model beside its baselines, nothing undefined passed over in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from tcc.report.markup import Html, element, escape, paragraph, scrollable, table_caption

Metrics = Mapping[str, Mapping[str, Any]]
MODEL = "model"
_EXAMPLES_SHOWN = 3


class MetricText(NamedTuple):
    """How a metric is presented; `better`: higher, lower, or empty where nobody said which."""

    title: str
    explanation: str
    better: str = "higher"
    unit: str = ""


METRIC_TEXTS = {
    "phase_classification": MetricText("Phase classification", "accuracy of an SVM on single frames"),
    "linear_classification": MetricText("Linear classification", "accuracy of a logistic regression on single frames"),
    "few_shot_classification": MetricText("Few-shot classification", "the same from few labelled clips"),
    "phase_progression": MetricText("Phase progression", "R² of a linear regression of the time to key events"),
    "retrieval": MetricText("Retrieval", "nearest frames of all other clips that show the same phase"),
    "kendalls_tau": MetricText("Kendall's tau", "order of time kept by nearest neighbors, −1 to 1"),
    "phase_agreement": MetricText("Phase agreement", "nearest neighbors in other clips that lie in the same phase"),
    "boundary_transfer": MetricText(
        "Boundary transfer", "median error of phase boundaries carried to another clip; lower is better", "lower", " s"
    ),
    "alignment": MetricText(
        "Alignment", "mean error of the true progress of nearest neighbors; lower is better", "lower"
    ),
    "collapse": MetricText("Not collapsed", "how evenly nearest neighbors spread over frames; near 0 is collapsed", ""),
}
COLUMN_TEXTS = {
    MODEL: "this model",
    "features_pool": "pooled",
    "features_grid": "grid",
    "features_grid_pca": "grid, PCA",
    "features_grid_centered_pca": "grid, centered, PCA",
    "clock_index": "frame index",
    "clock_length": "index / length",
}
_GROUPS = (("features_", "frozen features, untrained"), ("clock_", "clock"))


@dataclass(frozen=True)
class Cell:
    """One number of the table, or the reason why there is none; `left_out` is what the number does not cover."""

    value: Optional[float]
    left_out: Tuple[Mapping[str, str], ...] = ()
    interval: Optional[Sequence[float]] = None


@dataclass(frozen=True)
class Row:
    """One metric: its text and a cell for each column that has it."""

    text: MetricText
    cells: Mapping[str, Cell]
    rests_on: str = ""


def metric_rows(metrics: Metrics) -> List[Row]:
    """The rows in reading order: the known metrics, each with its variant on trimmed clips, then others by name."""
    names = [name for name in METRIC_TEXTS if name in metrics] + sorted(set(metrics) - set(METRIC_TEXTS))
    rows = []
    for name in names:
        result = metrics[name]
        text = METRIC_TEXTS.get(name, MetricText(name.replace("_", " ").capitalize(), "", better=""))
        subjects = {MODEL: result, **result.get("baselines", {})}
        rows.append(Row(text, {key: _cell(name, subject) for key, subject in subjects.items()}, _rests_on(result)))
        trimmed = {
            key: _details(subject)["trimmed"] for key, subject in subjects.items() if "trimmed" in _details(subject)
        }
        if trimmed:
            cells = {key: _cell(name, subject) for key, subject in trimmed.items()}
            rows.append(Row(_trimmed_text(text, next(iter(trimmed.values()))), cells))
    return rows


def count_undefined(metrics: Metrics) -> int:
    """How many metrics have no value for the model."""
    return sum(1 for result in metrics.values() if result.get("value") is None)


def metrics_table(metrics: Metrics) -> Tuple[Html, Html]:
    """The table, and the notes that belong under it."""
    if not metrics:
        return paragraph("No metric was evaluated.", class_="warning"), Html("")
    rows = metric_rows(metrics)
    columns = _columns(rows)
    notes = _Notes(columns)
    body = element("tbody", *(_row(row, columns, notes) for row in rows))
    splits = sorted({str(result.get("split")) for result in metrics.values()})
    caption = f"Metrics on the {' and '.join(splits)} split, beside the same metrics of what was not trained"
    table = element("table", table_caption(caption), *_head(columns), body, class_="metrics")
    protocols = sorted({str(result["protocol"]) for result in metrics.values() if result.get("protocol")})
    below = element("div", paragraph(_remarks(columns, protocols)), notes.as_list(), class_="notes")
    return scrollable(table, label=caption), below


def _cell(name: str, subject: Mapping[str, Any]) -> Cell:
    left_out = tuple({**entry, "reason": _without(name, entry)} for entry in subject.get("undefined") or ())
    return Cell(subject.get("value"), left_out, subject.get("interval"))


def _without(name: str, entry: Mapping[str, str]) -> str:
    """The reason without the metric's name before it, which the row has already."""
    reason = str(entry.get("reason", ""))
    return reason[len(name) + 2 :] if reason.startswith(f"{name}: ") else reason


def _details(subject: Mapping[str, Any]) -> Mapping[str, Any]:
    return subject.get("details") or {}


def _rests_on(result: Mapping[str, Any]) -> str:
    counted = str(_details(result).get("count_of", "")).split(",")[0]
    if not result.get("count"):
        return ""
    videos = _details(result).get("value_at_videos")
    with_videos = f"{videos} labelled clips, " if videos else ""
    return f"{with_videos}{result['count']:,} {counted}" if counted else f"{with_videos}n = {result['count']:,}"


def _trimmed_text(text: MetricText, trimmed: Mapping[str, Any]) -> MetricText:
    start, end = trimmed.get("trim_start_seconds"), trimmed.get("trim_end_seconds")
    cut = "the same, clips cut at random"
    if start is not None and end is not None:
        cut += f" by up to {start:g} s at the start, {end:g} s at the end"
    return text._replace(title=f"{text.title}, trimmed", explanation=cut)


def _columns(rows: Sequence[Row]) -> List[str]:
    present = {name for row in rows for name in row.cells}
    return [name for name in COLUMN_TEXTS if name in present] + sorted(present - set(COLUMN_TEXTS))


def _head(columns: Sequence[str]) -> List[Html]:
    """Two lines: groups of columns, then columns. Column groups tell screen readers which belong together."""
    groups: List[Tuple[str, List[str]]] = []
    for name in columns:
        title = next((title for prefix, title in _GROUPS if name.startswith(prefix)), "")
        if groups and groups[-1][0] == title:
            groups[-1][1].append(name)
        else:
            groups.append((title, [name]))
    spans = [element("colgroup", span=count) for count in (1, *(len(members) for _, members in groups))]
    upper = [
        element("th", title, scope="colgroup", colspan=len(members)) if title else _blank(len(members))
        for title, members in groups
    ]
    lower = [element("th", "metric", scope="col")] + [
        element("th", _column_title(name), scope="col", class_=_column_class(name)) for name in columns
    ]
    return [*spans, element("thead", element("tr", _blank(1), *upper), element("tr", *lower))]


def _blank(span: int) -> Html:
    return element("td", colspan=span if span > 1 else None)


def _row(row: Row, columns: Sequence[str], notes: _Notes) -> Html:
    small = [part for part in (row.text.explanation, row.rests_on) if part]
    head = element("th", element("b", row.text.title), element("small", "; ".join(small)), scope="row")
    reasons = {_why(cell) for cell in row.cells.values()}
    if all(cell.value is None for cell in row.cells.values()) and len(reasons) == 1:
        return element("tr", head, element("td", _undefined(reasons.pop()), colspan=len(columns), class_="undefined"))
    best = _best(row)
    return element("tr", head, *(_table_cell(row, name, name in best, notes) for name in columns))


def _table_cell(row: Row, name: str, is_best: bool, notes: _Notes) -> Html:
    cell = row.cells.get(name)
    if cell is None:
        return element("td", "not measured", class_="undefined")
    if cell.value is None:
        mark = notes.mark(_why(cell), row.text.title, name)
        return element("td", element("span", "undefined", class_="undefined"), mark, class_=_column_class(name))
    shown = escape(_number(row.text, cell.value))
    parts = [element("strong", shown) if is_best else shown]
    if cell.left_out:
        parts.append(notes.mark(_what_was_left_out(cell), row.text.title, name))
    if cell.interval:
        parts.append(element("span", _interval(row.text, cell), class_="interval"))
    if is_best:
        parts.append(element("span", "best", class_="best"))
    return element("td", *parts, class_=_column_class(name))


def _interval(text: MetricText, cell: Cell) -> str:
    """The interval as plus or minus, where the value is in its middle; else both ends."""
    low, high = cell.interval or (0.0, 0.0)
    if abs((low + high) / 2 - (cell.value or 0.0)) < 5e-4:
        return f"± {_number(text, (high - low) / 2)}"
    return f"{_number(text, low)} to {_number(text, high)}"


def _column_title(name: str) -> str:
    return COLUMN_TEXTS.get(name, name)


def _column_class(name: str) -> Optional[str]:
    return MODEL if name == MODEL else None


def _number(text: MetricText, value: float) -> str:
    digits = 2 if text.unit == " s" else 3
    # A rounded -0.0 would look like a finding.
    return f"{round(value, digits) + 0.0:.{digits}f}{text.unit}".replace("-", "−")


def _best(row: Row) -> List[str]:
    """The columns with the best number as shown; none where all are alike, or alone."""
    if not row.text.better:
        return []
    sign = -1 if row.text.better == "lower" else 1
    shown = {
        name: sign * round(cell.value, 3 - bool(row.text.unit))
        for name, cell in row.cells.items()
        if cell.value is not None
    }
    best = [name for name, value in shown.items() if value == max(shown.values())]
    return best if len(best) < len(shown) else []


def _undefined(reason: str) -> str:
    return reason if reason.startswith("skipped") else f"undefined: {reason}"


def _why(cell: Cell) -> str:
    """Why a cell has no value: its reasons, each once."""
    reasons = list(dict.fromkeys(entry.get("reason", "") for entry in cell.left_out))
    return "; ".join(reasons[:_EXAMPLES_SHOWN]) or "no reason was recorded"


def _what_was_left_out(cell: Cell) -> str:
    """What a value does not cover: each reason with how often and for what."""
    groups: Dict[str, List[str]] = {}
    for entry in cell.left_out:
        groups.setdefault(entry.get("reason", ""), []).append(entry.get("what", ""))
    parts = []
    for reason, whats in groups.items():
        more = f" and {len(whats) - _EXAMPLES_SHOWN} more" if len(whats) > _EXAMPLES_SHOWN else ""
        parts.append(f"{len(whats)} left out, {reason} ({', '.join(whats[:_EXAMPLES_SHOWN])}{more})")
    return "; ".join(parts)


class _Notes:
    """Notes under the table; equal notes have one number."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._subjects: Dict[str, Dict[str, List[str]]] = {}  # note -> metric -> columns

    def mark(self, note: str, metric: str, column: str) -> Html:
        self._subjects.setdefault(note, {}).setdefault(metric, []).append(column)
        number = list(self._subjects).index(note) + 1
        link = element("a", number, href=f"#note-{number}", aria_label=f"note {number}")
        return element("sup", link)

    def as_list(self) -> Html:
        if not self._subjects:
            return Html("")
        items = [
            element("li", f"{self._name(subjects)}: {note}.", id=f"note-{number}")
            for number, (note, subjects) in enumerate(self._subjects.items(), start=1)
        ]
        return element("ol", *items)

    def _name(self, subjects: Mapping[str, Sequence[str]]) -> str:
        named = []
        for metric, columns in subjects.items():
            everywhere = list(columns) == list(self._columns)
            named.append(f"{metric} ({'all columns' if everywhere else ', '.join(map(_column_title, columns))})")
        return "; ".join(named)


def _remarks(columns: Sequence[str], protocols: Sequence[str]) -> str:
    parts = []
    if any(name.startswith("clock_") for name in columns):
        parts.append(
            "A clock knows a frame's number and nothing of the picture. Where clips have similar tempo it does well on "
            "Kendall's tau and phase progression; clips cut at random (trimmed) take that help away."
        )
    if columns and not any(name.startswith("features_") for name in columns):
        parts.append("There is no column of frozen features: this run has none stored.")
    if protocols:
        parts.append(f"Protocols: {', '.join(protocols)}. ±: 95 % interval.")
    return " ".join(parts)
