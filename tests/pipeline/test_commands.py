"""The commands of `python -m pipeline`, on the toy pipeline."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import settings as settings_module
from pipeline.commands.clean import clean
from pipeline.commands.mark_done import mark_done
from pipeline.commands.plan import plan
from pipeline.commands.status import status
from pipeline.commands.targets import Targets, find_tasks
from pipeline.commands.verify import verify
from pipeline.commands.why import differences, why
from tcc.config import EvaluationConfig, ExecutionConfig, FramesConfig, Settings, TrainingConfig
from tcc.errors import TccError
from tests.pipeline.test_stage_task import run
from tests.pipeline.toy import ToyFirst, ToySecond

ROOT = Path(__file__).resolve().parents[2]


class Toy:
    """A data folder in which the toy pipeline was run, and its tasks under other settings."""

    def __init__(self, data):
        self.data = data

    def __call__(self, command, *, fps=10.0, distance="sqeuclidean", last=ToySecond, **options):
        """The answer of a command under these settings."""
        settings = Settings(
            execution=ExecutionConfig(data=str(self.data)),
            frames=FramesConfig(fps=fps),
            evaluation=EvaluationConfig(distance=distance),
            training=TrainingConfig(num_steps=4),
        )
        with settings_module.using(settings):
            tasks = [ToyFirst(), ToySecond()]
            return command(tasks, Targets(self.data), **options)

    def states(self, **settings):
        answer = self(status, results={}, **settings)
        return [row["state"] for row in answer.data["tasks"]]

    def only(self, stage):
        (folder,) = (self.data / stage).iterdir()
        return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data = tmp_path_factory.mktemp("made")
    assert run(data, "ToySecond").returncode == 0
    return data


@pytest.fixture
def toy(made, tmp_path):
    subprocess.run(["cp", "-a", f"{made}/.", str(tmp_path / "data")], check=True)
    return Toy(tmp_path / "data")


def test_status_of_a_finished_run(toy):
    answer = toy(status, results={"report": "there.html"})
    assert answer.code == 0
    assert toy.states() == ["done", "done"]
    first = answer.data["tasks"][0]
    assert first["bytes"] > 0 and first["seconds"] >= 0 and first["age_seconds"] >= 0
    assert answer.text.endswith("report: there.html\n")
    json.dumps(answer.data)


def test_status_tells_stale_from_missing(toy):
    assert toy.states(fps=5.0) == ["stale", "stale"]
    assert toy.states(distance="cosine") == ["done", "stale"]
    subprocess.run(["rm", "-r", str(toy.data / "toy_second")], check=True)
    assert toy.states() == ["done", "missing"]
    assert toy(status, results={}).code == 1


def test_status_of_what_runs_now_and_of_what_was_interrupted(toy):
    subprocess.run(["rm", "-r", str(toy.data / "toy_second")], check=True)
    lock = next((toy.data / ".work").glob("toy_second*.lock"))
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert toy.states() == ["done", "running"]
    Path(str(lock)[: -len(".lock")]).mkdir()
    assert toy.states() == ["done", "interrupted"]


def test_status_says_why_a_task_failed(tmp_path):
    run(tmp_path, "ToySecond", TOY_FAULT="refuse:1")
    toy = Toy(tmp_path)
    assert toy.states() == ["failed", "missing"]
    assert "ToyFirst failed: labels.csv, line 7: the toy refuses it; correct it" in toy(status, results={}).text
    assert run(tmp_path, "ToySecond").returncode == 0
    assert toy.states() == ["done", "done"]
    assert not list(tmp_path.glob("toy_first/*/failure.json"))


def test_why_follows_the_inputs_to_the_setting(toy):
    answer = toy(why, fps=5.0)
    assert answer.code == 1
    first, second = answer.data
    assert [(change["what"], change["old"], change["new"]) for change in first["changes"]] == [("fps", 10.0, 5.0)]
    (change,) = second["changes"]
    assert change["what"] == "input first"
    assert change["because"] == first["changes"]
    assert "    fps: 10.0 -> 5.0\n" in answer.text


def test_why_names_another_version_of_the_code(toy, monkeypatch):
    monkeypatch.setattr(ToyFirst, "version", 2)
    first, _ = toy(why).data
    assert first["changes"] == [{"what": "version of the stage's code", "old": 1, "new": 2}]


def test_why_has_nothing_to_say_of_what_is_done(toy):
    answer = toy(why)
    assert answer.code == 0
    assert {one["state"] for one in answer.data} == {"done"}


def test_differences_of_nested_values():
    old = {"a": 1, "b": {"c": [1, 2], "gone": True}}
    new = {"a": 1, "b": {"c": [1, 3], "new": "x"}}
    assert differences(old, new) == [("b.c", [1, 2], [1, 3]), ("b.gone", True, None), ("b.new", None, "x")]


def test_plan_estimates_by_what_was_done_before(toy):
    assert toy(plan).code == 0
    answer = toy(plan, distance="cosine")
    (row,) = answer.data["tasks"]
    manifest = json.loads((toy.only("toy_second") / "manifest.json").read_text())
    assert row["estimated_seconds"] == pytest.approx(manifest["run"]["seconds"], abs=0.06)
    assert answer.data["without_estimate"] == 0
    subprocess.run(["rm", "-r", str(toy.data / "toy_second")], check=True)
    assert toy(plan).data["without_estimate"] == 1


def test_verify_names_what_was_changed_lost_or_added(toy):
    assert toy(lambda tasks, targets: verify(targets)).code == 0
    first, second = toy.only("toy_first"), toy.only("toy_second")
    (first / "steps").write_text("other\n")
    (second / "part").unlink()
    (second / "stray").write_text("?")
    (toy.data / "toy_first" / "no-manifest").mkdir()
    answer = toy(lambda tasks, targets: verify(targets))
    problems = {Path(one["path"]).name: one["problem"] for one in answer.data["damaged"]}
    assert problems == {
        "steps": "changed since it was made",
        "part": "missing",
        "stray": "in no manifest",
        "no-manifest": "no target: it has no manifest",
    }
    assert answer.code == 1


def test_verify_of_a_damaged_manifest(toy):
    (toy.only("toy_first") / "manifest.json").write_text("{")
    (damaged,) = toy(lambda tasks, targets: verify(targets)).data["damaged"]
    assert damaged["problem"] == "not a whole manifest"


def test_clean_lists_first_and_deletes_with_yes(toy):
    assert run(toy.data, "ToySecond", TCC_FRAMES_FPS="5").returncode == 0
    assert run(toy.data, "ToySecond", TCC_FRAMES_FPS="4").returncode == 0
    stray = toy.data / ".work" / "toy_first-unheard_of"
    stray.mkdir()
    answer = toy(clean, keep=1, really=False)
    assert answer.code == 1
    names = sorted(Path(row["path"]).name for row in answer.data["paths"])
    assert "toy_first-unheard_of" in names
    assert len([name for name in names if not name.endswith(".lock")]) == 3  # first and second of the older, the stray
    assert len(list(toy.data.glob("toy_*/*"))) == 6
    assert toy(clean, keep=1, really=True).code == 0
    assert len(list(toy.data.glob("toy_*/*"))) == 4
    assert not stray.exists()
    assert toy.states() == ["done", "done"]
    toy(clean, keep=0, really=True)
    assert len(list(toy.data.glob("toy_*/*"))) == 2
    assert toy(clean, keep=0, really=False).data["paths"] == []


def test_clean_leaves_the_work_of_others_and_of_the_present_run(toy):
    work = toy.data / ".work" / "toy_first-busy"
    work.mkdir()
    with open(f"{work}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        toy(clean, keep=1, really=True)
        assert work.exists()
    toy(clean, keep=1, really=True)
    assert not work.exists()


def test_a_stale_task_can_be_marked_done(toy):
    answer = toy(mark_done, fps=5.0)
    assert answer.code == 0
    assert toy.states(fps=5.0) == ["done", "done"]
    marked = [
        path
        for path in (toy.data / "toy_first").iterdir()
        if "marked_done_from" in (path / "manifest.json").read_text()
    ]
    assert len(marked) == 1
    assert run(toy.data, "ToySecond", TCC_FRAMES_FPS="5").returncode == 0
    assert len(list(toy.data.glob("toy_*/*"))) == 4


def test_marking_done_what_was_never_made_is_refused(tmp_path):
    answer = Toy(tmp_path)(mark_done)
    assert answer.code == 1
    assert "nothing to take: no earlier target" in answer.text


def test_tasks_are_found_by_class_stage_and_name(toy):
    tasks = toy(lambda tasks, targets: tasks)
    assert find_tasks("ToyFirst", tasks) == [tasks[0]]
    assert find_tasks("toy_second", tasks) == [tasks[1]]
    assert find_tasks(tasks[0].fingerprint, tasks) == [tasks[0]]
    assert find_tasks("nothing", tasks) == []


def pipeline(data, *arguments, **variables):
    command = [sys.executable, "-W", "ignore", "-m", "pipeline", *arguments]
    environment = {**os.environ, "TCC_EXECUTION_DATA": str(data), **variables}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["status", "plan", "why", "verify", "clean", "check"])
def test_each_command_answers_in_json_and_as_text_in_an_empty_folder(tmp_path, command):
    task = ["TrainTask"] if command == "why" else []
    answer = pipeline(tmp_path, command, *task, "--json")
    assert answer.returncode in (0, 1), answer.stderr
    json.loads(answer.stdout)
    assert pipeline(tmp_path, command, *task).stdout


def test_an_unknown_task_is_refused_in_one_line(tmp_path):
    answer = pipeline(tmp_path, "why", "NoTask")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: NoTask: no task of RunAll has this name; the tasks are VideosTask")
    assert answer.stderr.count("\n") == 1


def test_no_command_imports_what_takes_long(tmp_path):
    """A report there makes `verify` look into it; what `diff` needs is imported beside, since nothing is evaluated."""
    report = tmp_path / "reports" / "set-01234567"
    report.mkdir(parents=True)
    (report / "report.html").write_text("")
    (report / "manifest.json").write_text('{"result": {"files": {"report.html": "00"}}, "run": {}}')
    code = (
        "import sys, pipeline.__main__ as m; m.main(sys.argv[1:]); import tcc.report.comparison; "
        "sys.exit(bool({'tensorflow', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    for command in (["status"], ["plan"], ["why", "TrainTask"], ["verify"], ["clean"]):
        environment = {**os.environ, "TCC_EXECUTION_DATA": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", code, *command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        assert done.returncode == 0, command


def test_a_negative_number_to_keep_is_refused():
    with pytest.raises(TccError, match="--keep: must not be negative"):
        from pipeline.__main__ import _clean

        _clean(type("Options", (), {"keep": -1, "yes": False}))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"fps = 2\n", "no section headers"),
        (b"[frames]\nfps=1\nfps=2\n", "already exists"),
        (b"[frames]\nx=\xff\n", "utf-8"),
    ],
)
def test_a_file_of_settings_that_is_none_is_told_in_one_line(tmp_path, content, said):
    (tmp_path / "luigi.cfg").write_bytes(content)
    answer = subprocess.run(
        [sys.executable, "-m", "pipeline", "status"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 2 and answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: luigi.cfg: cannot be read") and said in answer.stderr


def test_a_report_that_was_damaged_is_named(tmp_path):
    report = tmp_path / "reports" / "set-01234567"
    report.mkdir(parents=True)
    (report / "report.html").write_bytes(b"\xff")
    (report / "manifest.json").write_text('{"result": {"files": {"report.html": "00"}}, "run": {}}')
    (damaged,) = verify(Targets(tmp_path)).data["damaged"]
    assert damaged == {"path": str(report / "report.html"), "problem": "changed since it was made"}
