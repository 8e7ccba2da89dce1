"""From a lowered module to a `Program`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from ditto_compiler.beside.translate import translate
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.executor.instruction import WIDEST, Instruction
from ditto_compiler.ir import (
    defining_op,
    element_type,
    encoding_of,
    entry_function,
    func,
    functions,
    ir,
    nested_ops,
    ops_of,
    portable,
)
from ditto_compiler.program import (
    Beside,
    Call,
    CallerTensor,
    CastBatch,
    CompareBatch,
    Comparison,
    Guard,
    Input,
    Program,
    Region,
    Step,
    Value,
    results_of,
)
from ditto_compiler.scopes import scope_of
from ditto_compiler.spu import PPHLO_VERSION


def extract_program(module: ir.Module, *, policy: str, annotated: str) -> Program:
    """The program that a module describes after `ditto-to-pphlo`.

    Raises:
        CompileError: the module is not lowered, or arguments disagree about a caller's input.
    """
    entry = entry_function(module)
    errors = ErrorCollector("extract-program")
    if names.stage_of(module) < len(names.STAGES) or entry is None:
        errors.add(module.operation, "the module is not lowered; run ditto-to-pphlo first")
        errors.raise_if_any()
    assert entry is not None
    regions = {f.name.value: f for f in functions(module) if f != entry}
    values: list[Value] = []
    numbers: dict[ir.Value, int] = {}

    def number(value: ir.Value, secret: bool, scope: str = "") -> int:
        encoding = encoding_of(value)
        assert encoding is not None
        shape = tuple(ir.RankedTensorType(value.type).shape)
        numbers[value] = len(values)
        values.append(Value(shape, element_type(value), encoding, secret, scope))
        return numbers[value]

    inputs = []
    caller_inputs: dict[int, CallerTensor] = {}
    attributes = names.argument_attributes(entry)
    owners = names.argument_owners(entry)
    secret = names.secret_arguments(entry)
    for position, argument in enumerate(entry.arguments):
        index = attributes[position][names.INPUT].value if names.INPUT in attributes[position] else position
        value = number(argument, secret[position])
        tensor = CallerTensor(values[value].shape, values[value].dtype, owners[position])
        if caller_inputs.setdefault(index, tensor) != tensor:
            errors.add(
                entry.operation,
                f"argument {position} is input {index} of the caller, as another argument is of a different "
                f"shape, dtype or '{names.OWNER}'; give both the same, or another '{names.INPUT}'",
            )
        if list(argument.uses):
            inputs.append(Input(index, value))
    if sorted(caller_inputs) != list(range(len(caller_inputs))):
        errors.add(
            entry.operation,
            f"'{names.INPUT}' of the arguments must count the caller's inputs from 0, got {[*caller_inputs]}",
        )
    errors.raise_if_any()
    steps: list[Step] = []
    is_beside = any(names.BESIDE in op.attributes for op in ops_of(entry.entry_block))
    for op in ops_of(entry.entry_block)[:-1]:
        if op.name == names.CALL:
            region = regions[ir.FlatSymbolRefAttr(op.attributes["callee"]).value]
            secrets = ["!pphlo.secret<" in str(t) for t in region.type.results]
            scopes = [_scope_of(value) for value in ops_of(region.entry_block)[-1].operands]
            operands = tuple(numbers[v] for v in op.operands)
            results = tuple(number(*about) for about in zip(op.results, secrets, scopes, strict=True))
            steps.append(Call(region.name.value, operands, results))
            continue
        last = steps[-1] if steps else None
        if is_beside and not _is_engines(op):
            name, count, attributes_ = translate(op)
            operands = tuple(numbers[v] for v in list(op.operands)[:count])
            is_secret = any(values[operand].secret for operand in operands)
            results = tuple(number(result, is_secret, scope_of(op)) for result in op.results)
            instruction = Instruction(name, operands, results, attributes_)
            before = last.instructions if isinstance(last, Beside) else ()
            steps[len(steps) - bool(before) :] = [Beside((*before, instruction))]
            continue
        source = numbers[op.operands[0]]
        results = tuple(number(result, values[source].secret, scope_of(op)) for result in op.results)
        if op.name == names.LESS:
            comparison = Comparison(
                source, tuple(ir.DenseI64ArrayAttr(op.attributes[names.THRESHOLDS])), results
            )
            if isinstance(last, CompareBatch):
                steps[-1] = CompareBatch((*last.comparisons, comparison))
            else:
                steps.append(CompareBatch((comparison,)))
        elif isinstance(last, CastBatch) and source not in results_of(last):
            steps[-1] = CastBatch((*last.casts, (source, results[0])))
        else:
            steps.append(CastBatch(((source, results[0]),)))
    returned = ops_of(entry.entry_block)[-1].operands
    return Program(
        name=_program_name(module, entry),
        policy=policy,
        values=tuple(values),
        regions={name: _region(name, function) for name, function in regions.items()},
        steps=tuple(steps),
        inputs=tuple(inputs),
        caller_inputs=tuple(caller_inputs[i] for i in sorted(caller_inputs)),
        outputs=tuple(numbers[value] for value in returned),
        guard=_guard(entry, attributes),
        annotated=portable(annotated),
    )


def _is_engines(op: ir.Operation) -> bool:
    """Whether a cast or a comparison concerns a ring that only the engine has."""
    rings = [
        encoding.ring for encoding in map(encoding_of, (*op.operands, *op.results)) if encoding is not None
    ]
    return op.name in (*names.CASTS, names.LESS) and max(rings) > WIDEST


def _guard(entry: func.FuncOp, arguments: Sequence[Mapping[str, ir.Attribute]]) -> Guard | None:
    if names.GUARDS not in entry.attributes:
        return None
    assumptions = [ir.StringAttr(text).value for text in ir.ArrayAttr(entry.attributes[names.GUARDS])]
    inputs = {}
    for position, attributes in enumerate(arguments):
        if names.RANGE in attributes:
            index = attributes[names.INPUT].value if names.INPUT in attributes else position
            low, high = ir.DenseF64ArrayAttr(attributes[names.RANGE])
            inputs[index] = low, high
    return Guard(tuple(assumptions), inputs)


def _program_name(module: ir.Module, entry: func.FuncOp) -> str:
    attributes = module.operation.attributes
    name = ir.StringAttr(attributes["sym_name"]).value if "sym_name" in attributes else entry.name.value
    return str(name).removeprefix("jit_")


def _region(name: str, function: func.FuncOp) -> Region:
    ring, frac = names.get_int(function.operation, names.RING), names.get_int(function.operation, names.FRAC)
    assert ring is not None and frac is not None
    standalone = function.operation.clone(ir.InsertionPoint(function))
    # The engine's parser knows no ditto attributes and runs the public function @main.
    for attribute in (names.RING, names.FRAC, "sym_visibility"):
        del standalone.attributes[attribute]
    standalone.attributes["sym_name"] = ir.StringAttr.get("main", function.context)
    # Without the local scope, each function's printing would number the values of all others.
    text = standalone.get_asm(use_local_scope=True)
    code = f'module attributes {{pphlo.version = "{PPHLO_VERSION}"}} {{\n{portable(text)}\n}}\n'
    standalone.erase()
    scopes = itertools.groupby(scope_of(op) for op in nested_ops(function.operation))
    return Region(name, ring, frac, code, tuple((scope, len(list(run))) for scope, run in scopes))


def _scope_of(value: ir.Value) -> str:
    op = defining_op(value)
    return "" if op is None else scope_of(op)
