"""Several owners: a model owner deposits weights, data owners run programs on them, receivers collect."""

import itertools
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test.support.servers import Servers, wait_until

import ditto

W = {"w": np.float32([[0.5, -1.0], [2.0, 0.25]]), "b": np.float32([0.5, -0.25])}
X = np.float32([[1.0, 2.0], [-0.5, 0.75], [3.0, -1.0]])


def model(weights, x):
    return jax.nn.softmax(x @ weights["w"] + weights["b"])


EXPECTED = np.asarray(model(W, X))
OWNERS = ("secret:model", "secret:data")
PROGRAM = ditto.compile(model, W, X, visibility=OWNERS)
LOGITS = ditto.compile(lambda weights, x: x @ weights["w"], W, X, visibility=OWNERS)
COPY = ditto.compile(lambda weights: weights["w"] + 0, W, visibility=("secret:model",))
LARGEST = ditto.compile(lambda y: jnp.max(y, axis=1), EXPECTED)
PUBLIC = ditto.compile(lambda table, x: table[::-1] * x, X, X, visibility=("public:model", "secret:data"))
GUARDED = ditto.compile(
    lambda weights, x: jnp.exp(x @ weights["w"]),
    W,
    X,
    visibility=OWNERS,
    policy="ditto",
    ranges=ditto.calibrate(lambda weights, x: jnp.exp(x @ weights["w"]), [(W, X)], policy="ditto"),
    guard=True,
)

ACCESS = f"""
sessions = 3
store = "store"
store_key = "store.key"

[owners]
model = ["model.test"]
data = ["clinic.test", "lab.test"]

[[deposit]]
name = "weights"
owner = "model.test"
max_bytes = 100000

[[deposit]]
name = "more"
owner = "model.test"
max_bytes = 100000

[[deposit]]
name = "table"
owner = "model.test"
max_bytes = 100000

[[deposit]]
name = "program"
owner = "model.test"
max_bytes = 1000000

[[deposit]]
name = "clinic/x"
owner = "clinic.test"
max_bytes = 100000

[[allow]]
programs = ["{PROGRAM.digest}", "{LOGITS.digest}", "{GUARDED.digest}"]
callers = ["clinic.test", "lab.test"]
deposits = ["weights", "more", "program"]
receivers = ["clinic.test", "lab.test"]

[[allow]]
programs = ["{PUBLIC.digest}"]
callers = ["clinic.test"]
deposits = ["table"]

[[allow]]
programs = "any"
callers = ["clinic.test", "lab.test", "model.test"]
"""

CALLERS = ("model.test", "clinic.test", "lab.test")


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("owners")
    for rank in range(3):
        (folder / str(rank)).mkdir()
        key = folder / str(rank) / "store.key"
        key.write_bytes(os.urandom(32))
        key.chmod(0o600)
    servers = Servers(folder, ACCESS, CALLERS)
    yield servers
    assert servers.close() == [0, 0, 0]


@pytest.fixture(scope="module")
def cluster_of(servers):
    """A connected cluster for each caller."""
    clusters = {
        name: ditto.RemoteCluster(servers.folder / name / "hosts.toml", timeout=60) for name in CALLERS
    }
    yield lambda name: clusters[f"{name}.test"]
    for cluster in clusters.values():
        cluster.close()


@pytest.fixture(scope="module")
def weights(cluster_of):
    """The digest of the deposited weights."""
    handles = cluster_of("model").deposit("weights", PROGRAM, 0, W)
    assert set(handles) == {"w", "b"}
    (digest,) = {handle.digest for handle in handles.values()}
    return digest


def test_data_owners_run_a_deposited_program_on_deposited_weights(servers, cluster_of, weights):
    assert cluster_of("model").deposit_program("program", PROGRAM) == PROGRAM.digest
    for name in ("clinic", "lab"):
        cluster = cluster_of(name)
        program = cluster.program("program", PROGRAM.digest)
        assert program.digest == PROGRAM.digest and program.annotated == ""
        held = cluster.deposited("weights", weights)
        for x in (X, X[::-1]):
            found = cluster.run(program, held, x)
            np.testing.assert_allclose(found, model(W, x), atol=2**-6)
    for rank in range(3):
        assert re.search(
            rf"clinic\.test, session .*: runs program {PROGRAM.digest} on weights\n", servers.log(rank)
        )
        # Neither a weight nor an input nor an answer.
        assert "0.5" not in servers.log(rank) and "[[" not in servers.log(rank)


def test_weights_are_for_allowed_programs_only(servers, cluster_of, weights):
    cluster = cluster_of("clinic")
    held = cluster.deposited("weights")
    with pytest.raises(ditto.ClusterError, match=r"'clinic.test' may not run program .* on \"weights\""):
        cluster.run(COPY, held)
    wait_until(lambda: any("may not run program" in servers.log(rank) for rank in range(3)))
    # Its owner may do with them as it likes.
    np.testing.assert_allclose(cluster_of("model").run(COPY, held), W["w"], atol=2**-6)


def test_what_is_kept_of_a_run_stays_bound_to_the_weights(cluster_of, weights):
    cluster = cluster_of("clinic")
    kept = cluster.run(PROGRAM, cluster.deposited("weights"), X, keep=True)
    with pytest.raises(ditto.ClusterError, match="may not run program"):
        cluster.run(LARGEST, kept)
    np.testing.assert_allclose(cluster.run(LARGEST, EXPECTED), EXPECTED.max(axis=1), atol=2**-6)


def test_inputs_come_from_their_owners(cluster_of, weights):
    with pytest.raises(ditto.ClusterError, match=r"must come from 'model', and comes from \"clinic\.test\""):
        cluster_of("clinic").run(PROGRAM, W, X)
    with pytest.raises(ditto.ClusterError, match=r"must come from 'data', and comes from \"model\.test\""):
        cluster_of("model").run(LOGITS, cluster_of("model").deposited("weights"), X)


def test_a_receiver_gets_what_the_caller_does_not(servers, cluster_of, weights):
    clinic, lab = cluster_of("clinic"), cluster_of("lab")
    held = clinic.deposited("weights")
    assert clinic.run(PROGRAM, held, X, receiver="lab.test", label="today") is None
    with pytest.raises(ditto.ClusterError, match=r"a result 'today' waits for lab\.test already"):
        clinic.run(PROGRAM, held, X, receiver="lab.test", label="today")
    with pytest.raises(ditto.ClusterError, match=r"no result 'today' of clinic\.test waits for clinic\.test"):
        clinic.receive("today", sender="clinic.test")
    with pytest.raises(ditto.InputError, match="is of program"):
        lab.receive("today", sender="clinic.test", digest=LOGITS.digest)
    found = lab.receive("today", sender="Clinic.test", digest=PROGRAM.digest)
    np.testing.assert_allclose(found, EXPECTED, atol=2**-6)
    with pytest.raises(ditto.ClusterError, match=r"no result 'today'"):
        lab.receive("today", sender="clinic.test")
    with pytest.raises(ditto.ClusterError, match=r"may not run program .* with outputs to 'model\.test'"):
        clinic.run(PROGRAM, clinic.deposited("weights"), X, receiver="model.test", label="today")


def test_a_caller_may_be_the_receiver(servers, cluster_of, weights):
    clinic = cluster_of("clinic")
    held = clinic.deposited("weights")
    assert clinic.run(PROGRAM, held, X, receiver="Clinic.test", label="mine") is None
    np.testing.assert_allclose(clinic.receive("mine", sender="clinic.test"), EXPECTED, atol=2**-6)


@pytest.mark.parametrize(
    ("receiver", "label", "message"),
    [
        *(
            ("clinic.test", label, "a label is of letters")
            for label in ("", " ", "a b", "ü", "a..b", "x" * 300, "\n", "../x")
        ),
        ("", "label", "with outputs to ''"),
        ("*", "label", "with outputs to '*'"),
    ],
    ids=itertools.count(),
)
def test_outputs_without_a_place_are_not_computed(servers, cluster_of, weights, receiver, label, message):
    clinic = cluster_of("clinic")
    held = clinic.deposited("weights")
    before = [servers.log(rank).count("runs program") for rank in range(3)]
    with pytest.raises(ditto.ClusterError, match=re.escape(message)):
        clinic.run(PROGRAM, held, X, receiver=receiver, label=label)
    assert [servers.log(rank).count("runs program") for rank in range(3)] == before


def test_a_guard_tells_the_receiver(cluster_of, weights):
    clinic, lab = cluster_of("clinic"), cluster_of("lab")
    held = clinic.deposited("weights")
    clinic.run(GUARDED, held, X, receiver="lab.test", label="good")
    expected = np.exp(X @ W["w"])
    np.testing.assert_allclose(lab.receive("good", sender="clinic.test"), expected, rtol=0.02, atol=0.02)


def test_a_replaced_deposit_is_not_taken_for_the_old_one(cluster_of):
    clinic, owner = cluster_of("clinic"), cluster_of("model")
    old = owner.deposit("more", PROGRAM, 0, W)["w"].digest
    held = clinic.deposited("more", old)
    other = {"w": -W["w"], "b": W["b"]}
    owner.deposit("more", PROGRAM, 0, other)
    with pytest.raises(ditto.ClusterError, match="deposit 'more' was replaced; ask for it again"):
        clinic.run(PROGRAM, held, X)
    with pytest.raises(ditto.ClusterError, match="its owner made another one"):
        clinic.deposited("more", old)
    found = clinic.run(PROGRAM, clinic.deposited("more"), X)
    np.testing.assert_allclose(found, model(other, X), atol=2**-6)


def test_public_deposits_and_deposits_of_ones_own(cluster_of):
    cluster_of("model").deposit("table", PUBLIC, 0, X)
    clinic = cluster_of("clinic")
    mine = clinic.deposit("clinic/x", PUBLIC, 1, X)
    found = clinic.run(PUBLIC, clinic.deposited("table"), mine)
    np.testing.assert_allclose(found, X[::-1] * X, atol=2**-6)
    np.testing.assert_allclose(clinic.run(PUBLIC, clinic.deposited("table"), X), X[::-1] * X, atol=2**-6)
    clinic.withdraw("clinic/x")
    with pytest.raises(ditto.ClusterError, match="nothing is deposited under 'clinic/x'"):
        clinic.deposited("clinic/x")


@pytest.mark.parametrize(
    ("action", "message"),
    [
        (lambda c: c.deposit("weights", PROGRAM, 0, W), "'lab.test' may not deposit 'weights'"),
        (lambda c: c.deposit("elsewhere", PROGRAM, 0, W), "may not deposit 'elsewhere'"),
        (lambda c: c.withdraw("weights"), "may not deposit 'weights'"),
        (lambda c: c.deposited("table"), "'lab.test' may not use deposit 'table'"),
        (lambda c: c.deposited("nothing"), "'lab.test' may not use deposit 'nothing'"),
        (lambda c: c.program("weights"), "deposit 'weights' is not a program"),
        (lambda c: c.program("clinic/x"), "may not use deposit 'clinic/x'"),
        (lambda c: c.receive("none", sender="clinic.test"), "no result 'none'"),
        (lambda c: c.receive("../x", sender="clinic.test"), "a label is of letters"),
    ],
)
def test_what_is_not_allowed(cluster_of, weights, action, message):
    with pytest.raises(ditto.ClusterError, match=message.replace(".", r"\.")):
        action(cluster_of("lab"))


def test_wrong_calls(cluster_of, weights):
    clinic = cluster_of("clinic")
    held = clinic.deposited("weights")
    with pytest.raises(ditto.InputError, match="need a receiver and a label"):
        clinic.run(PROGRAM, held, X, receiver="lab.test")
    with pytest.raises(ditto.InputError, match="none is kept"):
        clinic.run(PROGRAM, held, X, receiver="lab.test", label="a", keep=True)
    with pytest.raises(ditto.InputError, match=r"expected f32 of shape \(2,\)"):
        clinic.run(PROGRAM, {"w": held["b"], "b": held["w"]}, X)


def test_a_deposit_that_is_too_large_leaves_nothing(cluster_of):
    large = np.zeros((100, 100), np.float32)
    program = ditto.compile(lambda x: x + 1, large)
    with pytest.raises(
        ditto.ClusterError, match=r"deposit 'clinic/x' takes .* bytes or more, and may take 100000"
    ):
        cluster_of("clinic").deposit("clinic/x", program, 0, large)
    with pytest.raises(ditto.ClusterError, match="nothing is deposited under 'clinic/x'"):
        cluster_of("clinic").deposited("clinic/x")


def test_deposits_and_results_survive_a_restart_and_sigkill(servers, cluster_of, weights):
    cluster_of("clinic").run(
        PROGRAM, cluster_of("clinic").deposited("weights"), X, receiver="lab.test", label="later"
    )
    for rank, number in enumerate((signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)):
        servers.processes[rank].send_signal(number)
        servers.processes[rank].wait(20)
        servers.restart(rank)
    for name in CALLERS:
        cluster_of(name.removesuffix(".test")).close()
    clinic, lab = cluster_of("clinic"), cluster_of("lab")
    found = clinic.run(PROGRAM, clinic.deposited("weights", weights), X)
    np.testing.assert_allclose(found, EXPECTED, atol=2**-6)
    np.testing.assert_allclose(lab.receive("later", sender="clinic.test"), EXPECTED, atol=2**-6)


@pytest.mark.parametrize("rank", range(3))
def test_each_party_decides_for_itself(servers, cluster_of, weights, rank):
    path = servers.folder / str(rank) / "access.toml"
    path.write_text(ACCESS.replace(PROGRAM.digest, 64 * "0"))
    try:
        servers.processes[rank].terminate()
        servers.processes[rank].wait(20)
        servers.restart(rank)
        cluster_of("clinic").close()
        with pytest.raises(ditto.ClusterError, match=rf"party P{rank} failed while .*may not run program"):
            cluster_of("clinic").run(PROGRAM, cluster_of("clinic").deposited("weights"), X)
    finally:
        path.write_text(ACCESS)
        servers.processes[rank].terminate()
        servers.processes[rank].wait(20)
        servers.restart(rank)
        cluster_of("clinic").close()
        cluster_of("model").close()
