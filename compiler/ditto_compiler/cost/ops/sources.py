"""Constants and counters."""

from __future__ import annotations

from ditto_compiler.cost.ops.base import free, register

register(free("p"), "constant", "iota")
