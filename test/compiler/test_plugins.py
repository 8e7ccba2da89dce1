"""What plugins may add, what is refused, and where they hold. examples/check.py tests a whole package."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.frontend import trace
from ditto.runtime.party import process as party_process
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.extensions import PluginError
from ditto_compiler.forms.builder import Builder, Tensor
from ditto_compiler.forms.table import FORM_NAMES, FORMS, Form
from ditto_compiler.ir import entry_function, insert_op, ir, ops_of
from ditto_compiler.matcher import Var, op
from ditto_compiler.ops import OPS, Kind
from ditto_compiler.options import PipelineError
from ditto_compiler.pass_base import Pass
from ditto_compiler.pass_manager import PassManager, parse_pipeline, pipeline_text
from ditto_compiler.pipelines import EXTENSION_POINTS, default_pipeline
from ditto_compiler.plugins import API, Plugin, Registry, installed, using
from ditto_compiler.policy import PolicyError, load_policy
from ditto_compiler.processes import child_environment
from ditto_compiler.reading import read_program
from ditto_compiler.recognizers import Recognizer
from ditto_compiler.registry import PASSES

X = np.linspace(-2, 2, 8, dtype=np.float32)


@dataclass(frozen=True)
class Nothing(Pass):
    """Change nothing."""

    name: ClassVar[str] = "do-nothing"
    times: int = 1

    def run(self, module: ir.Module) -> None:
        self.note("remark", ops_of(entry_function(module).entry_block)[0], f"{self.times} times nothing")


@dataclass(frozen=True)
class Fails(Pass):
    """Raise what no pass may."""

    name: ClassVar[str] = "fail"

    def run(self, module: ir.Module) -> None:
        raise KeyError("lost")


@dataclass(frozen=True)
class UsesUnknownOps(Pass):
    """Put an op there that nobody knows."""

    name: ClassVar[str] = "use-unknown-ops"

    def run(self, module: ir.Module) -> None:
        end = ops_of(entry_function(module).entry_block)[-1]
        value = end.operands[0]
        end.operands[0] = Builder.before(end).op("tan", [value.type], [value]).results[0]


@dataclass(frozen=True)
class LoopsSecretly(Pass):
    """Put a loop there whose condition is secret."""

    name: ClassVar[str] = "loop-secretly"

    def run(self, module: ir.Module) -> None:
        end = ops_of(entry_function(module).entry_block)[-1]
        value = end.operands[0]
        builder = Builder.before(end)
        loop = builder.op("while", [value.type], [value], regions=2)
        for region in loop.regions:
            block = region.blocks.append(value.type, arg_locs=[end.location])
            inside = Builder(ir.InsertionPoint(block), end.location)
            x = inside.tensor(block.arguments[0])
            if region == loop.regions[0]:
                small = (x < 1.0).value
                (start,) = (inside.op("constant", [_scalar()], [], {"value": _true()}).results,)
                reduced = inside.op(
                    "reduce",
                    [_scalar()],
                    [small, start[0]],
                    {"dimensions": ir.DenseI64ArrayAttr.get([0])},
                    regions=1,
                )
                body = reduced.regions[0].blocks.append(_scalar(), _scalar(), arg_locs=[end.location] * 2)
                within = Builder(ir.InsertionPoint(body), end.location)
                both = within.op("and", [_scalar()], list(body.arguments)).results[0]
                within.op("return", [], [both])
                inside.op("return", [], [reduced.results[0]])
            else:
                inside.op("return", [], [(x + 1.0).value])
        end.operands[0] = loop.results[0]


def _scalar() -> ir.Type:
    return ir.RankedTensorType.get([], ir.IntegerType.get_signless(1))


def _true() -> ir.Attribute:
    return ir.Attribute.parse("dense<true> : tensor<i1>")


def adding(*classes: type[Pass]) -> Plugin:
    return Plugin(API, lambda registry: registry.passes(*classes))


def double(x: Tensor) -> Tensor:
    return x + x


FORM = Form("double", "x + x", "this test", "any x", None, double)
TAN = Recognizer("tan", ("stablehlo.tan",), (op("tan", Var("x")),))
ADD = dataclasses.replace(OPS["stablehlo.add"], name="example.add")


def rule(*_: Any) -> Any:
    raise NotImplementedError


def test_nothing_is_installed_here_and_nothing_is_added_outside() -> None:
    with using():
        assert installed() == ()
        assert list(PASSES) == list(PASSES.own)
    with using(adding(Nothing)):
        assert "do-nothing" in PASSES and list(PASSES)[-1] == "do-nothing"
        with using():
            assert "do-nothing" not in PASSES
        assert "do-nothing" in PASSES
    assert "do-nothing" not in PASSES


def test_passes_are_names_in_pipelines() -> None:
    text = "builtin.module(inline-calls,do-nothing{times=3},cse)"
    with pytest.raises(PipelineError, match="neither a pass of ditto nor one of MLIR"):
        parse_pipeline(text)
    with using(adding(Nothing)):
        passes = parse_pipeline(text)
    assert passes[1] == Nothing(times=3) and pipeline_text(passes) == text


@pytest.mark.parametrize("point", EXTENSION_POINTS)
@pytest.mark.parametrize("policy", ["uniform64", "ditto-engine", "ditto"])
def test_passes_run_at_every_point(point: str, policy: str) -> None:
    def f(x: jax.Array, w: jax.Array) -> jax.Array:
        with jax.named_scope("layer"):
            return jax.nn.softmax(jax.nn.gelu(x @ w)) / 3 + jnp.argmax(x) + (x > 0).sum(-1, keepdims=True)

    x, w = X.reshape(2, 4), X[:4, None] * X[None, :4]
    plain = ditto.compile(f, x, w, policy=policy)
    with using(adding(Nothing)):
        program = ditto.compile(f, x, w, policy=policy, passes={point: ["do-nothing{times=2}", Nothing()]})
    assert program.digest == plain.digest
    assert sum("times nothing" in str(remark) for remark in program.remarks) == 2


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ({"before-anotation": []}, "did you mean 'before-annotation'"),
        ({"after-casts": [3]}, "at after-casts: expected passes, or pipelines as text, got 3"),
        ({"after-casts": "do-nothin"}, "'do-nothin' is neither a pass"),
        (["cse"], "passes must be by extension point"),
    ],
)
def test_bad_passes(passes: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        ditto.compile(jnp.tanh, X, passes=passes)


def test_a_pass_that_raises_is_blamed_with_its_package() -> None:
    with (
        using(adding(Fails)),
        pytest.raises(PluginError, match=r"pass 'fail' of package .* KeyError: 'lost'"),
    ):
        ditto.compile(jnp.tanh, X, passes={"before-annotation": "fail"})


@pytest.mark.parametrize("point", EXTENSION_POINTS)
@pytest.mark.parametrize("policy", ["uniform64", "ditto"])
@pytest.mark.parametrize("cls", [UsesUnknownOps, LoopsSecretly])
def test_what_a_pass_leaves_is_checked(cls: type[Pass], policy: str, point: str) -> None:
    with pytest.raises((CompileError, PluginError), match=r"no private implementation|secret|c[1-6]:"):
        ditto.compile(lambda x: x * 2, X, policy=policy, passes={point: cls()})


def test_a_large_program_is_as_it_was_with_a_pass_that_does_nothing() -> None:
    with using(adding(Nothing)):
        text = pipeline_text(default_pipeline("ditto", passes={"after-casts": "do-nothing"}))
        assert "do-nothing,ditto-check-supported{max-public-constant=-1},ditto-check-domains" in text


REFUSED: list[tuple[Callable[[Registry], None], str]] = [
    (lambda r: r.passes(type("P", (Nothing,), {"name": "ditto-mine"})), "must not start with 'ditto-'"),
    (lambda r: r.passes(type("P", (Nothing,), {"name": "Mine"})), "kebab case"),
    (lambda r: r.passes(type("P", (Nothing,), {"name": "cse", "__doc__": "x"})), "one of MLIR's"),
    (lambda r: r.passes(type("P", (Nothing,), {"__doc__": None})), "needs a docstring"),
    (lambda r: r.passes(int), "no subclass of"),
    (lambda r: r.passes(Nothing, Nothing), "pass 'do-nothing' is added by package '.*' twice"),
    (lambda r: r.passes(type("P", (Nothing,), {"name": "inline-calls", "__doc__": "x"})), "and 'Ditto'"),
    (lambda r: r.op(ADD, exact=rule, fast=None), "lacks a fast rule"),
    (lambda r: r.op(dataclasses.replace(ADD, emit=None), exact=rule, fast=rule), "lacks an emitter"),
    (lambda r: r.op(ADD.named("add"), exact=rule, fast=rule), "must be a dialect and a name"),
    (lambda r: r.op(ADD.named("ditto.add"), exact=rule, fast=rule), "must not be of one of the dialects"),
    (lambda r: r.op(ADD.named("stablehlo.add"), exact=rule, fast=rule), "op 'stablehlo.add' is added by"),
    (lambda r: r.op(dataclasses.replace(ADD, rings=(48,)), exact=rule, fast=rule), "rings must be some of"),
    (lambda r: r.op(dataclasses.replace(ADD, kind=Kind.TERMINATOR), exact=rule, fast=rule), "TERMINATOR"),
    (lambda r: r.op("add", exact=rule, fast=rule), "is no ditto_compiler.ops.Op"),
    (lambda r: r.function(TAN), "function 'tan' needs a form"),
    (lambda r: r.function(dataclasses.replace(TAN, function="gelu"), FORM), "'gelu' is added by"),
    (lambda r: r.function(TAN, dataclasses.replace(FORM, source="")), "must say its formula"),
    (lambda r: r.function(TAN, dataclasses.replace(FORM, engine="other")), "stands in for 'other'"),
    (lambda r: r.forms("tan", FORM), "Ditto has no such function"),
    (lambda r: r.forms("gelu", dataclasses.replace(FORM, name="quad")), "form 'gelu quad' is added by"),
    (lambda r: r.forms("gelu", dataclasses.replace(FORM, name="exact")), "form 'gelu exact' is added by"),
    (lambda r: r.policy("ditto", ""), "must not start with|added by"),
    (lambda r: r.policy("mine", 3), "must be the text of a TOML file"),
    (lambda r: r.report("json", str), "report format 'json' is added by"),
    (lambda r: r.report("mine", None), "must be a function of a Report"),
    (lambda r: 1 / 0, "its plugin fails to register: ZeroDivisionError"),
]


@pytest.mark.parametrize(("register", "message"), REFUSED)
def test_what_is_not_whole_is_refused(register: Callable[[Registry], None], message: str) -> None:
    with pytest.raises(PluginError, match=message) as error, using(Plugin(API, register)):
        pass
    assert __name__ in str(error.value)


def test_one_name_for_two_things_names_both_packages() -> None:
    first, second = (Registry(package) for package in ("first 1.0", "second 2.0"))
    first.policy("mine", "")
    second._packages = first._packages
    with pytest.raises(PluginError, match=r"policy 'mine' is added by 'second 2.0' and 'first 1.0'; rename"):
        second.policy("mine", "")


def test_another_version_of_the_interface_is_refused() -> None:
    plugin = Plugin(API + 1, lambda registry: None)
    with pytest.raises(PluginError, match=f"version {API + 1} of .* this Ditto has version {API}"):
        using(plugin).__enter__()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nowhere_to_be_found", "cannot be imported: ModuleNotFoundError"),
        ("1 / 0", "cannot be imported: ZeroDivisionError"),
        ("plugin = 3", "must be a ditto_compiler.plugins.Plugin, got 3"),
        ("x = 3", "cannot be imported: AttributeError"),
    ],
)
def test_a_module_that_is_no_plugin(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"module_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=message) as error:
        using(name).__enter__()
    assert f"package '{name}'" in str(error.value)


def test_more_forms_of_a_function_of_dittos() -> None:
    plugin = Plugin(API, lambda registry: registry.forms("gelu", FORM))
    with using(plugin):
        assert FORM_NAMES["gelu"] == (*FORM_NAMES_OF_GELU, "double") and FORMS["gelu"]["double"] is FORM
        form = ditto.Policy("mine", load_policy("uniform64").dtypes, forms=(form_rule({"gelu": "double"}),))
        program = ditto.compile(jax.nn.gelu, X, policy=form)
        np.testing.assert_allclose(ditto.simulate(program, X).outputs, 2 * X, atol=1e-4)
    assert FORM_NAMES["gelu"] == FORM_NAMES_OF_GELU


FORM_NAMES_OF_GELU = FORM_NAMES["gelu"]


def form_rule(forms: dict[str, str]) -> Any:
    from ditto_compiler.policy import FormRule

    return FormRule("mine", forms)


def test_a_policy_with_an_error_names_its_package() -> None:
    plugin = Plugin(API, lambda registry: registry.policy("mine", 'bas = "ditto"'))
    with (
        using(plugin),
        pytest.raises(PolicyError, match=f"of {__name__}: mine: .* unknown key 'bas'"),
    ):
        load_policy("mine")
    with pytest.raises(PolicyError, match="no policy 'mine'"):
        load_policy("mine")


def test_plugins_hold_in_one_thread_only() -> None:
    seen = []
    with using(adding(Nothing)):
        thread = threading.Thread(target=lambda: seen.append("do-nothing" in PASSES))
        thread.start()
        thread.join()
    assert seen == [False]


PACKAGE = """
import dataclasses
from ditto_compiler.ops import OPS
from ditto_compiler.plugins import Plugin

def rule(*_): ...

def register(registry):
    registry.op(dataclasses.replace(OPS["stablehlo.add"], name="example.add"), exact=rule, fast=rule)

plugin = Plugin(1, register)
"""

TYPE = "tensor<4xf32, #ditto.fxp<64, 18>>"
ANNOTATED = f"""
module attributes {{ditto.stage = "cast"}} {{
  func.func @main(%x: {TYPE}) -> {TYPE} {{
    %0 = "example.add"(%x, %x) : ({TYPE}, {TYPE}) -> {TYPE}
    return %0 : {TYPE}
  }}
}}
"""


def test_child_processes_know_the_same_ops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "package_with_an_op.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with using("package_with_an_op"):
        read_program(ANNOTATED, "x.mlir")
    with pytest.raises(CompileError, match=r"'example.add' op: c1: the engine has no"):
        read_program(ANNOTATED, "x.mlir")
    # One that the child cannot load does not keep it from reading.
    monkeypatch.delenv("PYTHONPATH")
    with using("package_with_an_op"):
        read_program("func.func @main() {\n  return\n}", "x.mlir")
        with pytest.raises(CompileError, match="expected"):
            read_program("func.func @main(", "x.mlir")


def install(folder: Path, name: str, code: str) -> None:
    """Puts a package with a plugin where Python looks for installed ones."""
    (folder / f"{name}.py").write_text(code)
    about = folder / f"{name}-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n")
    (about / "entry_points.txt").write_text(f"[ditto.plugins]\n{name} = {name}:plugin\n")


def run(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**child_environment(**environment), "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )


KNOWN = "from ditto_compiler.ops import OPS\nprint('example.add' in OPS)"


def test_installed_plugins_are_found_by_their_entry_points(tmp_path: Path) -> None:
    install(tmp_path, "first", PACKAGE)
    assert run(tmp_path, KNOWN).stdout == "True\n"
    assert run(tmp_path, KNOWN, DITTO_PLUGINS="first").stdout == "True\n"
    assert run(tmp_path, KNOWN, DITTO_PLUGINS="").stdout == "False\n"
    assert (
        "DITTO_PLUGINS names the plugin 'other', which is not"
        in run(tmp_path, KNOWN, DITTO_PLUGINS="other").stderr
    )
    install(tmp_path, "second", PACKAGE)
    both = run(tmp_path, KNOWN).stderr
    assert "op 'example.add' is added by 'second 1.5' and 'first 1.5'" in both
    # Two packages may call their entry points alike.
    for name in ("first", "second"):
        entry = tmp_path / f"{name}-1.5.dist-info" / "entry_points.txt"
        entry.write_text(f"[ditto.plugins]\nsame = {name}:plugin\n")
    assert "by 'second 1.5' and 'first 1.5'" in run(tmp_path, KNOWN).stderr
    install(tmp_path, "third", "import nothing_like_it")
    assert (
        "package 'third 1.5': its plugin 'third:plugin' cannot be imported"
        in run(tmp_path, KNOWN, DITTO_PLUGINS="third").stderr
    )


def test_parties_never_load_plugins(tmp_path: Path) -> None:
    """Whatever a program file says: their modules do not even know how."""
    install(tmp_path, "first", "raise RuntimeError")
    code = (
        f"import sys, {party_process.__name__}, ditto_compiler.program\n"
        "print('first' in sys.modules, 'ditto_compiler.plugins' in sys.modules, "
        "'ditto_compiler.extensions' in sys.modules)"
    )
    assert run(tmp_path, code).stdout == "False False False\n"


def test_an_op_without_home_is_still_none() -> None:
    with using(adding(Nothing)):
        module = trace(lambda x: x, (X,)).module
        end = ops_of(entry_function(module).entry_block)[-1]
        with module.context:
            end.operands[0] = insert_op("real", end.operands[0].type, end.operands[0], before=end)
        with pytest.raises(CompileError, match=r"'stablehlo.real' op: the engine has no"):
            PassManager(default_pipeline()).run(module)
