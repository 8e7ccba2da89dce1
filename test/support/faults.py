"""Seeded trials of faults: one fault at a random moment, what the caller sees of it, and what it leaves.

    python test/support/run_faults.py --trials 100 --seed 0 [--hosts | --local]

Each trial runs a program of about a second, of many rounds and some MB, while something is killed, stopped,
cut off, silent or without disk. The caller must get a right result or one ClusterError, at once or by the
time-out; and when the fault is over, the same cluster must compute what JAX does, with all else untouched.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
from test.support.processes import child_environment
from test.support.servers import Servers, children

import ditto
from ditto.runtime.caller import parties as caller_parties
from ditto.runtime.caller.cluster import Cluster
from ditto.runtime.transport.ports import LOOPBACK, free_ports
from ditto.runtime.transport.relay import Relay
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto_compiler.network import PARTIES, Network

FAST = Network("fast", 1e12, 0.0)
TIMEOUT = 8.0
SOON = 5.0
"""Seconds until the error of what can be noticed at once: a death, a connection that ended."""
SLACK = 3.0
"""Seconds that an error may come after the time-out."""
PATIENT = 60.0

_RANDOM = np.random.default_rng(0)
W = _RANDOM.uniform(-0.3, 0.3, (64, 64)).astype(np.float32)
X = _RANDOM.uniform(-1, 1, (64, 64)).astype(np.float32)
TABLE = _RANDOM.uniform(-1, 1, 1 << 20).astype(np.float32)


def layers(w, x, count=12):
    for _ in range(count):
        x = jax.nn.relu(jnp.tanh(x @ w + 0.1) + 0.2)
    return x


def total(table):
    return jnp.sum(table.reshape(1024, -1), axis=0)


PROGRAM = ditto.compile(layers, W, X)
TOTAL = ditto.compile(total, TABLE, policy="uniform64")
SMALL = ditto.compile(lambda x: jax.nn.relu(x @ x), X)
EXPECTED = {
    program.digest: (np.asarray(value), atol)
    for program, value, atol in (
        (PROGRAM, layers(W, X), 0.1),
        (TOTAL, total(TABLE), 0.01),
        (SMALL, jax.nn.relu(X @ X), 0.1),
    )
}

OF_ONE_SESSION = ("kill child", "stop child", "full disk child", "caller killed", "caller resets")
"""Faults that are no business of other callers."""


def fault_moments(hosts):
    return (
        "connecting",
        "sharing",
        *(("depositing",) if hosts else ()),
        "early",
        "middle",
        "late",
        "idle",
        "beside another",
    )


@dataclass
class Row:
    """What came of a trial.

    Attributes:
        seconds: from the fault, or from the call that met it if that came later, to the caller's error.
        problems: what should not have been.
    """

    kind: str
    moment: str
    seconds: float | None = None
    message: str = ""
    problems: list[str] = field(default_factory=list)

    def text(self, number):
        seconds = "-" if self.seconds is None else f"{self.seconds:.2f}"
        line = f"{number:3} {self.kind:16} {self.moment:14} {seconds:>6}  {self.message}"
        return "\n".join([line, *(f"    VIOLATION: {problem}" for problem in self.problems)])


@dataclass
class Fault:
    """Something that goes wrong once."""

    inject: Callable[[], Callable[[], None]]
    at: float | None = None
    done: threading.Event = field(default_factory=threading.Event)
    heal: Callable[[], None] = lambda: None
    error: BaseException | None = None

    def __call__(self):
        try:
            self.heal = self.inject()
        except BaseException as error:
            self.error = error
        self.at = time.monotonic()
        self.done.set()


def within(seconds, condition):
    """Waits for a condition; what it gave last."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def descriptors(pid):
    """How many a process has open; 0 if only root may know."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return 0


def stop(pid):
    os.kill(pid, signal.SIGSTOP)

    def go_on():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    return go_on


def limit(pid, what, most):
    """Sets a limit of a process, and of those it starts."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))

    def free():
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, before)

    return free


class Trials(ABC):
    """Trials with one set of parties.

    Attributes:
        kinds: of faults.
        at_once: those of which the caller hears at once.
        moments: at which they come.
    """

    kinds: tuple[str, ...]
    at_once: tuple[str, ...]
    moments: tuple[str, ...]

    def __init__(self, timeout=TIMEOUT):
        self.timeout = timeout
        self.other: Cluster = self.another()
        # Seconds that things take here, and what a run costs.
        self.takes: dict[str, float] = {}
        with contextlib.closing(self.cluster(PATIENT)) as cluster:
            self.measure("connecting", cluster.start)
            self.prepare(cluster)
            self.measure("sharing", lambda: cluster.share(TOTAL, 0, TABLE))
            self.takes["depositing"] = 3 * self.takes["sharing"]
            self.check(PROGRAM, cluster.run(PROGRAM, W, X))
            self.cost = cluster.stats.bytes, cluster.stats.messages
        # On a busy machine all takes longer.
        self.timeout = max(timeout, round(2 * self.takes["connecting"]) + 1)
        within(10, lambda: not self.left())
        self.open = self.open_descriptors()

    def measure(self, what, action):
        start = time.monotonic()
        action()
        self.takes[what] = time.monotonic() - start

    @abstractmethod
    def cluster(self, timeout) -> Cluster:
        """A new cluster of the caller, not connected."""

    @abstractmethod
    def another(self) -> Cluster:
        """A cluster of another caller, not connected."""

    @abstractmethod
    def prepare(self, cluster):
        """What is to be there throughout."""

    @abstractmethod
    def final_run(self, cluster):
        """A run when the fault is over."""

    @abstractmethod
    def fault(self, kind, rng) -> Callable[[], Callable[[], None]]:
        """What injects a fault, and gives what heals it."""

    @abstractmethod
    def left(self) -> list[str]:
        """What is there that should not be when nobody calls."""

    @abstractmethod
    def open_descriptors(self) -> list[int]:
        """How many each process has."""

    @abstractmethod
    def vanishing(self) -> tuple[list[str], dict[str, str]]:
        """Arguments of a caller that vanishes, and its environment."""

    @abstractmethod
    def before(self):
        """Notes what runs before a trial."""

    def new_messages(self) -> list[str]:
        """What was said since it was last asked that should never be said."""
        return []

    @staticmethod
    def check(program, found):
        expected, atol = EXPECTED[program.digest]
        np.testing.assert_allclose(found, expected, atol=atol)

    def check_cost(self, cluster):
        found = cluster.stats.bytes, cluster.stats.messages
        assert found == self.cost, f"the run is said to have cost {found}, not {self.cost}"

    def trial(self, kind, moment, rng) -> Row:
        """Makes one fault."""
        row = Row(kind, moment)
        if kind.startswith("caller"):
            self.vanish(row, rng)
        elif not self.one_fault(row, rng):
            # The machine is too busy to get as far as the fault in the time-out.
            self.timeout *= 2
            return self.trial(kind, moment, rng)
        left = within(15, lambda: not self.left()) or self.left()
        if left is not True:
            row.problems.append(f"left behind: {left}")
        row.problems += self.new_messages()
        return row

    def one_fault(self, row, rng):
        """Makes one fault of the parties, if the caller gets so far in time; whether it did."""
        kind, moment = row.kind, row.moment
        fault = Fault(self.fault(kind, rng))
        beside: list[BaseException] = []
        ending = threading.Event()
        thread = None
        if moment == "beside another":
            self.other.timeout = self.timeout
            self.other.start()
            thread = threading.Thread(target=self.run_on, args=(ending, beside))
            thread.start()
        self.before()
        cluster = self.cluster(self.timeout)
        began = time.monotonic()
        try:
            began = time.monotonic()
            for step in self.steps(cluster, moment, fault, rng):
                began = time.monotonic()
                step()
        except ditto.ClusterError as error:
            row.seconds = time.monotonic() - max(began, fault.at or began)
            row.message = str(error)
            if fault.at is None and "the time-out" in row.message:
                ending.set()
                cluster.close()
                self.other.close()
                return False
            self.judge(row, fault)
        except Exception as error:
            row.problems.append(f"the caller got {error!r}")
        if not fault.done.wait(20) or fault.error is not None:
            row.problems.append(f"the fault did not come: {fault.error!r}")
        ending.set()
        if thread is not None:
            thread.join(PATIENT)
            if kind in OF_ONE_SESSION and beside:
                row.problems.append(f"another caller was told {beside[0]!r}")
            for error in beside:
                if not isinstance(error, ditto.ClusterError):
                    row.problems.append(f"another caller got {error!r}")
        fault.heal()
        try:
            cluster.timeout = PATIENT
            if row.seconds is None:
                # It met nothing that was broken; what it is connected to may be, though.
                cluster.close()
            self.final_run(cluster)
            if thread is not None:
                self.other.timeout = PATIENT
                self.check(SMALL, self.other.run(SMALL, X))
            start = time.monotonic()
            cluster.close()
            self.other.close()
            if time.monotonic() - start > SOON:
                row.problems.append(f"closing took {time.monotonic() - start:.1f} s")
        except Exception as error:
            cluster.close()
            self.other.close()
            row.problems.append(f"after it, {error!r}")
        return True

    def steps(self, cluster, moment, fault, rng) -> Iterator[Callable[[], None]]:
        """What the caller does, one after the other, while the fault comes."""

        def timed(action):
            def step():
                timer = threading.Timer(rng.uniform(0, self.takes[moment]), fault)
                timer.start()
                try:
                    action()
                finally:
                    fault.done.wait(20)

            return step

        if moment == "connecting":
            yield timed(cluster.start)
        yield cluster.start
        if moment == "idle":
            self.check(SMALL, cluster.run(SMALL, X))
            yield fault
        if moment == "sharing":
            yield timed(lambda: cluster.share(TOTAL, 0, TABLE))
        if moment == "depositing":
            yield timed(lambda: cluster.deposit("scratch", TOTAL, 0, TABLE))
        parts = {"early": (0, 0.1), "late": (0.9, 0.97)}
        after = rng.uniform(*parts.get(moment, (0.1, 0.9)))

        def progress(done, steps):
            if fault.at is None and done >= after * steps:
                fault()

        def run():
            self.check(PROGRAM, cluster.run(PROGRAM, W, X, progress=progress))
            self.check_cost(cluster)

        yield run

    def judge(self, row, fault):
        """What is wrong with an error that the caller got."""
        if fault.at is None:
            row.problems.append(f"an error before the fault: {row.message}")
        limit = SOON if row.kind in self.at_once else self.timeout + SLACK
        if row.moment == "connecting":
            # Nobody looks at a link before the engines are there.
            limit += self.takes["connecting"]
        if row.seconds > limit:
            row.problems.append(f"the error came after {row.seconds:.1f} s, not within {limit:g} s")
        if "\n" in row.message or "Traceback" in row.message or len(row.message) > 500:
            row.problems.append(f"the message is not clear: {row.message!r}")

    def run_on(self, ending, errors):
        """Runs programs of another caller."""
        while not ending.is_set():
            try:
                self.check(SMALL, self.other.run(SMALL, X))
            except BaseException as error:
                errors.append(error)
                return

    def vanish(self, row, rng):
        """A caller vanishes while another one works."""
        arguments, environment = self.vanishing()
        moment = row.moment if row.moment in ("connecting", "sharing", "idle") else "running"
        where = {"early": 0.05, "late": 0.8}.get(row.moment, rng.uniform(0.1, 0.8))
        delay = where * 1.2 if moment == "running" else rng.uniform(0, self.takes.get(moment, 1))
        reset = "reset" if row.kind == "caller resets" else "stay"
        with tempfile.TemporaryDirectory() as folder, self.cluster(PATIENT) as cluster:
            TOTAL.save(f"{folder}/total.ditto")
            PROGRAM.save(f"{folder}/program.ditto")
            np.savez(f"{folder}/inputs.npz", w=W, x=X, table=TABLE)
            self.before()
            with subprocess.Popen(
                [sys.executable, "-c", _CALLER, folder, reset, *arguments],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            ) as caller:
                said = ""
                while said != moment and (line := caller.stdout.readline()):
                    said = line.strip()
                time.sleep(delay)
                served = self.served_of(caller.pid)
                caller.kill()
                said, error = caller.communicate()
            if error:
                row.problems.append(f"the caller said {error[-300:]}")
            start = time.monotonic()
            if moment != "connecting" and not served:
                row.problems.append("nobody served the caller")
            within(SOON, lambda: not any(map(is_running, served)))
            if any(map(is_running, served)):
                row.problems.append(f"a process outlived its caller: {served}")
            row.seconds = time.monotonic() - start
            row.message = "(its processes ended)"
            try:
                self.final_run(cluster)
            except Exception as error:
                row.problems.append(f"another caller got {error!r}")

    @abstractmethod
    def served_of(self, caller) -> list[int]:
        """Processes that work for a caller that is about to vanish."""

    def close(self) -> list[str]:
        """Ends all; what is wrong at the end."""
        within(45, lambda: all(a <= b for a, b in zip(self.open_descriptors(), self.open, strict=True)))
        now = self.open_descriptors()
        grown = any(a > b for a, b in zip(now, self.open, strict=True))
        return [f"descriptors grew from {self.open} to {now}"] if grown else []


_CALLER = """
import socket, struct, sys
import numpy as np
import ditto
folder, reset, *hosts = sys.argv[1:]
total, program = (ditto.Program.load(f"{folder}/{name}.ditto") for name in ("total", "program"))
data = np.load(f"{folder}/inputs.npz")
w, x, table = (data[name] for name in ("w", "x", "table"))
cluster = ditto.RemoteCluster(hosts[0], timeout=60) if hosts else ditto.LocalCluster(timeout=60)
print("connecting", flush=True)
cluster.start()
if reset == "reset":
    for sock in cluster._parties._sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
print("sharing", flush=True)
cluster.share(total, 0, table)
print("idle", flush=True)
cluster.run(program, w, x)
print("running", flush=True)
while True:
    cluster.run(program, w, x)
"""


class LocalTrials(Trials):
    """Trials with parties on this machine, and the relay between them."""

    kinds = (
        "kill child",
        "kill relay",
        "stop child",
        "stop relay",
        "full disk child",
        "cut link",
        "silent link",
        "caller killed",
    )
    # An engine does not see that a Unix socket was cut, which nothing but a test of the relay does.
    at_once = ("kill child", "kill relay")
    moments = fault_moments(hosts=False)

    def __init__(self, folder, timeout=TIMEOUT):
        self.folder = Path(folder)
        self.relays: list[Relay] = []
        self.stack = contextlib.ExitStack()
        trials = self

        class Noted(Relay):
            def __init__(self, *arguments):
                super().__init__(*arguments)
                trials.relays.append(self)

        self.stack.enter_context(mock.patch.object(caller_parties, "Relay", Noted))
        self.stack.enter_context(mock.patch.object(tempfile, "tempdir", str(self.folder)))
        self.not_ours = set(children(os.getpid()))
        super().__init__(timeout)

    def cluster(self, timeout):
        return ditto.LocalCluster(timeout=timeout, network=FAST)

    def another(self):
        return ditto.LocalCluster(timeout=PATIENT)

    def prepare(self, cluster):
        cluster.run(SMALL, X)

    def final_run(self, cluster):
        self.check(PROGRAM, cluster.run(PROGRAM, W, X))
        self.check_cost(cluster)

    def before(self):
        self.already = set(children(os.getpid()))
        self.relays.clear()

    def started(self, what, rank):
        """Process id of something that is being started now."""

        def found():
            pids = [p for p in children(os.getpid()) if p not in self.already and what in command_of(p)]
            return pids[rank] if len(pids) > rank else None

        return within(SOON, found)

    def fault(self, kind, rng):
        rank, most = rng.randrange(PARTIES), rng.choice([0, 3000])
        one, other = rng.sample(range(PARTIES), 2)

        def inject():
            what = "ditto-relay" if kind.endswith("relay") else "ditto.runtime.party.process"
            if kind.endswith("link"):
                relay = within(SOON, lambda: self.relays and self.relays[-1])
                (relay.cut if kind == "cut link" else relay.hold)(one, other)
                return lambda: None
            pid = self.started(what, 0 if kind.endswith("relay") else rank)
            assert pid is not None, f"no {what} came"
            if kind.startswith("kill"):
                os.kill(pid, signal.SIGKILL)
                return lambda: None
            return stop(pid) if kind.startswith("stop") else limit(pid, resource.RLIMIT_FSIZE, most)

        return inject

    def left(self):
        ours = set(children(os.getpid())) - self.not_ours
        return [*map(command_of, ours), *map(str, self.folder.rglob("*"))]

    def open_descriptors(self):
        return [descriptors(os.getpid())]

    def vanishing(self):
        return [], child_environment(TMPDIR=str(self.folder))

    def served_of(self, caller):
        return children(caller)

    def vanish(self, row, rng):
        super().vanish(row, rng)
        # What is left of who was killed, the next one removes.
        RuntimeFolder().close()

    def close(self):
        self.stack.close()
        return super().close()


class FixedRelay(Relay):
    """A relay whose entrances are at ports that are known before."""

    def __init__(self, network, addresses, ports):
        self.ports = ports
        super().__init__(network, addresses)

    def _entrance(self, source, target, goal):
        port = self.ports[source, target]
        return socket.create_server((LOOPBACK, port)), f"{LOOPBACK}:{port}"


ACCESS = """
sessions = 6
store = "store"
store_key = "store.key"

[[deposit]]
name = "weights"
owner = "caller.test"
max_bytes = 1000000

[[deposit]]
name = "scratch"
owner = "caller.test"
max_bytes = 100000000

[[allow]]
programs = "any"
callers = ["caller.test", "other.test"]
"""


class HostTrials(Trials):
    """Trials with three `ditto party`, whose links go through the relay."""

    kinds = (
        "kill child",
        "kill server",
        "kill relay",
        "stop child",
        "stop server",
        "stop relay",
        "full disk child",
        "full disk server",
        "no files server",
        "cut link",
        "silent link",
        "caller killed",
        "caller resets",
    )
    at_once = ("kill child", "kill server", "kill relay", "cut link")
    moments = fault_moments(hosts=True)

    def __init__(self, folder, timeout=TIMEOUT):
        ports = free_ports(2 * PARTIES + PARTIES * (PARTIES - 1))
        self.goals = [f"{LOOPBACK}:{ports[2 * rank + 1]}" for rank in range(PARTIES)]
        rest = iter(ports[2 * PARTIES :])
        self.entrances = {(a, b): next(rest) for a in range(PARTIES) for b in range(PARTIES) if a != b}
        self.relay = FixedRelay(FAST, self.goals, self.entrances)
        links = [
            [self.entrances.get((rank, peer), ports[2 * peer + 1]) for peer in range(PARTIES)]
            for rank in range(PARTIES)
        ]
        for rank in range(PARTIES):
            (folder / str(rank)).mkdir()
            key = folder / str(rank) / "store.key"
            key.write_bytes(os.urandom(32))
            key.chmod(0o600)
        self.read = [0] * PARTIES
        callers = ("caller.test", "other.test")
        self.servers = Servers(folder, ACCESS, callers, ports=ports[: 2 * PARTIES], links=links)
        super().__init__(timeout)

    def cluster(self, timeout):
        return ditto.RemoteCluster(self.servers.hosts, timeout=timeout)

    def another(self):
        return ditto.RemoteCluster(self.servers.folder / "other.test" / "hosts.toml", timeout=PATIENT)

    def prepare(self, cluster):
        self.digest = cluster.deposit("weights", PROGRAM, 0, W).digest

    def final_run(self, cluster):
        weights = cluster.deposited("weights", self.digest)
        self.check(PROGRAM, cluster.run(PROGRAM, weights, X))
        self.check_cost(cluster)

    def before(self):
        self.already = {pid for server in self.servers.processes for pid in children(server.pid)}

    def child(self, rank):
        """Process id of the party that serves the caller, who may be connecting yet."""

        def found():
            pids = [p for p in children(self.servers.processes[rank].pid) if p not in self.already]
            return pids[0] if pids else None

        return within(SOON, found)

    def fault(self, kind, rng):
        rank, most = rng.randrange(PARTIES), rng.choice([0, 3000])
        one, other = rng.sample(range(PARTIES), 2)

        def inject():
            server = self.servers.processes[rank]
            if kind in ("cut link", "silent link"):
                (self.relay.cut if kind == "cut link" else self.relay.hold)(one, other)
                return self.relay.restore
            if kind.endswith("relay"):
                if kind == "stop relay":
                    return stop(self.relay.process.pid)
                self.relay.process.kill()
                return self.restart_relay
            if kind == "kill server":
                server.kill()
                return lambda: self.restart(rank)
            if kind == "no files server":
                # About as many descriptors as it has when nobody calls.
                return limit(server.pid, resource.RLIMIT_NOFILE, rng.randrange(8, 30))
            pid = server.pid if kind.endswith("server") else self.child(rank)
            assert pid is not None, "no child came"
            if kind == "kill child":
                os.kill(pid, signal.SIGKILL)
                return lambda: None
            return stop(pid) if kind.startswith("stop") else limit(pid, resource.RLIMIT_FSIZE, most)

        return inject

    def restart(self, rank):
        self.servers.processes[rank].wait(20)
        self.servers.restart(rank)

    def restart_relay(self):
        self.relay.close()
        self.relay = FixedRelay(FAST, self.goals, self.entrances)

    def left(self):
        stores = [self.servers.folder / str(rank) / "store" / "pending" for rank in range(PARTIES)]
        pending = [path for store in stores for path in store.iterdir()]
        folders = list(self.servers.temporary.iterdir())
        more = folders if len(folders) != PARTIES else []
        # What was killed and restarted has another folder by now.
        return [*map(command_of, self.servers.sessions()), *map(str, [*self.servers.left(), *pending, *more])]

    def new_messages(self):
        found = []
        for rank in range(PARTIES):
            log = self.servers.log(rank)
            # A server that was restarted has a new one.
            read = self.read[rank] if len(log) >= self.read[rank] else 0
            self.read[rank] = len(log)
            if bad := re.search("Traceback|Exception|Error:", log[read:]):
                found.append(f"the log of P{rank} says {log[read:][bad.start() :][:3000]}")
        return found

    def open_descriptors(self):
        return [descriptors(os.getpid()), *(descriptors(server.pid) for server in self.servers.processes)]

    def vanishing(self):
        return [str(self.servers.hosts)], child_environment()

    def served_of(self, caller):
        return [pid for pid in self.servers.sessions() if pid not in self.already]

    def close(self):
        problems = super().close()
        codes = self.servers.close()
        if codes != [0] * PARTIES:
            problems.append(f"the servers ended with {codes}")
        self.relay.close()
        return problems


def plan(trials, count, seed):
    """Kinds, moments and random numbers of so many trials: each kind as often, in any order."""
    rng = random.Random(seed)
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += rng.sample(trials.kinds, len(trials.kinds))
    return [
        (kind, rng.choice(trials.moments), random.Random(f"{seed} {n}"))
        for n, kind in enumerate(kinds[:count])
    ]


def summary(rows):
    """How many of each kind, and their slowest errors."""
    of_kind = defaultdict(list)
    for row in rows:
        of_kind[row.kind].append(row)
    lines = [f"{'kind':18} trials  errors  slowest s  violations"]
    for kind, some in sorted(of_kind.items()):
        seconds = [row.seconds for row in some if row.seconds is not None]
        wrong = sum(bool(row.problems) for row in some)
        lines.append(f"{kind:18} {len(some):6}  {len(seconds):6}  {max(seconds, default=0):9.2f}  {wrong:10}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial that is made")
    parser.add_argument("--minutes", type=float, default=60, help="after which no other trial begins")
    parser.add_argument("--only", default="", help="kinds with this in their name")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--hosts", action="store_true")
    which.add_argument("--local", action="store_true")
    given = parser.parse_args()
    # A signal to end shall end the servers, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    failed = False
    end = time.monotonic() + 60 * given.minutes
    for name, make in (("hosts", HostTrials), ("local", LocalTrials)):
        if (given.hosts and name != "hosts") or (given.local and name != "local"):
            continue
        rows: list[Row] = []
        problems: list[str] = []
        with tempfile.TemporaryDirectory(prefix="faults-") as folder:
            trials = make(Path(folder))
            try:
                print(f"{name}: {json.dumps({k: round(v, 2) for k, v in trials.takes.items()})}", flush=True)
                for number, (kind, moment, rng) in enumerate(plan(trials, given.trials, given.seed)):
                    if given.only in kind and number >= given.first and time.monotonic() < end:
                        rows.append(trials.trial(kind, moment, rng))
                        print(rows[-1].text(number), flush=True)
            finally:
                problems = trials.close()
        print(summary(rows))
        for problem in problems:
            print(f"VIOLATION: {problem}")
        failed = failed or bool(problems) or any(row.problems for row in rows)
    return int(failed)
