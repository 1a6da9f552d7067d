"""Several devices that train one network together: they compute what one would.

Each replica has networks and optimizer of its own, loads and embeds its share of a step's clips, and gets everybody's
embeddings; pairs of clips are formed over all of them. Batch statistics are those of the whole batch, gradients of the
encoder are summed, and so every replica changes its weights alike. Checkpoints do not tell how many there were.

    kind          replicas                                   combined by
    one           this process                               nothing
    Distributed   GPUs or logical CPUs of this process,      tf.distribute.MirroredStrategy
                  and of processes on several hosts          tf.distribute.MultiWorkerMirroredStrategy
    Hccl          one NPU a process                          HCCL's all_reduce
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Callable, ContextManager, List, Sequence

import tensorflow as tf

from tcc.errors import CheckpointError, SettingsError


class Replicas:
    """One replica, and what several have in common.

    Attributes:
      count: replicas in all, N.
      ranks: of this process' replicas among them, one after another.
    """

    count = 1
    ranks: Sequence[int] = (0,)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what all have computed."""
        return 0 in self.ranks

    def place(self, local: int) -> ContextManager[Any]:
        """Where the variables of this process' replica `local` are made."""
        return contextlib.nullcontext()

    def run(self, function: Callable[[int], Any]) -> Any:
        """Inside a compiled function: `function(local)` on each replica of this process; what the first one gives."""
        return function(0)

    def sum(self, tensors: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        """Inside `run`: each tensor summed over all replicas, with the same bits on each. Its gradient is summed too."""
        return list(tensors)

    def gather(self, rows: tf.Tensor, rank: tf.Tensor) -> tf.Tensor:
        """Rows [b, ...] of all replicas one after another, [N b, ...].

        For what every replica computes alike from all rows: the gradient is each replica's own part of the incoming one.
        """
        if self.count == 1:
            return rows

        @tf.custom_gradient
        def gathered(own: tf.Tensor) -> Any:
            (slots,) = self.sum([_slots(own, rank, self.count)])
            shape = [self.count, *own.shape]

            def gradient(incoming: tf.Tensor) -> tf.Tensor:
                return tf.gather(tf.reshape(incoming, shape), rank)

            return tf.reshape(slots, [self.count * shape[1], *shape[2:]]), gradient

        return gathered(rows)

    def moments(self, values: tf.Tensor, rank: tf.Tensor) -> Any:
        """Mean and variance over all axes but the last of the values of all replicas, which have equally many.

        Each replica's own are combined by Chan's formula: mean = avg m_r, variance = avg (v_r + (m_r - mean)^2).
        Reference: Chan, Golub, LeVeque, Algorithms for computing the sample variance, The American Statistician 37, 1983.
        """
        own = tf.stack(tf.nn.moments(values, list(range(len(values.shape) - 1))))
        (slots,) = self.sum([_slots(own, rank, self.count)])
        means, variances = slots[:, 0], slots[:, 1]
        mean = tf.reduce_mean(means, axis=0)
        return mean, tf.reduce_mean(variances + tf.square(means - mean), axis=0)


def _slots(own: tf.Tensor, rank: tf.Tensor, count: int) -> tf.Tensor:
    """[count, ...]: `own` at place `rank`, zeros elsewhere.

    The rank is a tensor: NPUs that work together must run the same graph, so that no constant in it may tell them apart.
    """
    mine = tf.reshape(tf.equal(tf.range(count), rank), [count] + [1] * len(own.shape))
    return tf.where(mine, own[tf.newaxis], tf.zeros_like(own)[tf.newaxis])


class Distributed(Replicas):
    """Replicas of a strategy of `tf.distribute`; no variable is the strategy's own.

    Args:
      strategy: `tf.distribute.MirroredStrategy` or `tf.distribute.MultiWorkerMirroredStrategy`.
      process, processes: which of how many processes this one is.
    """

    def __init__(self, strategy: Any, *, process: int = 0, processes: int = 1):
        self.strategy = strategy
        self.count = int(strategy.num_replicas_in_sync)
        local = self.count // processes
        self.ranks = range(process * local, (process + 1) * local)
        self._devices = strategy.extended.worker_devices

    def place(self, local: int) -> ContextManager[Any]:
        return tf.device(self._devices[local])  # type: ignore[no-any-return]

    def run(self, function: Callable[[int], Any]) -> Any:
        def in_replica() -> Any:
            rank = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
            return function(int(rank) - self.ranks[0])

        results = self.strategy.run(in_replica)
        return tf.nest.map_structure(lambda value: self.strategy.experimental_local_results(value)[0], results)

    def sum(self, tensors: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        # What came from outside the replica has no device yet, and the strategy asks for one.
        here = [tf.identity(tensor) for tensor in tensors]
        return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here))


class Hccl(Replicas):
    """One of several NPUs, each with a process of its own.

    Args:
      all_reduce: list of tensors -> their sums over all processes, from `tcc.device`.
      rank, count: which of how many processes this one is.
    """

    def __init__(self, all_reduce: Callable[[List[tf.Tensor]], List[tf.Tensor]], *, rank: int, count: int):
        self._all_reduce = all_reduce
        self.count = count
        self.ranks = (rank,)

    def sum(self, tensors: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        @tf.custom_gradient
        def summed(*values: tf.Tensor) -> Any:
            return tuple(self._all_reduce(list(values))), lambda *gradients: tuple(self._all_reduce(list(gradients)))

        return list(summed(*tensors))


def check_share(batch_size: int, count: int) -> None:
    """Raise SettingsError unless the replicas can share a batch evenly."""
    if batch_size % count:
        raise SettingsError(
            f"replicas: {count} of them cannot share a batch of batch_size = {batch_size} clips evenly; "
            f"take a multiple of {count}, batch_size counts the clips of all replicas together"
        )


def check_agreement(replicas: Replicas, step: int, directory: Path) -> None:
    """Raise CheckpointError unless the processes of all replicas found the same step in the training's folder."""
    if replicas.count == len(replicas.ranks):
        return

    @tf.function(autograph=False)
    def added() -> Any:
        return replicas.run(lambda local: replicas.sum([tf.constant([step, step**2], tf.float64)])[0])

    total, squares = added().numpy()
    if squares * replicas.count != total**2:
        raise CheckpointError(
            f"{directory}: this process finds a checkpoint of step {step} there, others find another; the folder must be "
            "the same on all machines"
        )
