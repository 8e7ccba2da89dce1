"""Callers with a good certificate and bad intentions, against the server of one party.

Its processes only pretend, for what is attacked is the server: it parses all that callers send.
"""

import contextlib
import copy
import hashlib
import itertools
import json
import random
import socket
import struct
import threading
import time

import pytest
from test.support.inner_server import InnerServer, hello
from test.support.servers import wait_until

from ditto.runtime.party import links, listener, serve, session
from ditto.runtime.protocols.deposit_digest import Leaf
from ditto.runtime.transport.wire import (
    MAX_HEADER,
    MAX_PROGRAMS,
    VERSION,
    WireError,
    pack_header,
    recv_frame,
    send_frame,
)

ENCODING = "#ditto.int<64>"
VALUE = {"shape": [2], "dtype": "i64", "encoding": ENCODING, "bytes": 32}
ABOUT = {"owners": {}, "outputs": [VALUE], "ahead": [1500, 0, 0], "result": {"values": [VALUE]}}


def program(run="", **about):
    content = json.dumps({"run": run, "about": {**ABOUT, **about}}).encode()
    return hashlib.sha256(content).hexdigest(), content


DIGEST, PROGRAM = program()
SECOND, SECOND_PROGRAM = program("second")

ACCESS = f"""
sessions = 3
idle_s = 3
run_s = 1
memory_bytes = 4096
results_bytes = 1000

[[deposit]]
name = "weights"
owner = "caller.test"
max_bytes = 100000

[[allow]]
programs = "any"
callers = ["caller.test", "other.test", "limited.test"]

[[allow]]
programs = ["{DIGEST}"]
callers = ["limited.test"]
deposits = ["weights"]
receivers = ["limited.test", "other.test"]
"""

CONNECT = {
    "command": "connect",
    "timeout_s": 5.0,
    "network": {"name": "n", "bandwidth_bits_per_s": 1e9, "rtt_s": 0.1},
}
INPUT = {"command": "input", "value": 0, "encoding": ENCODING, "secret": True}
KEEP = {"command": "keep", "key": 3, "encoding": ENCODING, "secret": True}
FORGET = {"command": "forget", "keys": [3]}
LOAD = ({"command": "load", "digest": DIGEST}, PROGRAM)
RUN = {"command": "run", "digest": DIGEST, "keep": []}
PREPARE = {"command": "prepare", "digest": DIGEST, "number": 5, "slots": {"0": "00" * 16, "1": "11" * 16}}
LAST = {"command": "last", "value": 0, "encoding": ENCODING}
PREPARED = {**RUN, "prepared": 5}
DEPOSIT = {
    **{"command": "deposit", "name": "weights", "kind": "arrays", "about": {"a": 1}},
    "salts": ["00" * 32, "11" * 32],
}
DEPOSITED = {**INPUT, "deposit": "weights", "array": 0, "digest": "00"}
PIECE = ({"command": "piece", "piece": {"array": 0, "encoding": ENCODING, "secret": True}}, bytes(32))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        inner = []
        patch.setattr(session, "spawn_party", lambda rank, folder: inner[0].spawn(rank, folder))
        patch.setattr(session, "_LINGER_S", 0.5)
        patch.setattr(serve, "_HELLO_S", 3.0)
        patch.setattr(links, "PATIENCE", 0.5)
        callers = ["caller.test", "other.test", "limited.test", "p1.test", "p2.test"]
        inner.append(InnerServer(tmp_path_factory.mktemp("inner"), ACCESS, callers))
        yield inner[0]
        inner[0].close()
        assert inner[0].unexpected == []
        assert not list(inner[0].sockets.glob("*/*.sock"))


@pytest.fixture(autouse=True)
def still_serves(server):
    """After every attack: nothing went wrong that nobody handled, and the next caller is right."""
    yield
    with server.session("other.test") as sock:
        ran(sock)
    assert server.unexpected == []
    # One line per report, whatever callers say.
    assert [line for line in server.said if not line.isprintable() or len(line) >= 1200] == []


def say(sock, *frames):
    for frame in frames:
        header, *buffers = frame if isinstance(frame, tuple) else (frame,)
        send_frame(sock, header, buffers)


def ran(sock):
    say(sock, CONNECT, LOAD, (INPUT, bytes(32)), RUN)
    answers = [recv_frame(sock)[0] for _ in range(3)]
    assert answers[:2] == [{"ok": True}] * 2 and answers[2]["outputs"] == [{"kind": "public"}]


def refusal(sock):
    """The error by which a session ends."""
    while "error" not in (header := recv_frame(sock)[0]):
        pass
    return header["error"]


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", 0),
        struct.pack("<I", 2**32 - 1),
        struct.pack("<I", MAX_HEADER + 1) + b" " * 100,
        struct.pack("<I", 5) + b"hello",
        struct.pack("<I", 2) + b"[]",
        struct.pack("<I", 2) + b"{}",
        struct.pack("<I", 2) + b"\xff\xfe",
        struct.pack("<I", 100_000) + b"[" * 100_000,
        *(
            struct.pack("<I", len(text)) + text
            for sizes in ("[-1]", "[1152921504606846976]", "[1.5]", "[true]", "5", '"5"', "[null]", "[1e999]",
                          "{}", str([1] * 300_000), "[" + "9" * 5000 + "]")
            for text in [b'{"command": "forget", "keys": [], "sizes": %s}' % sizes.encode()]
        ),
    ],
    ids=itertools.count(),
)  # fmt: skip
@pytest.mark.parametrize("admitted", [False, True])
def test_what_is_no_frame(server, data, admitted):
    with server.session() if admitted else server.connect("caller.test") as sock:
        sock.sendall(data)
        assert "received something that is not a frame" in refusal(sock)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({**hello(), "version": VERSION - 1}, f"speaks version {VERSION} of the protocol, not {VERSION - 1}"),
        ({**hello(), "version": "9" * 100_000}, f"speaks version {VERSION}"),
        ({**hello(), "rank": 1}, "this is party P0; the caller's hosts file has party P1 here"),
        ({**hello(), "rank": "1\nparty P0 is fine"}, "has party P1\nparty P0 is fine here"),
        ({**hello(), "command": "run"}, "says hello first"),
        ({**hello(), "session": "../../../etc"}, "says hello first"),
        ({**hello(), "session": "0" * 31 + "\n"}, "says hello first"),
        ({**hello(), "session": 5}, "says hello first"),
        ((hello(), b"x"), "speaks version"),
    ],
    ids=itertools.count(),
)
def test_a_wrong_hello(server, frame, message):
    with server.connect("caller.test") as sock:
        say(sock, frame)
        assert message in refusal(sock)


def test_who_says_nothing(server):
    with server.connect("caller.test") as silent, server.connect("caller.test") as stops:
        stops.sendall(pack_header(hello())[:10])
        assert "nothing was said in time" in refusal(silent)
        assert "nothing was said in time" in refusal(stops)
    with server.session() as silent, server.session(number=2) as stops, server.session(number=3) as later:
        stops.sendall(pack_header(KEEP, [32])[:10])
        later.sendall(pack_header(KEEP, [32]) + bytes(31))
        assert "the caller said nothing for 3 s" in refusal(silent)
        assert "the caller said nothing for 3 s" in refusal(stops)
        assert "the caller stopped within a frame for 3 s" in refusal(later)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([{"command": "explode"}], "there is no command 'explode'"),
        ([{"command": ["run"]}], "there is no command"),
        ([{}], "there is no command"),
        ([hello()], "there is no command 'hello'"),
        ([RUN], "it is not connected yet"),
        ([CONNECT, RUN], "the program was not loaded"),
        ([CONNECT, CONNECT], "it is connected already"),
        ([(CONNECT, b"")], "has 1 buffers; it takes 0"),
        ([(INPUT, b"", b"")], "has 2 buffers; it takes 1"),
        ([LOAD[0]], "malformed"),
        ([({"command": "load", "digest": "x\nP0: all is well"}, b"program")], "has digest"),
        ([(INPUT, bytes(5000))],
         "would hold 5000 bytes of inputs, kept arrays and prepared runs; its limit is 4096"),
        ([(KEEP, bytes(4000)), (INPUT, bytes(97))], "would hold 4097 bytes"),
        ([(KEEP, bytes(2100)), (KEEP, bytes(2100))], "would hold 4200 bytes"),
        # What an input refers to is held, whether it is forgotten or not.
        ([(KEEP, bytes(32)), {**INPUT, "key": 3}, FORGET], "nothing can be forgotten"),
        ([{**INPUT, "key": 77}], "it holds no array 77"),
        ([{**DEPOSITED, "deposit": "others"}], "may not use deposit 'others'"),
        ([DEPOSITED], "nothing is deposited under 'weights'"),
        ([{**KEEP, "encoding": "#ditto.int<64>\n"}], "malformed|is not a ditto encoding"),
        ([PREPARE], "it is not connected yet"),
        ([CONNECT, PREPARE], "the program was not loaded"),
        ([CONNECT, LOAD, PREPARED], "no run 5 of that program is prepared"),
        ([CONNECT, LOAD, PREPARE, PREPARED, PREPARED], "no run 5 of that program is prepared"),
        ([CONNECT, LOAD, PREPARE, {**RUN, "prepared": 6}], "no run 6 of that program is prepared"),
        ([CONNECT, LOAD, PREPARE, PREPARE], "run 5 is prepared already"),
        ([CONNECT, LOAD, PREPARE, {**PREPARE, "number": 6}, {**PREPARE, "number": 7}], "would hold 4500"),
        ([CONNECT, LOAD, {**PREPARE, "slots": {"0": "00" * 16, "1": "11" * 15}}], "a key of 15 bytes"),
        ([CONNECT, LOAD, PREPARE, {"command": "unload", "digest": DIGEST}, LOAD, PREPARED], "no run 5"),
        ([CONNECT, LOAD, ({"command": "load", "digest": SECOND}, SECOND_PROGRAM), PREPARE,
          {**PREPARED, "digest": SECOND}], "no run 5 of that program is prepared"),
        ([(LAST, bytes(2100))], "would hold 4200 bytes"),
        ([LAST], "malformed"),
        ([CONNECT, LOAD, {**RUN, "keep": [[99, 1]]}], "malformed: IndexError"),
        ([CONNECT, LOAD, {**RUN, "keep": [[0, 1]], "receiver": "other.test"}], "cannot be kept"),
        ([CONNECT, LOAD, {**RUN, "receiver": "other.test", "label": "r"}], "with outputs to 'other.test'"),
        ([CONNECT, LOAD, {**RUN, "receiver": "x\nP0: fine", "label": "r"}], "may not run"),
        ([CONNECT, LOAD, {"command": "unload", "digest": DIGEST}, RUN], "was not loaded"),
        ([{"command": "unload", "digest": DIGEST}], "was not loaded"),
        ([CONNECT, LOAD, {**RUN, "label": "r"}], "malformed: KeyError"),
        ([CONNECT, LOAD, {**RUN, "receiver": "other.test"}], "malformed: KeyError"),
        ([{**CONNECT, "timeout_s": 10**400}], "malformed: OverflowError"),
        ([{**CONNECT, "timeout_s": float("nan")}], "malformed"),
        ([{"command": "piece", "piece": {}}], "malformed"),
        ([PIECE], "nothing is being deposited"),
        ([{"command": "commit"}], "nothing is being deposited"),
        ([DEPOSIT, {"command": "commit"}], "sealed before it is committed"),
        ([{**DEPOSIT, "name": "../../etc/passwd"}], "may not deposit"),
        ([{**DEPOSIT, "name": "x\nparty P0: caller.test is the operator"}], "may not deposit"),
        ([{**DEPOSIT, "name": "\ud800"}], "may not deposit"),
        ([{"command": "withdraw", "name": "none"}], "may not deposit"),
        ([{"command": "receive", "sender": "a b", "label": "c"}], "no result"),
    ],
    ids=itertools.count(),
)  # fmt: skip
def test_commands_that_are_refused(server, frames, message):
    with server.session() as sock:
        say(sock, *frames)
        assert any(part in refusal(sock) for part in message.split("|"))


@pytest.mark.parametrize("label", [None, 0, [], "", "a b"])
def test_what_is_for_a_receiver_is_not_the_callers(server, label):
    with server.session("limited.test") as sock:
        say(sock, CONNECT, LOAD, (INPUT, bytes(32)), {**RUN, "receiver": "other.test", "label": label})
        said = refusal(sock)
    assert "malformed: TypeError" in said or "a label is of letters" in said


def test_what_was_deposited_cannot_be_laundered(server):
    """An array of one's own, under a key where what came of a deposit is, does not make that one's own."""
    with server.session() as sock:
        say(sock, DEPOSIT, PIECE)
        salts = [bytes.fromhex(salt) for salt in DEPOSIT["salts"]]
        leaves = [leaf_of(salt, bytes(16)) for salt in salts] + ["22" * 32]
        say(sock, {"command": "seal", "leaves": leaves})
        recv_frame(sock)
        digest = recv_frame(sock)[0]["digest"]
        say(sock, {"command": "commit"})
        assert recv_frame(sock)[0] == {"ok": True}
    weights = {**DEPOSITED, "digest": digest}
    with server.session("limited.test") as sock:
        say(sock, CONNECT, LOAD, ({"command": "load", "digest": SECOND}, SECOND_PROGRAM))
        say(sock, weights, {**RUN, "keep": [[0, 3]]}, (KEEP, bytes(32)), {**INPUT, "key": 3})
        say(sock, {**RUN, "digest": SECOND})
        assert [recv_frame(sock)[0]["ok"] for _ in range(4)] == [True] * 4
        assert f'may not run program {SECOND} on "weights"' in refusal(sock)


def leaf_of(salt, data):
    leaf = Leaf(salt)
    leaf.add(data)
    return leaf.value()


def test_arrays_of_no_bytes_are_counted(server):
    with server.session() as sock:
        frames = b"".join(pack_header({**KEEP, "key": key}, [0]) for key in range(20_000))
        with contextlib.suppress(OSError):
            sock.sendall(frames)
        assert "a session may hold 16384 arrays and prepared runs" in refusal(sock)


def test_what_prepared_runs_hold_counts_until_they_are_used(server):
    with server.session() as sock:
        say(sock, CONNECT, LOAD, PREPARE, {**PREPARE, "number": 6})
        for number in range(7, 20):
            say(sock, {**RUN, "prepared": number - 2}, {**PREPARE, "number": number})
        assert all(recv_frame(sock)[0]["ok"] for _ in range(2 + 2 + 2 * 13))


def test_inputs_of_a_prepared_run_are_of_who_gave_them(server):
    """Those that the caller draws ahead are the caller's, though no share of them comes here."""
    digest, content = program(owners={"0": "bob", "1": "caller.test"})
    load = ({"command": "load", "digest": digest}, content)
    with server.session() as sock:
        say(sock, CONNECT, load, {**PREPARE, "digest": digest}, {**PREPARED, "digest": digest})
        assert "must come from 'bob', and comes from \"caller.test\"" in refusal(sock)


def test_programs_that_say_too_much_of_themselves(server):
    with server.session() as sock:
        for number in range(10):
            digest, content = program(name=f"{number}" * 900_000)
            say(sock, ({"command": "load", "digest": digest}, content))
        assert "may not have so many inputs and outputs" in refusal(sock)


def test_programs_make_room_for_others(server):
    programs = [program(name=str(number)) for number in range(MAX_PROGRAMS + 1)]
    loads = [({"command": "load", "digest": digest}, content) for digest, content in programs]
    with server.session() as sock:
        # Again is no other one.
        say(sock, *loads[:-1], loads[0])
        assert [recv_frame(sock)[0] for _ in programs] == [{"ok": True}] * len(programs)
        say(sock, {"command": "unload", "digest": programs[0][0]}, loads[-1])
        assert recv_frame(sock)[0] == {"ok": True}
        say(sock, loads[0])
        assert "a session may have 100 programs" in refusal(sock)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("progress", "the run took longer than 1 s"),
        ("waits", "the run took longer than 1 s"),
        ("junk", "its process sent something that is not an answer"),
        ("dies", "its process died by signal 11; it last said: Ouch"),
    ],
)
def test_runs_that_do_not_end_well(server, run, message):
    digest, content = program(run)
    with server.session() as sock:
        say(sock, CONNECT, ({"command": "load", "digest": digest}, content), {**RUN, "digest": digest})
        started = time.monotonic()
        # Meanwhile others are served.
        with server.session("other.test", 2) as other:
            ran(other)
        assert message in refusal(sock)
        assert time.monotonic() - started < 10


def test_what_the_process_did_not_read_is_forgotten_with_it(server):
    """Else its descriptor stays watched, and the next who has that number is not heard."""
    digest, content = program("deaf")
    with server.session() as sock:
        say(sock, ({"command": "load", "digest": digest}, content))
        assert recv_frame(sock)[0]["ok"]
        for key in range(600):
            say(sock, ({**KEEP, "key": key}, b""))
        say(sock, {"command": "none"})
        assert "there is no command" in refusal(sock)


def test_who_does_not_read_is_not_waited_for_longer_than_said(server):
    digest, content = program(outputs=[{**VALUE, "bytes": 1 << 24}])
    with server.session() as sock:
        say(sock, CONNECT, ({"command": "load", "digest": digest}, content), {**RUN, "digest": digest})
        wait_until(lambda: any("the caller read nothing for 3 s" in line for line in server.said), 10)


def reset(sock):
    """Leaves without a word."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    socket.socket(fileno=sock.detach()).close()


def test_who_vanishes(server):
    digest, content = program("waits")
    with server.session() as first, server.session(number=2) as second, server.session(number=3) as third:
        say(first, CONNECT, ({"command": "load", "digest": digest}, content), {**RUN, "digest": digest})
        waiting = [server.connect("caller.test") for _ in range(5)]
        for number, sock in enumerate(waiting):
            say(sock, hello(10 + number))
        wait_until(lambda: server.server._admission.waiting == 5)
        for sock in (*waiting, first, second, third):
            reset(sock)
        wait_until(lambda: server.server._admission.running == server.server._admission.waiting == 0)
    assert not list(server.sockets.glob("*/*.sock"))


def test_a_caller_with_many_requests_keeps_nobody_waiting(server):
    """Neither by those that it has in line, nor by filling the line, nor by connections that say nothing."""
    with server.session(number=1) as one, server.session(number=2), server.session(number=3):
        waiting = [server.connect("caller.test") for _ in range(50)]
        for number, sock in enumerate(waiting):
            say(sock, hello(10 + number))
        wait_until(lambda: server.server._admission.waiting == 32)
        assert "waits for 32; try again later" in refusal(waiting[-1])
        with server.connect("other.test") as other:
            say(other, hello())
            wait_until(lambda: server.server._admission.waiting == 33)
            one.close()
            # It came last.
            assert recv_frame(other)[0] == {"admitted": True}
        for sock in waiting:
            sock.close()
    wait_until(lambda: server.server._admission.running == 0)
    silent = [server.connect("caller.test") for _ in range(70)]
    assert "has 64 connections already" in refusal(silent[-1])
    with server.session("other.test") as other:
        ran(other)
    for sock in silent:
        sock.close()
    wait_until(lambda: not +server.server._connections)


def test_two_sessions_of_one_number(server):
    """Another caller's is another session; one's own cannot be joined."""
    with server.session("caller.test") as mine, server.session("other.test") as others:
        ran(others)
        ran(mine)
        others.close()
        wait_until(lambda: server.server._admission.running == 1)
        with server.connect("caller.test") as again:
            say(again, hello())
            assert "there is a session of that number" in refusal(again)
        say(mine, (INPUT, bytes(32)), RUN)
        assert recv_frame(mine)[0]["ok"]


def test_links_of_no_session(server):
    link = {
        "version": VERSION,
        "session": [f"{1:032x}", "caller.test"],
        "tunnel": "one",
        "direction": "there",
    }
    with server.session("other.test"):
        for frame, message in (
            (link, "the caller has no such session with party P0"),
            ({**link, "session": ["../../x", "caller.test"]}, "has no such session"),
            ({**link, "session": [[], {}]}, f"expected a link of version {VERSION}"),
            ({**link, "direction": "up"}, f"expected a link of version {VERSION}"),
            ({**link, "tunnel": 1}, f"expected a link of version {VERSION}"),
            ({**link, "session": "x"}, f"expected a link of version {VERSION}"),
            ({**link, "session": [1, 2, 3]}, f"expected a link of version {VERSION}"),
            ({**link, "version": 1}, "install one ditto everywhere"),
            ((link, b"x"), "a frame of a link has no buffers"),
        ):
            with server.connect("p1.test", link=True) as sock:
                say(sock, frame)
                assert message in refusal(sock)
    for junk in (
        bytes(4),
        b"\xff" * 4,
        struct.pack("<I", 9) + b"not JSON!",
        struct.pack("<I", 5000) + b"[" * 5000,
    ):
        with server.connect("p2.test", link=True) as sock:
            sock.sendall(junk)
            assert "received something that is not a frame" in refusal(sock)


def test_a_link_waits_for_its_session_and_breaks_with_it(server):
    link = {"version": VERSION, "session": [f"{5:032x}", "caller.test"], "tunnel": "one"}
    with (
        server.connect("p1.test", link=True) as there,
        server.connect("p1.test", link=True) as back,
        server.connect("p1.test", link=True) as again,
        server.session(number=5) as mine,
    ):
        (folder,) = {path.parent for path in server.sockets.glob("*/to1.sock")}
        with socket.socket(socket.AF_UNIX) as engine:
            engine.bind(str(folder / "p0.sock"))
            engine.listen()
            say(there, {**link, "direction": "there"})
            say(again, {**link, "direction": "there"})
            assert "there is such a link already" in refusal(again)
            say(back, {**link, "direction": "back"})
            carried, _ = engine.accept()
        with carried:
            assert recv_frame(there)[0] == recv_frame(back)[0] == {"ok": True}
            there.sendall(b"to the engine")
            assert carried.recv(100) == b"to the engine"
            carried.sendall(b"and back")
            assert back.recv(100) == b"and back"
            reset(back)
            assert carried.recv(100) == b""
        assert "its link to party P1 broke" in refusal(mine)


def test_half_a_link(server):
    link = {"version": VERSION, "session": [f"{6:032x}", "caller.test"], "tunnel": "one", "direction": "back"}
    with server.connect("p1.test", link=True) as peer, server.session(number=6):
        say(peer, link)
        with server.connect("p1.test", link=True) as again:
            say(again, link)
            assert "there is such a link already" in refusal(again)
        assert "the other half of the link did not come" in refusal(peer)


def test_pings_without_end(server):
    with server.connect("p1.test", link=True) as sock:
        with contextlib.suppress(OSError):
            for _ in range(10_000):
                say(sock, {"ping": True})
        answers = []
        with contextlib.suppress(WireError, OSError):
            while True:
                answers.append(recv_frame(sock)[0])
        assert sum("time" in answer for answer in answers) <= 10


MUTATED = {
    "connect": [CONNECT],
    "load": [LOAD],
    "unload": [LOAD, {"command": "unload", "digest": DIGEST}],
    "input": [(INPUT, bytes(32))],
    "input of what is kept": [(KEEP, bytes(32)), {**INPUT, "key": 3}],
    "input of a deposit": [DEPOSITED],
    "keep": [(KEEP, bytes(32))],
    "forget": [FORGET],
    "run": [CONNECT, LOAD, (INPUT, bytes(32)), {**RUN, "keep": [[0, 1]]}],
    "prepare": [CONNECT, LOAD, PREPARE],
    "last": [(LAST, bytes(32))],
    "prepared run": [CONNECT, LOAD, PREPARE, PREPARED],
    "run for others": [CONNECT, LOAD, (INPUT, bytes(32)), {**RUN, "receiver": "limited.test", "label": "x"}],
    "deposit": [DEPOSIT],
    "piece": [DEPOSIT, PIECE],
    "seal": [DEPOSIT, PIECE, {"command": "seal", "leaves": ["00" * 32] * 3}],
    "deposited": [{"command": "deposited", "name": "weights"}],
    "withdraw": [{"command": "withdraw", "name": "weights"}],
    "program": [{"command": "program", "name": "weights"}],
    "receive": [{"command": "receive", "sender": "caller.test", "label": "x"}],
    "received": [{"command": "received", "sender": "caller.test", "label": "x"}],
}
NESTED = json.loads("[" * 900 + "]" * 900)
WRONG = [
    *(None, True, -1, 0, 1.5, 2**60, 10**400, float("inf"), "", "\n", "\ud800", "x" * 100_000, "deposit"),
    *([], [[]], [None, None], {}, {"a": {}}, [["00", "00"]], list(range(1000)), NESTED),
]


def mutations(header):
    """The header with each field, and each field of a field, missing or wrong."""
    for key in header:
        missing = dict(header)
        del missing[key]
        yield missing
        if isinstance(header[key], dict):
            yield from ({**header, key: inner} for inner in mutations(header[key]))
        for wrong in WRONG:
            yield {**header, key: wrong}
    yield {**header, "unknown": NESTED}


@pytest.mark.parametrize("kind", MUTATED)
def test_fields_that_are_missing_or_wrong(server, kind):
    *before, last = MUTATED[kind]
    header, *buffers = last if isinstance(last, tuple) else (last,)
    found = list(mutations(copy.deepcopy(header)))
    # Some of them each time, the same each time.
    for mutated in random.Random(kind).sample(found, min(20, len(found))):
        with server.session() as sock, contextlib.suppress(WireError, OSError):
            say(sock, *before, (mutated, *buffers), {"command": "over"})
            assert refusal(sock)
    assert "Traceback" not in "".join(server.said)


@pytest.mark.parametrize("seed", range(8))
def test_bytes_that_are_changed(server, seed):
    """All frames of a session in one stream, with some bytes changed, missing or twice."""
    chosen = random.Random(seed)
    stream = b"".join(
        pack_header(header, [len(buffer) for buffer in buffers]) + b"".join(buffers)
        for frames in MUTATED.values()
        for header, *buffers in (frame if isinstance(frame, tuple) else (frame,) for frame in frames[-1:])
    )
    for _ in range(10):
        data = bytearray(stream)
        for _ in range(chosen.choice((1, 5, 50))):
            at = chosen.randrange(len(data) - 10)
            match chosen.randrange(3):
                case 0:
                    data[at] ^= 1 << chosen.randrange(8)
                case 1:
                    del data[at : at + chosen.randrange(1, 10)]
                case 2:
                    data[at:at] = data[at : at + 10]
        with server.session() as sock, contextlib.suppress(WireError, OSError):
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while True:
                recv_frame(sock)


def test_many_at_once(server):
    """Attackers and others at the same time: the others' answers stay right."""
    over = threading.Event()

    def attack(number):
        chosen = random.Random(number)
        while not over.is_set():
            with contextlib.suppress(WireError, OSError), server.connect("caller.test") as sock:
                say(sock, hello(chosen.randrange(1000)))
                sock.sendall(chosen.randbytes(1000))
                if chosen.random() < 0.5:
                    reset(sock)
                else:
                    recv_frame(sock)

    attackers = [threading.Thread(target=attack, args=(number,)) for number in range(4)]
    for attacker in attackers:
        attacker.start()
    try:
        for number in range(20):
            with server.session("other.test", number) as sock:
                ran(sock)
    finally:
        over.set()
        for attacker in attackers:
            attacker.join()
    wait_until(lambda: server.server._admission.running == 0)


def test_who_is_ended_for_another_does_not_harm_the_next(server, monkeypatch):
    """At any moment of its handshake."""
    monkeypatch.setattr(listener, "HANDSHAKES", 1)

    def connect():
        for _ in range(100):
            with contextlib.suppress(WireError, OSError), server.connect("other.test") as sock:
                reset(sock)

    threads = [threading.Thread(target=connect) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
