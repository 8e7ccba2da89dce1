"""What `program.remarks` says, held against the program itself, on a layer of BERT."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import ditto
from ditto.models.bert import BertConfig, bert_encode, init_bert
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import DittoError
from ditto_compiler.ir import encoding_of, entry_function, ir, ops_of, parse_module
from ditto_compiler.ops import is_layout, is_source
from ditto_compiler.remarks import Category, Remark, grouped, selection
from ditto_compiler.scopes import scope_path
from ditto_tools.cli import cli

LAYERS = 2
CONFIG = BertConfig(
    hidden_size=16, num_hidden_layers=LAYERS, num_attention_heads=2, intermediate_size=32, vocab_size=1
)
POLICIES = ("uniform64", "ditto-engine", "ditto")


def encode(params: object, embeddings: jax.Array, mask: jax.Array) -> jax.Array:
    return bert_encode(params, CONFIG, embeddings, mask)


@pytest.fixture(scope="module")
def programs() -> dict[str, ditto.Program]:
    params = init_bert(CONFIG, jax.random.key(0))
    arguments = (params, np.zeros((4, 16), np.float32), np.ones(4, np.int32))
    return {policy: ditto.compile(encode, *arguments, policy=policy) for policy in POLICIES}


def of(program: ditto.Program, category: Category) -> list[Remark]:
    return [remark for remark in program.remarks if remark.category is category]


@pytest.fixture(scope="module")
def modules(programs: dict[str, ditto.Program]) -> dict[str, ir.Module]:
    """What is simulated: rings, scales and casts are final."""
    return {policy: parse_module(program.annotated) for policy, program in programs.items()}


def ops(module: ir.Module) -> list[ir.Operation]:
    entry = entry_function(module)
    assert entry is not None
    return ops_of(entry.entry_block)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_functions_of_every_layer_are_recognised_where_they_are(
    programs: dict[str, ditto.Program], policy: str
) -> None:
    found = Counter()
    for remark in of(programs[policy], Category.FUNCTION):
        name = re.match(r"computes (\w+), with \d+ ops", remark.message)
        assert (
            name and remark.location.file == bert_encode.__code__.co_filename.replace("bert.py", "layers.py")
        ) or 1
        found[name[1], scope_path(remark.scope)] += 1
    expected = Counter()
    for layer in range(LAYERS):
        within = f"encoder/layer{layer}"
        expected["softmax", f"{within}/attention/softmax"] += 1
        expected["gelu", f"{within}/mlp/activation"] += 1
        expected["layer_norm", f"{within}/attention/norm"] += 1
        expected["layer_norm", f"{within}/mlp/norm"] += 1
    inside = Counter({key: count for key, count in found.items() if key[1].startswith("encoder/layer")})
    assert inside == expected
    assert sum(found.values()) == sum(expected.values()) + 1  # of the embeddings


@pytest.mark.parametrize("policy", POLICIES)
def test_every_function_has_a_form_or_stays_exact(programs: dict[str, ditto.Program], policy: str) -> None:
    program = programs[policy]
    functions = [remark.message.split()[1].rstrip(",") for remark in of(program, Category.FUNCTION)]
    forms = [r for r in of(program, Category.FORM) if r.pass_name == "ditto-approximate"]
    if policy == "uniform64":
        assert not forms
        held = {re.search(r"belongs to (\w+), whose", r.message)[1] for r in of(program, Category.EXACT)}
        assert held == set(functions)
        return
    assert [remark.message.split()[0] for remark in forms] == functions
    assert all(remark.message.endswith(f"by [forms] of policy '{policy}'") for remark in forms)
    assert not of(program, Category.EXACT)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_cast_is_there_and_no_other(
    programs: dict[str, ditto.Program], modules: dict[str, ir.Module], policy: str
) -> None:
    expected = Counter(
        (op.name, f"casts {encoding_of(op.operands[0])} to {encoding_of(op.results[0])}")
        for op in ops(modules[policy])
        if op.name in names.CASTS
    )
    casts = of(programs[policy], Category.CAST)
    found = Counter((remark.op, remark.message.rpartition(", for ")[0]) for remark in casts)
    assert found == expected
    assert bool(expected) == (policy != "uniform64")


def computing(module: ir.Module) -> list[ir.Operation]:
    return [
        op
        for op in ops(module)
        if len(op.results) and op.name not in names.CASTS and not (is_source(op) or is_layout(op))
    ]


def test_rings_of_the_engine(programs: dict[str, ditto.Program], modules: dict[str, ir.Module]) -> None:
    program = programs["uniform64"]
    for remark in of(program, Category.RING):
        assert remark.message.startswith("computes in ring 64")
        assert remark.message.endswith("by the dtype map of policy 'uniform64'")
    mixed = of(programs["ditto-engine"], Category.RING)
    by_rule = [r for r in mixed if "rule 'linear layers in 32 bits'" in r.message]
    # The three projections at once, scores, context, output, and two layers of the MLP; all of them fit.
    products = [op for op in computing(modules["ditto-engine"]) if op.name == "stablehlo.dot_general"]
    assert (
        Counter(r.op for r in by_rule) == {"stablehlo.dot_general": len(products)}
        and len(products) == 6 * LAYERS
    )


def test_what_runs_beside_the_engine(
    programs: dict[str, ditto.Program], modules: dict[str, ir.Module]
) -> None:
    program, module = programs["ditto"], modules["ditto"]
    beside = [op for op in computing(module) if names.BESIDE in op.attributes and op.name != names.LESS]
    numbers = [op for op in beside if isinstance(encoding_of(op.results[0]), Fxp)]
    remarks = [r for r in of(program, Category.BESIDE) if "in ring" in r.message]
    rings = Counter(
        (op.name, encoding_of(op.results[0]).ring, encoding_of(op.results[0]).frac) for op in numbers
    )
    said = Counter()
    for remark in remarks:
        ring, frac = map(int, re.search(r"in ring (\d+) with (\d+) fraction bits", remark.message).groups())
        said[remark.op, ring, frac] += 1
    assert said and not said - rings
    engine = [r for r in of(program, Category.RING) if r.message.startswith("runs in the engine")]
    assert Counter(r.op for r in engine) == Counter(
        op.name for op in computing(module) if names.BESIDE not in op.attributes
    )


@pytest.mark.parametrize("policy", POLICIES)
def test_layers_are_told_apart_and_said_together(programs: dict[str, ditto.Program], policy: str) -> None:
    remarks = programs[policy].remarks
    lines = grouped(remarks)
    assert len(lines) < len(remarks)
    counts = [int(match[1]) if (match := re.search(r"\((\d+) times", line)) else 1 for line in lines]
    assert sum(counts) == len(remarks)
    assert any(
        f"({LAYERS} times, in jit(encode)/jit(main)/encoder/layer*/mlp/activation" in line for line in lines
    )


def test_the_command_says_of_layers_that_are_alike_what_it_says_of_one(tmp_path: Path) -> None:
    def f(x: jax.Array) -> jax.Array:
        for layer in range(3):
            with jax.named_scope(f"layer{layer}"):
                x = jnp.exp(x)
        return x

    source = tmp_path / "f.mlir"
    module = jax.jit(f).lower(np.float32([0])).compiler_ir("stablehlo")
    source.write_text(module.operation.get_asm(enable_debug_info=True))
    arguments = ["compile", str(source), "--policy", "uniform64", "-o", str(tmp_path / "f.ditto")]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    (line,) = (line for line in result.output.splitlines() if "stays exact" in line)
    assert line.endswith("(3 times, in jit(f)/jit(main)/layer*/exp)")
    assert "computes in ring" not in result.output


def test_what_is_folded() -> None:
    def f(x: jax.Array) -> jax.Array:
        constant = jnp.sqrt(jnp.full((3,), 2.0))
        always = jnp.argmax(x) >= 0
        return jnp.where(always, x * constant, 0)

    x = np.float32([1, 2, 3])
    program = ditto.compile(f, x, policy="uniform64")
    folds = of(program, Category.FOLD)
    assert any(r.message == "is a constant, as all is that it depends on" for r in folds)
    assert any(r.message == "is always true, whatever the inputs" for r in folds)
    assert all(r.location.file == __file__ for r in folds)


def test_remarks_are_not_part_of_the_program(programs: dict[str, ditto.Program]) -> None:
    program = programs["ditto"]
    loaded = ditto.Program.from_bytes(program.to_bytes())
    assert loaded == program and loaded.remarks == ()


def test_selections() -> None:
    place = dataclasses.replace(ditto.compile(jnp.tanh, np.float32([1])).remarks[0].location, file="model.py")
    first = Remark(Category.RING, "stablehlo.add", place, "computes in ring 32", "ditto-annotate")
    second = dataclasses.replace(first, category=Category.CHECK, message="is a ring of roses")
    assert [selection("ring")(one) for one in (first, second)] == [True, False]
    assert [selection("ring of|ring 3")(one) for one in (first, second)] == [True, True]
    assert [selection("")(one) for one in (first, second)] == [True, True]
    assert [selection(r"^model\.py:\d+.*roses")(one) for one in (first, second)] == [False, True]
    with pytest.raises(DittoError, match=r"by a category \(function, .*\) or a regular expression, got '\('"):
        selection("(")
