"""RunAll from end to end on a tiny rendered set: everything is there, repeats, and is done only once."""

from __future__ import annotations

import json
import shutil
import time

import pytest

from tests.integration.conftest import Project

METRICS = (
    "phase_classification",
    "few_shot_classification",
    "phase_progression",
    "kendalls_tau",
    "phase_agreement",
    "boundary_transfer",
)

pytestmark = pytest.mark.slow


def copy_of(finished, tmp_path):
    shutil.copytree(finished.data, tmp_path / "data")
    return Project(tmp_path / "data")


def changed(before, after):
    return sorted({name.split("/")[0] for name in after if after[name] != before.get(name)})


def test_every_stage_has_a_whole_target(finished):
    stages = {target.split("/")[0] for target in finished.manifests()}
    assert stages == {
        "sources", "clips", "frames", "shards", "weights", "features", "checkpoints", "selections", "embeddings",
        "evaluations", "reports", "checks",
    }  # fmt: skip
    for result in finished.results().values():
        assert {"in", "out", "skipped"} <= set(result["counts"])
        assert result["files"]


def test_every_metric_has_its_file_and_its_baselines(finished):
    (folder,) = (finished.data / "evaluations").iterdir()
    for metric in METRICS:
        content = json.loads((folder / f"{metric}.json").read_text())
        assert {"metric", "protocol", "split", "value", "count", "undefined", "baselines"} <= set(content)
        assert content["metric"] == metric
        assert content["split"] == "test"
        assert {"clock_index", "clock_length", "features_pool", "features_grid_pca"} <= set(content["baselines"])


def test_a_second_run_has_nothing_to_do(finished):
    before = finished.manifests()
    started = time.monotonic()
    code, _ = finished.run()
    print(f"a second RunAll took {time.monotonic() - started:.2f} s")
    assert code == 0
    assert finished.manifests() == before


def test_rerun_of_eval_task_runs_that_task_alone(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    for _ in range(2):
        code, told = project.run("EvalTask", "--rerun")
        assert code == 0, told
    assert changed(before, project.manifests()) == ["evaluations"]
    assert project.results() == finished.results()


def test_an_evaluation_setting_reruns_evaluation_and_report_only(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    code, told = project.run("RunAll", TCC_EVALUATION_TAU_FRAME_STRIDE="1")
    assert code == 0, told
    assert changed(before, project.manifests()) == ["evaluations", "reports"]


def test_two_workers_give_the_same_results(finished, project):
    code, told = project.run("RunAll", "--workers", "2")
    assert code == 0, told
    assert project.results() == finished.results()


def test_no_target_names_the_data_folder(finished):
    for target, result in finished.results().items():
        assert str(finished.data) not in json.dumps(result), target


def test_nothing_is_left_to_do_where_the_data_folder_is_moved(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    assert project.run()[0] == 0
    assert project.manifests() == before
