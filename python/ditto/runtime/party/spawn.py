"""Starting party processes on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ditto.runtime.transport.installation import installed_file
from ditto_compiler.processes import child_environment, last_line, python_command


@dataclass
class PartyProcess:
    """A party process on this machine.

    Attributes:
        process: the process.
        sock: connected to it.
        log: what it prints, SPU's own log apart.
    """

    process: subprocess.Popen[bytes]
    sock: socket.socket
    log: Path

    def last_words(self) -> str:
        """The last line that it said, for the end of an error."""
        last = last_line(self.log)
        return f"; it last said: {last}" if last else ""


def spawn_party(rank: int, folder: Path) -> PartyProcess:
    """Starts a party process.

    Args:
        rank: names its folder.
        folder: for the folder that holds its logs; the process removes neither.
    """
    ours, theirs = socket.socketpair()
    own = folder / f"party{rank}"
    own.mkdir()
    log = own / "output.log"
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(
            python_command("ditto.runtime.party.process", str(theirs.fileno()), str(own)),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=party_environment(),
            # An interrupt from the terminal is for this process, which then ends the party.
            process_group=0,
        )
    return PartyProcess(process, ours, log)


def party_environment() -> dict[str, str]:
    """The environment that SPU needs.

    `OMP_THREAD_LIMIT=1`, for Eigen would otherwise start four threads per product, which makes products
    several times slower; and a malloc that aligns to 64 bytes, for products in ring 32 read with
    aligned vector loads from buffers that glibc aligns to 16.
    """
    library = installed_file("libditto_malloc.so")
    preload = os.environ.get("LD_PRELOAD")
    return child_environment(
        OMP_THREAD_LIMIT="1", LD_PRELOAD=f"{library}:{preload}" if preload else str(library)
    )
