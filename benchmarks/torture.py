"""RunAll under SIGKILL: `python benchmarks/torture.py [--kills 200]`.

Rounds with 1 and 2 workers, without and with a central scheduler. In each, processes of the run are killed at random moments:
Luigi itself, one of its worker processes, a stage's process, a process that decodes for it, the scheduler. The command is
given again whenever it ended by that. A round is over when it ends with exit code 0; then every target's manifest must say what
that of an undisturbed run says, `verify` find nothing, `clean` leave nothing of what was killed, and no process be left. A
command that fails though nothing of it was killed ends the torture.

It goes on where it was when it is started again with the same --folder.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, Iterator, List, Optional

import psutil

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = ((1, False), (2, False), (1, True), (2, True))  # workers, central scheduler
TINY = {"LUIGI_CONFIG_PATH": str(ROOT / "examples" / "recipes" / "tiny.cfg")}
_SECONDS_TO_END = 900.0  # for a command of which nothing is killed any more
_SECONDS_TO_DIE = 75.0  # a stage's process that lost its parent may save for a minute


@dataclass(frozen=True)
class Tortured:
    """A pipeline and where it runs.

    Attributes: mean_seconds: between kills.
    """

    folder: Path
    module: str = "pipeline"
    task: str = "RunAll"
    environment: Dict[str, str] = field(default_factory=lambda: dict(TINY))
    mean_seconds: float = 5.0
    most_kills: int = 16

    def variables(self, data: Path) -> Dict[str, str]:
        temporary = data.with_name(f"{data.name}-tmp")
        temporary.mkdir(parents=True, exist_ok=True)
        own = {"TCC_EXECUTION_DATA": str(data), "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
        return {**os.environ, **self.environment, **own}

    def luigi(self, workers: int, port: Optional[int]) -> List[str]:
        where = ["--local-scheduler"] if port is None else ["--scheduler-port", str(port)]
        return [sys.executable, "-m", "luigi", "--module", self.module, self.task, *where, "--workers", str(workers)]


@dataclass
class Round:
    """The processes of one data folder, and who kills them."""

    tortured: Tortured
    data: Path
    workers: int
    port: Optional[int]
    random: random.Random
    kills: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    scheduler: Optional[subprocess.Popen[bytes]] = None

    def run(self, kills: int) -> None:
        """Kill so often, then let the command end well."""
        try:
            while not self._command(kills):
                pass
        finally:
            if self.scheduler is not None:
                self.scheduler.kill()
                self.scheduler.wait()

    def _command(self, kills: int) -> bool:
        """Start the command, kill, wait for its end; whether it ended well."""
        self._keep_scheduler()
        before = sum(self.kills.values())
        self.commands += 1
        log = self.data.with_suffix(".log")
        luigi = self._start(self.tortured.luigi(self.workers, self.port), log)
        while luigi.poll() is None and sum(self.kills.values()) < kills:
            _wait(luigi, self.random.expovariate(1 / self.tortured.mean_seconds))
            self._kill_one(luigi)
            self._keep_scheduler()
        code = _wait(luigi, _SECONDS_TO_END)
        if code is None:
            luigi.kill()
            raise SystemExit(f"the command hangs: see {log}")
        if code != 0 and sum(self.kills.values()) == before:
            raise SystemExit(f"exit code {code} though nothing was killed: see {log}")
        return code == 0

    def _keep_scheduler(self) -> None:
        if self.port is not None and (self.scheduler is None or self.scheduler.poll() is not None):
            command = [sys.executable, "-m", "pipeline", "scheduler", "--port", str(self.port)]
            self.scheduler = self._start(command, self.data.with_suffix(".scheduler.log"))

    def _start(self, command: List[str], log: Path) -> subprocess.Popen[bytes]:
        variables = self.tortured.variables(self.data)
        with open(log, "ab") as file:
            return subprocess.Popen(command, cwd=ROOT, env=variables, stdout=file, stderr=file)

    def _kill_one(self, luigi: subprocess.Popen[bytes]) -> None:
        kinds = _processes(luigi)
        if luigi.poll() is not None or not kinds:
            return
        if self.scheduler is not None:
            kinds["scheduler"] = [psutil.Process(self.scheduler.pid)]
        kind = self.random.choice(sorted(kinds))
        try:
            self.random.choice(kinds[kind]).send_signal(signal.SIGKILL)
            self.kills[kind] += 1
        except psutil.NoSuchProcess:
            return
        if kind == "scheduler" and self.scheduler is not None:
            self.scheduler.wait()


def _processes(luigi: subprocess.Popen[bytes]) -> Dict[str, List[psutil.Process]]:
    """What there is to kill: kind -> processes."""
    kinds: Dict[str, List[psutil.Process]] = {}
    try:
        main = psutil.Process(luigi.pid)
        for one in [main, *main.children(recursive=True)]:
            kinds.setdefault(_kind(one, main), []).append(one)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return {}
    return kinds


def _kind(one: psutil.Process, main: psutil.Process) -> str:
    if one == main:
        return "main"
    words = one.cmdline()
    if "pipeline.child" in words:
        return "child"
    return "worker" if words == main.cmdline() else "helper"


def _wait(process: subprocess.Popen[bytes], seconds: float) -> Optional[int]:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def results(data: Path) -> Dict[str, str]:
    """Target -> SHA-256 of the part of its manifest that must repeat."""
    found = {}
    for path in sorted(data.glob("*/*/manifest.json")):
        text = json.dumps(json.loads(path.read_text())["result"], sort_keys=True)
        found[f"{path.parent.parent.name}/{path.parent.name}"] = hashlib.sha256(text.encode()).hexdigest()
    return found


def undisturbed(tortured: Tortured) -> Dict[str, str]:
    """The results of a run that nothing is done to."""
    data = tortured.folder / "undisturbed"
    command = tortured.luigi(1, None)
    with open(data.with_suffix(".log"), "ab") as log:
        subprocess.run(command, cwd=ROOT, env=tortured.variables(data), stdout=log, stderr=log, check=True)
    return results(data)


def check(tortured: Tortured, data: Path, wanted: Dict[str, str]) -> None:
    """Raises: SystemExit if the run's end is not that of an undisturbed run, or something of what was killed is left."""
    found = results(data)
    different = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    if different:
        raise SystemExit(f"{data}: not as in an undisturbed run: {', '.join(different)}")
    left = _wait_for_death(data)
    if left:
        raise SystemExit(f"{data}: processes that live on: {left}")
    if tortured.module == "pipeline":
        for command in (["verify"], ["clean", "--keep", "0", "--yes"], ["verify"]):
            _must_succeed([sys.executable, "-m", "pipeline", *command], tortured, data)
    strays = list(_strays(data, wanted))
    if strays:
        raise SystemExit(f"{data}: left by what was killed: {strays}")


def _must_succeed(command: List[str], tortured: Tortured, data: Path) -> None:
    answer = subprocess.run(command, cwd=ROOT, env=tortured.variables(data), capture_output=True, text=True)
    if answer.returncode != 0:
        raise SystemExit(f"{data}: {' '.join(command[1:])}:\n{answer.stdout}{answer.stderr}")


def _wait_for_death(data: Path) -> List[str]:
    """The command lines of processes that work on this folder though nobody waits for them."""
    until = time.monotonic() + _SECONDS_TO_DIE
    while True:
        left = [" ".join(one.cmdline()) for one in psutil.process_iter() if _works_on(one, data)]
        if not left or time.monotonic() > until:
            return left
        time.sleep(1)


def _works_on(one: psutil.Process, data: Path) -> bool:
    try:
        return one.pid != os.getpid() and one.environ().get("TCC_EXECUTION_DATA") == str(data)
    except psutil.Error:
        return False


def _strays(data: Path, wanted: Dict[str, str]) -> Iterator[str]:
    """What lies in the data folder and is neither a target nor work nor a log."""
    stages = {name.split("/")[0] for name in wanted}
    for path in sorted(data.glob("*")):
        if path.name not in {*stages, ".work", "logs"}:
            yield path.name
    for path in sorted(data.glob("*/*")):
        name = f"{path.parent.name}/{path.name}"
        if path.parent.name in stages and name not in wanted:
            yield name


def torture(tortured: Tortured, kills: int, seed: int = 0) -> Dict[str, object]:
    """Rounds until so many processes were killed, those of earlier calls with this folder included; what was done."""
    state_path = tortured.folder / "torture.json"
    tortured.folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(state_path.read_text()) if state_path.exists() else {"rounds": 0, "commands": 0, "kills": {}}
    state.setdefault("undisturbed", undisturbed(tortured))
    while sum(state["kills"].values()) < kills:
        workers, central = ROUNDS[state["rounds"] % len(ROUNDS)]
        data = tortured.folder / f"round-{state['rounds']}"
        one = Round(tortured, data, workers, _free_port() if central else None, random.Random(f"{seed} {data.name}"))
        started = time.monotonic()
        one.run(min(tortured.most_kills, kills - sum(state["kills"].values())))
        check(tortured, data, state["undisturbed"])
        state["rounds"] += 1
        state["commands"] += one.commands
        state["kills"] = dict(Counter(state["kills"]) + one.kills)
        state_path.write_text(json.dumps(state))
        print(
            f"{data.name}: {workers} workers, {'central' if central else 'local'} scheduler, {one.commands} commands, "
            f"killed {dict(one.kills)}, {time.monotonic() - started:.0f} s, as undisturbed",
            flush=True,
        )
        shutil.rmtree(data)
    return {name: state[name] for name in ("rounds", "commands", "kills")}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "torture", help="where it works and goes on")
    parser.add_argument("--mean-seconds", type=float, default=5.0, help="between kills")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tortured = Tortured(arguments.folder.resolve(), mean_seconds=arguments.mean_seconds)
    print(json.dumps(torture(tortured, arguments.kills, arguments.seed)))


if __name__ == "__main__":
    main()
