"""The verifier beyond single rules, which test/dialect/invalid.mlir covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest

from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import InternalError
from ditto_compiler.extensions import PluginError
from ditto_compiler.ir import entry_function, ir, parse_module, set_encoding
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.registry import PASSES
from ditto_compiler.verifier import verify_module

WIDE = "tensor<4xf32, #ditto.fxp<64, 18>>"
NARROW = "tensor<4xf32, #ditto.fxp<32, 10>>"


def problems(text: str) -> list[str]:
    module = parse_module(text)
    try:
        verify_module(module)
    except CompileError as error:
        return [diagnostic.message for diagnostic in error.diagnostics]
    return []


def test_all_violations_of_a_stage_are_reported_at_once() -> None:
    found = problems(
        f"""
        module attributes {{ditto.stage = "cast"}} {{
          func.func @main(%x: {WIDE}) -> {NARROW} {{
            %0 = stablehlo.negate %x : ({WIDE}) -> {NARROW}
            %1 = stablehlo.divide %0, %0 : {NARROW}
            %2 = "ditto.upcast"(%1) : ({NARROW}) -> {NARROW}
            return %2 : {NARROW}
          }}
        }}
        """
    )
    assert [message.split("op: ")[1][:2] for message in found] == ["c2", "c4", "d3"]


def test_types_come_before_ops() -> None:
    """A c1 error would lead to a row of c2 errors that say nothing new."""
    found = problems(
        f"""
        module attributes {{ditto.stage = "cast"}} {{
          func.func @main(%x: tensor<4xf32>) -> {WIDE} {{
            %0 = stablehlo.negate %x : (tensor<4xf32>) -> {WIDE}
            return %0 : {WIDE}
          }}
        }}
        """
    )
    assert len(found) == 1 and "c1" in found[0]


def test_functions_besides_the_entry_are_checked_once_outlined() -> None:
    text = f"""
        module attributes {{ditto.stage = "STAGE"}} {{
          func.func @main(%x: {WIDE}) -> {WIDE} {{
            return %x : {WIDE}
          }}
          func.func private @other(%x: tensor<4xf32>) -> tensor<4xf32> {{
            return %x : tensor<4xf32>
          }}
        }}
        """
    assert problems(text.replace("STAGE", "annotated")) == []
    assert "c1" in problems(text.replace("STAGE", "outlined"))[0]


def test_an_annotated_module_without_entry_function_verifies() -> None:
    assert problems('module attributes {ditto.stage = "annotated"} {}') == []


def test_rules_hold_inside_regions() -> None:
    found = problems(
        f"""
        module attributes {{ditto.stage = "cast"}} {{
          func.func @main(%p: tensor<i1, #ditto.int<64>>, %x: {WIDE}, %y: {NARROW}) -> {WIDE} {{
            %0 = "stablehlo.if"(%p) ({{
              stablehlo.return %x : {WIDE}
            }}, {{
              %1 = stablehlo.add %x, %y : ({WIDE}, {NARROW}) -> {WIDE}
              stablehlo.return %1 : {WIDE}
            }}) : (tensor<i1, #ditto.int<64>>) -> {WIDE}
            return %0 : {WIDE}
          }}
        }}
        """
    )
    assert len(found) == 1 and "'stablehlo.add' op: c2" in found[0]


def test_a_while_may_not_change_its_encoding() -> None:
    found = problems(
        """
        module attributes {ditto.stage = "cast"} {
          func.func @main(%x: tensor<i32, #ditto.int<64>>) -> tensor<i32, #ditto.int<64>> {
            %0 = stablehlo.while(%n = %x) : tensor<i32, #ditto.int<64>>
              cond {
                %1 = stablehlo.constant dense<true> : tensor<i1, #ditto.int<64>>
                stablehlo.return %1 : tensor<i1, #ditto.int<64>>
              } do {
                %1 = stablehlo.constant dense<1> : tensor<i32, #ditto.int<32>>
                stablehlo.return %1 : tensor<i32, #ditto.int<32>>
              }
            return %0 : tensor<i32, #ditto.int<64>>
          }
        }
        """
    )
    assert len(found) == 1 and "'stablehlo.return' op: c2" in found[0]


@dataclass(frozen=True)
class Breaks(Pass):
    """Leave the argument in another ring than its uses."""

    name: ClassVar[str] = "breaks"

    def run(self, module: ir.Module) -> None:
        entry = entry_function(module)
        assert entry is not None
        set_encoding(entry.arguments[0], Fxp(32, 10))
        names.set_stage(module, "cast")


@dataclass(frozen=True)
class Mends(Pass):
    """Undo what Breaks does."""

    name: ClassVar[str] = "mends"

    def run(self, module: ir.Module) -> None:
        entry = entry_function(module)
        assert entry is not None
        set_encoding(entry.arguments[0], Fxp(64, 18))


def negate() -> ir.Module:
    return parse_module(
        f"""
        func.func @main(%x: {WIDE}) -> {WIDE} {{
          %0 = stablehlo.negate %x : {WIDE}
          return %0 : {WIDE}
        }}
        """
    )


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (Breaks, Mends):
        monkeypatch.setitem(PASSES.own, cls.name, cls)


@pytest.mark.usefixtures("ours")
def test_a_pass_that_leaves_an_invalid_module_is_a_bug_of_ours() -> None:
    for passes in ([Breaks()], [Breaks(), Mends()]):
        with pytest.raises(InternalError, match="pass 'breaks' left an invalid module"):
            PassManager(passes).run(negate())


def test_passes_of_others_are_verified_each_and_blamed_by_name() -> None:
    for verify_each in (True, False):
        with pytest.raises(PluginError, match=f"'breaks' of package '{__name__}' left an invalid module"):
            PassManager([Breaks(), Mends()], verify_each=verify_each).run(negate())


@pytest.mark.usefixtures("ours")
def test_verification_can_wait_for_the_last_pass() -> None:
    PassManager([Breaks(), Mends()], verify_each=False).run(negate())
    with pytest.raises(InternalError, match="pass 'breaks' left an invalid module"):
        PassManager([Mends(), Breaks()], verify_each=False).run(negate())


def test_input_is_verified_before_the_first_pass() -> None:
    module = parse_module("func.func @main(%x: tensor<4xf32, #ditto.fxp<65, 18>>) {\n return\n}")
    with pytest.raises(CompileError, match="ring width must be in"):
        PassManager([]).run(module)
