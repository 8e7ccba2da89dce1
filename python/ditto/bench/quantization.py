"""What fraction bits and explicit rescaling buy, on the real sentence encoder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ditto
from ditto.compiled_program import Program
from ditto.demo.corpus import QUERIES, SENTENCES
from ditto.demo.search import cosine, encoder, model_inputs
from ditto.models.minilm import load_minilm
from ditto_compiler.calibration import Ranges
from ditto_compiler.encoding import Fxp
from ditto_compiler.ir import encoding_of, entry_function, ir, nested_ops, parse_module
from ditto_compiler.ops.scales import is_product
from ditto_compiler.policy import Policy, load_policy


def count_truncations(program: Program) -> int:
    """Tensors that are truncated in a run: by the engine after a product, or by an interactive rescale.

    Truncations inside the engine's own functions (exp, rsqrt, ...) are not counted: they do not change.
    """
    module = parse_module(program.annotated)
    entry = entry_function(module)
    assert entry is not None
    by_engine = sum(_engine_truncates(op) for op in nested_ops(entry.operation))
    return by_engine + sum(cast.shift_right > 0 and cast.wrap_bits > 0 for _, cast in program.casts())


def _engine_truncates(op: ir.Operation) -> bool:
    if not is_product(op) and op.name != "stablehlo.divide":
        return False
    scales = {encoding_of(value) for value in (*op.operands, *op.results)}
    return len(scales) == 1 and isinstance(scales.pop(), Fxp)


def with_linear_fraction(policy: Policy, frac: int) -> Policy:
    """`policy` with `frac` fraction bits wherever a rule puts ops in ring 32."""
    rules = [dataclasses.replace(rule, frac=frac) if rule.ring == 32 else rule for rule in policy.rules]
    return dataclasses.replace(policy, rules=tuple(rules))


def configurations(ranges: Callable[[Policy], Ranges]) -> list[tuple[str, Policy, Ranges | None]]:
    """(label, policy, ranges) of each row of the table.

    `ditto 8-bit` is the paper's one fraction for ring 32, `engine` lets SPU truncate after each product,
    `explicit` places rescales, `calibrated` gives each tensor its own fraction too. Plain `ditto` runs on
    shares.
    """
    mixed = load_policy("ditto-engine")
    engine = dataclasses.replace(mixed, rescale="engine")
    explicit = dataclasses.replace(mixed, rescale="explicit")
    return [
        ("uniform64", load_policy("uniform64"), None),
        ("ditto-engine 8-bit", with_linear_fraction(engine, 8), None),
        ("ditto-engine engine", engine, None),
        ("ditto-engine explicit", explicit, None),
        ("ditto-engine calibrated", explicit, ranges(explicit)),
        ("ditto calibrated", load_policy("ditto"), ranges(load_policy("ditto"))),
    ]


def measure() -> list[dict[str, Any]]:
    """Compiles and runs each configuration once, on the first query of the demo."""
    model = load_minilm()
    embed = encoder(model)
    inputs = model_inputs(model, QUERIES[0].text)
    expected = np.asarray(jax.jit(embed)(*inputs))

    def ranges(policy: Policy) -> Ranges:
        return ditto.calibrate(embed, [model_inputs(model, text) for text in SENTENCES], policy=policy)

    rows = []
    with ditto.LocalCluster() as cluster:
        for label, policy, measured in configurations(ranges):
            program = ditto.compile(embed, *inputs, policy=policy, ranges=measured)
            found = cluster.run(program, *inputs)
            stats = cluster.stats
            assert stats is not None
            rows.append(
                {
                    "configuration": label,
                    "cosine": cosine(found, expected),
                    "max_error": float(np.abs(found - expected).max()),
                    "bytes": stats.bytes,
                    "messages": stats.messages,
                    "truncations": count_truncations(program),
                    "seconds": stats.seconds,
                }
            )
    return rows


def main(json_path: Path | None = None) -> None:
    """Prints the table; writes it as JSON too if a path is given."""
    rows = measure()
    if json_path is not None:
        json_path.write_text(json.dumps(rows, indent=1))
    Console().print(table(rows))


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """One row per configuration; bytes and messages are sums over the parties."""
    result = Table(title="all-MiniLM-L6-v2, 16 tokens", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    result.add_column("configuration", no_wrap=True)
    for name in ("cosine", "error", "MB", "messages", "truncations", "s"):
        result.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        result.add_row(
            row["configuration"],
            f"{row['cosine']:.6f}",
            f"{row['max_error']:.1e}",
            f"{row['bytes'] / 1e6:.1f}",
            str(row["messages"]),
            str(row["truncations"]),
            f"{row['seconds']:.1f}",
        )
    return result
