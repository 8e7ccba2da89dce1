"""Stock SPU as the baseline: its own compiler's program, run by the same parties in the same way.

    program = compile_stock(f, *example_args)                     # stock SPU
    program = compile_stock(f, *example_args, forms="puma")       # its compiler after Ditto's rewrites

The result is a program of one region in one ring, so a cluster runs it like any other. Its code is what
`libspu.compile` makes of the StableHLO, but for masks: SPU's exponential is right from -480 on only, and any
number below -530, so what masks bring into the argument of an exponential is raised to `LOWEST`. Its
functions have their other limits too (the engine's: docs/reference/functions.md); nobody checks them here.

That compiler can end its process on input that it does not know, so it works in a process of its own, which
is what this module is when it is run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ditto.compiled_program import Program
from ditto.frontend import Visibility, trace
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto_compiler.building import splat
from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import FLOAT_TYPES
from ditto_compiler.encoding import Encoding, Fxp, Int
from ditto_compiler.errors import DittoError
from ditto_compiler.forms.builder import Builder
from ditto_compiler.ir import PassManager as MlirPassManager
from ditto_compiler.ir import defining_op, element_type, entry_function, insert_op, ir, nested_ops
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.inline_calls import InlineCalls
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import Policy
from ditto_compiler.processes import child_environment, python_command
from ditto_compiler.program import Call, CallerTensor, Input, Region, Value
from ditto_compiler.structure import constant

EXPANSION = "builtin.module(func.func(chlo-legalize-to-stablehlo),canonicalize)"

LOWEST = -400.0
"""The lowest constant of a mask: exp of it is 0, and stays 0 when a row of scores is down to 80 lower."""

FACTOR = -1e4
"""Factors from here on are taken to multiply masks; larger ones may scale numbers."""

MASKING = frozenset(
    f"stablehlo.{name}"
    for name in ["add", "subtract", "select", "broadcast_in_dim", "reshape", "multiply", "convert"]
)
"""Ops by which a mask comes into what an exponential is taken of."""

_RESULTS = re.compile(r"func\.func @main\(.*?\) -> (.*?) (?:attributes )?\{", re.DOTALL)


class BaselineError(DittoError):
    """SPU's compiler does not take the program."""


def compile_stock(
    fn: Callable[..., Any],
    *example_args: Any,
    visibility: Visibility = "secret",
    static_argnums: int | Sequence[int] = (),
    ring: int = 64,
    frac: int = 18,
    forms: str | Policy | None = None,
    reciprocal_per_row: bool = False,
) -> Program:
    """Compiles a function by SPU's own compiler.

    Args:
        fn, example_args, visibility, static_argnums: as for `ditto.compile`.
        ring: of the whole program.
        frac: fraction bits of the whole program; SPU's default for ring 64 is 18.
        forms: a policy whose forms replace non-linear functions beforehand, or None to leave that to SPU.
        reciprocal_per_row: SPU's `enable_optimize_denominator_with_broadcast`.

    Raises:
        BaselineError: SPU's compiler rejects the program, or dies of it.
        TraceError, CompileError: as for `ditto.compile`.
    """
    traced = trace(fn, example_args, visibility=visibility, static_argnums=static_argnums)
    start = time.perf_counter()
    module = traced.module
    PassManager((InlineCalls(),) if forms is None else front_end_pipeline(forms)).run(module)
    entry = entry_function(module)
    assert entry is not None
    secret = names.secret_arguments(entry)
    owners = names.argument_owners(entry)
    arguments = [(tuple(a.type.shape), element_type(a)) for a in entry.arguments]
    results = [(tuple(type_.shape), str(type_.element_type)) for type_ in entry.type.results]
    bound_masks(module)
    code, _ = spu_compile(stock_text(module), secret, reciprocal_per_row)
    declared = _RESULTS.search(code)
    assert declared is not None, "SPU's compiler names its function main"
    secret_results = ["!pphlo.secret<" in part for part in declared[1].strip("()").split(", ")]

    def value(shape: tuple[int, ...], dtype: str, is_secret: bool) -> Value:
        encoding: Encoding = Fxp(ring, frac) if dtype in FLOAT_TYPES else Int(ring)
        return Value(shape, dtype, encoding, is_secret)

    inputs = [value(*about, is_secret) for about, is_secret in zip(arguments, secret, strict=True)]
    outputs = [value(*about, is_secret) for about, is_secret in zip(results, secret_results, strict=True)]
    numbers = tuple(range(len(inputs)))
    made = tuple(range(len(inputs), len(inputs) + len(outputs)))
    return Program(
        name=traced.name,
        policy="spu" if forms is None else f"spu+{forms if isinstance(forms, str) else forms.name}",
        values=(*inputs, *outputs),
        regions={"stock": Region("stock", ring, frac, code)},
        steps=(Call("stock", numbers, made),),
        inputs=tuple(Input(number, number) for number in numbers),
        caller_inputs=tuple(
            CallerTensor(*about, owner) for about, owner in zip(arguments, owners, strict=True)
        ),
        outputs=made,
        input_tree=traced.input_tree,
        output_tree=traced.output_tree,
        seconds={"JAX tracing": traced.seconds, "SPU's compiler": time.perf_counter() - start},
        nest=traced.nest,
    )


def bound_masks(module: ir.Module) -> None:
    """Raises constants below `LOWEST` that a mask selects or adds into what an exponential is taken of."""
    with module.context, ir.Location.unknown(module.context):
        for op in nested_ops(module.operation):
            if op.name == "stablehlo.exponential":
                _bound_operands(op, set())


def _bound_operands(op: ir.Operation, seen: set[ir.Value]) -> None:
    for index, value in enumerate(op.operands):
        number, source = constant(value), defining_op(value)
        lowest = FACTOR if op.name == "stablehlo.multiply" else LOWEST
        if number is not None and number <= lowest:
            op.operands[index] = Builder.before(op).splat(LOWEST, value.type)
        elif source is not None and value not in seen and source.name in MASKING:
            seen.add(value)
            _bound_operands(source, seen)


def stock_text(module: ir.Module) -> str:
    """StableHLO that SPU's parser takes: no CHLO, no attributes of ours. The module is changed."""
    with module.context, ir.Location.unknown(module.context):
        for op in nested_ops(module.operation):
            for attribute in (names.RING, names.FRAC):
                if attribute in op.attributes:
                    del op.attributes[attribute]
            if op.name in ("chlo.erf", "chlo.erfc"):
                _call_erf(op)
        entry = entry_function(module)
        assert entry is not None
        names.set_argument_attributes(entry, [{} for _ in entry.arguments])
        entry.attributes["sym_name"] = ir.StringAttr.get("main")
        MlirPassManager.parse(EXPANSION).run(module.operation)
    return str(module)


def _call_erf(op: ir.Operation) -> None:
    """Pattern: erf(x) -> custom_call @mhlo.erf(x), erfc(x) -> 1 - erf(x)

    The engine has erf; CHLO's expansion would cost more and compute less exactly.
    """
    ip, loc, type_ = ir.InsertionPoint(op), op.location, op.results[0].type
    # With empty attributes SPU knows it for an MHLO op that StableHLO does not have.
    call = {"call_target_name": ir.StringAttr.get("mhlo.erf"), "mhlo.attributes": ir.DictAttr.get({})}
    result = ir.Operation.create("stablehlo.custom_call", [type_], list(op.operands), call, loc=loc, ip=ip)
    value = result.results[0]
    if op.name == "chlo.erfc":
        value = insert_op("subtract", type_, splat(1.0, type_, before=op), value, before=op)
    op.results[0].replace_all_uses_with(value)
    op.erase()


def spu_compile(text: str, secret: Sequence[bool], reciprocal_per_row: bool = False) -> tuple[str, float]:
    """What SPU's compiler makes of StableHLO, and in how many seconds.

    Raises:
        BaselineError: it cannot compile that.
    """
    with RuntimeFolder() as folder:
        output = folder.path / "code.mlir"
        request = {"text": text, "secret": list(secret), "reciprocal_per_row": reciprocal_per_row}
        done = subprocess.run(
            python_command("ditto.baseline", str(output)),
            input=json.dumps(request),
            capture_output=True,
            text=True,
            env=child_environment(),
            process_group=0,
        )
        if done.returncode != 0 or not output.exists():
            said = [line.strip() for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
            cause = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            # MLIR's diagnostic, or SPU's, which begins with the place in its source.
            reason = next((line for line in said if "error: " in line or line.startswith("[")), said[-1])
            raise BaselineError(f"SPU's compiler failed with {cause}: {reason}")
        return output.read_text(), float(done.stdout.split()[-1])


def main() -> None:
    """Compiles the request on standard input into the file that is named, and prints the seconds it took."""
    from spu import libspu

    request = json.load(sys.stdin)
    source = libspu.CompilationSource()
    source.ir_type = libspu.SourceIRType.STABLEHLO
    source.ir_txt = request["text"].encode()
    source.input_visibility = [libspu.VIS_SECRET if s else libspu.VIS_PUBLIC for s in request["secret"]]
    options = libspu.CompilerOptions()
    options.enable_optimize_denominator_with_broadcast = request["reciprocal_per_row"]
    start = time.perf_counter()
    code = libspu.compile(source, options)
    print(time.perf_counter() - start)
    Path(sys.argv[1]).write_bytes(code if isinstance(code, bytes) else code.encode())


if __name__ == "__main__":
    main()
