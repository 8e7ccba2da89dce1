"""Running StableHLO modules under XLA, in plaintext."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import jax
import numpy as np
from jaxlib import xla_client
from numpy.typing import NDArray

from ditto_compiler.dialect import attributes as names
from ditto_compiler.ir import PassManager, copy_module, drop_unused_functions, func, ir, nested_ops

MANY = 8
"""Runs that are worth optimizing for: those of an encoder take an eighth, compiling it 1.7 times as long."""


class XlaFunction:
    """A module's `@main`, compiled for the CPU; the module is not changed.

    CHLO ops are expanded first, and one-shot functions are called.

    Args:
        module: what is run.
        runs: about how many times.
    """

    def __init__(self, module: ir.Module, runs: int = 1) -> None:
        plain = copy_module(module)
        with plain.context:
            for op in nested_ops(plain.operation):
                if op.name == names.ONESHOT:
                    _call(op)
            drop_unused_functions(plain)
            PassManager.parse("builtin.module(func.func(chlo-legalize-to-stablehlo))").run(plain.operation)
        self._device = jax.devices("cpu")[0]
        options = xla_client.CompileOptions()
        # Optimizing takes longer than a few runs.
        level = int(runs >= MANY)
        options.executable_build_options.debug_options.xla_backend_optimization_level = level
        options.executable_build_options.debug_options.xla_llvm_disable_expensive_passes = True
        self._executable = _compile(self._device, str(plain), options)

    def __call__(self, *arguments: Any) -> list[NDArray[Any]]:
        """Results of `@main` on flat arguments."""
        buffers = _put([np.asarray(argument) for argument in arguments], self._device)
        return [np.asarray(result) for result in self._executable.execute(buffers)]


def _compile(device: Any, text: str, options: Any) -> Any:
    """An executable of a module for one device."""
    client = device.client
    if hasattr(client, "compile_and_load"):  # from jaxlib 0.6 on
        return client.compile_and_load(text, xla_client.DeviceList((device,)), options)
    return client.compile(text, options)


def double_precision() -> AbstractContextManager[None]:
    """A context in which JAX has dtypes of 64 bits."""
    if hasattr(jax, "enable_x64"):  # from JAX 0.8 on
        return cast("AbstractContextManager[None]", jax.enable_x64(True))
    return cast("AbstractContextManager[None]", jax.experimental.enable_x64())


def _put(arrays: Sequence[NDArray[Any]], device: Any) -> list[Any]:
    """Arrays on a device, as they are: JAX by itself makes 32 bits of 64."""
    if hasattr(device.client, "buffer_from_pyval"):  # up to jaxlib 0.6
        return [device.client.buffer_from_pyval(array, device) for array in arrays]
    with double_precision():
        return [jax.device_put(array, device) for array in arrays]


def _call(op: ir.Operation) -> None:
    """Puts a call of its function in the place of a `ditto.oneshot`."""
    types, function = [result.type for result in op.results], op.attributes[names.FUNCTION]
    call = func.CallOp(types, function, list(op.operands), loc=op.location, ip=ir.InsertionPoint(op))
    op.results[0].replace_all_uses_with(call.results[0])
    op.erase()
