"""What a party keeps beyond a session: deposits of owners, and results that wait for their receivers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ditto.runtime.party.access import Access, Denied, read_store_key
from ditto.runtime.party.store import KEY_BYTES, Entry, Pending, PieceWriter, Store, is_word
from ditto.runtime.protocols.deposit_digest import SALT_BYTES, Leaf, deposit_digest, slot_bytes
from ditto_compiler.encoding import parse_encoding
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES

KINDS = ("arrays", "program")
"""Of deposits."""

_DEPOSIT, _RESULT = "deposit", "result"


class DepositError(DittoError):
    """A deposit or result that is not there, or not what its owner says it is."""


@dataclass(frozen=True)
class Piece:
    """A stored buffer.

    Attributes:
        size: bytes.
        owner: whose it is.
        secret: whether it is a share.
    """

    store: Store
    entry: Entry
    number: int
    size: int
    owner: str
    secret: bool

    async def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes."""
        chunks = self.store.read(self.entry, self.number)
        while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
            yield chunk


class Deposits:
    """The deposits and results of a party.

    Args:
        access: who may do what with them.
        folder: for the store, unless `access` names one; that store ends with the process.

    Raises:
        StoreError: the store cannot be opened.
    """

    def __init__(self, access: Access, folder: Path) -> None:
        self._access = access
        key = os.urandom(KEY_BYTES) if access.store_key is None else read_store_key(access.store_key)
        self._store = Store(folder / "store" if access.store is None else access.store, key)

    def close(self) -> None:
        """Closes the store."""
        self._store.close()

    async def begin(
        self, kind: str, name: str, caller: str, about: Any, salts: Sequence[bytes]
    ) -> DepositUnderWay:
        """Starts a deposit; nothing of it is there before it is committed.

        Raises:
            Denied: the caller may not deposit under this name.
            StoreError: it cannot be stored.
        """
        limit = self._access.may_deposit(name, caller)
        if kind not in KINDS or not isinstance(about, dict) or [*map(len, salts)] != [SALT_BYTES] * 2:
            raise DepositError(f"a deposit is one of {', '.join(KINDS)}, with two salts")
        pending = await asyncio.to_thread(
            self._store.begin, _DEPOSIT, name, caller, {"kind": kind, "about": about}, limit
        )
        return DepositUnderWay(pending, kind, name, about, salts)

    def about(self, name: str, caller: str) -> dict[str, Any]:
        """What is known of a deposit by who may use it.

        Raises:
            Denied: the caller may not.
            DepositError: there is none.
        """
        entry = self._entry(name, caller)
        return {"owner": entry.owner, "digest": entry.digest, **entry.about}

    def open(self, name: str, array: int, digest: str, encoding: str, caller: str) -> Piece:
        """This party's share of an array of a deposit.

        Raises:
            Denied, DepositError: as for `about`; or the deposit is another one by now.
        """
        entry = self._entry(name, caller)
        if entry.digest != digest:
            raise DepositError(f"deposit '{name}' was replaced; ask for it again by deposited('{name}')")
        for number, (header, size) in enumerate(entry.pieces):
            if header.get("array") == array and header.get("encoding") == encoding:
                return Piece(self._store, entry, number, size, entry.owner, bool(header["secret"]))
        raise DepositError(f"deposit '{name}' has no array {array} as {encoding}")

    def program(self, name: str, caller: str) -> tuple[dict[str, Any], Piece]:
        """A deposited program.

        Raises:
            Denied, DepositError: as for `about`.
        """
        entry = self._entry(name, caller)
        if entry.about["kind"] != "program":
            raise DepositError(f"deposit '{name}' is not a program")
        return {"digest": entry.digest}, Piece(self._store, entry, 0, entry.pieces[0][1], entry.owner, False)

    async def withdraw(self, name: str, caller: str) -> None:
        """Removes a deposit of the caller's.

        Raises:
            Denied: it is not the caller's.
        """
        self._access.may_deposit(name, caller)
        await asyncio.to_thread(self._store.remove, _DEPOSIT, name)

    def check_label(self, receiver: str, sender: str, label: str) -> str:
        """Checks that a result can be left under a label; its name in the store.

        Raises:
            DepositError: it is no label, or one of that label is there already.
        """
        name = _result(receiver, sender, label)
        if self._store.about(_RESULT, name) is not None:
            raise DepositError(
                f"a result '{label}' waits for {receiver} already, who must receive that first; "
                "or take another label"
            )
        return name

    async def leave(
        self,
        receiver: str,
        sender: str,
        label: str,
        about: dict[str, Any],
        sizes: Sequence[int],
        read: Callable[[int], AsyncIterator[bytes]],
    ) -> None:
        """Leaves a result for a receiver.

        Raises:
            DepositError: one of that label is there already.
            StoreError: it cannot be stored, or more waits for this receiver than may.
        """
        name = self.check_label(receiver, sender, label)
        limit = self._access.results_bytes - self._store.total_bytes(_RESULT, f"{receiver} ")
        with await asyncio.to_thread(self._store.begin, _RESULT, name, sender, about, limit) as pending:
            for size in sizes:
                writer = await asyncio.to_thread(pending.open_piece, {}, size)
                async for chunk in read(size):
                    await asyncio.to_thread(writer.write, chunk)
                await asyncio.to_thread(writer.close)
            await asyncio.to_thread(pending.commit, "")

    def collect(self, receiver: str, sender: str, label: str) -> tuple[dict[str, Any], list[Piece]]:
        """A result that waits for a receiver.

        Raises:
            DepositError: there is none.
        """
        entry = self._store.about(_RESULT, _result(receiver, sender, label))
        if entry is None:
            raise DepositError(f"no result '{label}' of {sender} waits for {receiver}")
        pieces = [
            Piece(self._store, entry, number, size, sender, True)
            for number, (_, size) in enumerate(entry.pieces)
        ]
        return entry.about, pieces

    async def collected(self, receiver: str, sender: str, label: str) -> None:
        """Removes a result that its receiver has put together."""
        await asyncio.to_thread(self._store.remove, _RESULT, _result(receiver, sender, label))

    def _entry(self, name: str, caller: str) -> Entry:
        self._access.may_use(name, caller)
        entry = self._store.about(_DEPOSIT, name)
        if entry is None:
            raise DepositError(f"nothing is deposited under '{name}'")
        if entry.owner != self._access.deposit_owner(name):
            raise Denied(
                f"what was deposited under '{name}' is of {entry.owner}, who no longer owns that name"
            )
        return entry


class DepositUnderWay:
    """A deposit that is being made.

    Args:
        pending: what is written.
        kind: `arrays`, or `program`: one public piece.
        name: its name.
        about: what its owner says of it.
        salts: of the two slots that this party holds.

    Attributes:
        name: its name.
        digest: what it is known by, once it is sealed.
    """

    def __init__(
        self, pending: Pending, kind: str, name: str, about: dict[str, Any], salts: Sequence[bytes]
    ) -> None:
        self._pending = pending
        self._kind = kind
        self._about = about
        self._headers: list[Any] = []
        self._leaves = tuple(map(Leaf, salts))
        self.name = name
        self.digest = ""

    async def add(self, header: Any, size: int, chunks: AsyncIterator[bytes]) -> None:
        """Adds a piece: this party's share of an array, or all of it.

        Raises:
            DepositError: it is no share of the encoding that it is said to have.
            StoreError: it cannot be stored.
        """
        about = {"array": 0, "encoding": "", "secret": False}
        width = 1
        if self._kind == "arrays":
            encoding = parse_encoding(header["encoding"])
            about = {"array": header["array"], "encoding": str(encoding), "secret": header["secret"]}
            if type(about["array"]) is not int or type(about["secret"]) is not bool:
                raise DepositError("a piece says which array it is of, and whether it is secret")
            width = encoding.ring // 8
            if size % (2 * width if about["secret"] else width):
                raise DepositError(f"{size} bytes are no share in {encoding}")
        elif self._headers:
            raise DepositError("a program is one piece")
        self._headers.append([about, size])
        writer = await asyncio.to_thread(self._pending.open_piece, about, size)
        rest = b""
        async for chunk in chunks:
            whole = rest + chunk if rest else chunk
            used = len(whole) - len(whole) % (2 * width)
            rest = whole[used:]
            await asyncio.to_thread(self._write, writer, whole[:used], width, bool(about["secret"]))
        await asyncio.to_thread(self._write, writer, rest, width, False)
        await asyncio.to_thread(writer.close)

    def _write(self, writer: PieceWriter, data: bytes, width: int, secret: bool) -> None:
        for slot, leaf in enumerate(self._leaves):
            if secret:
                leaf.add(slot_bytes(np.frombuffer(data, np.uint8), width, slot))
            else:
                leaf.add(data)
        writer.write(data)

    async def seal(self, rank: int, leaves: Sequence[str]) -> str:
        """Checks what has come against what its owner says; the digest of all.

        Raises:
            DepositError: the owner says something else.
        """
        own = [leaf.value() for leaf in self._leaves]
        if len(leaves) != PARTIES or own != [leaves[rank], leaves[(rank + 1) % PARTIES]]:
            raise DepositError(f"what came for deposit '{self.name}' is not what its owner sent")
        self.digest = deposit_digest(self._kind, self._about, self._headers, leaves)
        return self.digest

    async def commit(self) -> None:
        """Makes the deposit the one of its name.

        Raises:
            DepositError: it is not sealed.
            StoreError: it cannot be stored.
        """
        if not self.digest:
            raise DepositError("a deposit is sealed before it is committed")
        await asyncio.to_thread(self._pending.commit, self.digest)

    def abandon(self) -> None:
        """Removes what has come, unless it was committed."""
        self._pending.abandon()


def _result(receiver: str, sender: str, label: str) -> str:
    """The name of a result: three words, none of which has a blank."""
    if not is_word(label):
        raise DepositError(f"a label is of letters, digits and . _ : / @ -, got {label!r}")
    return f"{receiver} {sender} {label}"
