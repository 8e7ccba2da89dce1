"""Which values are secret."""

from __future__ import annotations

import pytest

from ditto_compiler.analyses.visibility import VisibilityAnalysis
from ditto_compiler.ir import entry_function, nested_ops, parse_module


def returned(text: str) -> list[bool]:
    """Whether each value that the entry function returns is secret."""
    module = parse_module(text)
    entry = entry_function(module)
    assert entry is not None
    analysis = VisibilityAnalysis(module)
    (end,) = [
        op for op in nested_ops(entry.operation) if op.name == "func.return" and op.parent == entry.operation
    ]
    return [analysis.is_secret(value) for value in end.operands]


PUBLIC = '{ditto.visibility = "public"}'
SECRET = '{ditto.visibility = "secret"}'


@pytest.mark.parametrize(
    ("left", "right", "secret"),
    [
        (PUBLIC, PUBLIC, False),
        (PUBLIC, SECRET, True),
        (SECRET, PUBLIC, True),
        (SECRET, SECRET, True),
        (PUBLIC, "", True),
    ],
    ids=["pp", "ps", "sp", "ss", "unsaid"],
)
def test_binary(left: str, right: str, secret: bool) -> None:
    assert returned(
        f"""
        func.func @main(%x: tensor<4xf32> {left}, %y: tensor<4xf32> {right}) -> tensor<4xf32> {{
          %0 = stablehlo.add %x, %y : tensor<4xf32>
          return %0 : tensor<4xf32>
        }}
        """
    ) == [secret]


def test_constants_are_public() -> None:
    assert returned(
        """
        func.func @main(%x: tensor<f32>) -> (tensor<f32>, tensor<2xf32>) {
          %0 = stablehlo.constant dense<1.0> : tensor<f32>
          %1 = stablehlo.iota dim = 0 : tensor<2xf32>
          return %0, %1 : tensor<f32>, tensor<2xf32>
        }
        """
    ) == [False, False]


@pytest.mark.parametrize(
    ("condition", "argument", "secret"),
    [(PUBLIC, PUBLIC, False), (PUBLIC, SECRET, True), (SECRET, PUBLIC, True)],
)
def test_a_branch_is_as_secret_as_its_condition_and_its_sides(
    condition: str, argument: str, secret: bool
) -> None:
    assert returned(
        f"""
        func.func @main(%p: tensor<i1> {condition}, %x: tensor<f32> {argument}) -> tensor<f32> {{
          %c = stablehlo.constant dense<1.0> : tensor<f32>
          %0 = "stablehlo.if"(%p) ({{
            stablehlo.return %c : tensor<f32>
          }}, {{
            stablehlo.return %x : tensor<f32>
          }}) : (tensor<i1>) -> tensor<f32>
          return %0 : tensor<f32>
        }}
        """
    ) == [secret]


def loop(returns: str) -> str:
    return f"""
        func.func @main(%x: tensor<f32>) -> (tensor<i32>, tensor<f32>, tensor<f32>) {{
          %i = stablehlo.constant dense<0> : tensor<i32>
          %c = stablehlo.constant dense<0.0> : tensor<f32>
          %0:3 = stablehlo.while(%n = %i, %a = %c, %b = %c) : tensor<i32>, tensor<f32>, tensor<f32>
            cond {{
              %1 = stablehlo.constant dense<3> : tensor<i32>
              %2 = stablehlo.compare LT, %n, %1 : (tensor<i32>, tensor<i32>) -> tensor<i1>
              stablehlo.return %2 : tensor<i1>
            }} do {{
              stablehlo.return {returns} : tensor<i32>, tensor<f32>, tensor<f32>
            }}
          return %0#0, %0#1, %0#2 : tensor<i32>, tensor<f32>, tensor<f32>
        }}
        """


def test_loop_state_is_kept_apart() -> None:
    assert returned(loop("%n, %a, %x")) == [False, False, True]


def test_a_secret_travels_through_the_state_round_by_round() -> None:
    """%a is public in the first two rounds and gets the secret in the third."""
    assert returned(loop("%n, %b, %x")) == [False, True, True]


def test_reductions_join_all_operands() -> None:
    assert returned(
        f"""
        func.func @main(%x: tensor<4xf32> {PUBLIC}, %i: tensor<f32>) -> tensor<f32> {{
          %0 = stablehlo.reduce(%x init: %i) applies stablehlo.add across dimensions = [0]
            : (tensor<4xf32>, tensor<f32>) -> tensor<f32>
          return %0 : tensor<f32>
        }}
        """
    ) == [True]


def test_calls_are_followed_with_each_caller_s_arguments() -> None:
    assert returned(
        f"""
        func.func @main(%x: tensor<f32>, %y: tensor<f32> {PUBLIC}) -> (tensor<f32>, tensor<f32>) {{
          %0 = call @f(%x) : (tensor<f32>) -> tensor<f32>
          %1 = call @f(%y) : (tensor<f32>) -> tensor<f32>
          return %0, %1 : tensor<f32>, tensor<f32>
        }}
        func.func private @f(%x: tensor<f32>) -> tensor<f32> {{
          %0 = stablehlo.negate %x : tensor<f32>
          return %0 : tensor<f32>
        }}
        """
    ) == [True, False]


def test_what_is_not_reached_is_secret() -> None:
    module = parse_module(
        """
        func.func @main() {
          return
        }
        func.func private @unused() -> tensor<f32> {
          %0 = stablehlo.constant dense<1.0> : tensor<f32>
          return %0 : tensor<f32>
        }
        """
    )
    constants = [op for op in nested_ops(module.operation) if op.name == "stablehlo.constant"]
    assert VisibilityAnalysis(module).is_secret(constants[0].results[0])
