"""One training step: embed a batch, compute the losses, change the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Callable, ContextManager, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import tensorflow as tf

from tcc.config import TrainingConfig
from tcc.dataset import Batch
from tcc.models.batch_statistics import over_replicas
from tcc.training.loss_scale import LossScale
from tcc.training.methods import StepInputs, method_terms, needs_views
from tcc.training.optimizer import clip_by_global_norm, global_norm, sum_of_squares
from tcc.training.replicas import Replicas

# Fields of a batch that go to the losses under the same names.
_DRAWN = (
    *("frame_indices", "sequence_lengths", "labels", "triplets", "triplet_labels"),
    *("valid", "cycles", "cycle_starts"),
)


@dataclass(frozen=True)
class StepTrace:
    """What a step saw, before it changed the weights: for the guard against divergence and collapse.

    Attributes:
      batch: the batch.
      terms: the terms of the loss and their sum.
      embeddings: of the batch's frames, [B, T, D], or [B, 2T, D] with positives.
    """

    batch: Batch
    terms: Dict[str, float]
    embeddings: tf.Tensor


class TrainingStep:
    """A step as one compiled function; weights, optimizer state and batch statistics change in place.

    Inputs are arrays from the host with shapes that never change, randomness included, so that the same function runs
    on every device. With training.accumulation_steps above 1 a step works on so many batches, one after the other, and
    averages their gradients and terms. With several replicas a batch holds the inputs of this process' replicas, and all
    replicas together do the step that one would.

    Args:
      encoder: `tcc.models.Encoder`, or anything called like it.
      optimizer: from `build_optimizer`, made for `trained_variables(encoder, head)`.
      training: method, weights of the terms, clipping, precision, accumulation.
      head: from `build_head`; None where the method has none.
      loss_scale: for precision = float16; None: gradients are taken as they come.
      xla: compile by XLA.
      replicas: that do the step together.
      others: of this process' further replicas the encoder, optimizer, head and loss scale, with the same values.
    Attributes:
      stops: whether any replica was asked to stop before the last step.
      traces: a `StepTrace` for each batch of the last step.
    """

    def __init__(
        self,
        encoder: Any,
        optimizer: Any,
        training: TrainingConfig,
        head: Any = None,
        *,
        loss_scale: Optional[LossScale] = None,
        xla: bool = False,
        replicas: Optional[Replicas] = None,
        others: Sequence[Any] = (),
    ):
        self.encoder = encoder
        self.head = head
        self.optimizer = optimizer
        self.training = training
        self.loss_scale = loss_scale
        self.replicas = replicas or Replicas()
        self.traces: Tuple[StepTrace, ...] = ()
        self.stops = False
        self._ranks = tf.constant(list(self.replicas.ranks), tf.int32)
        own = [_Networks(encoder, optimizer, head, loss_scale)]
        self._networks = own + [_Networks(one.encoder, one.optimizer, one.head, one.loss_scale) for one in others]
        if training.accumulation_steps > 1:
            for local, networks in enumerate(self._networks):
                with self.replicas.place(local):
                    networks.sums = [_zeros_like(variable) for variable in networks.variables()]
        self._compiled = _compile(self._step, xla)
        self._compiled_accumulation = _compile(self._accumulate, xla)
        self._compiled_application = _compile(self._apply_sums, xla)
        self._compiled_losses = _compile(self._losses_in_inference, xla)

    def __call__(
        self, batches: Union[Batch, Sequence[Batch]], learning_rate: float, *, stop: bool = False
    ) -> Dict[str, float]:
        """Train on one batch, or on training.accumulation_steps of them.

        Args: stop: this process was asked to stop; after the step `stops` says whether any was.
        Returns: the terms of the loss, their sum "loss", and "gradient_norm" before clipping; with a loss scale
          "loss_scale", the factor of this step. Where its gradients were not finite, "gradient_norm" is left out.
        """
        rate, flag = tf.constant(learning_rate, tf.float32), tf.constant(float(stop), tf.float32)
        parts = [batches] if isinstance(batches, Batch) else list(batches)
        if self.training.accumulation_steps > 1:
            return self._accumulated(parts, rate, flag)
        (batch,) = parts
        terms, embeddings, norms = self._compiled(self._ranks, *_tensors(batch), rate, flag)
        self.traces = (StepTrace(batch, _as_floats(terms), embeddings),)
        return {**self.traces[0].terms, **self._norms(norms)}

    def losses(self, batch: Batch) -> Dict[str, float]:
        """The terms of the loss and their sum in inference mode and float32; nothing changes."""
        return _as_floats(self._compiled_losses(*_tensors(batch)))

    def terms_of(self, embeddings: tf.Tensor, batch: Batch) -> Dict[str, tf.Tensor]:
        """The terms of the loss of given embeddings of a batch's frames, and their sum; not compiled."""
        return self._terms(embeddings, _drawn(batch), training=True)

    def concrete_function(self, batch: Batch) -> Any:
        """The traced step for batches of this shape, for looking at its operations."""
        zero = tf.constant(0.0, tf.float32)
        return self._compiled.get_concrete_function(self._ranks, *_tensors(batch), zero, zero)

    def _accumulated(self, batches: List[Batch], rate: tf.Tensor, flag: tf.Tensor) -> Dict[str, float]:
        traces = []
        for batch in batches:
            terms, embeddings = self._compiled_accumulation(self._ranks, *_tensors(batch))
            traces.append(StepTrace(batch, _as_floats(terms), embeddings))
        self.traces = tuple(traces)
        norms = self._norms(self._compiled_application(rate, flag))
        means = {name: float(np.mean([trace.terms[name] for trace in traces])) for name in traces[0].terms}
        return {**means, **norms}

    def _norms(self, norms: Dict[str, tf.Tensor]) -> Dict[str, float]:
        values = _as_floats(norms)
        self.stops = values.pop("stop") > 0
        if self.loss_scale is not None and values["loss_scale"] > 1 and not math.isfinite(values["gradient_norm"]):
            del values["gradient_norm"]
        return values

    def _step(self, ranks, inputs, drawn, dropout_masks, learning_rate, flag):
        def on(local):
            networks = self._networks[local]
            terms, embeddings, gradients = self._gradients(
                networks, *self._of(local, ranks, inputs, drawn, dropout_masks)
            )
            return terms, embeddings, self._apply(networks, gradients, learning_rate, self._stop(flag, local))

        return self.replicas.run(on)

    def _accumulate(self, ranks, inputs, drawn, dropout_masks):
        def on(local):
            networks = self._networks[local]
            terms, embeddings, gradients = self._gradients(
                networks, *self._of(local, ranks, inputs, drawn, dropout_masks)
            )
            for total, gradient in zip(networks.sums, gradients):
                total.assign_add(gradient)
            return terms, embeddings

        return self.replicas.run(on)

    def _apply_sums(self, learning_rate, flag):
        def on(local):
            networks = self._networks[local]
            means = [total / float(self.training.accumulation_steps) for total in networks.sums]
            norms = self._apply(networks, means, learning_rate, self._stop(flag, local))
            for total in networks.sums:
                total.assign(tf.zeros_like(total))
            return norms

        return self.replicas.run(on)

    def _of(self, local: int, ranks, inputs, drawn, dropout_masks) -> Tuple[Any, ...]:
        """One replica's rank and part of the inputs and masks of this process."""
        parts = len(self.replicas.ranks)
        if parts == 1:
            return ranks[0], inputs, drawn, dropout_masks
        return (
            ranks[local],
            _part(inputs, local, parts),
            drawn,
            tuple(_part(mask, local, parts) for mask in dropout_masks),
        )

    def _stop(self, flag: tf.Tensor, local: int) -> tf.Tensor:
        """How many processes were asked to stop."""
        return self.replicas.sum([flag if local == 0 else tf.zeros_like(flag)])[0]

    def _gradients(self, networks: _Networks, rank: tf.Tensor, inputs, drawn, dropout_masks):
        """Terms, embeddings of all clips, and the gradients of the loss, or of its multiple where there is a loss scale."""
        with tf.GradientTape() as tape:
            own = self._embed(networks, inputs, drawn, dropout_masks, training=True, rank=rank)
            embeddings = self.replicas.gather(own, rank)
            terms = self._method_terms(networks.head, embeddings, drawn, training=True)
            loss = tf.add_n(list(terms.values()))
            loss = loss if networks.loss_scale is None else loss * networks.loss_scale.factor
        gradients = tape.gradient(loss, networks.variables(), unconnected_gradients=tf.UnconnectedGradients.ZERO)
        gradients = self._summed(networks, gradients, rank)
        return self._with_sum(networks, terms), embeddings, self._with_weight_decay(networks, gradients)

    def _summed(self, networks: _Networks, gradients: List[tf.Tensor], rank: tf.Tensor) -> List[tf.Tensor]:
        """Gradients over all replicas. Each has the head's whole gradient; all take the chief's, so that they stay alike."""
        if self.replicas.count == 1:
            return gradients
        of_head = len(networks.head_variables())
        mine = gradients[: len(gradients) - of_head]
        of_chief = tf.cast(tf.equal(rank, 0), tf.float32)
        chiefs = [gradient * of_chief for gradient in gradients[len(gradients) - of_head :]]
        return self.replicas.sum([*mine, *chiefs])

    def _with_weight_decay(self, networks: _Networks, gradients) -> List[tf.Tensor]:
        """Add the weight decay's gradient, 2 weight variable / number of regularized variables.

        Here and not by the tape: that computes it before all else, and keeps an array as large as the weights until the end.
        """
        if not self.training.weight_decay:
            return gradients
        regularized = networks.encoder.regularized_variables()
        rate = tf.constant(self.training.weight_decay, tf.float32) / float(len(regularized))
        rate = rate if networks.loss_scale is None else rate * networks.loss_scale.factor
        decayed = {variable.ref() for variable in regularized}
        return [
            _plus_scaled(gradient, variable, 2 * rate) if variable.ref() in decayed else gradient
            for gradient, variable in zip(gradients, networks.variables())
        ]

    def _apply(self, networks: _Networks, gradients, learning_rate, stop) -> Dict[str, tf.Tensor]:
        variables, optimizer, scale = networks.variables(), networks.optimizer, networks.loss_scale
        if scale is None:
            norm = global_norm(gradients)
            optimizer.apply(self._clipped(gradients, norm), variables, learning_rate)
            return {"gradient_norm": norm, "stop": stop}
        factor = tf.identity(scale.factor)
        gradients = scale.unscale(gradients)
        norm = global_norm(gradients)
        scale.apply_if(
            tf.math.is_finite(norm),
            lambda: optimizer.apply(self._clipped(gradients, norm), variables, learning_rate),
            lambda: optimizer.iterations.assign_add(1),
        )
        return {"gradient_norm": norm, "loss_scale": factor, "stop": stop}

    def _clipped(self, gradients, norm) -> List[tf.Tensor]:
        return clip_by_global_norm(gradients, norm, self.training.clip_norm)

    def _losses_in_inference(self, inputs, drawn, dropout_masks):
        networks = self._networks[0]
        embeddings = self._embed(networks, inputs, drawn, (), training=False)
        return self._terms(embeddings, drawn, training=False)

    def _embed(
        self, networks: _Networks, inputs, drawn, dropout_masks, *, training: bool, rank: Optional[tf.Tensor] = None
    ):
        """Embeddings of the inputs' clips [b, T, D], or with positives [b, 2T, D]: sequences of their own to the encoder."""
        num_clips, num_windows, num_frames = int(inputs.shape[0]), int(inputs.shape[1]), _num_frames(drawn)
        sequences = tf.reshape(inputs, [num_clips * num_windows // num_frames, num_frames, *inputs.shape[2:]])
        has_views = needs_views(self.training)
        valid = drawn["valid"]
        if rank is not None and self.replicas.count > 1 and has_views:
            valid = tf.slice(valid, [rank * num_clips, 0], [num_clips, num_frames])
        with self._batch_statistics(rank, training):
            # The head of a method with views comes before the normalization of the embeddings.
            embeddings = networks.encoder(
                sequences,
                training=training,
                dropout_masks=dropout_masks,
                frame_mask=valid if has_views else None,
                dtype=tf.dtypes.as_dtype(self.training.precision if training else "float32"),
                normalize=not has_views,
            )
        return tf.reshape(embeddings, [num_clips, num_windows, embeddings.shape[-1]])

    def _batch_statistics(self, rank: Optional[tf.Tensor], training: bool) -> ContextManager[None]:
        """Where batch normalization takes the statistics of the batches of all replicas."""
        replicas = self.replicas
        alone = replicas.count == 1 or not training
        return over_replicas(None if alone else lambda values: replicas.moments(values, rank), replicas.count)

    def _terms(self, embeddings, drawn, *, training: bool) -> Dict[str, tf.Tensor]:
        networks = self._networks[0]
        return self._with_sum(networks, self._method_terms(networks.head, embeddings, drawn, training=training))

    def _with_sum(self, networks: _Networks, terms: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
        """The terms of the method, weight decay, and the sum of all."""
        if self.training.weight_decay:
            squares = mean_squared_weights(networks.encoder.regularized_variables())
            terms = {**terms, "weight_decay": self.training.weight_decay * squares}
        return {"loss": tf.add_n(list(terms.values())), **terms}

    def _method_terms(self, head: Any, embeddings, drawn, *, training: bool) -> Dict[str, tf.Tensor]:
        num_frames = _num_frames(drawn)
        inputs = StepInputs(
            anchors=embeddings[:, :num_frames],
            positives=embeddings[:, num_frames:],
            training=training,
            **drawn,
        )
        return method_terms(inputs, head, self.training)


class _Networks:
    """What one replica of this process trains, by what, and its sums of gradients over the batches of a step."""

    def __init__(self, encoder: Any, optimizer: Any, head: Any, loss_scale: Optional[LossScale]):
        self.encoder, self.optimizer, self.head, self.loss_scale = encoder, optimizer, head, loss_scale
        self.sums: List[tf.Variable] = []

    def variables(self) -> List[tf.Variable]:
        return trained_variables(self.encoder, self.head)

    def head_variables(self) -> List[tf.Variable]:
        return [] if self.head is None else list(self.head.trained_variables())


def trained_variables(encoder: Any, head: Optional[Any] = None) -> List[tf.Variable]:
    """What a training changes, in a stable order: the encoder's part, then the head's."""
    return encoder.trained_variables() + (head.trained_variables() if head is not None else [])


def mean_squared_weights(variables) -> tf.Tensor:
    """Mean over the variables of each one's sum of squares. The mean, not the sum, is what the reference adds."""
    return tf.add_n([sum_of_squares(variable) for variable in variables]) / float(len(variables))


def _plus_scaled(gradient: tf.Tensor, variable: tf.Variable, scale: tf.Tensor) -> tf.Tensor:
    """gradient + scale * variable, not computed before the gradient is there."""
    with tf.control_dependencies([gradient]):
        return gradient + scale * variable


def _part(rows: tf.Tensor, local: int, parts: int) -> tf.Tensor:
    size = int(rows.shape[0]) // parts
    return rows[local * size : (local + 1) * size]


def _num_frames(drawn) -> int:
    """T, from the indices of the anchors' frames."""
    return int(drawn["frame_indices"].shape[1])


def _compile(function: Callable[..., Any], xla: bool) -> Any:
    # jit_compile=False would also forbid what TensorFlow decides by itself; it is left unset.
    return tf.function(function, autograph=False, **({"jit_compile": True} if xla else {}))


def _zeros_like(variable: tf.Variable) -> tf.Variable:
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False, name="gradient_sum")


def _tensors(batch: Batch) -> Tuple[Any, ...]:
    masks = tuple(tf.constant(mask) for mask in batch.dropout_masks)
    return tf.constant(batch.inputs), _drawn(batch), masks


def _drawn(batch: Batch) -> Dict[str, tf.Tensor]:
    return {name: tf.constant(getattr(batch, name)) for name in _DRAWN}


def _as_floats(terms: Dict[str, tf.Tensor]) -> Dict[str, float]:
    return {name: float(np.asarray(value)) for name, value in terms.items()}
