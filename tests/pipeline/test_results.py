"""Results are recalled for what they depend on, and computed again where their file is not whole."""

from __future__ import annotations

import concurrent.futures
import threading
import time

import pytest

from pipeline.results import Results


def counting(calls, value):
    def compute():
        calls.append(value)
        return {"value": value}

    return compute


def test_what_was_computed_is_recalled_for_the_same_dependencies_alone(tmp_path):
    calls = []
    for depends_on in ({"metric": "tau", "clips": ["a"]}, {"clips": ["a"], "metric": "tau"}):
        assert Results(tmp_path).recall(depends_on, counting(calls, 1.5)) == {"value": 1.5}
    assert Results(tmp_path).recall({"metric": "tau", "clips": ["b"]}, counting(calls, 2)) == {"value": 2}
    assert calls == [1.5, 2]


def test_fresh_results_replace_the_old(tmp_path):
    calls = []
    Results(tmp_path).recall("key", counting(calls, 1))
    assert Results(tmp_path, fresh=True).recall("key", counting(calls, 2)) == {"value": 2}
    assert Results(tmp_path).recall("key", counting(calls, 3)) == {"value": 2}
    assert calls == [1, 2]


def test_a_damaged_file_is_computed_again(tmp_path):
    calls = []
    Results(tmp_path).recall("key", counting(calls, 1))
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text()[:-4])
    assert Results(tmp_path).recall("key", counting(calls, 2)) == {"value": 2}
    assert calls == [1, 2]


def test_of_two_that_want_the_same_at_once_one_computes_it(tmp_path):
    calls = []

    def compute():
        calls.append(1)
        time.sleep(0.3)
        return {"value": 1}

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        both = [pool.submit(Results(tmp_path).recall, "key", compute) for _ in range(2)]
    assert [one.result() for one in both] == [{"value": 1}] * 2 and len(calls) == 1
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


def test_waiting_for_another_run_can_be_stopped(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    def compute():
        begun.set()
        go_on.wait(20)
        return {"value": 1}

    def stop(share, status):
        assert "another run is doing this" in status
        raise KeyboardInterrupt

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(Results(tmp_path).recall, "key", compute)
        begun.wait(20)
        with pytest.raises(KeyboardInterrupt):
            Results(tmp_path, progress=stop).recall("key", compute)
        go_on.set()
        assert first.result() == {"value": 1}
