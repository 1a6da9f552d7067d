"""The results of one training for each of several seeds, put together."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping

import numpy as np

from tcc.evaluation.result import left_out, mean_interval, plain

_OF_EACH = ("value", "interval", "count", "undefined", "details")


def combine_seeds(results: Mapping[int, Mapping[str, Mapping[str, Any]]]) -> Dict[str, Dict[str, Any]]:
    """Mean and 95 % interval of each metric over seeds: mean +- t(0.975, N - 1) s / sqrt(N), Student's t.

    Args:
      results: for each seed what `evaluate` returned.
    Returns: one dictionary for each metric, as `evaluate`'s: "value" is the mean, "interval" that of the mean and
      "interval_over" seeds; "seeds" has value, interval, count, undefined and details of each. Details and baselines are
      those of the first seed. Where one seed has no value there is no mean. A single seed's results are returned as they are.
    """
    seeds = list(results)
    first = {name: dict(result) for name, result in results[seeds[0]].items()}
    if len(seeds) == 1:
        return first
    return {name: _combine(result, {seed: results[seed][name] for seed in seeds}) for name, result in first.items()}


def _combine(first: Dict[str, Any], by_seed: Mapping[int, Mapping[str, Any]]) -> Dict[str, Any]:
    values = [result["value"] for result in by_seed.values()]
    defined = all(value is not None for value in values)
    return {
        **first,
        "value": float(np.mean(values)) if defined else None,
        "interval": plain(mean_interval(values)) if defined else None,
        "interval_over": "seeds",
        "undefined": _undefined(by_seed),
        "seeds": [{"seed": seed, **{key: result.get(key) for key in _OF_EACH}} for seed, result in by_seed.items()],
    }


def _undefined(by_seed: Mapping[int, Mapping[str, Any]]) -> List[Dict[str, str]]:
    return [
        left_out(f"seed {seed}, {entry['what']}", entry["reason"])
        for seed, result in by_seed.items()
        for entry in result["undefined"]
    ]
