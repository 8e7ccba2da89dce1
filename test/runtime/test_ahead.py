"""Prepared runs: P0 goes ahead of the others, before the inputs are known."""

import asyncio
import dataclasses
import os
import signal
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sketch import Sketch
from test.support.servers import ANY, Servers

import ditto
from ditto.runtime.caller import ahead
from ditto.runtime.caller import cluster as cluster_module
from ditto.runtime.party.executor import Executor
from ditto.runtime.party.prepared import prepared_bytes
from ditto.runtime.protocols.prf import PairKeys
from ditto.runtime.protocols.rounds import Party
from ditto.runtime.protocols.sharing import last_slot, slot_ahead
from ditto.runtime.transport.channel import ChannelError, run_in_threads
from ditto_compiler.cost.model import estimate
from ditto_compiler.encoding import Fxp
from ditto_compiler.errors import InternalError
from ditto_compiler.executor.schedule import schedule

DRAW = np.random.default_rng(5)
X, W, B = (DRAW.normal(size=shape).astype(np.float32) for shape in ((6, 8), (8, 8), (8,)))
SIX_KEYS = 4 * 16


def layer(x, w, b):
    """Products, comparisons, functions, selections, booleans along an axis."""
    hidden = jax.nn.gelu(x @ w + b)
    likely = jax.nn.softmax(hidden)
    return jnp.where((x > 0.5).any(axis=1, keepdims=True) & (w[:6] > -0.25), likely, hidden - 1.0)


def compiled(function, *args, **options):
    ranges = ditto.calibrate(function, [args], policy="ditto")
    return ditto.compile(function, *args, policy="ditto", ranges=ranges, **options)


@pytest.fixture(scope="module")
def program():
    return compiled(layer, X, W, B)


@pytest.fixture(scope="module")
def other():
    return compiled(lambda x: x * x, X)


def is_right(found, x=X):
    np.testing.assert_allclose(found, layer(x, W, B), atol=0.01)


def was_prepared(cluster):
    return cluster.stats.ahead is not None


def planned(program, *, ahead):
    (step,) = program.steps
    return schedule(step.instructions, lambda number: program.values[number].tensor, ahead=ahead)


def test_a_prepared_run_gives_what_others_give_for_fewer_rounds(cluster, program):
    is_right(cluster.run(program, X, W, B))
    usual = cluster.stats
    assert usual.ahead is None
    cluster.prepare(program, 2)
    assert cluster.prepared(program) == 2
    for left in (1, 0):
        x = X + np.float32(left / 8)
        is_right(cluster.run(program, x, W, B), x)
        assert cluster.prepared(program) == left
        found = cluster.stats
        online, ordinary = planned(program, ahead=True), planned(program, ahead=False)
        assert (usual.bytes, usual.beside_rounds) == (ordinary.bytes, ordinary.rounds)
        assert (found.bytes, found.messages) == (online.bytes, len(online.messages))
        assert found.beside_bytes == found.bytes
        assert found.beside_rounds == online.rounds < ordinary.rounds
        assert (found.ahead.bytes, found.ahead.messages) == (sum(online.dealt), len(online.deals))
        assert found.bytes + found.ahead.bytes == usual.bytes
        phases = estimate(program).prepared
        assert (found.ahead.bytes, found.bytes, found.beside_rounds) == dataclasses.astuple(phases)
        # A slot of each input to two of the parties, in place of two to three.
        assert 3 * found.input_bytes == usual.input_bytes
        assert found.ahead.input_bytes == SIX_KEYS
        assert found.ahead.seconds > 0 and found.ahead.cpu_seconds > 0 and found.ahead.peak_memory > 0
    is_right(cluster.run(program, X, W, B))
    assert not was_prepared(cluster)


def test_prepared_and_other_runs_take_turns(cluster, program, other):
    cluster.prepare(program, 2)
    np.testing.assert_allclose(cluster.run(other, X), X * X, atol=0.01)
    assert not was_prepared(cluster)
    cluster.prepare(other)
    shared = cluster.share(program, 0, X)
    for prepared in (True, False, True):
        is_right(cluster.run(program, X if prepared else shared, W, B))
        assert was_prepared(cluster) == prepared
        np.testing.assert_allclose(cluster.run(other, X), X * X, atol=0.01)
        cluster.prepare(other)
    assert (cluster.prepared(program), cluster.prepared(other)) == (0, 1)
    cluster.run(other, X)
    assert was_prepared(cluster) and not cluster.prepared(other)


def test_shared_arrays_of_a_prepared_run_are_those_it_was_prepared_for(cluster, program):
    weights, others = cluster.share(program, 1, W), cluster.share(program, 1, 2 * W)
    bias = cluster.share(program, 2, B)
    cluster.prepare(program, shared={1: weights, 2: bias})
    for args in ((X, W, B), (X, others, B), (X, others, bias), (X, weights, B)):
        cluster.run(program, *args)
        assert not was_prepared(cluster)
    is_right(cluster.run(program, X, weights, bias))
    assert was_prepared(cluster)
    rings = [program.values[entry.value].encoding.ring for entry in program.inputs if entry.index == 0]
    assert cluster.stats.input_bytes == sum(2 * X.size * ring // 8 for ring in rings)
    with pytest.raises(ditto.InputError, match="input 0: expected a shared array, got a ndarray"):
        cluster.prepare(program, shared={0: X})
    with pytest.raises(ditto.InputError, match="has 3 arguments, so none at 3"):
        cluster.prepare(program, shared={3: bias})
    with pytest.raises(ditto.InputError, match="expected f32 of shape"):
        cluster.prepare(program, shared={0: bias})
    elsewhere = cluster.share(compiled(lambda b: b * 16.0, B), 0, B)
    with pytest.raises(ditto.PrepareError, match=r"takes input 2 as .* share it for this program"):
        cluster.prepare(program, shared={2: elsewhere})
    with ditto.LocalCluster(timeout=60) as second, pytest.raises(ditto.InputError, match="share it again"):
        second.prepare(program, shared={2: bias})


def test_outputs_of_a_prepared_run_can_stay_with_the_parties(cluster, program, other):
    cluster.prepare(program)
    kept = cluster.run(program, X, W, B, keep=True)
    assert was_prepared(cluster)
    seen = []
    np.testing.assert_allclose(
        cluster.run(compiled(lambda x: x + 1.0, X), kept, progress=lambda *steps: seen.append(steps)),
        layer(X, W, B) + 1,
        atol=0.01,
    )
    cluster.prepare(other)
    cluster.run(other, X, progress=lambda *steps: seen.append(steps))
    assert seen[-1] == (1, 1)


def test_inputs_that_are_refused_leave_prepared_runs_as_they_are(cluster):
    guarded = compiled(layer, X, W, B, guard=True)
    cluster.prepare(guarded, 2)
    for wrong, error in (
        (X[:2], ditto.InputError),
        (np.full_like(X, np.nan), ditto.DittoError),
        (1000 * X, ditto.GuardError),
    ):
        with pytest.raises(error):
            cluster.run(guarded, wrong, W, B)
    assert cluster.prepared(guarded) == 2
    is_right(cluster.run(guarded, X, W, B))
    assert was_prepared(cluster)
    # Inputs within their ranges, and a product that is not.
    with pytest.raises(ditto.GuardError, match="a value left the range"):
        cluster.run(guarded, np.full_like(X, X.max()), np.full_like(W, W.max()), B)
    assert was_prepared(cluster)


def test_what_is_public_of_a_prepared_run(cluster):
    """Guarded by the caller alone, so that the guard's answer is a public constant."""
    program = compiled(lambda x: jnp.exp(x) * 2.0, X, guard=True)
    assert not program.values[program.outputs[-1]].secret
    cluster.prepare(program)
    for prepared in (True, False):
        np.testing.assert_allclose(cluster.run(program, X), 2 * np.exp(X), rtol=0.01)
        assert was_prepared(cluster) == prepared


def test_a_prepared_run_serves_once():
    program = compiled(lambda x: x * x, X)
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.prepare(program)
        (used,) = cluster._prepared
        cluster.run(program, X)
        cluster._prepared.append(used)
        with pytest.raises(ditto.ClusterError, match=rf"no run {used.number} of that program is prepared"):
            cluster.run(program, X)
        # The parties have ended, and all prepared runs with them.
        assert cluster.prepared(program) == 0


def test_a_prepared_run_is_of_its_program(program, other):
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.run(other, X)
        cluster.prepare(program)
        cluster._prepared[0].digest = other.digest
        cluster._prepared[0].references = {}
        with pytest.raises(ditto.ClusterError, match="of that program is prepared"):
            cluster.run(other, X)


@pytest.mark.parametrize("victim", range(3))
def test_prepared_runs_end_with_the_parties(program, victim):
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.prepare(program, 2)
        os.kill(cluster.pids[victim], signal.SIGKILL)
        with pytest.raises(ditto.ClusterError, match=rf"P{victim}"):
            cluster.run(program, X, W, B)
        assert cluster.prepared(program) == 0
        is_right(cluster.run(program, X, W, B))
        assert not was_prepared(cluster)
        os.kill(cluster.pids[victim], signal.SIGKILL)
        with pytest.raises(ditto.ClusterError, match=rf"P{victim}"):
            cluster.prepare(program)
        cluster.prepare(program)
        cluster.close()
        assert cluster.prepared(program) == 0
        is_right(cluster.run(program, X, W, B))
        assert not was_prepared(cluster)


def test_programs_that_make_room_take_their_prepared_runs_along(monkeypatch, program, other):
    monkeypatch.setattr(cluster_module, "MAX_PROGRAMS", 1)
    with ditto.LocalCluster(timeout=60) as cluster:
        cluster.prepare(program)
        cluster.run(other, X)
        assert cluster.prepared(program) == 0
        is_right(cluster.run(program, X, W, B))
        assert not was_prepared(cluster)


def test_in_the_background(cluster, program):
    async def both():
        await asyncio.gather(
            cluster.prepare_async(program), cluster.run_async(program, X, W, B), return_exceptions=False
        )

    asyncio.run(both())
    assert was_prepared(cluster) and cluster.prepared(program) == 0


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (lambda x: jnp.sin(x), {"policy": "ditto"}, "'sine'.* stays in the engine"),
        (lambda x: jnp.exp(x), {"policy": "uniform64"}, "'maximum'.* stays in the engine"),
        (lambda x: x * 2.0, {"policy": "ditto", "visibility": "public"}, "input 0 is public"),
        (lambda x: x, {"policy": "ditto"}, "computes nothing"),
    ],
    ids=["sine", "engine", "public", "nothing"],
)
def test_programs_that_cannot_be_prepared(cluster, function, options, message):
    program = ditto.compile(function, X, **options)
    with pytest.raises(ditto.PrepareError, match=message):
        cluster.prepare(program)
    cluster.run(program, X)
    assert not was_prepared(cluster)


def test_how_many(monkeypatch, cluster, program):
    for wrong in (-1, 1.5, True, "2"):
        with pytest.raises(ditto.InputError, match="a number of runs to prepare"):
            cluster.prepare(program, wrong)
    cluster.prepare(program, 0)
    each = max(prepared_bytes(program))
    monkeypatch.setattr(cluster_module, "AHEAD_BYTES", 2 * each)
    cluster.prepare(program)
    with pytest.raises(ditto.PrepareError, match=rf"would hold {3 * each} bytes for prepared runs"):
        cluster.prepare(program, 2)
    cluster.prepare(program)
    assert cluster.prepared(program) == 2
    for _ in range(2):
        is_right(cluster.run(program, X, W, B))


# What the parties know.


def test_slots_drawn_ahead_add_up_and_are_each_of_one_key():
    raw = DRAW.integers(0, 1 << 32, 1000).astype(np.uint32)
    run = ahead.Ahead("digest", 1, {}, 0)
    last = last_slot(raw, 32, run.keys, 7)
    slots = [slot_ahead(key, 7, raw.size, 32) for key in run.keys]
    assert np.array_equal(slots[0] + slots[1] + last, raw)
    assert len({slot.tobytes() for slot in slots} | {slot_ahead(run.keys[0], 8, 1000, 32).tobytes()}) == 3
    known = [run.slots(rank) for rank in range(3)]
    assert [sorted(slots) for slots in known] == [[0, 1], [1], [0]]
    assert known[0] == {**known[1], **known[2]}
    assert run.keys != ahead.Ahead("digest", 2, {}, 0).keys
    assert run.keys[0].hex() not in repr(run)


def a_sketch():
    s = Sketch()
    a, b, p = s.number(40, 80), s.number(40, 80), s.bit(40, 80)
    low = s.add("less", (a,), (40, 80), is_bit=True, thresholds=(0,))
    both = s.add("and", (low, p), (40, 80), is_bit=True)
    chosen = s.add("select", (both, a, b), (40, 80), Fxp(20, 8))
    s.add("multiply", (chosen, b), (40, 80), Fxp(12, 8))
    return s


def test_no_mask_serves_twice(monkeypatch):
    """Whatever the order in which runs are prepared and made: streams are alike at both ends, and new."""
    drawn = []
    stream = PairKeys.stream

    def noted(keys, peer, instance):
        drawn.append((frozenset(keys._keys.items()), peer, instance))
        return stream(keys, peer, instance)

    monkeypatch.setattr(PairKeys, "stream", noted)
    s = a_sketch()
    held = [s.shares() for _ in range(5)]
    results = [[], [], []]

    def party(channel):
        rank = channel.rank
        executor = Executor(rank, channel)
        about, nothing = s.tensors.__getitem__, lambda number: True
        values = [dict(shares[rank]) for shares in held]

        def deal(run):
            return executor.deal(s.instructions, about, values[run] if rank == 0 else {}, nothing)

        first, second = deal(0), deal(1)
        executor.run(s.instructions, about, values[2], nothing)
        third = deal(3)
        if rank:
            executor.run(s.instructions, about, values[1], nothing, second)
        executor.run(s.instructions, about, values[4], nothing)
        if rank:
            executor.run(s.instructions, about, values[3], nothing, third)
            executor.run(s.instructions, about, values[0], nothing, first)
        results[rank] = values

    run_in_threads(party)
    assert max(Counter(drawn).values()) == 1
    ends = Counter(instance for _, _, instance in drawn)
    # Of each stream there are two ends; of each instance, streams of up to three pairs.
    assert set(ends.values()) <= {2, 4, 6}
    for run in range(5):
        values = [results[rank][run] for rank in range(3)]
        a, b, p = (s.inputs[number] for number in range(3))
        expected = np.where((a < 0) & (p == 1), a, b) * b / 256
        assert np.abs(s.open(values, 6) - expected).max() < 2


def test_who_goes_ahead_never_waits_and_the_others_check_what_comes():
    party = Party(0, PairKeys({}), instances=[1, 2], ahead=True)
    assert [party.seat().role, party.seat().role] == [0, 0]
    with pytest.raises(InternalError, match="more than 3 seats"):
        party.seat()
    s, short = a_sketch(), Sketch()
    short.add("multiply", (short.number(5), short.number(5)), (5,), Fxp(12, 8))

    def other_programs(channel):
        one = short if channel.rank == 0 else s
        values = one.shares()[channel.rank] if channel.rank == 0 else {}
        Executor(channel.rank, channel).deal(
            one.instructions, one.tensors.__getitem__, values, lambda number: True
        )

    with pytest.raises(ChannelError, match=r"party 0 dealt \d+ bytes where \d+ were expected"):
        run_in_threads(other_programs)


def test_large_deals_come_in_pieces(monkeypatch):
    monkeypatch.setattr("ditto_compiler.executor.schedule.MESSAGE", 5000)
    planned, _ = a_sketch().check_ahead()
    assert len(planned.deals) > 2
    assert [i for sharing in planned.deals for i in sharing] == [i for i, n in enumerate(planned.dealt) if n]


# On hosts.


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    deposit = '[[deposit]]\nname = "weights"\nowner = "caller.test"\nmax_bytes = 10000\n'
    access = f"memory_bytes = 100000\n{deposit}{ANY.format(caller='caller.test')}"
    servers = Servers(tmp_path_factory.mktemp("ahead"), access)
    yield servers
    assert servers.close(signal.SIGINT) == [0, 0, 0]


def test_parties_on_hosts_prepare_runs(servers, program, cluster):
    cluster.prepare(program)
    cluster.run(program, X, W, B)
    local = cluster.stats
    with ditto.RemoteCluster(servers.hosts) as remote:
        remote.prepare(program, 2)
        is_right(remote.run(program, X, W, B))
        assert (remote.stats.bytes, remote.stats.messages) == (local.bytes, local.messages)
        assert remote.stats.ahead.bytes == local.ahead.bytes
        weights = remote.deposit("weights", program, 1, W)
        remote.prepare(program, shared={1: weights})
        is_right(remote.run(program, X, weights, B))
        assert was_prepared(remote)
        is_right(remote.run(program, X, W, B))
        assert was_prepared(remote) and remote.prepared(program) == 0
        with pytest.raises(ditto.ClusterError, match="inputs, kept arrays and prepared runs; its limit"):
            remote.prepare(program, 100)
        assert remote.prepared(program) == 0
    with ditto.RemoteCluster(servers.hosts) as remote:
        # Nothing is left of the session before.
        is_right(remote.run(program, X, W, B))
        assert not was_prepared(remote)
