"""`python -m tcc evaluate`: embeddings from elsewhere, as anybody can write them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tcc.__main__ import main
from tcc.config import METRIC_SETTINGS, EvaluationConfig
from tcc.embedding_folder import read_embedding_folder
from tcc.errors import LabelError, ShapeError
from tcc.evaluation import clock_index, clock_length, evaluate
from tcc.sequences import save_sequences
from tests.tcc.evaluation_clips import random_clips

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
PHASES = ("reach", "lift", "pour")
QUICK = ("--few-shot-videos", "1", "2", "--few-shot-episodes", "2")


def splits():
    return {split: random_clips(seed=seed, count=3, num_phases=3) for seed, split in enumerate(("train", "test"))}


def write_folder(folder, *, labels="seconds", suffix=".npy", progress=False):
    """Clips at 10 frames a second as arrays, labels in labels.csv by seconds or by frame."""
    rows = {"seconds": ["clip,start_seconds,end_seconds,phase"], "frame": ["clip,frame,phase"]}
    progress_rows = ["clip,frame,seconds,progress"]
    for split, clips in splits().items():
        (folder / split).mkdir(parents=True)
        for clip in clips:
            if suffix == ".npy":
                np.save(folder / split / f"{clip.name}.npy", clip.values)
            else:
                stored = {"timestamps": clip.timestamps, "labels": clip.labels}
                np.savez(folder / split / f"{clip.name}.npz", embeddings=clip.values, **stored)
            for phase in range(3):
                frames = np.flatnonzero(clip.labels == phase)
                start, end = frames[0] / 10, (frames[-1] + 1) / 10
                rows["seconds"].append(f"{split}/{clip.name},{start},{end},{PHASES[phase]}")
                rows["frame"] += [f"{split}/{clip.name},{frame},{PHASES[phase]}" for frame in frames]
            shares = np.linspace(0, 1, len(clip))
            progress_rows += [f"{split}/{clip.name},{t},{t / 10},{share:.6f}" for t, share in enumerate(shares)]
    if labels:
        (folder / "labels.csv").write_text("\n".join(rows[labels]) + "\n", encoding="utf-8")
    if progress:
        (folder / "progress.csv").write_text("\n".join(progress_rows) + "\n", encoding="utf-8")
    return folder


def test_labels_that_do_not_fit_the_clips_are_refused(tmp_path):
    folder = write_folder(tmp_path)
    with open(folder / "labels.csv", "a", encoding="utf-8") as file:
        file.write("test/clip0,99,100,pour\n")
    with pytest.raises(LabelError, match=r"clip 'test/clip0': .*99"):
        read_embedding_folder(folder, fps=10)
    (folder / "labels.csv").unlink()
    with pytest.raises(LabelError, match=r"labels.csv"):
        read_embedding_folder(write_folder(tmp_path / "other"), fps=15)


@pytest.mark.parametrize("labels", ["seconds", "frame"])
def test_arrays_with_a_label_file_are_the_clips(tmp_path, labels):
    found = read_embedding_folder(write_folder(tmp_path, labels=labels), fps=10)
    for split, clips in splits().items():
        for read, clip in zip(getattr(found, split), clips):
            assert read.name == f"{split}/{clip.name}"
            np.testing.assert_array_equal(read.values, clip.values)
            np.testing.assert_array_equal(read.labels, clip.labels)
            np.testing.assert_allclose(read.timestamps, clip.timestamps)
    assert found.phases == PHASES
    assert found.truth is None


def test_arrays_that_have_times_and_labels_need_nothing_else(tmp_path):
    found = read_embedding_folder(write_folder(tmp_path, labels="", suffix=".npz", progress=True))
    for read, clip in zip(found.test, splits()["test"]):
        np.testing.assert_array_equal(read.labels, clip.labels)
        np.testing.assert_array_equal(read.timestamps, clip.timestamps)
        np.testing.assert_allclose(found.truth[read.name], np.linspace(0, 1, len(clip)), atol=1e-6)
    assert found.phases == ("0", "1", "2")


def test_our_own_files_are_read_too(tmp_path):
    for split, clips in splits().items():
        save_sequences(tmp_path / f"{split}.npz", clips, phases=PHASES)
    found = read_embedding_folder(tmp_path)
    assert [clip.name for clip in found.test] == ["clip0", "clip1", "clip2"]
    assert found.phases == PHASES
    save_sequences(tmp_path / "test.npz", splits()["test"], phases=PHASES[:2])
    with pytest.raises(
        LabelError, match=r"test.npz: has the phases \['reach', 'lift'\], train.npz has .* make them the"
    ):
        read_embedding_folder(tmp_path)


def broken(folder, name, **arrays):
    write_folder(folder, labels="")
    path = folder / "test" / name
    if name.endswith(".npy"):
        np.save(path, arrays["embeddings"])
    else:
        np.savez(path, **arrays)
    return folder


@pytest.mark.parametrize(
    ("name", "arrays", "message"),
    [
        ("x.npz", {"values": np.zeros((3, 2))}, "x.npz: no array `embeddings`, got values; store"),
        ("x.npy", {"embeddings": np.zeros(3)}, r"x.npy: expected numbers \[T, D\], got float64 \[3\]"),
        ("x.npy", {"embeddings": np.array([["a"]])}, r"x.npy: expected numbers \[T, D\], got <U1 \[1, 1\]"),
        (
            "x.npy",
            {"embeddings": np.array([[None]])},
            "x.npy: not an array file of NumPy .*write it again with numpy.save",
        ),
        (
            "x.npz",
            {"embeddings": np.zeros((3, 2)), "labels": np.zeros(2, int)},
            r"x.npz: expected whole numbers \[3\] in `labels`, got int64 \[2\]",
        ),
        (
            "x.npz",
            {"embeddings": np.zeros((3, 2)), "labels": np.array([0, -2, 0])},
            r"x.npz: `labels` must be at least -1 \(no label\), got -2",
        ),
        (
            "x.npz",
            {"embeddings": np.zeros((2, 2)), "timestamps": np.array([1.0, 1.0])},
            "x.npz: `timestamps` must rise from frame to frame",
        ),
        (
            "clip0.npz",
            {"embeddings": np.zeros((2, 8))},
            "clip test/clip0 is there as .npy and as .npz; keep one of them",
        ),
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path, name, arrays, message):
    with pytest.raises(ShapeError, match=message):
        read_embedding_folder(broken(tmp_path, name, **arrays), fps=10)


def test_what_is_missing_is_said(tmp_path, capsys):
    with pytest.raises(ShapeError, match=r"train: no .npy or .npz file; put one for each clip there, or train.npz and"):
        read_embedding_folder(tmp_path)
    write_folder(tmp_path)
    with pytest.raises(ShapeError, match=r"clip0.npy: no array `timestamps`; store seconds .* or give .* by --fps"):
        read_embedding_folder(tmp_path)
    assert main(["evaluate", str(tmp_path)]) == 2
    assert re.fullmatch("error: .*clip0.npy: no array `timestamps`; .*\n", capsys.readouterr().err)
    assert main(["evaluate", str(tmp_path), "--fps", "0"]) == 2
    assert capsys.readouterr().err == "error: --fps: must be above 0, got 0\n"
    assert main(["evaluate", str(tmp_path), "--fps", "10", "--train-fractions", "2"]) == 2
    assert capsys.readouterr().err == "error: train_fractions: each must lie in (0, 1], got (2.0,)\n"
    (tmp_path / "train" / "clip0.npy").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(ShapeError, match=r"clip0.npy: not an array file of NumPy"):
        read_embedding_folder(tmp_path, fps=10)


def test_labels_in_two_places_are_refused(tmp_path):
    write_folder(tmp_path, suffix=".npz")
    with pytest.raises(LabelError, match=r"labels.csv: clip train/clip0 has `labels` in its own file; delete one"):
        read_embedding_folder(tmp_path)


def test_the_command_prints_and_writes_what_evaluate_measures(tmp_path, capsys):
    write_folder(tmp_path / "in", progress=True)
    assert main(["evaluate", str(tmp_path / "in"), "--fps", "10", "--json", str(tmp_path / "out"), *QUICK]) == 0
    found = read_embedding_folder(tmp_path / "in", fps=10)
    clocks = {clock.__name__: (clock(found.train), clock(found.test)) for clock in (clock_index, clock_length)}
    config = EvaluationConfig(few_shot_videos=(1, 2), few_shot_episodes=2)
    settings = {"phases": PHASES, "split": "test", "config": config, "baselines": clocks, "truth": found.truth}
    results = evaluate(found.train, found.test, **settings)
    written = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "out").iterdir()}
    assert written == json.loads(json.dumps(results))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 training and 3 test clips, phases reach, lift, pour"
    assert re.split(r"  +", lines[2]) == ["metric", "model", "clock_index", "clock_length", "unit"]
    for name, result in results.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert f" {result['value']:.3f} " in line
        assert f" {result['baselines']['clock_length']['value']:.3f} " in line
    assert any(line.startswith("phase_agreement, dtw ") for line in lines)


def test_undefined_cases_are_named_below_the_table(tmp_path, capsys):
    write_folder(tmp_path)
    values = np.load(tmp_path / "test" / "clip1.npy")
    values[3] = np.nan
    np.save(tmp_path / "test" / "clip1.npy", values)
    assert main(["evaluate", str(tmp_path), "--fps", "10", "--markdown", *QUICK]) == 0
    text = capsys.readouterr().out
    assert "| metric | model | clock_index | clock_length | unit |\n| --- | --- | --- | --- | --- |\n" in text
    assert "\n| alignment | undefined | undefined | undefined |  |\n" in text
    assert "\n- alignment: skipped: true progress is not known\n" in text
    left_out = "left out, embeddings that are not finite: test clip test/clip1"
    assert f"\n- phase_classification (model): {left_out}\n" in text
    pairs = "pair test/clip0 -> test/clip1, pair test/clip1 -> test/clip0, pair test/clip1 -> test/clip2 and 1 more"
    assert f"kendalls_tau (model): left out, embeddings that are not finite (test/clip1): {pairs}\n" in text


def test_a_folder_without_labels_has_the_metrics_that_need_none(tmp_path, capsys):
    write_folder(tmp_path, labels="")
    assert main(["evaluate", str(tmp_path), "--fps", "10"]) == 0
    text = capsys.readouterr().out
    assert "clips, no labels\n" in text
    assert "phase_agreement: skipped: no labels" in text
    assert re.search(r"\nkendalls_tau +-?0\.\d{3} ", text)


def test_every_option_that_a_metric_reads_is_an_argument(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    text = capsys.readouterr().out
    for name in {name for settings in METRIC_SETTINGS.values() for name in settings}:
        assert f"--{name.replace('_', '-')} " in text
    assert "--ceiling" not in text


def test_the_documented_command_has_the_documented_output(tmp_path, monkeypatch, capsys):
    """The example of docs/metrics.md: made by its code, evaluated by its command."""
    text = DOCUMENT.read_text(encoding="utf-8").split("## Embeddings from elsewhere")[1].split("\n## ")[0]
    code, command, output = re.findall(r"```(?:python|bash|text)\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert main(command.split()[3:]) == 0
    shown = re.sub(r" +", " ", capsys.readouterr().out)
    numbers = re.compile(r"-?\d+\.\d+")
    assert numbers.sub("#", shown) == numbers.sub("#", re.sub(r" +", " ", output))
    measured, documented = ([float(n) for n in numbers.findall(t)] for t in (shown, output))
    np.testing.assert_allclose(measured, documented, atol=0.02)


def test_the_command_needs_no_tensorflow():
    code = "import sys, tcc.__main__, tcc.evaluate_folder, tcc.embedding_folder; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_of_a_clip_name_in_both_splits_the_whole_name_is_needed(tmp_path):
    write_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("clip,start_seconds,end_seconds,phase\nclip0,0,1,reach\n", encoding="utf-8")
    with pytest.raises(LabelError, match="could be 'test/clip0' or 'train/clip0'; write the whole name"):
        read_embedding_folder(tmp_path, fps=10)
