"""Clips of embeddings as a Parquet file, one row a frame. pyarrow is optional and imported only here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any, Sequence, Union

import numpy as np

from tcc.errors import SettingsError, ShapeError
from tcc.sequences import UNLABELLED, ClipSequence


def check_pyarrow() -> None:
    """Raise SettingsError, with the command that helps, where pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise SettingsError(
            "parquet: needs pyarrow, which is not installed; pip install -r requirements-parquet.txt, or set parquet to"
            " false in [embedding]"
        )


def write_parquet(
    path: Union[str, Path], clips: Sequence[ClipSequence], *, phases: Sequence[str], fingerprint: str = ""
) -> None:
    """Write one row for each frame; the file appears when it is whole, and the same clips give the same bytes.

    Columns: clip (text), frame (int32, from 0), seconds (float64), phase (text, null where there is none), embedding (list of
    D float32). The schema's metadata has fingerprint (of what made them) and phases (JSON). Each clip is a row group.

    Args:
      clips: with embeddings [T, D].
      phases: names that the clips' labels index.
    Raises: SettingsError if pyarrow is missing; ShapeError if the clips differ in D.
    """
    check_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tcc.video.files import atomic_file

    sizes = {clip.values.shape[1:] for clip in clips}
    if len(sizes) > 1 or any(len(size) != 1 for size in sizes):
        raise ShapeError(f"clips: embeddings [T, D] of one size D are needed, got {sorted(sizes)}")
    ((size,),) = sizes or {(0,)}
    schema = pa.schema(
        [
            ("clip", pa.string()),
            ("frame", pa.int32()),
            ("seconds", pa.float64()),
            ("phase", pa.string()),
            ("embedding", pa.list_(pa.float32(), size)),
        ],
        metadata={"fingerprint": fingerprint, "phases": json.dumps(list(phases))},
    )
    with atomic_file(path) as file, pq.ParquetWriter(file, schema) as writer:
        for clip in clips:
            writer.write_table(_table(pa, schema, clip, phases))


def _table(pa: Any, schema: Any, clip: ClipSequence, phases: Sequence[str]) -> Any:
    values = np.ascontiguousarray(clip.values, np.float32)
    columns = [
        pa.array([clip.name] * len(clip), pa.string()),
        pa.array(np.arange(len(clip), dtype=np.int32)),
        pa.array(np.asarray(clip.timestamps, np.float64)),
        pa.array([None if label == UNLABELLED else phases[label] for label in clip.labels], pa.string()),
        pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1]),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
