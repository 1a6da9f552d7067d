"""The toy pipeline under SIGKILL, as benchmarks/torture.py does it to RunAll; and that it notices what it looks for."""

from __future__ import annotations

import json

import pytest

from benchmarks.torture import Tortured, check, torture, undisturbed

TOY = {"TCC_TRAINING_NUM_STEPS": "10", "TOY_STEP_SECONDS": "0.05"}


def toy(folder):
    return Tortured(folder, "tests.pipeline.toy", "ToySecond", TOY, mean_seconds=0.5, most_kills=1)


def test_killed_at_random_it_ends_like_an_undisturbed_run(tmp_path):
    done = torture(toy(tmp_path), kills=2)
    assert sum(done["kills"].values()) == 2 and done["rounds"] >= 2
    assert torture(toy(tmp_path), kills=2) == done  # goes on where it was: nothing is left to do


def change_result(data):
    (manifest,) = data.glob("toy_first/*/manifest.json")
    value = json.loads(manifest.read_text())
    value["result"]["counts"] = {"in": 77}
    manifest.write_text(json.dumps(value))


def test_what_differs_from_an_undisturbed_run_ends_it(tmp_path):
    data, stray = tmp_path / "undisturbed", tmp_path / "undisturbed" / "toy_first" / "stray"
    data.mkdir()
    wanted = undisturbed(toy(tmp_path))
    check(toy(tmp_path), data, wanted)
    stray.touch()
    with pytest.raises(SystemExit, match=r"left by what was killed: .*toy_first/stray"):
        check(toy(tmp_path), data, wanted)
    stray.rename(data / "stray")
    with pytest.raises(SystemExit, match=r"left by what was killed: .*stray"):
        check(toy(tmp_path), data, wanted)
    change_result(data)
    with pytest.raises(SystemExit, match="not as in an undisturbed run: toy_first/"):
        check(toy(tmp_path), data, wanted)
