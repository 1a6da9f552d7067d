"""Which clips a run has, and which targets a change of them makes stale. No video is opened here."""

from __future__ import annotations

import dataclasses
import os
import time

import luigi.cmdline_parser
import pytest

from pipeline import (
    EmbedTask,
    EvalTask,
    FeaturesTask,
    FramesTask,
    MirroredFeaturesTask,
    RunAll,
    SelectTask,
    ShardsTask,
    TrainTask,
)
from pipeline import settings as settings_module
from pipeline.catalog import catalog
from tcc.config import (
    METHODS,
    BackboneConfig,
    ExecutionConfig,
    FeaturesConfig,
    FramesConfig,
    RenderingConfig,
    Settings,
    ShardsConfig,
    TrainingConfig,
    VideosConfig,
)
from tcc.errors import LabelError, SettingsError, VideoError


@pytest.fixture
def folder(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for index in range(40):
        (videos / f"clip_{index:02d}.mp4").write_bytes(b"video %d" % index)
    return videos


def settings_for(folder, **videos):
    return Settings(
        videos=VideosConfig(source="folder", path=str(folder), **videos),
        shards=ShardsConfig(num_chunks=8, num_train_shards=4),
        execution=ExecutionConfig(data=str(folder.parent / "data")),
    )


def fingerprints(settings):
    with settings_module.using(settings):
        chunks = {f"chunk{index}": FramesTask(chunk=index).fingerprint for index in range(settings.shards.num_chunks)}
        shards = {
            f"{split}{index}": ShardsTask(split=split, index=index).fingerprint
            for split in ("train", "val", "test")
            for index in range(settings.shards.num_shards(split))
        }
        return {**chunks, **shards, "training": TrainTask().fingerprint}


def stale(before, after):
    return sorted(name for name in before if before[name] != after[name])


def test_one_clip_more_redoes_its_chunk_and_its_shard_alone(folder):
    before = fingerprints(settings_for(folder))
    (folder / "clip_new.mp4").write_bytes(b"one more")
    changed = [name for name in stale(before, fingerprints(settings_for(folder))) if name != "training"]
    assert len([name for name in changed if name.startswith("chunk")]) == 1
    assert len(changed) == 2


def test_centering_makes_another_training_of_the_same_features(folder):
    centered = settings_for(folder)
    raw = dataclasses.replace(centered, features=dataclasses.replace(centered.features, center=False))
    both = []
    for settings in (centered, raw):
        with settings_module.using(settings):
            both.append((FeaturesTask(split="train", index=0).fingerprint, TrainTask().fingerprint))
    (features, training), (same_features, other_training) = both
    assert features == same_features and training != other_training


def test_mirrored_features_stand_beside_the_others_and_make_another_training(folder):
    plain = settings_for(folder)
    mirrored = dataclasses.replace(plain, features=dataclasses.replace(plain.features, mirrored=True))
    both = []
    for settings in (plain, mirrored):
        with settings_module.using(settings):
            first, second = FeaturesTask(split="train", index=0), MirroredFeaturesTask(split="train", index=0)
            both.append((first.fingerprint, second.fingerprint, TrainTask().fingerprint))
            assert second.directory.parent == first.directory.parent and "-mirrored-" in second.directory.name
            drawn_from = [type(task) for task in TrainTask().requires()["mirrored"]]
            assert set(drawn_from) == ({MirroredFeaturesTask} if settings.features.mirrored else set())
            assert MirroredFeaturesTask not in {type(task) for task in EvalTask().requires()["test_features"]}
    (features, second_set, training), (same_features, same_second_set, other_training) = both
    assert (features, second_set) == (same_features, same_second_set) and features != second_set
    assert training != other_training


def with_options(settings, **sections):
    return dataclasses.replace(
        settings, **{name: dataclasses.replace(getattr(settings, name), **o) for name, o in sections.items()}
    )


def training_fingerprint(settings):
    with settings_module.using(settings):
        return TrainTask().fingerprint


def test_augmentations_make_another_training_only_where_they_apply(folder):
    frozen = settings_for(folder)
    trained = with_options(frozen, backbone={"trained": "all"})
    mirrored = with_options(frozen, features={"mirrored": True})
    expected = [
        ({"brightness": 0.0}, [False, True, False]),
        ({"flip": 0.25}, [False, True, True]),
        ({"channel_dropout": 0.1}, [True, False, True]),
    ]
    for options, changes in expected:
        pairs = [(one, with_options(one, augmentation=options)) for one in (frozen, trained, mirrored)]
        assert [training_fingerprint(one) != training_fingerprint(other) for one, other in pairs] == changes


def test_augmentations_of_frames_are_refused_for_features_before_anything_runs(folder):
    frozen = settings_for(folder)
    with pytest.raises(SettingsError, match=r"noise: 0\.1 changes frames, .* set it to 0, or train the backbone"):
        training_fingerprint(with_options(frozen, augmentation={"noise": 0.1}))
    training_fingerprint(with_options(frozen, augmentation={"noise": 0.1}, backbone={"trained": "all"}))


def test_a_replaced_clip_redoes_its_chunk_and_its_shard_alone(folder):
    before = fingerprints(settings_for(folder))
    (folder / "clip_07.mp4").write_bytes(b"another take")
    changed = [name for name in stale(before, fingerprints(settings_for(folder))) if name != "training"]
    assert len(changed) == 2


def test_another_number_of_shards_is_another_shard(folder):
    """The file's name holds the number: the old one must not be taken for the new."""
    settings = settings_for(folder)
    other = dataclasses.replace(settings, shards=dataclasses.replace(settings.shards, num_val_shards=2))
    assert fingerprints(settings)["val0"] != fingerprints(other)["val0"]


def test_a_file_that_cannot_be_read_is_a_clip_with_a_problem_and_stops_no_other(folder):
    (folder / "linked.mp4").symlink_to(folder / "nowhere.mp4")
    with settings_module.using(settings_for(folder)):
        clips = {clip.name: clip.identity for clip in catalog(settings_module.current()).clips}
    assert len(clips) == 41 and clips["linked.mp4"] == "unreadable"


def test_touching_a_file_changes_nothing(folder):
    before = fingerprints(settings_for(folder))
    os.utime(folder / "clip_07.mp4", (time.time() + 5, time.time() + 5))
    assert fingerprints(settings_for(folder)) == before


def test_old_clips_keep_their_split_when_others_come(folder):
    with settings_module.using(settings_for(folder)):
        before = {clip.name: clip.split for clip in catalog(settings_module.current()).clips}
    for index in range(40):
        (folder / f"later_{index}.mp4").write_bytes(b"later %d" % index)
    with settings_module.using(settings_for(folder)):
        after = {clip.name: clip.split for clip in catalog(settings_module.current()).clips}
    assert {name: after[name] for name in before} == before
    assert set(after.values()) == {"train", "val", "test"}


def test_a_label_redoes_the_shard_of_its_clip_but_no_frames(folder, tmp_path):
    labels = tmp_path / "labels.csv"
    rows = [f"clip_{index:02d}.mp4,0,1,reach\nclip_{index:02d}.mp4,1,2,lift\n" for index in range(40)]
    labels.write_text("clip,start_seconds,end_seconds,phase\n" + "".join(rows))
    before = fingerprints(settings_for(folder, labels=str(labels)))
    rows[3] = "clip_03.mp4,0,1.2,reach\nclip_03.mp4,1.2,2,lift\n"
    labels.write_text("clip,start_seconds,end_seconds,phase\n" + "".join(rows))
    (changed,) = stale(before, fingerprints(settings_for(folder, labels=str(labels))))
    assert changed.startswith(("train", "val", "test")) and changed != "training"


@pytest.mark.parametrize("backbone, mirrored", [("frozen", False), ("frozen", True), ("all", False)])
@pytest.mark.parametrize("method", METHODS)
def test_only_a_method_that_reads_labels_is_trained_again_for_a_label(folder, tmp_path, method, backbone, mirrored):
    """What is done after training depends on labels, and is done again."""
    labels = tmp_path / "labels.csv"
    found = []
    for end in ("1", "1.2"):
        rows = [f"clip_{index:02d}.mp4,0,{end},reach\nclip_{index:02d}.mp4,{end},2,lift\n" for index in range(40)]
        labels.write_text("clip,start_seconds,end_seconds,phase\n" + "".join(rows))
        settings = dataclasses.replace(
            settings_for(folder, labels=str(labels)),
            training=TrainingConfig(method=method),
            backbone=BackboneConfig(trained=backbone),
            features=FeaturesConfig(mirrored=mirrored),
        )
        with settings_module.using(settings):
            found.append([task().fingerprint for task in (TrainTask, SelectTask, EmbedTask, EvalTask)])
    trained, *rest = (one == other for one, other in zip(*found))
    assert trained == (method != "supervised") and not any(rest)


@pytest.mark.parametrize("backbone", ["frozen", "all"])
def test_every_method_is_trained_again_for_another_clip_or_frame_rate(folder, backbone):
    def training(**sections):
        settings = dataclasses.replace(settings_for(folder), backbone=BackboneConfig(trained=backbone), **sections)
        with settings_module.using(settings):
            return TrainTask().fingerprint

    before = training()
    assert training(frames=FramesConfig(fps=5)) != before
    if backbone == "frozen":
        assert training(features=FeaturesConfig(grid=5)) != before
    for index in range(40):
        (folder / f"clip_{index:02d}.mp4").write_bytes(b"another take %d" % index)
    assert training() != before


def test_more_rendered_clips_leave_the_others_as_they_are():
    few = Settings(rendering=RenderingConfig(num_train=10, num_val=2, num_test=2))
    more = dataclasses.replace(few, rendering=RenderingConfig(num_train=12, num_val=2, num_test=2))
    names = [{clip.name: clip.identity for clip in catalog(one).clips} for one in (few, more)]
    assert names[0].items() < names[1].items()


def test_what_is_missing_is_said_with_what_to_do(folder, tmp_path):
    with pytest.raises(SettingsError, match="--videos-path DIR, or set TCC_VIDEOS_PATH"):
        catalog(Settings(videos=VideosConfig(source="folder")))
    with pytest.raises(VideoError, match="nowhere"):
        catalog(settings_for(tmp_path / "nowhere"))
    splits = tmp_path / "splits.csv"
    splits.write_text("clip,split\nclip_00.mp4,train\n")
    with pytest.raises(SettingsError, match="39 of 40 clips have none"):
        catalog(settings_for(folder, splits=str(splits)))
    labels = tmp_path / "labels.csv"
    labels.write_text("clip,start_seconds,end_seconds,phase\nclip_99.mp4,0,1,reach\n")
    with pytest.raises(LabelError, match="clip_99"):
        catalog(settings_for(folder, labels=str(labels)))


@pytest.mark.parametrize(
    ("arguments", "task"),
    [
        (["FramesTask", "--chunk", "2"], FramesTask),
        (["ShardsTask", "--split", "val", "--index", "0"], ShardsTask),
        (["FeaturesTask", "--split", "train", "--index", "1"], FeaturesTask),
        (["RunAll"], RunAll),
    ],
)
def test_every_task_can_be_given_on_the_command_line(arguments, task):
    with luigi.cmdline_parser.CmdlineParser.global_instance(["--module", "pipeline", *arguments]) as parser:
        assert isinstance(parser.get_task_obj(), task)
