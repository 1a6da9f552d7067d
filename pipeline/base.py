"""StageTask: what every stage has in common. Fingerprint, directory, manifest, --rerun, a child process for the work.

A subclass says which settings and tasks it depends on (`own_settings`, `upstream`) and does its work in `make`, which runs in
a child process. The target directory appears whole, by one rename, with its manifest inside.
"""

from __future__ import annotations

import math
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Tuple

import luigi
import luigi.cmdline_parser
import luigi.task_register
from luigi.parameter import ParameterVisibility

from pipeline import failures
from pipeline import settings as settings_module
from pipeline.provenance import fingerprint, sha256_file
from tcc.config import Settings
from tcc.device import is_npu
from tcc.errors import TargetError, TccError, explain
from tcc.manifest import MANIFEST, read_manifest
from tcc.progress import Progress

_HASHED_BYTES = 1 << 20
_HIDDEN = ("fingerprint", "rerun", "rerun_downstream", "attempt")
_fingerprints: Dict[Tuple[Any, ...], str] = {}
settings_module.on_change(_fingerprints.clear)
settings_module.on_change(luigi.task_register.Register.clear_instance_cache)


@dataclass(frozen=True)
class Job:
    """What `make` gets besides its task: where to write, whom to tell, when to stop or save, whether all is done again."""

    directory: Path
    settings: Settings
    progress: Progress
    should_stop: Callable[[], bool]
    rerun: bool = False
    should_save: Callable[[], bool] = lambda: False
    fail: Callable[[str], None] = print  # end this process at once, from any thread, telling why


@dataclass
class Made:
    """What `make` gives back, for the manifest."""

    counts: Dict[str, int] = field(default_factory=dict)
    skipped: List[Dict[str, str]] = field(default_factory=list)
    details: Dict[str, Any] = field(default_factory=dict)
    device: str | None = None


class StageTask(luigi.Task):
    """One stage of the pipeline with a directory of its own under `data/<stage>/`."""

    stage = ""
    version = 1
    counts_clips = False  # True: once it is done, more is known of how many clips can be used
    saves_when_stopped = False  # True: `make` looks at job.should_stop itself; False: job.progress ends it

    accepts_messages = True  # the word "stop" from the scheduler's page, and "checkpoint" where it saves when stopped

    fingerprint = luigi.Parameter(default="", description="computed; what is given here is ignored")
    rerun = luigi.BoolParameter(
        default=False,
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="do this task again, even if its target is complete",
    )
    rerun_downstream = luigi.BoolParameter(
        default=False,
        significant=False,
        visibility=ParameterVisibility.HIDDEN,
        description="do this task again, and all tasks of RunAll that follow from it",
    )
    attempt = luigi.Parameter(
        default="", visibility=ParameterVisibility.HIDDEN, description="computed; tells one --rerun from the next"
    )

    decodes = False  # True: takes one of [resources] decode
    uses_device = False  # True: takes one of [resources] npu or gpu, where it works on one

    # What a stage says about itself.

    @classmethod
    def upstream(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """Tasks whose targets this one reads: name -> task or list of tasks."""
        return {}

    @classmethod
    def own_settings(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """The settings that change the bytes of this target, and nothing else."""
        return {}

    @classmethod
    def own_defaults(cls, values: Dict[str, Any]) -> Dict[str, Any]:
        """Values of parameters that were not given and whose default is a setting."""
        return {}

    @classmethod
    def readable(cls, settings: Settings, **params: Any) -> str:
        """What a person would call this target."""
        return cls.stage

    @classmethod
    def clips_needed(cls, settings: Settings) -> Dict[str, int]:
        """How many clips of each split it cannot do without; a run that has fewer is refused as soon as that is known."""
        return {}

    @classmethod
    def amount_of(cls, result: Mapping[str, Any]) -> float:
        """Units of work of a target, from its manifest's result (or the settings alone): what its time goes with."""
        return 1.0

    def make(self, job: Job) -> Made:
        """Do the work into `job.directory`. A killed run finds there what it had left, and goes on."""
        raise TccError(f"{type(self).__name__} has no work of its own")

    @classmethod
    def hash_file(cls, path: Path) -> str:
        """SHA-256 of one file, for the manifest."""
        return sha256_file(path)

    # What follows from it.

    @classmethod
    def identity(cls, settings: Settings, **params: Any) -> Dict[str, Any]:
        """What the fingerprint covers."""
        return {
            "stage": cls.stage,
            "version": cls.version,
            "settings": cls.own_settings(settings, **params),
            "upstream": upstream_fingerprints(cls.upstream(settings, **params)),
            "params": {name: value for name, value in params.items() if name not in _HIDDEN},
        }

    @classmethod
    def get_param_values(cls, params, args, kwargs):
        """Luigi's parameters, with the fingerprint computed from the settings of this process."""
        values = dict(super().get_param_values(params, args, kwargs))
        if luigi.cmdline_parser.CmdlineParser.get_instance():
            follow_run()
        try:
            values.update(cls.own_defaults(values))
            values["fingerprint"] = cls._fingerprint({k: v for k, v in values.items() if k not in _HIDDEN})
        except (TccError, ImportError) as error:
            if luigi.cmdline_parser.CmdlineParser.get_instance():
                sys.exit(f"error: {explain(error)}")  # one clear line instead of Luigi's traceback
            raise
        if values["rerun"] and not values["attempt"]:
            values["attempt"] = f"{time.time():.3f}"
        return [(name, values[name]) for name, _ in params]

    @classmethod
    def _fingerprint(cls, params: Dict[str, Any]) -> str:
        key = (cls, *sorted(params.items()))
        if key not in _fingerprints:
            settings = settings_module.current()
            _fingerprints[key] = fingerprint(cls.identity(settings, **params))
            if luigi.cmdline_parser.CmdlineParser.get_instance():
                cls._refuse_too_few(settings)
        return _fingerprints[key]

    @classmethod
    def _refuse_too_few(cls, settings: Settings) -> None:
        from pipeline.clip_counts import refuse_too_few

        refuse_too_few(settings, cls.clips_needed(settings))

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """A task, or, with --rerun-downstream, the wrapper that requires it and what follows from it."""
        if not kwargs.get("rerun_downstream"):
            return super().__new__(cls)
        from pipeline.rerun import rerun_downstream

        return rerun_downstream(cls(*args, **{**kwargs, "rerun_downstream": False, "rerun": True}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.resources = _resources(self)  # Luigi lets so many tasks have them at once
        self.after: List[StageTask] = []  # those that are done again before this one is
        self._manifest_before = _version_of(self.directory / MANIFEST) if self.rerun else None

    @property
    def params(self) -> Dict[str, Any]:
        """The parameters that distinguish tasks of this class from one another."""
        return {name: value for name, value in self.param_kwargs.items() if name not in _HIDDEN}

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return settings_module.current()

    @property
    def name(self) -> str:
        """Folder name of the target."""
        return f"{safe_name(self.readable(self.settings, **self.params))}-{self.fingerprint}"

    @property
    def directory(self) -> Path:
        """The target: complete when its manifest is there."""
        return self.root / self.stage / self.name

    @property
    def work_directory(self) -> Path:
        """Where the target is built, and continued after a kill."""
        return self.root / ".work" / f"{self.stage}-{self.name}"

    @property
    def lock_path(self) -> Path:
        """The lock that whoever builds the target holds."""
        return self.work_directory.with_name(f"{self.work_directory.name}.lock")

    @property
    def root(self) -> Path:
        """Root of all targets."""
        return Path(self.settings.execution.data)

    def requires(self) -> Dict[str, Any]:
        return self.upstream(self.settings, **self.params)

    def _requires(self) -> List[luigi.Task]:  # what Luigi waits for
        return [*super()._requires(), *self.after]

    def output(self) -> luigi.LocalTarget:
        return luigi.LocalTarget(str(self.directory / MANIFEST))

    def complete(self) -> bool:
        now = _version_of(self.directory / MANIFEST)
        return now is not None and not (self.rerun and now == self._manifest_before)

    def manifest(self) -> Dict[str, Any]:
        """This target's manifest."""
        return read_manifest(self.directory)

    def described(self) -> Dict[str, Any]:
        """What a manifest says of the task itself, whatever comes of it."""
        upstream = {
            name: [one.name for one in tasks] if isinstance(tasks, (list, tuple)) else tasks.name
            for name, tasks in self.requires().items()
        }
        return {
            "stage": self.stage,
            "name": self.name,
            "fingerprint": self.fingerprint,
            "version": self.version,
            "params": self.params,
            "settings": self.own_settings(self.settings, **self.params),
            "upstream": upstream,
        }

    @classmethod
    def damaged_files(
        cls, directory: Path, files: Mapping[str, str], most_bytes: float = math.inf
    ) -> Iterator[Tuple[Path, str]]:
        """Files of a target that are not what its manifest lists, and whether they are missing or changed.

        Args: most_bytes: larger ones are not hashed.
        """
        for name, digest in files.items():
            path = directory / name
            if not path.is_file():
                yield path, "missing"
            elif path.stat().st_size <= most_bytes and cls.hash_file(path) != digest:
                yield path, "changed"

    def refuse_damaged(self) -> None:
        """Look at the files of this target before they are read.

        Larger ones are not hashed: TFRecords, arrays and checkpoints have checksums of their own.

        Raises: TargetError that names a file that is missing or was changed.
        """
        files = self.manifest()["result"]["files"]
        for path, problem in self.damaged_files(self.directory, files, _HASHED_BYTES):
            raise TargetError(
                f"{path}: {'is' if problem == 'missing' else 'was'} {problem} since it was made; "
                f"`python -m pipeline verify` names all such files; delete {self.directory} and run again"
            )

    def run(self) -> None:
        from pipeline.supervisor import run_in_child

        run_in_child(self)
        if self.counts_clips:
            from pipeline.clip_counts import clips_asked_for, refuse_too_few

            refuse_too_few(self.settings, clips_asked_for())

    def on_failure(self, exception: BaseException) -> str:
        return str(explain(exception) if isinstance(exception, TccError) else super().on_failure(exception))


def follow_run() -> None:
    """From now on, see to it that Luigi's run in this process tells its failures clearly, and goes on until all is done."""
    from pipeline import going_on

    if not failures.are_told():
        failures.tell_clearly()
        going_on.until_done()


def _resources(task: StageTask) -> Dict[str, int]:
    """Names and numbers of [resources]; a CPU is none, since it is shared."""
    found = {"decode": 1} if task.decodes else {}
    kind = task.settings.device.kind
    if task.uses_device and (kind != "cpu"):
        name = "npu" if is_npu(kind) else "gpu" if kind == "gpu" or _auto_is_gpu(kind) else ""
        found.update({name: 1} if name else {})  # all that a task takes together
    return found


def _auto_is_gpu(kind: str) -> bool:
    """Whether auto will take a GPU, as far as can be seen without TensorFlow."""
    return kind == "auto" and Path("/dev/nvidia0").exists()


def upstream_fingerprints(upstream: Dict[str, Any]) -> Dict[str, Any]:
    """Name -> fingerprint, or list of fingerprints."""
    return {
        name: [task.fingerprint for task in tasks] if isinstance(tasks, (list, tuple)) else tasks.fingerprint
        for name, tasks in upstream.items()
    }


def tasks_in_order(*last: Any) -> List[StageTask]:
    """Tasks and everything upstream of them, in the order in which they run."""
    seen: Dict[str, StageTask] = {}

    def visit(one: StageTask) -> None:
        if one.task_id in seen:
            return
        for tasks in one.requires().values():
            for upstream in tasks if isinstance(tasks, list) else [tasks]:
                visit(upstream)
        seen[one.task_id] = one

    for task in last:
        visit(task)
    return list(seen.values())


def safe_name(text: str) -> str:
    """`text` as part of a folder's name: letters, digits, dot, dash and underscore, at most 80."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:80] or "unnamed"


def _version_of(path: Path) -> Tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
