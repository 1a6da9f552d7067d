"""Every setting, once: frozen dataclasses, one per section of luigi.cfg, that check themselves when made.

Standard library only. The comment behind a field is its documentation; docs/configuration.md lists the same fields and
a test compares the two.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any, Tuple

from tcc.errors import SettingsError
from tcc.npu_options import PRECISION_MODES, PRECISION_MODES_V2, changed_options, check_options

METHODS = (
    *("tcc_regression_variance", "tcc_regression", "tcc_huber", "tcc_classification"),
    *("tcn", "shuffle_and_learn", "tcc_sal_tcn", "supervised", "lav", "scl"),
)
STRATEGIES = ("offset_uniform", "segment_uniform", "stride")
SCL_NEGATIVES = ("other_view", "batch_other_view", "own_video", "batch")
SIMILARITIES = ("negative_squared_l2", "dot", "cosine")
EMBEDDERS = ("conv", "conv_gru", "transformer")
PRECISIONS = ("float32", "bfloat16", "float16")
BACKBONES = ("efficientnet_lite0", "resnet50v2", "convnet", "vggm")
# Ascend's plugin has no depthwise convolution.
ON_HOST_OF_AN_NPU = ("efficientnet_lite0",)
SPLITS = ("train", "val", "test")
DEVICES = ("auto", "npu", "gpu", "cpu")
# The metrics, and the options of [evaluation] that each of them reads.
METRIC_SETTINGS = {
    "phase_classification": ("train_fractions",),
    "linear_classification": ("train_fractions",),
    "few_shot_classification": ("few_shot_videos", "few_shot_episodes", "seed"),
    "phase_progression": ("train_fractions",),
    "retrieval": ("retrieval_frames", "distance"),
    "kendalls_tau": ("tau_frame_stride", "distance"),
    "phase_agreement": ("distance", "trim_start_seconds", "trim_end_seconds", "dtw_pairs", "seed"),
    "boundary_transfer": ("distance", "trim_start_seconds", "trim_end_seconds", "dtw_pairs", "seed"),
    "alignment": ("distance", "dtw_pairs", "seed"),
    "collapse": ("tau_frame_stride", "distance"),
}
# Those of which less is better.
LOWER_IS_BETTER = ("boundary_transfer", "alignment")
READ_TRAINING_CLIPS = (
    *("phase_classification", "linear_classification", "few_shot_classification", "phase_progression"),
)
# Not the true progress, which no validation clip has here, nor how far from a collapse, which noise is too.
SELECTION_RULES = (
    *[name for name in METRIC_SETTINGS if name not in ("alignment", "collapse")],
    "validation_loss",
    "last",
)
SOURCES = ("rendered", "folder", "images", "penn_action", "tfrecords", "download")


def check_at_least(name: str, value: float, minimum: float) -> None:
    """Raise SettingsError unless `value` >= `minimum`."""
    if not value >= minimum:
        raise SettingsError(f"{name}: must be at least {minimum}, got {value}")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise SettingsError unless low <= `value` <= high."""
    if not low <= value <= high:
        raise SettingsError(f"{name}: must lie between {low} and {high}, got {value}")


def check_choice(name: str, value: str, choices: Tuple[str, ...]) -> None:
    """Raise SettingsError unless `value` is one of `choices`."""
    if value not in choices:
        raise SettingsError(f"{name}: must be one of {', '.join(choices)}; got {value!r}")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise SettingsError(f"{name}: must be none, dynamic or a number; got {text!r}") from None


def check_context_frames(embedder: EmbedderConfig, num_context_frames: int) -> None:
    """Raise SettingsError if an embedder over whole sequences is to see context frames besides."""
    if embedder.kind != "conv" and num_context_frames != 1:
        raise SettingsError(
            f"num_context_frames: kind = {embedder.kind} of [embedder] sees the whole sequence and takes no context "
            f"frames besides; set num_context_frames of [sampling] to 1, got {num_context_frames}"
        )


@dataclass(frozen=True)
class VideosConfig:
    """[videos] Where the videos come from."""

    source: str = "rendered"  # rendered, folder, images, penn_action, tfrecords, download: see docs/data.md
    path: str = ""  # folder of the videos, image folders, data set or TFRecords; searched recursively
    labels: str = ""  # CSV of segments, CSV of one phase per frame, or the reference's JSON; empty: no labels
    splits: str = ""  # CSV with clip,split (optional group); empty: the labels' split column, else by ratio
    train_list: str = ""  # text file, one clip a line: the training split; with any list, other clips are left out
    val_list: str = ""  # text file, one clip a line: the validation split
    test_list: str = ""  # text file, one clip a line: the test split
    phases: Tuple[str, ...] = ()  # names of the phases 0, 1, ... where labels are numbers; empty: the numbers
    image_fps: float = 30.0  # frames per second of image folders, and of TFRecords that do not tell it
    action: str = ""  # penn_action: the action whose clips are used, such as tennis_serve
    name: str = ""  # what the targets are called; empty: the folder's name

    def __post_init__(self) -> None:
        check_choice("source", self.source, SOURCES)
        check_between("image_fps", self.image_fps, 0.01, 1000)
        given = [name for name in ("labels", "splits", "train_list", "val_list", "test_list") if getattr(self, name)]
        if self.ready_made and given:
            raise SettingsError(
                f"{given[0]}: the TFRecords of source = {self.source} hold their own labels and splits; leave it empty"
            )

    @property
    def ready_made(self) -> bool:
        """Whether the clips come as TFRecord shards, so that nothing is decoded."""
        return self.source in ("tfrecords", "download")


@dataclass(frozen=True)
class DownloadConfig:
    """[download] Ready-made TFRecords from the network (source = download): the Pouring set of the reference."""

    urls: Tuple[str, ...] = (  # addresses of folders that hold the files, tried in turn; file:// too
        "https://storage.googleapis.com/tcc-pouring/",
    )
    files: Tuple[str, ...] = (  # what is fetched from there
        "pouring_train-0-of-2.tfrecord",
        "pouring_train-1-of-2.tfrecord",
        "pouring_val-0-of-1.tfrecord",
    )
    sha256: Tuple[str, ...] = ()  # of each file, in their order; empty: no public source states them, so recorded only
    attempts: int = 5  # tries for each file and address; a broken transfer goes on where it was
    timeout_seconds: float = 60.0  # without a byte for so long, an attempt has failed

    def __post_init__(self) -> None:
        check_at_least("attempts", self.attempts, 1)
        check_at_least("timeout_seconds", self.timeout_seconds, 0.1)
        if not self.urls or not self.files:
            raise SettingsError("urls and files: name at least one address and one file")
        if self.sha256 and len(self.sha256) != len(self.files):
            raise SettingsError(f"sha256: {len(self.sha256)} checksums for {len(self.files)} files; give one for each")


@dataclass(frozen=True)
class RenderingConfig:
    """[rendering] The embedded set (source = rendered)."""

    seed: int = 0  # everything that is drawn follows from it
    num_train: int = 60  # videos to train on
    num_val: int = 20  # videos to choose the checkpoint on
    num_test: int = 20  # videos for the final evaluation
    width: int = 320  # pixels
    height: int = 240  # pixels
    fps: float = 30.0  # frames per second
    min_seconds: float = 2.0  # shortest video
    max_seconds: float = 8.0  # longest video

    def __post_init__(self) -> None:
        for name in ("num_train", "num_val", "num_test"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("width", self.width, 32)
        check_at_least("height", self.height, 32)
        check_between("fps", self.fps, 1, 240)
        check_at_least("min_seconds", self.min_seconds, 0.5)
        check_at_least("max_seconds", self.max_seconds, self.min_seconds)


@dataclass(frozen=True)
class ClipsConfig:
    """[clips] Which files become clips, and which split each belongs to."""

    min_frames: int = 5  # a clip with fewer decodable frames is refused
    max_bad_fraction: float = 0.2  # fail when more than this share of the clips has a problem
    bad_labels: str = "refuse"  # labels of unknown clips and segments without duration: refuse, or drop with a warning
    split_seed: int = 0  # ratio splits: stable hash of (seed, group or clip name)
    train_fraction: float = 0.6  # ratio splits: share of clips for training
    val_fraction: float = 0.2  # ratio splits: share for choosing the checkpoint; the rest is for testing

    def __post_init__(self) -> None:
        check_at_least("min_frames", self.min_frames, 1)
        check_between("max_bad_fraction", self.max_bad_fraction, 0, 1)
        check_choice("bad_labels", self.bad_labels, ("refuse", "drop"))
        check_between("train_fraction", self.train_fraction, 0, 1)
        check_between("val_fraction", self.val_fraction, 0, 1 - self.train_fraction)


@dataclass(frozen=True)
class FramesConfig:
    """[frames] Decoding and sampling at a fixed rate."""

    fps: float = 10.0  # sampled frames per second, by timestamp
    image_pixels: int = 224  # side of the square that frames are resized to
    resize: str = "stretch"  # stretch (as the reference), letterbox (black bars), center_crop
    jpeg_quality: int = 95  # quality of the stored frames
    chroma: str = "420"  # color resolution of the stored frames: 420 (half, as the reference), 422, 444 (full)
    start_seconds: float = 0.0  # leave out what comes before
    end_seconds: float = 0.0  # leave out what comes from here on; 0: nothing
    max_frames: int = 0  # keep at most so many sampled frames of a clip, from its start; 0: all

    def __post_init__(self) -> None:
        check_choice("resize", self.resize, ("stretch", "letterbox", "center_crop"))
        check_choice("chroma", self.chroma, ("420", "422", "444"))
        check_at_least("start_seconds", self.start_seconds, 0)
        check_at_least("max_frames", self.max_frames, 0)
        if self.end_seconds and not self.end_seconds > self.start_seconds:
            raise SettingsError(f"end_seconds: must be 0 or more than start_seconds, got {self.end_seconds}")
        check_between("fps", self.fps, 0.01, 240)
        check_between("image_pixels", self.image_pixels, 16, 2048)
        check_between("jpeg_quality", self.jpeg_quality, 1, 100)


@dataclass(frozen=True)
class ShardsConfig:
    """[shards] How the work on the data is divided. Clips are assigned by a stable hash of their name."""

    num_chunks: int = 4  # decode tasks; each takes a fixed share of the clips
    num_train_shards: int = 2  # TFRecord files of the training split
    num_val_shards: int = 1  # TFRecord files of the validation split
    num_test_shards: int = 1  # TFRecord files of the test split

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_at_least(field.name, getattr(self, field.name), 1)

    def num_shards(self, split: str) -> int:
        """Number of shards of one split."""
        return int(getattr(self, f"num_{split}_shards"))


@dataclass(frozen=True)
class BackboneConfig:
    """[backbone] The network that turns one frame into features."""

    name: str = "efficientnet_lite0"  # efficientnet_lite0, resnet50v2, convnet, vggm
    trained: str = "frozen"  # frozen: features are computed once; batch_norm: only its batch norms; all
    weights: str = ""  # .npz, Keras' .h5, or its folder; random; empty: shipped or published, else random: docs/data.md
    weights_urls: Tuple[str, ...] = ()  # mirrors of the published file (resnet50v2) or its folder; empty: Keras' own
    weights_sha256: str = ""  # expected SHA-256 of that file; empty: recorded, not checked
    seed: int = 0  # random weights where there are no pretrained ones

    def __post_init__(self) -> None:
        check_choice("name", self.name, BACKBONES)
        if self.weights and self.weights_urls:
            raise SettingsError(f"weights and weights_urls: give one of them, got {self.weights} besides addresses")
        if "://" in self.weights:
            raise SettingsError(f"weights: got the address {self.weights}; addresses go into weights_urls")
        check_choice("trained", self.trained, ("frozen", "batch_norm", "all"))


@dataclass(frozen=True)
class FeaturesConfig:
    """[features] The frozen backbone's output, stored once per clip as float16."""

    grid: int = 7  # features are average-pooled to grid x grid cells
    center: bool = True  # the embedder sees each clip's features less their mean over the clip, cell by cell
    batch_frames: int = 32  # frames per backbone call (does not change the result's meaning)
    mirrored: bool = False  # also compute the training clips' features mirrored, for [augmentation] flip
    precision: str = "float32"  # float32, bfloat16: the backbone computes in it; features are stored as float16

    def __post_init__(self) -> None:
        check_at_least("grid", self.grid, 1)
        check_choice("precision", self.precision, ("float32", "bfloat16"))
        check_at_least("batch_frames", self.batch_frames, 1)


@dataclass(frozen=True)
class SamplingConfig:
    """[sampling] Which frames of a clip enter a training step."""

    num_frames: int = 20  # T, frames per clip and step
    num_context_frames: int = 2  # frames embedded together for one time step
    context_stride: int = 5  # distance of context frames, in sampled frames
    strategy: str = "offset_uniform"  # offset_uniform, segment_uniform (one frame of each of T segments), stride
    random_offset: int = 1  # offset_uniform: the first frame that may be drawn, as the reference
    stride: int = 16  # stride: distance of the frames, from a random first one on

    def __post_init__(self) -> None:
        check_at_least("num_frames", self.num_frames, 2)
        check_at_least("num_context_frames", self.num_context_frames, 1)
        check_at_least("context_stride", self.context_stride, 1)
        check_choice("strategy", self.strategy, STRATEGIES)
        check_at_least("random_offset", self.random_offset, 0)
        check_at_least("stride", self.stride, 1)


@dataclass(frozen=True)
class AugmentationConfig:
    """[augmentation] Random changes of training clips, drawn once per clip and step."""

    channel_dropout: float = 0.3  # share of feature channels that are flattened to their mean (frozen backbone)
    flip: float = 0.5  # probability that a clip is mirrored (frozen backbone: with [features] mirrored)
    crop_min_area: float = 1.0  # least share of a frame's area that a random crop keeps; 1: all (trained backbone)
    brightness: float = 0.1255  # largest shift of the levels, share of 255 (trained backbone)
    contrast: float = 0.5  # contrast is multiplied by 1 - this to 1 + this (trained backbone)
    saturation: float = 0.0  # saturation is multiplied by 1 - this to 1 + this (trained backbone)
    hue: float = 0.0  # largest rotation of the colors, in turns (trained backbone)
    noise: float = 0.0  # largest standard deviation of Gaussian noise, share of 255 (trained backbone)

    def __post_init__(self) -> None:
        check_between("channel_dropout", self.channel_dropout, 0, 0.95)
        check_between("crop_min_area", self.crop_min_area, 0.01, 1)
        check_between("hue", self.hue, 0, 0.5)
        for name in ("flip", "brightness", "contrast", "saturation", "noise"):
            check_between(name, getattr(self, name), 0, 1)

    def check_for_features(self) -> None:
        """Raise SettingsError if more is asked for than features of a frozen backbone can be changed by.

        Defaults are let through, without an effect.
        """
        for name, off in (
            ("crop_min_area", 1),
            ("brightness", 0),
            ("contrast", 0),
            ("saturation", 0),
            ("hue", 0),
            ("noise", 0),
        ):
            value = getattr(self, name)
            if value not in (off, getattr(AugmentationConfig, name)):
                raise SettingsError(
                    f"{name}: {value} changes frames, and a frozen backbone's features are computed once from unchanged "
                    f"ones; set it to {off}, or train the backbone ([backbone] trained)"
                )


@dataclass(frozen=True)
class EmbedderConfig:
    """[embedder] The network that turns the features of a sequence of frames into embeddings; see docs/models.md."""

    kind: str = "conv"  # conv (each frame with its context), conv_gru and transformer (the whole sequence)
    convolution: str = "late"  # conv: conv3d (3x3x3, as the reference) or late (per frame, then all context frames)
    channels: Tuple[int, ...] = (128, 128)  # conv, conv_gru: output channels of the convolutions
    dense: Tuple[int, ...] = (256, 256)  # conv, transformer: units of the dense layers
    gru_units: Tuple[int, ...] = (128,)  # conv_gru: units of the GRU layers; the last has embedding_size
    transformer_layers: int = 3  # transformer: encoder layers
    transformer_heads: int = 8  # transformer: attention heads; they share transformer_width
    transformer_width: int = 256  # transformer: size of a frame's vector between the layers
    transformer_feed_forward: int = 1024  # transformer: hidden units of each layer's feed-forward part
    embedding_size: int = 128  # D
    batch_norm: bool = True  # normalize after each convolution (transformer: each dense layer)
    dropout: float = 0.0  # share of units dropped while training; docs/models.md says where
    standardize: bool = True  # shift and scale each feature channel by its statistics over the training clips
    normalize: bool = False  # L2-normalize embeddings (lav and scl are evaluated so); scl's head comes before it

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, EMBEDDERS)
        check_choice("convolution", self.convolution, ("conv3d", "late"))
        check_at_least("embedding_size", self.embedding_size, 1)
        check_between("dropout", self.dropout, 0, 0.95)
        for name in ("transformer_layers", "transformer_heads", "transformer_width", "transformer_feed_forward"):
            check_at_least(name, getattr(self, name), 1)
        if not self.channels or min(self.channels + self.dense) < 1:
            raise SettingsError(f"channels and dense: sizes must be positive, got {self.channels} and {self.dense}")
        if self.kind == "conv" and self.convolution == "late" and len(self.channels) < 2:
            raise SettingsError(f"channels: convolution = late needs two or more, got {self.channels}")
        if self.kind == "conv_gru" and (
            min(self.gru_units, default=0) < 1 or self.gru_units[-1] != self.embedding_size
        ):
            raise SettingsError(
                f"gru_units: must be positive and end in embedding_size ({self.embedding_size}), for the last GRU layer "
                f"gives the embedding; got {self.gru_units}"
            )
        if self.kind == "transformer" and self.transformer_width % self.transformer_heads:
            raise SettingsError(
                f"transformer_width: {self.transformer_heads} heads must divide it, got {self.transformer_width}"
            )


@dataclass(frozen=True)
class TrainingConfig:
    """[training] The method and its hyperparameters."""

    method: str = "tcc_regression_variance"  # tcc_*, tcn, shuffle_and_learn, ...: docs/methods.md has all
    seeds: Tuple[int, ...] = (0,)  # weights, batches and dropout follow from it; several: one training for each
    num_steps: int = 1000  # optimizer steps
    batch_size: int = 4  # B, clips per step
    learning_rate: float = 1e-3  # initial rate; [schedule] says how it changes
    weight_decay: float = 1e-5  # weight of the mean of the squared-weight terms, as the reference
    clip_norm: float = 1.0  # global norm that gradients are clipped to; 0: no clipping
    similarity: str = "negative_squared_l2"  # negative_squared_l2, dot, cosine
    temperature: float = 0.1  # softmax temperature of the soft nearest neighbor
    variance_weight: float = 0.001  # weight of the log variance (tcc_regression_variance)
    variance_floor: float = 1e-6  # smallest variance (tcc_regression_variance)
    label_smoothing: float = 0.1  # tcc_classification
    huber_delta: float = 0.1  # tcc_huber: from this error on the cost grows linearly
    normalize_indices: bool = True  # divide frame indices by the clip's length
    normalize_embeddings: bool = False  # L2-normalize embeddings inside the loss
    cycles: int = 0  # tcc_*: random cycles through the clips of a step; 0: all ordered pairs of clips
    cycle_length: int = 2  # tcc_*: clips that a random cycle goes through
    tcn_weight: float = 0.3  # tcc_classification, tcc_huber, tcc_regression*: weight of an added time-contrastive loss
    tcn_positive_window: int = 5  # frames between an anchor and its positive, at most
    tcn_l2_weight: float = 0.002  # regularization of the time-contrastive loss
    alignment_weight: float = 0.33  # tcc_sal_tcn: weight of cycle consistency
    sal_weight: float = 0.33  # tcc_sal_tcn: weight of shuffle and learn; the time-contrastive loss has the rest of 1
    sal_samples: int = 8  # shuffle_and_learn, tcc_sal_tcn: triplets of frames a clip
    sal_shuffle_fraction: float = 0.75  # shuffle_and_learn, tcc_sal_tcn: share of the triplets that are out of order
    classifier_label_smoothing: float = 0.0  # shuffle_and_learn, tcc_sal_tcn, supervised
    lav_gamma: float = 0.1  # lav: smoothing of the soft minimum
    lav_sigma: float = 10.0  # lav: frames of the clip within which two frames count as near
    lav_margin: float = 2.0  # lav: squared distance from which on far frames cost nothing
    lav_alpha: float = 0.5  # lav: weight of the regularization
    scl_temperature: float = 0.1  # scl: softmax temperature
    scl_variance: float = 10.0  # scl: of the Gaussian over timestamps, in squared sampled frames
    scl_negatives: str = "other_view"  # scl: other_view, batch_other_view, own_video, batch: what frames are told from
    scl_region: float = 1.5  # scl: a view's frames lie in a window of up to so many times as many frames
    scl_overlap: float = 0.2  # scl: share that the windows of the two views overlap by, about, at least
    precision: str = "float32"  # float32; bfloat16, float16: networks compute in it, losses and weights stay float32
    accumulation_steps: int = 1  # batches whose gradients are averaged in one optimizer step; docs/methods.md
    checkpoint_every: int = 100  # steps between checkpoints
    log_every: int = 10  # steps between summaries
    frame_memory_mb: int = 1000  # megabytes of decoded frames that are kept at most (trained backbone); 0: none

    def __post_init__(self) -> None:
        check_choice("method", self.method, METHODS)
        check_choice("similarity", self.similarity, SIMILARITIES)
        check_choice("precision", self.precision, PRECISIONS)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(f"seeds: give one or more different numbers, got {self.seeds}")
        check_at_least("accumulation_steps", self.accumulation_steps, 1)
        check_at_least("num_steps", self.num_steps, 1)
        # Two views of one clip are enough for scl.
        check_at_least("batch_size", self.batch_size, 1 if self.method == "scl" else 2)
        for name in ("learning_rate", "temperature", "variance_floor"):
            check_at_least(name, getattr(self, name), 1e-12)
        for name in ("weight_decay", "clip_norm", "variance_weight", "tcn_weight", "tcn_l2_weight"):
            check_at_least(name, getattr(self, name), 0)
        for name in ("label_smoothing", "classifier_label_smoothing", "sal_shuffle_fraction"):
            check_between(name, getattr(self, name), 0, 1)
        check_between("alignment_weight", self.alignment_weight, 0, 1)
        check_between("sal_weight", self.sal_weight, 0, 1 - self.alignment_weight)
        for name in ("huber_delta", "lav_gamma"):
            check_at_least(name, getattr(self, name), 1e-12)
        for name in ("lav_sigma", "lav_margin", "lav_alpha"):
            check_at_least(name, getattr(self, name), 0)
        check_at_least("sal_samples", self.sal_samples, 1)
        check_at_least("cycles", self.cycles, 0)
        check_between("cycle_length", self.cycle_length, 2, self.batch_size if self.cycles else math.inf)
        for name in ("scl_temperature", "scl_variance"):
            check_at_least(name, getattr(self, name), 1e-12)
        check_choice("scl_negatives", self.scl_negatives, SCL_NEGATIVES)
        check_at_least("scl_region", self.scl_region, 1)
        check_between("scl_overlap", self.scl_overlap, 0, 1)
        if self.method == "lav" and self.batch_size % 2:
            raise SettingsError(f"batch_size: lav aligns clips in pairs, got {self.batch_size}; give an even number")
        for name in ("checkpoint_every", "log_every", "tcn_positive_window"):
            check_at_least(name, getattr(self, name), 1)
        check_at_least("frame_memory_mb", self.frame_memory_mb, 0)

    @property
    def seed(self) -> int:
        """The seed of one training: the first of several."""
        return self.seeds[0]

    @property
    def reads_labels(self) -> bool:
        """Whether the method learns from labels; to all others they are not shown."""
        return self.method == "supervised"


@dataclass(frozen=True)
class OptimizerConfig:
    """[optimizer] How gradients change the weights."""

    kind: str = "adam"  # adam, adamw (weights shrink besides), momentum
    momentum: float = 0.9  # momentum: share of the last step that is kept
    decay: float = 0.01  # adamw: share of the learning rate by which the weights shrink in each step

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("adam", "adamw", "momentum"))
        check_between("momentum", self.momentum, 0, 1)
        check_at_least("decay", self.decay, 0)


@dataclass(frozen=True)
class ScheduleConfig:
    """[schedule] The learning rate over time."""

    kind: str = "fixed"  # fixed, exponential, manual, polynomial, cosine
    warmup_steps: int = 0  # steps over which the rate rises from zero
    decay_steps: int = 1000  # exponential: between two decays; polynomial, cosine: until the end is reached
    decay_rate: float = 0.97  # exponential, manual: factor of each decay
    boundaries: Tuple[int, ...] = (5000, 10000)  # manual: steps at which the rate decays
    power: float = 1.0  # polynomial
    end_fraction: float = 0.0  # polynomial, cosine: share of the initial rate that is left at the end

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, ("fixed", "exponential", "manual", "polynomial", "cosine"))
        check_at_least("warmup_steps", self.warmup_steps, 0)
        check_at_least("decay_steps", self.decay_steps, 1)
        check_between("decay_rate", self.decay_rate, 1e-12, 1)
        check_at_least("power", self.power, 1e-12)
        check_between("end_fraction", self.end_fraction, 0, 1)


@dataclass(frozen=True)
class SelectionConfig:
    """[selection] Which checkpoint is evaluated."""

    rule: str = "kendalls_tau"  # a metric on the validation split (docs/metrics.md), validation_loss, or last
    frame_stride: int = 2  # Kendall's tau: every n-th frame

    def __post_init__(self) -> None:
        check_choice("rule", self.rule, SELECTION_RULES)
        check_at_least("frame_stride", self.frame_stride, 1)


@dataclass(frozen=True)
class EmbeddingConfig:
    """[embedding] Embeddings of whole videos."""

    batch_frames: int = 128  # time steps per call of the embedder; 8 at least (changes the result by rounding at most)
    precision: str = "float32"  # float32, bfloat16: networks compute in it; embeddings are stored as float32
    parquet: bool = False  # also write a Parquet file per split; needs pyarrow (requirements-parquet.txt)

    def __post_init__(self) -> None:
        check_at_least("batch_frames", self.batch_frames, 1)
        check_choice("precision", self.precision, ("float32", "bfloat16"))


@dataclass(frozen=True)
class EvaluationConfig:
    """[evaluation] The metrics."""

    train_fractions: Tuple[float, ...] = (0.1, 0.5, 1.0)  # classification and progression: share of clips
    few_shot_videos: Tuple[int, ...] = (1, 5, 10)  # few-shot: labelled clips
    few_shot_episodes: int = 50  # few-shot: draws for each number of clips
    retrieval_frames: Tuple[int, ...] = (5, 10, 15)  # retrieval: nearest frames that are looked at
    tau_frame_stride: int = 2  # Kendall's tau: every n-th frame
    distance: str = "sqeuclidean"  # sqeuclidean, cosine: for every nearest neighbor
    dtw_pairs: int = 400  # dynamic time warping: at most so many ordered pairs of clips, drawn where there are more
    trim_start_seconds: float = 3.0  # phase agreement on trimmed clips: cut 0 to this from the start
    trim_end_seconds: float = 2.0  # phase agreement on trimmed clips: cut 0 to this from the end
    ceiling: bool = True  # also train the same network with labels, where there are any: what the model could reach
    pca_components: int = 64  # baseline of frozen features: grid reduced to this many components
    seed: int = 0  # few-shot draws, trims, pairs of clips for dynamic time warping

    def __post_init__(self) -> None:
        check_choice("distance", self.distance, ("sqeuclidean", "cosine"))
        check_at_least("few_shot_episodes", self.few_shot_episodes, 1)
        check_at_least("retrieval_frames", min(self.retrieval_frames, default=0), 1)
        check_at_least("tau_frame_stride", self.tau_frame_stride, 1)
        check_at_least("dtw_pairs", self.dtw_pairs, 1)
        check_at_least("pca_components", self.pca_components, 1)
        check_at_least("trim_start_seconds", self.trim_start_seconds, 0)
        check_at_least("trim_end_seconds", self.trim_end_seconds, 0)
        if not self.train_fractions or not all(0 < fraction <= 1 for fraction in self.train_fractions):
            raise SettingsError(f"train_fractions: each must lie in (0, 1], got {self.train_fractions}")


@dataclass(frozen=True)
class ReportConfig:
    """[report] The page."""

    video_fps: float = 10.0  # frames per second of the videos
    video_pixels: int = 224  # height of each clip in the video of a pair
    grid_pixels: int = 160  # height of each clip in the grid of clips

    def __post_init__(self) -> None:
        check_between("video_fps", self.video_fps, 1, 60)
        check_between("video_pixels", self.video_pixels, 32, 1024)
        check_between("grid_pixels", self.grid_pixels, 32, 1024)


@dataclass(frozen=True)
class DeviceConfig:
    """[device] Where training and embedding run. In no fingerprint, but for what changes an NPU's numbers.

    From device_id on the options are for an Ascend NPU (docs/ascend.md). With kind = auto they do nothing where there is none.
    """

    kind: str = "auto"  # auto, npu, gpu, cpu
    xla: bool = False  # compile the training step by XLA; may help on a GPU, is slower on a CPU
    replicas: int = 1  # GPUs, NPUs, or processes on a CPU, that train together and share [training] batch_size
    hosts: tuple[str, ...] = ()  # host:port of each machine that trains, this run's first; empty: this one
    device_id: int = -1  # logical id of the NPU; -1: ASCEND_DEVICE_ID, or 0
    precision_mode: str = ""  # what the engine lowers precision to, such as allow_mix_precision; empty: its default
    mixlist_file: str = ""  # JSON file that moves operations between the lists of a mixed precision_mode
    fusion_switch_file: str = ""  # JSON file that switches fusion passes on or off
    deterministic: bool = True  # repeatable operations, slower
    data_dump: bool = False  # dump inputs and outputs of operations; not with overflow_dump
    data_dump_step: str = ""  # steps to dump, such as 0|3-5|10; empty: all
    overflow_dump: bool = False  # dump operations that overflow
    profiling: bool = False  # write profiles of the engine
    loss_scale: str = "none"  # none, dynamic, or a number: Ascend's own optimizer, for float16 on a 910
    loop_size: int = 1  # steps in one call of the device; only 1 is possible

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, DEVICES)
        check_at_least("replicas", self.replicas, 1)
        for host in self.hosts:
            if not re.fullmatch(r"[^:\s]+:\d+", host):
                raise SettingsError(f"hosts: must be host:port, separated by commas; got {host!r}")
        check_at_least("device_id", self.device_id, -1)
        if self.loss_scale not in ("none", "dynamic"):
            check_at_least("loss_scale", _number("loss_scale", self.loss_scale), 1.0)
        if self.precision_mode:
            check_choice("precision_mode", self.precision_mode, (*PRECISION_MODES, *PRECISION_MODES_V2))
        check_options(self)
        if self.kind in ("cpu", "gpu") and changed_options(self):
            raise SettingsError(
                f"{', '.join(changed_options(self))}: for an NPU only, and kind = {self.kind}; leave it out"
            )


@dataclass(frozen=True)
class ExecutionConfig:
    """[execution] How the work is carried out. In no fingerprint."""

    data: str = "data"  # root of all targets
    decode_workers: int = 2  # processes that decode clips inside one FramesTask
    clip_timeout_seconds: float = 600.0  # a clip whose decoder makes no progress for so long is given up
    retries: int = 2  # further attempts at a task whose network did not answer, or whose process was killed
    retry_seconds: float = 5.0  # wait before each
    log_level: str = "INFO"  # DEBUG, INFO, WARNING

    def __post_init__(self) -> None:
        check_at_least("decode_workers", self.decode_workers, 1)
        check_at_least("retries", self.retries, 0)
        check_at_least("retry_seconds", self.retry_seconds, 0)
        check_at_least("clip_timeout_seconds", self.clip_timeout_seconds, 0.1)
        check_choice("log_level", self.log_level, ("DEBUG", "INFO", "WARNING"))


@dataclass(frozen=True)
class AlertsConfig:
    """[alerts] Who is told that a task failed. In no fingerprint, log or manifest."""

    webhook: str = ""  # address that gets a JSON object with a text by POST; better: TCC_ALERTS_WEBHOOK

    def __post_init__(self) -> None:
        if self.webhook and not self.webhook.startswith(("http://", "https://")):
            raise SettingsError("webhook: must begin with https:// or http:// (it is secret, so it is not shown here)")


SECTIONS = {
    "videos": VideosConfig,
    "download": DownloadConfig,
    "rendering": RenderingConfig,
    "clips": ClipsConfig,
    "frames": FramesConfig,
    "shards": ShardsConfig,
    "backbone": BackboneConfig,
    "features": FeaturesConfig,
    "sampling": SamplingConfig,
    "augmentation": AugmentationConfig,
    "embedder": EmbedderConfig,
    "training": TrainingConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "selection": SelectionConfig,
    "embedding": EmbeddingConfig,
    "evaluation": EvaluationConfig,
    "report": ReportConfig,
    "device": DeviceConfig,
    "execution": ExecutionConfig,
    "alerts": AlertsConfig,
}


@dataclass(frozen=True)
class Settings:
    """All sections together."""

    videos: VideosConfig = VideosConfig()
    download: DownloadConfig = DownloadConfig()
    rendering: RenderingConfig = RenderingConfig()
    clips: ClipsConfig = ClipsConfig()
    frames: FramesConfig = FramesConfig()
    shards: ShardsConfig = ShardsConfig()
    backbone: BackboneConfig = BackboneConfig()
    features: FeaturesConfig = FeaturesConfig()
    sampling: SamplingConfig = SamplingConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    embedder: EmbedderConfig = EmbedderConfig()
    training: TrainingConfig = TrainingConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    selection: SelectionConfig = SelectionConfig()
    embedding: EmbeddingConfig = EmbeddingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    report: ReportConfig = ReportConfig()
    device: DeviceConfig = DeviceConfig()
    execution: ExecutionConfig = ExecutionConfig()
    alerts: AlertsConfig = AlertsConfig()

    def __post_init__(self) -> None:
        check_context_frames(self.embedder, self.sampling.num_context_frames)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Nested plain dictionary, for JSON."""
        return {name: dataclasses.asdict(getattr(self, name)) for name in SECTIONS}

    @staticmethod
    def from_dict(values: dict[str, dict[str, Any]]) -> Settings:
        """The inverse of `as_dict`, also after a round trip through JSON (lists become tuples again)."""
        return Settings(
            **{
                name: SECTIONS[name](
                    **{key: tuple(item) if isinstance(item, list) else item for key, item in section.items()}
                )
                for name, section in values.items()
            }
        )


def rule_config(settings: Settings) -> EvaluationConfig:
    """The settings of a metric that chooses the checkpoint; Kendall's tau takes the stride of [selection]."""
    return dataclasses.replace(settings.evaluation, tau_frame_stride=settings.selection.frame_stride)


def rule_settings(settings: Settings) -> dict[str, Any]:
    """All settings that a rule's scores depend on, besides those of the training."""
    rule, config = settings.selection.rule, rule_config(settings)
    return {"rule": rule, **{name: getattr(config, name) for name in METRIC_SETTINGS.get(rule, ())}}
