"""What the embeddings tell: a map, the nearest frames in other clips, the progression through the action."""

from __future__ import annotations

from typing import Iterator, List, Optional, Sequence

import cv2
import numpy as np

from tcc import figures
from tcc.alignment import nearest_neighbors
from tcc.errors import MetricUndefined
from tcc.evaluation import ClipProgression, predict_progression, principal_components
from tcc.evaluation.threads import one_blas_thread
from tcc.report.alignment_pair import AlignedPair, spread
from tcc.report.grid_video import choose_grid
from tcc.report.inputs import ReportInputs
from tcc.report.markup import Html, data_uri, element, escape, figure, join, paragraph, section, svg_image, table
from tcc.report.panels import decode_frame, share_of_time
from tcc.sequences import ClipSequence

_MOST_POINTS = 1500
_QUERY_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the query clip's steps
_NEIGHBOR_CLIPS = 6
_PICTURE_HEIGHT = 84
_JPEG_QUALITY = 80
_PROGRESSION_CLIPS = 4


def embedding_section(pairs: Sequence[AlignedPair], inputs: ReportInputs) -> Html:
    """The map, the table of nearest frames (without `pairs`: why there is none), and charts of the progression."""
    return section(
        "embeddings",
        "What the embeddings tell",
        element("h3", "Map of the test clips' frames"),
        _map(inputs),
        element("h3", "Nearest frames in other clips"),
        _nearest_frames(pairs, inputs) if pairs else paragraph("There is none: it takes two clips.", class_="warning"),
        element("h3", "Progression through the action"),
        *_progression(inputs),
    )


def _map(inputs: ReportInputs) -> Html:
    clips = [clip for clip in inputs.clips if np.isfinite(clip.values).all()]
    frames = np.concatenate([clip.values for clip in clips]) if clips else np.zeros((0, 1))
    variance = frames.astype(np.float64).var(axis=0).sum() if len(frames) else 0.0
    if not variance > 0:
        return paragraph("There is no map: all embeddings are alike, or none is finite.", class_="warning")
    with one_blas_thread():
        projected, _ = principal_components(clips, [], components=2)
    points = np.concatenate([clip.values for clip in projected]).astype(np.float64)
    explained = points.var(axis=0) / variance
    if points.shape[1] < 2:  # embeddings of size 1, or two frames
        points, explained = np.pad(points, ((0, 0), (0, 1))), np.append(explained, 0.0)
    kept = np.array(spread(range(len(points)), _MOST_POINTS))
    labels = np.concatenate([clip.labels for clip in clips])[kept]
    shares = np.concatenate([share_of_time(clip) for clip in clips])[kept]
    by_phase = figures.map_by_phase(points[kept], labels=labels, phases=inputs.phases, explained=explained)
    by_time = figures.map_by_time(points[kept], shares=shares, explained=explained)
    thinned = f"{len(kept):,} of {len(points):,} frames" if len(kept) < len(points) else f"{len(points):,} frames"
    of_what = f"{thinned} of {len(clips)} test clips on the first two principal components of their embeddings"
    told = paragraph(
        f"The embeddings of {thinned}, all test clips together, on their first two principal components. The axes hold "
        f"{explained.sum():.0%} of the variance; what lies apart here is apart, what lies together may be apart along others."
    )
    pictures = [
        figure(svg_image(by_phase, alternative=f"Scatter plot of {of_what}, by phase."), "By phase: color and marker."),
        figure(
            svg_image(by_time, alternative=f"The same scatter plot of {of_what}, by time."),
            "By time: dark at the start of a clip, light at its end.",
        ),
    ]
    return join([told, element("div", *pictures, class_="charts")])


def _nearest_frames(pairs: Sequence[AlignedPair], inputs: ReportInputs) -> Html:
    """Frames of the grid's reference clip, and beside each its nearest frame in other clips."""
    grid = choose_grid(pairs, most=_NEIGHBOR_CLIPS)
    by_name = {clip.name: clip for clip in inputs.clips}
    query, others = by_name[grid.reference.name], [by_name[clip.name] for clip in grid.others]
    steps = sorted({int(share * (len(query) - 1)) for share in _QUERY_SHARES})
    found = [nearest_neighbors(query.values[steps], other.values, distance=inputs.distance) for other in others]
    rows = [
        [
            _picture(query, step, inputs, "Query frame"),
            *(_neighbor(query, step, other, int(nearest[number]), inputs) for other, nearest in zip(others, found)),
        ]
        for number, step in enumerate(steps)
    ]
    told = [
        f"Left, frames of {query.name}, evenly spread; beside each the nearest frame of {len(others)} other test clips"
    ]
    marks = [
        _agrees(query, step, other, int(nearest[number]))
        for number, step in enumerate(steps)
        for other, nearest in zip(others, found)
    ]
    judged = [mark for mark in marks if mark is not None]
    if judged:
        told.append(f"{sum(judged)} of {len(judged)} lie in the same phase (✓), the others in another one (✗)")
    return table("; ".join(told) + ".", (query.name, *(other.name for other in others)), rows)


def _neighbor(query: ClipSequence, step: int, other: ClipSequence, nearest: int, inputs: ReportInputs) -> Html:
    agrees = _agrees(query, step, other, nearest)
    mark = {None: "", True: "✓ same phase", False: "✗ other phase"}[agrees]
    return _picture(other, nearest, inputs, f"Nearest to {query.timestamps[step]:.1f} s", mark)


def _agrees(query: ClipSequence, step: int, other: ClipSequence, nearest: int) -> Optional[bool]:
    """Whether both frames have the same phase; None if one has no label."""
    labels = int(query.labels[step]), int(other.labels[nearest])
    return None if -1 in labels else labels[0] == labels[1]


def _picture(clip: ClipSequence, step: int, inputs: ReportInputs, what: str, mark: str = "") -> Html:
    size = round(_PICTURE_HEIGHT * inputs.aspect), _PICTURE_HEIGHT
    image = decode_frame(inputs.frames[clip.name][step], size, clip.name)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
    label = int(clip.labels[step])
    phase = f", {inputs.phases[label]}" if inputs.phases and label >= 0 else ""
    time = f"{clip.timestamps[step]:.1f} s{phase}"
    alternative = escape(f"{what}: {clip.name} at {time}")
    source = data_uri("image/jpeg", jpeg)
    image_element = Html(f'<img src="{source}" width="{size[0]}" height="{size[1]}" alt="{alternative}">')
    return element(
        "div", image_element, element("small", time), *([element("small", mark)] if mark else []), class_="frame"
    )


def _progression(inputs: ReportInputs) -> Iterator[Html]:
    fractions = inputs.settings.get("evaluation", {}).get("train_fractions") or (1.0,)
    try:
        clips = predict_progression(
            inputs.training_clips, inputs.clips, phases=inputs.phases, train_fraction=max(fractions)
        )
    except MetricUndefined as reason:
        yield paragraph(f"There is no chart: {reason}.", class_="warning")
        return
    events = [f"{before} → {after}" for before, after in zip(inputs.phases, inputs.phases[1:])]
    yield paragraph(
        "Time since each key event (the end of a phase) as a linear regression reads it off single frames, beside the truth: "
        "what phase progression scores. Below 0 the event is still to come. The clips are spread from the best predicted to "
        "the worst."
    )
    ranked = sorted(clips, key=lambda clip: (clip.mean_absolute_error, clip.name))
    chosen = spread(list(enumerate(ranked, start=1)), _PROGRESSION_CLIPS)
    charts = [_progression_figure(clip, rank, len(ranked), events) for rank, clip in chosen]
    yield element("div", *charts, class_="multiples")


def _progression_figure(clip: ClipProgression, rank: int, count: int, events: List[str]) -> Html:
    svg = figures.progression(clip.seconds, truth=clip.truth, predicted=clip.predicted, events=events)
    alternative = (
        f"Line chart of the predicted and the true time since {len(events)} key events over {clip.name}: mean absolute error "
        f"{clip.mean_absolute_error:.3f} of the clip's length."
    )
    caption = (
        f"{clip.name}: mean absolute error {clip.mean_absolute_error:.3f} of the clip's length, rank {rank} of {count}."
    )
    return figure(svg_image(svg, alternative=alternative), caption)
