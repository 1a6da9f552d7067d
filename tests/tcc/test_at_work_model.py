"""The folder of a trained model: written and read again, checked against damage, the same bytes for the same model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc.at_work.embed import embed_records, embed_videos
from tcc.at_work.model_folder import load_model, save_model
from tcc.at_work.model_settings import kept_settings, settings_of
from tcc.at_work.networks import build_networks
from tcc.at_work.thresholds import Thresholds, measure_thresholds
from tcc.at_work.videos import find_videos
from tcc.config import DeviceConfig, ExecutionConfig, Settings, VideosConfig
from tcc.dataset import FeatureClips, FrameClips
from tcc.device import open_device
from tcc.embedding import embed_clips
from tcc.errors import ModelError, VideoError
from tcc.features import compute_features
from tcc.sequences import ClipSequence, center
from tcc.video.frames import write_frames
from tcc.video.merge import write_shard
from tcc.video.probe import probe_clips
from tcc.video.shards import read_records
from tests.tcc.trained_model_samples import (
    EXECUTION,
    PHASES,
    bare_model,
    embed_folder,
    sample_model,
    sample_settings,
    sample_videos,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def device():
    open_device("cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return sample_videos(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def saved(videos, tmp_path_factory):
    return sample_model(tmp_path_factory.mktemp("models") / "model", videos, sample_settings())


@pytest.fixture
def copied(saved, tmp_path):
    shutil.copytree(saved[0], tmp_path / "model")
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was(saved):
    folder, model = saved
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", "references.npz", "weights.npz"]
    assert (model.name, model.step, model.fingerprint, model.phases) == ("sample", 7, "0123", PHASES)
    assert kept_settings(model.settings) == kept_settings(sample_settings())
    assert [clip.name for clip in model.references] == [f"train_{n}.mp4" for n in range(4)]
    assert set(np.concatenate([clip.labels for clip in model.references])) == {0, 1, 2}
    assert model.thresholds == measure_thresholds(model.references, distance="sqeuclidean")
    again = build_networks(model.settings)
    assert sorted(model.networks.named_variables()) == sorted(again.named_variables())


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    folder, model = saved
    save_model(
        tmp_path / "again",
        model.networks,
        model.references,
        settings=model.settings,
        phases=model.phases,
        name=model.name,
        step=model.step,
        fingerprint=model.fingerprint,
    )
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_nothing_of_this_machine_is_kept():
    settings = Settings(
        videos=VideosConfig(source="folder", path="/somebody/videos"),
        device=DeviceConfig(kind="cpu"),
        execution=ExecutionConfig(data="/somebody/data"),
    )
    assert "somebody" not in json.dumps(kept_settings(settings))
    text = json.dumps(kept_settings(sample_settings(trained="all")))
    assert kept_settings(settings_of(json.loads(text))) == kept_settings(sample_settings(trained="all"))


def pipelines_way(model, videos, folder):
    """Embeddings of all videos as the stages make them: probe, frames, one shard, features, embeddings of all at once."""
    names = [video.name for video in find_videos([videos])]
    infos = probe_clips(videos, names, workers=1, timeout_seconds=60)
    settings = model.settings
    frames = write_frames(infos, videos, folder, settings.frames, min_frames=3, workers=1, timeout_seconds=60)
    write_shard(folder / "shard", {row["clip"]: folder / row["file"] for row in frames.clips})
    records = list(read_records(folder / "shard"))
    source = FrameClips(records)
    if settings.backbone.trained == "frozen":
        parts = list(compute_features(records, model.networks.backbone, grid=2, batch_frames=8))
        values = np.split(np.concatenate(parts), np.cumsum([len(one) for one in records])[:-1])
        clips = [ClipSequence(r.name, r.timestamps, r.frame_labels, value) for r, value in zip(records, values)]
        source = FeatureClips(map(center, clips) if settings.features.center else clips)
    return embed_clips(source, model.networks.encoder, sampling=settings.sampling, batch_frames=128)


@pytest.mark.parametrize("options", [{}, {"center": False, "trained": "batch_norm"}])
def test_videos_are_embedded_as_the_pipeline_does_it(videos, tmp_path, options, monkeypatch):
    model = bare_model(sample_settings(**options))
    monkeypatch.setattr("tcc.at_work.videos._FRAMES_AT_A_TIME", 24)  # two videos at a time
    found = list(embed_videos(model, find_videos([videos]), scratch=tmp_path, execution=EXECUTION))
    expected = pipelines_way(model, videos, tmp_path / "frames")
    assert [one.clip.name for one in found] == [clip.name for clip in expected] and len(found) == 6
    for one, clip in zip(found, expected):
        assert len(one.clip) == len(one.record) == len(clip) >= 12
        np.testing.assert_allclose(one.clip.values, clip.values, rtol=1e-5, atol=1e-6 * np.abs(clip.values).max())
        np.testing.assert_array_equal(one.clip.timestamps, clip.timestamps)
    assert embed_records(model, []) == []
    assert not list(tmp_path.glob(".frames-*"))


def test_a_model_needs_no_pipeline_settings_or_data(saved, tmp_path):
    """In another process, in another folder, with the library alone."""
    shutil.copytree(saved[0], tmp_path / "elsewhere")
    code = (
        "import sys; from tcc.device import open_device; from tcc.at_work.model_folder import load_model; "
        "open_device('cpu'); print(load_model('elsewhere').name); "
        "assert not {'pipeline', 'luigi'} & set(sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (answer.returncode, answer.stdout) == (0, "sample\n"), answer.stderr


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("name", ["weights.npz", "references.npz"])
def test_damage_is_told_by_the_file_it_is_in(copied, name):
    flip_a_byte(copied / name)
    with pytest.raises(ModelError, match=rf"{name}: has another SHA-256 than model.json says; .*copy it again"):
        load_model(copied)
    (copied / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: is missing; the model's folder is damaged, copy it again"):
        load_model(copied)


def test_a_changed_or_broken_description_is_refused(copied):
    path = copied / "model.json"
    whole = path.read_text()
    path.write_text(whole.replace('"fps": 5', '"fps": 6'))
    with pytest.raises(ModelError, match=r"model.json: was changed after it was written"):
        load_model(copied)
    path.write_text(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match=r"model.json: is no description of a model: JSONDecodeError"):
        load_model(copied)
    for other in ("[]", "{}", '"text"'):
        path.write_text(other)
        with pytest.raises(ModelError, match=r"model.json: is no description of a model"):
            load_model(copied)
    path.write_text(whole.replace('"format": 1', '"format": 2'))
    with pytest.raises(ModelError, match=r"is of format 2, this library reads 1; use the version that wrote it"):
        load_model(copied)
    path.unlink()
    with pytest.raises(
        ModelError, match=r"no folder of a trained model, it has no model.json; give one that ModelTask"
    ):
        load_model(copied)


def test_settings_that_are_not_known_are_of_another_version(copied):
    from tcc.at_work import model_folder

    path = copied / "model.json"
    about = json.loads(path.read_text())
    about["settings"]["frames"]["sharpness"] = 3
    del about["sha256"]
    about["sha256"] = model_folder._digest(about)
    path.write_text(json.dumps(about))
    with pytest.raises(ModelError, match=r"model.json: was written by another version of this library .*sharpness"):
        load_model(copied)


# Thresholds.


def test_thresholds_match_a_loop():
    rng = np.random.default_rng(0)
    clips = [
        ClipSequence(str(n), np.arange(t) / 10, np.full(t, -1), rng.normal(size=(t, 3)))
        for n, t in enumerate((4, 6, 5))
    ]
    expected = [
        min(np.square(frame - other).sum() for c, clip in enumerate(clips) if c != n for other in clip.values)
        for n, mine in enumerate(clips)
        for frame in mine.values
    ]
    found = measure_thresholds(clips, distance="sqeuclidean")
    assert found.num_frames == 15
    np.testing.assert_allclose([found.median, found.quantile_95], np.quantile(expected, [0.5, 0.95]), rtol=1e-9)
    unlike = found.unlike(np.array(expected))
    assert unlike.sum() == 1 and unlike[np.argmax(expected)]


def test_one_clip_gives_no_threshold_and_marks_nothing():
    clip = ClipSequence("a", np.zeros(2), np.full(2, -1), np.ones((2, 3)))
    found = measure_thresholds([clip], distance="cosine")
    assert found == Thresholds(None, None, 0, "1 clip: a frame's nearest in another clip takes two")
    assert not found.unlike(np.array([0.0, 1e9])).any()


# Videos on a command line.


def test_videos_are_found_once_and_by_one_name(tmp_path):
    for name in ("a/x.mp4", "a/deep/y.mp4", "b/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_videos([tmp_path / "a", tmp_path / "a/x.mp4"])
    assert [video.name for video in found] == ["deep/y.mp4", "x.mp4"]
    assert [video.path for video in found] == [tmp_path / "a/deep/y.mp4", tmp_path / "a/x.mp4"]
    with pytest.raises(
        VideoError, match=r"b/x.mp4 and .*a/x.mp4 would both be called x.mp4; give the folder that holds"
    ):
        find_videos([tmp_path / "a", tmp_path / "b/x.mp4"])
    with pytest.raises(VideoError, match=r"gone.mp4: no such video or folder; correct the path"):
        find_videos([tmp_path / "gone.mp4"])


def test_videos_of_several_folders_and_a_broken_one(saved, videos, tmp_path):
    shutil.copy(videos / "test_0.mp4", tmp_path / "other.mp4")
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    chosen = find_videos([videos / "test_1.mp4", tmp_path / "other.mp4", tmp_path / "broken.mp4"])
    broken, other, last = embed_videos(saved[1], chosen, scratch=tmp_path, execution=EXECUTION)
    assert broken.clip is None and "cannot be read as a video" in broken.problem
    expected = embed_folder(saved[1], videos, "test")
    for one, clip in zip((other, last), expected):
        np.testing.assert_array_equal(one.clip.values, clip.values)
    assert other.video.path == tmp_path / "other.mp4"
