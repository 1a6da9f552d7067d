"""Results of several seeds: mean and interval, and nothing where one of them has no value."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tcc.evaluation import combine_seeds


def result(value, *, undefined=()):
    return {
        "metric": "kendalls_tau",
        "protocol": "tcc-svm v1",
        "split": "test",
        "value": value,
        "count": 6,
        "undefined": list(undefined),
        "details": {"of": value},
        "baselines": {"clock_index": {"value": 0.9}},
    }


def test_mean_and_interval_of_students_t():
    values = {0: 0.5, 3: 0.8, 7: 0.9}
    combined = combine_seeds({seed: {"kendalls_tau": result(value)} for seed, value in values.items()})["kendalls_tau"]
    assert combined["value"] == pytest.approx(0.7333333, abs=1e-6)
    low, high = stats.t.interval(0.95, 2, loc=np.mean(list(values.values())), scale=stats.sem(list(values.values())))
    assert combined["interval"] == pytest.approx([low, high])
    assert combined["interval_over"] == "seeds"
    assert [(one["seed"], one["value"]) for one in combined["seeds"]] == list(values.items())
    assert combined["details"] == {"of": 0.5} and combined["baselines"] == {"clock_index": {"value": 0.9}}


def test_one_seed_without_a_value_leaves_no_mean():
    reason = {"what": "all", "reason": "constant embedding"}
    by_seed = {0: {"kendalls_tau": result(0.5)}, 1: {"kendalls_tau": result(None, undefined=[reason])}}
    combined = combine_seeds(by_seed)["kendalls_tau"]
    assert combined["value"] is None and combined["interval"] is None
    assert combined["undefined"] == [{"what": "seed 1, all", "reason": "constant embedding"}]


def test_a_single_seed_is_returned_as_it_is():
    assert combine_seeds({4: {"kendalls_tau": result(0.5)}}) == {"kendalls_tau": result(0.5)}
