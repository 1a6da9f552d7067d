"""Training from the first step to the last, across any number of interruptions."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, ContextManager, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

from tcc.config import AugmentationConfig, OptimizerConfig, SamplingConfig, ScheduleConfig, TrainingConfig
from tcc.dataset import Batch, Clips, Share, prefetch
from tcc.dataset.batches import DROPOUT, seeded_generator
from tcc.device import require_device
from tcc.errors import CheckpointError, SettingsError, TrainingDiverged
from tcc.models import draw_dropout_masks
from tcc.progress import Interrupted, Progress, silent
from tcc.training import checkpoints
from tcc.training.collapse import collapse_warnings, embedding_health
from tcc.training.diagnosis import diagnose
from tcc.training.drawing import draw_training_batch
from tcc.training.history import HISTORY, History, read_history
from tcc.training.methods import build_head, count_phases
from tcc.training.npu_loss_scale import KerasOptimizer, NpuLossScale
from tcc.training.optimizer import build_optimizer
from tcc.training.precision import build_loss_scale, check_precision
from tcc.training.replicas import Replicas, check_agreement, check_share
from tcc.training.schedules import learning_rate_at
from tcc.training.standardization import standardize
from tcc.training.step import TrainingStep, trained_variables
from tcc.training.summaries import Summaries
from tcc.training.validation import validation_losses, why_no_validation

_SECONDS_BETWEEN_REPORTS = 0.5


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to.

    Attributes:
      steps: optimizer steps in all, those of earlier runs included.
      losses: terms of the last step.
      history: file with the losses of every step; see `read_history`.
      input_share: share of this run's time that was spent waiting for batches.
      warnings: signs of a collapse at the checkpoints, those of earlier runs included.
    """

    steps: int
    losses: Dict[str, float]
    history: Path
    input_share: float
    warnings: Tuple[str, ...] = ()


@dataclass(frozen=True)
class StepDone:
    """One step, for who follows a training step by step.

    Attributes:
      step: from 1 on.
      seconds: it took, the wait for its batch included, without checkpoint and validation.
      losses: its terms, the total as "loss", and "learning_rate".
      saved: whether there is a checkpoint of it.
    """

    step: int
    seconds: float
    losses: Dict[str, float]
    saved: bool


def _nobody(done: StepDone) -> None:
    pass


def train(
    source: Clips,
    encoder: Any,
    directory: Union[str, Path],
    *,
    sampling: SamplingConfig,
    training: TrainingConfig,
    optimizer: Optional[OptimizerConfig] = None,
    schedule: Optional[ScheduleConfig] = None,
    augmentation: Optional[AugmentationConfig] = None,
    validation_source: Optional[Clips] = None,
    xla: bool = False,
    npu_loss_scale: Optional[Mapping[str, Any]] = None,
    progress: Progress = silent,
    should_stop: Callable[[], bool] = lambda: False,
    should_save: Callable[[], bool] = lambda: False,
    replicas: Optional[Replicas] = None,
    others: Sequence[Any] = (),
    on_step: Callable[[StepDone], None] = _nobody,
) -> TrainingResult:
    """Train an encoder; goes on from the newest checkpoint in `directory` by itself.

    A training that was interrupted, also by SIGKILL, ends with the same weights as one that was not; on a CPU to the
    last bit. Files: `step-*/` every training.checkpoint_every steps and at the end, `history.jsonl`, `summaries/`.

    Args:
      source: clips to train on.
      encoder: `tcc.models.Encoder`, freshly built from training.seed.
      directory: of this training alone; made where it is absent. Checkpoints of other steps in it are removed.
      sampling: which frames enter a step.
      training: method and lengths.
      optimizer, schedule: how gradients change the weights, and at which rate; None: Adam at a fixed rate.
      augmentation: random changes of the training clips; None: none.
      validation_source: clips whose losses, without training on them, are added to the history at each checkpoint.
      xla: compile the step by XLA; slower on a CPU, and its last bits differ.
      npu_loss_scale: arguments of Ascend's optimizer, from `tcc.npu_options.loss_scale_of`; None or empty: it is not used.
      progress: told the share done and a line like "step 420/1000, loss 0.31, 12 clips/s, 6 min left".
      should_stop: asked after every step; when true, a checkpoint is written and Interrupted raised. Of several
        replicas one that is asked stops all.
      should_save: asked after every step; when true, a checkpoint is written, which goes when the next regular one is there.
      replicas: that train together, from `tcc.training.replicas`; every process calls this function with the same
        arguments, the chief's alone writes. None: this one.
      others: encoders like `encoder` for the further replicas of this process, made where `replicas.place` says.
      on_step: told of every step, once its checkpoint, if any, is written.
    Raises: DeviceError if no device is open; SettingsError if there are too few clips, to train on or to validate with,
      or the device cannot do what is asked; CheckpointError if a checkpoint in `directory` is of another model or a later
      step; TrainingDiverged if a loss is not finite; tcc.progress.Interrupted.
    """
    device = require_device()
    check_precision(training.precision, device.kind)
    replicas = replicas or Replicas()
    check_xla(xla, device.kind, replicas.count)
    check_share(training.batch_size, replicas.count)
    why_not = why_no_validation(validation_source, training) if validation_source is not None else ""
    if why_not:
        raise SettingsError(f"validation_source: {why_not}; give more clips, or None to go without validation")
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    num_phases = count_phases(source.labels)
    copies = [
        _build(one, replicas.place(local), training, optimizer or OptimizerConfig(), num_phases, npu_loss_scale or {})
        for local, one in enumerate([encoder, *others])
    ]
    first = _resume(directory, source, copies, training, replicas)
    settings = (sampling, training, schedule or ScheduleConfig(), augmentation)
    session = _Session(source, validation_source, copies, directory, settings, first, xla, replicas)
    with contextlib.closing(session):
        session.run(progress, should_stop, should_save, on_step)
    history = read_history(directory) if replicas.is_chief else []
    losses = {name: value for name, value in (history[-1] if history else session.losses).items() if name != "step"}
    warnings = tuple(collapse_warnings(history))
    return TrainingResult(training.num_steps, losses, directory / HISTORY, session.clock.input_share(), warnings)


def _build(
    encoder: Any,
    place: ContextManager[Any],
    training: TrainingConfig,
    optimizer: OptimizerConfig,
    num_phases: int,
    npu_loss_scale: Mapping[str, Any],
) -> checkpoints.Trained:
    """An encoder with its head, optimizer and loss scale."""
    with place:
        head = build_head(training, encoder.embedder.config.embedding_size, num_phases=num_phases)
        variables = trained_variables(encoder, head)
        if npu_loss_scale:
            built = KerasOptimizer(optimizer, variables, **npu_loss_scale)
            return checkpoints.Trained(encoder, built, head, NpuLossScale(built))
        return checkpoints.Trained(
            encoder, build_optimizer(optimizer, variables), head, build_loss_scale(training.precision)
        )


def _resume(
    directory: Path, source: Clips, copies: Sequence[checkpoints.Trained], training: TrainingConfig, replicas: Replicas
) -> int:
    """Steps done before: restores the newest checkpoint, or prepares the encoder for the first step."""
    if replicas.is_chief:
        checkpoints.remove_checkpoints(directory, keep=lambda step: True)
    step = checkpoints.newest_checkpoint(directory)
    if step is not None and step > training.num_steps:
        raise CheckpointError(
            f"{directory}: holds a training of {step} steps and num_steps is {training.num_steps}; "
            "use another directory"
        )
    for trained in copies:
        _equalize(copies[0].encoder, trained.encoder)
        if step is None:
            standardize(trained.encoder, source)
        else:
            checkpoints.restore(directory, step, trained)
    check_agreement(replicas, step or 0, directory)
    return step or 0


def _equalize(encoder: Any, other: Any) -> None:
    """Give another encoder the values of the first."""
    if other is not encoder:
        for variable, value in zip(other.named_variables().values(), encoder.named_variables().values()):
            variable.assign(value.numpy())


class _Session:
    """One run of a training, from one step to the end or an interruption."""

    def __init__(self, source, validation_source, copies, directory, settings, first, xla, replicas):
        trained = copies[0]
        self.source, self.validation_source, self.replicas = source, validation_source, replicas
        self.trained, self.encoder, self.directory, self.first = trained, trained.encoder, directory, first
        self.sampling, self.training, self.schedule, self.augmentation = settings
        training = self.training
        self.step_function = TrainingStep(
            trained.encoder,
            trained.optimizer,
            training,
            trained.head,
            loss_scale=trained.loss_scale,
            xla=xla,
            replicas=replicas,
            others=copies[1:],
        )
        ranks = replicas.ranks
        self.share = Share(ranks[0], ranks[-1] + 1, replicas.count)
        self.losses: Dict[str, float] = {}
        self.history = History(directory, last_step=first) if replicas.is_chief else None
        self.summaries = Summaries(directory) if replicas.is_chief else None
        self.clock = _Clock(first, training.num_steps, training.batch_size * training.accumulation_steps)
        self.warned: List[str] = []

    def close(self) -> None:
        for one in (self.history, self.summaries):
            if one is not None:
                one.close()

    def run(
        self,
        progress: Progress,
        should_stop: Callable[[], bool],
        should_save: Callable[[], bool],
        on_step: Callable[[StepDone], None],
    ) -> None:
        last, parts = self.training.num_steps, self.training.accumulation_steps
        batches = prefetch(self.draw, range(self.first * parts, last * parts))
        with contextlib.closing(batches):
            for done, group in enumerate(self.clock.waiting_for(batches, parts), start=self.first + 1):
                alone = self.replicas.count == 1
                losses = self.train_on(group, stop=not alone and should_stop())
                seconds = self.clock.step_seconds()
                self.record(done, losses)
                on_step(StepDone(done, seconds, losses, self.is_regular(done)))
                self.clock.report(done, losses["loss"], progress, self.warned)
                if done < last and should_save():
                    self.save(done)
                if done < last and (should_stop() if alone else self.step_function.stops):
                    self.save(done)
                    raise Interrupted(f"stopped at step {done} of {last}; the next run goes on from its checkpoint")

    def train_on(self, batches: List[Batch], *, stop: bool) -> Dict[str, float]:
        step = batches[0].step // self.training.accumulation_steps
        rate = learning_rate_at(step, learning_rate=self.training.learning_rate, schedule=self.schedule)
        losses = self.step_function(batches, rate, stop=stop)
        clips = [self.source.names[clip] for batch in batches for clip in batch.clips]
        check_finite(losses, step + 1, clips, why=lambda: diagnose(self.step_function, self.source.names))
        return {**losses, "learning_rate": rate}

    def record(self, done: int, losses: Dict[str, float]) -> None:
        self.losses = losses
        if self.history is None or self.summaries is None:
            return
        regular = self.is_regular(done)
        logged = regular or done % self.training.log_every == 0
        health = self.health() if logged else {}
        checked = {**health, **self.validate()} if regular else {}
        self.losses = {**losses, **checked}
        self.history.append(done, self.losses)
        if logged:
            self.summaries.scalars(done, {**losses, **health, **checked, **self.clock.rates(done)})
        if regular:
            self.warned = collapse_warnings([{"step": done, **health}])
            self.save(done)
            # An interruption's own checkpoint has served; without it the folder is as if there had been none.
            checkpoints.remove_checkpoints(self.directory, keep=self.is_regular)

    def health(self) -> Dict[str, float]:
        """How far the last batch's anchors are from a collapse."""
        trace = self.step_function.traces[-1]
        num_frames = trace.batch.frame_indices.shape[1]
        return embedding_health(trace.embeddings[:, :num_frames].numpy())

    def save(self, done: int) -> None:
        if self.history is not None:
            self.history.flush()
            checkpoints.save(self.directory, done, self.trained)

    def is_regular(self, step: int) -> bool:
        return step % self.training.checkpoint_every == 0 or step == self.training.num_steps

    def draw(self, step: int) -> Batch:
        batch = draw_training_batch(
            self.source,
            step,
            sampling=self.sampling,
            training=self.training,
            augmentation=self.augmentation,
            share=self.share,
        )
        num_frames = self.sampling.num_frames
        num_sequences = len(batch.frame_indices) * batch.inputs.shape[1] // num_frames
        masks = draw_dropout_masks(
            self.encoder.embedder.dropout_mask_shapes(num_sequences, num_frames),
            dropout=self.encoder.embedder.config.dropout,
            rng=seeded_generator(self.training.seed, step, DROPOUT),
        )
        return dataclasses.replace(batch, dropout_masks=tuple(mask[self.share.of(len(mask))] for mask in masks))

    def validate(self) -> Dict[str, float]:
        if self.validation_source is None:
            return {}
        losses = validation_losses(
            self.step_function, self.validation_source, sampling=self.sampling, training=self.training
        )
        return {f"validation_{name}": value for name, value in losses.items()}


def check_finite(losses: Dict[str, float], step: int, clips: List[str], *, why: Callable[[], str]) -> None:
    """Raise TrainingDiverged, with step, terms, clips and what `why` finds out, unless every number is finite."""
    broken = [f"{name} = {value}" for name, value in losses.items() if not math.isfinite(value)]
    if broken:
        raise TrainingDiverged(
            f"step {step}: {', '.join(broken)} on clips {', '.join(clips)}: {why()}; "
            "then run again: it goes on from the last checkpoint"
        )


def check_xla(xla: bool, device_kind: str, replicas: int) -> None:
    """Raise SettingsError where XLA is asked for on an NPU, which has a compiler of its own, or for several replicas."""
    if xla and device_kind == "npu":
        raise SettingsError("xla: an NPU compiles by itself; set it to false")
    if xla and replicas > 1:
        raise SettingsError(f"xla: a step that {replicas} replicas do together is not compiled by XLA; set it to false")


class _Clock:
    """Speed, time left and the share of waiting, of one run."""

    def __init__(self, first: int, last: int, batch_size: int):
        self._first, self._last, self._batch_size = first, last, batch_size
        self._started: Optional[float] = None
        self._begin = time.monotonic()
        self._waited = 0.0
        self._step_began = self._begin
        self._reported = -math.inf

    def waiting_for(self, batches: Iterator[Batch], parts: int) -> Iterator[List[Batch]]:
        """The batches, as many at a time as make a step."""
        while True:
            self._step_began = time.monotonic()
            group = list(itertools.islice(batches, parts))
            self._waited += self.step_seconds()
            if not group:
                return
            yield group

    def step_seconds(self) -> float:
        """Since the step began to wait for its batch."""
        return time.monotonic() - self._step_began

    def rates(self, done: int) -> Dict[str, float]:
        return {"clips_per_second": self._steps_per_second(done) * self._batch_size, "input_share": self.input_share()}

    def input_share(self) -> float:
        return self._waited / max(time.monotonic() - self._begin, 1e-9)

    def report(self, done: int, loss: float, progress: Progress, warnings: List[str]) -> None:
        now = time.monotonic()
        if self._started is None:
            # The first step compiles: it says nothing about speed.
            self._started, self._first = now, done
        if now - self._reported >= _SECONDS_BETWEEN_REPORTS or done == self._last:
            self._reported = now
            progress(done / self._last, "; ".join([self._status(done, loss), *warnings]))

    def _status(self, done: int, loss: float) -> str:
        speed = self._steps_per_second(done)
        words = [f"step {done}/{self._last}", f"loss {loss:.3g}"]
        if speed:
            words += [f"{speed * self._batch_size:.3g} clips/s", f"{duration((self._last - done) / speed)} left"]
        return ", ".join(words)

    def _steps_per_second(self, done: int) -> float:
        if self._started is None or done <= self._first:
            return 0.0
        return (done - self._first) / max(time.monotonic() - self._started, 1e-9)


def duration(seconds: float) -> str:
    """Seconds in the unit a person would use: "40 s", "6 min", "2.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
