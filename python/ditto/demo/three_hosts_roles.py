"""The processes of the demo on three hosts: each is somebody else, in a folder with his own files only.

    python -m ditto.demo.three_hosts_roles ROLE

What a process says is on its standard output; a line `@word value` it tells everybody, as if by mail. What
others tell it comes on its standard input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

import ditto
from ditto.demo import digits
from ditto.runtime.party.serve import serve

PROGRAM, WEIGHTS = "program", "weights"
"""Names of the deposits, and of what is told about them."""

COPY = "copy"
"""What the digest of the program is told as that nobody allows."""

HOSTS, PROGRAM_FILE, WEIGHTS_FILE, IMAGES_FILE, ANSWERS_FILE = (
    *("hosts.toml", "model.ditto", "weights.npz", "images.npy", "answers.npy"),
)

TRUTH = {"clinic": (3, 1, 4, 1), "lab": (2, 7, 1, 8)}
"""What is on the images of each data owner."""

THIEF = "lab"
"""The data owner who wants more than he may have."""

TIMEOUT_S = 120.0


def say(line: str) -> None:
    """Says something."""
    print(line, flush=True)


def hear() -> list[str]:
    """The words of the next line that this process is told."""
    return sys.stdin.readline().split()


def party(rank: int) -> None:
    """Is a party, as by `ditto party hosts.toml --rank`."""
    serve(Path(HOSTS), rank, say)
    os._exit(0)


def model_owner() -> None:
    """Trains a model, tells everybody which program it is for, and deposits its weights."""
    rng = np.random.default_rng(1)
    weights, right = digits.train(rng)
    np.savez(WEIGHTS_FILE, **weights)
    say(f"trained a network that reads {right:.1%} of 1000 new images of digits right")
    x = digits.images(rng, np.zeros(len(TRUTH[THIEF]), np.int64))
    program = ditto.compile(digits.read_digits, weights, x, visibility=("secret:model", "secret:data"))
    program.save(PROGRAM_FILE)
    say("compiled it, and tells everybody the program's digest, for access files; it keeps the weights")
    say(f"@{PROGRAM} {program.digest}")
    hear()
    with ditto.RemoteCluster(HOSTS, TIMEOUT_S) as cluster:
        handles = cluster.deposit(WEIGHTS, program, 0, weights)
        cluster.deposit_program(PROGRAM, program)
    say("deposited the program, and the weights as shares; tells the data owners the deposit's digest")
    say(f"@{WEIGHTS} {handles['w1'].digest}")


def data_owner(name: str) -> None:
    """Has its images read by the model owner's network; the thief then tries to have the network, too."""
    x = digits.images(np.random.default_rng(len(name)), np.array(TRUTH[name]))
    np.save(IMAGES_FILE, x)
    program_digest, weights_digest = hear()
    with ditto.RemoteCluster(HOSTS, TIMEOUT_S) as cluster:
        program = cluster.program(PROGRAM, program_digest)
        weights = cluster.deposited(WEIGHTS, weights_digest)
        answers = cluster.run(program, weights, x)
        np.save(ANSWERS_FILE, answers)
        read = np.argmax(answers, axis=1).tolist()
        say(f"has images of {list(TRUTH[name])}; the answer, which it alone can open, is {read}")
        if name == THIEF:
            _steal(cluster, weights)


def _steal(cluster: ditto.RemoteCluster, weights: dict[str, ditto.SharedArray]) -> None:
    """Runs a program that returns the weights."""
    like = {name: np.zeros(handle.shape, np.float32) for name, handle in weights.items()}
    copy = ditto.compile(lambda weights: weights, like, visibility=("secret:model",))
    say("now runs another program on the weights, which returns them")
    say(f"@{COPY} {copy.digest}")
    try:
        cluster.run(copy, weights)
    except ditto.ClusterError as error:
        say(f"is refused: {error}")
    else:
        sys.exit("got the weights")


ROLES: dict[str, Callable[[], None]] = {
    "party0": lambda: party(0),
    "party1": lambda: party(1),
    "party2": lambda: party(2),
    "model": model_owner,
    "clinic": lambda: data_owner("clinic"),
    "lab": lambda: data_owner("lab"),
}

if __name__ == "__main__":
    ROLES[sys.argv[1]]()
