"""All emitters."""

from __future__ import annotations

from ditto_compiler.spu.emit import arithmetic, constants, contractions, control, layout, reductions
from ditto_compiler.spu.emit.emitter import EmitRule

EMITTERS: dict[str, EmitRule] = {
    **constants.EMITTERS,
    **arithmetic.EMITTERS,
    **layout.EMITTERS,
    **contractions.EMITTERS,
    **reductions.EMITTERS,
    **control.EMITTERS,
}
"""By StableHLO or CHLO op: one per row of the op table."""
