"""The page as a whole: what goes in, what comes out, and the block that may differ from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, List, Union

from tcc.config import ReportConfig
from tcc.errors import MetricUndefined, VideoError
from tcc.progress import Progress, part, silent
from tcc.report import sections
from tcc.report.alignment_pair import align_all
from tcc.report.alignment_section import alignment_section, grid_figure, tau_figure
from tcc.report.document import TIMING_BEGINS, TIMING_ENDS, write_document
from tcc.report.embedding_section import embedding_section
from tcc.report.inputs import ReportInputs
from tcc.report.markup import CHART, Html, element, join, paragraph, section
from tcc.report.metric_details import details_section
from tcc.report.metrics_table import count_undefined, metrics_table

_CONTENTS = (
    ("results", "Results"),
    ("training", "Training"),
    ("alignment", "Alignment"),
    ("embeddings", "Embeddings"),
    ("details", "Metrics in detail"),
    ("clips", "Clips"),
    ("settings", "Settings"),
    ("provenance", "Provenance"),
    ("run", "This run"),
)


def write_report(
    path: Union[str, Path], inputs: ReportInputs, config: ReportConfig, *, progress: Progress = silent
) -> Dict[str, int]:
    """Write the page: one HTML file that needs nothing else, neither network nor script.

    The same inputs give the same bytes but for the timing block; see `without_timing`.

    Returns: counts: clips "in", "out", "skipped"; "metrics", "undefined" (without a value), "figures", "videos".
    Raises: ShapeError if a clip has fewer frames than time steps; VideoError for a damaged frame.
    """
    path = Path(path)
    try:
        pairs = align_all(inputs.clips, distance=inputs.distance, playable=inputs.frames)
    except (VideoError, MetricUndefined) as reason:
        pairs = []
        video = paragraph(f"There is no video: {reason}.", class_="warning")
        alignment = section(
            "alignment", "Alignment", paragraph(f"There is no similarity matrix: {reason}."), tau_figure(inputs)
        )
    else:
        video = grid_figure(pairs, inputs, config, part(progress, 0.05, 0.6))
        alignment = alignment_section(pairs, inputs, config, part(progress, 0.6, 0.9))
    body = join(
        [
            _header(inputs),
            element(
                "main",
                _results(inputs, video),
                sections.training_section(inputs.history, inputs.selection),
                alignment,
                embedding_section(pairs, inputs),
                *_rest(inputs),
                id="main",
            ),
            element("footer", f"Made by {sections.COMMAND}. This file needs no network."),
        ],
        "\n",
    )
    write_document(path, inputs.title, body)
    progress(1.0, "page written")
    return {
        "in": len(inputs.clips),
        "out": len(inputs.clips),
        "skipped": 0,
        "metrics": len(inputs.metrics),
        "undefined": count_undefined(inputs.metrics),
        "figures": body.count(CHART),
        "videos": body.count("<video "),
    }


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
        details_section(inputs.metrics),
        sections.clips_section(inputs.clips, inputs.stages, inputs.checks),
        sections.settings_section(inputs.settings),
        sections.provenance_section(inputs.stages),
        Html(f"{TIMING_BEGINS}{timing}{TIMING_ENDS}"),
    ]
