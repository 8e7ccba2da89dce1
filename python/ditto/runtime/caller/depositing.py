"""The owner's and the receiver's side of what parties keep: deposits and results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ditto import compiled_program
from ditto.runtime.caller.inputs import SharedArray
from ditto.runtime.caller.parties import Answer, ClusterError, Parties
from ditto.runtime.protocols.deposit_digest import SALT_BYTES, Leaf, deposit_digest, slot_bytes
from ditto.runtime.protocols.sharing import Ring, pieces
from ditto_compiler.dtypes import numpy_dtype
from ditto_compiler.encoding import Encoding, EncodingError, parse_encoding
from ditto_compiler.network import PARTIES
from ditto_compiler.program import CallerTensor, Program, Value


@dataclass(frozen=True, eq=False)
class DepositedArray(SharedArray):
    """A handle of an array that was deposited with parties on hosts; it outlives connections.

    Attributes:
        deposit: the deposit's name.
        digest: the deposit's digest: another one's array is not taken for this.
        array: its number in the deposit.
    """

    deposit: str = ""
    digest: str = ""
    array: int = 0

    def reference(self) -> dict[str, Any]:
        """How parties are told which array is meant."""
        return {"deposit": self.deposit, "array": self.array, "digest": self.digest}


Copies = Sequence[tuple[Value, Ring]]
"""One array in the encodings that a program wants it in."""


def deposit_arrays(
    parties: Parties,
    deadline: float,
    name: str,
    tree: Any,
    arrays: Sequence[tuple[CallerTensor, Copies]],
) -> list[DepositedArray]:
    """Deposits arrays.

    Args:
        parties: that shall keep them.
        deadline: on the monotonic clock.
        name: of the deposit.
        tree: how the arrays nest.
        arrays: what each is, and its copies.

    Raises:
        ClusterError: a party does not take them.
    """
    about = {
        "tree": tree,
        "arrays": [
            {
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "secret": all(value.secret for value, _ in copies),
                "encodings": sorted({str(value.encoding) for value, _ in copies}),
            }
            for tensor, copies in arrays
        ],
    }
    upload = _Upload(parties, deadline, name, "arrays", about)
    for number, (_, copies) in enumerate(arrays):
        for encoding, (value, raw) in {str(value.encoding): (value, raw) for value, raw in copies}.items():
            upload.add(
                {"array": number, "encoding": encoding, "secret": value.secret}, raw, value.encoding.ring
            )
    return _handles(name, upload.commit(), about)


def deposit_program(parties: Parties, deadline: float, name: str, program: Program) -> str:
    """Deposits a program; its digest.

    Raises:
        ClusterError: a party does not take it.
    """
    upload = _Upload(parties, deadline, name, "program", {"program": program.digest})
    content = np.frombuffer(program.executable, np.uint8)
    upload.add({"array": 0, "encoding": "", "secret": False}, content, 8)
    upload.commit()
    return program.digest


class _Upload:
    """A deposit on its way to the parties: in pieces, then sealed, then committed."""

    def __init__(
        self, parties: Parties, deadline: float, name: str, kind: str, about: dict[str, Any]
    ) -> None:
        self._parties = parties
        self._deadline = deadline
        self._kind = kind
        self._about = about
        self._pieces: list[Any] = []
        salts = [os.urandom(SALT_BYTES) for _ in range(PARTIES)]
        self._leaves = [Leaf(salt) for salt in salts]
        begin = {"command": "deposit", "name": name, "kind": kind, "about": about}
        for rank in range(PARTIES):
            own = [salts[rank].hex(), salts[(rank + 1) % PARTIES].hex()]
            parties.send(rank, {**begin, "salts": own})
        parties.answers(deadline, "announcing the deposit")

    def add(self, header: dict[str, Any], raw: Ring, ring: int) -> None:
        """Sends a piece to each party: its share of `raw` in a ring, or all of it unless it is `secret`."""
        secret = header["secret"]
        buffers = pieces(raw, ring, secret=secret)
        for slot, leaf in enumerate(self._leaves):
            content = np.ascontiguousarray(buffers[slot]).reshape(-1).view(np.uint8)
            leaf.add(slot_bytes(content, ring // 8, 0) if secret else content.data)
        for rank, buffer in enumerate(buffers):
            self._parties.send(rank, {"command": "piece", "piece": header}, [buffer])
        self._pieces.append([header, buffers[0].nbytes])

    def commit(self) -> str:
        """Makes it the deposit of its name, once all parties have what their owner sent; its digest.

        Raises:
            ClusterError: one has not.
        """
        leaves = [leaf.value() for leaf in self._leaves]
        digest = deposit_digest(self._kind, self._about, self._pieces, leaves)
        self._parties.send_all({"command": "seal", "leaves": leaves})
        for rank, (header, _) in enumerate(self._parties.answers(self._deadline, "sealing the deposit")):
            if header.get("digest") != digest:
                raise ClusterError(f"party P{rank} has something else than what was deposited")
        self._parties.send_all({"command": "commit"})
        self._parties.answers(self._deadline, "committing the deposit")
        return digest


def find_arrays(
    parties: Parties, deadline: float, name: str, digest: str | None
) -> tuple[Any, list[DepositedArray]]:
    """The arrays of a deposit, and how they nest.

    Args:
        parties: that keep it.
        deadline: on the monotonic clock.
        name: of the deposit.
        digest: what it must have; None for any.

    Raises:
        ClusterError: there is none, the caller may not use it, or the parties have different ones, or not
            `digest`.
    """
    parties.send_all({"command": "deposited", "name": name})
    about = _same(parties.answers(deadline, "looking for the deposit"), f"deposit '{name}'")
    found = str(about.get("digest"))
    if digest is not None and digest != found:
        raise ClusterError(f"deposit '{name}' has digest {found}, not {digest}: its owner made another one")
    if about.get("kind") != "arrays":
        raise ClusterError(f"deposit '{name}' is not arrays; get a program with program('{name}')")
    try:
        return about["about"]["tree"], _handles(name, found, about["about"])
    except (KeyError, TypeError, ValueError, EncodingError) as error:
        raise ClusterError(f"deposit '{name}' does not say what it is: {error!r}") from None


def find_program(
    parties: Parties, deadline: float, name: str, digest: str | None
) -> compiled_program.Program:
    """A deposited program; errors as for `find_arrays`."""
    parties.send_all({"command": "program", "name": name})
    answers = parties.answers(deadline, "fetching the program")
    _same(answers, f"deposit '{name}'")
    contents = {bytes(buffers[0]) for _, buffers in answers}
    if len(contents) != 1:
        raise ClusterError(
            f"the parties have different programs under '{name}'; its owner must deposit it again"
        )
    program = compiled_program.Program.from_bytes(contents.pop(), f"deposit '{name}'")
    if digest is not None and digest != program.digest:
        raise ClusterError(f"deposit '{name}' is the program {program.digest}, not {digest}")
    return program


def withdraw(parties: Parties, deadline: float, name: str) -> None:
    """Has the parties remove a deposit.

    Raises:
        ClusterError: it is not the caller's.
    """
    parties.send_all({"command": "withdraw", "name": name})
    parties.answers(deadline, "withdrawing the deposit")


@dataclass(frozen=True)
class Result:
    """A result that waited for its receiver.

    Attributes:
        digest: of the program that it is of.
        name: of that program.
        values: what each output is.
        parts: of each output, what each party sent.
        tree: how the outputs nest.
        guard: what a guarded program assumes, of which the last output tells whether it held; else None.
    """

    digest: str
    name: str
    values: tuple[Value, ...]
    parts: tuple[list[tuple[dict[str, Any], bytearray]], ...]
    tree: Any
    guard: tuple[str, ...] | None


def collect(parties: Parties, deadline: float, label: str, sender: str) -> Result:
    """What the parties hold of a result.

    Raises:
        ClusterError: none waits, or the parties have different ones.
    """
    which = {"label": label, "sender": sender}
    parties.send_all({"command": "receive", **which})
    answers = parties.answers(deadline, "receiving the result")
    parts = [header.pop("parts") for header, _ in answers]
    about = _same(answers, f"result '{label}'")
    try:
        values = tuple(
            Value(tuple(value["shape"]), value["dtype"], parse_encoding(value["encoding"]), secret=True)
            for value in about["values"]
        )
        pieces = [
            [(parts[rank][number], answers[rank][1][number]) for rank in range(PARTIES)]
            for number in range(len(values))
        ]
        guard = None if about["guard"] is None else tuple(map(str, about["guard"]))
        for value in values:
            numpy_dtype(value.dtype)
        return Result(str(about["digest"]), str(about["name"]), values, tuple(pieces), about["tree"], guard)
    except (KeyError, TypeError, ValueError, IndexError, EncodingError) as error:
        raise ClusterError(f"result '{label}' does not say what it is: {error!r}") from None


def collected(parties: Parties, deadline: float, label: str, sender: str) -> None:
    """Lets the parties remove a result."""
    parties.send_all({"command": "received", "label": label, "sender": sender})
    parties.answers(deadline, "removing the result")


def _same(answers: Sequence[Answer], what: str) -> dict[str, Any]:
    """What all three parties say alike."""
    headers = [header for header, _ in answers]
    if any(header != headers[0] for header in headers):
        raise ClusterError(f"the parties do not say the same of {what}; its owner must make it again")
    return headers[0]


def _handles(name: str, digest: str, about: dict[str, Any]) -> list[DepositedArray]:
    handles = []
    for number, array in enumerate(about["arrays"]):
        encodings: tuple[Encoding, ...] = tuple(map(parse_encoding, array["encodings"]))
        numpy_dtype(array["dtype"])
        handles.append(
            DepositedArray(
                tuple(array["shape"]),
                array["dtype"],
                encodings,
                bool(array["secret"]),
                key=-1,
                generation=None,
                deposit=name,
                digest=digest,
                array=number,
            )
        )
    return handles
