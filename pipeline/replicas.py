"""The processes of a training on several devices: the chief, which is TrainTask's child, starts and watches the others.

kind   replicas = N                                   hosts = a:1, b:1
gpu    N GPUs in this process                         N GPUs in one process a machine
npu    N processes, one NPU each, joined by HCCL      refused
cpu    N processes on this machine                    one process a machine
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Sequence, Tuple

from pipeline.base import Job
from pipeline.device import open_device_of
from tcc.config import Settings
from tcc.errors import ReplicaLost, SettingsError
from tcc.progress import Interrupted, silent

RANK = "TCC_REPLICA_RANK"
EXIT_INTERRUPTED = 143
_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_STOP = 3.0  # they write nothing: nothing is lost with them
_DEVICE_ADDRESSES = Path("/etc/hccn.conf")


@dataclass(frozen=True)
class Team:
    """Who trains together.

    Attributes:
      kind: npu, gpu or cpu.
      processes, rank: of how many processes this one is which; the chief is 0.
      started: whether the chief starts the others itself; else they are started on their own machines.
    """

    kind: str
    processes: int
    rank: int
    started: bool


def team_of(settings: Settings, rank: int = 0) -> Team:
    """The team that [device] asks for.

    Raises: SettingsError for what cannot be.
    """
    from tcc.device import choose_kind

    device = settings.device
    kind = choose_kind() if device.kind == "auto" else device.kind
    if device.hosts:
        if kind == "npu":
            raise SettingsError("hosts: NPUs of several machines are not supported; use those of one, by replicas")
        if kind == "cpu" and device.replicas > 1:
            raise SettingsError("replicas, hosts: on CPUs each machine of hosts has one process; set replicas to 1")
        return Team(kind, len(device.hosts), rank, started=False)
    return Team(kind, 1 if kind == "gpu" else device.replicas, rank, started=True)


@contextlib.contextmanager
def joined(task: Any, job: Job) -> Iterator[Tuple[Any, Any]]:
    """Within, this process is one of the team: gives the open device and the `tcc.training.replicas.Replicas`.

    The chief has started the others by then, and none is left afterwards.
    Raises: ReplicaLost if another one of the team died.
    """
    rank = int(os.environ.get(RANK, "0"))
    team = team_of(job.settings, rank)
    if team.processes == 1 and job.settings.device.replicas == 1:
        from tcc.training.replicas import Replicas

        yield open_device_of(job), Replicas()
        return
    _check_share(job.settings, team)
    chief = rank == 0
    variables = _variables(team, job) if chief else {}
    os.environ.update(_of_rank(variables, team, 0) if chief else {})
    with _others(task, job, team, variables) if chief and team.started else contextlib.nullcontext():
        yield _open(job, team)


def _check_share(settings: Settings, team: Team) -> None:
    """What would be found out after everybody has joined."""
    from tcc.training.replicas import check_share

    gpus = settings.device.replicas if team.kind == "gpu" else 1
    check_share(settings.training.batch_size, team.processes * gpus)


def _open(job: Job, team: Team) -> Tuple[Any, Any]:
    from tcc.training.replicas import Distributed, Hccl

    if team.kind == "npu":
        from tcc.device import all_reduce

        first = max(job.settings.device.device_id, 0)
        config = dataclasses.replace(job.settings.device, device_id=first + team.rank)
        settings = dataclasses.replace(job.settings, device=config)
        device = open_device_of(dataclasses.replace(job, settings=settings))
        return device, Hccl(all_reduce, rank=team.rank, count=team.processes)
    device = open_device_of(job)
    return device, Distributed(_strategy(team, job.settings), process=team.rank, processes=team.processes)


def _strategy(team: Team, settings: Settings) -> Any:
    import tensorflow as tf

    if team.processes > 1:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # which it has taken over
        return strategy
    wanted, there = settings.device.replicas, len(tf.config.list_logical_devices("GPU"))
    if wanted > there:
        raise SettingsError(f"replicas: {wanted} GPUs are asked for and TensorFlow sees {there}")
    return tf.distribute.MirroredStrategy([f"/gpu:{index}" for index in range(wanted)])


def _variables(team: Team, job: Job) -> Dict[str, str]:
    """What every process of the team has in its environment, but for its rank."""
    if team.kind == "npu":
        return {"RANK_SIZE": str(team.processes), "RANK_TABLE_FILE": _rank_table(team, job)}
    hosts = job.settings.device.hosts or [f"127.0.0.1:{port}" for port in _free_ports(team.processes)]
    return {"TF_CONFIG": json.dumps({"cluster": {"worker": list(hosts)}})} if team.processes > 1 else {}


def _of_rank(variables: Dict[str, str], team: Team, rank: int) -> Dict[str, str]:
    own = {**variables, RANK: str(rank)}
    if team.kind == "npu":
        return {**own, "RANK_ID": str(rank)}
    if "TF_CONFIG" in own:
        config = {**json.loads(own["TF_CONFIG"]), "task": {"type": "worker", "index": rank}}
        own["TF_CONFIG"] = json.dumps(config)
    return own


def _rank_table(team: Team, job: Job) -> str:
    """File that tells HCCL of the NPUs, unless the user has one: RANK_TABLE_FILE."""
    if os.environ.get("RANK_TABLE_FILE"):
        return os.environ["RANK_TABLE_FILE"]
    first, addresses = max(job.settings.device.device_id, 0), _device_addresses()
    devices = [
        {"device_id": str(first + rank), "device_ip": addresses.get(first + rank, ""), "rank_id": str(rank)}
        for rank in range(team.processes)
    ]
    server = {"server_id": "127.0.0.1", "device": devices, "host_nic_ip": "reserve"}
    table = {"version": "1.0", "status": "completed", "server_count": "1", "server_list": [server]}
    path = Path(f"{job.directory}.ranks.json").resolve()
    path.write_text(json.dumps(table), encoding="utf-8")
    return str(path)


def _device_addresses() -> Dict[int, str]:
    """Network address of each NPU, where the driver's configuration is there."""
    try:
        text = _DEVICE_ADDRESSES.read_text(encoding="utf-8")
    except OSError:
        return {}
    return {int(number): address for number, address in re.findall(r"^address_(\d+)=(\S+)", text, re.MULTILINE)}


def _free_ports(count: int) -> List[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def _others(task: Any, job: Job, team: Team, variables: Dict[str, str]) -> Iterator[None]:
    """Start the further processes; while they run watch them; stop those that are left."""
    processes = [_start(task, job, _of_rank(variables, team, rank)) for rank in range(1, team.processes)]
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(processes, done, job.fail), daemon=True)
    watcher.start()
    try:
        yield
    except Exception as error:
        time.sleep(
            2 * _SECONDS_BETWEEN_LOOKS
        )  # what one's death makes of the others is noticed before the death itself
        lost = _lost(processes)
        if lost and not isinstance(error, Interrupted):
            raise ReplicaLost(lost) from error
        raise
    finally:
        done.set()
        watcher.join()
        _stop(processes)


def _start(task: Any, job: Job, variables: Dict[str, str]) -> subprocess.Popen[str]:
    request = {
        "module": type(task).__module__,
        "task": type(task).__name__,
        "params": task.params,
        "settings": job.settings.as_dict(),
        "directory": str(job.directory),
        "parent": os.getpid(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.replica"],
        stdin=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(request))
    process.stdin.close()
    return process


def _watch(processes: Sequence[subprocess.Popen[str]], done: threading.Event, fail: Callable[[str], None]) -> None:
    """End this process, which may be waiting for the dead one for ever, once one of the others has died."""
    while not done.wait(_SECONDS_BETWEEN_LOOKS):
        lost = _lost(processes)
        if lost and not done.wait(5 * _SECONDS_BETWEEN_LOOKS):  # the exception that it causes may tell it better
            _stop(processes)
            fail(lost)


def _lost(processes: Sequence[subprocess.Popen[str]]) -> str:
    for rank, process in enumerate(processes, start=1):
        code = process.poll()
        if code not in (None, 0, EXIT_INTERRUPTED):
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            return (
                f"replica {rank} of {len(processes) + 1} died ({how}), so all stop; "
                "run again: it goes on from the last checkpoint"
            )
    return ""


def _stop(processes: Sequence[subprocess.Popen[str]]) -> None:
    until = time.monotonic() + _SECONDS_TO_STOP
    for process in processes:
        if process.poll() is None:
            process.terminate()
    for process in processes:
        try:
            process.wait(max(until - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def train_along(task: Any, directory: Path, stop: threading.Event) -> int:
    """Be one of the team of a TrainTask, by the rank in the environment; the exit code."""
    job = Job(directory, task.settings, silent, stop.is_set)
    try:
        task.make(job)
        return 0
    except Interrupted:
        return EXIT_INTERRUPTED


def serve(rank: int, tasks: Sequence[Any]) -> None:
    """On another machine: train along in each of the trainings in turn, as soon as what it reads is there.

    Raises: SettingsError if [device] hosts does not name this rank.
    """
    hosts = tasks[0].settings.device.hosts if tasks else ()
    if not 1 <= rank < len(hosts):
        raise SettingsError(f"--rank: must be one of 1 to {len(hosts) - 1}, the places in [device] hosts; got {rank}")
    cluster = {"cluster": {"worker": list(hosts)}, "task": {"type": "worker", "index": rank}}
    for task in tasks:
        while not task.complete() and not all(_complete(one) for one in task.requires().values()):
            time.sleep(1.0)
        if not task.complete():
            _serve_one(task, {"TF_CONFIG": json.dumps(cluster), RANK: str(rank)})


def _serve_one(task: Any, variables: Dict[str, str]) -> None:
    job = Job(task.work_directory, task.settings, silent, lambda: False)
    process = _start(task, job, variables)
    try:
        process.wait()
    finally:
        _stop([process])


def _complete(tasks: Any) -> bool:
    return all(one.complete() for one in (tasks if isinstance(tasks, list) else [tasks]))
