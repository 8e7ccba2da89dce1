"""Constants of every dtype: what is read of them, and what they are to the simulator and to the parties."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto_compiler.diagnostics import CompileError
from ditto_compiler.dtypes import DTYPES, FLOAT_TYPES, numpy_dtype
from ditto_compiler.ir import entry_function, ops_of, parse_module
from ditto_compiler.structure import constant_numbers

FLOATS = ["1.5", "-2.0", "0.125", "0.0"]


def literals(dtype: str) -> list[str]:
    """The extreme numbers of an integer type among four."""
    if dtype in FLOAT_TYPES:
        return FLOATS
    if dtype == "i1":
        return ["true", "false", "false", "true"]
    bits = int(dtype.lstrip("ui"))
    if dtype.startswith("ui"):
        return ["3", str(2**bits - 1), str(2 ** (bits - 1)), "0"]
    return ["3", str(-(2 ** (bits - 1))), str(2 ** (bits - 1) - 1), "-1"]


def array_of(words: list[str], dtype: str) -> np.ndarray[Any, Any]:
    if dtype == "i1":
        return np.array([word == "true" for word in words])
    numbers = [float(word) if dtype in FLOAT_TYPES else int(word) for word in words]
    return np.array(numbers, numpy_dtype(dtype))


def cases(dtype: str) -> dict[str, tuple[str, np.ndarray[Any, Any]]]:
    """What stands in dense<..>, and the array that it means."""
    words = literals(dtype)
    numbers = array_of(words, dtype)
    return {
        **{f"splat{i}": (word, np.repeat(numbers[i], 3)) for i, word in enumerate(words)},
        "scalar": (words[1], numbers[1].reshape(())),
        "single": (f"[{words[1]}]", numbers[1:2]),
        "vector": (f"[{', '.join(words)}]", numbers),
        "matrix": (f"[[{', '.join(words[:2])}], [{', '.join(words[2:])}]]", numbers.reshape(2, 2)),
        # MLIR prints more than a hundred as bytes.
        "bytes": (f"[{', '.join(words * 30)}]", np.tile(numbers, 30)),
        "empty": ("", numbers[:0]),
    }


def type_of(array: np.ndarray[Any, Any], dtype: str) -> str:
    return f"tensor<{''.join(f'{extent}x' for extent in array.shape)}{dtype}>"


def read(literal: str, type_: str) -> list[Any]:
    """What is read of a constant."""
    text = f"func.func @main() {{\n %0 = stablehlo.constant dense<{literal}> : {type_}\n return }}"
    module = parse_module(text)
    entry = entry_function(module)
    assert entry is not None
    return constant_numbers(ops_of(entry.entry_block)[0])


@pytest.mark.parametrize("name", cases("f32"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers(dtype: str, name: str) -> None:
    literal, expected = cases(dtype)[name]
    numbers = read(literal, type_of(expected, dtype))
    found = np.resize(np.array(numbers, expected.dtype), expected.shape)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
def test_every_number_of_two_bytes(dtype: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(numpy_dtype(dtype))
    # As bytes, and in decimal, which MLIR prints of few; infinities and NaNs are bits then.
    for chunk in (every, *np.array_split(every, 1024)[::37], every[-70:]):
        numbers = read(f'"0x{chunk.tobytes().hex().upper()}"', type_of(chunk, dtype))
        np.testing.assert_array_equal(np.array(numbers), [float(x) for x in chunk])


def compiled(
    dtype: str, literals: list[str], arrays: list[np.ndarray[Any, Any]], policy: str
) -> ditto.Program:
    """A program that returns constants, and the sum of its argument and the last."""
    types = [type_of(array, dtype) for array in arrays]
    lines = [
        f"%c{i} = stablehlo.constant dense<{literal}> : {type_}"
        for i, (literal, type_) in enumerate(zip(literals, types, strict=True))
    ]
    last = len(types) - 1
    lines.append(f"%sum = stablehlo.{'xor' if dtype == 'i1' else 'add'} %x, %c{last} : {types[last]}")
    results = ", ".join([*types, types[last]])
    lines.append(f"return {', '.join(f'%c{i}' for i in range(len(types)))}, %sum : {results}")
    text = "\n".join([f"func.func @main(%x: {types[last]}) -> ({results}) {{", *lines, "}"])
    return ditto.compile(parse_module(text), policy=policy)


def check(dtype: str, found: Any, expected: list[np.ndarray[Any, Any]]) -> None:
    for one, other in zip(found, expected, strict=True):
        array = np.asarray(one)
        assert (array.dtype, array.shape) == (other.dtype, other.shape)
        if dtype in FLOAT_TYPES:
            np.testing.assert_allclose(array.astype(float), other.astype(float), rtol=0, atol=2**-7)
        else:
            np.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("policy", ["uniform32", "uniform64", "uniform128", "ditto"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_reach_the_results(cluster: ditto.LocalCluster, dtype: str, policy: str) -> None:
    literals, arrays = map(list, zip(*cases(dtype).values(), strict=True))
    literals, arrays = [*literals, literals[-4]], [*arrays, arrays[-4]]
    program = compiled(dtype, literals, arrays, policy)
    zeros = np.zeros_like(arrays[-1])
    check(dtype, ditto.simulate(program, zeros).outputs, [*arrays, arrays[-1]])
    check(dtype, cluster.run(program, zeros), [*arrays, arrays[-1]])


@pytest.mark.parametrize("dtype", ["i64", "ui64"])
def test_small_64_bit_integers_fit_ring_32(cluster: ditto.LocalCluster, dtype: str) -> None:
    arrays = [np.array(numbers, numpy_dtype(dtype)) for numbers in ([7, 7], [7, 0], [9] * 200)]
    program = compiled(dtype, ["7", "[7, 0]", "9"], arrays, "uniform32")
    ones = np.ones_like(arrays[-1])
    check(dtype, ditto.simulate(program, ones).outputs, [*arrays, arrays[-1] + 1])
    check(dtype, cluster.run(program, ones), [*arrays, arrays[-1] + 1])


@pytest.mark.parametrize("policy", ["ditto", "uniform64"])
def test_infinities_of_two_constants_that_meet_are_among_the_results(policy: str) -> None:
    """Each alone would lose to a number."""

    def longer(x: Any) -> Any:
        rest = jnp.full(2, -jnp.inf)
        return jnp.maximum(jnp.concatenate([x, rest]), jnp.concatenate([2 * x, rest]))

    with pytest.raises(CompileError, match="it is among the results, which are numbers"):
        ditto.compile(longer, np.ones(3, np.float32), policy=policy)


def test_infinity_that_meets_numbers_alone_is_none_of_the_results() -> None:
    def shifted(x: Any) -> Any:
        return jnp.maximum(x, jnp.concatenate([x[1:], jnp.full(1, -jnp.inf)]))

    x = np.float32([1, -2, 3])
    simulation = ditto.simulate(ditto.compile(shifted, x), x)
    np.testing.assert_allclose(simulation.outputs, [1, 3, 3], atol=1e-3)
