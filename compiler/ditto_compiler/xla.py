"""Running StableHLO modules under XLA, in plaintext."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxlib import xla_client
from numpy.typing import NDArray

from ditto_compiler.ir import PassManager, copy_module, ir


class XlaFunction:
    """A module's `@main`, compiled for the CPU. CHLO ops are expanded first; the module is not changed."""

    def __init__(self, module: ir.Module) -> None:
        plain = copy_module(module)
        with plain.context:
            PassManager.parse("builtin.module(func.func(chlo-legalize-to-stablehlo))").run(plain.operation)
        self._device = jax.devices("cpu")[0]
        options = xla_client.CompileOptions()
        # It runs a few times, and optimizing takes longer than that.
        options.executable_build_options.debug_options.xla_backend_optimization_level = 0
        options.executable_build_options.debug_options.xla_llvm_disable_expensive_passes = True
        self._executable = self._device.client.compile(str(plain), options)

    def __call__(self, *arguments: Any) -> list[NDArray[Any]]:
        """Results of `@main` on flat arguments."""
        # Not `jax.device_put`, which would make f32 of f64.
        put = self._device.client.buffer_from_pyval
        buffers: Sequence[Any] = [put(np.asarray(argument), self._device) for argument in arguments]
        return [np.asarray(result) for result in self._executable.execute(buffers)]
