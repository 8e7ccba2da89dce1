"""`ditto.oneshot`: functions of one number that the parties compute in one go."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ditto_compiler.errors import DittoError
from ditto_compiler.options import did_you_mean
from ditto_compiler.private_functions import Mark

BUILT_IN: Mapping[str, Callable[[Any], Any]] = {
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "logistic": jax.nn.sigmoid,
    "exp": jnp.exp,
    "erf": jax.lax.erf,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "softplus": jax.nn.softplus,
    "reciprocal": lambda x: 1 / x,
    "rsqrt": jax.lax.rsqrt,
    "sqrt": jnp.sqrt,
}
"""What `oneshot` knows by name."""


def oneshot(
    fn: Callable[[Any], Any] | str,
    range: Sequence[float] | None = None,
    error: float = 1e-3,
    relative: bool = False,
) -> Callable[[Any], Any]:
    """A function that JAX computes as it is, and a compiled program, where it can, in one go.

    The parties then take two rounds whatever the function, and get it within `error`, not counting the
    rounding of fixed point. Where nothing is known of its arguments (neither `range` nor calibration says it,
    nor do they follow from the program), or the policy runs nothing beside the engine, it is computed like
    any other.

    Args:
        fn: from one float to another, applied to each element; it uses no other arrays than constants. Or one
            of gelu, silu, tanh, logistic, exp, erf, sin, cos, softplus, reciprocal, rsqrt, sqrt.
        range: the least and the largest argument. The result for any other is any number, unless the
            compiler knows that there are others, and then clips them.
        error: how far off a result may be.
        relative: whether that is relative to the result.

    Returns:
        A function of an array of floats, for use with `jax.jit`, `jax.vmap`, `jax.grad` and others;
        derivatives are those of `fn`.

    Raises:
        DittoError: an argument that is none of these; later, a `fn` that changes shape or dtype.
    """
    if isinstance(fn, str):
        if fn not in BUILT_IN:
            raise DittoError(
                f"there is no built-in function '{fn}'{did_you_mean(fn, BUILT_IN)} "
                f"(built in: {', '.join(BUILT_IN)})"
            )
        name, function = fn, BUILT_IN[fn]
    elif callable(fn):
        name, function = str(getattr(fn, "__name__", type(fn).__name__)), fn
    else:
        raise DittoError(f"a one-shot function is a function or the name of one, got {fn!r}")
    if not _is_number(error) or error <= 0:
        raise DittoError(f"the error of a one-shot function must be a positive number, got {error!r}")
    mark = Mark(name, float(error), bool(relative), None if range is None else _interval(range))

    def marked(x: Any) -> Any:
        return function(x)

    # The name is all of it that every version of JAX hands on to StableHLO.
    marked.__name__ = marked.__qualname__ = mark.text
    compiled = jax.jit(marked)

    apply = jax.custom_jvp(compiled)

    def with_derivative(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
        return apply(*primals), jax.jvp(function, primals, tangents)[1]

    # The name is not for derivatives.
    apply.defjvp(with_derivative)

    def one_shot(x: Any) -> Any:
        array = jnp.asarray(x)
        _check(name, function, array)
        return apply(array)

    one_shot.__name__ = one_shot.__qualname__ = name
    one_shot.__doc__ = f"{name} of each element, in one go."
    return one_shot


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _interval(ends: Any) -> tuple[float, float]:
    pair = tuple(ends) if isinstance(ends, (tuple, list)) else ()
    if len(pair) != 2 or not all(map(_is_number, pair)) or not pair[0] < pair[1]:
        raise DittoError(
            f"the range of a one-shot function must be two finite numbers, low < high, got {ends!r}"
        )
    return float(pair[0]), float(pair[1])


def _check(name: str, function: Callable[[Any], Any], x: Any) -> None:
    """That a function keeps shape and dtype.

    Raises:
        DittoError: it does not.
    """
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise DittoError(f"the one-shot function '{name}' is of floats, got {x.dtype} of shape {x.shape}")
    result = jax.eval_shape(function, jax.ShapeDtypeStruct(x.shape, x.dtype))
    found = getattr(result, "shape", None), getattr(result, "dtype", None)
    if found != (x.shape, x.dtype):
        got = "something else" if None in found else f"{found[1]} of shape {found[0]}"
        raise DittoError(
            f"a one-shot function gives one number for each: '{name}' makes {got} of {x.dtype} of shape "
            f"{x.shape}"
        )
