"""What the families of cases are built from: types in MLIR's spelling, one-op programs, exact arithmetic.

Expected values never come from a compiler: integers are Python's unbounded ones wrapped to the width of the
type, floats are computed in float64 and rounded once.
"""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

BOOL = np.dtype(np.bool_)
SIGNED = tuple(np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
UNSIGNED = tuple(np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64))
INTS = SIGNED + UNSIGNED
F16, BF16, F32, F64 = (np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64))
FLOATS = (F16, BF16, F32, F64)
ALL = (BOOL, *INTS, *FLOATS)

I32, I64 = SIGNED[2:]
BOTH = ("interpreter", "xla")


@dataclass(frozen=True)
class Case:
    """A program with one input and the outputs that StableHLO promises for it."""

    name: str
    op: str
    text: str
    arguments: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    exact: bool  # outputs must be equal; otherwise they are floats that were computed
    references: tuple[str, ...] = BOTH  # who runs the program and finds `expected`
    public: tuple[int, ...] = ()  # arguments that steer control flow or address elements


def is_float(dtype: np.dtype) -> bool:
    return dtype in FLOATS


def code(dtype: np.dtype) -> str:
    """MLIR's name of an element type: i1, ui8, bf16, ..."""
    if dtype == BOOL:
        return "i1"
    kind = {"i": "i", "u": "ui"}.get(dtype.kind, "bf" if dtype == BF16 else "f")
    return f"{kind}{8 * dtype.itemsize}"


def tensor(dtype: np.dtype, shape: Sequence[int] = ()) -> str:
    return f"tensor<{''.join(f'{extent}x' for extent in shape)}{code(np.dtype(dtype))}>"


def type_of(array: np.ndarray) -> str:
    return tensor(array.dtype, array.shape)


def i64s(*values: int) -> str:
    """An `array<i64>` attribute."""
    return f"array<i64: {', '.join(map(str, values))}>" if values else "array<i64>"


def compare(result: str, left: str, right: str, direction: str, kind: str = "tensor<i32>") -> str:
    """A line that compares two scalars of type `kind`."""
    return f"{result} = stablehlo.compare {direction}, {left}, {right} : ({kind}, {kind}) -> tensor<i1>\n"


def literal(array: np.ndarray) -> str:
    """The array as a `dense` attribute; floats by their bits, which MLIR wants with all digits."""
    values = array
    if is_float(array.dtype):
        digits = 2 * array.dtype.itemsize
        values = np.vectorize(lambda bits: f"0x{bits:0{digits}X}", otypes=[object])(
            array.view(f"u{array.dtype.itemsize}")
        )
    body = str(values.tolist()).replace("'", "").lower() if array.size else ""
    return f"dense<{body}> : {type_of(array)}"


def array(values, dtype: np.dtype) -> np.ndarray:
    return np.array(values, dtype)


def case(
    name: str,
    op: str,
    body: str,
    arguments: Sequence[np.ndarray],
    expected: Sequence[np.ndarray] | np.ndarray,
    *,
    returns: str = "",
    functions: str = "",
    exact: bool | None = None,
    references: tuple[str, ...] = BOTH,
    public: tuple[int, ...] = (),
) -> Case:
    """A case whose @main takes %a, %b, ... and returns %r, or %r#0, %r#1, ...

    In `body`, $a, $b, ... are the arguments' types, $r, $s, ... the results', and $a0 is the scalar type
    with the element type of %a.
    """
    expected = (expected,) if isinstance(expected, np.ndarray) else tuple(expected)
    named = dict(zip(string.ascii_lowercase, arguments, strict=False))
    named |= dict(zip("rstuvwxyz", expected, strict=False))
    types = {key: type_of(value) for key, value in named.items()}
    types |= {f"{key}0": tensor(value.dtype) for key, value in named.items()}
    if not returns:
        returns = ", ".join(f"%r#{i}" for i in range(len(expected))) if len(expected) > 1 else "%r"
    results = ", ".join(map(type_of, expected))
    parameters = ", ".join(
        f"%{letter}: {type_of(value)}"
        for letter, value in zip(string.ascii_lowercase, arguments, strict=False)
    )
    text = (
        f"module @{name} {{\n"
        f"func.func public @main({parameters}) -> ({results}) {{\n"
        f"{string.Template(body).substitute(types).rstrip()}\n"
        f"return {returns} : {results}\n}}\n{string.Template(functions).substitute(types)}}}\n"
    )
    if exact is None:
        exact = not any(is_float(value.dtype) for value in expected)
    return Case(name, op, text, tuple(arguments), expected, exact, references, public)


def one_op(name, op, arguments, expected, attributes="", **options) -> Case:
    """A case of a single op on all arguments, in MLIR's generic form."""
    count = 1 if isinstance(expected, np.ndarray) else len(expected)
    values = ", ".join(f"%{letter}" for letter in string.ascii_lowercase[: len(arguments)])
    types = ", ".join(f"${letter}" for letter in string.ascii_lowercase[: len(arguments)])
    results = ", ".join(f"${letter}" for letter in "rstuvwxyz"[:count])
    properties = f"<{{{attributes}}}> " if attributes else ""
    body = f'%r{f":{count}" if count > 1 else ""} = "{op}"({values}) {properties}: ({types}) -> ({results})'
    return case(name, op, body, arguments, expected, **options)


def wrap(value: int, dtype: np.dtype) -> int:
    """The integer of `dtype` that is congruent to `value`."""
    bits = 8 * dtype.itemsize
    value &= (1 << bits) - 1
    return value - (1 << bits) if dtype.kind == "i" and value >> (bits - 1) else value


def integers(function: Callable[..., int], dtype: np.dtype, *arrays: np.ndarray) -> np.ndarray:
    """`function` of Python's integers, element by element, wrapped to `dtype`."""
    shape = np.broadcast_shapes(*(one.shape for one in arrays))
    columns = (np.broadcast_to(one, shape).ravel().tolist() for one in arrays)
    return np.array([wrap(int(function(*row)), dtype) for row in zip(*columns, strict=True)], dtype).reshape(
        shape
    )


def booleans(function: Callable[..., bool], *arrays: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(*(one.shape for one in arrays))
    columns = (np.broadcast_to(one, shape).ravel().tolist() for one in arrays)
    return np.array([bool(function(*row)) for row in zip(*columns, strict=True)], BOOL).reshape(shape)


def reals(function: Callable[..., float], dtype: np.dtype, *arrays: np.ndarray) -> np.ndarray:
    """`function` of float64s, element by element, rounded to `dtype`."""
    shape = np.broadcast_shapes(*(one.shape for one in arrays))
    columns = (np.broadcast_to(one, shape).astype(F64).ravel().tolist() for one in arrays)
    return (
        np.array([float(function(*row)) for row in zip(*columns, strict=True)], F64)
        .astype(dtype)
        .reshape(shape)
    )


def computed(function: Callable, dtype: np.dtype, *arrays: np.ndarray) -> np.ndarray:
    """`function` element by element, by whichever arithmetic suits `dtype`."""
    if dtype == BOOL:
        return booleans(function, *arrays)
    return (reals if is_float(dtype) else integers)(function, dtype, *arrays)


def ends(dtype: np.dtype) -> np.ndarray:
    """Where an integer type changes its behaviour, and small numbers of both signs."""
    info = np.iinfo(dtype)
    if dtype.kind == "i":
        return np.array([info.min, info.min + 1, -7, -1, 0, 1, 2, 5, info.max - 1, info.max], dtype)
    middle = info.max // 2
    return np.array([0, 1, 2, 5, middle - 6, middle, middle + 1, info.max - 1, info.max], dtype)


def pairs(left: np.ndarray, right: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Every element of `left` beside every element of `right`."""
    right = left if right is None else right
    return np.repeat(left, right.size), np.tile(right, left.size)


def numbers(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Small numbers that every float type, and any fixed point with 3 fraction bits, represents exactly."""
    rng = np.random.default_rng([seed, *shape])
    if dtype == BOOL:
        return rng.integers(0, 2, shape).astype(BOOL)
    if is_float(dtype):
        return (rng.integers(-60, 61, shape) / 8).astype(dtype)
    return rng.integers(0 if dtype.kind == "u" else -9, 10, shape).astype(dtype)


def wide(dtype: np.dtype, *shape: int, seed: int = 0) -> np.ndarray:
    """Numbers from all over the range of an integer type, its ends among them; `numbers` of other types."""
    if dtype.kind not in "iu":
        return numbers(dtype, *shape, seed=seed)
    info = np.iinfo(dtype)
    rng = np.random.default_rng([seed, *shape])
    flat = rng.integers(info.min, info.max, int(np.prod(shape)), dtype=dtype, endpoint=True)
    flat[:2] = [info.min, info.max][: flat.size]
    return flat.reshape(shape)
