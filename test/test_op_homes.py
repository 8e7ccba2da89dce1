"""Every op has a home with all its facets, and they stand in files of its family."""

from __future__ import annotations

import re
from dataclasses import replace

import jax
import pytest
from op_cases import CASES, TEXTS

import ditto
from ditto.frontend import trace
from ditto.simulator.ops import EXACT, FAST
from ditto_compiler.cost.ops import RULES
from ditto_compiler.dialect.attributes import CASTS, LESS, ONESHOT
from ditto_compiler.encoding import RINGS
from ditto_compiler.ops import FAMILIES, OPS, WIDE, Kind, Op
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_legalize_integers import DittoLegalizeIntegers
from ditto_compiler.pipelines import default_pipeline

BESIDE = (LESS, ONESHOT)
"""What the engine never runs."""

COMPUTED = [name for name, op in OPS.items() if op.kind is not Kind.TERMINATOR and name not in BESIDE]

INTEGER_CASES = ("integer_division", "integer_wrap")
"""What ditto-legalize-integers puts ops of our own into."""


def legalized(case: str) -> str:
    """A case with its integers legalized, in a ring that is wider than they are."""
    function, arguments, _ = CASES[case]
    module = trace(function, arguments).module
    passes = default_pipeline("uniform64")
    last = next(i for i, pass_ in enumerate(passes) if isinstance(pass_, DittoLegalizeIntegers))
    PassManager(passes[: last + 1]).run(module)
    return str(module)


def cased_ops() -> set[str]:
    """The ops in the programs of test/support/op_cases.py."""
    texts = [jax.jit(function).lower(*arguments).as_text() for function, arguments, _ in CASES.values()]
    texts += [*map(legalized, INTEGER_CASES), *TEXTS.values()]
    return {name for name in OPS for text in texts if re.search(rf'{name}[ ("]', text)}


def missing_facets(op: Op, cased: set[str]) -> list[str]:
    """What has to be added for an op, and where."""
    family = op.home.rpartition(".")[2]
    facets = {
        f"`emit` in compiler/ditto_compiler/ops/{family}.py": op.emit is not None,
        f"an exact rule in python/ditto/simulator/ops/{family}.py": op.name in EXACT,
        f"a fast rule in python/ditto/simulator/ops/{family}.py": op.name in FAST,
        "a case in test/support/op_cases.py": op.name in cased,
    }
    return [what for what, there in facets.items() if not there]


@pytest.fixture(scope="module")
def cased() -> set[str]:
    return cased_ops()


@pytest.mark.parametrize("name", COMPUTED)
def test_no_facet_is_missing(name: str, cased: set[str]) -> None:
    missing = missing_facets(OPS[name], cased)
    assert not missing, f"{name} lacks {', '.join(missing)}"


def test_what_is_missing_is_named_with_its_file(cased: set[str]) -> None:
    stranger = replace(OPS["stablehlo.add"], name="stablehlo.stranger", emit=None)
    assert missing_facets(stranger, cased) == [
        "`emit` in compiler/ditto_compiler/ops/elementwise.py",
        "an exact rule in python/ditto/simulator/ops/elementwise.py",
        "a fast rule in python/ditto/simulator/ops/elementwise.py",
        "a case in test/support/op_cases.py",
    ]


@pytest.mark.parametrize("name", COMPUTED)
def test_facets_stand_in_one_family(name: str) -> None:
    op = OPS[name]
    assert op.home in [family.__name__ for family in FAMILIES]
    assert op.emit is not None
    for facet in (op.range, op.scale, op.emit, op.unsupported):
        home = getattr(facet, "__module__", op.home)
        shared = ("ditto_compiler.ops.base", "ditto_compiler.ops.emitter", "ditto_compiler.ops.movement")
        assert home in (op.home, *shared), facet


def test_nothing_is_simulated_that_is_no_op() -> None:
    assert set(EXACT) == set(FAST) == {*COMPUTED, *CASTS, *BESIDE}


@pytest.mark.parametrize("name", CASES)
def test_every_op_of_the_engine_that_is_emitted_has_a_cost(name: str) -> None:
    function, arguments, tolerance = CASES[name]
    program = ditto.compile(function, *arguments, policy=f"uniform{max(tolerance)}")
    for region in program.regions.values():
        emitted = set(re.findall(r"pphlo\.([a-z_]+)\b(?=\"?\()", region.code)) - {"return"}
        lacking = sorted(emitted - set(RULES))
        assert not lacking, f"give {lacking} a rule in compiler/ditto_compiler/cost/ops/"


def test_rings_exist() -> None:
    for op in OPS.values():
        # What the engine does not run, runs in rings of up to 64 bits.
        assert op.rings in (RINGS, WIDE) or (op.name == "ditto.oneshot" and op.rings == (32, 64)), op.name
