"""What else than videos can go in, as a user would start it: ready-made TFRecords, folders of images, and the way back."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from tests.integration.conftest import Project


@pytest.fixture(scope="module")
def reference_folder(finished, tmp_path_factory):
    """The finished run's shards under the reference's names, as a folder of somebody else."""
    folder = tmp_path_factory.mktemp("official") / "pouring_tfrecords"
    folder.mkdir()
    for shard in finished.data.glob("shards/*/*.tfrecord"):
        split, index, _, count = shard.stem.replace("-of-", "-of-").split("-")
        name = f"pouring_{'val' if split == 'test' else 'train'}"
        if split != "val":
            shutil.copy(shard, folder / f"{name}-{int(index)}-of-{int(count)}.tfrecords")
    return folder


def metrics_of(project):
    (folder,) = project.data.glob("evaluations/*")
    return {
        path.stem: json.loads(path.read_text())["value"] for path in folder.glob("*.json") if path.stem != "manifest"
    }


@pytest.mark.slow
def test_ready_made_tfrecords_go_through_the_whole_pipeline(reference_folder, project):
    settings = {"TCC_VIDEOS_SOURCE": "tfrecords", "TCC_VIDEOS_PATH": str(reference_folder)}
    code, told = project.run(TCC_EVALUATION_CEILING="false", **settings)
    assert code == 0, told
    assert not list(project.data.glob("frames")) and not list(project.data.glob("clips"))
    (sources,) = project.data.glob("sources/*/videos.json")
    clips = json.loads(sources.read_text())
    assert {clip["split"] for clip in clips} == {"train", "val"}
    assert metrics_of(project)["phase_classification"] is not None
    (selection,) = project.data.glob("selections/*/selection.json")
    validation = json.loads(selection.read_text())["validation"]
    assert validation["held_out"] == validation["clips"] > 0  # the set has no split to choose on
    code, told = project.run("CheckTask", "--rerun", **settings)
    assert code == 0 and f"{len(clips)} clips, 0 with problems" in told


def test_a_download_ends_in_the_same_shards(reference_folder, project):
    names = sorted(path.name for path in reference_folder.iterdir())
    settings = {
        "TCC_VIDEOS_SOURCE": "download",
        "TCC_DOWNLOAD_URLS": f"file:///nowhere/, file://{reference_folder}/",
        "TCC_DOWNLOAD_FILES": ", ".join(names),
    }
    code, told = project.run("ShardsTask", "--split", "test", "--index", "0", **settings)
    assert code == 0, told
    (downloaded,) = project.data.glob("sources/*/")
    assert [(downloaded / name).read_bytes() for name in names] == [
        (reference_folder / name).read_bytes() for name in names
    ]
    result = json.loads((downloaded / "manifest.json").read_text())["result"]
    assert len(result["warnings"]) == len(names) and "no checksum was given" in result["warnings"][0]
    other = Project(project.data.parent / "local")
    code, told = other.run(
        *("ShardsTask", "--split", "test", "--index", "0"),
        **{"TCC_VIDEOS_SOURCE": "tfrecords", "TCC_VIDEOS_PATH": str(reference_folder)},
    )
    assert code == 0, told
    shards = [next(one.data.glob("shards/*/*.tfrecord")).read_bytes() for one in (project, other)]
    assert shards[0] == shards[1]


def test_a_download_that_fails_says_where_and_what_to_do(project):
    code, told = project.run("VideosTask", TCC_VIDEOS_SOURCE="download", TCC_DOWNLOAD_URLS="file:///nowhere/")
    assert code == 30
    assert "pouring_train-0-of-2.tfrecord" in told and "file:///nowhere/" in told
    assert not list(project.data.glob("sources/*"))


def test_exported_images_go_in_again(finished, project, tmp_path):
    copy = Project(shutil.copytree(finished.data, tmp_path / "copy"))
    code, told = copy.run("ExportTask", "--split", "test")
    assert code == 0, told
    (exported,) = copy.data.glob("exports/*")
    with open(exported / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(list(exported.glob("*/*.jpg"))) > 0
    settings = {
        "TCC_VIDEOS_SOURCE": "images",
        "TCC_VIDEOS_PATH": str(exported),
        "TCC_VIDEOS_LABELS": str(exported / "labels.csv"),
        "TCC_VIDEOS_IMAGE_FPS": "5",
        "TCC_FRAMES_FPS": "5",
        "TCC_CLIPS_TRAIN_FRACTION": "1",
        "TCC_CLIPS_VAL_FRACTION": "0",
    }
    code, told = project.run("CheckTask", **settings)
    assert code == 0, told
    assert "clips, 0 with problems" in told
    code, told = project.run("ExportTask", "--split", "train", **settings)
    assert code == 0, told
    (again,) = project.data.glob("exports/*")
    with open(again / "labels.csv", newline="", encoding="utf-8") as file:
        phases = [(row["clip"], row["frame"], row["phase"]) for row in csv.DictReader(file)]
    assert phases == [(row["clip"], row["frame"], row["phase"]) for row in rows]
