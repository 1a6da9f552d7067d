"""The table of metrics: a row for each, the model beside its baselines, nothing undefined passed over in silence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from tcc.config import LOWER_IS_BETTER
from tcc.report.markup import Html, Number, element, escape, paragraph, scrollable, table, table_caption

Metrics = Mapping[str, Mapping[str, Any]]
MODEL = "model"
SUPERVISED = "supervised"  # the same network trained with labels: nothing that a model without them must beat
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
    "few_shot_classification": MetricText("Few-shot classification", "accuracy of an SVM from few labelled clips"),
    "phase_progression": MetricText("Phase progression", "R² of a linear regression of the time to key events"),
    "kendalls_tau": MetricText("Kendall's tau", "order of time kept by nearest neighbors, −1 to 1"),
    "retrieval": MetricText("Retrieval", "nearest frames of all other clips that lie in the same phase"),
    "phase_agreement": MetricText("Phase agreement", "nearest neighbors in other clips that lie in the same phase"),
    "boundary_transfer": MetricText(
        "Boundary transfer", "median error of phase boundaries carried to another clip; lower is better", "lower", " s"
    ),
    "alignment": MetricText(
        "Alignment", "mean error of the progress that nearest neighbors carry over; lower is better", "lower"
    ),
}
COLLAPSE = "collapse"
COLUMN_TEXTS = {
    MODEL: "this model",
    "untrained": "before training",
    "features_pool": "pooled",
    "features_grid": "grid",
    "features_grid_pca": "grid, PCA",
    "features_grid_centered_pca": "grid, centered, PCA",
    "clock_index": "frame index",
    "clock_length": "index / length",
    SUPERVISED: "trained with labels",
}
_GROUPS = (("features_", "frozen features", "best frozen features"), ("clock_", "clock", "best clock"))
# What of an alignment by one way of matching is told beneath it: key, name, what it is, unit.
_ERRORS = (
    ("time_error_seconds", "time error", "time that is carried over, mean error", " s"),
    ("cycle_error_seconds", "cycle error", "there and back again, mean error", " s"),
)
_MEASURED = ("value", "progress_error", *(key for key, *_ in _ERRORS))
_COLLAPSE_MEANING = (
    "Entropy: 1 where every frame is some frame's nearest neighbor equally often, 0 where one frame is all's."
)
_COLLAPSE_MEASURES = (
    ("neighbor_entropy", "entropy of nearest neighbors"),
    ("embedding_variance", "variance of the embeddings"),
    ("effective_rank", "effective rank"),
    ("undefined_tau_share", "share of pairs without a tau"),
    ("constant_clips", "constant clips"),
)


@dataclass(frozen=True)
class Cell:
    """One number of the table, or the reason why there is none; `left_out` is what the number does not cover."""

    value: Optional[float]
    left_out: Tuple[Mapping[str, str], ...] = ()
    interval: Optional[Sequence[float]] = None


@dataclass(frozen=True)
class Row:
    """One metric: its text and a cell for each column that has it; `part`: only in the table of all columns."""

    metric: str
    text: MetricText
    cells: Mapping[str, Cell]
    rests_on: str = ""
    part: bool = False


@dataclass(frozen=True)
class Column:
    """What stands in one column: of several subjects of a group the best one for each metric."""

    title: str
    subjects: Tuple[str, ...]
    group: str = ""
    class_: Optional[str] = None


def metric_rows(metrics: Metrics, *, collapse: bool = False) -> List[Row]:
    """The rows in reading order: the known metrics, each with its variants (with DTW, on trimmed clips), others by name.

    Args: collapse: with a row for the check for collapse, which has a line of its own in the report.
    """
    present = [name for name in metrics if collapse or name != COLLAPSE]
    names = [name for name in METRIC_TEXTS if name in present] + sorted(set(present) - set(METRIC_TEXTS))
    rows: List[Row] = []
    for name in names:
        result = metrics[name]
        better = "lower" if name in LOWER_IS_BETTER else ""
        text = METRIC_TEXTS.get(name, MetricText(name.replace("_", " ").capitalize(), "", better))
        subjects = {MODEL: result, **result.get("baselines", {})}
        cells = {key: _cell(name, subject) for key, subject in subjects.items()}
        rows += [Row(name, text, cells, _rests_on(result)), *_variants(name, text, subjects)]
    return rows


def count_undefined(metrics: Metrics) -> int:
    """How many metrics have no value for the model."""
    return sum(1 for result in metrics.values() if result.get("value") is None)


def metrics_table(metrics: Metrics) -> Tuple[Html, Html]:
    """The table, and what belongs under it: notes, the check for collapse, the table of all baselines."""
    if not metrics:
        return paragraph("No metric was evaluated.", class_="warning"), Html("")
    rows = metric_rows(metrics)
    subjects = _subjects(rows)
    notes = _Notes(subjects)
    splits = " and ".join(sorted({str(result.get("split")) for result in metrics.values()}))
    caption = f"Metrics on the {splits} split, beside the same of what the model must beat"
    first = _table(caption, [row for row in rows if not row.part], _short_columns(subjects), notes)
    caption = f"Every metric on the {splits} split of every baseline"
    whole = _table(caption, rows, _all_columns(subjects), notes)
    parts = [
        paragraph(*_remarks(subjects, metrics)),
        notes.as_list(),
        *_collapse(metrics.get(COLLAPSE, {})),
        element("details", element("summary", "All baselines, each in its own column"), whole),
    ]
    return first, element("div", *parts, class_="notes")


def _table(caption: str, rows: Sequence[Row], columns: Sequence[Column], notes: _Notes) -> Html:
    body = element("tbody", *(_row(row, columns, notes) for row in rows))
    return scrollable(element("table", table_caption(caption), *_head(columns), body, class_="metrics"), label=caption)


def _variants(name: str, text: MetricText, subjects: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    """The same metric measured in another way, as its details tell."""
    yield from _error_rows(name, text, _variant(subjects, "nearest_neighbor"), "")
    warped = {key: _valued(found) for key, found in _variant(subjects, "dtw").items()}
    if warped:
        title = f"{text.title}, with DTW"
        variant = text._replace(title=title, explanation="the same, frames matched by dynamic time warping")
        yield Row(name, variant, {key: _cell(name, found) for key, found in warped.items()}, _pairs_of(warped))
    yield from _error_rows(name, text, warped, "with DTW, ")
    trimmed = _variant(subjects, "trimmed")
    if trimmed:
        cells = {key: _cell(name, found) for key, found in trimmed.items()}
        yield Row(name, _trimmed_text(text, next(iter(trimmed.values()))), cells)


def _variant(subjects: Mapping[str, Mapping[str, Any]], key: str) -> Dict[str, Mapping[str, Any]]:
    """What the details of each subject have under this key; of several seeds the means of its numbers."""
    found = {}
    for name, subject in subjects.items():
        own = _details(subject).get(key)
        of_seeds = [_details(seed).get(key) or {} for seed in subject.get("seeds", ())]
        if own and len(of_seeds) > 1:
            own = _mean_of_seeds(of_seeds)
        if own:
            found[name] = own
    return found


def _mean_of_seeds(variants: Sequence[Mapping[str, Any]]) -> Dict[str, Any]:
    """The first seed's, with the mean over the seeds in place of each measured number; None where one seed has none."""
    mean = dict(variants[0])
    for key in _MEASURED:
        if key in mean:
            values = [variant[key] for variant in variants if variant.get(key) is not None]
            mean[key] = float(np.mean(values)) if len(values) == len(variants) else None
    mean["undefined"] = [entry for variant in variants for entry in variant.get("undefined") or ()]
    return mean


def _error_rows(name: str, text: MetricText, found: Mapping[str, Mapping[str, Any]], by: str) -> Iterator[Row]:
    for key, short, what, unit in _ERRORS:
        own = {subject: _valued(one, key) for subject, one in found.items() if key in one}
        if own:
            row_text = MetricText(f"{text.title}, {by}{short}", what, "lower", unit)
            yield Row(name, row_text, {subject: _cell(name, one) for subject, one in own.items()}, part=True)


def _valued(variant: Mapping[str, Any], key: str = "progress_error") -> Mapping[str, Any]:
    """A way of matching with what it gives in place of the metric's own value, or with another of its errors."""
    value = variant["value"] if key == "progress_error" and "value" in variant else variant.get(key)
    return {**variant, "value": value}


def _pairs_of(variants: Mapping[str, Mapping[str, Any]]) -> str:
    pairs, in_all = (next(iter(variants.values())).get(key) for key in ("pairs", "pairs_in_all"))
    return f"{pairs:,} of {in_all:,} pairs of clips, drawn" if pairs and in_all and pairs < in_all else ""


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
    parts = []
    if result.get("seeds"):
        parts.append(f"mean over {len(result['seeds'])} seeds")
    if _details(result).get("value_at_videos"):
        parts.append(f"{_details(result)['value_at_videos']} labelled clips")
    if _details(result).get("value_at_frames"):
        parts.append(f"K = {_details(result)['value_at_frames']}")
    if result.get("count"):
        parts.append(f"{result['count']:,} {counted}" if counted else f"n = {result['count']:,}")
    return ", ".join(parts)


def _trimmed_text(text: MetricText, trimmed: Mapping[str, Any]) -> MetricText:
    start, end = trimmed.get("trim_start_seconds"), trimmed.get("trim_end_seconds")
    cut = "the same, clips cut at random"
    if start is not None and end is not None:
        cut += f" by up to {start:g} s at the start, {end:g} s at the end"
    return text._replace(title=f"{text.title}, trimmed", explanation=cut)


def _subjects(rows: Sequence[Row]) -> List[str]:
    """What was measured: the model, the baselines in reading order, last the ceiling."""
    present = {name for row in rows for name in row.cells}
    known = [name for name in COLUMN_TEXTS if name in present and name != SUPERVISED]
    ceiling = [SUPERVISED] if SUPERVISED in present else []
    return known + sorted(present - set(COLUMN_TEXTS)) + ceiling


def _all_columns(subjects: Sequence[str]) -> List[Column]:
    groups = {name: group for name in subjects for prefix, group, _ in _GROUPS if name.startswith(prefix)}
    return [Column(_column_title(name), (name,), groups.get(name, ""), _column_class(name)) for name in subjects]


def _short_columns(subjects: Sequence[str]) -> List[Column]:
    """As all columns, but of each group of baselines one column with its best."""
    columns: List[Column] = []
    for column in _all_columns(subjects):
        prefixes = [prefix for prefix, group, _ in _GROUPS if group == column.group]
        if not prefixes:
            columns.append(column)
        elif not any(column.subjects[0] in one.subjects for one in columns):
            members = tuple(name for name in subjects if name.startswith(prefixes[0]))
            title = next(title for prefix, _, title in _GROUPS if prefix == prefixes[0])
            columns.append(Column(title if len(members) > 1 else column.group, members))
    return columns


def _head(columns: Sequence[Column]) -> List[Html]:
    """Two lines where there are groups of columns: groups, then columns. They tell screen readers which belong together."""
    groups: List[Tuple[str, List[Column]]] = []
    for column in columns:
        if groups and groups[-1][0] == column.group:
            groups[-1][1].append(column)
        else:
            groups.append((column.group, [column]))
    lower = [element("th", "metric", scope="col")] + [
        element("th", column.title, scope="col", class_=column.class_) for column in columns
    ]
    if not any(title for title, _ in groups):
        return [element("thead", element("tr", *lower))]
    spans = [element("colgroup", span=count) for count in (1, *(len(members) for _, members in groups))]
    upper = [
        element("th", title, scope="colgroup", colspan=len(members)) if title else _blank(len(members))
        for title, members in groups
    ]
    return [*spans, element("thead", element("tr", _blank(1), *upper, class_="groups"), element("tr", *lower))]


def _blank(span: int) -> Html:
    return element("td", colspan=span if span > 1 else None)


def _row(row: Row, columns: Sequence[Column], notes: _Notes) -> Html:
    small = [part for part in (row.text.explanation, row.rests_on) if part]
    head = element("th", element("b", row.text.title), element("small", "; ".join(small)), scope="row")
    reasons = {_why(cell) for cell in row.cells.values()}
    if all(cell.value is None for cell in row.cells.values()) and len(reasons) == 1:
        return element("tr", head, element("td", _undefined(reasons.pop()), colspan=len(columns), class_="undefined"))
    best = _best(row)
    return element("tr", head, *(_table_cell(row, column, best, notes) for column in columns))


def _table_cell(row: Row, column: Column, best: Sequence[str], notes: _Notes) -> Html:
    name = _best_of(row, column.subjects)
    if name is None:
        return element("td", "see below", class_="undefined")
    cell = row.cells.get(name)
    if cell is None:
        return element("td", "not measured", class_="undefined")
    if cell.value is None:
        mark = notes.mark(_why(cell), row.text.title, name)
        return element("td", element("span", "undefined", class_="undefined"), mark, class_=column.class_)
    shown = escape(number_text(row.text, cell.value))
    parts = [element("strong", shown) if name in best else shown]
    if cell.left_out:
        parts.append(notes.mark(_what_was_left_out(cell), row.text.title, name))
    if cell.interval:
        parts.append(element("span", interval_text(row.text, cell), class_="interval"))
    if len(column.subjects) > 1:
        parts.append(element("span", _column_title(name), class_="which"))
    if name in best:
        parts.append(element("span", "best", class_="best"))
    return element("td", *parts, class_=column.class_)


def _best_of(row: Row, subjects: Sequence[str]) -> Optional[str]:
    """The one with the best value, of equal ones the first; None where nobody said which is better."""
    if len(subjects) == 1:
        return subjects[0]
    defined = [name for name in subjects if name in row.cells and row.cells[name].value is not None]
    if not defined:
        return next((name for name in subjects if name in row.cells), subjects[0])
    if not row.text.better:
        return None
    return max(defined, key=lambda name: _sign(row.text) * (row.cells[name].value or 0.0))


def interval_text(text: MetricText, cell: Cell) -> str:
    """The interval as plus or minus, where the value is in its middle; else both ends."""
    low, high = cell.interval or (0.0, 0.0)
    if abs((low + high) / 2 - (cell.value or 0.0)) < 5e-4:
        return f"± {number_text(text, (high - low) / 2)}"
    return f"{number_text(text, low)} to {number_text(text, high)}"


def _column_title(name: str) -> str:
    return COLUMN_TEXTS.get(name, name)


def _column_class(name: str) -> Optional[str]:
    return {MODEL: "model", SUPERVISED: "ceiling"}.get(name)


def _sign(text: MetricText) -> int:
    return -1 if text.better == "lower" else 1


def number_text(text: MetricText, value: float) -> str:
    """A value with the digits and the unit that its metric is told in."""
    digits = 2 if text.unit == " s" else 3
    # A rounded -0.0 would look like a finding.
    return f"{round(value, digits) + 0.0:.{digits}f}{text.unit}".replace("-", "−")


def _best(row: Row) -> List[str]:
    """What has the best number as shown, but for the ceiling; nothing where all are alike, or alone."""
    if not row.text.better:
        return []
    shown = {
        name: _sign(row.text) * round(cell.value, 3 - bool(row.text.unit))
        for name, cell in row.cells.items()
        if cell.value is not None and name != SUPERVISED
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
        columns = self._subjects.setdefault(note, {}).setdefault(metric, [])
        if column not in columns:  # a number may stand in both tables
            columns.append(column)
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
            everywhere = set(columns) == set(self._columns)
            in_order = [_column_title(column) for column in self._columns if column in columns]
            named.append(f"{metric} ({'all columns' if everywhere else ', '.join(in_order)})")
        return "; ".join(named)


def _remarks(subjects: Sequence[str], metrics: Metrics) -> List[Any]:
    parts = []
    if any(name.startswith("clock_") for name in subjects):
        parts.append(
            "A clock knows a frame's number and nothing of the picture. Where clips have similar tempo it does well on "
            "Kendall's tau and phase progression; clips cut at random (trimmed) take that help away."
        )
    if "untrained" in subjects:
        parts.append("Before training: the same network as it began.")
    if SUPERVISED in subjects:
        parts.append(
            "Trained with labels, the ceiling: the same network with what this model goes without; it takes no part in "
            "which is best."
        )
    if subjects and not any(name.startswith("features_") for name in subjects):
        parts.append("There is no column of frozen features: this run has none stored.")
    num_seeds = max((len(result.get("seeds", ())) for result in metrics.values()), default=0)
    if num_seeds:
        parts.append(f"The model's numbers are means over {num_seeds} seeds; what it is compared with is of the first.")
    protocols = sorted({str(result["protocol"]) for result in metrics.values() if result.get("protocol")})
    if protocols:
        parts.append(f"Protocols: {', '.join(protocols)}.")
    found = {
        _interval_over(one) for result in metrics.values() for one in (result, *result.get("baselines", {}).values())
    }
    over = sorted(found - {""})
    if over:
        parts.append(f"±: 95 % interval of the mean over {' or '.join(over)}, as the metric tells.")
    return [" ".join(parts)]


def _interval_over(subject: Mapping[str, Any]) -> str:
    """What an interval is over: a baseline's is over what its own value is a mean of."""
    if not subject.get("interval"):
        return ""
    return str(subject.get("interval_over") or _details(subject).get("count_of", "")).split(",")[0]


def _collapse(result: Mapping[str, Any]) -> Iterator[Html]:
    """What tells a collapsed embedding: a sentence on the model, and a table of all."""
    if not result:
        return
    subjects = {
        name: {**_details(subject), "neighbor_entropy": subject.get("value")}
        for name, subject in {MODEL: result, **result.get("baselines", {})}.items()
    }
    measures = [
        (key, title) for key, title in _COLLAPSE_MEASURES if any(one.get(key) is not None for one in subjects.values())
    ]
    own = subjects[MODEL]
    told = [f"{title} {_collapse_number(own.get(key))}" for key, title in measures if own.get(key) is not None]
    reasons = "; ".join(dict.fromkeys(str(entry.get("reason")) for entry in result.get("undefined") or ()))
    sentence = ", ".join(told) or f"undefined: {reasons or 'no reason was recorded'}"
    yield paragraph(element("b", "Collapse check of this model: "), f"{sentence}. {_COLLAPSE_MEANING if told else ''}")
    if measures:
        rows = [
            (_column_title(name), *(_collapse_number(numbers.get(key)) for key, _ in measures))
            for name, numbers in subjects.items()
        ]
        caption = "Collapse check of the model and all baselines"
        made = table(caption, ("embeddings", *(title for _, title in measures)), rows)
        yield element("details", element("summary", caption), made)


def _collapse_number(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        value = len(value)
    return "undefined" if value is None else Number(f"{value:.3g}")
