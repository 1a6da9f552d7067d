"""What a report is made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Sequence

from tcc.sequences import ClipSequence


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
      training_clips: embeddings [T, D] of the training clips; empty: no regression is drawn.
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
    training_clips: Sequence[ClipSequence] = ()

    @property
    def distance(self) -> str:
        """Between embeddings, as the metrics take it."""
        return str(self.settings.get("evaluation", {}).get("distance", "sqeuclidean"))

    @property
    def aspect(self) -> float:
        """Width / height of the videos. Frames are stored as squares; of rendered videos the settings know the shape."""
        rendering = self.settings.get("rendering", {})
        if self.settings.get("videos", {}).get("source") != "rendered" or not rendering.get("height"):
            return 1.0
        return float(rendering["width"] / rendering["height"])
