"""What each metric has to say beyond its value: single numbers, tables, and a chart of the confusion of phases."""

from __future__ import annotations

from typing import Any, Iterator, List, Mapping, Sequence

from tcc import figures
from tcc.report.markup import (
    LONGEST_OPEN_TABLE,
    Html,
    Number,
    element,
    figure,
    foldable,
    join,
    paragraph,
    section,
    svg_image,
    table,
)
from tcc.report.metrics_table import METRIC_TEXTS

# What the records in a metric's details are about.
_NAMING = ("seed", "fraction", "num_videos", "key_event", "boundary", "clip", "phase", "what")


def details_section(metrics: Mapping[str, Mapping[str, Any]]) -> Html:
    """What each metric has to say beyond its value."""
    blocks: List[Html] = []
    charted = False
    for name in [*METRIC_TEXTS, *sorted(set(metrics) - set(METRIC_TEXTS))]:
        result = metrics.get(name, {})
        details = result.get("details")
        if details:
            title = METRIC_TEXTS[name].title if name in METRIC_TEXTS else _words(name)
            chart = [] if charted else list(_confusion_chart(title, details))
            charted = charted or bool(chart)
            blocks.append(
                element("div", element("h3", title), *_seeds(title, result), *chart, *_details(title, details))
            )
    told = element("div", *blocks, class_="charts") if blocks else paragraph("No metric has details.")
    return section("details", "Metrics in detail", told)


def _details(title: str, details: Mapping[str, Any], *, heading: str = "") -> Iterator[Html]:
    """Single values in one line, lists of records as tables, the rest nested."""
    single = [f"{_words(key)}: {_as_text(value)}" for key, value in details.items() if _is_single(value)]
    if single:
        yield paragraph(*([element("b", heading), ". "] if heading else []), "; ".join(single) + ".")
    for key, value in details.items():
        caption = f"{title}, {_words(key)}"
        if key == "confusion" and details.get("phases"):
            yield _confusion(caption, details["phases"], value)
        elif isinstance(value, Mapping) and value:
            yield join(_details(caption, value, heading=_words(key).capitalize()))
        elif _is_records(value):
            columns = _record_columns(value)
            rows = [[_as_cell(record.get(column)) for column in columns] for record in value]
            longest = 0 if key == "undefined" else LONGEST_OPEN_TABLE
            yield foldable(caption, [_words(column) for column in columns], rows, longest_open=longest)


def _record_columns(records: Sequence[Mapping[str, Any]]) -> List[str]:
    """The keys of all records, first what a record is about: it names the row."""
    keys = list(dict.fromkeys(key for record in records for key in record))
    return sorted(keys, key=lambda key: key not in _NAMING)


def _seeds(title: str, result: Mapping[str, Any]) -> Iterator[Html]:
    """The value of each seed, where there are several; the details below are then the first one's."""
    seeds = result.get("seeds")
    if not seeds:
        return
    rows = [
        (
            seed["seed"],
            "undefined" if seed.get("value") is None else _as_cell(float(seed["value"])),
            "" if not seed.get("interval") else _as_cell([float(end) for end in seed["interval"]]),
            seed.get("count", ""),
            len(seed.get("undefined") or ()),
        )
        for seed in seeds
    ]
    yield table(f"{title}, each seed", ("seed", "value", "95 % interval", "count", "left out"), rows)
    yield paragraph(f"What follows is of seed {seeds[0]['seed']}.")


def _confusion_chart(title: str, details: Mapping[str, Any]) -> Iterator[Html]:
    """The confusion of phases as a picture, where a metric has one."""
    phases, counts = details.get("phases"), details.get("confusion")
    if not phases or not counts:
        return
    svg = figures.confusion_matrix(counts, phases=phases)
    told = [_describe_confusion(phases, row, number) for number, row in enumerate(counts)]
    alternative = f"Matrix of phases taken for each other ({title.lower()}): {'; '.join(told)}."
    caption = (
        "Of the frames of each true phase (row) the share that each phase is predicted for; below it how many they are."
    )
    yield figure(svg_image(svg, alternative=alternative), caption)


def _describe_confusion(phases: Sequence[str], counts: Sequence[int], number: int) -> str:
    total = sum(counts)
    if not total:
        return f"{phases[number]} has no frame"
    told = f"{phases[number]} is found in {counts[number] / total:.0%} of its {total} frames"
    others = [(count, phase) for index, (count, phase) in enumerate(zip(counts, phases)) if index != number]
    most, taken_for = max(others, default=(0, ""), key=lambda other: other[0])
    return f"{told}, most often taken for {taken_for} ({most / total:.0%})" if most else told


def _confusion(caption: str, phases: Sequence[str], counts: Sequence[Sequence[int]]) -> Html:
    rows = [(phase, *row) for phase, row in zip(phases, counts)]
    return table(
        f"{caption}: frames of each true phase (rows) by predicted phase (columns)",
        ("true \\ predicted", *phases),
        rows,
    )


def _is_single(value: Any) -> bool:
    return (
        not isinstance(value, Mapping)
        and not _is_records(value)
        and not (_is_list(value) and value and _is_list(value[0]))
    )


def _is_records(value: Any) -> bool:
    return _is_list(value) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _words(name: str) -> str:
    return {"interval_95": "95 % interval", "num_videos": "labelled clips"}.get(name, name.replace("_", " "))


def _as_cell(value: Any) -> Any:
    """A value in a table: numbers with three decimals, as in the table of metrics; an interval by its ends."""
    if isinstance(value, float):
        return Number(f"{value:.3f}".replace("-", "−"))
    if _is_list(value) and len(value) == 2 and all(isinstance(item, float) for item in value):
        return Number(f"{_as_cell(value[0])} to {_as_cell(value[1])}")
    return value if isinstance(value, int) else _as_text(value)


def _as_text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if _is_list(value):
        return ", ".join(_as_text(item) for item in value) or "none"
    return str(value)
