"""The page as a whole: what goes in, what comes out, and the block that may differ from run to run."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

from tcc import figures
from tcc.config import ReportConfig
from tcc.errors import MetricUndefined, TargetError, VideoError
from tcc.progress import Progress, silent
from tcc.report import sections
from tcc.report.aligned_video import write_aligned_video
from tcc.report.alignment_pair import AlignedPair, choose_pair
from tcc.report.markup import Html, data_uri, element, escape, figure, join, paragraph, section, svg_image
from tcc.report.metrics_table import count_undefined, metrics_table
from tcc.report.style import SCRIPT, STYLE
from tcc.sequences import ClipSequence

TIMING_BEGINS = "<!-- timing block begins -->"
TIMING_ENDS = "<!-- timing block ends -->"
_CONTENTS = (
    ("results", "Results"),
    ("training", "Training"),
    ("alignment", "Alignment"),
    ("details", "Metrics in detail"),
    ("clips", "Clips"),
    ("settings", "Settings"),
    ("provenance", "Provenance"),
    ("run", "This run"),
)


@dataclass(frozen=True)
class ReportInputs:
    """What a report tells of one run.

    Attributes:
      title: name of the run.
      settings: all settings, section -> option -> value.
      metrics: name of a metric -> what its JSON file holds (`tcc.evaluation.evaluate`).
      history: the lines of history.jsonl: {"step", "loss", further terms}.
      selection: {"rule", "step", "why", "scores": [{"step", "value", "reason"}]}.
      clips: embeddings [T, D] of the test clips.
      frames: name of a clip -> its frames as JPEG, one for each of the clip's timestamps.
      phases: names of the labels 0, 1, ...; empty without labels.
      stages: the manifests of all stages before, in the order of the pipeline.
      checks: the table of all clips, a dictionary of texts each; empty where there is none.
    """

    title: str
    settings: Dict[str, Any]
    metrics: Dict[str, Any]
    history: List[Dict[str, Any]]
    selection: Dict[str, Any]
    clips: List[ClipSequence]
    frames: Mapping[str, Sequence[bytes]]
    phases: List[str]
    stages: List[Dict[str, Any]]
    checks: Sequence[Mapping[str, str]] = ()


def write_report(
    path: Union[str, Path], inputs: ReportInputs, config: ReportConfig, *, progress: Progress = silent
) -> Dict[str, int]:
    """Write the page: one HTML file that needs nothing else, neither network nor script.

    The same inputs give the same bytes but for the timing block; see `without_timing`.

    Returns: counts: clips "in", "out", "skipped"; "metrics", "undefined" (without a value), "figures", "videos".
    Raises: ShapeError if a clip has fewer frames than time steps; VideoError for a damaged frame.
    """
    path = Path(path)
    distance = str(inputs.settings.get("evaluation", {}).get("distance", "sqeuclidean"))
    try:
        pair, compared = choose_pair(inputs.clips, distance=distance, playable=inputs.frames)
    except (VideoError, MetricUndefined) as reason:
        video = paragraph(f"There is no video: {reason}.", class_="warning")
        alignment = section("alignment", "Alignment", paragraph(f"There is no similarity matrix: {reason}."))
        num_videos = 0
    else:
        video = _video(pair, inputs, config, progress)
        alignment = _alignment_section(pair, compared, distance)
        num_videos = 1
    training, num_figures = sections.training_section(inputs.history, inputs.selection)
    body = [
        _header(inputs),
        element("main", _results(inputs, video), training, alignment, *_rest(inputs), id="main"),
        element("footer", f"Made by {sections.COMMAND}. This file needs no network."),
    ]
    _write(path, _document(inputs.title, join(body, "\n")))
    progress(1.0, "page written")
    return {
        "in": len(inputs.clips),
        "out": len(inputs.clips),
        "skipped": 0,
        "metrics": len(inputs.metrics),
        "undefined": count_undefined(inputs.metrics),
        "figures": num_figures + num_videos,
        "videos": num_videos,
    }


def without_timing(html: str) -> str:
    """The page without the block that may differ when the same result is made again.

    Raises: TargetError if the block is not there.
    """
    before, begins, rest = html.partition(TIMING_BEGINS)
    _, ends, after = rest.partition(TIMING_ENDS)
    if not (begins and ends):
        raise TargetError("the report has no whole timing block: it is damaged; delete its folder and run again")
    return before + after


def _header(inputs: ReportInputs) -> Html:
    sentence = sections.what_was_trained(inputs.settings, inputs.selection, inputs.clips, inputs.phases, inputs.stages)
    links = [element("li", element("a", title, href=f"#{identifier}")) for identifier, title in _CONTENTS]
    return join(
        [
            element("a", "Skip to the results", href="#results", class_="skip"),
            element("header", element("h1", inputs.title), paragraph(sentence)),
            element("nav", element("ul", *links), aria_label="Sections"),
        ],
        "\n",
    )


def _results(inputs: ReportInputs, video: Html) -> Html:
    table, notes = metrics_table(inputs.metrics)
    first = element("div", element("div", table), element("div", video), class_="first")
    return section("results", "Results", first, notes)


def _rest(inputs: ReportInputs) -> List[Html]:
    timing = sections.timing_section(inputs.settings, inputs.stages)
    return [
        sections.details_section(inputs.metrics),
        sections.clips_section(inputs.clips, inputs.stages, inputs.checks),
        sections.settings_section(inputs.settings),
        sections.provenance_section(inputs.stages),
        Html(f"{TIMING_BEGINS}{timing}{TIMING_ENDS}"),
    ]


def _video(pair: AlignedPair, inputs: ReportInputs, config: ReportConfig, progress: Progress) -> Html:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "aligned.mp4"
        made = write_aligned_video(
            file,
            pair,
            inputs.frames,
            fps=config.video_fps,
            pixels=config.video_pixels,
            phases=inputs.phases,
            aspect=_aspect(inputs.settings),
            progress=lambda fraction, status: progress(0.9 * fraction, status),
        )
        source = data_uri("video/mp4", file.read_bytes())
    names = f"A is {pair.reference.name}, B is {pair.other.name}"
    label = f"Two test clips side by side in step, {made.seconds:.1f} seconds, no sound. {names}."
    player = Html(
        f'<video controls autoplay loop muted playsinline width="{made.width}" height="{made.height}" '
        f'poster="{data_uri("image/jpeg", made.poster)}" src="{source}" aria-label="{escape(label)}"></video>'
    )
    speed = f" Played {made.speed} times as fast as filmed." if made.speed > 1 else ""
    strip = " The strip over each panel shows the clip's phases and where it is." if inputs.phases else ""
    caption = join(
        [
            "Left, test clip A. Middle, for each frame of A the matched frame of test clip B. Right, B as filmed, "
            f"started at the same time.{strip}{speed} The match rests on the embeddings alone.",
            sections.phase_legend(inputs.phases),
        ]
    )
    return figure(player, caption)


def _aspect(settings: Mapping[str, Any]) -> float:
    """Width / height of the videos. Frames are stored as squares; of rendered videos the settings know the shape."""
    rendering = settings.get("rendering", {})
    if settings.get("videos", {}).get("source") != "rendered" or not rendering.get("height"):
        return 1.0
    return float(rendering["width"] / rendering["height"])


def _alignment_section(pair: AlignedPair, compared: int, distance: str) -> Html:
    svg = figures.similarity_matrix(
        pair.distances,
        query_seconds=pair.reference.timestamps,
        candidate_seconds=pair.other.timestamps,
        path=pair.path,
        nearest=pair.nearest(distance=distance),
        query_name=pair.reference.name,
        candidate_name=pair.other.name,
    )
    ends = [f"{clip.timestamps[-1] - clip.timestamps[0]:.1f} s" for clip in (pair.reference, pair.other)]
    alternative = (
        f"Matrix of distances between the frames of {pair.reference.name} ({ends[0]}) and {pair.other.name} "
        f"({ends[1]}). The warping path runs from the beginning of both to the end of both; matched frames lie "
        f"{pair.shift_seconds:.2f} s apart on average."
    )
    caption = (
        f"Distance ({distance}) between the embeddings of every frame of A and of B: dark is near. Dots: each frame's "
        "nearest neighbor, free to go back in time. Line: the dynamic time warping path that the video follows."
    )
    pairs = f"{compared:,} {'pair' if compared == 1 else 'pairs'}"
    how = paragraph(
        f"How this pair was chosen: of {pairs} of test clips, the third with the lowest cost along the warping path "
        "was kept (no label was looked at), and of these the pair that is furthest out of step when played as filmed, "
        f"{pair.shift_seconds:.2f} s on average. The mean distance along the path is {pair.relative_cost:.3f} of the "
        "mean distance between any two frames of the pair."
    )
    charts = element("div", figure(svg_image(svg, alternative=alternative), caption), how, class_="charts")
    return section("alignment", "Alignment of two test clips", charts)


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


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")  # file names may be no UTF-8
    os.replace(temporary, path)
