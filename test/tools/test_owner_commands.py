"""The commands of owners, data owners and receivers, with three parties on loopback."""

import hashlib

import jax
import numpy as np
import pytest
from click.testing import CliRunner
from test.support.servers import Servers

import ditto
from ditto_tools.cli import cli

W = {"b": np.float32([0.5, -0.25]), "w": np.float32([[0.5, -1.0], [2.0, 0.25]])}
X = np.float32([[1.0, 2.0], [-0.5, 0.75], [3.0, -1.0]])


def model(weights, x):
    return jax.nn.softmax(x @ weights["w"] + weights["b"])


EXPECTED = np.asarray(model(W, X))
PROGRAM = ditto.compile(model, W, X, visibility=("secret:model", "secret:clinic"))

ACCESS = f"""
[owners]
model = ["model.test"]
clinic = ["clinic.test"]

[[deposit]]
name = "weights"
owner = "model.test"
max_bytes = 100000

[[deposit]]
name = "program"
owner = "model.test"
max_bytes = 1000000

[[allow]]
programs = ["{PROGRAM.digest}"]
callers = ["clinic.test"]
deposits = ["weights", "program"]
receivers = ["clinic.test", "registry.test"]
"""


@pytest.fixture(scope="module")
def hosts(tmp_path_factory):
    """The hosts file of each caller."""
    names = ("model", "clinic", "registry")
    callers = [f"{name}.test" for name in names]
    running = Servers(tmp_path_factory.mktemp("hosts"), access=ACCESS, callers=callers)
    yield {name: running.folder / f"{name}.test" / "hosts.toml" for name in names}
    running.close()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    PROGRAM.save(tmp_path / "model.ditto")
    np.savez(tmp_path / "weights.npz", W["b"], W["w"])
    np.save(tmp_path / "x.npy", X)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments):
    """What a command prints on standard output."""
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    if done.exception is not None:
        raise done.exception
    return done.stdout.strip()


def refused(*arguments):
    """The one message of a command that fails."""
    with pytest.raises(ditto.DittoError) as error:
        command(*arguments)
    return str(error.value)


def outputs(path):
    with np.load(path) as file:
        return [file[name] for name in file.files]


def test_owners_at_work(hosts, folder):
    digest = command("digest", "model.ditto")
    assert (
        digest
        == PROGRAM.digest
        == hashlib.sha256(ditto.Program.load(folder / "model.ditto").executable).hexdigest()
    )
    weights = command("deposit", "array", hosts["model"], "weights", "model.ditto", 0, "weights.npz")
    assert len(bytes.fromhex(weights)) == 32
    assert command("deposit", "program", hosts["model"], "program", "model.ditto") == digest

    fetched = command(
        "deposit", "fetch", hosts["clinic"], "program", "-o", "fetched.ditto", "--digest", digest
    )
    assert fetched == digest
    run = ("run", "fetched.ditto", "x.npy", "--hosts", hosts["clinic"], "--deposited")
    command(*run, f"0=weights@{weights}", "-o", "out.npz")
    np.testing.assert_allclose(outputs("out.npz")[0], EXPECTED, atol=1e-2)

    command(*run, "0=weights", "--receiver", "registry.test", "--label", "monday")
    receive = ("receive", hosts["registry"], "monday", "--sender", "clinic.test", "-o")
    assert "there is no folder" in refused(*receive, "no/where.npz")
    command(*receive, "received.npz", "--digest", digest)
    np.testing.assert_allclose(outputs("received.npz")[0], EXPECTED, atol=1e-2)

    command("deposit", "withdraw", hosts["model"], "weights")
    assert "nothing is deposited under 'weights'" in refused(*run, "0=weights")


def test_who_may_not(hosts, folder):
    deposit = ("deposit", "array", hosts["clinic"], "weights", "model.ditto", 0, "weights.npz")
    assert "'clinic.test' may not deposit 'weights'" in refused(*deposit)
    fetch = ("deposit", "fetch", hosts["registry"], "program", "-o", "stolen.ditto")
    assert "'registry.test' may not use deposit 'program'" in refused(*fetch)
    assert not (folder / "stolen.ditto").exists()


ERRORS = {
    "no hosts": (("run", "model.ditto", "x.npy", "--deposited", "0=weights"), "give --hosts, too"),
    "no label": (("--receiver", "registry.test"), "need --receiver and --label"),
    "no receiver": (("--label", "monday"), "need --receiver and --label"),
    "an output": (("--receiver", "r.test", "--label", "l", "-o", "o.npz"), "have no -o"),
    "no position": (("--deposited", "weights"), "is no POSITION=NAME"),
    "no such position": (("--deposited", "2=weights"), "has 2 arguments, so none at 2"),
    "too many arrays": (("weights.npz", "--deposited", "0=weights"), "takes 1 arrays, got 3"),
    "nowhere to write": (("-o", "no/where.npz"), "there is no folder 'no'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_meant(folder, name):
    """Nobody is asked for anything: there are no such hosts."""
    arguments, message = ERRORS[name]
    if arguments[0] != "run":
        arguments = ("run", "model.ditto", "x.npy", "--hosts", "absent.toml", *arguments)
    assert message in refused(*arguments)


def test_arrays_of_one_argument_only(folder):
    message = refused("deposit", "array", "absent.toml", "weights", "model.ditto", 0, "x.npy")
    assert "argument 0 of program 'model' takes 2 arrays, got 1" in message
    message = refused("deposit", "array", "absent.toml", "weights", "model.ditto", 5, "x.npy")
    assert "has 2 arguments, so none at 5" in message
