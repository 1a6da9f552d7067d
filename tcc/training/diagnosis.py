"""Why a step is not finite: which clip's inputs or embeddings, else which term of the loss, and on which clips."""

from __future__ import annotations

import dataclasses
import itertools
import math
from typing import Any, Dict, List, Sequence

import numpy as np
import tensorflow as tf

from tcc.dataset import Batch
from tcc.training.step import StepTrace, TrainingStep

_LOWER = "lower learning_rate or clip_norm"


def diagnose(step_function: TrainingStep, names: Sequence[str]) -> str:
    """A sentence about the first thing in the last step that is not finite, and what to do about it.

    Looked at in the order of the computation: inputs, embeddings, terms, gradients. Terms are computed again for each pair
    of clips alone, so that the pairs at fault can be named.

    Args:
      step_function: has just done a step with a loss or gradient that is not finite.
      names: of the clips of the source that its batches were drawn from.
    """
    # A name for each row: a clip with two views has two.
    for trace in step_function.traces:
        clips = [names[clip] for clip in trace.batch.clips_of_rows()]
        found = _inputs(trace, clips) or _embeddings(trace, clips) or _terms(step_function, trace, clips)
        if found:
            return found
    return f"inputs, embeddings and terms are finite, the gradient is not: it overflows on its way back; {_LOWER}"


def _inputs(trace: StepTrace, clips: List[str]) -> str:
    broken = _not_finite(trace.batch.inputs, clips[trace.batch.first_row :])
    if not broken:
        return ""
    return f"the inputs of {_listed(broken)} are not finite; leave them out, or compute their features anew"


def _embeddings(trace: StepTrace, clips: List[str]) -> str:
    broken = _not_finite(np.asarray(trace.embeddings), clips)
    if not broken:
        return ""
    if set(broken) == set(clips):
        return f"inputs are finite, the embeddings of every clip are not: the weights have grown too large; {_LOWER}"
    return f"inputs are finite, the embeddings of {_listed(broken)} are not; look at these clips, or {_LOWER}"


def _terms(step_function: TrainingStep, trace: StepTrace, clips: List[str]) -> str:
    terms = [name for name, value in trace.terms.items() if not math.isfinite(value) and name != "loss"]
    if not terms:
        return ""
    pairs = _broken_pairs(step_function, trace, terms)
    advice = f"look at these clips, or {_LOWER}"
    if not pairs:
        return f"embeddings are finite, the term {' and '.join(terms)} is not, on {_listed(clips)}; {advice}"
    common = set.intersection(*(set(pair) for pair in pairs)) if len(pairs) > 1 else set()
    where = _listed([clips[clip] for clip in sorted(common or set().union(*pairs))])
    return f"embeddings are finite, the term {' and '.join(terms)} is not, because of {where}; {advice}"


def _broken_pairs(step_function: TrainingStep, trace: StepTrace, terms: List[str]) -> List[Any]:
    """Pairs of places in the batch whose own terms are not finite; none where the weights of the head are lost.

    None either where a batch cannot be taken apart: its views and cycles belong together.
    """
    if trace.batch.valid.size or len(trace.batch.cycles):
        return []
    head = step_function.head
    if head is not None and not all(np.isfinite(variable.numpy()).all() for variable in head.trained_variables()):
        return []
    pairs = itertools.combinations(range(len(trace.batch.clips)), 2)
    return [pair for pair in pairs if _is_broken(_terms_of_pair(step_function, trace, pair), terms)]


def _is_broken(values: Dict[str, tf.Tensor], terms: List[str]) -> bool:
    return any(not math.isfinite(float(values[name])) for name in terms if name != "weight_decay")


def _terms_of_pair(step_function: TrainingStep, trace: StepTrace, pair: Any) -> Dict[str, tf.Tensor]:
    return step_function.terms_of(tf.gather(trace.embeddings, list(pair)), clips_of(trace.batch, list(pair)))


def clips_of(batch: Batch, places: List[int]) -> Batch:
    """A batch's clips at some places as a batch of their own; triplet r belongs to the clip at place r % B."""
    num_clips = len(batch.clips)
    kept = np.arange(len(batch.triplets)).reshape(-1, num_clips)[:, places].reshape(-1)
    return dataclasses.replace(
        batch,
        clips=batch.clips[places],
        inputs=batch.inputs[:0],  # terms are of embeddings
        frame_indices=batch.frame_indices[places],
        sequence_lengths=batch.sequence_lengths[places],
        labels=batch.labels[places],
        triplets=batch.triplets[kept],
        triplet_labels=batch.triplet_labels[kept],
    )


def _not_finite(values: np.ndarray, clips: List[str]) -> List[str]:
    return [clip for clip, one in zip(clips, values) if not np.isfinite(one).all()]


def _listed(clips: Sequence[str]) -> str:
    once = list(dict.fromkeys(clips))
    return f"{'clip' if len(once) == 1 else 'clips'} {', '.join(once)}"
