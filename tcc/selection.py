"""Choosing a checkpoint on the validation split."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Optional

from tcc.config import SamplingConfig, SelectionConfig
from tcc.embedding import embed_clips
from tcc.errors import CheckpointError, MetricUndefined
from tcc.evaluation import kendalls_tau
from tcc.progress import Progress, silent
from tcc.training.checkpoints import list_checkpoints, restore_encoder


def select_checkpoint(
    checkpoints: Path,
    encoder: Any,
    validation: Any,
    *,
    sampling: SamplingConfig,
    selection: SelectionConfig,
    batch_frames: int,
    progress: Progress = silent,
) -> Dict[str, Any]:
    """Score the checkpoints in a folder by the rule and choose the best; ties go to the earlier one.

    Returns: {"rule", "step", "why", "scores": [{"step", "value", "reason"}]}; an undefined value is None, with the reason,
      and never chosen.
    Raises: CheckpointError if there is no checkpoint, or none has a defined score.
    """
    steps = list_checkpoints(checkpoints)
    if not steps:
        raise CheckpointError(f"{checkpoints}: no checkpoint to choose from")
    if selection.rule == "last":
        scores = [{"step": step, "value": None, "reason": "not scored: the rule is last"} for step in steps]
        return {"rule": "last", "step": steps[-1], "why": "the last checkpoint", "scores": scores}
    scores = []
    for done, step in enumerate(steps):
        progress(done / len(steps), f"checkpoint {step}")
        restore_encoder(checkpoints, step, encoder)
        clips = embed_clips(validation, encoder, sampling=sampling, batch_frames=batch_frames)
        scores.append(_score(step, clips, selection.frame_stride))
    best = _best(scores)
    if best is None:
        raise CheckpointError(f"{checkpoints}: Kendall's tau is undefined for every checkpoint: {scores[-1]['reason']}")
    why = f"highest Kendall's tau on the validation split ({best['value']:.4f})"
    return {"rule": selection.rule, "step": best["step"], "why": why, "scores": scores}


def _score(step: int, clips: List[Any], frame_stride: int) -> Dict[str, Any]:
    try:
        result = kendalls_tau(clips, frame_stride=frame_stride, split="val")
    except MetricUndefined as reason:
        return {"step": step, "value": None, "reason": str(reason)}
    return {"step": step, "value": result.value, "reason": ""}


def _best(scores: List[Dict[str, Any]]) -> Optional[Dict[str, Any]]:
    defined = [score for score in scores if score["value"] is not None]
    return max(defined, key=lambda score: (score["value"], -score["step"])) if defined else None
