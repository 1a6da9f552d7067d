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
        "evaluations", "reports", "checks", "models",
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


def test_mirrored_features_are_a_second_set_that_training_alone_draws_from(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    code, told = project.run("TrainTask", TCC_FEATURES_MIRRORED="true")
    assert code == 0, told
    made = sorted(set(project.manifests()) - set(before))
    assert {target.split("/")[0] for target in made} == {"checkpoints", "features"}
    assert all("-train" in target and "-mirrored-" in target for target in made if target.startswith("features/"))
    assert all(project.manifests()[target] == before[target] for target in before)


def test_a_trained_backbone_sees_augmented_frames(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    trained = {"TCC_BACKBONE_NAME": "convnet", "TCC_BACKBONE_TRAINED": "all", "TCC_TRAINING_NUM_STEPS": "2"}
    losses = []
    for options in ({}, {"TCC_AUGMENTATION_CROP_MIN_AREA": "0.5", "TCC_AUGMENTATION_NOISE": "0.1"}):
        before = project.manifests()
        code, told = project.run("TrainTask", **trained, **options)
        assert code == 0, told
        (made,) = {name for name in project.manifests() if name.startswith("checkpoints/")} - set(before)
        losses.append(project.results()[made]["final_losses"]["loss"])
    assert losses[0] != losses[1]


def test_two_workers_give_the_same_results(finished, project):
    code, told = project.run("RunAll", "--workers", "2")
    assert code == 0, told
    assert project.results() == finished.results()


def test_no_file_names_the_data_folder(finished):
    """Targets, what is kept between runs, and logs: not a byte of them is of this machine."""
    files = [path for path in finished.data.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert not [path for path in files if str(finished.data).encode() in path.read_bytes()]


def test_nothing_is_left_to_do_where_the_data_folder_is_moved(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    assert project.run()[0] == 0
    assert project.manifests() == before


WHOLE_SEQUENCES = {"TCC_SAMPLING_NUM_CONTEXT_FRAMES": "1", "TCC_EMBEDDER_GRU_UNITS": "16"}


@pytest.mark.parametrize(
    "options",
    [
        {"TCC_TRAINING_CYCLES": "6"},
        {"TCC_TRAINING_METHOD": "scl", "TCC_EMBEDDER_KIND": "transformer", **WHOLE_SEQUENCES},
        {"TCC_TRAINING_METHOD": "tcc_regression", "TCC_EMBEDDER_KIND": "conv_gru", **WHOLE_SEQUENCES},
    ],
)
def test_other_methods_and_embedders_run_from_end_to_end(finished, tmp_path, options):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    code, told = project.run("RunAll", TCC_EMBEDDER_NORMALIZE="true", **options)
    assert code == 0, told
    stages = changed(before, project.manifests())
    assert stages == ["checkpoints", "embeddings", "evaluations", "models", "reports", "selections"]


def test_another_seed_is_trained_and_evaluated_and_the_first_is_not_done_again(finished, tmp_path):
    project = copy_of(finished, tmp_path)
    before = project.manifests()
    code, told = project.run("RunAll", TCC_TRAINING_SEEDS="0, 1")
    assert code == 0, told
    made = set(project.manifests()) - set(before)
    assert all(project.manifests()[target] == before[target] for target in before)
    assert sorted(target.split("/")[0] for target in made) == [
        *("checkpoints", "embeddings", "evaluations", "reports", "selections")
    ]
    (evaluation,) = (target for target in made if target.startswith("evaluations/"))
    tau = json.loads((project.data / evaluation / "kendalls_tau.json").read_text())
    assert [one["seed"] for one in tau["seeds"]] == [0, 1] and tau["interval_over"] == "seeds"
    assert tau["value"] == sum(one["value"] for one in tau["seeds"]) / 2
    assert {"untrained", "supervised"} < set(tau["baselines"])


def test_a_longer_training_goes_on_where_the_shorter_one_ended(finished, tmp_path):
    """It ends with the bytes of a training that did all its steps itself."""
    project = copy_of(finished, tmp_path)
    (shorter,) = (name for name in finished.results() if name.startswith("checkpoints/tiny-tcc"))
    code, told = project.run("TrainTask", TCC_TRAINING_NUM_STEPS="30")
    assert code == 0, told
    (longer,) = (n for n in project.results() if n.startswith("checkpoints/tiny-tcc") and n != shorter)
    checkpoint = "step-00000020/checkpoint.index"
    linked = [(project.data / target / checkpoint).stat().st_ino for target in (shorter, longer)]
    assert linked[0] == linked[1]
    files = project.results()[longer]["files"]
    assert files[checkpoint] == finished.results()[shorter]["files"][checkpoint]
    shutil.rmtree(project.data / shorter)
    shutil.rmtree(project.data / longer)
    assert project.run("TrainTask", TCC_TRAINING_NUM_STEPS="30")[0] == 0
    assert project.results()[longer]["files"] == files
