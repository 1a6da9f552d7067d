"""WeightsTask: where a backbone's weights come from, what their target is called, and what its manifest says."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil

import numpy as np
import pytest

from pipeline import settings as settings_module
from pipeline.base import Job
from pipeline.weights import WEIGHTS, WeightsTask
from tcc import weights
from tcc.config import BackboneConfig, DownloadConfig, ExecutionConfig, Settings, VideosConfig
from tcc.errors import DownloadError, SettingsError, WeightsError
from tcc.weights import registry
from tests.tcc.download_server import FileServer, Plan
from tests.tcc.keras_weights import resnet_layers, write_h5

SPELLINGS = weights.published("resnet50v2").file_names


@pytest.fixture(scope="module")
def h5(tmp_path_factory):
    """A file with the layers of resnet50v2 up to the cut."""
    return write_h5(tmp_path_factory.mktemp("h5") / "mine.h5", resnet_layers())


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def published_md5(monkeypatch, h5):
    """The published file is `h5` for this test."""
    known = registry._PUBLISHED["resnet50v2"]
    md5 = hashlib.md5(h5.read_bytes()).hexdigest()
    monkeypatch.setitem(registry._PUBLISHED, "resnet50v2", dataclasses.replace(known, md5=md5))
    return md5


@pytest.fixture
def place(tmp_path):
    """A folder where a test puts files."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


def settings_of(tmp_path, videos=None, **backbone):
    return Settings(
        backbone=BackboneConfig(**{"name": "resnet50v2", **backbone}),
        videos=VideosConfig(**(videos or {})),
        download=DownloadConfig(attempts=1, timeout_seconds=10.0),
        execution=ExecutionConfig(data=str(tmp_path / "data")),
    )


def identity(settings):
    return WeightsTask.own_settings(settings)


def made(tmp_path, settings):
    """What `make` gives back, and the arrays it wrote."""
    directory = tmp_path / "work"
    directory.mkdir(exist_ok=True)
    with settings_module.using(settings):
        result = WeightsTask().make(Job(directory, settings, lambda fraction, status: None, lambda: False))
    return result, weights.load(directory / WEIGHTS)


def assert_are_those_of_the_file(arrays):
    for layer, of_layer in resnet_layers().items():
        for weight, array in of_layer.items():
            np.testing.assert_array_equal(arrays[f"{layer}/{weight}"], array)


def test_a_file_is_converted_and_its_sha256_recorded(tmp_path, h5):
    settings = settings_of(tmp_path, weights=str(h5))
    sha256 = weights.sha256_of(h5)
    assert identity(settings) == {"backbone": "resnet50v2", "sha256": sha256}
    result, arrays = made(tmp_path, settings)
    assert_are_those_of_the_file(arrays)
    assert result.details == {"pretrained": True, "source": {"file": "mine.h5", "sha256": sha256}, "warnings": []}
    assert result.counts["in"] == result.counts["out"] == len(arrays)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_folder_gives_the_file_under_either_spelling(tmp_path, h5, place, spelling):
    shutil.copy(h5, place / spelling)
    settings = settings_of(tmp_path, weights=str(place))
    assert identity(settings) == identity(settings_of(tmp_path, weights=str(h5)))
    result, arrays = made(tmp_path, settings)
    assert_are_those_of_the_file(arrays)
    assert result.details["source"]["file"] == spelling


@pytest.mark.parametrize("beside", [False, True], ids=["among the shards", "beside their folder"])
def test_weights_that_lie_with_ready_made_shards_are_taken(tmp_path, h5, place, beside):
    shards = place / "pouring_tfrecords"
    shards.mkdir()
    shutil.copy(h5, (place if beside else shards) / SPELLINGS[0])
    found = identity(settings_of(tmp_path, videos={"source": "tfrecords", "path": str(shards)}))
    assert found == {"backbone": "resnet50v2", "sha256": weights.sha256_of(h5)}
    other = settings_of(
        tmp_path, videos={"source": "tfrecords", "path": str(shards)}, weights_urls=("file:///elsewhere/",)
    )
    assert "md5" in identity(other)


def test_the_published_name_with_other_content_is_taken_with_a_warning(tmp_path, h5, place):
    path = place / SPELLINGS[0]
    shutil.copy(h5, path)
    result, _ = made(tmp_path, settings_of(tmp_path, weights=str(place)))
    (warning,) = result.details["warnings"]
    assert f"MD5 is {hashlib.md5(h5.read_bytes()).hexdigest()}, not the published fac2f116257151a9d068a22e544a4917" in (
        warning
    )
    result, _ = made(tmp_path, settings_of(tmp_path, weights=str(place), weights_sha256=weights.sha256_of(h5)))
    assert result.details["warnings"] == []


def test_the_published_file_itself_gives_no_warning(tmp_path, h5, place, published_md5):
    shutil.copy(h5, place / SPELLINGS[1])
    result, _ = made(tmp_path, settings_of(tmp_path, weights=str(place)))
    assert result.details["warnings"] == []


def test_without_anything_the_published_file_is_wanted(tmp_path):
    assert identity(settings_of(tmp_path)) == {"backbone": "resnet50v2", "md5": "fac2f116257151a9d068a22e544a4917"}


def test_random_weights_must_be_asked_for(tmp_path):
    settings = settings_of(tmp_path, weights="random", seed=5)
    assert identity(settings) == {"backbone": "resnet50v2", "random_seed": 5}
    result, _ = made(tmp_path, settings)
    assert result.details == {"pretrained": False}
    assert identity(settings_of(tmp_path, name="convnet")) == {"backbone": "convnet", "random_seed": 0}
    random = settings_of(tmp_path, name="efficientnet_lite0", weights="random")
    assert identity(random) == {"backbone": "efficientnet_lite0", "random_seed": 0}


def test_the_download_tries_mirrors_and_keeps_the_file(tmp_path, h5, published_md5):
    with FileServer(h5.read_bytes()) as good, FileServer(b"<html>sign in</html>") as bad:
        settings = settings_of(tmp_path, weights_urls=(bad.url.rsplit("/", 1)[0] + "/", good.url + ".h5"))
        result, arrays = made(tmp_path, settings)
    assert [request["path"] for request in bad.requests] == [f"/set/{SPELLINGS[0]}"]
    assert [request["path"] for request in good.requests] == ["/set/clips.tfrecord.h5"]
    assert_are_those_of_the_file(arrays)
    assert result.details["source"] == {"file": SPELLINGS[0], "sha256": weights.sha256_of(h5)}
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == sorted([SPELLINGS[0], WEIGHTS])


def test_a_broken_download_goes_on_where_it_was(tmp_path, h5, published_md5):
    content = h5.read_bytes()
    with FileServer(content, Plan(cut_after=len(content) // 2)) as server:
        settings = settings_of(tmp_path, weights_urls=(server.url + ".h5",))
        with pytest.raises(DownloadError, match="the next run goes on from there"):
            made(tmp_path, settings)
        assert not (tmp_path / "work" / WEIGHTS).exists()
        _, arrays = made(tmp_path, settings)
    start = int(server.asked_ranges[1].replace("bytes=", "").rstrip("-"))
    assert 0.4 * len(content) < start <= len(content) // 2
    assert_are_those_of_the_file(arrays)


def test_a_download_with_another_md5_is_refused(tmp_path, h5):
    with FileServer(h5.read_bytes()) as server, pytest.raises(DownloadError) as caught:
        made(tmp_path, settings_of(tmp_path, weights_urls=(server.url + ".h5",)))
    message = str(caught.value)
    assert "MD5 is " in message and "expected fac2f116257151a9d068a22e544a4917" in message
    assert "Or name a file or folder that has it in [backbone] weights" in message
    assert not list((tmp_path / "work").iterdir())


def test_an_expected_sha256_takes_the_place_of_the_published_md5(tmp_path, h5):
    sha256 = weights.sha256_of(h5)
    settings = settings_of(tmp_path, weights_urls=(h5.as_uri(),), weights_sha256=sha256.upper())
    assert identity(settings) == identity(settings_of(tmp_path, weights=str(h5)))
    result, arrays = made(tmp_path, settings)
    assert_are_those_of_the_file(arrays)
    assert result.details["warnings"] == []


def test_the_same_bytes_from_a_file_and_from_a_download(tmp_path, h5, published_md5):
    made(tmp_path, settings_of(tmp_path, weights=str(h5)))
    first = (tmp_path / "work" / WEIGHTS).read_bytes()
    (tmp_path / "work" / WEIGHTS).unlink()
    made(tmp_path, settings_of(tmp_path, weights_urls=(h5.as_uri(),)))
    assert (tmp_path / "work" / WEIGHTS).read_bytes() == first


@pytest.mark.parametrize(
    "backbone, error, text",
    [
        (
            {"weights": "PLACE/nowhere"},
            WeightsError,
            r"no file or folder .*nowhere; give one, or leave the option empty",
        ),
        (
            {"weights": "PLACE"},
            WeightsError,
            r"holds no resnet50v2_weights_.* or resnet50v2_weight_.*notop\.h5; give the",
        ),
        (
            {"name": "vggm", "weights": "PLACE"},
            WeightsError,
            "is a folder, and no file is known for vggm; give the file",
        ),
        (
            {"name": "vggm", "weights_urls": ("file:///x",)},
            SettingsError,
            "weights_urls: no file is published for vggm",
        ),
        ({"weights": "FILE", "weights_sha256": "00"}, WeightsError, r"SHA-256 is [0-9a-f]{64}, expected 00"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(tmp_path, h5, place, backbone, error, text):
    given = {
        key: value.replace("PLACE", str(place)).replace("FILE", str(h5)) if isinstance(value, str) else value
        for key, value in backbone.items()
    }
    with pytest.raises(error, match=text):
        identity(settings_of(tmp_path, **given))


@pytest.mark.parametrize(
    "backbone, text",
    [
        (
            {"weights": "https://example.org/x.h5"},
            r"weights: got the address https://.*; addresses go into weights_urls",
        ),
        ({"weights": "x.h5", "weights_urls": ("file:///x",)}, r"weights and weights_urls: give one of them, got x\.h5"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(backbone, text):
    with pytest.raises(SettingsError, match=text):
        BackboneConfig(name="resnet50v2", **backbone)
