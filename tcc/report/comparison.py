"""Two or more runs side by side: settings that differ, metrics that differ, and which numbers can't be compared."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

import numpy as np

from tcc.config import METRIC_SETTINGS
from tcc.errors import ShardError, TargetError
from tcc.manifest import MANIFEST, read_manifest
from tcc.report.document import write_document
from tcc.report.markup import Html, Number, element, join, paragraph, section, table
from tcc.report.metrics_table import MODEL, Cell, Row, interval_text, metric_rows, number_text
from tcc.sequences import ClipSequence, load_sequences

_EVALUATIONS, _REPORTS = "evaluations", "reports"
_TEST_CLIPS = "embeddings-test.npz"
_NOT_THE_MODEL = ("supervised", "untrained")  # upstream of an evaluation, but not of its model
_WITHOUT_LABELS = ("kendalls_tau", "alignment", "collapse")
_NONE = "–"
_NAMES_SHOWN = 3


@dataclass(frozen=True)
class Run:
    """One evaluated run.

    Attributes:
      name: folder of its evaluation.
      metrics: name of a metric -> what its JSON file holds.
      settings: stage and option -> value, of the evaluation and of all that its model was made from.
      test_clips: what was measured; None where the embeddings are not there any more.
    """

    name: str
    metrics: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, str]
    test_clips: Optional[Sequence[ClipSequence]]


@dataclass(frozen=True)
class MetricLine:
    """One metric of all runs.

    Attributes:
      title: its name.
      values: of each run as text, with the interval; a run that has none says so.
      differences: of each run but the first to that one, as text.
      why_not: why the numbers of each run but the first can't be compared with that one's; empty where they can.
    """

    title: str
    values: Sequence[str]
    differences: Sequence[str]
    why_not: Sequence[str]


@dataclass(frozen=True)
class Comparison:
    """What differs between runs.

    Attributes:
      names: of the runs.
      settings: [(stage and option, value of each run)], only those that differ.
      metrics: those that differ, in reading order. same: titles of those that don't.
      warnings: what holds for all metrics, such as other test clips.
    """

    names: Sequence[str]
    settings: Sequence[Tuple[str, Sequence[str]]]
    metrics: Sequence[MetricLine]
    same: Sequence[str]
    warnings: Sequence[str]


def find_run(text: str, root: Union[str, Path]) -> Path:
    """The folder of the evaluation that `text` names: a folder of an evaluation or a report, or a part of one name alone.

    Args: root: of all targets; evaluations lie in its folder `evaluations`.
    Raises: TargetError if there is none, or more than one.
    """
    if (Path(text) / MANIFEST).is_file():
        return _evaluation_of(Path(text))
    folders = sorted(path.parent for path in (Path(root) / _EVALUATIONS).glob(f"*/{MANIFEST}"))
    found = [folder for folder in folders if folder.name == text] or [
        folder for folder in folders if text in folder.name
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        known = ", ".join(folder.name for folder in folders) or "none yet"
        raise TargetError(f"{text}: no evaluated run has this in its name; those in {root} are: {known}")
    names = ", ".join(folder.name for folder in found)
    raise TargetError(f"{text}: {len(found)} runs have this in their names, give more of one: {names}")


def read_run(directory: Union[str, Path]) -> Run:
    """A run from the folder of its evaluation; what it was made from is looked up beside it by the manifests.

    Raises: TargetError if the folder is not a whole evaluation.
    """
    directory = Path(directory)
    result = read_manifest(directory)["result"]
    if result.get("stage") != _EVALUATIONS:
        raise TargetError(f"{directory}: not the folder of an evaluation; give one of those in evaluations/")
    metrics = {}
    for path in sorted(directory.glob("*.json")):
        if path.name != MANIFEST:
            metrics[path.stem] = _read_json(path)
    stages = _upstream(result, _targets(directory.parent.parent))
    settings: Dict[str, Set[str]] = {}
    for stage in [*stages, result]:
        for option, value in _flat({**stage.get("settings", {}), "(version of the stage)": stage.get("version")}):
            settings.setdefault(f"{stage['stage']} {option}", set()).add(value)
    merged = {option: " and ".join(sorted(values)) for option, values in settings.items()}
    return Run(directory.name, metrics, merged, _test_clips(directory, result))


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """What differs between runs; differences of metrics are to the first one.

    Raises: TargetError for fewer than two runs.
    """
    if len(runs) < 2:
        raise TargetError(f"a comparison takes two runs or more, there is {len(runs)}")
    options = dict.fromkeys(option for run in runs for option in run.settings)
    settings = [(option, [run.settings.get(option, _NONE) for run in runs]) for option in options]
    other_clips = [_other_clips(runs[0], run) for run in runs]
    other_labels = [_other_labels(runs[0], run) for run in runs]
    lines = [
        _line(rows, [_why_not(rows, runs[0], *of_run) for of_run in zip(runs, other_clips, other_labels)])
        for rows in _rows_by_title(runs)
    ]
    differ = [line for line in lines if len(set(line.values)) > 1 or any(line.why_not)]
    unknown = [
        f"the test clips of {run.name} are not known, its embeddings are gone" for run in runs if not run.test_clips
    ]
    return Comparison(
        names=[run.name for run in runs],
        settings=[(option, values) for option, values in settings if len(set(values)) > 1],
        metrics=differ,
        same=[f"{line.title} ({line.values[0]})" for line in lines if line not in differ],
        warnings=[*unknown, *filter(None, other_clips), *filter(None, other_labels)],
    )


def as_text(comparison: Comparison) -> str:
    """The comparison as text; the runs are called A, B, ..."""
    letters = _letters(comparison)
    parts = ["\n".join(f"{letter}  {name}" for letter, name in zip(letters, comparison.names))]
    parts += [f"warning: {warning}" for warning in comparison.warnings]
    if comparison.settings:
        parts.append(_text_table(("settings that differ", *letters), _settings_rows(comparison)))
    if comparison.metrics:
        parts.append(_text_table(("metrics that differ", *_metric_columns(letters)), _metric_rows(comparison)))
    parts += _what_is_the_same(comparison)
    return "\n\n".join(parts) + "\n"


def write_comparison(path: Union[str, Path], comparison: Comparison) -> None:
    """Write the comparison as one HTML file that needs nothing else."""
    letters = _letters(comparison)
    names = [
        element("li", element("b", letter), " ", element("code", name))
        for letter, name in zip(letters, comparison.names)
    ]
    told: List[Html] = [
        paragraph(element("b", "Warning: "), f"{one}.", class_="warning") for one in comparison.warnings
    ]
    tables: List[Html] = []
    if comparison.metrics:
        rows = [[row[0], *(Number(cell) for cell in row[1:-1]), row[-1]] for row in _metric_rows(comparison)]
        tables.append(table("Metrics that differ", ("metric", *_metric_columns(letters)), rows))
    if comparison.settings:
        tables.append(table("Settings that differ", ("stage and option", *letters), _settings_rows(comparison)))
    same = [paragraph(f"{text[0].upper()}{text[1:]}") for text in _what_is_the_same(comparison)]
    title = f"Comparison of {len(comparison.names)} runs"
    body = [
        element("header", element("h1", title), element("ul", *names)),
        element("main", section("differences", "What differs", *told, *tables, *same)),
        element("footer", "Made by python -m pipeline diff. This file needs no network."),
    ]
    write_document(path, title, join(body, "\n"))


def _line(rows: Sequence[Optional[Row]], reasons: Sequence[str]) -> MetricLine:
    """Args: rows: of one metric, of each run. reasons: why each can't be compared with the first one's, or nothing."""
    known = next(row for row in rows if row is not None)
    cells = [row.cells.get(MODEL) if row is not None else None for row in rows]
    differences = [
        "not comparable" if reason else _difference(known, cells[0], cell)
        for cell, reason in zip(cells[1:], reasons[1:])
    ]
    return MetricLine(known.text.title, [_value(known, cell) for cell in cells], differences, reasons[1:])


def _why_not(rows: Sequence[Optional[Row]], first: Run, run: Run, other_clips: str, other_labels: str) -> str:
    """Why one metric's numbers mean different things in two runs."""
    metric = next(row.metric for row in rows if row is not None)
    reasons = []
    for key in ("protocol", "split"):
        found = [one.metrics[metric].get(key) for one in (first, run) if metric in one.metrics]
        if len(set(found)) > 1:
            reasons.append(f"{key} {found[0]} and {found[1]}")
    for option in METRIC_SETTINGS.get(metric, ()):
        found = [one.settings.get(f"{_EVALUATIONS} {option}", _NONE) for one in (first, run)]
        if len(set(found)) > 1:
            reasons.append(f"{option} {found[0]} and {found[1]}")
    if other_clips:
        reasons.append("other test clips")
    if other_labels and metric not in _WITHOUT_LABELS:
        reasons.append("other labels")
    return ", ".join(reasons)


def _value(row: Row, cell: Optional[Cell]) -> str:
    if cell is None:
        return "not measured"
    if cell.value is None:
        return "undefined"
    interval = f" {interval_text(row.text, cell)}" if cell.interval else ""
    return f"{number_text(row.text, cell.value)}{interval}"


def _difference(row: Row, first: Optional[Cell], other: Optional[Cell]) -> str:
    if first is None or other is None or first.value is None or other.value is None:
        return _NONE
    difference = other.value - first.value
    shown = number_text(row.text, difference)
    if shown == number_text(row.text, 0.0):
        return "same as shown" if difference else "same"
    verdict = ""
    if _within(first, other.value) or _within(other, first.value):
        verdict = " within the interval"
    elif row.text.better:
        verdict = " better" if (difference > 0) == (row.text.better == "higher") else " worse"
    return f"{'+' if difference > 0 else ''}{shown}{verdict}"


def _within(cell: Cell, value: float) -> bool:
    """Whether a value lies in the interval of another, so that the two may not differ at all."""
    return cell.interval is not None and cell.interval[0] <= value <= cell.interval[1]


def _rows_by_title(runs: Sequence[Run]) -> List[List[Optional[Row]]]:
    """The rows of all runs, those of one title together, in reading order."""
    by_title = [{row.text.title: row for row in metric_rows(run.metrics, collapse=True)} for run in runs]
    everything: Dict[str, Dict[str, Any]] = {name: {} for run in runs for name in run.metrics}
    titles = dict.fromkeys(title for rows in by_title for title in rows)
    known = [row.text.title for row in metric_rows(everything, collapse=True)]
    order = {title: number for number, title in enumerate(known)}
    # A variant of a metric stands beneath it: by the metric's place, then as it came.
    ordered = sorted(titles, key=lambda title: order.get(title.split(",")[0], len(order)))
    return [[rows.get(title) for rows in by_title] for title in ordered]


def _other_clips(first: Run, run: Run) -> str:
    """How the test clips of a run differ from the first one's; nothing where they don't, or where they are not known."""
    if not first.test_clips or not run.test_clips:
        return ""
    mine, own = ({clip.name: clip for clip in one.test_clips or ()} for one in (first, run))
    missing, more = sorted(set(mine) - set(own)), sorted(set(own) - set(mine))
    retimed = [name for name in mine if name in own and not np.array_equal(mine[name].timestamps, own[name].timestamps)]
    parts = [
        f"{len(names)} {what} ({', '.join(names[:_NAMES_SHOWN])}{', ...' if len(names) > _NAMES_SHOWN else ''})"
        for names, what in ((missing, "missing"), (more, "more"), (retimed, "with other frames"))
        if names
    ]
    return f"{run.name} was measured on other test clips than {first.name}: {', '.join(parts)}" if parts else ""


def _other_labels(first: Run, run: Run) -> str:
    """Whether a run has other labels on the same frames of the same test clips than the first one."""
    mine = {clip.name: clip for clip in first.test_clips or ()}
    changed = [
        clip.name
        for clip in run.test_clips or ()
        if clip.name in mine
        and len(clip) == len(mine[clip.name])
        and not np.array_equal(clip.labels, mine[clip.name].labels)
    ]
    names = f"{', '.join(changed[:_NAMES_SHOWN])}{', ...' if len(changed) > _NAMES_SHOWN else ''}"
    return f"{run.name} has other labels than {first.name} on {len(changed)} test clips ({names})" if changed else ""


def _letters(comparison: Comparison) -> List[str]:
    return [chr(ord("A") + number) if number < 26 else f"run {number + 1}" for number in range(len(comparison.names))]


def _metric_columns(letters: Sequence[str]) -> List[str]:
    return [*letters, *(f"{letter} − {letters[0]}" for letter in letters[1:]), "why not comparable"]


def _metric_rows(comparison: Comparison) -> List[List[str]]:
    letters = _letters(comparison)[1:]
    reasons = ["; ".join(f"{a}: {why}" for a, why in zip(letters, line.why_not) if why) for line in comparison.metrics]
    return [[line.title, *line.values, *line.differences, why] for line, why in zip(comparison.metrics, reasons)]


def _settings_rows(comparison: Comparison) -> List[List[str]]:
    return [[option, *values] for option, values in comparison.settings]


def _what_is_the_same(comparison: Comparison) -> List[str]:
    told = [] if comparison.settings else ["no setting differs"]
    if not comparison.metrics:
        return [*told, "no metric differs"]
    return [*told, f"the same in all: {', '.join(comparison.same)}"] if comparison.same else told


def _text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in (columns, *rows)]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _evaluation_of(directory: Path) -> Path:
    """The folder itself, or that of the evaluation which a report rests on."""
    result = read_manifest(directory)["result"]
    if result.get("stage") == _REPORTS:
        return directory.parent.parent / _EVALUATIONS / str(result["upstream"]["evaluation"])
    return directory


def _targets(root: Path) -> Dict[str, Mapping[str, Any]]:
    """Name -> manifest of every target that lies beside an evaluation."""
    found = [path for path in sorted(root.glob(f"*/*/{MANIFEST}")) if not path.parent.parent.name.startswith(".")]
    return {path.parent.name: read_manifest(path.parent)["result"] for path in found}


def _upstream(result: Mapping[str, Any], targets: Mapping[str, Mapping[str, Any]]) -> List[Mapping[str, Any]]:
    """Everything that the model of an evaluation was made from and that is still there, in order of making."""
    seen: Dict[str, Mapping[str, Any]] = {}

    def visit(one: Mapping[str, Any]) -> None:
        for key, names in one.get("upstream", {}).items():
            for name in names if isinstance(names, list) else [names]:
                if key not in _NOT_THE_MODEL and name in targets and name not in seen:
                    visit(targets[name])
                    seen[name] = targets[name]

    visit(result)
    return list(seen.values())


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[Tuple[str, str]]:
    for option, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{option}.")
        else:
            yield f"{before}{option}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _test_clips(directory: Path, result: Mapping[str, Any]) -> Optional[Sequence[ClipSequence]]:
    names = result.get("upstream", {}).get("embeddings", [])
    for name in names if isinstance(names, list) else [names]:
        try:
            return load_sequences(directory.parent.parent / "embeddings" / name / _TEST_CLIPS)[0]
        except ShardError:
            continue
    return None


def _read_json(path: Path) -> Dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise TargetError(f"{path}: cannot be read ({error}); delete the folder and run again") from error
