"""What a user may hand to the public functions by mistake, and what they say then."""

from __future__ import annotations

import dataclasses
import enum
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
import ditto_compiler
from ditto.baseline import compile_stock
from ditto.frontend import TraceError
from ditto.models.layers import layer_norm
from ditto_compiler.calibration import RangesError
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.errors import DittoError
from ditto_compiler.network import NetworkError
from ditto_compiler.policy import PRESETS, PolicyError
from ditto_compiler.program_file import ProgramFileError

X = np.float32([[1, 2, 3], [4, 5, 6]])
TEXT = "func.func @main(%x: tensor<2x3xf32>) -> tensor<2x3xf32> { return %x : tensor<2x3xf32> }"


def double(x: Any) -> Any:
    return x + x


def times(x: Any, n: Any) -> Any:
    return x * n


def line_of(function: Callable[..., Any], offset: int = 1) -> str:
    """`FILE:LINE` of a line of a function's body."""
    return f"{__file__}:{function.__code__.co_firstlineno + offset}"


@pytest.mark.parametrize("source", [None, 3, 1.5, ["f"], object(), bytearray(b"module {}")])
def test_what_cannot_be_compiled(source: Any) -> None:
    for call in (lambda: ditto.compile(source, X), lambda: ditto.calibrate(source, [(X,)])):
        with pytest.raises(
            TraceError, match=r"expected a function, or StableHLO as text, bytes, the pathlib.Path"
        ):
            call()


def test_text_that_is_no_text() -> None:
    with pytest.raises(CompileError, match="the input is neither StableHLO text nor MLIR bytecode"):
        ditto.compile("module { // \ud800\n}")


def test_a_class_is_no_function() -> None:
    class Model:
        def __init__(self, x: Any) -> None:
            pass

    with pytest.raises(TraceError, match=r"cannot trace Model .*; it is a class: compile a function"):
        ditto.compile(Model, X)


def test_a_path_is_a_path(tmp_path: Path) -> None:
    file = tmp_path / "model.mlir"
    with pytest.raises(
        TraceError, match=r"'model\.mlir' is no StableHLO; .*write pathlib\.Path\('model\.mlir'\)"
    ):
        ditto.compile("model.mlir")
    with pytest.raises(TraceError, match=f"cannot read '{file}': No such file or directory"):
        ditto.compile(file)
    file.write_text(TEXT)
    with pytest.raises(TraceError, match="write pathlib"):
        ditto.compile(str(file))
    np.testing.assert_allclose(ditto.simulate(ditto.compile(file), X).outputs, X, atol=2**-10)
    assert ditto.calibrate(file, [(X,)]).values == {"argument#0": 6.0}
    file.write_text(TEXT.replace("{ return", "{\n %0 = stablehlo.real %x : tensor<2x3xf32>\n return"))
    with pytest.raises(CompileError, match=re.escape(f"{file}:2:7: error: [ditto-check-supported]")):
        ditto.compile(file)
    with pytest.raises(CompileError, match=re.escape("<string>:2:7: error: [ditto-check-supported]")):
        ditto.compile(file.read_bytes())


@pytest.mark.parametrize(
    "arguments", [{"static_argnums": 0}, {"visibility": 5}, {"visibility": ["secret", 5]}]
)
def test_options_that_do_not_suit_stablehlo(arguments: dict[str, Any]) -> None:
    with pytest.raises(TraceError, match=r"static_argnums|visibility"):
        ditto.compile(TEXT, **arguments)
    with pytest.raises(TraceError, match="without example arguments"):
        ditto.compile(TEXT, X)


@pytest.mark.parametrize("policy", [3, None, b"ditto", ("ditto",)])
def test_what_is_no_policy(policy: Any) -> None:
    calls = (
        lambda: ditto.compile(double, X, policy=policy),
        lambda: ditto.calibrate(double, [(X,)], policy=policy),
        lambda: ditto.load_policy(policy),
    )
    for call in calls:
        with pytest.raises(PolicyError, match="a policy is a preset"):
            call()


def test_a_policy_file_may_be_a_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "uniform64"\n')
    program = ditto.compile(double, X, policy=tmp_path / "mine.toml")
    assert program.policy == str(tmp_path / "mine.toml")


@pytest.mark.parametrize("positions", [-1, (-1,), [1], np.int64(1), {1}, range(1, 2)])
def test_static_arguments_are_as_for_jit(positions: Any) -> None:
    program = ditto.compile(times, X, 3, static_argnums=positions, policy="uniform64")
    np.testing.assert_allclose(ditto.simulate(program, X).outputs, 3 * X, atol=2**-10)
    ranges = ditto.calibrate(times, [(X, 3)], static_argnums=positions)
    assert ranges.values["argument#0"] == 6.0 and "argument#1" not in ranges.values


def test_a_static_argument_with_a_default_may_be_left_out() -> None:
    def f(x: Any, n: int = 2) -> Any:
        return x * n

    assert len(ditto.compile(f, X, static_argnums=1).caller_inputs) == 1


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (5, r"static_argnums=\(5,\), but only accepts 2"),
        (-3, "static_argnums has -3, but there are only 2 arguments"),
        *(
            (wrong, "static_argnums must be one position")
            for wrong in ("1", 1.0, True, None, ["a"], [None], {})
        ),
    ],
)
def test_wrong_static_arguments(positions: Any, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        ditto.compile(times, X, 3, static_argnums=positions)
    with pytest.raises(TraceError, match=message):
        ditto.calibrate(times, [(X, 3)], static_argnums=positions)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (5, r"donate_argnums=\(5,\), but only accepts 2"),
        (-3, "donate_argnums has -3, but there are only 2 arguments"),
        ("1", "donate_argnums must be one position"),
    ],
)
def test_wrong_donated_arguments(positions: Any, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        ditto.compile(times, X, X, donate_argnums=positions)


@pytest.mark.parametrize("value", [[3], {"n": 3}, np.ones(3)])
def test_static_arguments_must_be_hashable(value: Any) -> None:
    with pytest.raises(TraceError, match="Non-hashable static arguments"):
        ditto.compile(times, X, value, static_argnums=1)


@pytest.mark.parametrize(
    "visibility", [None, [], ("secret", "public"), [["secret"]], {"x": "secret"}, (None,), ({"a": "secret"},)]
)
def test_visibility_must_nest_like_the_arguments(visibility: Any) -> None:
    with pytest.raises(TraceError) as error:
        ditto.compile(double, X, visibility=visibility)
    assert str(error.value) == (
        'visibility must be one of "secret", "public", "secret:OWNER", "public:OWNER", or these nested like '
        f"the arguments ((*,)), got {visibility!r}"
    )


@pytest.mark.parametrize(
    "visibility", [5, "sekret", (5,), ["open"], b"secret", (np.arange(3),), "clinic:secret", "", ":clinic"]
)
def test_visibility_is_one_of_two_words(visibility: Any) -> None:
    words = 'visibility must be one of "secret", "public", "secret:OWNER", "public:OWNER", got '
    with pytest.raises(TraceError, match=words):
        ditto.compile(double, X, visibility=visibility)


def test_a_misspelt_visibility_of_an_owner() -> None:
    with pytest.raises(TraceError, match="got 'sekret:clinic'; did you mean 'secret'\\?"):
        ditto.compile(double, X, visibility="sekret:clinic")


@pytest.mark.parametrize("label", ["", " ", "a b", "klinik\u00fc", "x" * 101, "a,b", 'a"', "a\n"])
def test_labels_of_owners(label: str) -> None:
    with pytest.raises(TraceError) as error:
        ditto.compile(double, X, visibility=f"public:{label}")
    assert str(error.value) == (
        f"in visibility {f'public:{label}'!r}, the label of the owner must be "
        f"1 to 100 of the characters A-Z a-z 0-9 . _ : / @ -, got {label!r}"
    )


def test_arguments_have_owners() -> None:
    def f(weights: dict[str, Any], x: Any, mask: Any) -> Any:
        return (x @ weights["w"] + weights["b"]) * mask

    weights = {"b": X[0], "w": X.T @ X}
    longest = "Az09._:/@-" * 10
    program = ditto.compile(
        f, weights, X, X, visibility=("public:model.example", f"secret:{longest}", "secret")
    )
    assert [tensor.owner for tensor in program.caller_inputs] == [
        "model.example",
        "model.example",
        longest,
        "",
    ]
    secrets = {entry.index: program.values[entry.value].secret for entry in program.inputs}
    assert secrets == {0: False, 1: False, 2: True, 3: True}
    assert ditto.Program.from_bytes(program.to_bytes()).caller_inputs == program.caller_inputs


def test_arguments_of_stablehlo_have_owners() -> None:
    def owners(text: str, **arguments: Any) -> list[str]:
        return [tensor.owner for tensor in ditto.compile(text, **arguments).caller_inputs]

    two = (
        "func.func @main(%x: tensor<3xf32>, %y: tensor<3xf32>) -> tensor<3xf32> { return %x : tensor<3xf32> }"
    )
    assert owners(two) == ["", ""]
    assert owners(two, visibility="secret:a") == ["a", "a"]
    assert owners(two, visibility=["secret:a", "public"]) == ["a", ""]
    # A word without an owner says nothing of who it is.
    owned = two.replace("%y: tensor<3xf32>", '%y: tensor<3xf32> {ditto.owner = "b"}')
    assert owners(owned) == ["", "b"]
    assert owners(owned, visibility=["secret:a", "public"]) == ["a", "b"]
    assert owners(owned, visibility=["secret:a", "public:c"]) == ["a", "c"]


def test_ranges_and_guards_leave_owners_as_they_are() -> None:
    ranges = ditto.calibrate(times, [(X, X)])
    visibility = ("secret:clinic", "secret:model.example")
    program = ditto.compile(times, X, X, ranges=ranges, guard=True, visibility=visibility)
    assert program.guard is not None and set(program.guard.inputs) == {0, 1}
    assert [tensor.owner for tensor in program.caller_inputs] == ["clinic", "model.example"]


def test_the_stock_compiler_keeps_owners() -> None:
    program = compile_stock(times, X, X, visibility=("public:clinic", "secret"))
    assert [tensor.owner for tensor in program.caller_inputs] == ["clinic", ""]
    assert [value.secret for value in program.values[:2]] == [False, True]


def test_an_input_in_several_encodings_has_one_owner() -> None:
    policy = Path(__file__).parent / "pipelines" / "Inputs" / "narrow_linear.toml"

    def f(x: Any, y: Any) -> Any:
        return x @ y, jnp.exp(x)

    program = ditto.compile(f, X, X.T, policy=policy, visibility=("secret:clinic", "secret"))
    assert [entry.index for entry in program.inputs].count(0) == 2
    assert [tensor.owner for tensor in program.caller_inputs] == ["clinic", ""]


def test_visibility_may_be_a_list_of_arguments() -> None:
    program = ditto.compile(times, X, X, visibility=["secret", "public"])
    assert [program.values[entry.value].secret for entry in program.inputs] == [True, False]


@pytest.mark.parametrize("ranges", [3, {"argument#0": 1.0}, b"ranges.json", [1.0]])
def test_what_are_no_ranges(ranges: Any) -> None:
    with pytest.raises(
        RangesError, match=r"expected the path of a file of ranges that ditto.calibrate measured, got"
    ):
        ditto.compile(double, X, ranges=ranges)


def test_ranges_of_a_missing_file(tmp_path: Path) -> None:
    for path in (tmp_path / "no.json", str(tmp_path / "no.json")):
        with pytest.raises(RangesError, match=r"cannot read ranges from .*No such file"):
            ditto.compile(double, X, ranges=path)


@pytest.mark.parametrize("size", ["1024", None, 1.5, float("inf"), True, [3]])
def test_what_is_no_size_of_a_constant(size: Any) -> None:
    with pytest.raises(DittoError, match="max_public_constant must be an integer"):
        ditto.compile(double, X, max_public_constant=size)


class Colour(enum.Enum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    ["hello", object(), Colour.RED, np.array(["a"]), np.array([1, "a"], object), 2**70, [[1, 2], "x"]],
)
def test_arguments_that_are_no_arrays(value: Any) -> None:
    with pytest.raises(TraceError, match="JAX cannot trace double on these arguments"):
        ditto.compile(double, value)


def test_an_argument_that_the_function_cannot_use() -> None:
    def f(x: Any) -> Any:
        return x + 1

    for value, message in ((None, "unsupported operand"), ([[1, 2], [3]], "can only concatenate list")):
        with pytest.raises(TraceError, match=message) as error:
            ditto.compile(f, value)
        assert f", at {line_of(f)}: TypeError: " in str(error.value)


class Own(Exception):
    pass


@pytest.mark.parametrize(
    "kind",
    [ValueError, KeyError, ZeroDivisionError, RuntimeError, AssertionError, OSError, Own, RecursionError],
)
def test_what_a_function_raises_is_told_with_its_line(kind: type[Exception]) -> None:
    def f(x: Any) -> Any:
        raise kind("mine")

    calls = (
        lambda: ditto.compile(f, X),
        lambda: ditto.compile(jax.jit(f), X),
        lambda: ditto.compile(lambda x: jax.lax.map(f, x), X),
        lambda: ditto.calibrate(f, [(X,)]),
        lambda: compile_stock(f, X),
    )
    for call in calls:
        with pytest.raises(TraceError) as error:
            call()
        text = str(error.value)
        assert text.startswith("JAX cannot trace ") and f", at {line_of(f)}: {kind.__name__}: " in text
        assert "mine" in text
        assert isinstance(error.value.__cause__, kind)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_process_is_not_an_error_of_tracing(kind: type[BaseException]) -> None:
    def f(x: Any) -> Any:
        raise kind

    with pytest.raises(kind):
        ditto.compile(f, X)


def test_errors_of_our_own_come_through() -> None:
    def f(x: Any) -> Any:
        raise RangesError("from inside")

    with pytest.raises(RangesError, match="from inside"):
        ditto.compile(f, X)


def test_what_jax_cannot_trace_is_told_with_the_users_line() -> None:
    def branches(x: Any) -> Any:
        return x if x.sum() > 0 else -x

    def to_numpy(x: Any) -> Any:
        return np.linalg.norm(np.asarray(x))

    def shapes(x: Any) -> Any:
        return x @ x

    for f, kind in ((branches, "TracerBool"), (to_numpy, "TracerArray"), (shapes, "TypeError: dot_general")):
        with pytest.raises(TraceError, match=f", at {re.escape(line_of(f))}: {kind}"):
            ditto.compile(f, X)


def test_a_function_is_traced_anew() -> None:
    """JAX would give what it traced before, with the old number in it."""
    number = 2.0

    def f(x: Any) -> Any:
        return x * number

    class Model:
        def __call__(self, x: Any) -> Any:
            return x * number

    model = Model()
    for number in (2.0, 5.0):
        for fn, name in ((f, "f"), (model, "Model")):
            program = ditto.compile(fn, X, policy="uniform64")
            assert program.name == name
            np.testing.assert_allclose(ditto.simulate(program, X).outputs, number * X, atol=2**-10)


def places(error: pytest.ExceptionInfo[CompileError]) -> set[str]:
    return {f"{d.location.file}:{d.location.line}" for d in error.value.diagnostics}


def test_errors_blame_the_users_lines() -> None:
    def mine(x: Any) -> Any:
        return jax.lax.linalg.svd(double(x))

    with pytest.raises(CompileError) as error:
        ditto.compile(mine, X)
    assert places(error) == {line_of(mine)}
    # JAX's own function: then the line that gives it to us.
    for call in (
        lambda: ditto.compile(jax.lax.linalg.svd, X),
        lambda: ditto.calibrate(jax.lax.linalg.svd, [(X,)]),
        lambda: compile_stock(jax.lax.linalg.svd, X, forms="puma"),
    ):
        with pytest.raises(CompileError) as error:
            call()
        assert places(error) == {f"{__file__}:{call.__code__.co_firstlineno}"}


def test_errors_do_not_blame_our_models() -> None:
    """`ditto.models` is ours, too: then the user's line is the one that calls it."""

    def model(x: Any) -> Any:
        return layer_norm({"scale": np.ones(3), "bias": np.zeros(3)}, x, 1e-5)

    with pytest.raises(CompileError, match="puts it in ring 32") as error:
        ditto.compile(model, X, policy="uniform32")
    assert places(error) == {line_of(model)}


@pytest.mark.parametrize("policy", PRESETS)
def test_complex_numbers_are_named_with_the_users_line(policy: str) -> None:
    def constants(a: Any, b: Any) -> Any:
        return jnp.abs(a + 1j * b)

    def intermediates(a: Any, b: Any) -> Any:
        return jax.lax.complex(a, b).real

    def inputs(a: Any, b: Any) -> Any:
        return (a * b).real

    complex_x = X.astype(np.complex64)
    for f, arguments in ((constants, (X, X)), (intermediates, (X, X)), (inputs, (complex_x, complex_x))):
        with pytest.raises(CompileError) as error:
            ditto.compile(f, *arguments, policy=policy)
        assert places(error) == {line_of(f)}
        assert "op: elements of type complex<f32> cannot be secret-shared" in str(error.value)


def test_dtypes_that_cannot_be_shared() -> None:
    for dtype, name in ((jnp.float8_e4m3fn, "f8E4M3FN"), (jnp.int4, "i4")):
        with pytest.raises(CompileError) as error:
            ditto.compile(double, X.astype(dtype))
        assert f"elements of type {name} cannot be secret-shared" in str(error.value)
        assert places(error) == {line_of(double)}


def test_scopes_count_even_if_their_ops_are_merged() -> None:
    """Common subexpressions are merged, and the scope of the second is gone, but the user wrote it."""

    def f(x: Any) -> Any:
        with jax.named_scope("first"):
            y = jnp.tanh(x)
        with jax.named_scope("second"):
            return y + jnp.tanh(x)

    for scope, known in (("*/first/*", True), ("*/second/*", True), ("*/third/*", False)):
        rule = ditto.Rule("mine", scope=(scope,), op=("stablehlo.tanh",), ring=64, frac=20)
        policy = dataclasses.replace(ditto.load_policy("uniform64"), name="mine", rules=(rule,))
        if known:
            ditto.compile(f, X, policy=policy)
            continue
        with pytest.raises(
            CompileError, match=r"rule 'mine' of policy 'mine': .*'\*/third/\*'; the closest: first"
        ):
            ditto.compile(f, X, policy=policy)
        with pytest.raises(CompileError, match="no scope of the program matches"):
            ditto.calibrate(f, [(X,)], policy=policy)


@pytest.mark.parametrize("program", [None, 3, double, "program.ditto", TEXT])
def test_what_is_no_program(program: Any) -> None:
    calls = (
        lambda: ditto.simulate(program, X),
        lambda: ditto.simulated(program),
        lambda: ditto.LocalCluster().run(program, X),
        lambda: ditto.LocalCluster().share(program, 0, X),
    )
    for call in calls:
        with pytest.raises(ditto.InputError, match=r"expected a program that ditto.compile made, got a "):
            call()


def test_arguments_of_a_program_that_are_no_arrays() -> None:
    program = ditto.compile(TEXT)
    with pytest.raises(ditto.InputError, match="input 0: expected an array, got a list"):
        ditto.simulate(program, [[1, 2, 3], [4]])
    for value in (None, "hello", object(), 3):
        with pytest.raises(ditto.InputError, match=r"expected shape \(2, 3\), got \(\)"):
            ditto.simulate(program, value)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: ditto.LocalCluster(network="bogus"), NetworkError, "no network 'bogus'"),
        (lambda: ditto.LocalCluster(network=3), NetworkError, "a network is lan, wan or"),
        *(
            (
                lambda t=t: ditto.LocalCluster(timeout=t),
                ditto.InputError,
                "timeout must be a number of seconds in",
            )
            for t in (-1, 0, "x", None, float("nan"), float("inf"), 1e9)
        ),
        (lambda: ditto.RemoteCluster("no.toml"), ditto.HostsError, "cannot read hosts file 'no.toml'"),
        (lambda: ditto.RemoteCluster(3), ditto.HostsError, "expected the path of a hosts file, got 3"),
        (lambda: ditto.RemoteCluster("no.toml", timeout="x"), ditto.InputError, "timeout must be"),
        (lambda: ditto.Program.load(3), ProgramFileError, "expected the path of a program file, got 3"),
        (lambda: ditto.compile(TEXT).save(3), ProgramFileError, "expected the path of a program file, got 3"),
        (lambda: ditto.compile(TEXT).report(networks=(3,)), NetworkError, "a network is lan, wan or"),
    ],
)
def test_wrong_arguments_of_clusters_and_programs(
    make: Callable[[], Any], kind: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ignored: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with pytest.raises(kind, match=re.escape(message)):
        make()
    # Half-made clusters are closed, too.
    assert ignored == []


def test_another_version_of_the_compiler_is_refused() -> None:
    """Which was installed over the one that this package has inside."""
    code = "import ditto_compiler; ditto_compiler.__version__ = '9'; import ditto"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "has found the compiler of version 9: ditto-mpc brings its own" in done.stderr
    assert ditto.__version__ == ditto_compiler.__version__
