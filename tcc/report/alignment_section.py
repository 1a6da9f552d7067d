"""Clips in step with each other: the grid on the first screen, a pair beside itself as filmed, matrices of distances."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence, Tuple

import numpy as np

from tcc import figures
from tcc.config import ReportConfig
from tcc.evaluation import pairwise_taus
from tcc.progress import Progress
from tcc.report.aligned_video import write_aligned_video
from tcc.report.alignment_pair import AlignedPair, choose_pair, spread
from tcc.report.film import WrittenVideo
from tcc.report.grid_video import choose_grid, write_grid_video
from tcc.report.inputs import ReportInputs
from tcc.report.markup import Html, data_uri, element, escape, figure, join, paragraph, plural, section, svg_image

# Of the page's 15 MB; base64 takes a third more than the file has.
_GRID_BYTES = 5_000_000
_PAIR_BYTES = 3_000_000
_MOST_CLIPS_OF_TAU = 40


def grid_figure(pairs: Sequence[AlignedPair], inputs: ReportInputs, config: ReportConfig, progress: Progress) -> Html:
    """The video of a reference clip and up to eight others in step with it."""
    grid = choose_grid(pairs)
    write = functools.partial(
        write_grid_video, grid=grid, pixels=config.grid_pixels, max_bytes=_GRID_BYTES, **_film(inputs, config, progress)
    )
    count = len(grid.others)
    clips = f"{count} other test {plural('clip', count)}"
    player, speed = _player(write, f"Test clip {grid.reference.name} and {clips} in step with it")
    known = "; over each picture its phase, and a strip of its phases with the present marked" if inputs.phases else ""
    caption = join(
        [
            f"First, framed, the reference clip as filmed; then {clips}: at each moment the frame that dynamic time warping "
            f"matches to the reference's, by the embeddings alone{known}.{speed} The reference is the clip that aligns best "
            f"with all others (mean cost {grid.mean_cost:.3f}); the others go from the best aligned to the worst.",
            phase_legend(inputs.phases),
        ]
    )
    return figure(player, caption)


def alignment_section(
    pairs: Sequence[AlignedPair], inputs: ReportInputs, config: ReportConfig, progress: Progress
) -> Html:
    """A pair of clips in step and as filmed, and the matrices of distances of the best, the median and the worst pair."""
    shown = choose_pair(pairs)
    matrices = element(
        "div", *(_matrix(title, pair, inputs) for title, pair in _examples(pairs, shown)), class_="multiples"
    )
    explained = paragraph(
        f"Distance ({inputs.distance}) between the embeddings of every frame of A and of B: dark is near. Dots: each frame's "
        "nearest neighbor, free to go back in time. Line: the dynamic time warping path. Cost: mean distance along the path, "
        "as a share of the mean distance between any two frames of the pair; 0 is the same, 1 no better than chance."
    )
    return section(
        "alignment",
        "Alignment of test clips",
        _pair_figure(shown, len(pairs), inputs, config, progress),
        element("h3", "Similarity matrices, from the best pair to the worst"),
        explained,
        matrices,
        element("h3", "Kendall's tau of each pair"),
        element("div", tau_figure(inputs), class_="tall"),
    )


def tau_figure(inputs: ReportInputs) -> Html:
    """Kendall's tau of every ordered pair of test clips; many clips are thinned out."""
    clips = spread(inputs.clips, _MOST_CLIPS_OF_TAU)
    stride = int(inputs.settings.get("evaluation", {}).get("tau_frame_stride", 1))
    taus, undefined = pairwise_taus(clips, frame_stride=stride, distance=inputs.distance)
    defined = taus[np.isfinite(taus)]
    if not len(defined):
        reasons = "; ".join(dict.fromkeys(entry["reason"] for entry in undefined)) or "it takes two clips"
        return paragraph(f"There is no matrix of tau: {reasons}.", class_="warning")
    outliers = inputs.metrics.get("kendalls_tau", {}).get("details", {}).get("outliers") or []
    names = [clip.name for clip in clips]
    low, high = (np.unravel_index(find(taus), taus.shape) for find in (np.nanargmin, np.nanargmax))
    alternative = (
        f"Matrix of Kendall's tau between {len(clips)} test clips. Mean {defined.mean():.3f}; lowest {taus[low]:.3f}, frames "
        f"of {names[low[0]]} in {names[low[1]]}; highest {taus[high]:.3f}, frames of {names[high[0]]} in {names[high[1]]}; "
        f"undefined for {len(undefined)} pairs."
    )
    told = [
        f"Tau of each ordered pair, every {_ordinal(stride)} frame: dark blue keeps the order of time, orange turns it round"
    ]
    told.append("hatched cells are undefined, as is a clip with itself")
    if len(clips) < len(inputs.clips):
        told.append(f"{len(clips)} of the {len(inputs.clips)} test clips, evenly spread")
    told.append(
        f"outliers (median below 0): {', '.join(outliers)}" if outliers else "no outlier (a clip with a median below 0)"
    )
    svg = figures.tau_matrix(taus, names=names, outliers=outliers)
    return figure(svg_image(svg, alternative=alternative), f"{'; '.join(told)}.")


def phase_legend(phases: Sequence[str]) -> Html:
    """The phases' colors with their names."""
    if not phases:
        return Html("")
    items = [
        element("li", element("span", style=f"background:{figures.phase_color(index)}", aria_hidden="true"), phase)
        for index, phase in enumerate(phases)
    ]
    return element("ul", *items, class_="legend", aria_label="colors of the phases")


def _pair_figure(
    pair: AlignedPair, compared: int, inputs: ReportInputs, config: ReportConfig, progress: Progress
) -> Html:
    write = functools.partial(
        write_aligned_video,
        pair=pair,
        pixels=config.video_pixels,
        max_bytes=_PAIR_BYTES,
        **_film(inputs, config, progress),
    )
    names = f"A is {pair.reference.name}, B is {pair.other.name}"
    player, speed = _player(write, f"Two test clips side by side in step. {names}", autoplay=False)
    caption = (
        "Left, test clip A. Middle, for each frame of A the matched frame of test clip B. Right, B as filmed, started at the "
        f"same time.{speed} How the pair was chosen: of {compared:,} {plural('pair', compared)} of test clips, the third with "
        "the lowest cost along the warping path was kept (no label was looked at), and of these the pair that is furthest out "
        f"of step when played as filmed, {pair.shift_seconds:.2f} s on average."
    )
    return element("div", figure(player, caption), class_="wide")


def _film(inputs: ReportInputs, config: ReportConfig, progress: Progress) -> Dict[str, Any]:
    """What all videos of a report are made with."""
    return {
        "frames": inputs.frames,
        "fps": config.video_fps,
        "phases": inputs.phases,
        "aspect": inputs.aspect,
        "progress": progress,
    }


def _player(write: Callable[[Path], WrittenVideo], label: str, *, autoplay: bool = True) -> Tuple[Html, str]:
    """The video, and how fast it plays where that is not as filmed."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "video.mp4"
        made = write(file)
        source = data_uri("video/mp4", file.read_bytes())
    label = f"{label}, {made.seconds:.1f} seconds, no sound."
    start = "autoplay" if autoplay else 'preload="auto"'
    player = Html(
        f'<video controls {start} loop muted playsinline width="{made.width}" '
        f'height="{made.height}" poster="{data_uri("image/jpeg", made.poster)}" src="{source}" '
        f'aria-label="{escape(label)}"></video>'
    )
    return player, f" Played {made.speed} times as fast as filmed." if made.speed > 1 else ""


def _examples(pairs: Sequence[AlignedPair], shown: AlignedPair) -> List[Tuple[str, AlignedPair]]:
    """The best, the median and the worst pair and the one of the video, each once; with what they are."""
    chosen = {
        "best aligned pair": pairs[0],
        "pair of the video": shown,
        "median pair": pairs[len(pairs) // 2],
        "worst pair": pairs[-1],
    }
    titles: Dict[int, List[str]] = {}
    for title, pair in chosen.items():
        index = next(index for index, one in enumerate(pairs) if one is pair)
        titles.setdefault(index, []).append(title)
    return [(" and ".join(titles[index]).capitalize(), pairs[index]) for index in sorted(titles)]


def _matrix(title: str, pair: AlignedPair, inputs: ReportInputs) -> Html:
    svg = figures.similarity_matrix(
        pair.distances,
        query_seconds=pair.reference.timestamps,
        candidate_seconds=pair.other.timestamps,
        path=pair.path,
        nearest=pair.nearest(distance=inputs.distance),
        query_name=pair.reference.name,
        candidate_name=pair.other.name,
    )
    ends = [f"{clip.timestamps[-1] - clip.timestamps[0]:.1f} s" for clip in (pair.reference, pair.other)]
    alternative = (
        f"Matrix of distances between the frames of {pair.reference.name} ({ends[0]}) and {pair.other.name} "
        f"({ends[1]}). The warping path runs from the beginning of both to the end of both; matched frames lie "
        f"{pair.shift_seconds:.2f} s apart on average."
    )
    caption = f"{title}: cost {pair.relative_cost:.3f}, {pair.shift_seconds:.2f} s apart."
    return figure(svg_image(svg, alternative=alternative), caption)


def _ordinal(number: int) -> str:
    return {1: "single", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")
