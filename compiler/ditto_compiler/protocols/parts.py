"""How a tensor is cut into the parts in which the parties trade roles: the same cuts at all parties."""

from __future__ import annotations

PARTS = 3
"""Of a large tensor."""

ALONE = PARTS * 1024
"""Elements below which a tensor is not cut."""


def parts(elements: int) -> list[slice]:
    """The parts of a tensor of so many elements, flattened: three if it is large, else one."""
    if elements < ALONE:
        return [slice(0, elements)]
    # Multiples of 64 elements, so that packed parts end where bytes do.
    third = -(-elements // (PARTS * 64)) * 64
    cuts = [0, third, min(2 * third, elements), elements]
    return [slice(cuts[i], cuts[i + 1]) for i in range(PARTS)]
