"""The one module that touches jaxlib's MLIR bindings.

Everything else imports `ir`, `func` and `stablehlo` from here, so that a change of bindings is a
change of this file. It runs on the bindings of jaxlib 0.4.34 to 0.12, which differ. The newer have no
`Type.isinstance`, and `Value.owner` is an `OpView`. In the newest, to compare a value, operation or attribute
with None, or with an operation that has been erased, is an error. They also hash an operation by its content,
so a table that outlives a change of its operations must not be keyed by them; values are hashed by identity
in all.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import sys
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from jaxlib.mlir import ir
from jaxlib.mlir.dialects import chlo, func, mhlo, sdy, stablehlo
from jaxlib.mlir.passmanager import PassManager

from ditto_compiler.encoding import Encoding, Fxp, Int, parse_encoding

try:
    from jaxlib.mlir._mlir_libs import register_jax_dialects
except ImportError:  # newer jaxlib
    from jaxlib.mlir._mlir_libs import _jax_mlir_ext as register_jax_dialects

__all__ = [
    "BARE_REGIONS",
    "BYTECODE_MAGIC",
    "Encoding",
    "Fxp",
    "Int",
    "PassManager",
    "attributes_of",
    "block_values",
    "clone_op",
    "copy_module",
    "defining_op",
    "drop_unused_functions",
    "element_type",
    "encode_type",
    "encoding_of",
    "entry_function",
    "erase_unused",
    "func",
    "functions",
    "functions_beside",
    "insert_op",
    "ir",
    "is_private",
    "is_tensor",
    "nested_ops",
    "new_context",
    "new_module",
    "numel",
    "ops_of",
    "parse_module",
    "portable",
    "prepare",
    "set_encoding",
    "set_function_type",
    "stablehlo",
    "top_level_ancestor",
    "type_encoding",
]

BYTECODE_MAGIC = b"ML\xefR"

BARE_REGIONS: tuple[str, ...] = ("stablehlo.sort",)
"""Ops in whose regions StableHLO's verifier wants types without encodings."""

stablehlo.register_stablehlo_passes()

_UPSTREAM = ir.DialectRegistry()
"""MLIR's own dialects. Registering them registers MLIR's passes, too."""

register_jax_dialects.register_dialects(_UPSTREAM)

# The bindings look for a Python module of an op's dialect whenever they meet an op. For dialects that have
# none they search the file system each time, which took half of all compilation.
for _dialect in ("ditto", "pphlo"):
    sys.modules.setdefault(f"{ir.__name__.rpartition('.')[0]}.dialects.{_dialect}", ModuleType(_dialect))


def new_context() -> ir.Context:
    """A context with the dialects that JAX's have, which accepts the `ditto` and `pphlo` dialects too."""
    # As JAX does, without the half second that importing it takes; and newer JAX uses its contexts again.
    context = ir.Context()
    context.append_dialect_registry(_UPSTREAM)
    context.load_all_available_dialects()
    context.enable_multithreading(False)
    sdy.register_dialect(context)
    mhlo.register_mhlo_dialect(context)
    chlo.register_dialect(context)
    stablehlo.register_dialect(context)
    context.allow_unregistered_dialects = True
    return context


def prepare(module: ir.Module) -> ir.Module:
    """Makes a module that somebody else made (JAX, say) accept our dialects; returns it."""
    module.context.allow_unregistered_dialects = True
    return module


def parse_module(source: str | bytes, context: ir.Context | None = None) -> ir.Module:
    """Parses StableHLO text, MLIR bytecode, or a StableHLO portable artifact.

    Raises:
        ir.MLIRError: the source does not parse; its diagnostics say where.
        ValueError, SystemError: a portable artifact is damaged or too new.
    """
    context = context or new_context()
    with context:
        if isinstance(source, str):
            return ir.Module.parse(source)
        if not source.startswith(BYTECODE_MAGIC):
            return ir.Module.parse(source.decode())
        if b"StableHLO_v" in source[:64]:
            return stablehlo.deserialize_portable_artifact(context, source)
        return ir.Module.parse(source)


_BOOLEANS = re.compile(r'dense<"0x([0-9A-F]+)"> : tensor<((?:[0-9]+x)+)i1\b')
"""A constant of so many booleans that it is printed as bytes."""


def portable(text: str) -> str:
    """MLIR's text as all versions read it: in newer ones each boolean of a large constant is a byte.

    Older versions have eight in a byte, the first the lowest, and read nothing else.
    """

    def packed(found: re.Match[str]) -> str:
        count = math.prod(map(int, found[2].rstrip("x").split("x")))
        data = bytes.fromhex(found[1])
        if len(data) != count:
            return found[0]
        bits = np.packbits(np.frombuffer(data, np.uint8), bitorder="little")
        return found[0].replace(found[1], bits.tobytes().hex().upper())

    return _BOOLEANS.sub(packed, text)


def copy_module(module: ir.Module) -> ir.Module:
    """A copy in a context of its own, locations included."""
    buffer = io.BytesIO()
    module.operation.write_bytecode(buffer)
    return parse_module(buffer.getvalue())


def new_module(arguments: Sequence[ir.Type], results: Sequence[ir.Type]) -> tuple[ir.Module, ir.Block]:
    """A module in the current context with an empty `@main`, and the block that its caller fills and ends."""
    module = ir.Module.create(ir.Location.unknown())
    with ir.InsertionPoint(module.body):
        function = func.FuncOp("main", (list(arguments), list(results)), loc=ir.Location.unknown())
    return module, function.add_entry_block()


def functions(module: ir.Module) -> list[func.FuncOp]:
    """The module's functions, declarations included."""
    return [op for op in module.body.operations if isinstance(op, func.FuncOp)]


def functions_beside(function: func.FuncOp) -> list[func.FuncOp]:
    """The functions of the module that `function` is in, itself included."""
    module = function.operation.parent
    ops = () if module is None else module.regions[0].blocks[0].operations
    return [op for op in ops if isinstance(op, func.FuncOp)]


def drop_unused_functions(module: ir.Module) -> None:
    """Erases private functions that nothing refers to.

    None, if the program has an unknown op with regions: MLIR cannot tell what these refer to.
    """
    with contextlib.suppress(ir.MLIRError):
        PassManager.parse("builtin.module(symbol-dce)").run(module.operation)


def is_private(function: func.FuncOp) -> bool:
    """Whether only its own module can call `function`."""
    attributes = function.attributes
    return "sym_visibility" in attributes and ir.StringAttr(attributes["sym_visibility"]).value == "private"


def entry_function(module: ir.Module) -> func.FuncOp | None:
    """The function that a caller runs: `@main`, or the only public function with a body."""
    candidates = [f for f in functions(module) if not f.is_external]
    for function in candidates:
        if function.name.value == "main":
            return function
    public = [f for f in candidates if not is_private(f)]
    return public[0] if len(public) == 1 else None


def ops_of(block: ir.Block) -> list[ir.Operation]:
    """The block's operations as generic `Operation`s; a list, so that the block may be changed."""
    return [op.operation for op in block.operations]


def nested_ops(root: ir.Operation, skip: Container[str] = ()) -> list[ir.Operation]:
    """Every operation nested in `root`, parents before children, `root` itself excluded.

    Regions of ops named in `skip` are not entered.
    """
    found: list[ir.Operation] = []

    def visit(op: ir.Operation) -> ir.WalkResult:
        found.append(op)
        return ir.WalkResult.SKIP if op.name in skip else ir.WalkResult.ADVANCE

    root.walk(visit, ir.WalkOrder.PRE_ORDER)
    return found[1:]


def attributes_of(op: ir.Operation | func.FuncOp) -> dict[str, ir.Attribute]:
    """The operation's attributes by name.

    Raises:
        RuntimeError, TypeError: the bindings cannot read one, which has complex numbers.
    """
    attributes = op.attributes
    # By index for the names alone: to read an attribute this way can end the process.
    return {name: attributes[name] for name in [attributes[index].name for index in range(len(attributes))]}


def block_values(root: ir.Operation) -> Iterator[ir.Value]:
    """Every value defined inside `root`: block arguments and results."""
    for region in root.regions:
        for block in region.blocks:
            yield from block.arguments
            for op in ops_of(block):
                yield from op.results
                if len(op.regions):
                    yield from block_values(op)


def defining_op(value: ir.Value) -> ir.Operation | None:
    """The operation that computes `value`; None for a block argument."""
    owner = value.owner
    return None if isinstance(owner, ir.Block) else owner.operation


def top_level_ancestor(op: ir.Operation) -> ir.Operation:
    """The operation directly in the function's entry block that holds `op`, or `op` itself."""
    while op.parent is not None and op.parent.name != "func.func":
        op = op.parent
    return op


def erase_unused(ops: Iterable[ir.Operation]) -> None:
    """Erases what nobody uses of some ops, and what was computed for these alone."""
    pending = list(ops)
    while pending:
        op = pending.pop()
        if any(list(result.uses) for result in op.results):
            continue
        inputs = dict.fromkeys(owner for owner in map(defining_op, op.operands) if owner is not None)
        op.erase()
        pending = [other for other in pending if other not in inputs] + list(inputs)


def is_tensor(type_: ir.Type) -> bool:
    """Whether `type_` is a ranked tensor, of static shape or not."""
    return isinstance(type_, ir.RankedTensorType)


def element_type(value: ir.Value) -> str:
    """The element type as text: `f32`, `i1`, `ui8`, ..."""
    return str(value.type.element_type)


def numel(value: ir.Value) -> int:
    """How many elements a tensor of static shape has."""
    count = 1
    for extent in value.type.shape:
        count *= extent
    return count


def type_encoding(type_: ir.Type) -> Encoding | None:
    """The type's ditto encoding, or None when it has none."""
    if not is_tensor(type_):
        return None
    attribute = type_.encoding
    return None if attribute is None else parse_encoding(str(attribute))


def encoding_of(value: ir.Value) -> Encoding | None:
    """The ditto encoding of the value's type, or None when it has none."""
    return type_encoding(value.type)


def encode_type(type_: ir.Type, encoding: Encoding | None) -> ir.Type:
    """`type_` with its encoding replaced, or dropped when `encoding` is None."""
    context = type_.context
    attribute = None if encoding is None else ir.Attribute.parse(str(encoding), context)
    return ir.RankedTensorType.get(
        type_.shape, type_.element_type, attribute, loc=ir.Location.unknown(context)
    )


def set_encoding(value: ir.Value, encoding: Encoding | None) -> None:
    """Gives `value` an encoding; a constant's attribute follows, as StableHLO's verifier asks."""
    value.set_type(encode_type(value.type, encoding))
    op = defining_op(value)
    if op is not None and op.name == "stablehlo.constant":
        text = str(op.attributes["value"])
        literal = text[: text.rindex(" : ")]
        op.attributes["value"] = ir.Attribute.parse(f"{literal} : {value.type}", op.context)


def clone_op(
    op: ir.Operation,
    mapping: dict[ir.Value, ir.Value],
    ip: ir.InsertionPoint,
    relocate: Callable[[ir.Location], ir.Location] | None = None,
) -> ir.Operation:
    """Clones `op` at `ip`, regions too, with operands replaced by `mapping`; values not in it stay.

    The clone's results and block arguments are added to `mapping`. `relocate` gives the clone's
    locations; the bindings cannot change a location afterwards.
    """
    loc = op.location if relocate is None else relocate(op.location)
    clone = ir.Operation.create(
        op.name,
        results=[result.type for result in op.results],
        operands=[mapping.get(operand, operand) for operand in op.operands],
        attributes=attributes_of(op),
        regions=len(op.regions),
        loc=loc,
        ip=ip,
    )
    for old_region, new_region in zip(op.regions, clone.regions, strict=True):
        for old_block in old_region.blocks:
            types = [argument.type for argument in old_block.arguments]
            new_block = new_region.blocks.append(*types, arg_locs=[loc] * len(types))
            mapping.update(zip(old_block.arguments, new_block.arguments, strict=True))
            inside = ir.InsertionPoint(new_block)
            for inner in ops_of(old_block):
                clone_op(inner, mapping, inside, relocate)
    mapping.update(zip(op.results, clone.results, strict=True))
    return clone


def insert_op(
    name: str, type_: ir.Type, *operands: ir.Value, before: ir.Operation, **attributes: ir.Attribute
) -> ir.Value:
    """The result of a new StableHLO op right before another one, at its location."""
    return ir.Operation.create(
        f"stablehlo.{name}",
        results=[type_],
        operands=list(operands),
        attributes=attributes,
        loc=before.location,
        ip=ir.InsertionPoint(before),
    ).results[0]


def set_function_type(function: func.FuncOp) -> None:
    """Makes the function's type that of its block arguments and return operands."""
    block = function.entry_block
    returned: Any = block.operations[len(block.operations) - 1].operands
    type_ = ir.FunctionType.get(
        [argument.type for argument in block.arguments],
        [value.type for value in returned],
        context=function.context,
    )
    function.attributes["function_type"] = ir.TypeAttr.get(type_, context=function.context)
