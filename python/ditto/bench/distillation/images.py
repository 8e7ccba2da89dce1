"""A small vision Transformer on the digits that scikit-learn bundles: 1,797 images of 8x8."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from numpy.typing import NDArray

from ditto.bench.distillation.measuring import calibrated, run_privately, simulate_all
from ditto.bench.distillation.quadratic import quadratic_on_shares, quantized
from ditto.bench.distillation.teachers import trained
from ditto.distillation.examples import Batches
from ditto.distillation.stages import Stage
from ditto.distillation.starting import quadratic_start
from ditto.distillation.training import distill
from ditto.models.layers import Params
from ditto.models.vit import VitConfig, init_vit, vit_classify
from ditto.runtime.caller.cluster import LocalCluster
from ditto_compiler.errors import DittoError
from ditto_compiler.policy import Policy, load_policy

CONFIG = VitConfig()

TRAINING = 1257
"""Images that are trained on; the other 540 are the test split."""

STEPS, BATCH, RATE = 1500, 64, 2e-3

STAGES = (
    Stage("layers", 600, 1e-3, hidden=1.0, attention=1.0, rings=False),
    Stage("outputs", 600, 5e-4, outputs=1.0),
)
"""Of a model this small; MPCFormer's rates are for BERT."""

ATTENTION = "*/attention/context"


class Digits(NamedTuple):
    """Images [count, 8, 8, 1] of numbers from 0 to 1, and which digits they are."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def digits() -> tuple[Digits, Digits]:
    """The training and the test split.

    Raises:
        DittoError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DittoError("the images come with scikit-learn; run: pip install scikit-learn") from None
    found = load_digits()
    order = np.random.default_rng(0).permutation(len(found.images))
    images = (found.images[order] / 16.0).astype(np.float32)[..., None]
    labels = found.target[order]
    return Digits(images[:TRAINING], labels[:TRAINING]), Digits(images[TRAINING:], labels[TRAINING:])


def classify(params: Params, image: jax.Array) -> jax.Array:
    """Logits of one image."""
    return vit_classify(params, CONFIG, image)


def quadratic(params: Params, image: jax.Array) -> jax.Array:
    """The same with quadratic GeLU."""
    return vit_classify(params, dataclasses.replace(CONFIG, hidden_act="quad"), image)


def classify_all(params: Params, images: jax.Array) -> jax.Array:
    """Logits of several images, in one run."""
    return jax.vmap(classify, (None, 0))(params, images)


def train(data: Digits, *, steps: int = STEPS, seed: int = 0) -> Params:
    """The teacher: trained in plaintext, with its exact functions."""

    def loss(params: Any, images: Any, labels: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(classify_all(params, images), labels).mean()

    start = init_vit(CONFIG, jax.random.PRNGKey(seed))
    batches = Batches(data.images, data.labels, size=BATCH, seed=seed)
    return trained(start, loss, batches, steps=steps, rate=RATE, decay=0.05)


def accuracy(logits: Any, labels: NDArray[np.int64]) -> float:
    """Part of the images that are read right."""
    return float((np.argmax(np.asarray(logits), -1) == labels).mean())


def distilled(
    params: Params,
    data: Digits,
    policy: Policy,
    *,
    checkpoint: Path | None = None,
    progress: bool = False,
) -> Params:
    """Weights for a policy's functions and rings."""
    found = distill(
        classify,
        classify,
        quadratic_start(classify, quadratic, params, data.images, post_norm=False),
        Batches(data.images, size=BATCH),
        teacher_params=params,
        policy=policy,
        held_out=[(data.images[:256],)],
        stages=STAGES,
        attention=ATTENTION,
        loss="divergence",
        agreement="top1",
        checkpoint=checkpoint,
        progress=progress,
    )
    return dict(found.params)


def measure(*, folder: Path | None = None, progress: bool = True) -> list[dict[str, Any]]:
    """Accuracy on the test split, laid out as in the Ditto paper: exact functions, quadratic ones, quantized.

    Args:
        folder: for checkpoints, from which an earlier run is resumed.
        progress: shows trainings on stderr.
    """
    training, test = digits()
    teacher = train(training)
    plain = accuracy(jax.jit(classify_all)(teacher, test.images), test.labels)
    rows: list[dict[str, Any]] = [{"policy": "plaintext", "as trained": plain, "distilled": None}]
    samples = [(training.images[start : start + len(test.images)],) for start in (0, 500)]
    with LocalCluster() as cluster:
        for policy, trains in policies():
            untrained = _simulated(policy, teacher, training, test)
            row: dict[str, Any] = {"policy": policy.name, "as trained": untrained, "distilled": None}
            best = teacher
            if trains:
                own = None if folder is None else folder / policy.name
                best = distilled(teacher, training, policy, checkpoint=own, progress=progress)
                row["distilled"] = _simulated(policy, best, training, test)
            ranges = calibrated(classify_all, policy, best, samples)
            found = run_privately(cluster, classify_all, policy, ranges, best, [(test.images,)])
            row["private"] = accuracy(found.outputs[0], test.labels)
            rows.append({**row, "MB": found.megabytes, "s": found.seconds})
    return rows


def policies() -> list[tuple[Policy, bool]]:
    """Each policy, and whether its functions want training."""
    return [
        (load_policy("puma"), False),
        (load_policy("ditto-engine"), False),
        (load_policy("ditto"), False),
        (load_policy("mpcformer"), True),
        (quantized(8), True),
        (quantized(10), True),
        (load_policy("ditto-quad"), True),
        (quadratic_on_shares(), True),
    ]


def _simulated(policy: Policy, params: Params, training: Digits, test: Digits) -> float:
    ranges = calibrated(classify, policy, params, [(image,) for image in training.images[:64]])
    return accuracy(simulate_all(classify, policy, ranges, params, test.images), test.labels)
