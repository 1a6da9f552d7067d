"""Pictures for the report; the only file that knows the drawing library.

Charts are SVG text: the same input gives the same bytes (fixed ids, no date). Nothing here touches matplotlib.pyplot or
keeps global state. Colors are those of Okabe and Ito (Color Universal Design, 2008), told apart by color-blind readers;
lines differ in their dashes too, so that a black-and-white print can be read.
"""

from __future__ import annotations

import contextlib
import io
import itertools
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from tcc.fonts import FONTS
from tcc.shapes import check_rank

INK, FAINT = "#1b1b1b", "#6b6b6b"
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7"
PHASE_COLORS = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", VERMILION, "#F0E442", "#000000")
UNLABELLED_COLOR = "#9a9a9a"

_NEAR_TO_FAR = ("#08306b", "#2f7fbc", "#a6cee4", "#ffffff")
_DASHES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_INCHES_WIDE, _INCHES_HIGH = 4.8, 3.1
# What a line of the history may hold besides the loss and its terms.
_NO_LOSSES = (
    *("step", "learning_rate", "gradient_norm", "loss_scale"),
    *("embedding_variance", "embedding_spread", "embedding_rank", "neighbor_entropy"),
)
_VALIDATION = "validation_loss"
_TEXT_INSET = 4  # pixels
_MOST_POINTS = 1000  # of a curve; more would not be seen
_STYLE = {
    "svg.hashsalt": "tcc",
    "text.parse_math": False,  # a name with dollar signs is no formula
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",  # shipped with matplotlib: measures the same everywhere; the browser shows FONTS
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "text.color": INK,
}


def phase_color(label: int) -> str:
    """Color of a phase, by its index; gray for unlabelled (-1). Past eight phases the colors repeat."""
    return PHASE_COLORS[label % len(PHASE_COLORS)] if label >= 0 else UNLABELLED_COLOR


def loss_terms(history: Sequence[Mapping[str, Any]]) -> List[str]:
    """What `training_curve` draws: the loss, the validation loss, then the loss's terms by name."""
    names = {name for line in history for name, value in line.items() if isinstance(value, (int, float))}
    names -= {name for name in names if name in _NO_LOSSES or "second" in name}
    terms = sorted(name for name in names if name != "loss" and not name.startswith("validation_"))
    return [name for name in ("loss", _VALIDATION) if name in names] + terms


def training_curve(history: Sequence[Mapping[str, Any]], *, chosen_step: Optional[int] = None) -> str:
    """Loss, validation loss and the loss's terms over the steps of the training; the chosen step marked.

    Args:
      history: one mapping per logged step: "step", and of "loss", "validation_loss", further terms those that are known; None
        where a value is not finite.
      chosen_step: step of the checkpoint that was chosen.
    Returns: SVG.
    """
    with _canvas() as (figure, axes):
        dashes = itertools.cycle(_DASHES)
        for name in loss_terms(history):
            _draw_term(axes, *_points(history, name), name, next(dashes))
        _scale_losses(axes, history)
        axes.set_xlabel("training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("loss")
        _mark_step(axes, chosen_step)
        if len(loss_terms(history)) > 1:
            axes.legend(loc="best")
        return _svg(figure)


def checkpoint_scores(scores: Sequence[Mapping[str, Any]], *, chosen_step: Optional[int], label: str) -> str:
    """Validation score of each checkpoint, the chosen one marked by a ring and a line.

    Args:
      scores: {"step", "value"} per checkpoint; a value of None (undefined) is left out.
      label: what was scored, for the axis.
    Returns: SVG.
    """
    with _canvas() as (figure, axes):
        steps, values = _points(scores, "value")
        axes.plot(steps, values, color=BLUE, linewidth=1.4, marker="o", markersize=4)
        chosen = [(step, value) for step, value in zip(steps, values) if step == chosen_step]
        for step, value in chosen:
            axes.plot([step], [value], "o", markersize=11, markerfacecolor="none", markeredgecolor=VERMILION, mew=2)
        axes.set_xlabel("training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel(label)
        _mark_step(axes, chosen_step)
        return _svg(figure)


def similarity_matrix(
    distances: np.ndarray,
    *,
    query_seconds: np.ndarray,
    candidate_seconds: np.ndarray,
    path: Tuple[np.ndarray, np.ndarray],
    nearest: np.ndarray,
    query_name: str,
    candidate_name: str,
) -> str:
    """Distance between the frames of two clips, dark where they are alike, with the warping path and nearest neighbors.

    Args:
      distances: [Tq, Tc], at least 0. query_seconds: [Tq]. candidate_seconds: [Tc].
      path: indices into the query and into the candidates, both [P].
      nearest: [Tq], index of each query frame's nearest candidate frame.
    Returns: SVG.
    Raises: ShapeError if `distances` is not a matrix.
    """
    check_rank("distances", distances, 2, axes="Tq Tc")
    extent = (*_edges(query_seconds), *_edges(candidate_seconds))
    ratio = (extent[3] - extent[2]) / (extent[1] - extent[0])
    with _canvas(high=float(np.clip(0.85 * _INCHES_WIDE * ratio + 0.9, 2.6, 5.2))) as (figure, axes):
        axes.set_aspect("equal" if 1 / 3 < ratio < 3 else "auto")  # equal: 45 degrees are equal speeds
        _draw_matrix(axes, distances, extent)
        walked = query_seconds[path[0]], candidate_seconds[path[1]]
        dots: Dict[str, Any] = {"color": ORANGE, "markersize": 3.2, "markeredgecolor": INK, "markeredgewidth": 0.4}
        axes.plot(query_seconds, candidate_seconds[nearest], "o", label="nearest neighbor", **dots)
        axes.plot(*walked, color="white", linewidth=3.6)
        axes.plot(*walked, color=VERMILION, linewidth=1.8, label="time warping path")
        axes.set(xlim=extent[:2], ylim=extent[2:])
        axes.set_xlabel(f"A: {_short(_printable(query_name))}, time (s)")
        axes.set_ylabel(f"B: {_short(_printable(candidate_name))}, time (s)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2)
        return _svg(figure)


def confusion_matrix(counts: Sequence[Sequence[int]], *, phases: Sequence[str]) -> str:
    """Which phase is taken for which: for each true phase the shares of the predicted ones, with the numbers of frames.

    Args:
      counts: [K][K] frames, rows true, columns predicted. phases: names of the K phases.
    Returns: SVG.
    Raises: ShapeError if `counts` is not a matrix.
    """
    frames = np.asarray(counts, dtype=float)
    check_rank("counts", frames, 2, axes="K K")
    totals = frames.sum(axis=1, keepdims=True)
    shares = np.divide(frames, totals, out=np.zeros_like(frames), where=totals > 0)
    names = [_short(_printable(phase), 18) for phase in phases]
    with _canvas(high=float(np.clip(0.52 * len(phases) + 1.5, 2.6, 8))) as (figure, axes):
        colors = LinearSegmentedColormap.from_list("far to near", _NEAR_TO_FAR[::-1])
        image = axes.imshow(shares, cmap=colors, vmin=0, vmax=1, aspect="auto")
        for (row, column), share in np.ndenumerate(shares):
            text = f"{share:.2f}\n{int(frames[row, column])}" if totals[row] else "–"
            dark = share > 0.55
            axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color="white" if dark else INK)
        axes.grid(False)
        axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted phase", ylabel="true phase")
        figure.colorbar(image, ax=axes, label="share of the true phase's frames", shrink=0.9)
        return _svg(figure)


def progression(seconds: np.ndarray, *, truth: np.ndarray, predicted: np.ndarray, events: Sequence[str]) -> str:
    """Time to key events over a clip: what is predicted (thin, each event with its dashes) and what is true (wide, pale).

    Args:
      seconds: [T]. truth, predicted: [T, K - 1], shares of the clip's length. events: names of the K - 1 key events.
    Returns: SVG.
    Raises: ShapeError if `truth` or `predicted` is not a matrix.
    """
    check_rank("truth", truth, 2, axes="T K-1")
    check_rank("predicted", predicted, 2, axes="T K-1")
    with _canvas() as (figure, axes):
        dashes = itertools.cycle(_DASHES)
        for number, event in enumerate(events):
            color = phase_color(number)
            axes.plot(seconds, truth[:, number], color=color, linewidth=3.4, alpha=0.3, solid_capstyle="butt")
            label = _short(_printable(event))
            axes.plot(seconds, predicted[:, number], next(dashes), color=color, linewidth=1.4, label=label)
        axes.plot([], [], color=FAINT, linewidth=3.4, alpha=0.4, label="truth (wide, pale)")
        axes.axhline(0, color=FAINT, linewidth=0.8)
        axes.set(xlabel="time (s)", ylabel="time since the key event\n(share of the clip)")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=2, fontsize=8)
        return _svg(figure)


def tau_matrix(taus: np.ndarray, *, names: Sequence[str], outliers: Sequence[str] = ()) -> str:
    """Kendall's tau of every ordered pair of clips: blue keeps the order of time, orange turns it round, hatched is undefined.

    Args:
      taus: [N, N] in [-1, 1], NaN where undefined; rows are the queries. names: of the N clips.
      outliers: names that are set in bold, with a star.
    Returns: SVG.
    Raises: ShapeError if `taus` is not a matrix.
    """
    check_rank("taus", taus, 2, axes="N N")
    labels = [("★ " if name in outliers else "") + _short(_printable(name), 22) for name in names]
    points = float(np.clip(150 / max(len(names), 1), 4.5, 8.5))
    side = float(np.clip(0.16 * len(names) + 2.6, 3.4, 7.5))
    with _canvas(wide=side + 1.2, high=side) as (figure, axes):
        axes.set_facecolor("white")
        axes.patch.set(hatch="////", edgecolor="#b0b0b0", linewidth=0)
        image = axes.imshow(np.ma.masked_invalid(taus), cmap=_diverging(), vmin=-1, vmax=1, interpolation="none")
        axes.grid(False)
        axes.set_xticks(range(len(labels)), labels, rotation=90, fontsize=points)
        axes.set_yticks(range(len(labels)), labels, fontsize=points)
        for label, name in zip((*axes.get_xticklabels(), *axes.get_yticklabels()), (*names, *names)):
            label.set_fontweight("bold" if name in outliers else "normal")
        axes.set(xlabel="nearest neighbors in", ylabel="frames of")
        figure.colorbar(image, ax=axes, label="Kendall's tau", shrink=0.8)
        return _svg(figure)


def map_by_phase(points: np.ndarray, *, labels: np.ndarray, phases: Sequence[str], explained: Sequence[float]) -> str:
    """Embeddings on a plane, each phase with its color and its marker.

    Args:
      points: [N, 2]. labels: [N], -1 without. phases: names of the labels.
      explained: share of the variance along each of the two axes.
    Returns: SVG.
    Raises: ShapeError if `points` is not a matrix.
    """
    with _plane(points, explained) as (figure, axes):
        for label in (-1, *range(len(phases))):
            own = labels == label
            if own.any():
                name = "no label" if label < 0 else _short(_printable(phases[label]), 20)
                marker = _MARKERS[label % len(_MARKERS)] if label >= 0 else "."
                drawn: Dict[str, Any] = {"color": phase_color(label), "marker": marker, "s": 14, "alpha": 0.75}
                axes.scatter(points[own, 0], points[own, 1], linewidths=0, label=name, **drawn)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncol=3, fontsize=8.5, markerscale=1.4)
        return _svg(figure)


def map_by_time(points: np.ndarray, *, shares: np.ndarray, explained: Sequence[float]) -> str:
    """Embeddings on a plane, dark early in their clip and light late.

    Args:
      points: [N, 2]. shares: [N], time as a share of the clip. explained: share of the variance along each of the two axes.
    Returns: SVG.
    Raises: ShapeError if `points` is not a matrix.
    """
    with _plane(points, explained) as (figure, axes):
        drawn = axes.scatter(
            points[:, 0], points[:, 1], c=shares, cmap="cividis", vmin=0, vmax=1, s=12, alpha=0.8, linewidths=0
        )
        bar = figure.colorbar(drawn, ax=axes, location="top", shrink=0.8, aspect=30)
        bar.set_label("time, share of the clip")
        return _svg(figure)


def text_image(
    text: str, *, width: int, height: int, points: float = 9.0, bold: bool = False, color: str = INK
) -> np.ndarray:
    """One line of text on white: uint8 [height, width, 3], cut with an ellipsis where it is too long."""
    text = _printable(text)
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(width / 100, height / 100), dpi=100)
        canvas = FigureCanvasAgg(figure)
        keywords: Dict[str, Any] = {"fontsize": points, "va": "center_baseline", "color": color, "parse_math": False}
        drawn = figure.text(_TEXT_INSET / width, 0.5, text, fontweight="bold" if bold else "normal", **keywords)
        renderer = canvas.get_renderer()
        while drawn.get_window_extent(renderer).width > width - 2 * _TEXT_INSET and len(text) > 1:
            text = text[:-1]
            drawn.set_text(text.rstrip() + "…")
        canvas.draw()
        return np.array(canvas.buffer_rgba())[:height, :width, :3]


@contextlib.contextmanager
def _canvas(*, wide: float = _INCHES_WIDE, high: float = _INCHES_HIGH) -> Iterator[Tuple[Figure, Axes]]:
    """A figure with one pair of axes in this module's style, whatever the user's own settings say."""
    with matplotlib.style.context(["default", _STYLE]):
        figure = Figure(figsize=(wide, high), layout="constrained")
        yield figure, figure.add_subplot()


@contextlib.contextmanager
def _plane(points: np.ndarray, explained: Sequence[float]) -> Iterator[Tuple[Figure, Axes]]:
    """Axes for a map of embeddings, which say how much of the variance they hold."""
    check_rank("points", points, 2, axes="N 2")
    with _canvas(high=3.9) as (figure, axes):
        axes.set_xlabel(f"first component ({explained[0]:.0%} of the variance)")
        axes.set_ylabel(f"second component ({explained[1]:.0%})")
        yield figure, axes


def _svg(figure: Figure) -> str:
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(text, metadata=nothing)
    svg = text.getvalue()
    return svg[svg.index("<svg") :].replace("'DejaVu Sans'", FONTS)


def _points(lines: Sequence[Mapping[str, Any]], name: str) -> Tuple[np.ndarray, np.ndarray]:
    """Steps and finite values of one name, thinned out evenly where there are too many."""
    values = [(line["step"], line.get(name)) for line in lines]
    kept = [(step, value) for step, value in values if value is not None and np.isfinite(value)]
    if len(kept) > _MOST_POINTS:
        kept = [kept[index] for index in np.linspace(0, len(kept) - 1, _MOST_POINTS).round().astype(int)]
    return np.array([step for step, _ in kept]), np.array([value for _, value in kept], dtype=float)


def _draw_term(axes: Axes, steps: np.ndarray, values: np.ndarray, name: str, dashes: str) -> None:
    """The loss: every value thin, their running median thick. Validation: its values. A term: its running median."""
    label = name.replace("_", " ")
    if name == _VALIDATION:
        axes.plot(steps, values, "o-", color=GREEN, markersize=4, linewidth=1.3, label=label)
        return
    main = name == "loss"
    if main:
        axes.plot(steps, values, color=BLUE, linewidth=0.6, alpha=0.35)
    style: Dict[str, Any] = {"color": BLUE if main else FAINT, "linewidth": 1.8 if main else 1.2}
    axes.plot(steps, _running_median(values), dashes, label=label, **style)


def _scale_losses(axes: Axes, history: Sequence[Mapping[str, Any]]) -> None:
    """Logarithmic where the loss itself needs it; a term that is much smaller may then leave the picture."""
    _, losses = _points(history, "loss")
    if not len(losses) or losses.min() <= 0 or losses.max() < 30 * losses.min():
        return
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(axes.get_ylim()[0], losses.min() / 10))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median over a centered window of a fifteenth of the values; the window shrinks at the ends."""
    half = len(values) // 30
    return np.array([np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))])


def _draw_matrix(axes: Axes, distances: np.ndarray, extent: Tuple[float, float, float, float]) -> None:
    """Dark where two frames are alike; by the square root, as squares would leave all but the farthest dark."""
    far = float(np.percentile(distances, 98)) or 1.0
    shades = np.sqrt(np.clip(distances.T / far, 0, 1))
    colors = LinearSegmentedColormap.from_list("near to far", _NEAR_TO_FAR)
    axes.imshow(
        shades,
        origin="lower",
        extent=extent,
        cmap=colors,
        vmin=0,
        vmax=1,
        interpolation="none",
        aspect=axes.get_aspect(),
    )
    axes.grid(False)


def _diverging() -> LinearSegmentedColormap:
    """Orange over white to blue, which color-blind readers tell apart, and a print by its lightness at either end."""
    return LinearSegmentedColormap.from_list(
        "turned round to kept", ("#b35806", "#f1a340", "#ffffff", "#6baed6", "#08306b")
    )


def _mark_step(axes: Axes, step: Optional[int]) -> None:
    """A line at the chosen step, named above the upper edge."""
    if step is None:
        return
    axes.axvline(step, color=VERMILION, linewidth=1.2, linestyle=(0, (4, 3)))
    above: Dict[str, Any] = {"textcoords": "offset points", "va": "bottom", "ha": "center"}
    axes.annotate(f"chosen: {step}", (step, 1), (0, 3), ("data", "axes fraction"), color=VERMILION, **above)


def _edges(seconds: np.ndarray) -> Tuple[float, float]:
    """Where the first frame's cell begins and the last one's ends."""
    half = (seconds[-1] - seconds[0]) / max(len(seconds) - 1, 1) / 2 or 0.5
    return float(seconds[0] - half), float(seconds[-1] + half)


def _printable(name: str) -> str:
    """Bytes of a file name that are no UTF-8 as escapes: no font has them."""
    return name.encode("utf-8", "backslashreplace").decode()


def _short(name: str, longest: int = 28) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"
