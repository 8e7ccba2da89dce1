"""Every pass by itself on input that it was not made for: an error with a place, or a valid program."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ditto.frontend import trace
from ditto_compiler.diagnostics import PARSED_TEXT, CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import MlirPass, PassManager
from ditto_compiler.pipelines import default_pipeline
from ditto_compiler.registry import PASSES
from ditto_compiler.source import parse_source


def main_of(arguments: str, body: str, results: str = "", more: str = "") -> str:
    arrow = f" -> ({results})" if results else ""
    return f"func.func @main({arguments}){arrow} {{\n{body}\n}}\n{more}"


def through(type_: str, body: str = "", value: str = "%x", more: str = "") -> str:
    """`@main` from a type to the same type."""
    return main_of(f"%x: {type_}", f"{body}\nreturn {value} : {type_}", type_, more)


def added(type_: str) -> str:
    return through(type_, f"%0 = stablehlo.add %x, %x : {type_}", "%0")


F32 = "tensor<4xf32>"
CALL = f"%0 = call @f(%x) : ({F32}) -> {F32}"
IDENTITY = f"func.func private @f(%x: {F32}) -> {F32} {{ return %x : {F32} }}"

INPUTS = {
    "empty": "module {}",
    "an op outside of functions": '"other.global"() : () -> ()',
    "f8": added("tensor<4xf8E4M3FN>"),
    "f8 constant": main_of("", "%0 = stablehlo.constant dense<[1.0, 2.0]> : tensor<2xf8E5M2>\nreturn"),
    "i4": added("tensor<4xi4>"),
    "i4 constant": main_of("", "%0 = stablehlo.constant dense<[1, 2]> : tensor<2xi4>\nreturn"),
    "index": through("tensor<4xindex>"),
    "unknown element": through("tensor<4x!other.type>"),
    "complex": added("tensor<4xcomplex<f32>>"),
    "complex constant": main_of(
        "",
        "%0 = stablehlo.constant dense<[(1.0, 2.0), (3.0, 4.0)]> : tensor<2xcomplex<f32>>\n"
        "%1 = stablehlo.real %0 : (tensor<2xcomplex<f32>>) -> tensor<2xf32>\nreturn",
    ),
    "complex constant in a callee": main_of(
        "",
        "call @f() : () -> ()\nreturn",
        more="func.func private @f() {\n%0 = stablehlo.constant dense<(1.0, 2.0)> : tensor<complex<f64>>\n"
        "return }",
    ),
    "complex attribute": main_of(
        f"%x: {F32} {{other.a = dense<(1.0, 2.0)> : tensor<1xcomplex<f32>>}}", "return"
    ),
    "dynamic": added("tensor<?x4xf32>"),
    "dynamic softmax": through(
        "tensor<?x4xf32>",
        """%c = stablehlo.constant dense<0.0> : tensor<f32>
        %0 = stablehlo.exponential %x : tensor<?x4xf32>
        %1 = stablehlo.reduce(%0 init: %c) applies stablehlo.add across dimensions = [1]
          : (tensor<?x4xf32>, tensor<f32>) -> tensor<?xf32>
        %s = "other.shape"() : () -> tensor<2xi32>
        %2 = stablehlo.dynamic_broadcast_in_dim %1, %s, dims = [0]
          : (tensor<?xf32>, tensor<2xi32>) -> tensor<?x4xf32>
        %3 = stablehlo.divide %0, %2 : tensor<?x4xf32>""",
        "%3",
    ),
    "dynamic slice of a dynamic shape": main_of(
        "%x: tensor<?xf32>, %i: tensor<i32>",
        "%0 = stablehlo.dynamic_slice %x, %i, sizes = [1] : (tensor<?xf32>, tensor<i32>) -> tensor<1xf32>\n"
        "return %0 : tensor<1xf32>",
        "tensor<1xf32>",
    ),
    "scatter into a dynamic shape": main_of(
        "%x: tensor<?xf32>, %i: tensor<1xi32>, %u: tensor<f32>",
        '%0 = "stablehlo.scatter"(%x, %i, %u) <{scatter_dimension_numbers = #stablehlo.scatter<'
        "inserted_window_dims = [0], scatter_dims_to_operand_dims = [0]>}> ({\n"
        "^bb0(%a: tensor<f32>, %b: tensor<f32>):\nstablehlo.return %b : tensor<f32>\n"
        "}) : (tensor<?xf32>, tensor<1xi32>, tensor<f32>) -> tensor<?xf32>\nreturn %0 : tensor<?xf32>",
        "tensor<?xf32>",
    ),
    "bounded": through("tensor<?x4xf32, #stablehlo.bounds<8, ?>>"),
    "another encoding": through('tensor<4xf32, "hello">'),
    "unranked": through("tensor<*xf32>"),
    "unranked op": through("tensor<*xf32>", '%0 = "other.op"(%x) : (tensor<*xf32>) -> tensor<*xf32>', "%0"),
    "tuple": main_of(
        f"%x: {F32}",
        f"%0 = stablehlo.tuple %x, %x : tuple<{F32}, {F32}>\nreturn %0 : tuple<{F32}, {F32}>",
        f"tuple<{F32}, {F32}>",
    ),
    "tuple argument": main_of(
        f"%x: tuple<{F32}>",
        f"%0 = stablehlo.get_tuple_element %x[0] : (tuple<{F32}>) -> {F32}\nreturn %0 : {F32}",
        F32,
    ),
    "token": through(
        "!stablehlo.token",
        "%0 = stablehlo.create_token : !stablehlo.token\n%1 = stablehlo.after_all %0, %x : !stablehlo.token",
        "%1",
    ),
    "scalar": through("f32"),
    "vector": through("vector<4xf32>"),
    "memref": through("memref<4xf32>"),
    "unknown type": through("!other.type"),
    "quantized": through("tensor<4x!quant.uniform<i8:f32, 5.000000e-01>>"),
    "several blocks": through(F32, f'"cf.br"(%x)[^next] : ({F32}) -> ()\n^next(%y: {F32}):', "%y"),
    "an unreachable block": main_of(f"%x: {F32}", f"return %x : {F32}\n^next:\nreturn %x : {F32}", F32),
    "several blocks in a callee": through(
        F32,
        CALL,
        "%0",
        f'func.func private @f(%x: {F32}) -> {F32} {{\n"cf.br"(%x)[^next] : ({F32}) -> ()\n'
        f"^next(%y: {F32}):\nreturn %y : {F32} }}",
    ),
    "unknown op": through(F32, f'%0 = "other.op"(%x) : ({F32}) -> {F32}', "%0"),
    "unknown op with blocks": through(
        F32,
        f"""%0 = "other.op"(%x) ({{
        ^first(%a: i32):
          "other.branch"(%a)[^second] : (i32) -> ()
        ^second:
          "other.end"() : () -> ()
        }}) {{a = #other.attr<1>, t = !other.type}} : ({F32}) -> {F32}""",
        "%0",
    ),
    "unknown op with an empty region": through(F32, f'%0 = "other.op"(%x) ({{}}) : ({F32}) -> {F32}', "%0"),
    "unknown op with an empty block": through(
        F32, f'%0 = "other.op"(%x) ({{\n^first(%i: i32):\n}}) : ({F32}) -> {F32}', "%0"
    ),
    "other dialects": through(
        F32, f"%c = arith.constant dense<1.0> : {F32}\n%0 = arith.addf %x, %c : {F32}", "%0"
    ),
    "structured control flow": main_of(
        f"%x: {F32}, %p: i1",
        f"%0 = scf.if %p -> {F32} {{ scf.yield %x : {F32} }} else {{ scf.yield %x : {F32} }}\n"
        f"return %0 : {F32}",
        F32,
    ),
    "no return": main_of(f"%x: {F32}", '"other.end"() : () -> ()'),
    "another return": main_of(f"%x: {F32}", f"stablehlo.return %x : {F32}"),
    "no results": main_of(f"%x: {F32}", "return"),
    "nothing at all": main_of("", "return"),
    "a declaration": f"func.func private @main({F32}) -> {F32}",
    "a call of a declaration": through(F32, CALL, "%0", f"func.func private @f({F32}) -> {F32}"),
    "a call of a public function": through(F32, CALL, "%0", IDENTITY.replace("private", "public")),
    "a public function beside": through(F32, more="func.func public @f(%x: tensor<3xf32>) { return }"),
    "two public functions": through(F32, more=IDENTITY.replace("private", "public")).replace("@main", "@g"),
    "a private main": through(F32).replace("func.func", "func.func private"),
    "a main with the name of a region": added(F32).replace("@main", "@r0"),
    "recursion": through(F32, CALL.replace("@f", "@main"), "%0"),
    "a function as a value": through(
        F32,
        f"%f = func.constant @f : ({F32}) -> {F32}\n%0 = func.call_indirect %f(%x) : ({F32}) -> {F32}",
        "%0",
        IDENTITY,
    ),
    "a composite": through(
        F32,
        f'%0 = stablehlo.composite "other.f" %x {{decomposition = @f}} : ({F32}) -> {F32}',
        "%0",
        IDENTITY,
    ),
    "a custom call": through(
        F32,
        f"%0 = stablehlo.custom_call @other(%x) {{called_computations = [@f]}} : ({F32}) -> {F32}",
        "%0",
        IDENTITY,
    ),
    "a nested module": f"module {{ module @inner {{ {through(F32)} }} }}",
    "a nested module beside": through(F32, more=f"module @inner {{ {through(F32)} }}"),
    "a module in a function": through(F32, "builtin.module {}"),
    "a sparse constant": through(
        F32, f"%c = stablehlo.constant sparse<[[0]], [1.0]> : {F32}\n%0 = stablehlo.add %x, %c : {F32}", "%0"
    ),
    "no elements": through("tensor<0x3xf32>"),
    "chlo that does not fit": through(F32, f"%0 = chlo.conj %x : {F32} -> {F32}", "%0"),
    "chlo of unknown shape": through(
        "tensor<*xf32>", "%0 = chlo.sinh %x : tensor<*xf32> -> tensor<*xf32>", "%0"
    ),
}

ALONE: dict[str, tuple[Pass, ...]] = {
    **{name: (cls(),) for name, cls in PASSES.items()},
    "canonicalize": (MlirPass("canonicalize"),),
    "cse": (MlirPass("cse"),),
    "the default pipeline": default_pipeline(),
    "the pipeline without comparisons of ours": default_pipeline("uniform64"),
    "the pipeline without its front end": default_pipeline()[len(default_pipeline()) // 2 :],
}


def run(text: str, passes: tuple[Pass, ...]) -> None:
    """Runs passes; of errors only a CompileError may come, and it has a place in the text."""
    module = parse_source(text, PARSED_TEXT)
    try:
        PassManager(passes).run(module)
    except CompileError as error:
        assert error.diagnostics
        assert all(diagnostic.location.file == PARSED_TEXT for diagnostic in error.diagnostics)


@pytest.mark.parametrize("name", INPUTS)
def test_passes_on_odd_input(name: str) -> None:
    for passes in ALONE.values():
        run(INPUTS[name], passes)


@pytest.mark.parametrize("name", INPUTS)
def test_passes_on_odd_input_that_claims_to_have_come_further(name: str) -> None:
    """The verifier holds a module to its stage, so that later passes need not."""
    for stage in names.STAGES:
        text = f'module attributes {{ditto.stage = "{stage}"}} {{\n{INPUTS[name]}\n}}'
        run(text, ())
        if is_valid(text):
            for pass_ in PASSES.values():
                run(text, (pass_(),))


def is_valid(text: str) -> bool:
    """Whether passes come to see a program at all."""
    try:
        PassManager(()).run(parse_source(text, PARSED_TEXT))
    except CompileError:
        return False
    return True


@pytest.mark.parametrize("policy", ["ditto", "puma"])
def test_passes_out_of_order(policy: str) -> None:
    """Each pass on what each prefix of the pipeline makes of a program."""

    def f(x: Any) -> Any:
        return jnp.tanh(x @ x), jnp.argmax(x, -1)

    module = trace(f, (np.ones((4, 4), np.float32),)).module
    seen = set()
    for pass_ in (*default_pipeline(policy), MlirPass("cse")):
        text = str(module)
        for cls in PASSES.values() if text not in seen else ():
            takes_policy = any(field.name == "policy" for field in dataclasses.fields(cls))
            run(text, (cls(**{"policy": policy} if takes_policy else {}),))
        seen.add(text)
        PassManager((pass_,)).run(module)


def test_the_inputs_are_what_they_are_called() -> None:
    """They parse: what does not says nothing about passes."""
    for text in INPUTS.values():
        parse_source(text, PARSED_TEXT)
