"""Three parties on hosts of their own, which keep what owners deposit and what waits for receivers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ditto import compiled_program, tree
from ditto.runtime.caller import depositing
from ditto.runtime.caller.cluster import (
    Cluster,
    argument_copies,
    broken_guard,
    nested,
    open_output,
)
from ditto.runtime.caller.depositing import DepositedArray
from ditto.runtime.caller.inputs import (
    GuardError,
    InputError,
    SharedArray,
    check_program,
)
from ditto.runtime.caller.parties import Parties
from ditto.runtime.caller.remote import RemoteParties
from ditto.runtime.transport.hosts import load_hosts
from ditto_compiler.network import Network
from ditto_compiler.program import Program

T = TypeVar("T")


class RemoteCluster(Cluster):
    """Three parties on hosts of their own, each running `ditto party`.

        with RemoteCluster("hosts.toml") as cluster:
            y = cluster.run(program, x, w)

    What each caller may do is in the parties' access files; what is not allowed is a ClusterError that says
    what would allow it. docs/howto/hosts.md shows owners, callers and receivers at work.

    Args:
        hosts: path of the hosts file, see `ditto.runtime.transport.hosts`.
        timeout: seconds that a run may take, and that connecting may take.
        network: what lies between the parties, by which casts choose their mode, as for `LocalCluster`.

    Raises:
        HostsError: the file or its certificates cannot be used.
    """

    def __init__(
        self, hosts: str | Path, timeout: float = 600.0, network: str | Network | None = None
    ) -> None:
        super().__init__(timeout, network)
        self.hosts = load_hosts(hosts)

    def _connect(self) -> Parties:
        return RemoteParties(self.hosts, self.timeout, self.network)

    def run(
        self,
        program: Program,
        *args: Any,
        keep: Any = False,
        progress: Callable[[int, int], None] | None = None,
        receiver: str | None = None,
        label: str | None = None,
    ) -> Any:
        """Runs a program, as `Cluster.run`; its outputs may go to somebody else.

        Args:
            program, args, keep, progress: as for `Cluster.run`; arguments may be deposited, too.
            receiver: name in the certificate of who shall have the outputs, by `receive`; the caller gets
                None then. Nothing can be kept.
            label: under which they wait for the receiver: letters, digits and . _ : / @ -.

        Raises:
            InputError, SharingError, GuardError, ClusterError: as for `Cluster.run`.
        """
        call = self._call()
        if receiver is None and label is None:
            return nested(program, self._outputs(call, program, args, keep, progress))
        if receiver is None or label is None or keep is not False:
            raise InputError("outputs for somebody else need a receiver and a label, and none is kept")
        self._outputs(call, program, args, False, progress, {"receiver": receiver, "label": label})
        return None

    def deposit(self, name: str, program: Program, position: int, argument: Any) -> Any:
        """Leaves one argument with the parties under a name, for runs of others and after this connection.

        Args:
            name: of the deposit; what was there under it is replaced, once all parties have the new one.
            program: says in which encodings the argument is wanted; other programs may take it, too.
            position: of the argument.
            argument: its value, as for `run`.

        Returns:
            the argument with `DepositedArray`s for its arrays; pass it to `run`.

        Raises:
            InputError, SharingError, ClusterError: as for `run`.
        """
        copies = argument_copies(program, position, argument)

        def action(parties: Parties, deadline: float) -> list[DepositedArray]:
            arrays = list(copies.encoded())
            return depositing.deposit_arrays(parties, deadline, name, copies.structure, arrays)

        return copies.nested(self._asked(action))

    def deposited(self, name: str, digest: str | None = None) -> Any:
        """What was deposited under a name, for `run`: `DepositedArray`s, nested like the argument.

        Args:
            name: of the deposit.
            digest: what it must have (`DepositedArray.digest`, as its owner told it); None for any.

        Raises:
            ClusterError: there is no such deposit that this caller may use, or it has another digest.
        """
        structure, arrays = self._asked(
            lambda parties, deadline: depositing.find_arrays(parties, deadline, name, digest)
        )
        return tree.unflatten_argument(structure, arrays)

    def deposit_program(self, name: str, program: Program) -> str:
        """Leaves a program with the parties under a name; its digest, by which access files name it.

        Raises:
            InputError, ClusterError: as for `deposit`.
        """
        check_program(program)
        return self._asked(
            lambda parties, deadline: depositing.deposit_program(parties, deadline, name, program)
        )

    def program(self, name: str, digest: str | None = None) -> compiled_program.Program:
        """A program that was deposited under a name.

        Args:
            name: of the deposit.
            digest: the program's, as its owner told it; None for any.

        Raises:
            ClusterError: as for `deposited`.
            ProgramFileError: it is none.
        """
        return self._asked(lambda parties, deadline: depositing.find_program(parties, deadline, name, digest))

    def withdraw(self, name: str) -> None:
        """Has the parties remove a deposit of this caller's.

        Raises:
            ClusterError: it is not this caller's.
        """
        self._asked(lambda parties, deadline: depositing.withdraw(parties, deadline, name))

    def receive(self, label: str, *, sender: str, digest: str | None = None) -> Any:
        """The outputs of a run that somebody else made for this caller. The parties then forget them.

        Args:
            label: under which they wait.
            sender: name in the certificate of who ran the program.
            digest: of the program that they must be of; None for any.

        Raises:
            ClusterError: none waits.
            GuardError: the program was guarded, and a value left the range that it assumes.
            SharingError: the parties' shares contradict each other.
        """

        def action(parties: Parties, deadline: float) -> depositing.Result:
            result = depositing.collect(parties, deadline, label, sender)
            if digest is not None and digest != result.digest:
                raise InputError(f"result '{label}' is of program {result.digest}, not {digest}")
            depositing.collected(parties, deadline, label, sender)
            return result

        result = self._asked(action)
        outputs = [open_output(v, sent) for v, sent in zip(result.values, result.parts, strict=True)]
        if result.guard is not None and not outputs.pop():
            raise GuardError(broken_guard(result.name, result.guard))
        return tree.unflatten(result.tree, outputs)

    def _asked(self, action: Callable[[Parties, float], T]) -> T:
        """What `action` has the parties do, when its turn has come."""
        with self._turn(self._call()):
            return self._guarded(action)

    def _reference(self, handle: SharedArray, where: str) -> dict[str, Any]:
        if isinstance(handle, DepositedArray):
            return handle.reference()
        return super()._reference(handle, where)
