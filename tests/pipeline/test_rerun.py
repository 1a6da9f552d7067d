"""What --rerun-downstream does again, and in which order."""

from __future__ import annotations

import pytest

from pipeline import run_all
from pipeline import settings as settings_module
from pipeline.base import tasks_in_order
from pipeline.rerun import RerunDownstream, again, downstream
from tcc.config import ExecutionConfig, Settings
from tests.pipeline.test_stage_task import run
from tests.pipeline.toy import ToyFirst, ToySecond


@pytest.fixture(autouse=True)
def settings(tmp_path):
    with settings_module.using(Settings(execution=ExecutionConfig(data=str(tmp_path)))):
        yield


def test_what_follows_from_a_task():
    first, second = tasks_in_order(ToySecond())
    assert downstream(first, [first, second]) == [second]
    assert downstream(second, [first, second]) == []


def test_what_is_done_again_waits_for_what_it_reads():
    first, second = again(tasks_in_order(ToySecond()))
    assert first.rerun and second.rerun
    assert second.after == [first]
    assert first in second.deps()
    assert not first.complete()


def test_the_option_makes_a_wrapper_of_the_task_and_what_follows(monkeypatch):
    monkeypatch.setattr(run_all, "last_tasks", lambda: {"second": ToySecond()})
    wrapper = ToyFirst(rerun_downstream=True)
    assert isinstance(wrapper, RerunDownstream)
    assert [type(task) for task in wrapper.requires()] == [ToyFirst, ToySecond]
    assert all(task.rerun for task in wrapper.requires())
    assert wrapper.requires()[1].after == [wrapper.requires()[0]]


def test_the_lines_after_a_failure_have_the_command_that_continues(tmp_path):
    answer = run(tmp_path, "ToySecond", "--ToySecond-part", "3", TOY_FAULT="refuse:1", LUIGI_CONFIG_PATH="luigi.cfg")
    (told,) = [line for line in answer.stdout.splitlines() if "this continues" in line]
    assert told.endswith(
        "this continues: LUIGI_CONFIG_PATH=luigi.cfg luigi --module tests.pipeline.toy ToySecond --local-scheduler "
        "--ToySecond-part 3"
    )
    assert "this continues" not in run(tmp_path, "ToySecond").stdout
