"""Data laid out as the Ascend port has it: rendered clips in the reference's TFRecords, and Keras' file of weights."""

from __future__ import annotations

from pathlib import Path

from tests.tcc.keras_weights import resnet_layers, write_h5

PIXELS = 48
WEIGHTS = "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5"


def write_port_data(folder: Path, *, per_shard: int = 2) -> Path:
    """`folder`/tmp/ with two training shards and one for validation of small pictures, and random weights."""
    from tcc.config import RenderingConfig
    from tcc.rendering import render_clip

    config = RenderingConfig(width=PIXELS, height=PIXELS, fps=15, min_seconds=2, max_seconds=3)
    shards = folder / "tmp" / "pouring_tfrecords"
    shards.mkdir(parents=True)
    for number, name in enumerate(("train-0-of-2", "train-1-of-2", "val-0-of-1")):
        split = name.split("-")[0]
        clips = [render_clip(config, f"{split}_{number * per_shard + i:03d}.mp4") for i in range(per_shard)]
        write_shard(shards / f"pouring_{name}.tfrecords", clips)
    write_h5(folder / "tmp" / WEIGHTS, resnet_layers())
    return folder


def write_shard(path: Path, clips) -> None:
    """As the reference writes: name and number of frames, then frames and labels; by TensorFlow's own writer."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for clip in clips:
            writer.write(_sequence_example(tf, clip).SerializeToString())


def _sequence_example(tf, clip):
    jpegs = [tf.io.encode_jpeg(frame[..., ::-1].copy(), quality=95).numpy() for frame in clip.frames()]
    features, lists = tf.train.Feature, tf.train.FeatureList
    return tf.train.SequenceExample(
        context=tf.train.Features(
            feature={
                "name": features(bytes_list=tf.train.BytesList(value=[Path(clip.name).stem.encode()])),
                "len": features(int64_list=tf.train.Int64List(value=[len(jpegs)])),
            }
        ),
        feature_lists=tf.train.FeatureLists(
            feature_list={
                "video": lists(feature=[features(bytes_list=tf.train.BytesList(value=[jpeg])) for jpeg in jpegs]),
                "frame_labels": lists(
                    feature=[features(int64_list=tf.train.Int64List(value=[int(phase)])) for phase in clip.phases]
                ),
            }
        ),
    )
