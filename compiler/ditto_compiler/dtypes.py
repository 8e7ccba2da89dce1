"""Front-end element types, spelled as in MLIR: `f32`, `bf16`, `i1`, `ui8`, ..."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

FLOAT_TYPES: tuple[str, ...] = ("f16", "bf16", "f32", "f64")
INT_TYPES: tuple[str, ...] = ("i1", "i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64")
DTYPES: tuple[str, ...] = (*FLOAT_TYPES, *INT_TYPES)


def width(dtype: str) -> int:
    """Bits of an element."""
    return 16 if dtype == "bf16" else int(dtype.lstrip("uif"))


def is_unsigned(dtype: str) -> bool:
    """Whether a type's integers are not negative; booleans count as such."""
    return dtype == "i1" or dtype.startswith("ui")


def integer_limits(dtype: str) -> tuple[int, int]:
    """The least and the largest integer of a type."""
    bits = width(dtype)
    return (0, (1 << bits) - 1) if is_unsigned(dtype) else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The numpy dtype of an element type."""
    if name == "i1":
        return np.dtype(np.bool_)
    if name == "bf16":
        return np.dtype(ml_dtypes.bfloat16)
    if name.startswith("ui"):
        return np.dtype(f"u{int(name[2:]) // 8}")
    return np.dtype(f"{name[0]}{int(name[1:]) // 8}")
