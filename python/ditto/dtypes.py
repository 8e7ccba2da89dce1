"""Front-end element types as numpy knows them."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The numpy dtype of an element type spelled as in MLIR: `f32`, `bf16`, `i1`, `ui8`, ..."""
    if name == "i1":
        return np.dtype(np.bool_)
    if name == "bf16":
        return np.dtype(ml_dtypes.bfloat16)
    if name.startswith("ui"):
        return np.dtype(f"u{int(name[2:]) // 8}")
    return np.dtype(f"{name[0]}{int(name[1:]) // 8}")
