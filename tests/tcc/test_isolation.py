"""A crash or a hang costs one item; nothing outlives its caller."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tcc import isolation as isolation_module
from tcc.errors import VideoError
from tcc.isolation import heartbeat, run_isolated
from tests.tcc.video_workers import act

ROOT = Path(__file__).resolve().parents[2]


def run(items, workers=2, timeout_seconds=30.0, **more):
    return run_isolated(act, items, workers=workers, timeout_seconds=timeout_seconds, **more)


def test_results_come_in_the_order_of_the_items():
    seen = []
    items = [("sleep", 0.3), *(("square", i) for i in range(6))]
    outcomes = run(items, on_result=lambda position, outcome: seen.append((position, outcome.value)))
    assert [outcome.value for outcome in outcomes] == ["sleep", 0, 1, 4, 9, 16, 25]
    assert sorted(seen) == [(0, "sleep"), *((i + 1, i * i) for i in range(6))]
    assert run([]) == []


def test_a_worker_goes_on_while_the_caller_deals_with_its_result(tmp_path):
    begun = []

    def wait_for_the_next(position, outcome):
        end = time.monotonic() + 20
        while position == 0 and not any(tmp_path.iterdir()) and time.monotonic() < end:
            time.sleep(0.01)
        begun.append(any(tmp_path.iterdir()))

    run([("square", 1), ("touch", str(tmp_path / "mark"))], workers=1, on_result=wait_for_the_next)
    assert begun == [True, True]


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE])
def test_a_crash_costs_its_item_and_is_not_tried_again(number):
    outcomes = run([("square", 1), ("signal", number), ("square", 2), ("square", 3)], workers=1)
    assert [outcome.value for outcome in outcomes] == [1, None, 4, 9]
    assert [outcome.reason for outcome in outcomes] == ["", "decoder_crashed", "", ""]
    assert outcomes[1].text == f"decoder_crashed: signal {number.name}"


def test_an_exit_is_a_crash():
    assert run([("exit", 3)])[0].text == "decoder_crashed: exit status 3"


def test_a_hang_costs_its_item_and_a_heartbeat_prevents_it():
    start = time.monotonic()
    outcomes = run([("sleep", 60), ("square", 2), ("beat", 2.5)], timeout_seconds=1.5)
    assert [outcome.reason for outcome in outcomes] == ["decoder_hung", "", ""]
    assert outcomes[0].text == "decoder_hung: no progress for 1.5 s"
    assert time.monotonic() - start < 30


def test_a_worker_killed_from_outside_is_replaced_and_its_item_tried_once_more(tmp_path):
    """The out-of-memory killer or an operator is no fault of the clip; twice is."""
    outcomes = run([("signal_once", str(tmp_path / "mark")), ("signal", signal.SIGKILL), ("square", 3)], workers=1)
    assert [outcome.value for outcome in outcomes] == ["signal_once", None, 9]
    assert outcomes[1].text == "decoder_crashed: signal SIGKILL"


def test_exceptions_come_back():
    outcomes = run([("raise", "bad"), ("unpicklable", 0), ("square", 2)])
    assert [outcome.reason for outcome in outcomes] == ["error", "error", ""]
    assert isinstance(outcomes[0].exception, ValueError)
    assert [outcome.text for outcome in outcomes[:2]] == ["ValueError: bad", "RuntimeError: Unpicklable: odd"]


def test_the_caller_may_stop_it_all(tmp_path):
    def stop(position, outcome):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([("square", 1), ("pid_then_sleep", str(tmp_path))], on_result=stop)
    assert wait_for(lambda: not alive(tmp_path))


def test_a_function_that_workers_cannot_import_is_refused(monkeypatch):
    monkeypatch.setattr(act, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "act", act, raising=False)
    with pytest.raises(
        VideoError, match=r"cannot take its work \(AttributeError: .*; pass a function of an importable"
    ):
        run([("square", 1)])


def test_a_worker_that_cannot_start_is_an_error_not_a_bad_clip(monkeypatch):
    monkeypatch.setattr(isolation_module, "_BOOT", "import os; os._exit(7)")
    with pytest.raises(VideoError, match=r"could not start \(exit status 7\); its messages are on standard error"):
        run([("square", 1)])
    monkeypatch.setattr(isolation_module, "_BOOT", "import time; time.sleep(60)")
    monkeypatch.setattr(isolation_module, "_START_TIMEOUT_SECONDS", 0.5)
    with pytest.raises(VideoError, match=r"did not start within 0.5 s; is the machine overloaded"):
        run([("square", 1)])


def test_a_heartbeat_outside_a_worker_does_nothing():
    heartbeat()


def _in_daemon(pipe):
    pipe.send([outcome.value for outcome in run([("square", 3), ("square", 4)])])


def test_it_works_inside_a_daemonic_child_process():
    mine, theirs = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=_in_daemon, args=(theirs,), daemon=True)
    child.start()
    assert mine.poll(60) and mine.recv() == [9, 16]
    child.join()


def test_workers_die_with_a_caller_that_is_killed(tmp_path):
    code = (
        "from tcc.isolation import run_isolated; from tests.tcc.video_workers import act; "
        f"run_isolated(act, [('pid_then_sleep', {str(tmp_path)!r})] * 2, workers=2, timeout_seconds=60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    assert wait_for(lambda: len(alive(tmp_path)) == 2)
    caller.kill()
    caller.wait()
    assert wait_for(lambda: not alive(tmp_path))


def alive(folder):
    """The processes that left their number in a folder and still run."""
    return [path.name for path in folder.iterdir() if running(path.name)]


def running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_for(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_no_descriptor_or_process_is_left_behind():
    run([("square", 1)])
    before = len(os.listdir("/proc/self/fd"))
    run([("square", 1), ("signal", signal.SIGSEGV), ("sleep", 60)], timeout_seconds=1.0)
    assert len(os.listdir("/proc/self/fd")) == before
