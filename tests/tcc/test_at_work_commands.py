"""`python -m tcc embed`, `align` and `transfer`: what they write, what they say, what they refuse."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from tcc.__main__ import main
from tcc.at_work.align import find_action, match_clips, overlapping_parts
from tcc.at_work.command_line import new_folder
from tcc.at_work.embed import embed_parts
from tcc.at_work.model_folder import save_model
from tcc.at_work.transfer import ClipPhases, segments_of, write_labels, write_phases
from tcc.device import open_device
from tcc.errors import SettingsError
from tcc.sequences import load_sequences
from tcc.video.labels import read_labels
from tests.tcc.evaluation_clips import clip_of
from tests.tcc.trained_model_samples import (
    DURATIONS,
    FPS,
    PHASES,
    PICTURES,
    bare_model,
    embed_folder,
    sample_model,
    sample_settings,
    sample_videos,
)
from tests.tcc.video_samples import times_at, write_video

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "trained_models.md"


@pytest.fixture(scope="module", autouse=True)
def device():
    open_device("cpu")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    return sample_videos(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def saved(videos, tmp_path_factory):
    """Not centered: a part of an action has another mean than the whole."""
    return sample_model(tmp_path_factory.mktemp("models") / "model", videos, sample_settings(center=False))


def rows_of(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(*arguments):
    return main([str(argument) for argument in arguments])


# embed


def test_embed_writes_what_the_model_makes_of_each_video_and_names_the_broken_one(saved, videos, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    for name in ("test_0.mp4", "test_1.mp4"):
        shutil.copy(videos / name, tmp_path / "in")
    (tmp_path / "in/broken.mp4").write_bytes(b"no video")
    assert run("embed", saved[0], tmp_path / "in", "--to", tmp_path / "out/all.npz") == 1
    told = capsys.readouterr()
    assert told.out == f"2 clips, 26 frames, 8-d: {tmp_path / 'out/all.npz'}\n"
    assert "broken.mp4: cannot be read as a video" in told.err and "1 of 3 videos skipped" in told.err
    clips, phases = load_sequences(tmp_path / "out/all.npz")
    assert phases == [] and [clip.name for clip in clips] == ["test_0.mp4", "test_1.mp4"]
    for clip, expected in zip(clips, embed_folder(saved[1], videos, "test")):
        np.testing.assert_array_equal(clip.values, expected.values)
        assert (clip.labels == -1).all()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["all.npz"]


def test_embed_refuses_before_it_works(saved, videos, tmp_path, capsys):
    (tmp_path / "there.npz").touch()
    assert run("embed", saved[0], videos, "--to", tmp_path / "there.npz") == 2
    assert "there.npz: is there already; give a new file" in capsys.readouterr().err
    assert run("embed", saved[0], tmp_path / "gone.mp4", "--to", tmp_path / "new.npz") == 2
    assert "gone.mp4: no such video or folder; correct the path" in capsys.readouterr().err
    assert run("embed", tmp_path, videos, "--to", tmp_path / "new.npz") == 2
    assert "no folder of a trained model, it has no model.json" in capsys.readouterr().err
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert run("embed", saved[0], tmp_path / "broken.mp4", "--to", tmp_path / "new.npz") == 2
    assert "none of the 1 videos can be used; nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "new.npz").exists()


# align


def test_align_writes_matches_in_the_videos_own_time_and_a_video_of_both(saved, videos, tmp_path, capsys):
    a, b = videos / "test_0.mp4", videos / "test_1.mp4"
    assert run("align", saved[0], a, b, "--to", tmp_path / "out", "--window", "0.2") == 0
    rows = rows_of(tmp_path / "out/matches.csv")
    assert list(rows[0]) == ["a_seconds", "b_seconds", "a_frame", "b_frame", "distance", "confidence"]
    told = capsys.readouterr().out
    assert told.startswith(f"{len(rows)} matches, median confidence ") and "unlike anything" in told
    for row in rows:  # 5 of 15 frames a second: every third
        assert float(row["a_seconds"]) == pytest.approx(int(row["a_frame"]) / FPS, abs=1e-6)
        assert int(row["b_frame"]) % 3 == 0 and 0 <= float(row["confidence"]) <= 1
    ends = [(row["a_frame"], row["b_frame"]) for row in (rows[0], rows[-1])]
    assert ends == [("0", "0"), (str(sum(DURATIONS["test_0.mp4"]) - 3), str(sum(DURATIONS["test_1.mp4"]) - 3))]
    with av.open(str(tmp_path / "out/aligned.mp4")) as video:
        assert video.streams.video[0].frames == 12 + 3  # the last picture stays for 0.6 s
    assert run("align", saved[0], a, b, "--to", tmp_path / "out") == 2
    assert "is not empty; give a new folder" in capsys.readouterr().err


@pytest.mark.parametrize("center", [False, True])
def test_align_finds_an_action_inside_a_longer_video(saved, videos, tmp_path, capsys, center):
    """B: a second of something else, A's three phases with other durations, and something else again."""
    model = sample_model(tmp_path / "centered", videos, sample_settings())[0] if center else saved[0]
    action, other = zip(PICTURES, (12, 9, 9)), [0b00110011] * FPS
    numbers = [number for number, count in action for _ in range(count)]
    write_video(tmp_path / "a.mp4", times_at(FPS, len(numbers)), numbers=numbers, rate=FPS)
    inside = [*other, *(number for number, count in zip(PICTURES, (9, 15, 12)) for _ in range(count)), *other]
    write_video(tmp_path / "b.mp4", times_at(FPS, len(inside)), numbers=inside, rate=FPS)
    assert run("align", model, tmp_path / "a.mp4", tmp_path / "b.mp4", "--to", tmp_path / "out", "--subsequence") == 0
    (start, end) = map(float, re.search(r"A happens in B from (\S+) s to (\S+) s", capsys.readouterr().out).groups())
    phases_start, phases_end = 1.0, 1.0 + 36 / FPS
    assert phases_start - 0.21 <= start < phases_start + 9 / FPS and phases_end - 12 / FPS - 0.21 <= end < phases_end
    assert start > 0.9  # the first second is something else
    rows = rows_of(tmp_path / "out/matches.csv")
    assert (rows[0]["a_frame"], rows[-1]["a_frame"]) == ("0", "27")


def test_align_of_a_video_with_itself_is_sure_and_nearest_needs_no_order(saved, videos, tmp_path):
    a = videos / "test_0.mp4"
    assert run("align", saved[0], a, a, "--nearest", "--to", tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out/matches.csv")
    assert [float(row["distance"]) for row in rows] == [0.0] * 12
    first = {"test_1.mp4": tmp_path / "deep/test_0.mp4"}
    first["test_1.mp4"].parent.mkdir()
    shutil.copy(videos / "test_1.mp4", first["test_1.mp4"])
    # Two files of one name.
    assert run("align", saved[0], a, first["test_1.mp4"], "--nearest", "--to", tmp_path / "both") == 0
    assert (tmp_path / "both/aligned.mp4").stat().st_size > 1000


def test_align_needs_both_videos(saved, videos, tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert run("align", saved[0], videos / "test_0.mp4", tmp_path / "broken.mp4", "--to", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "broken.mp4: cannot be read" in told and "both videos are needed; nothing was written" in told
    assert run("align", saved[0], videos, videos / "test_0.mp4", "--to", tmp_path / "out") == 2
    assert "no such video; correct the path" in capsys.readouterr().err
    assert (
        run("align", saved[0], videos / "test_0.mp4", videos / "test_1.mp4", "--to", tmp_path / "out", "--window=-1")
        == 2
    )
    assert "--window: must be 0 seconds or more, got -1" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4"]


def test_parts_cover_a_clip_and_are_about_as_long_as_the_action():
    assert overlapping_parts(5, 30) == [(0, 5)]
    parts = overlapping_parts(50, 12)
    assert {end - start for start, end in parts} == {12, 18}
    for size in (12, 18):
        starts = [start for start, end in parts if end - start == size]
        assert starts[0] == 0 and starts[-1] == 50 - size and max(np.diff(starts)) == size // 4


def test_the_action_is_in_the_part_where_its_steps_are_nearest():
    a = clip_of("a", np.eye(3), [0, 0, 0])
    parts = [(0, clip_of("b", np.zeros((4, 3)), [0] * 4)), (10, clip_of("b", np.eye(3)[[2, 0, 1, 2]], [0] * 4))]
    matches, best = find_action(a, parts, window=1, distance="sqeuclidean")
    assert best == 1 and matches.b_steps.tolist() == [11, 12, 13] and not matches.distances.any()


def test_only_features_of_a_frozen_backbone_are_embedded_in_parts():
    with pytest.raises(
        SettingsError, match="embed_parts: takes the features of a frozen backbone; embed the whole clip"
    ):
        embed_parts(bare_model(sample_settings(trained="all")), None, [(0, 1)])


def test_ways_to_match_are_known():
    clip = clip_of("a", np.eye(4), [0, 0, 0, 0])
    with pytest.raises(SettingsError, match="way: must be one of warp, nearest, subsequence; got 'guess'"):
        match_clips(clip, clip, way="guess", window=1, distance="sqeuclidean")


# transfer


def share_right(rows, labels):
    """How many of the frames have their true phase."""
    right = []
    for row in rows:
        true = labels.label_frames(row["clip"], np.array([float(row["seconds"])]))[0]
        right.append(row["phase"] == labels.phases[true])
    return np.mean(right)


@pytest.mark.parametrize("given", [False, True])
def test_transfer_finds_the_phases_of_new_videos(saved, videos, tmp_path, capsys, given):
    """Three phases: one always guessed would be right for half of the frames at most."""
    labels, given_labels = read_labels(videos.parent / "labels.csv"), []
    if given:  # two labelled videos of a folder of three
        (tmp_path / "labelled").mkdir()
        for name in ("train_0.mp4", "train_1.mp4", "train_2.mp4"):
            shutil.copy(videos / name, tmp_path / "labelled")
        text = (videos.parent / "labels.csv").read_text().splitlines()
        kept = [line for line in text if line.startswith(("clip", "train_0", "train_1"))]
        (tmp_path / "labels.csv").write_text("\n".join(kept))
        given_labels = ["--labels", tmp_path / "labels.csv", tmp_path / "labelled"]
    tests = [videos / "test_0.mp4", videos / "test_1.mp4"]
    assert run("transfer", saved[0], *tests, "--to", tmp_path / "out", *given_labels) == 0
    told = capsys.readouterr()
    assert f"2 clips, 26 frames, phases of {2 if given else 4} labelled clips, median confidence " in told.out
    assert ("1 of 3 videos in" in told.err) == given
    rows = rows_of(tmp_path / "out/phases.csv")
    assert list(rows[0]) == ["clip", "seconds", "frame", "phase", "confidence", "unlike"] and len(rows) == 26
    assert share_right(rows, labels) > 0.8
    assert {int(row["frame"]) for row in rows if row["clip"] == "test_0.mp4"} == set(range(0, 36, 3))
    carried = read_labels(tmp_path / "out/labels.csv").check_against(["test_0.mp4", "test_1.mp4"])
    for row in rows:
        found = carried.label_frames(row["clip"], np.array([float(row["seconds"])]))[0]
        assert ("" if found < 0 else carried.phases[found]) == ("" if row["unlike"] == "1" else row["phase"])


def test_a_video_of_something_else_is_marked_unlike_and_left_out_of_the_labels(saved, tmp_path):
    write_video(tmp_path / "other.mp4", times_at(FPS, 30), numbers=[0b10010010, 0b11111111] * 15, rate=FPS)
    assert run("transfer", saved[0], tmp_path / "other.mp4", "--to", tmp_path / "out") == 0
    rows = rows_of(tmp_path / "out/phases.csv")
    assert len(rows) == 10 and {row["unlike"] for row in rows} == {"1"}
    assert rows_of(tmp_path / "out/labels.csv") == []


def test_a_constant_embedding_is_sure_of_nothing(videos, tmp_path):
    model = bare_model(sample_settings())
    for key, variable in model.networks.encoder.embedder.named_variables().items():
        if "standardize" not in key:
            variable.assign(np.zeros(variable.shape))
    references = embed_folder(model, videos, "train")
    options = {"settings": model.settings, "phases": PHASES, "name": "constant", "step": 0}
    save_model(tmp_path / "model", model.networks, references, **options)
    assert run("transfer", tmp_path / "model", videos / "test_0.mp4", "--to", tmp_path / "out") == 0
    assert {row["confidence"] for row in rows_of(tmp_path / "out/phases.csv")} == {"0.000000"}
    both = videos / "test_0.mp4", videos / "test_1.mp4"
    assert run("align", tmp_path / "model", *both, "--to", tmp_path / "aligned") == 0
    assert {row["confidence"] for row in rows_of(tmp_path / "aligned/matches.csv")} == {"0.000000"}


def test_transfer_says_where_labels_are_missing(saved, videos, tmp_path, capsys):
    model = saved[1]
    bare = [clip_of(clip.name, clip.values, np.full(len(clip), -1)) for clip in model.references]
    options = {"settings": model.settings, "phases": (), "name": "bare", "step": 0}
    save_model(tmp_path / "bare", model.networks, bare, **options)
    test = videos / "test_0.mp4"
    assert run("transfer", tmp_path / "bare", test, "--to", tmp_path / "out") == 2
    assert "the 4 clips that the model was trained on have no labels; give a label file" in capsys.readouterr().err
    (tmp_path / "labels.csv").write_text("clip,start_seconds,end_seconds,phase,split\ntrain_0.mp4,,,,train\n")
    assert (
        run("transfer", tmp_path / "bare", test, "--to", tmp_path / "out", "--labels", tmp_path / "labels.csv", videos)
        == 2
    )
    assert "labels.csv: labels none of the 6 videos in" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_segments_meet_midway_and_end_with_the_clip(tmp_path):
    times = np.array([0.0, 0.2, 0.4, 0.4, 0.6, 0.8])
    phases, unlike = np.array([1, 1, 0, 1, 1, 0]), np.array([False, False, False, False, True, False])
    clip = ClipPhases("a.mp4", times, np.arange(6), phases, np.full(6, 0.5), unlike)
    found = segments_of(clip, clock_seconds=0.2)
    np.testing.assert_allclose(found, [(0, 0.3, 1), (0.3, 0.4, 0), (0.4, 0.5, 1), (0.7, 1.0, 0)])
    repeated = ClipPhases("a.mp4", np.zeros(3), np.arange(3), np.array([0, 1, 0]), np.zeros(3), np.zeros(3, bool))
    np.testing.assert_allclose(segments_of(repeated, clock_seconds=0.2), [(0, 0.2, 0)])  # no time for the others
    write_labels(tmp_path / "labels.csv", [clip], ["pour", "reach"], clock_seconds=0.2)
    assert rows_of(tmp_path / "labels.csv")[0] == {
        "clip": "a.mp4", "start_seconds": "0", "end_seconds": "0.3", "phase": "reach",
    }  # fmt: skip
    write_phases(tmp_path / "phases.csv", [clip], ["pour", "reach"])
    assert rows_of(tmp_path / "phases.csv")[4]["unlike"] == "1"


def test_a_new_folder_is_whole_or_absent(tmp_path):
    with pytest.raises(ValueError, match="broke"), new_folder(tmp_path / "out") as folder:
        (folder / "half").touch()
        raise ValueError("broke")
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with new_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]


# the document


@pytest.mark.parametrize("command", ["embed", "align", "transfer"])
def test_every_option_is_in_the_document(command, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help"}
    text = DOCUMENT.read_text(encoding="utf-8")
    section = text.split(f"\n## {command}\n")[1].split("\n## ")[0] + text.split("\n## Options of all three\n")[1]
    assert len(options) > 3
    assert not {option for option in options if f"`{option}" not in section and f" {option}" not in section}


def test_the_commands_of_the_document_exist():
    used = set(re.findall(r"python -m tcc ([a-z]+)", DOCUMENT.read_text(encoding="utf-8")))
    assert used == {"embed", "align", "transfer"}
