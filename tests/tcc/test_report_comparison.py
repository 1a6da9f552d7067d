"""Runs side by side: what differs, and what can't be compared."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tcc.errors import TargetError
from tcc.report import as_text, compare_runs, find_run, read_run, write_comparison
from tcc.report.comparison import _within
from tcc.report.metrics_table import Cell
from tcc.sequences import save_sequences
from tests.tcc import report_samples as samples
from tests.tcc.test_report_page import Page


def write_target(root, stage, name, settings, upstream=None, **files):
    folder = root / stage / name
    folder.mkdir(parents=True)
    result = {"stage": stage, "name": name, "version": 1, "settings": settings, "upstream": upstream or {}, "files": {}}
    (folder / "manifest.json").write_text(json.dumps({"result": result, "run": {}}))
    for file, content in files.items():
        (folder / f"{file}.json").write_text(json.dumps(content))
    return folder


def write_run(root, letter, *, steps=1000, clips=None, stride=2, **metrics):
    """Evaluation, embeddings and training of a run; returns the evaluation's folder."""
    training = {"training": {"num_steps": steps, "seeds": [0]}, "center": True}
    write_target(root, "checkpoints", f"run-seed0-{letter * 8}", training)
    write_target(root, "checkpoints", f"supervised-{letter * 8}", {"training": {"num_steps": 5 * steps}})
    embeddings = f"run-{letter * 8}"
    own = write_target(root, "embeddings", embeddings, {}, {"training": f"run-seed0-{letter * 8}"})
    clips = samples.make_clips(count=3) if clips is None else clips
    save_sequences(own / "embeddings-test.npz", clips, phases=samples.PHASES)
    upstream = {"embeddings": [embeddings], "supervised": f"supervised-{letter * 8}"}
    settings = {"tau_frame_stride": stride, "train_fractions": [0.1, 1.0]}
    made = {"kendalls_tau": samples.make_metric("kendalls_tau", 0.9), **metrics}
    return write_target(root, "evaluations", f"pouring-{letter * 8}", settings, upstream, **made)


def compare(*folders):
    return compare_runs([read_run(folder) for folder in folders])


def line_of(comparison, title):
    (line,) = (line for line in comparison.metrics if line.title == title)
    return line


def test_settings_that_differ_are_those_of_the_model_and_the_evaluation(tmp_path):
    first, second = write_run(tmp_path, "a"), write_run(tmp_path, "b", steps=200, stride=1)
    assert compare(first, second).settings == [
        ("checkpoints training.num_steps", ["1000", "200"]),
        ("evaluations tau_frame_stride", ["2", "1"]),
    ]


def test_metrics_that_differ_have_a_difference_to_the_first_run(tmp_path):
    def metrics(accuracy, seconds):
        boundary = samples.make_metric("boundary_transfer", seconds)
        few = samples.make_metric("few_shot_classification", accuracy, interval=[accuracy - 0.02, accuracy + 0.02])
        return {"boundary_transfer": boundary, "few_shot_classification": few}

    first = write_run(tmp_path, "a", **metrics(0.8, 0.2))
    comparison = compare(
        first, write_run(tmp_path, "b", **metrics(0.85, 0.25)), write_run(tmp_path, "c", **metrics(0.8, 0.15))
    )
    few, boundary = line_of(comparison, "Few-shot classification"), line_of(comparison, "Boundary transfer")
    assert few.values == ["0.800 ± 0.020", "0.850 ± 0.020", "0.800 ± 0.020"]
    assert few.differences == ["+0.050 better", "same"]
    assert boundary.differences == ["+0.05 s worse", "−0.05 s better"]
    assert comparison.same == ["Kendall's tau (0.900)"]
    assert few.why_not == ["", ""]


def test_variants_of_a_metric_are_compared_too(tmp_path):
    agreement = samples.make_metrics()["phase_agreement"]
    better = json.loads(json.dumps(agreement))
    better["details"]["dtw"]["value"] = 0.96
    comparison = compare(
        write_run(tmp_path, "a", phase_agreement=agreement), write_run(tmp_path, "b", phase_agreement=better)
    )
    assert line_of(comparison, "Phase agreement, with DTW").differences == ["+0.010 better"]
    assert "Phase agreement, trimmed (0.770)" in comparison.same


def test_another_protocol_split_or_setting_of_a_metric_is_not_compared(tmp_path):
    first = write_run(tmp_path, "a", phase_classification=samples.make_metric("phase_classification", 0.9))
    changed = samples.make_metric("phase_classification", 0.95, protocol="tcc-svm v2", split="val")
    second = write_run(tmp_path, "b", stride=1, phase_classification=changed)
    third = write_run(tmp_path, "c", phase_classification=samples.make_metric("phase_classification", 0.95))
    comparison = compare(first, second, third)
    line = line_of(comparison, "Phase classification")
    assert line.differences == ["not comparable", "+0.050 better"]
    assert line.why_not == ["protocol tcc-svm v1 and tcc-svm v2, split test and val", ""]
    tau = line_of(comparison, "Kendall's tau")
    assert tau.why_not == ["tau_frame_stride 2 and 1", ""]
    assert tau.differences == ["not comparable", "same"]


def test_other_test_clips_are_named_and_nothing_is_compared(tmp_path):
    few = samples.make_clips(count=2)
    retimed = [dataclasses.replace(few[0], timestamps=few[0].timestamps * 2), *few[1:]]
    first = write_run(tmp_path, "a")
    comparison = compare(first, write_run(tmp_path, "b", clips=retimed))
    told = "pouring-bbbbbbbb was measured on other test clips than pouring-aaaaaaaa: 1 missing (clip_02.mp4), 1 with"
    assert comparison.warnings == [f"{told} other frames (clip_00.mp4)"]
    assert line_of(comparison, "Kendall's tau").why_not == ["other test clips"]


def test_other_labels_matter_to_metrics_that_read_them(tmp_path):
    relabelled = samples.make_clips(count=3)
    relabelled[1].labels[:3] = -1
    agreement = samples.make_metric("phase_agreement", 0.9)
    comparison = compare(
        write_run(tmp_path, "a", phase_agreement=agreement),
        write_run(tmp_path, "b", clips=relabelled, phase_agreement=agreement),
    )
    told = "pouring-bbbbbbbb has other labels than pouring-aaaaaaaa on 1 test clips (clip_01.mp4)"
    assert comparison.warnings == [told]
    assert line_of(comparison, "Phase agreement").why_not == ["other labels"]
    assert comparison.same == ["Kendall's tau (0.900)"]


def test_a_metric_that_one_run_lacks_or_has_no_value_of(tmp_path):
    undefined = samples.make_metric("retrieval", None, undefined=[{"what": "all", "reason": "one clip"}])
    first = write_run(tmp_path, "a", retrieval=samples.make_metric("retrieval", 0.5))
    comparison = compare(first, write_run(tmp_path, "b"), write_run(tmp_path, "c", retrieval=undefined))
    line = line_of(comparison, "Retrieval")
    assert line.values == ["0.500", "not measured", "undefined"]
    assert line.differences == ["–", "–"]


def test_embeddings_that_are_gone_are_said(tmp_path):
    first, second = write_run(tmp_path, "a"), write_run(tmp_path, "b")
    (tmp_path / "embeddings" / "run-bbbbbbbb" / "embeddings-test.npz").unlink()
    assert compare(first, second).warnings == [
        "the test clips of pouring-bbbbbbbb are not known, its embeddings are gone"
    ]


def test_text_and_page_tell_the_same(tmp_path):
    few = samples.make_clips(count=2)
    comparison = compare(
        write_run(tmp_path, "a"),
        write_run(tmp_path, "b", steps=7, clips=few, kendalls_tau=samples.make_metric("kendalls_tau", 0.95)),
    )
    text = as_text(comparison)
    assert text.startswith(
        "A  pouring-aaaaaaaa\nB  pouring-bbbbbbbb\n\nwarning: pouring-bbbbbbbb was measured on other"
    )
    assert "checkpoints training.num_steps  1000  7\n" in text
    assert "Kendall's tau        0.900  0.950  not comparable  B: other test clips\n" in text
    write_comparison(tmp_path / "page.html", comparison)
    page = Page(tmp_path / "page.html")
    words = page.words()
    for part in (
        "A pouring-aaaaaaaaB pouring-bbbbbbbb",
        "checkpoints training.num_steps10007",
        "0.9000.950not comparable",
    ):
        assert part in words
    assert "Warning: pouring-bbbbbbbb was measured on other test clips" in words
    assert [attributes for attributes in page.all("th") if "scope" not in attributes] == []
    assert len(page.all("caption")) == len(page.all("table")) == 2
    assert "://" not in page.source


def test_a_run_with_itself_has_no_difference(tmp_path):
    first = write_run(tmp_path, "a")
    assert as_text(compare(first, first)).endswith("no setting differs\n\nno metric differs\n")


def test_one_run_is_no_comparison(tmp_path):
    with pytest.raises(TargetError, match="a comparison takes two runs or more, there is 1"):
        compare(write_run(tmp_path, "a"))


# Which run is meant.


def test_a_run_is_found_by_its_folder_its_report_or_a_part_of_its_name(tmp_path):
    folder = write_run(tmp_path, "a")
    write_run(tmp_path, "b")
    report = write_target(tmp_path, "reports", "page-cccccccc", {}, {"evaluation": folder.name})
    for text in (str(folder), str(report), folder.name, "aaaa"):
        assert find_run(text, tmp_path) == folder


def test_a_name_that_fits_none_or_several_runs_is_refused(tmp_path):
    write_run(tmp_path, "a")
    write_run(tmp_path, "b")
    with pytest.raises(
        TargetError, match=r"^zz: no evaluated run has this .* are: pouring-aaaaaaaa, pouring-bbbbbbbb$"
    ):
        find_run("zz", tmp_path)
    with pytest.raises(TargetError, match=r"^pouring: 2 runs .* give more of one: pouring-aaaaaaaa, pouring-bbbbbbbb$"):
        find_run("pouring", tmp_path)
    with pytest.raises(TargetError, match=r"those in .* are: none yet"):
        find_run("zz", tmp_path / "nowhere")


def test_what_is_no_evaluation_or_damaged_is_refused(tmp_path):
    folder = write_run(tmp_path, "a")
    with pytest.raises(TargetError, match="not the folder of an evaluation"):
        read_run(tmp_path / "embeddings" / "run-aaaaaaaa")
    (folder / "kendalls_tau.json").write_text("{")
    with pytest.raises(TargetError, match=r"kendalls_tau.json: cannot be read .*; delete the folder and run again"):
        read_run(folder)
    (folder / "manifest.json").write_text("{}")
    with pytest.raises(TargetError, match=r"manifest.json: not a whole manifest"):
        read_run(folder)


def test_a_difference_within_an_interval_is_not_called_better():
    narrow, wide = Cell(0.80, interval=[0.79, 0.81]), Cell(0.85, interval=[0.60, 1.0])
    assert _within(wide, narrow.value) and not _within(narrow, wide.value)
    assert not _within(Cell(0.80), 0.80)
