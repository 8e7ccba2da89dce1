"""How long compilation takes, beside JAX's tracing and SPU's own compiler."""

from __future__ import annotations

import dataclasses
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from ditto.baseline import spu_compile
from ditto.frontend import trace
from ditto.models.bert import BERT_PRESETS, bert_encode, init_bert
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.pipelines import lowering_pipeline, precision_pipeline


def bert_base_function(layers: int, seq: int) -> tuple[Any, tuple[Any, ...]]:
    """A BERT-base-shaped encoder and the shapes of its arguments.

    GeLU is the tanh form: SPU's compiler cannot parse `chlo.erfc`, which the exact form becomes.
    """
    config = dataclasses.replace(BERT_PRESETS["base"], num_hidden_layers=layers, hidden_act="gelu_new")
    params = jax.eval_shape(lambda key: init_bert(config, key), jax.random.key(0))
    embeddings = jax.ShapeDtypeStruct((seq, config.hidden_size), jnp.float32)
    mask = jax.ShapeDtypeStruct((seq,), jnp.float32)

    def encode(params: Any, embeddings: Any, mask: Any) -> Any:
        return bert_encode(params, config, embeddings, mask)

    return encode, (params, embeddings, mask)


def measure(layers: int, seq: int, policy: str) -> dict[str, float]:
    """Seconds of each stage, once. Nothing is cached between calls."""
    function, arguments = bert_base_function(layers, seq)
    traced = trace(function, arguments)
    text = str(traced.module)
    passes_of = (*precision_pipeline(policy), *lowering_pipeline(policy))
    manager = PassManager(passes_of, verify_each=False)  # as `ditto.compile` does
    start = time.perf_counter()
    manager.run(traced.module)
    passes = time.perf_counter() - start
    _, stock = spu_compile(text, [True] * len(jax.tree_util.tree_leaves(arguments)))
    return {"JAX tracing": traced.seconds, "Ditto passes": passes, "SPU's compiler": stock}


def main(layers: int, seq: int, policy: str, rounds: int) -> None:
    """Prints the median seconds of each stage."""
    runs = [measure(layers, seq, policy) for _ in range(rounds)]
    table = Table(
        title=f"BERT-base shape, {layers} layers, {seq} tokens, policy {policy}, median of {rounds}"
    )
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    medians = {stage: statistics.median(run[stage] for run in runs) for stage in runs[0]}
    for stage, seconds in medians.items():
        table.add_row(stage, f"{seconds:.2f}")
    ratio = medians["Ditto passes"] / (medians["JAX tracing"] + medians["SPU's compiler"])
    table.add_row("passes / (tracing + SPU)", f"{ratio:.2f}")
    Console().print(table)
