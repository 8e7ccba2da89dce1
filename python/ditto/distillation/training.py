"""`ditto.distill`: the loop."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ditto.distillation.checkpoints import State, load_state, save_state
from ditto.distillation.comparing import Data, Model, Models, Precision
from ditto.distillation.examples import Batch, BatchSource, DistillationError
from ditto.distillation.losses import AGREEMENTS, LOSSES, Compared, named
from ditto.distillation.stages import Optimizer, Stage, adam, two_stages
from ditto.distillation.weights import Weights
from ditto.fake_quantizing import Rounding
from ditto.progress import on_terminal
from ditto_compiler.calibration import Ranges
from ditto_compiler.policy import Policy, load_policy
from ditto_compiler.showing import counted, quoted

HIDDEN = "*/layer[0-9]*"
"""Scopes that hidden states leave, in `ditto.models`."""

ATTENTION = "*/layer[0-9]*/attention/scores"
"""Scopes that attention scores leave, in `ditto.models`."""

CHECKPOINT = "distillation.safetensors"
"""The file in a folder of checkpoints."""


@dataclass(frozen=True)
class Evaluation:
    """How a student did on the batches that are held out.

    Attributes:
        stage: its name.
        step: steps of the stage that were done.
        loss: the stage's.
        agreement: of what student and teacher give.
    """

    stage: str
    step: int
    loss: float
    agreement: float


@dataclass(frozen=True, repr=False)
class Distilled:
    """A student that was trained.

    Attributes:
        params: its weights.
        ranges: measured with them, for `ditto.compile` with the same policy.
        policy: what it was trained for.
        history: evaluations, in order; the first of each stage is of before it.
    """

    params: Any
    ranges: Ranges
    policy: Policy
    history: tuple[Evaluation, ...]

    def __repr__(self) -> str:
        weights = sum(np.size(leaf) for leaf in jax.tree_util.tree_leaves(self.params))
        last = f", agreement {self.history[-1].agreement:.4g}" if self.history else ""
        return f"<Distilled for {quoted(self.policy.name)}: {counted(weights, 'weight')}{last}>"


def distill(
    student: Model,
    teacher: Model,
    params: Any,
    batches: BatchSource,
    *,
    teacher_params: Any = None,
    policy: str | Path | Policy = "ditto-quad",
    held_out: Sequence[Batch] | None = None,
    stages: Sequence[Stage] | None = None,
    hidden: str | Sequence[str] = HIDDEN,
    attention: str | Sequence[str] = ATTENTION,
    loss: str | Compared = "squares",
    agreement: str | Compared = "cosine",
    optimizer: Optimizer = adam,
    rounding: Rounding = "nearest",
    frozen: str | Sequence[str] = (),
    accumulate: int = 1,
    samples: int = 16,
    max_public_constant: int = 1024,
    checkpoint: str | Path | None = None,
    every: int = 100,
    patience: int = 0,
    progress: bool = False,
    seed: int = 0,
) -> Distilled:
    """Trains a student, through the private program that a policy makes of it, to give what a teacher does.

    The student runs with the policy's forms, rings and fraction bits (`ditto.fake_quant`), with ranges that
    are measured when a stage begins. First its layers learn to give what the teacher's give, then its
    outputs (see `two_stages`); layers are found by their scopes, models need not be changed.

    Args:
        student: `student(params, *inputs)` for one example, as it will run privately.
        teacher: the same for the original, often the same function; its layers must give the same shapes.
        params: weights that the student starts from: nested containers of arrays.
        batches: the inputs, for several examples each: a list of tuples, or a function that gives the
            tuple of a step, such as `Batches`.
        teacher_params: weights of the teacher; those of `params` by default.
        policy: preset, path or `Policy`.
        held_out: batches on which the student is evaluated; the first training batch if it is left out.
        stages: what to minimise, for how long; MPCFormer's two by default.
        hidden, attention: patterns of the scopes that hidden states and attention scores leave.
        loss: on outputs: "squares", "divergence" (of softmax), "angle", or a function of what student and
            teacher give for a batch.
        agreement: shown, likewise: "cosine", "top1", or a function; more is better.
        optimizer: makes an optax optimizer from a schedule of rates.
        rounding: "nearest", or "shares", with the noise of the parties' truncation; see `ditto.fake_quant`.
        frozen: patterns of weights that are not trained, by path, such as `embeddings/*`.
        accumulate: batches that make up a step.
        samples: examples on which ranges are measured.
        max_public_constant: as for `ditto.compile`.
        checkpoint: folder from which the training is resumed, if it has been there, and where it is saved
            with every evaluation; what comes out is what would have without an interruption.
        every: steps between evaluations.
        patience: evaluations without a lower loss after which a stage ends; 0 for never.
        progress: shows loss and agreement on stderr: a bar, or lines where that is no terminal.
        seed: of the noise, with rounding on shares.

    Returns:
        The weights that were best on what is held out, of the last stage, and their ranges.

    Raises:
        DistillationError: models that do not match, data that do not fit, a loss that is not a number.
        ScopeError: patterns that the models have no scopes for. All that `ditto.compile` raises.
    """
    chosen = tuple(two_stages() if stages is None else stages)
    counts = {"accumulate": accumulate, "every": every, "samples": samples, "patience": patience}
    for name, count in counts.items():
        least = 0 if name == "patience" else 1
        if count < least:
            raise DistillationError(f"{name} must be at least {least}, got {count}")
    if not chosen:
        raise DistillationError("there are no stages")
    patterns = [[each] if isinstance(each, str) else list(each) for each in (hidden, attention)]
    precision = Precision(load_policy(policy), rounding, max_public_constant, samples)
    data = Data(batches, held_out)
    models = Models(
        student,
        teacher,
        params if teacher_params is None else teacher_params,
        data,
        patterns[0],
        patterns[1],
        named(loss, LOSSES, "loss"),
        named(agreement, AGREEMENTS, "agreement"),
        precision,
    )
    models.check(params)
    weights = Weights(params, frozen)
    settings = {
        "policy": precision.policy.digest,
        "stages": [dataclasses.asdict(stage) for stage in chosen],
        "weights": [f"{leaf.dtype} {list(leaf.shape)}" for leaf in weights.trained],
        "patterns": patterns,
        "options": {**counts, "rounding": rounding, "seed": seed},
        "first batch": data.digest(),
    }
    path = None if checkpoint is None else Path(checkpoint) / CHECKPOINT
    run = _Run(models, data, weights, counts, seed, settings, path)
    with _Report(progress) as report:
        for number, stage in enumerate(chosen):
            run.stage(number, stage, optimizer(stage.schedule()), report)
    final = weights.whole(run.trained)
    return Distilled(final, models.ranges(final), precision.policy, tuple(run.history))


@dataclass(frozen=True)
class _Place:
    """Where a stage stands.

    Attributes:
        step: updates that were done.
        ranges: with which it computes, if it has rings.
        optimizer: its state.
        best: weights with the least loss on what is held out.
        least: that loss.
        stale: evaluations since.
        ended: whether nothing is left to do.
    """

    step: int
    ranges: Ranges | None
    optimizer: Any
    best: Sequence[Array]
    least: float = math.inf
    stale: int = 0
    ended: bool = False


class _Run:
    """A training.

    Attributes:
        trained: weights, as they are.
        history: evaluations.
    """

    def __init__(
        self,
        models: Models,
        data: Data,
        weights: Weights,
        counts: dict[str, int],
        seed: int,
        settings: dict[str, Any],
        path: Path | None,
    ) -> None:
        self._models, self._data, self._weights = models, data, weights
        self._accumulate, self._every = counts["accumulate"], counts["every"]
        self._patience = counts["patience"]
        self._key = jax.random.PRNGKey(seed)
        self._settings, self._path = settings, path
        self._saved = None if path is None else load_state(path, settings)
        self.trained: Sequence[Array] = weights.trained
        self.history: list[Evaluation] = []
        self._first = 0

    def stage(
        self, number: int, stage: Stage, optimizer: optax.GradientTransformation, report: _Report
    ) -> None:
        """Does a stage, or what is left of it."""
        first, self._first = self._first, self._first + stage.steps * self._accumulate
        if self._saved is not None and self._saved.progress["stage"] > number:
            return
        report.begins(stage)
        state = optimizer.init(self.trained)
        if self._saved is not None:
            place = self._resumed(self._saved, state, rings=stage.rings)
            is_evaluated = True
            self._saved = None
        else:
            whole = self._weights.whole(self.trained)
            ranges = self._models.ranges(whole, stage) if stage.rings else None
            place = _Place(0, ranges, state, self.trained)
            is_evaluated = False
        functions = _Functions(self._models.objective(stage, place.ranges), self._weights, optimizer)
        while True:
            if not is_evaluated and (place.step % self._every == 0 or place.step == stage.steps):
                place = self._evaluated(functions, stage, place)
                self._save(number, place)
            is_evaluated = False
            report.stands(stage, place.step, self.history[-1])
            if place.ended:
                break
            place = self._updated(functions, stage, place, first)
        self.trained = place.best

    def _updated(self, functions: _Functions, stage: Stage, place: _Place, first: int) -> _Place:
        total: Any = None
        for part in range(self._accumulate):
            number = first + place.step * self._accumulate + part
            batch, key = self._data.batch(number), jax.random.fold_in(self._key, number)
            loss, slopes = functions.gradient(
                self.trained, self._weights.all, self._models.teacher_params, batch, key
            )
            self._check(float(loss), stage, place.step, f"batch {number}")
            total = slopes if total is None else jax.tree_util.tree_map(jnp.add, total, slopes)
        factor = 1.0 / self._accumulate
        self.trained, state = functions.update(self.trained, place.optimizer, total, factor)
        return replace(place, step=place.step + 1, optimizer=state)

    def _evaluated(self, functions: _Functions, stage: Stage, place: _Place) -> _Place:
        pairs = [
            functions.measure(self.trained, self._weights.all, self._models.teacher_params, batch, self._key)
            for batch in self._data.held_out
        ]
        loss, agreement = (float(np.mean([float(pair[index]) for pair in pairs])) for index in (0, 1))
        self._check(loss, stage, place.step, "what is held out")
        self.history.append(Evaluation(stage.name, place.step, loss, agreement))
        if loss < place.least:
            place = replace(place, best=self.trained, least=loss, stale=0)
        else:
            place = replace(place, stale=place.stale + 1)
        return replace(place, ended=place.step == stage.steps or 0 < self._patience <= place.stale)

    def _check(self, loss: float, stage: Stage, step: int, data: str) -> None:
        if not math.isfinite(loss):
            saved = "" if self._path is None else f"; '{self._path}' has the last state that was saved"
            raise DistillationError(
                f"stage '{stage.name}', step {step}: the loss on {data} is {loss}; lower the rate "
                f"({stage.rate:g}), or look for infinities in the weights and in the data{saved}"
            )

    def _save(self, number: int, place: _Place) -> None:
        if self._path is None:
            return
        ranges = place.ranges or Ranges({})
        progress = {
            "stage": number,
            "step": place.step,
            "least": place.least,
            "stale": place.stale,
            "ended": place.ended,
            "ranges": {key: ranges.intervals.get(key, (-most, most)) for key, most in ranges.values.items()},
            "history": [dataclasses.asdict(each) for each in self.history],
        }
        arrays = {
            "trained": self.trained,
            "best": place.best,
            "optimizer": jax.tree_util.tree_leaves(place.optimizer),
        }
        told = {name: list(map(np.asarray, leaves)) for name, leaves in arrays.items()}
        save_state(self._path, State(self._settings, progress, told))

    def _resumed(self, saved: State, state: Any, *, rings: bool) -> _Place:
        arrays = {name: list(map(jnp.asarray, leaves)) for name, leaves in saved.arrays.items()}
        structure = jax.tree_util.tree_structure(state)
        if structure.num_leaves != len(arrays["optimizer"]):
            raise DistillationError(
                f"'{self._path}' is of a training with another optimizer; resume with the same, or "
                "remove the file to start anew"
            )
        self.trained = arrays["trained"]
        told = saved.progress
        self.history = [Evaluation(**each) for each in told["history"]]
        return _Place(
            told["step"],
            Ranges.of({key: (low, high) for key, (low, high) in told["ranges"].items()}) if rings else None,
            jax.tree_util.tree_unflatten(structure, arrays["optimizer"]),
            arrays["best"],
            told["least"],
            told["stale"],
            told["ended"],
        )


class _Functions:
    """What is jitted for a stage.

    Attributes:
        gradient: loss and slopes, from trained and all weights, the teacher's, a batch and a key.
        measure: loss and agreement, likewise.
        update: new weights and state of the optimizer, from the old ones, slopes and a factor of these.
    """

    def __init__(
        self,
        objective: Callable[..., tuple[Array, Array]],
        weights: Weights,
        optimizer: optax.GradientTransformation,
    ) -> None:
        def measure(trained: Any, others: Any, teacher: Any, batch: Batch, key: Array) -> Any:
            return objective(weights.whole(trained, others), teacher, batch, key)

        def update(trained: Any, state: Any, slopes: Any, factor: float) -> Any:
            scaled = jax.tree_util.tree_map(lambda slope: factor * slope, slopes)
            changes, state = optimizer.update(scaled, state, trained)
            return optax.apply_updates(trained, changes), state

        self.measure = jax.jit(measure)
        self.gradient = jax.jit(jax.value_and_grad(lambda *args: measure(*args)[0]))
        self.update = jax.jit(update)


class _Report(Progress):
    """Shows how far a training is."""

    def __init__(self, shown: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        # In a log or a notebook, lines.
        console = Console(stderr=True, force_terminal=on_terminal(), force_jupyter=False)
        super().__init__(*columns, console=console, disable=not shown)
        self._last: Evaluation | None = None

    def begins(self, stage: Stage) -> None:
        """A stage is about to be compiled."""
        self._task = self.add_task(stage.name, total=stage.steps, told="measuring ranges, compiling")

    def stands(self, stage: Stage, step: int, last: Evaluation) -> None:
        """After a step, and the last evaluation."""
        told = f"loss {last.loss:.4g}, agreement {last.agreement:.4f}"
        self.update(self._task, completed=step, told=told)
        if last is not self._last and not self.disable and not self.console.is_terminal:
            self.console.print(f"{stage.name}, step {step} of {stage.steps}: {told}")
        self._last = last
