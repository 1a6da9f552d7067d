"""Results are recalled for what they depend on, and computed again where their file is not whole."""

from __future__ import annotations

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
