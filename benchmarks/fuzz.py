"""Fuzzing of everything that reads files of others: `python -m benchmarks.fuzz [--inputs 10000] [READER ...]`.

Settings, labels (CSV, JSON), TFRecords, weights and embeddings (.npz, .h5), manifests and videos are made by changing
whole ones, guided by what of our code a change reaches (`pip install atheris`). Every input must end in a result or in one
of our errors (`tcc.errors`) within 10 s, and leave no file. What does not is kept under --failures, one file for each place
in the code, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Dict

from benchmarks.fuzz_targets import READERS, feed

_SECONDS_EACH = 10
_SECONDS_ISOLATED = 3
_MEMORY_MB = 8192


class InItsProcess(Exception):
    """What a reader raised in a process of its own: the traceback."""


class Hung(Exception):
    """An input was not done in time."""


def main() -> None:
    """Fuzz each reader in a process of its own and print what came of it."""
    options = _options()
    if options.alone:
        _Fuzzing(options.readers[0], options.inputs, Path(options.failures)).run()
    os.makedirs(options.failures, exist_ok=True)
    found = False
    print(f"{'reader':<12}{'inputs':>8}{'results':>9}{'our errors':>12}{'covered':>9}{'seconds':>9}  other outcomes")
    for reader in options.readers or READERS:
        told = _run_alone(reader, options)
        found |= bool(told["others"])
        ours = sum(count for name, count in told["outcomes"].items() if name != "a result")
        numbers = f"{told['inputs']:>8}{told['outcomes'].get('a result', 0):>9}{ours:>12}{told['covered']:>9}"
        numbers += f"{told['seconds']:>9.0f}"
        print(f"{reader:<12}{numbers}  {'; '.join(told['others']) or 'none'}", flush=True)
    sys.exit(found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {', '.join(READERS)}; default all")
    parser.add_argument("--inputs", type=int, default=10000, metavar="N", help="for each reader; default 10000")
    parser.add_argument("--failures", default="build/fuzz", metavar="DIR", help="default build/fuzz")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.readers) - set(READERS)
    if unknown:
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(READERS)}")
    return options


def _run_alone(reader: str, options: argparse.Namespace) -> Dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.fuzz", "--alone", reader]
    command += ["--inputs", str(options.inputs), "--failures", options.failures]
    log, report = (Path(options.failures) / f"{reader}.{suffix}" for suffix in ("log", "json"))
    report.unlink(missing_ok=True)
    with open(log, "w") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    nothing: Dict[str, Any] = {"inputs": 0, "outcomes": {}, "seconds": 0.0, "others": []}
    told = json.loads(report.read_text()) if report.exists() else nothing
    told["covered"] = max(map(int, re.findall(r" cov: (\d+)", log.read_text(errors="replace"))), default=0)
    if code != 0:
        told["others"].append(f"its process ended with {code}, see {log}")
    return dict(told)


class _Fuzzing:
    """One reader, in this process, until it has had all its inputs."""

    def __init__(self, name: str, inputs: int, failures: Path) -> None:
        self._name, self._reader, self._wanted, self._failures = name, READERS[name], inputs, failures.resolve()
        self._outcomes: Counter[str] = Counter()
        self._others: Dict[str, str] = {}
        self._folder = Path(tempfile.mkdtemp())
        self._started = time.monotonic()

    def run(self) -> None:
        import atheris

        with atheris.instrument_imports(include=["tcc", "pipeline"]):
            self._seeds = self._reader.seeds()
            for seed in self._seeds:
                feed(self._reader, seed, self._folder / "work")
        corpus = self._folder / "corpus"
        corpus.mkdir()
        for number, seed in enumerate(self._seeds):
            (corpus / str(number)).write_bytes(seed)
        signal.signal(signal.SIGPROF, _give_up)
        limits = [f"-rss_limit_mb={_MEMORY_MB}", f"-timeout={10 * _SECONDS_EACH}", "-max_len=1000000", "-seed=1"]
        limits += ["-reduce_inputs=0", "-len_control=0", "-mutate_depth=1"]
        arguments = ["fuzz", *limits, f"-artifact_prefix={self._failures}/{self._name}-", str(corpus)]
        atheris.Setup(arguments, self._one, custom_mutator=self._mutate)
        atheris.Fuzz()

    def _mutate(self, data: bytes, max_size: int, seed: int) -> bytes:
        random = Random(seed)
        # What a reader does in another process does not tell which inputs to go on from.
        if self._reader.isolated or random.randrange(4) == 0:
            data = random.choice(self._seeds)
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            data = self._reader.mutate(data, random)
        return data[:max_size]

    def _one(self, data: bytes) -> None:
        signal.setitimer(signal.ITIMER_PROF, _SECONDS_EACH)  # of computing; libFuzzer looks at the clock
        try:
            self._outcomes[self._feed(data)] += 1
        except BaseException as error:
            self._keep(data, error)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        if sum(self._outcomes.values()) >= self._wanted:
            self._report()
            shutil.rmtree(self._folder)
            sys.stderr.flush()
            os._exit(0)

    def _feed(self, data: bytes) -> str:
        if not self._reader.isolated:
            return feed(self._reader, data, self._folder / "work")
        theirs, ours = os.pipe()
        child = os.fork()
        if child == 0:
            self._answer(data, ours)
        os.close(ours)
        with open(theirs, "rb") as pipe:
            done = bool(select.select([pipe], [], [], _SECONDS_ISOLATED)[0])
            told = pipe.read().decode() if done else ""
        if not done:
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not told:
            return f"its process died by signal {status & 127}" if done else "its process hung"
        outcome = json.loads(told)
        if "error" in outcome:
            raise InItsProcess(outcome["error"])
        return str(outcome["outcome"])

    def _answer(self, data: bytes, pipe: int) -> None:
        """In a process of its own: whatever the reader does to it is done to nobody else."""
        try:
            outcome = {"outcome": feed(self._reader, data, self._folder / "work")}
        except BaseException:
            outcome = {"error": traceback.format_exc()}
        os.write(pipe, json.dumps(outcome).encode())
        os._exit(0)

    def _keep(self, data: bytes, error: BaseException) -> None:
        """One input for each place where errors come from, and what was told."""
        told = str(error) if isinstance(error, InItsProcess) else traceback.format_exc()
        places = [line for line in told.splitlines() if line.startswith("  File ") and "benchmarks" not in line]
        ours = [line for line in places if "site-packages" not in line and "/lib/python" not in line]
        place = re.search(r"(\w+\.py)\", line (\d+)", (ours or places or [""])[-1])
        what = told.strip().splitlines()[-1].split(":")[0]
        key = f"{what} at {place[1]}:{place[2]}" if place else what
        self._outcomes[key] += 1
        if key not in self._others:
            name = f"{self._name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
            (self._failures / name).write_bytes(data)
            (self._failures / f"{name}.txt").write_text(told, errors="backslashreplace")
            self._others[key] = name

    def _report(self) -> None:
        outcomes = dict(self._outcomes)
        report = {
            "inputs": sum(outcomes.values()),
            "outcomes": {name: count for name, count in outcomes.items() if name not in self._others},
            "seconds": time.monotonic() - self._started,
            "others": [f"{key} ({name})" for key, name in self._others.items()],
        }
        (self._failures / f"{self._name}.json").write_text(json.dumps(report))


def _give_up(*_: Any) -> None:
    raise Hung(f"not done in {_SECONDS_EACH} s")


if __name__ == "__main__":
    main()
