"""Made-up inputs of a report: clips of a ball that rolls, each at its own pace, and the JSON of other stages."""

from __future__ import annotations

from typing import Any, Dict, List, Sequence

import cv2
import numpy as np

from tcc.config import Settings
from tcc.report import ReportInputs
from tcc.sequences import ClipSequence

PHASES = ["roll", "dip & turn", "rest"]
FPS = 10.0
PIXELS = 48


def make_clip(name: str, *, length: int, pace: float, labelled: bool = True) -> ClipSequence:
    """Embeddings [length, 3] on a curve that the action walks along; `pace` above 1 begins slowly and ends fast."""
    progress = np.linspace(0, 1, length) ** pace
    values = np.stack([np.cos(2 * progress), np.sin(2 * progress), progress], axis=1)
    labels = np.minimum((progress * len(PHASES)).astype(np.int64), len(PHASES) - 1)
    if not labelled:
        labels = np.full(length, -1, np.int64)
    return ClipSequence(name, np.arange(length) / FPS, labels, values)


def draw_frames(clip: ClipSequence, *, pixels: int = PIXELS) -> List[bytes]:
    """JPEGs of a ball whose place shows the progress."""
    return [_draw(value[2], pixels) for value in clip.values]


def make_clips(*, count: int = 4, labelled: bool = True) -> List[ClipSequence]:
    """Clips of different length and pace."""
    return [
        make_clip(f"clip_{index:02d}.mp4", length=24 + 6 * index, pace=0.6 + 0.3 * index, labelled=labelled)
        for index in range(count)
    ]


def make_metric(name: str, value: Any, **changes: Any) -> Dict[str, Any]:
    """One metric's JSON with seven baselines."""
    numbers = {"clock_index": 0.71, "clock_length": 0.8123, "features_pool": 0.5, "features_grid": 0.58}
    numbers.update(features_grid_pca=0.6149, untrained=0.45, supervised=0.97)
    metric = {
        "metric": name,
        "protocol": "tcc-svm v1",
        "split": "test",
        "value": value,
        "interval": None,
        "interval_over": "",
        "count": 12,
        "undefined": [],
        "details": {"unit": "share of frames", "count_of": "ordered pairs of clips"},
        "baselines": {key: {"value": number, "count": 12, "undefined": []} for key, number in numbers.items()},
    }
    return {**metric, **changes}


def make_metrics() -> Dict[str, Dict[str, Any]]:
    """All metrics; a baseline of one and the value of another are undefined."""
    names = ("phase_classification", "linear_classification", "kendalls_tau", "retrieval", "phase_agreement")
    metrics = {name: make_metric(name, 0.9 + index / 100) for index, name in enumerate(names)}
    metrics["phase_classification"]["details"].update(
        fractions=[{"fraction": 0.1, "value": 0.71}, {"fraction": 1.0, "value": 0.9}],
        phases=PHASES,
        confusion=[[31, 2, 0], [1, 28, 3], [0, 0, 30]],
    )
    metrics["linear_classification"]["details"].update(phases=PHASES, confusion=[[30, 3, 0], [0, 32, 0], [0, 0, 30]])
    few = make_metric("few_shot_classification", 0.83, interval=[0.81, 0.85], interval_over="episodes")
    few["details"] = {"count_of": "episodes", "value_at_videos": 10}
    progression = make_metric("phase_progression", None)
    progression["undefined"] = [{"what": "all", "reason": "no test clip has every phase"}]
    progression["baselines"]["clock_index"] = {"value": None, "undefined": [{"what": "all", "reason": "constant"}]}
    metrics["kendalls_tau"]["undefined"] = [
        {"what": f"pair a -> {other}", "reason": "embeddings are not finite"} for other in "bcdef"
    ]
    metrics["phase_agreement"]["details"]["trimmed"] = {
        "trim_start_seconds": 3.0,
        "trim_end_seconds": 2.0,
        "value": 0.77,
        "count": 12,
        "undefined": [],
    }
    metrics["phase_agreement"]["details"]["dtw"] = {"value": 0.95, "count": 6, "pairs": 6, "pairs_in_all": 12}
    metrics["phase_agreement"]["baselines"]["supervised"]["details"] = {"dtw": {"value": 0.99, "count": 6}}
    boundary = make_metric("boundary_transfer", 0.134)
    alignment = make_metric("alignment", 0.05)
    alignment["details"].update(nearest_neighbor=_errors(0.05, 0.31, 0.12), dtw=_errors(0.04, 0.25, 0.0))
    more = {"boundary_transfer": boundary, "alignment": alignment, "collapse": make_collapse()}
    return {**metrics, "few_shot_classification": few, "phase_progression": progression, **more}


def make_collapse() -> Dict[str, Any]:
    """The check for collapse, of the model and of one baseline that is collapsed."""
    collapse = make_metric("collapse", 0.97)
    collapse["details"] = {
        "embedding_variance": 1.234,
        "effective_rank": 11.5,
        "undefined_tau_share": 0.0,
        "constant_clips": [],
    }
    flat = {"embedding_variance": 1e-9, "effective_rank": 1.0, "undefined_tau_share": 1.0}
    collapse["baselines"] = {
        "untrained": {"value": 0.0, "undefined": [], "details": {**flat, "constant_clips": ["a", "b"]}}
    }
    return collapse


def make_seeds(metric: Dict[str, Any], values: Sequence[Any]) -> Dict[str, Any]:
    """The metric of several seeds, as `combine_seeds` makes it; seed k's details say so in "seed_says"."""
    undefined = [[] if value is not None else [{"what": "all", "reason": "collapsed"}] for value in values]
    seeds = [
        {
            "seed": seed,
            "value": value,
            "interval": None,
            "count": 12,
            "undefined": undefined[seed],
            "details": {**metric["details"], "seed_says": seed},
        }
        for seed, value in enumerate(values)
    ]
    whole = None not in values
    return {
        **metric,
        "value": float(np.mean(values)) if whole else None,
        "interval": [min(values) - 0.1, max(values) + 0.1] if whole else None,
        "interval_over": "seeds",
        "undefined": [
            {**entry, "what": f"seed {seed}, all"} for seed in range(len(values)) for entry in undefined[seed]
        ],
        "seeds": seeds,
    }


def make_stages(*, seconds: float = 3.25, host: str = "amber") -> List[Dict[str, Any]]:
    """Manifests of a short pipeline."""
    skipped = [{"clip": "broken.mp4", "reason": "no frame could be decoded"}]
    again = [{"clip": "broken.mp4", "reason": "refused or undecodable, see the clips and frames manifests"}]
    return [
        _manifest("clips", "pouring", {"in": 9, "out": 8, "skipped": 1}, skipped, {}, seconds, host),
        _manifest("shards", "val000", {"in": 3, "out": 3, "skipped": 0}, again, {"split": "val"}, seconds, host),
        _manifest("checkpoints", "pouring-tcc", {"in": 5, "out": 5, "skipped": 0, "steps": 300}, [], {}, seconds, host),
    ]


def make_history(*, steps: int = 300) -> List[Dict[str, Any]]:
    """Losses that fall, with a term and one value that is not there."""
    rng = np.random.default_rng(0)
    lines = []
    for step in range(1, steps + 1):
        loss = float(3 * np.exp(-step / 90) + 0.4 + 0.1 * rng.random())
        lines.append({"step": step, "loss": loss, "method": 0.8 * loss, "learning_rate": 5e-4})
    lines[7]["loss"] = None
    return lines


def make_selection() -> Dict[str, Any]:
    """Three scored checkpoints and an undefined one."""
    scores = [
        {"step": 100, "value": None, "reason": "all embeddings are alike", "validation_loss": None},
        {"step": 200, "value": 0.91, "reason": "", "validation_loss": 1.2},
        {"step": 300, "value": 0.88, "reason": "", "validation_loss": 1.35},
    ]
    why = "highest Kendall's tau on the validation split (0.9100)"
    return {"rule": "kendalls_tau", "step": 200, "why": why, "scores": scores}


def make_inputs(**changes: Any) -> ReportInputs:
    """A whole report's inputs; `changes` replaces fields."""
    clips: Sequence[ClipSequence] = changes.get("clips", make_clips())
    fields = {
        "title": "pouring-tcc_regression_variance-seed0",
        "settings": Settings().as_dict(),
        "metrics": make_metrics(),
        "history": make_history(),
        "selection": make_selection(),
        "clips": clips,
        "training_clips": make_clips(count=5, labelled=bool(changes.get("phases", PHASES))),
        "frames": changes["frames"] if "frames" in changes else {clip.name: draw_frames(clip) for clip in clips},
        "phases": PHASES,
        "stages": make_stages(),
    }
    return ReportInputs(**{**fields, **changes})


def _errors(progress: float, seconds: float, cycle: float) -> Dict[str, Any]:
    return {"progress_error": progress, "time_error_seconds": seconds, "cycle_error_seconds": cycle}


def _draw(progress: float, pixels: int) -> bytes:
    image = np.full((pixels, pixels, 3), (214, 226, 232), np.uint8)
    image[pixels * 3 // 4 :] = (120, 150, 170)
    height = 0.62 - 0.35 * np.sin(np.pi * progress)
    center = (int(pixels * (0.12 + 0.76 * progress)), int(pixels * height))
    cv2.circle(image, center, pixels // 9, (40, 60, 200), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def _manifest(stage, name, counts, skipped, settings, seconds, host) -> Dict[str, Any]:
    return {
        "result": {
            "stage": stage,
            "name": f"{name}-5be77d10",
            "fingerprint": "5be77d10",
            "counts": counts,
            "skipped": skipped,
            "settings": settings,
            "files": {"a.json": "0" * 64},
        },
        "run": {
            "started": "2024-05-06T07:08:09+00:00",
            "seconds": seconds,
            "host": host,
            "platform": "Linux",
            "device": "cpu",
            "versions": {"python": "3.11.2", "numpy": "2.4.6"},
            "code_commit": "0123abc",
        },
    }
