"""Scalars for TensorBoard, written eagerly and without the package tensorboard, which current TensorFlow lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Dict, Union

import tensorflow as tf

SUMMARIES = "summaries"


class Summaries:
    """Event files under `summaries/` in a training's folder; show them with `tensorboard --logdir <folder>`."""

    def __init__(self, directory: Union[str, Path]):
        self._writer = tf.summary.create_file_writer(str(Path(directory) / SUMMARIES))

    def scalars(self, step: int, values: Dict[str, float]) -> None:
        """Write numbers of one step by name."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step=step, metadata=_scalar_metadata())

    def close(self) -> None:
        """Write out what is buffered and close the file."""
        self._writer.close()


def _scalar_metadata() -> tf.compat.v1.SummaryMetadata:
    # What tf.summary.scalar would write: it marks the tensor as one for the page of scalars.
    metadata = tf.compat.v1.SummaryMetadata
    return metadata(plugin_data=metadata.PluginData(plugin_name="scalars"))
