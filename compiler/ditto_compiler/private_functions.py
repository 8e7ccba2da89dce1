"""The functions that `ditto.oneshot` refers to: private functions of one tensor, elementwise.

Front ends mark a call by the callee's name (`marked_name`), which says what `ditto.oneshot` in JAX was told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ditto_compiler.dialect import attributes as names
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.intervals import Interval
from ditto_compiler.ir import (
    clone_op,
    defining_op,
    element_type,
    func,
    ir,
    nested_ops,
    new_module,
    numel,
    ops_of,
)
from ditto_compiler.op_attributes import shape_of
from ditto_compiler.xla import XlaFunction

_NUMBER = "([0-9emp]+)"
_MARK = re.compile(
    rf"ditto_oneshot_of_(\w+?)(?:_from_{_NUMBER}_to_{_NUMBER})?_within_{_NUMBER}(_relative)?(?:_\d+)?"
)


@dataclass(frozen=True)
class Mark:
    """What the name of a marked function says.

    Attributes:
        name: what to call the function.
        error: how far off a result may be.
        relative: whether that is relative to it.
        interval: what arguments are in, or None.
    """

    name: str
    error: float
    relative: bool
    interval: Interval | None

    @property
    def text(self) -> str:
        """The name of the marked function: letters, digits and underscores, which every front end keeps."""
        ends = "" if self.interval is None else "_from_{}_to_{}".format(*map(_word, self.interval))
        relative = "_relative" if self.relative else ""
        name = re.sub(r"\W+", "_", self.name) or "f"
        return f"ditto_oneshot_of_{name}{ends}_within_{_word(self.error)}{relative}"

    @staticmethod
    def parse(text: str) -> Mark | None:
        """What a name says, which the front end may have numbered; None if it is not a marked function's."""
        found = _MARK.fullmatch(text)
        if found is None:
            return None
        name, low, high, error, relative = found.groups()
        try:
            interval = None if low is None else (_number(low), _number(high))
            return Mark(name, _number(error), relative is not None, interval)
        except ValueError:
            return None


def _word(number: float) -> str:
    """`1em05`, `m2p5`."""
    return repr(float(number)).replace("-", "m").replace(".", "p").replace("+", "")


def _number(word: str) -> float:
    return float(word.replace("m", "-").replace("p", "."))


def module_of(block: ir.Block) -> ir.Operation:
    """The module that a block is in."""
    op = block.owner.operation
    while op.parent is not None:
        op = op.parent
    return op


def callee(op: ir.Operation, which: str = names.FUNCTION) -> func.FuncOp:
    """The function of a `ditto.oneshot`, or what it falls back on."""
    wanted = ir.FlatSymbolRefAttr(op.attributes[which]).value
    module = op
    while module.parent is not None:
        module = module.parent
    found = (one for one in module.regions[0].blocks[0].operations if isinstance(one, func.FuncOp))
    return next(one for one in found if one.name.value == wanted)


def referred_to(module: ir.Module, which: str = names.FUNCTION) -> set[str]:
    """Names of the functions that the module's one-shot functions are, or fall back on."""
    ops = nested_ops(module.operation)
    attributes = (names.get_attribute(op, which) for op in ops if op.name == names.ONESHOT)
    return {ir.FlatSymbolRefAttr(one).value for one in attributes if isinstance(one, ir.FlatSymbolRefAttr)}


def add_function(
    module: ir.Operation, name: str, type_: ir.Type, write: Callable[[ir.Block], ir.Value]
) -> ir.Attribute:
    """The symbol of a private function from a tensor to one of its type; one of equal body is used again.

    Args:
        module: where to put it, at the end.
        name: what to call it; of several functions of one name, the others are numbered.
        type_: of argument and result.
        write: fills the function's block and gives what it returns.
    """
    block = module.regions[0].blocks[0]
    known = [one for one in block.operations if isinstance(one, func.FuncOp)]
    taken = {one.name.value for one in known}
    free = next(one for one in (name, *(f"{name}_{i}" for i in range(len(taken)))) if one not in taken)
    with ir.InsertionPoint(block), ir.Location.unknown(module.context):
        made = func.FuncOp(free, ([type_], [type_]), visibility="private")
        body = made.add_entry_block()
        func.ReturnOp([write(body)], ip=ir.InsertionPoint(body))
    numbered = re.compile(rf"{re.escape(name)}(_\d+)?")
    text = _body_text(made)
    for other in known:
        if numbered.fullmatch(other.name.value) and _body_text(other) == text:
            made.operation.erase()
            return ir.FlatSymbolRefAttr.get(other.name.value, module.context)
    return ir.FlatSymbolRefAttr.get(free, module.context)


def _body_text(function: func.FuncOp) -> str:
    """What a function does, whatever it is called, even while the module around it is unfinished."""
    alone = function.operation.clone()
    alone.attributes["sym_name"] = ir.StringAttr.get("", function.context)
    text = str(alone.get_asm(use_local_scope=True, assume_verified=True))
    alone.erase()
    return text


def copied(function: func.FuncOp) -> Callable[[ir.Block], ir.Value]:
    """Writes what another function does, for `add_function`."""

    def write(block: ir.Block) -> ir.Value:
        mapping = dict(zip(function.entry_block.arguments, block.arguments, strict=True))
        *body, end = ops_of(function.entry_block)
        for op in body:
            clone_op(op, mapping, ir.InsertionPoint(block))
        return mapping.get(end.operands[0], end.operands[0])

    return write


def inline(op: ir.Operation, which: str) -> list[ir.Operation]:
    """Puts the ops of a function in the place of a `ditto.oneshot`, at its location, and gives them.

    What was measured of its result is then known of the last one's. The op is left for the caller to erase.
    """
    function = callee(op, which)
    mapping = dict(zip(function.entry_block.arguments, op.operands, strict=True))
    *body, end = ops_of(function.entry_block)
    made = [clone_op(one, mapping, ir.InsertionPoint(op), lambda _: op.location) for one in body]
    result = mapping[end.operands[0]]
    last = defining_op(result)
    if last in made and last is not None:
        for name in (names.MAX_ABS, names.RANGE):
            if name in op.attributes:
                last.attributes[name] = op.attributes[name]
    op.results[0].replace_all_uses_with(result)
    return made


def evaluate(function: func.FuncOp, points: NDArray[Any]) -> NDArray[Any]:
    """The values of a one-shot function at points, in its own precision, as f64.

    XLA runs it on as many points at a time as its tensor has elements.
    """
    (argument,) = function.arguments
    with function.context, ir.Location.unknown():
        alone, block = new_module([argument.type], [argument.type])
        func.ReturnOp([copied(function)(block)], ip=ir.InsertionPoint(block))
        run = XlaFunction(alone)
    size, dtype = numel(argument), numpy_dtype(element_type(argument))
    flat = np.asarray(points, np.float64).reshape(-1)
    padded = np.resize(flat, -(-flat.size // size) * size) if flat.size else flat
    chunks = padded.astype(dtype).reshape(-1, *shape_of(argument))
    values = np.zeros(len(padded))
    for index, chunk in enumerate(chunks):
        values[index * size : (index + 1) * size] = run(chunk)[0].reshape(-1)
    return values[: flat.size].reshape(np.shape(points))
