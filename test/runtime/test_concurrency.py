"""Threads and coroutines that share a cluster: one call at a time, in order, none disturbing another."""

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest

import ditto
from ditto.runtime.caller.fair_lock import FairLock

LONG = 120
"""Seconds after which a test counts as hanging."""

X = np.float32([0.5, -1.0, 2.0])


def double(x):
    return x + x


def shifted(x):
    return x - 3.0, x[:2]


def positive(x):
    return {"positive": x > 0, "sum": jnp.sum(x)}


def square(x):
    return x * x


FUNCTIONS = {
    f: ditto.compile(f, X, policy=p)
    for f, p in zip(
        (double, shifted, positive, square), ("uniform64", "uniform32", "uniform64", "uniform32"), strict=True
    )
}
PROGRAM = FUNCTIONS[double]


def assert_right(found, f, x):
    expected = f(x)
    flat = [(found, expected)]
    if isinstance(expected, tuple):
        flat = list(zip(found, expected, strict=True))
    elif isinstance(expected, dict):
        flat = [(found[key], expected[key]) for key in expected]
    for result, right in flat:
        np.testing.assert_allclose(result, right, atol=2**-5)


def until(condition):
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline, "it hangs"
        time.sleep(0.002)


class Held:
    """A run that holds the cluster, in a thread, until it is let go."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._go = threading.Event()
        self._began = threading.Event()

    def _progress(self, done, total):
        self._began.set()
        assert self._go.wait(LONG)

    def __enter__(self):
        self._pool = ThreadPoolExecutor(1)
        self._run = self._pool.submit(self._cluster.run, PROGRAM, X, progress=self._progress)
        assert self._began.wait(LONG)
        return self

    def let_go(self):
        self._go.set()
        assert_right(self._run.result(LONG), double, X)

    def __exit__(self, *_):
        self._go.set()
        self._pool.shutdown()


class Line:
    """Calls in threads of their own, one after the other in line."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._pool = ThreadPoolExecutor(16)
        self.ended = []

    def call(self, name, function, *args, **kwargs):
        before = self._cluster._lock.waiting

        def work():
            try:
                return function(*args, **kwargs)
            finally:
                self.ended.append(name)

        future = self._pool.submit(work)
        until(lambda: self._cluster._lock.waiting > before)
        return future


# The lock.


def test_a_fair_lock_serves_in_order_of_arrival():
    lock, order, threads = FairLock(), [], []

    def enter(number):
        with lock:
            order.append(number)

    with lock:
        for number in range(20):
            threads.append(threading.Thread(target=enter, args=(number,)))
            threads[-1].start()
            until(lambda: lock.waiting == len(threads))
        assert order == []
    for thread in threads:
        thread.join(LONG)
    assert order == list(range(20)) and lock.waiting == 0


def test_a_fair_lock_excludes():
    lock, inside, most = FairLock(), [], []

    def enter():
        for _ in range(200):
            with lock:
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert len(most) == 1600 and set(most) == {1}


def test_a_thread_that_has_the_lock_is_told():
    lock = FairLock()
    with lock:
        with pytest.raises(ditto.ClusterError, match="comes from inside another one"):
            lock.__enter__()
        assert lock.waiting == 0
    with lock:
        pass


@pytest.fixture
def interruptible():
    """Ctrl-C interrupts: of processes that a shell starts in the background it does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_when(condition):
    """Ctrl-C for the main thread, as soon as a condition holds."""

    def wait():
        until(condition)
        # It is in line an instant before it sleeps.
        time.sleep(0.05)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_waiting_leaves_the_lock_usable():
    lock, go = FairLock(), threading.Event()

    def hold():
        with lock:
            go.wait(LONG)

    holder = threading.Thread(target=hold)
    holder.start()
    until(lambda: lock._line)
    interrupter = interrupt_when(lambda: lock.waiting == 1)
    with pytest.raises(KeyboardInterrupt), lock:
        pytest.fail("the lock was not held")
    interrupter.join()
    assert lock.waiting == 0
    go.set()
    with lock:
        pass
    holder.join()


# Threads.


def test_runs_of_many_threads_are_all_right(cluster):
    def work(number):
        for turn in range(3):
            f = list(FUNCTIONS)[(number + turn) % len(FUNCTIONS)]
            x = X + np.float32(number + turn / 4)
            assert_right(cluster.run(FUNCTIONS[f], x), f, x)
            shared = cluster.share(FUNCTIONS[f], 0, x)
            kept = cluster.run(FUNCTIONS[f], shared, keep=True) if f is double else None
            if kept is not None:
                assert_right(cluster.run(PROGRAM, kept), double, 2 * x)
            cluster.forget((shared, kept))

    processes = cluster.pids
    with ThreadPoolExecutor(8) as pool:
        for future in [pool.submit(work, number) for number in range(8)]:
            future.result(LONG)
    assert cluster.pids == processes


def test_calls_are_served_in_order(cluster):
    line = Line(cluster)
    with Held(cluster) as held:
        calls = [
            line.call("run", cluster.run, PROGRAM, X),
            line.call("share", cluster.share, PROGRAM, 0, X),
            line.call("start", cluster.start),
            line.call("run again", cluster.run, PROGRAM, X),
            line.call("forget", cluster.forget, X),
        ]
        assert line.ended == []
        held.let_go()
        for call in calls:
            call.result(LONG)
    assert line.ended == ["run", "share", "start", "run again", "forget"]


def test_a_call_from_inside_a_call_is_an_error_and_the_call_goes_on(cluster):
    calls = [
        lambda: cluster.run(PROGRAM, X),
        lambda: cluster.share(PROGRAM, 0, X),
        lambda: cluster.forget(X),
        cluster.start,
        cluster.close,
    ]
    errors = []

    def progress(done, total):
        for call in calls:
            with pytest.raises(ditto.ClusterError, match="inside another one of the same cluster") as error:
                call()
            errors.append(error)

    processes = cluster.pids
    assert_right(cluster.run(PROGRAM, X, progress=progress), double, X)
    assert len(errors) >= len(calls) and cluster.pids == processes


def test_an_error_in_one_leaves_the_others_alone(cluster):
    def f(x, y):
        return jnp.exp(x + y)

    ranges = ditto.calibrate(f, [(X, -X)], policy="uniform64")
    guarded = ditto.compile(f, X, X, policy="uniform64", ranges=ranges, guard=True)

    processes = cluster.pids
    line = Line(cluster)
    with Held(cluster) as held:
        right = [line.call("right", cluster.run, PROGRAM, X + 1)]
        # Each is a number that was seen; their sum is not.
        outside = line.call("guard", cluster.run, guarded, X[[2, 2, 2]], -X[[1, 1, 1]])
        too_large = line.call("value", cluster.run, PROGRAM, np.float32([1, np.inf, 1]))
        right.append(line.call("right", cluster.run, PROGRAM, X + 1))
        with pytest.raises(ditto.InputError, match="expected shape"):
            cluster.run(PROGRAM, X[:2])
        held.let_go()
        with pytest.raises(ditto.GuardError, match="a value left the range"):
            outside.result(LONG)
        with pytest.raises(ditto.DittoError, match=r"inf at index \(1,\) does not fit"):
            too_large.result(LONG)
        for call in right:
            assert_right(call.result(LONG), double, X + 1)
    assert cluster.pids == processes


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_of_a_call_that_waits_leaves_the_cluster_usable(cluster):
    processes = cluster.pids
    with Held(cluster) as held:
        interrupter = interrupt_when(lambda: cluster._lock.waiting == 1)
        with pytest.raises(KeyboardInterrupt):
            cluster.run(PROGRAM, X)
        interrupter.join()
        held.let_go()
    assert_right(cluster.run(PROGRAM, X), double, X)
    assert cluster.pids == processes


# Coroutines.


def test_many_runs_at_once_are_all_right_and_in_order(cluster):
    ended = []

    async def one(number):
        f = list(FUNCTIONS)[number % len(FUNCTIONS)]
        x = X + np.float32(number)
        assert_right(await cluster.run_async(FUNCTIONS[f], x), f, x)
        ended.append(number)

    async def main():
        ticks = 0
        runs = asyncio.gather(*(one(number) for number in range(12)))
        while not runs.done():
            ticks += 1
            await asyncio.sleep(0.001)
        await runs
        return ticks

    assert asyncio.run(main()) > 10  # the loop went on
    assert ended == list(range(12))


def test_what_is_shared_and_kept_by_coroutines_is_used_by_them(cluster):
    async def main():
        shared = await cluster.share_async(PROGRAM, 0, X)
        kept = await cluster.run_async(PROGRAM, shared, keep=True)
        assert isinstance(shared, ditto.SharedArray) and isinstance(kept, ditto.SharedArray)
        return await cluster.run_async(PROGRAM, kept)

    assert_right(asyncio.run(main()), lambda x: 4 * x, X)


def test_errors_reach_the_coroutine_that_made_them(cluster):
    async def main():
        return await asyncio.gather(
            cluster.run_async(PROGRAM, X),
            cluster.run_async(PROGRAM, X[:2]),
            cluster.share_async(PROGRAM, 0, X[:2]),
            cluster.share_async(PROGRAM, 1, X),
            cluster.run_async(PROGRAM, np.float32([1, np.nan, 1])),
            cluster.run_async(PROGRAM, X),
            return_exceptions=True,
        )

    first, *errors, last = asyncio.run(main())
    for found in (first, last):
        assert_right(found, double, X)
    assert all(isinstance(error, ditto.DittoError) for error in errors)


def test_a_run_that_is_cancelled_before_its_turn_does_not_run(cluster):
    began = []

    async def main():
        with Held(cluster) as held:
            # The first of them waits for the cluster, in the cluster's thread; the others for that thread.
            runs = [
                asyncio.create_task(
                    cluster.run_async(PROGRAM, X, progress=lambda *_, number=number: began.append(number))
                )
                for number in range(3)
            ]
            await asyncio.to_thread(until, lambda: cluster._lock.waiting == 1)
            for run in runs[:2]:
                run.cancel()
            await asyncio.sleep(0)
            held.let_go()
            found = await asyncio.gather(*runs, return_exceptions=True)
        assert [isinstance(run, asyncio.CancelledError) for run in found] == [True, True, False]
        assert_right(found[2], double, X)

    asyncio.run(main())
    assert set(began) == {2}


@pytest.mark.parametrize("what", ["run", "share"])
def test_what_a_cancelled_call_made_is_forgotten(cluster, monkeypatch, what):
    forgotten, began, go = [], threading.Event(), threading.Event()
    forget = cluster._forget
    monkeypatch.setattr(cluster, "_forget", lambda handles: (forgotten.extend(handles), forget(handles)))

    def progress(done, total):
        began.set()
        go.wait(LONG)

    guarded = cluster._guarded

    def slowly(action):
        progress(0, 0)
        return guarded(action)

    async def main():
        if what == "run":
            call = asyncio.create_task(cluster.run_async(PROGRAM, X, keep=True, progress=progress))
        else:
            monkeypatch.setattr(cluster, "_guarded", slowly)
            call = asyncio.create_task(cluster.share_async(PROGRAM, 0, X))
        await asyncio.to_thread(began.wait, LONG)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert forgotten == []
        go.set()
        await asyncio.to_thread(until, lambda: forgotten)
        assert_right(await cluster.run_async(PROGRAM, X), double, X)

    asyncio.run(main())
    (handle,) = forgotten
    assert isinstance(handle, ditto.SharedArray) and handle.shape == X.shape


# What ends the parties under others.


@pytest.fixture(scope="module")
def own():
    with ditto.LocalCluster(timeout=60) as running:
        yield running


def test_a_party_that_dies_under_threads_fails_one_run_and_the_others_go_on(own):
    victim = own.pids[1]

    def kill(done, total):
        os.kill(victim, signal.SIGKILL)

    shared = own.share(PROGRAM, 0, X)
    line = Line(own)
    with Held(own) as held:
        killed = line.call("killed", own.run, FUNCTIONS[positive], X, progress=kill)
        orphan = line.call("orphan", own.run, PROGRAM, shared)
        others = [line.call("other", own.run, PROGRAM, X + i) for i in range(4)]
        held.let_go()
        # It may have had its answers already; then the next one finds the party dead.
        failed = [call for call in (killed, orphan, *others) if call.exception(LONG) is not None]
        assert any(isinstance(call.exception(), ditto.ClusterError) for call in failed)
        assert all(isinstance(call.exception(), ditto.DittoError) for call in failed)
        for i, call in enumerate(others):
            if call not in failed:
                assert_right(call.result(), double, X + i)
        assert_right(others[-1].result(), double, X + 3)
    assert victim not in own.pids and len(own.pids) == 3


def test_closing_waits_for_its_turn_and_fails_what_is_behind_it(own):
    shared = own.share(PROGRAM, 0, X)

    async def main():
        line = Line(own)
        with Held(own) as held:
            before = line.call("before", own.run, PROGRAM, X)
            closing = line.call("closing", own.close)
            behind = line.call("behind", own.run, PROGRAM, X)
            forgetting = line.call("forgetting", own.forget, shared)
            waiting = [asyncio.create_task(own.run_async(PROGRAM, X)) for _ in range(3)]
            await asyncio.sleep(0.05)
            assert line.ended == [] and own.pids
            held.let_go()
            assert_right(before.result(LONG), double, X)
            closing.result(LONG)
            assert forgetting.result(LONG) is None
            errors = [behind.exception(LONG), *await asyncio.gather(*waiting, return_exceptions=True)]
        for error in errors:
            assert isinstance(error, ditto.ClusterError)
            assert "closed while this call waited for its turn" in str(error)
        assert own.pids == []
        # The next one starts new parties, which do not know what the old ones held.
        assert_right(await own.run_async(PROGRAM, X), double, X)
        with pytest.raises(ditto.InputError, match="have ended; share it again"):
            await own.run_async(PROGRAM, shared)

    asyncio.run(main())


def test_two_clusters_in_two_threads(cluster, own):
    def work(which):
        for number in range(5):
            x = X + np.float32(number)
            assert_right(which.run(FUNCTIONS[positive], x), positive, x)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work, which) for which in (cluster, own)]:
            future.result(LONG)
    with pytest.raises(ditto.InputError, match="have ended; share it again"):
        own.run(PROGRAM, cluster.share(PROGRAM, 0, X))


@pytest.mark.filterwarnings("ignore:os.fork:RuntimeWarning")
def test_a_cluster_is_of_no_use_in_a_forked_process_and_takes_no_harm(cluster):
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        told = []
        try:
            for call in (
                lambda: cluster.run(PROGRAM, X),
                lambda: cluster.share(PROGRAM, 0, X),
                lambda: cluster.forget(X),
                cluster.start,
                lambda: asyncio.run(cluster.run_async(PROGRAM, X)),
            ):
                try:
                    call()
                except ditto.ClusterError as error:
                    told.append("was forked" in str(error))
            cluster.close()
            cluster._ending()
            os.write(writing, repr(told).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        assert answer.read() == repr([True] * 5)
    os.waitpid(child, 0)
    assert_right(cluster.run(PROGRAM, X), double, X)


def test_a_cluster_that_nobody_has_any_more_ends_its_parties_and_its_thread():
    """Also when the last to have it is its own thread."""
    cluster = ditto.LocalCluster(timeout=60)
    assert_right(asyncio.run(cluster.run_async(PROGRAM, X)), double, X)
    processes = cluster.pids
    (thread,) = cluster._worker._threads
    cluster._worker.submit(lambda _: None, cluster).result(LONG)
    del cluster
    until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in processes))
    thread.join(LONG)
    assert not thread.is_alive()
