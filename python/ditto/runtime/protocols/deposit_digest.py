"""What a deposit is known by.

A deposit is pieces: arrays, shared or public. Leaf j is the HMAC-SHA256, under a salt s_j of 32 random bytes,
of all that is slot x_j in the pieces, and of all of those that are public. The digest is the SHA-256 of what
the pieces are and of the three leaves.

Who knows what: the owner all; party i the slots x_i and x_{i+1} and their salts, so it checks two leaves
itself. The third leaf tells it nothing of the rest: without the salt, guesses at the secret cannot be
checked.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

SALT_BYTES = 32


def slot_bytes(share: NDArray[np.uint8], width: int, slot: int) -> bytes:
    """One of the two slots in the bytes of a share whose ring elements have `width` bytes."""
    return share.reshape(-1, 2, width)[:, slot].tobytes()


class Leaf:
    """The leaf of one slot, as its pieces come.

    Args:
        salt: of the slot.
    """

    def __init__(self, salt: bytes) -> None:
        self._hash = hmac.new(salt, digestmod="sha256")

    def add(self, data: bytes | memoryview) -> None:
        """Adds bytes of the slot, or public ones."""
        self._hash.update(data)

    def value(self) -> str:
        """The leaf, in hexadecimal digits."""
        return self._hash.hexdigest()


def deposit_digest(kind: str, about: dict[str, Any], pieces: Sequence[Any], leaves: Sequence[str]) -> str:
    """The digest, in hexadecimal digits.

    Args:
        kind: of the deposit.
        about: what its owner says of it.
        pieces: header and bytes of each.
        leaves: of the three slots.
    """
    content = {"kind": kind, "about": about, "pieces": list(pieces), "leaves": list(leaves)}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
