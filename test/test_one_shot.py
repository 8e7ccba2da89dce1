"""`ditto.oneshot`: plain JAX computes the function; the compiler finds it again, with what it was told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.frontend import trace
from ditto.one_shot import BUILT_IN
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import entry_function, ir, nested_ops
from ditto_compiler.pass_manager import PassManager
from ditto_compiler.passes.ditto_apply_ranges import DittoApplyRanges
from ditto_compiler.passes.ditto_choose_functions import DittoChooseFunctions
from ditto_compiler.pipelines import front_end_pipeline
from ditto_compiler.policy import PRESETS, FormRule, Policy, PolicyError, load_policy, parse_policy

X = np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)


def bump(x: Any) -> Any:
    return jnp.where(x > 0, x, -jnp.abs(x)) * jnp.exp(-x * x)


def shares(**forms: str) -> Policy:
    policy = load_policy("ditto")
    return dataclasses.replace(policy, beside="shares", forms=(*policy.forms, FormRule("test", forms)))


def front_end(fn: Callable[..., Any], *args: Any, policy: Policy | None = None) -> ir.Module:
    module = trace(fn, args).module
    PassManager(front_end_pipeline(policy or shares())).run(module)
    return module


def oneshots(module: ir.Module) -> list[dict[str, Any]]:
    """What the entry function's one-shot functions are told."""
    entry = entry_function(module)
    assert entry is not None
    found = [op for op in nested_ops(entry.operation) if op.name == names.ONESHOT]
    return [
        {
            "function": ir.FlatSymbolRefAttr(op.attributes[names.FUNCTION]).value,
            "relative": names.RELATIVE in op.attributes,
            **{name: names.get_float(op, name) for name in (names.ERROR, names.LOW, names.HIGH)},
        }
        for op in found
    ]


def test_plain_jax_computes_the_function() -> None:
    fast = ditto.oneshot(bump)
    np.testing.assert_array_equal(fast(X), jax.jit(bump)(X))
    np.testing.assert_array_equal(jax.jit(fast)(X), jax.jit(bump)(X))
    np.testing.assert_array_equal(jax.vmap(fast)(X), jax.jit(bump)(X))
    assert fast(2.0).shape == () and fast.__name__ == "bump"


@pytest.mark.parametrize(
    "of",
    [
        jax.grad,
        lambda f: jax.jit(jax.grad(f)),
        jax.value_and_grad,
        lambda f: lambda x: jax.jvp(f, (x,), (2 * x,)),
        lambda f: jax.grad(jax.checkpoint(f)),
        lambda f: jax.hessian(lambda x: f(x[:1])),
    ],
)
def test_derivatives_are_those_of_the_function(of: Callable[..., Any]) -> None:
    fast = ditto.oneshot(bump)
    found, expected = (of(lambda x, f=f: jnp.sum(f(x) ** 2))(X) for f in (fast, bump))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), found, expected)


def test_loops_may_use_it() -> None:
    def loop(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: jax.lax.fori_loop(0, 3, lambda _, y: f(y), x)

    np.testing.assert_allclose(loop(ditto.oneshot(bump))(X), loop(bump)(X), rtol=1e-6)


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_functions(name: str) -> None:
    positive = np.abs(X) + 0.1
    exact = {
        "gelu": lambda x: jax.nn.gelu(x, approximate=False),
        "silu": jax.nn.silu,
        "tanh": jnp.tanh,
        "logistic": lambda x: 1 / (1 + jnp.exp(-x)),
        "exp": jnp.exp,
        "erf": jax.scipy.special.erf,
        "sin": jnp.sin,
        "cos": jnp.cos,
        "softplus": lambda x: jnp.log(1 + jnp.exp(x)),
        "reciprocal": lambda x: 1 / x,
        "rsqrt": lambda x: 1 / jnp.sqrt(x),
        "sqrt": jnp.sqrt,
    }[name]
    np.testing.assert_allclose(ditto.oneshot(name)(positive), exact(positive), rtol=1e-5)
    (found,) = oneshots(front_end(ditto.oneshot(name, range=(0.1, 5.0)), positive))
    assert found["function"] == name


def test_the_compiler_is_told_everything() -> None:
    def model(x: Any) -> Any:
        with jax.named_scope("layer0"):
            a = ditto.oneshot(bump, range=(-4, 4.5), error=1e-5, relative=True)(x)
        return a, ditto.oneshot(lambda x: x * x)(x)

    assert oneshots(front_end(model, X)) == [
        {"function": "bump", "error": 1e-5, "relative": True, "low": -4.0, "high": 4.5},
        {"function": "_lambda_", "error": 1e-3, "relative": False, "low": None, "high": None},
    ]


def test_functions_that_are_made_anew_for_each_layer_are_one() -> None:
    def model(x: Any) -> Any:
        for _ in range(3):
            x = ditto.oneshot(bump)(x)
        return jax.vmap(ditto.oneshot(bump))(x)

    found = oneshots(front_end(model, X))
    assert len(found) == 4 and {one["function"] for one in found} == {"bump"}


def test_stablehlo_that_somebody_exported_has_them_too() -> None:
    text = jax.jit(ditto.oneshot(bump, range=(-1, 1))).lower(X).as_text()
    found, expected = (ditto.compile(*of) for of in ((text,), (ditto.oneshot(bump, range=(-1, 1)), X)))
    assert [r.code for r in found.regions.values()] == [r.code for r in expected.regions.values()]
    assert any("ditto-choose-functions" in str(remark) for remark in found.remarks)


def test_named_scopes_reach_what_it_falls_back_on() -> None:
    def model(x: Any) -> Any:
        with jax.named_scope("layer0"):
            return ditto.oneshot("gelu")(x)

    policy = dataclasses.replace(
        load_policy("ditto-engine"), forms=(FormRule("test", {"gelu": "quad"}, ("*/layer0/*",)),)
    )
    module = front_end(model, X, policy=policy)
    assert not oneshots(module) and "erf" not in str(module) and "1.250000e-01" in str(module)


@pytest.mark.parametrize("policy", ["ditto-engine", "uniform64"])
def test_presets_compute_the_function_as_any_other(cluster: ditto.LocalCluster, policy: str) -> None:
    def model(gelu: Callable[[Any], Any], inverse: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def fn(x: Any) -> Any:
            return gelu(x) + inverse(x * x + 1)

        return fn

    told = model(ditto.oneshot("gelu", range=(-3, 3)), ditto.oneshot(lambda x: 1 / x))
    plain = model(lambda x: jax.nn.gelu(x, approximate=False), lambda x: 1 / x)
    found, expected = (ditto.compile(fn, X, policy=policy) for fn in (told, plain))
    assert [r.code for r in found.regions.values()] == [r.code for r in expected.regions.values()]
    np.testing.assert_allclose(cluster.run(found, X), plain(X), atol=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fn": "gelo"}, "there is no built-in function 'gelo'; did you mean 'gelu'?"),
        ({"fn": 3}, "a one-shot function is a function or the name of one, got 3"),
        *(
            ({"fn": bump, "range": ends}, "must be two finite numbers, low < high")
            for ends in (
                (1, 1),
                (2, 1),
                (0, float("inf")),
                (0,),
                3,
                ("a", "b"),
                (float("nan"), 1),
                (False, True),
            )
        ),
        *(
            ({"fn": bump, "error": error}, "must be a positive number")
            for error in (0, -1e-3, float("inf"), "small", None, True)
        ),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ditto.DittoError, match=message.replace("?", r"\?")):
        ditto.oneshot(**arguments)


@pytest.mark.parametrize(
    ("fn", "x", "message"),
    [
        (jnp.sum, X, r"'sum' makes float32 of shape \(\) of float32 of shape \(4, 6\)"),
        (lambda x: x > 0, X, r"'<lambda>' makes bool of shape \(4, 6\)"),
        (lambda x: (x, x), X, "'<lambda>' makes something else"),
        (jnp.abs, np.arange(3), r"is of floats, got int32 of shape \(3,\)"),
    ],
)
def test_functions_that_are_not_elementwise(fn: Any, x: Any, message: str) -> None:
    for run in (ditto.oneshot(fn), jax.jit(ditto.oneshot(fn))):
        with pytest.raises(ditto.DittoError, match=message):
            run(x)
    with pytest.raises(ditto.DittoError, match=message):
        ditto.compile(ditto.oneshot(fn), x)


def test_functions_that_mix_elements() -> None:
    with pytest.raises(CompileError, match=r"'centred': it is not a function of each number alone"):
        ditto.compile(ditto.oneshot(centred), X)


def centred(x: Any) -> Any:
    return x - x.mean()


def test_functions_that_use_other_arrays() -> None:
    def model(x: Any, w: Any) -> Any:
        return ditto.oneshot(lambda x: x * w)(x)

    with pytest.raises(CompileError, match="depends on its argument alone, but it has 2"):
        ditto.compile(model, X, X)
    # What is known when the function is made is a constant.
    assert len(oneshots(front_end(ditto.oneshot(lambda x: x * jnp.float32(3)), X))) == 1


def chosen(
    fn: Callable[..., Any], *args: Any, policy: Policy, calibrated: bool = True
) -> list[dict[str, Any]]:
    module = front_end(fn, *args, policy=policy)
    if calibrated:
        ranges = ditto.calibrate(fn, [args], policy=policy)
        PassManager((DittoApplyRanges(ranges_object=ranges),)).run(module)
    PassManager((DittoChooseFunctions(),)).run(module)
    return oneshots(module)


def test_calibration_says_where_functions_must_be_right() -> None:
    def model(x: Any) -> Any:
        return ditto.oneshot(bump)(2 * x) + ditto.oneshot("rsqrt", relative=True)(x * x + 1)

    first, second = chosen(model, X, policy=shares())
    reach = np.abs(2 * X).max()
    assert first["low"] == pytest.approx(2 * X.min() - reach) and first["high"] == pytest.approx(
        2 * X.max() + reach
    )
    squares = X * X + 1
    # Whatever the inputs, it is at least 1.
    assert second["low"] == 1.0 and second["high"] == pytest.approx(2 * squares.max())
    assert [one["function"] for one in chosen(model, X, policy=shares(), calibrated=False)] == []


def test_calibration_allows_for_maxima_that_are_larger() -> None:
    """What exp and 1/sum meet if the row bound is the maximum plus its slack."""
    x = 2 * X
    exp, inverse = chosen(jax.nn.softmax, x, policy=shares(softmax="oneshot"))
    assert exp["function"] == "exp" and exp["high"] == 2.0**-9
    assert exp["low"] == -15.9
    sums = np.exp(x - x.max(-1, keepdims=True)).sum(-1)
    assert inverse["low"] == pytest.approx(max(np.exp(-2), sums.min() * np.exp(-2) / 2), rel=1e-5)
    assert inverse["high"] == pytest.approx(min(2 * sums.max(), 6), rel=1e-5)


def test_idle_clips_go() -> None:
    for scale, clips in ((0.5, 0), (4.0, 1)):
        module = front_end(jax.nn.softmax, X, policy=shares(softmax="oneshot"))
        ranges = ditto.calibrate(jax.nn.softmax, [(scale * X,)], policy=shares(softmax="oneshot"))
        PassManager((DittoApplyRanges(ranges_object=ranges), DittoChooseFunctions())).run(module)
        entry = entry_function(module)
        assert entry is not None
        found = [op for op in nested_ops(entry.operation, skip=("stablehlo.reduce",)) if "maximum" in op.name]
        assert len(found) == clips


def test_calibration_measures_what_is_computed() -> None:
    ranges = ditto.calibrate(ditto.oneshot(bump, range=(-9, 9)), [(X,)], policy=shares())
    (key,) = [key for key in ranges.intervals if "ditto.oneshot" in key]
    found = np.asarray(bump(X))
    assert ranges.intervals[key] == pytest.approx((found.min(), found.max()))


def test_policies_say_what_runs_beside_the_engine() -> None:
    assert {name for name in PRESETS if load_policy(name).beside == "shares"} == {"ditto", "ditto-quad"}
    assert parse_policy('base = "ditto-engine"\nbeside = "shares"', "mine.toml").beside == "shares"
    assert parse_policy('base = "ditto"\nbeside = "none"', "mine.toml").beside == "none"
    assert parse_policy('base = "ditto"', "mine.toml").beside == "shares"
    with pytest.raises(PolicyError, match=r"beside must be one of none, shares, got 'share'"):
        parse_policy('base = "ditto"\nbeside = "share"', "mine.toml")
    with pytest.raises(PolicyError, match="beside must be a string"):
        parse_policy('base = "ditto"\nbeside = 3', "mine.toml")


def test_policies_hand_it_on(tmp_path: Any) -> None:
    (tmp_path / "one.toml").write_text('base = "ditto-engine"\nbeside = "shares"')
    (tmp_path / "two.toml").write_text('base = "one.toml"')
    assert load_policy(tmp_path / "two.toml").beside == "shares"


def test_two_quad_divides_in_one_go(cluster: ditto.LocalCluster) -> None:
    """MPCFormer's softmax on parties, by its formula; one-shot, the reciprocal takes few messages."""
    scores = np.concatenate([2.0 * X, np.full((1, 6), -5.0, np.float32), np.eye(1, 6, dtype=np.float32)])
    squares = (scores.astype(np.float64) + 5.0) ** 2
    expected = squares / (squares.sum(-1, keepdims=True) + 2.0**-10)
    messages = {}
    for form in ("2quad", "2quad_oneshot"):
        policy = shares(softmax=form)
        # Not on scores that are all -5: 1/x is fitted to sums that models have.
        ranges = ditto.calibrate(jax.nn.softmax, [(scores[[0, 1, 2, 3, 5, 5]],)], policy=policy)
        program = ditto.compile(jax.nn.softmax, scores, policy=policy, ranges=ranges)
        found = cluster.run(program, scores)
        rest = [0, 1, 2, 3, 5]
        np.testing.assert_allclose(found[rest], expected[rest], atol=2e-3)
        # A last place of zero times 2^10.
        assert np.abs(found[4]).max() < 0.1
        assert cluster.stats is not None
        messages[form] = cluster.stats.messages
    assert messages["2quad_oneshot"] < messages["2quad"] / 2
