"""The page's sections under the first screen, and the sentence above it."""

from __future__ import annotations

import shlex
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from tcc import figures
from tcc.config import Settings as AllSettings
from tcc.report.markup import Html, Number, element, figure, foldable, paragraph, plural, section, svg_image, table
from tcc.report.metrics_table import METRIC_TEXTS
from tcc.sequences import ClipSequence

Settings = Mapping[str, Mapping[str, Any]]
Manifests = Sequence[Mapping[str, Any]]

COMMAND = "luigi --module pipeline RunAll --local-scheduler"
# Settings that are in no fingerprint: the same result may be made with others, so they stand in the timing block.
_FREE_SECTIONS = ("device", "execution")
_FREE_OPTIONS = (
    ("videos", "path"),
    ("videos", "labels"),
    ("videos", "splits"),
    ("videos", "train_list"),
    ("videos", "val_list"),
    ("videos", "test_list"),
    ("download", "urls"),
    ("download", "attempts"),
    ("download", "timeout_seconds"),
    ("training", "log_every"),
    ("training", "frame_memory_mb"),
    ("embedding", "batch_frames"),
)


def what_was_trained(
    settings: Settings,
    selection: Mapping[str, Any],
    clips: Sequence[ClipSequence],
    phases: Sequence[str],
    stages: Manifests,
) -> str:
    """What was trained on what, chosen how and measured on what; facts that are not known are left out."""
    training, backbone = settings.get("training", {}), settings.get("backbone", {})
    train_count, val_count = _trained_clips(stages), _split_clips(stages, "val")
    source = " rendered pouring videos" if settings.get("videos", {}).get("source") == "rendered" else " clips"
    trained = f"Trained by {training.get('method', 'an unnamed method')}"
    if training.get("num_steps"):
        trained += f" for {training['num_steps']:,} steps"
    if train_count:
        trained += f" on {train_count:,}{source}"
    if backbone.get("name"):
        use = "frozen features of" if backbone.get("trained") == "frozen" else "images through"
        trained += f", from {use} {backbone['name']}"
    chosen = f"Checkpoint {selection.get('step')} was chosen"
    if val_count and selection.get("rule") != "last":
        chosen += f" on {val_count:,} validation {plural('clip', val_count)}"
        held_out = selection.get("validation", {}).get("held_out")
        if held_out:
            chosen += f" ({held_out:,} of the set's training clips, held out because it has no split to choose on)"
    chosen += f": {selection.get('why', 'no reason recorded')}"
    steps = sum(len(clip) for clip in clips)
    fps = settings.get("frames", {}).get("fps")
    measured = f"Measured once on {len(clips):,} test {plural('clip', len(clips))} ({steps:,} frames"
    measured += f" at {fps:g} per second)" if fps else ")"
    measured += f" with {len(phases)} labelled {plural('phase', len(phases))}" if phases else ", without labels"
    return f"{trained}. {chosen}. {measured}."


def training_section(history: Sequence[Mapping[str, Any]], selection: Mapping[str, Any]) -> Html:
    """Loss curve, validation scores, all scores as a table."""
    pictures = []
    history = _with_validation(history, selection.get("scores", []))
    if figures.loss_terms(history):
        svg = figures.training_curve(history, chosen_step=selection.get("step"))
        pictures.append(figure(svg_image(svg, alternative=_describe_curve(history)), _curve_caption(history)))
    scores = selection.get("scores", [])
    defined = [score for score in scores if score.get("value") is not None]
    label = (
        METRIC_TEXTS[selection["rule"]].title if selection.get("rule") in METRIC_TEXTS else str(selection.get("rule"))
    )
    if defined:
        svg = figures.checkpoint_scores(scores, chosen_step=selection.get("step"), label=f"{label}, validation")
        caption = f"{label} of each checkpoint on the validation split; the ring marks the chosen one."
        pictures.append(figure(svg_image(svg, alternative=_describe_scores(scores, selection, label)), caption))
    validated = any(score.get("validation_loss") is not None for score in scores)
    rows = [_score_row(score, selection.get("step"), validated=validated) for score in scores]
    columns = ("step", "score", *(["validation loss"] if validated else []), "remark")
    why = paragraph(f"Checkpoint {selection.get('step')} is used: {selection.get('why', 'no reason recorded')}.")
    charts = element("div", *pictures, class_="charts") if pictures else paragraph("There is no history of losses.")
    scored = foldable(f"{label}: score of each checkpoint", columns, rows)
    return section("training", "Training and choice of the checkpoint", charts, why, scored)


def clips_section(clips: Sequence[ClipSequence], stages: Manifests, checks: Sequence[Mapping[str, str]] = ()) -> Html:
    """The clips that were measured, those that were left out with the reason, and the check of all."""
    rows = [(clip.name, len(clip), Number(f"{_seconds(clip):.1f}")) for clip in clips]
    left_out = list(_left_out(stages))
    told = (
        table(f"Clips left out: {len(left_out)}", ("clip", "stage", "reason"), left_out)
        if left_out
        else paragraph("No clip was left out.")
    )
    measured = foldable(f"Test clips: {len(clips)}", ("clip", "frames", "seconds"), rows)
    warnings = list(dict.fromkeys(text for stage in stages for text in stage.get("result", {}).get("warnings", [])))
    parts = [told]
    if warnings:
        parts.append(element("ul", *(element("li", text) for text in warnings)))
    parts.append(measured)
    if checks:
        titles = [title for title in checks[0] if any(row[title] for row in checks)]
        parts.append(
            foldable(f"All clips: {len(checks)}", titles, [[row[title] for title in titles] for row in checks])
        )
    return section("clips", "Clips", *parts)


def settings_section(settings: Settings) -> Html:
    """How to make this page again in one command, and all settings that a fingerprint covers, as luigi.cfg has them."""
    again = paragraph(
        "The command that makes this page again, with all settings that are not the defaults of this version of the project; "
        "paths, and what does not change the result, stand under ",
        element("a", "This run", href="#run"),
        ":",
    )
    fixed = {name: _fixed(name, options) for name, options in settings.items()}
    in_full = paragraph("All settings, as ", element("code", "luigi.cfg"), " has them:")
    command = element("pre", reproduce_command(settings))
    return section("settings", "Settings, and how to reproduce this", again, command, in_full, _settings_text(fixed))


def reproduce_command(settings: Settings) -> str:
    """The shell command of this run: what is not a default as an option."""
    defaults, options = AllSettings().as_dict(), []
    for name, values in settings.items():
        for option, value in _fixed(name, values).items():
            value = tuple(value) if isinstance(value, list) else value
            if value != defaults.get(name, {}).get(option):
                options.append(f"--{name}-{option}".replace("_", "-"))
                options.append(shlex.quote(str(value).lower() if isinstance(value, bool) else _setting(value)))
    return " ".join([COMMAND, *options])


def provenance_section(stages: Manifests) -> Html:
    """Every target that this page rests on, by fingerprint."""
    rows = [
        (
            stage["result"].get("stage", ""),
            element("code", stage["result"].get("name", "")),
            element("code", stage["result"].get("fingerprint", "")),
            _counts(stage["result"].get("counts", {})),
            len(stage["result"].get("files", {})),
        )
        for stage in stages
    ]
    columns = ("stage", "target", "fingerprint", "counts", "files")
    told = paragraph(
        "A fingerprint covers the settings that change a target's bytes, the stage's version and the fingerprints "
        "upstream. Each target's manifest.json lists the SHA-256 of its files."
    )
    return section("provenance", "Provenance", told, table("Targets, in the order they were made", columns, rows))


def timing_section(settings: Settings, stages: Manifests) -> Html:
    """Everything that may differ when the same result is made again: seconds, host, device, versions, free settings."""
    runs = [(stage["result"], stage.get("run", {})) for stage in stages]
    rows: List[Sequence[Any]] = [
        (
            result.get("stage", ""),
            element("code", result.get("name", "")),
            run.get("started") or "",
            Number(f"{run.get('seconds') or 0:,.1f}"),
            run.get("device") or "",
        )
        for result, run in runs
    ]
    total = sum(run.get("seconds") or 0 for _, run in runs)
    caption = f"Time of each stage: {total:,.1f} s in all"
    columns = ("stage", "target", "started (UTC)", "seconds", "device")
    facts = [
        (name, "; ".join(dict.fromkeys(str(run[key]) for _, run in runs if run.get(key))) or "not recorded")
        for name, key in (("host", "host"), ("platform", "platform"), ("code", "code_commit"))
    ]
    facts.append(("versions", _versions([run.get("versions") or {} for _, run in runs])))
    free = {name: _free(name, options) for name, options in settings.items()}
    return section(
        "run",
        "This run",
        paragraph("What stands in this section may differ when the same result is made again."),
        table(caption, columns, rows),
        table("Where and with what", ("", "value"), facts),
        element("h3", "Where files lie (what they hold counts, not where), and settings that change no result"),
        _settings_text({name: options for name, options in free.items() if options}),
    )


def _versions(versions: Sequence[Mapping[str, str]]) -> str:
    """Each package once; a package that differs between stages with all its versions."""
    found: Dict[str, Dict[str, None]] = {}
    for stage in versions:
        for package, version in stage.items():
            found.setdefault(package, {})[version] = None
    return ", ".join(f"{package} {' and '.join(found[package])}" for package in sorted(found)) or "not recorded"


def _seconds(clip: ClipSequence) -> float:
    """From the first step to the end of the last one."""
    if len(clip) < 2:
        return 0.0
    span = float(clip.timestamps[-1] - clip.timestamps[0])
    return span * len(clip) / (len(clip) - 1)


def _trained_clips(stages: Manifests) -> int:
    """How many clips the model was trained on; other seeds and the ceiling have the same."""
    trainings = (stage["result"] for stage in stages if stage["result"].get("stage") == "checkpoints")
    return max((int(result.get("counts", {}).get("in", 0)) for result in trainings), default=0)


def _split_clips(stages: Manifests, split: str) -> int:
    return sum(
        stage["result"].get("counts", {}).get("out", 0)
        for stage in stages
        if stage["result"].get("stage") == "shards" and stage["result"].get("settings", {}).get("split") == split
    )


def _ends(points: Sequence[Mapping[str, Any]], name: str) -> Tuple[Mapping[str, Any], Mapping[str, Any]]:
    defined = [point for point in points if point.get(name) is not None]
    return defined[0], defined[-1]


def _describe_curve(history: Sequence[Mapping[str, Any]]) -> str:
    name = figures.loss_terms(history)[0]
    first, last = _ends(history, name)
    start, end = (f"{line[name]:.4g} at step {line['step']}" for line in (first, last))
    told = f"Line chart of the {name.replace('_', ' ')} over the training: {start}, {end}."
    if name == "loss" and "validation_loss" in figures.loss_terms(history):
        start, end = (
            f"{line['validation_loss']:.4g} at step {line['step']}" for line in _ends(history, "validation_loss")
        )
        told += f" Loss of the validation clips: {start}, {end}."
    return told


def _curve_caption(history: Sequence[Mapping[str, Any]]) -> str:
    terms = [name.replace("_", " ") for name in figures.loss_terms(history) if name != "validation_loss"]
    beside = f", beside it {', '.join(terms[1:])}" if len(terms) > 1 else ""
    validated = " Dots: the loss of the validation clips." if "validation_loss" in figures.loss_terms(history) else ""
    return f"The {terms[0]} of each step (thin) and its running median (thick){beside}.{validated}"


def _describe_scores(scores: Sequence[Mapping[str, Any]], selection: Mapping[str, Any], label: str) -> str:
    first, last = _ends(scores, "value")
    chosen = next((score for score in scores if score["step"] == selection.get("step")), None)
    points = [f"{point['value']:.3f} at step {point['step']}" for point in (first, last)]
    if chosen and chosen.get("value") is not None:
        points.append(f"{chosen['value']:.3f} at the chosen step {chosen['step']}")
    return f"Line chart of {label} on the validation split: {', '.join(points)}."


def _with_validation(
    history: Sequence[Mapping[str, Any]], scores: Sequence[Mapping[str, Any]]
) -> Sequence[Mapping[str, Any]]:
    """The history, and behind it the validation losses of the checkpoints unless the training measured its own."""
    if any(line.get("validation_loss") is not None for line in history):
        return history
    measured = [score for score in scores if score.get("validation_loss") is not None]
    return [*history, *({"step": one["step"], "validation_loss": one["validation_loss"]} for one in measured)]


def _score_row(score: Mapping[str, Any], chosen: Any, *, validated: bool) -> Sequence[Any]:
    remarks = [remark for remark in ("chosen" if score["step"] == chosen else "", score.get("reason") or "") if remark]
    losses = [_score(score.get("validation_loss"))] if validated else []
    return score["step"], _score(score.get("value")), *losses, ", ".join(remarks)


def _score(value: Optional[float]) -> Any:
    return "undefined" if value is None else Number(f"{value:.4f}")


def _counts(counts: Mapping[str, int]) -> str:
    first = [name for name in ("in", "out", "skipped") if name in counts]
    return ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in [*first, *sorted(set(counts) - set(first))])


def _left_out(stages: Manifests) -> Iterator[Sequence[str]]:
    """Each clip once, with the stage that left it out first."""
    seen = set()
    for stage in stages:
        for entry in stage["result"].get("skipped", []):
            if entry.get("clip") not in seen:
                seen.add(entry.get("clip"))
                yield entry.get("clip", ""), stage["result"].get("stage", ""), entry.get("reason", "")


def _fixed(section_name: str, options: Mapping[str, Any]) -> Dict[str, Any]:
    if section_name in _FREE_SECTIONS:
        return {}
    return {option: value for option, value in options.items() if (section_name, option) not in _FREE_OPTIONS}


def _free(section_name: str, options: Mapping[str, Any]) -> Dict[str, Any]:
    """All others but the place of the data folder, which is where this page lies, wherever it was moved."""
    told = {*_fixed(section_name, options), *(("data",) if section_name == "execution" else ())}
    return {option: value for option, value in options.items() if option not in told}


def _settings_text(settings: Settings) -> Html:
    """Sections in the form of luigi.cfg, set in columns."""
    blocks = [
        "\n".join([f"[{name}]", *(f"{option} = {_setting(value)}".rstrip() for option, value in options.items())])
        for name, options in settings.items()
        if options
    ]
    return element("div", *(element("pre", block) for block in blocks), class_="settings")


def _setting(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)
