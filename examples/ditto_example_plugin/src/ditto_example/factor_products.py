"""The pass `example-factor-products`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ditto_compiler.forms.builder import Builder
from ditto_compiler.ir import defining_op, entry_function, ir, nested_ops
from ditto_compiler.pass_base import Pass


@dataclass(frozen=True)
class FactorProducts(Pass):
    """Multiply once where a sum of two products has a common factor.

    Under MPC a product is a message, and a sum is free. Products that something else uses stay.

    Requires: no encodings yet: it is for "before-annotation".

    Before:

        %0 = stablehlo.multiply %x, %a : tensor<4xf32>
        %1 = stablehlo.multiply %x, %b : tensor<4xf32>
        %2 = stablehlo.add %0, %1 : tensor<4xf32>

    After:

        %0 = stablehlo.add %a, %b : tensor<4xf32>
        %1 = stablehlo.multiply %x, %0 : tensor<4xf32>

    Errors: an annotated module, or one without an entry function.
    """

    name: ClassVar[str] = "example-factor-products"
    max_products: int | None = None
    """Save at most this many products; none for any number."""

    def run(self, module: ir.Module) -> None:
        """Rewrites each sum once, in program order."""
        entry = entry_function(module)
        self.check_before("ditto-annotate", module, has_run="ditto.stage" in module.operation.attributes)
        errors = self.errors()
        if entry is None:
            errors.add(module.operation, "there is no entry function; the program needs a public @main")
            errors.raise_if_any()
            return
        saved = 0
        for op in nested_ops(entry.operation):
            if op.name == "stablehlo.add" and saved != self.max_products:
                saved += self._factor(op)

    def _factor(self, op: ir.Operation) -> bool:
        """Pattern: x a + x b -> x (a + b)   [both products have one use, no integers that may be booleans]"""
        first, second = (defining_op(operand) for operand in op.operands)
        if first is None or second is None or first == second:
            return False
        if any(one.name != "stablehlo.multiply" or not _used_once(one) for one in (first, second)):
            return False
        common = [operand for operand in first.operands if operand in list(second.operands)]
        if not common:
            return False
        a, b = (_other(one, common[0]) for one in (first, second))
        builder = Builder.before(op)
        product = builder.tensor(common[0]) * (builder.tensor(a) + builder.tensor(b))
        self.note("remark", op, "its products have a common factor, and are one product now")
        op.results[0].replace_all_uses_with(product.value)
        for idle in (op, first, second):
            idle.erase()
        return True


def _used_once(op: ir.Operation) -> bool:
    return len(list(op.results[0].uses)) == 1


def _other(product: ir.Operation, factor: ir.Value) -> ir.Value:
    return product.operands[1 if product.operands[0] == factor else 0]
