"""Files that are nearly right: every reader gives a result or one of our errors, and leaves no file.

These are few inputs and always the same ones; `python -m benchmarks.fuzz` makes 10,000 for each reader, guided by coverage.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz_targets import READERS, Escaped, Reader, feed, mutate_bytes
from tcc.errors import TccError
from tcc.isolation import CRASHED, HUNG, run_isolated

_EXAMPLES = {"manifest": 40}
_FEW = 150


def nearly(reader, seeds):
    """Files that are nearly of a reader's kind."""

    def changed(seed, number, changes):
        random = Random(number)
        for _ in range(changes):
            seed = reader.mutate(seed, random)
        return seed

    return st.builds(changed, st.sampled_from(seeds), st.integers(0, 2**32), st.integers(0, 3))


@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if not reader.isolated])
def test_a_file_that_is_nearly_right_is_read_or_refused(name, tmp_path):
    reader, outcomes = READERS[name], Counter()

    @settings(
        max_examples=_EXAMPLES.get(name, _FEW),
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(nearly(reader, reader.seeds()))
    def read(data):
        outcomes[feed(reader, data, tmp_path)] += 1

    read()
    assert len(outcomes) > 1 and "a result" in outcomes, outcomes


def test_a_file_of_weights_that_is_nearly_right_is_read_or_refused(tmp_path):
    """HDF5 itself may crash or go round for ever: it is read in a process of its own."""
    reader, paths = READERS["h5"], []
    for number in range(_FEW):
        random = Random(number)
        paths.append(tmp_path / f"{number}.h5")
        paths[-1].write_bytes(mutate_bytes(random.choice(reader.seeds()), random))
    outcomes = run_isolated(reader.read, [str(path) for path in paths], workers=2, timeout_seconds=5)
    for outcome in outcomes:
        assert outcome.reason in ("", CRASHED, HUNG) or isinstance(outcome.exception, TccError), outcome
    assert any(not outcome.reason for outcome in outcomes) and any(outcome.exception for outcome in outcomes)
    assert sorted(tmp_path.iterdir()) == sorted(paths)


@pytest.mark.parametrize(
    ("read", "error"),
    [
        (lambda path: (path.parent / "stray").touch(), Escaped),
        (lambda path: (path.parent.parent / "stray").touch(), Escaped),
        (lambda path: path.unlink(), Escaped),
        (lambda path: {}["x"], KeyError),
    ],
)
def test_what_no_reader_may_do_is_noticed(read, error, tmp_path):
    with pytest.raises(error):
        feed(Reader("x", list, read, mutate_bytes), b"x", tmp_path / "work")
