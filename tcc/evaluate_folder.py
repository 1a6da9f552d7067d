"""`python -m tcc evaluate DIR`: the metrics of embeddings that were made elsewhere, beside the clocks."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from tcc.config import METRIC_SETTINGS, EvaluationConfig
from tcc.errors import TccError
from tcc.video.files import atomic_file

MODEL = "model"
_EXAMPLES_SHOWN = 3

Results = Mapping[str, Mapping[str, Any]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments; those of the metrics are the fields of EvaluationConfig that a metric reads."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="train.npz and test.npz, or folders train and test")
    parser.add_argument(
        "--json", type=Path, metavar="DIR", help="also write one JSON file for each metric into this folder"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--fps", type=float, help="frames a second of clips without timestamps")
    for name, default in _options().items():
        kind = type(default[0]) if isinstance(default, tuple) else type(default)
        several: Dict[str, Any] = {"nargs": "+"} if isinstance(default, tuple) else {}
        shown = " ".join(map(str, default)) if isinstance(default, tuple) else default
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=kind, metavar="N", help=f"[evaluation] {name}; {shown}", **several
        )


def run(options: argparse.Namespace) -> int:
    """Evaluate the folder, print the table and what is undefined, write JSON where wanted; the exit code, 0.

    Raises: TccError, one line that says what is wrong with the folder or an option.
    """
    from tcc.embedding_folder import read_embedding_folder
    from tcc.evaluation import clock_index, clock_length, evaluate

    if options.fps is not None and not options.fps > 0:
        raise TccError(f"--fps: must be above 0, got {options.fps:g}")
    given = {name: getattr(options, name) for name in _options() if getattr(options, name) is not None}
    settings: Dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    config = EvaluationConfig(**settings)
    folder = read_embedding_folder(options.directory, fps=options.fps)
    clocks = {clock.__name__: (clock(folder.train), clock(folder.test)) for clock in (clock_index, clock_length)}
    results = evaluate(
        folder.train,
        folder.test,
        phases=folder.phases,
        split="test",
        config=config,
        baselines=clocks,
        truth=folder.truth,
    )
    print(f"{len(folder.train)} training and {len(folder.test)} test clips, {_phases(folder.phases)}\n")
    print(results_table(results, markdown=options.markdown))
    notes = undefined_notes(results)
    if notes:
        print("\n" + "\n".join(f"- {note}" if options.markdown else note for note in notes))
    if options.json:
        write_results(results, options.json)
    return 0


def results_table(results: Results, *, markdown: bool = False) -> str:
    """A row for each metric, with its variant by dynamic time warping; the model, each baseline, the unit."""
    baselines = list(next(iter(results.values()))["baselines"])
    header = ["metric", MODEL, *baselines, "unit"]
    rows = []
    for name, result in results.items():
        unit = str(result["details"].get("unit", ""))
        subjects = [result, *(result["baselines"][baseline] for baseline in baselines)]
        rows.append([name, *(_number(subject) for subject in subjects), unit])
        if "value" in result["details"].get("dtw", {}):
            rows.append([f"{name}, dtw", *(_number(subject["details"].get("dtw", {})) for subject in subjects), unit])
    if markdown:
        lines = [header, ["---"] * len(header), *rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[column]) for line in [header, *rows]) for column in range(len(header))]
    padded = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:-1], widths[1:])), line[-1]]
        for line in [header, *rows]
    ]
    return "\n".join("  ".join(line).rstrip() for line in padded)


def undefined_notes(results: Results) -> List[str]:
    """One line for each metric and reason: what was left out, or why there is no number."""
    return [
        _note(name, who, reason, whats) for name, result in results.items() for (reason, who), whats in _grouped(result)
    ]


def _grouped(result: Mapping[str, Any]) -> List[Tuple[Tuple[str, str], List[str]]]:
    """What was left out, for each reason and those whom it concerns; nobody is named where it concerns all."""
    subjects = {MODEL: result, **result["baselines"]}
    concerned: Dict[Tuple[str, str], List[str]] = {}
    for subject, measured in subjects.items():
        for entry in measured["undefined"]:
            concerned.setdefault((entry["what"], entry["reason"]), []).append(subject)
    groups: Dict[Tuple[str, str], List[str]] = {}
    for (what, reason), names in concerned.items():
        who = "" if len(names) == len(subjects) else f" ({', '.join(names)})"
        groups.setdefault((reason, who), []).append(what)
    return list(groups.items())


def _note(name: str, who: str, reason: str, whats: Sequence[str]) -> str:
    if list(whats) == ["all"]:
        return f"{name}{who}: {reason[len(name) + 2 :] if reason.startswith(f'{name}: ') else reason}"
    more = f" and {len(whats) - _EXAMPLES_SHOWN} more" if len(whats) > _EXAMPLES_SHOWN else ""
    return f"{name}{who}: left out, {reason}: {', '.join(whats[:_EXAMPLES_SHOWN])}{more}"


def write_results(results: Results, directory: Path) -> None:
    """One JSON file for each metric, each written whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, result in results.items():
        text = json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False)
        with atomic_file(directory / f"{name}.json") as file:
            file.write(f"{text}\n".encode("utf-8", "surrogateescape"))


def _options() -> Dict[str, Any]:
    """The fields that a metric reads, with their defaults."""
    read = {name for settings in METRIC_SETTINGS.values() for name in settings}
    return {field.name: field.default for field in dataclasses.fields(EvaluationConfig) if field.name in read}


def _number(subject: Mapping[str, Any]) -> str:
    value, interval = subject.get("value"), subject.get("interval")
    if value is None:
        return "undefined"
    within = f" ({interval[0]:.3f} to {interval[1]:.3f})" if interval else ""
    return f"{value:.3f}{within}"


def _phases(phases: Sequence[str]) -> str:
    return f"phases {', '.join(phases)}" if phases else "no labels"
