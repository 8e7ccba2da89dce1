"""The pass `ditto-to-pphlo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.diagnostics import ErrorCollector
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import EncodingError, Int
from ditto_compiler.ir import (
    element_type,
    encoding_of,
    func,
    functions,
    ir,
    nested_ops,
    numel,
    ops_of,
    set_function_type,
)
from ditto_compiler.ops import OPS
from ditto_compiler.ops.emitter import Emitter, region_result
from ditto_compiler.pass_base import Pass
from ditto_compiler.structure import constant_numbers


@dataclass(frozen=True)
class DittoToPphlo(Pass):
    """Lower each region to pphlo, the dialect that the SPU engine runs.

    Op by op, by the emitters in the homes of the ops (`ops/`). Tensors lose their encoding: the runtime that
    runs the region has its ring and fraction bits. Secret tensors get elements `!pphlo.secret<f32>`.
    `@main`'s calls become `ditto.call`, because the types of its values and of the regions now differ.

    Requires: an outlined module.

    Before:

        func.func private @r0(%x: tensor<4xf32, #ditto.fxp<64, 18>> {ditto.visibility = "secret"})
            -> tensor<4xf32, #ditto.fxp<64, 18>> attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
          %0 = stablehlo.exponential %x : tensor<4xf32, #ditto.fxp<64, 18>>
          return %0 : tensor<4xf32, #ditto.fxp<64, 18>>
        }

    After:

        func.func private @r0(%x: tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
            attributes {ditto.frac = 18 : i32, ditto.ring = 64 : i32} {
          %0 = "pphlo.exponential"(%x) : (tensor<4x!pphlo.secret<f32>>) -> tensor<4x!pphlo.secret<f32>>
          return %0 : tensor<4x!pphlo.secret<f32>>
        }

    Errors: a module that is not outlined; an op without a lowering; a constant that its encoding cannot hold.
    """

    name: ClassVar[str] = "ditto-to-pphlo"
    free_above: int = 4096
    """Free intermediate values larger than this many elements after their last use; -1 frees none."""

    def run(self, module: ir.Module) -> None:
        errors = self.errors()
        entry = self.entry(module, after="ditto-outline-regions")
        regions = [f for f in functions(module) if f != entry]
        for region in regions:
            for op in nested_ops(region.operation):
                if op.name == names.ONESHOT:
                    errors.add(op, "the engine cannot run it; run ditto-choose-functions with beside=none")
                elif op.name not in (*OPS, names.RESCALE):
                    errors.add(op, "there is no lowering to pphlo; run ditto-check-supported first")
                elif op.name == "stablehlo.constant" and (problem := _misfit(op)):
                    errors.add(op, problem)
        errors.raise_if_any()
        visibility = VisibilityAnalysis(module)
        for region in regions:
            self._lower(region, visibility, errors)
        # Only now: the analysis knows values by address, which a new op could get.
        for region in regions:
            region.operation.erase()
        for op in ops_of(entry.entry_block):
            if op.name == "func.call":
                _replace_call(op)
        names.set_stage(module, "lowered")

    def _lower(self, region: func.FuncOp, visibility: VisibilityAnalysis, errors: ErrorCollector) -> None:
        """Replaces `region` by a function of the same name with pphlo ops."""
        attributes = region.attributes
        ring, frac = names.get_int(region.operation, names.RING), names.get_int(region.operation, names.FRAC)
        assert ring is not None and frac is not None
        with ir.InsertionPoint(region):
            lowered = func.FuncOp(region.name.value, ([], []), visibility="private", loc=region.location)
        lowered.attributes[names.RING] = attributes[names.RING]
        lowered.attributes[names.FRAC] = attributes[names.FRAC]
        emitter = Emitter(visibility.is_secret, ring, frac, ir.InsertionPoint(region), region.location)
        types = [emitter.type_of(argument) for argument in region.arguments]
        block = lowered.regions[0].blocks.append(*types, arg_locs=[region.location] * len(types))
        emitter.values.update(zip(region.arguments, block.arguments, strict=True))
        emitter.ip = ir.InsertionPoint(block)
        ops = ops_of(region.entry_block)
        for op in ops[:-1]:
            try:
                emitter.emit(op)
            except EncodingError as error:
                errors.add(op, str(error))
                errors.raise_if_any()
        emitter.loc = ops[-1].location
        returned = [region_result(emitter, value) for value in ops[-1].operands]
        func.ReturnOp(returned, ip=emitter.ip, loc=ops[-1].location)
        set_function_type(lowered)
        self._free_large(lowered)

    def _free_large(self, region: func.FuncOp) -> None:
        if self.free_above < 0:
            return
        ops = ops_of(region.entry_block)
        returned = set(ops[-1].operands)
        last_use: dict[ir.Value, int] = {}
        for index, op in enumerate(ops):
            for user in (op, *nested_ops(op)):
                for value in user.operands:
                    last_use[value] = index
        for op in ops[:-1]:
            for result in op.results:
                if numel(result) > self.free_above and result not in returned and result in last_use:
                    user = last_use[result]
                    ir.Operation.create(
                        "pphlo.free",
                        operands=[result],
                        loc=op.location,
                        ip=ir.InsertionPoint(ops[user + 1]),
                    )


def _misfit(constant: ir.Operation) -> str | None:
    """Why a constant of integers cannot be held in its ring; None when it can."""
    value = constant.results[0]
    encoding = encoding_of(value)
    if not isinstance(encoding, Int):
        return None
    fitting = encoding.numbers(signed=element_type(value).startswith("i") and element_type(value) != "i1")
    beyond = next((number for number in constant_numbers(constant) if int(number) not in fitting), None)
    if beyond is None:
        return None
    return (
        f"{beyond} does not fit {encoding}, which holds integers in [{fitting.start}, {fitting.stop}); give "
        "what is computed with it a rule with a wider ring"
    )


def _replace_call(call: ir.Operation) -> None:
    lowered = ir.Operation.create(
        names.CALL,
        results=[result.type for result in call.results],
        operands=list(call.operands),
        attributes={"callee": call.attributes["callee"]},
        loc=call.location,
        ip=ir.InsertionPoint(call),
    )
    for old, new in zip(call.results, lowered.results, strict=True):
        old.replace_all_uses_with(new)
    call.erase()
