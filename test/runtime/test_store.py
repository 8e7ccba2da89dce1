"""The store: what goes in comes out, or nothing; whatever happens to the process, the disk or the files."""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from test.support.processes import child_environment

from ditto.runtime.party import store as store_module
from ditto.runtime.party.store import CHUNK_BYTES, Entry, Store, StoreError, is_word
from ditto_compiler.errors import InternalError

KEY = bytes(range(32))
PLENTY = 1 << 40
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(folder: Path) -> Iterator[Store]:
    with Store(folder, KEY) as store:
        yield store


def put(
    store: Store, name: str, *contents: bytes, kind: str = "array", owner: str = "me", limit: int = PLENTY
) -> Entry:
    with store.begin(kind, name, owner, {"about": name}, limit) as pending:
        for number, content in enumerate(contents):
            piece = pending.open_piece({"number": number}, len(content))
            piece.write(content)
            piece.close()
        return pending.commit(hashlib.sha256(b"".join(contents)).hexdigest())


def get(store: Store, name: str, kind: str = "array") -> list[bytes]:
    entry = store.about(kind, name)
    assert entry is not None
    return [b"".join(store.read(entry, number)) for number in range(len(entry.pieces))]


def entry_files(folder: Path) -> list[Path]:
    return sorted((folder / "entries").iterdir())


def nothing_pending(folder: Path) -> bool:
    return list((folder / "pending").iterdir()) == []


def noise(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)


SIZES = [0, 1, 1000, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES + 5]


@pytest.mark.parametrize("step", [77_777, CHUNK_BYTES, 10 * CHUNK_BYTES])
def test_what_goes_in_comes_out(folder: Path, step: int) -> None:
    contents = [noise(size, size) for size in SIZES]
    about = {"type": "f32", "shape": [2, None], "é": 1.5}
    with Store(folder, KEY) as store:
        with store.begin("array", "a/b@c:1", "spiffe://me", about, PLENTY) as pending:
            for content in contents:
                piece = pending.open_piece({"bytes": len(content)}, len(content))
                for start in range(0, len(content), step):
                    piece.write(memoryview(content)[start : start + step])
                piece.close()
            written = pending.commit("the digest")
        assert get(store, "a/b@c:1") == contents
    with Store(folder, KEY) as store:
        entry = store.about("array", "a/b@c:1")
        assert entry == written
        assert (entry.kind, entry.name, entry.owner) == ("array", "a/b@c:1", "spiffe://me")
        assert (entry.about, entry.digest) == (about, "the digest")
        assert list(entry.pieces) == [({"bytes": size}, size) for size in SIZES]
        assert entry.stored_bytes == entry_files(folder)[0].stat().st_size
        assert get(store, "a/b@c:1") == contents
        chunks = list(store.read(entry, len(SIZES) - 1))
        assert [len(chunk) for chunk in chunks] == [CHUNK_BYTES] * 3 + [5]


def test_arrays_of_any_element_can_be_written(store: Store) -> None:
    data = memoryview(bytes(range(16))).cast("I")
    with store.begin("array", "a", "me", {}, PLENTY) as pending:
        piece = pending.open_piece({}, 16)
        piece.write(data)
        piece.write(memoryview(b"").cast("I"))
        piece.close()
        pending.commit("")
    assert get(store, "a") == [bytes(range(16))]


def test_an_entry_without_pieces(store: Store) -> None:
    assert put(store, "a").pieces == ()
    assert get(store, "a") == []


def derive(salt: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 for one block of output, from RFC 5869."""
    extracted = hmac.digest(salt, KEY, "sha256")
    return hmac.digest(extracted, info + b"\x01", "sha256")


def test_the_format_is_the_documented_one(folder: Path) -> None:
    content = noise(CHUNK_BYTES + 100)
    with Store(folder, KEY) as store:
        put(store, "bert", b"first", content, kind="program")
    header = (folder / "header").read_bytes()
    magic = b"ditto store 1\n"
    salt = header[len(magic) : len(magic) + 32]
    check = hmac.digest(derive(salt, b"ditto store check"), magic + salt, "sha256")
    assert header == magic + salt + check
    (path,) = entry_files(folder)
    tag = hmac.digest(derive(salt, b"ditto store names"), b"program bert", "sha256")
    assert path.name == tag.hex()
    file = path.read_bytes()
    aes = AESGCM(derive(file[:32], b"ditto store file"))

    def unseal(piece: int, chunk: int, last: int, sealed: bytes) -> bytes:
        number = piece.to_bytes(4, "big")
        return aes.decrypt(number + chunk.to_bytes(8, "big"), sealed, tag + number + bytes([last]))

    position = 32
    found = []
    for piece, chunk, last, size in ((0, 0, 1, 5), (1, 0, 0, CHUNK_BYTES), (1, 1, 1, 100)):
        found.append(unseal(piece, chunk, last, file[position : position + size + 16]))
        position += size + 16
    assert found == [b"first", content[:CHUNK_BYTES], content[CHUNK_BYTES:]]
    index = unseal(2**32 - 1, 0, 1, file[position:-8])
    assert int.from_bytes(file[-8:], "big") == len(index)
    assert json.loads(index) == {
        "kind": "program",
        "name": "bert",
        "owner": "me",
        "about": {"about": "bert"},
        "digest": hashlib.sha256(b"first" + content).hexdigest(),
        "pieces": [[{"number": 0}, 5], [{"number": 1}, CHUNK_BYTES + 100]],
    }


def test_no_nonce_serves_twice_under_one_key(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used = []

    class Recording:
        def __init__(self, key: bytes) -> None:
            self.key, self.cipher = key, AESGCM(key)

        def encrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
            used.append((self.key, nonce))
            return self.cipher.encrypt(nonce, data, associated)

        def decrypt(self, nonce: bytes, data: bytes, associated: bytes) -> bytes:
            return self.cipher.decrypt(nonce, data, associated)

    monkeypatch.setattr(store_module, "AESGCM", Recording)
    with Store(folder, KEY) as store:
        for _ in range(2):
            put(store, "a", b"", noise(2 * CHUNK_BYTES + 1), b"x")
    with Store(folder, KEY) as store:
        put(store, "a", b"y")
    assert len(used) == 2 * (1 + 3 + 1 + 1) + 2 == len(set(used))
    assert len({key for key, _ in used}) == 3


def test_the_disk_tells_nothing_but_sizes(folder: Path) -> None:
    secret = b"a very secret sentence "
    names = ("result", "receiver sender label", "owner")
    with Store(folder, KEY) as store, store.begin(*names, {"k": "remark"}, PLENTY) as pending:
        piece = pending.open_piece({"h": "heading"}, len(secret))
        piece.write(secret)
        piece.close()
        pending.commit("d" * 64)
    words = (secret, b"receiver", b"sender", b"label", b"owner", b"remark", b"heading", b"d" * 64, KEY)
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not any(word in content or word.decode("latin-1") in path.name for word in words)


def test_nobody_else_may_look(folder: Path) -> None:
    before = os.umask(0)
    try:
        folder.mkdir(mode=0o755)
        with Store(folder, KEY) as store:
            pending = store.begin("array", "b", "me", {}, PLENTY)
            put(store, "a", b"1")
            paths = [folder, *folder.rglob("*")]
            assert len(paths) == 7
            for path in paths:
                assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
            pending.abandon()
    finally:
        os.umask(before)


# What was changed on disk.

CHANGED = r"was changed or truncated"


def opened_and_read(folder: Path) -> None:
    """Raises StoreError if the store or an entry is not what was written."""
    with Store(folder, KEY) as store:
        for name in store.names("array"):
            get(store, name)


def test_every_changed_byte_is_noticed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"12345678", b"")
    (path,) = entry_files(folder)
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(StoreError, match=CHANGED):
            opened_and_read(folder)
    path.write_bytes(whole)
    opened_and_read(folder)


def test_every_truncation_is_noticed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"12345678")
    (path,) = entry_files(folder)
    whole = path.read_bytes()
    pieces = slice(32, 32 + 8 + 16)
    variants = [whole[:length] for length in range(len(whole))]
    variants += [whole + b"\0", b"\0" + whole, whole + whole, whole[:32] + whole[pieces.stop :]]
    variants += [whole[:32] + 2 * whole[pieces] + whole[pieces.stop :]]
    for changed in variants:
        path.write_bytes(changed)
        with pytest.raises(StoreError, match=CHANGED) as error:
            opened_and_read(folder)
        assert "put back the file as it was, or remove it" in str(error.value)


def test_a_changed_header_is_noticed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"1")
    path = folder / "header"
    whole = path.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        with pytest.raises(StoreError, match=r"header|not that of store"):
            Store(folder, KEY)
    for changed in (b"", whole[:-1], whole + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(StoreError, match=r"header|not that of store"):
            Store(folder, KEY)
    path.unlink()
    with pytest.raises(StoreError, match="is not empty, and no store: it has no file 'header'"):
        Store(folder, KEY)


def sealed(size: int) -> int:
    return size + 16


def test_swapped_chunks_and_pieces_are_noticed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", noise(3 * CHUNK_BYTES), noise(CHUNK_BYTES, 1), noise(CHUNK_BYTES, 2))
    (path,) = entry_files(folder)
    whole = path.read_bytes()
    chunk = sealed(CHUNK_BYTES)
    for first, second, broken in ((0, 1, (0,)), (1, 2, (0,)), (3, 4, (1, 2)), (2, 3, (0, 1))):
        changed = bytearray(whole)
        for here, there in ((first, second), (second, first)):
            changed[32 + here * chunk : 32 + (here + 1) * chunk] = whole[
                32 + there * chunk : 32 + (there + 1) * chunk
            ]
        path.write_bytes(changed)
        with Store(folder, KEY) as store:
            entry = store.about("array", "a")
            for number in range(3):
                if number in broken:
                    with pytest.raises(StoreError, match=f"piece {number} of array 'a' {CHANGED}"):
                        list(store.read(entry, number))
                else:
                    list(store.read(entry, number))


def test_nothing_of_a_changed_chunk_is_given_out(folder: Path) -> None:
    content = noise(2 * CHUNK_BYTES)
    with Store(folder, KEY) as store:
        entry = put(store, "a", content)
        (path,) = entry_files(folder)
        changed = bytearray(path.read_bytes())
        changed[32 + sealed(CHUNK_BYTES)] ^= 1
        path.write_bytes(changed)
        reader = store.read(entry, 0)
        assert next(reader) == content[:CHUNK_BYTES]
        with pytest.raises(StoreError, match=CHANGED):
            next(reader)


def test_files_of_other_entries_are_noticed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"1")
        put(store, "b", b"2")
        put(store, "a", b"1", kind="program")
    paths = entry_files(folder)
    contents = [path.read_bytes() for path in paths]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        for path, content in zip(paths, contents, strict=True):
            path.write_bytes(content)
        paths[first].write_bytes(contents[second])
        with pytest.raises(StoreError, match=f"the index of '{paths[first]}' {CHANGED}"):
            Store(folder, KEY)


def test_an_older_index_and_older_pieces_are_noticed(folder: Path) -> None:
    versions = []
    with Store(folder, KEY) as store:
        for content in (b"older", b"newer"):
            put(store, "a", content)
            (path,) = entry_files(folder)
            versions.append(path.read_bytes())
    older, newer = versions
    cut = 32 + sealed(5)
    for changed in (newer[:cut] + older[cut:], older[:cut] + newer[cut:], newer[:32] + older[32:]):
        path.write_bytes(changed)
        with pytest.raises(StoreError, match=CHANGED):
            opened_and_read(folder)
    changed = newer[:32] + older[32:cut] + newer[cut:]
    path.write_bytes(changed)
    with pytest.raises(StoreError, match=f"piece 0 of array 'a' {CHANGED}"):
        opened_and_read(folder)


def test_files_of_another_store_with_the_same_key_are_noticed(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    for place in (folder, other):
        with Store(place, KEY) as store:
            put(store, "a", b"1")
    (ours,), (theirs,) = entry_files(folder), entry_files(other)
    assert ours.name != theirs.name
    ours.write_bytes(theirs.read_bytes())
    with pytest.raises(StoreError, match=CHANGED):
        Store(folder, KEY)
    ours.unlink()
    shutil.copy(theirs, ours.parent)
    with pytest.raises(StoreError, match=CHANGED):
        Store(folder, KEY)


def test_while_it_is_open_an_entry_cannot_be_put_back_or_taken_away(store: Store, folder: Path) -> None:
    put(store, "a", b"older")
    (path,) = entry_files(folder)
    older = path.read_bytes()
    put(store, "a", b"newer")
    path.write_bytes(older)
    with pytest.raises(StoreError, match="array 'a' was replaced or changed since it was asked for"):
        get(store, "a")
    path.unlink()
    with pytest.raises(StoreError, match="array 'a' was removed since it was asked for"):
        get(store, "a")
    store.remove("array", "a")
    assert store.names("array") == []


@pytest.mark.parametrize("name", ["notes.txt", "0" * 63, "A" * 64])
def test_files_that_are_not_of_the_store(folder: Path, name: str) -> None:
    Store(folder, KEY).close()
    (folder / "entries" / name).write_bytes(b"")
    with pytest.raises(StoreError, match=f"{name}' is not of the store; take it away"):
        Store(folder, KEY)


def test_pipes_and_links_in_place_of_entries(folder: Path, tmp_path: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"1")
    (path,) = entry_files(folder)
    path.rename(tmp_path / "elsewhere")
    os.mkfifo(path)
    with pytest.raises(StoreError, match="is not a file"):
        Store(folder, KEY)
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="cannot open store"):
        Store(folder, KEY)


# Opening.


def test_a_wrong_key(folder: Path) -> None:
    Store(folder, KEY).close()
    with pytest.raises(StoreError, match=r"the key is not that of store '.*'.*; take the key that the store"):
        Store(folder, bytes(32))
    opened_and_read(folder)
    for key in (b"", KEY[1:], KEY + b"\0"):
        with pytest.raises(StoreError, match=f"a store's key has 32 bytes, got {len(key)}"):
            Store(folder, key)


def test_folders_that_are_no_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for names in (["letter.txt"], ["lock", "entries", "letter.txt"]):
        other = tmp_path / str(len(names))
        other.mkdir(mode=0o755)
        for name in names:
            (other / name).touch()
        with pytest.raises(StoreError, match="is not empty, and no store"):
            Store(other, KEY)
        assert sorted(names) == sorted(path.name for path in other.iterdir())
        assert stat.S_IMODE(other.stat().st_mode) == 0o755
    (tmp_path / "file").touch()
    for path in ("file", "file/below"):
        with pytest.raises(StoreError, match="cannot open store"):
            Store(tmp_path / path, KEY)
    user = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: user + 1)
    with pytest.raises(StoreError, match="belongs to another user; take a folder of your own"):
        Store(tmp_path / "mine", KEY)


def test_one_process_at_a_time(folder: Path) -> None:
    with Store(folder, KEY) as store:
        pending = store.begin("array", "a", "me", {}, PLENTY)
        with pytest.raises(StoreError, match=r"another process uses store '.*'; end it"):
            Store(folder, KEY)
        code = (
            "import sys, pathlib\n"
            "from ditto.runtime.party.store import Store, StoreError\n"
            "try:\n    Store(pathlib.Path(sys.argv[1]), bytes(range(32)))\n"
            "except StoreError as error:\n    print(error)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(folder)],
            env=child_environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "another process uses store" in done.stdout
        # Neither has removed what this one is writing.
        assert not nothing_pending(folder)
        pending.commit("")
    with Store(folder, KEY) as store:
        assert store.names("array") == ["a"]


def test_one_that_failed_to_open_lets_go_of_the_folder(folder: Path) -> None:
    Store(folder, KEY).close()
    for _ in range(2):
        with pytest.raises(StoreError, match="the key is not"):
            Store(folder, bytes(32))
    Store(folder, KEY).close()


def test_a_closed_store(folder: Path) -> None:
    store = Store(folder, KEY)
    entry = put(store, "a", b"1")
    pending = store.begin("array", "b", "me", {}, PLENTY)
    store.close()
    store.close()
    assert nothing_pending(folder)
    for act in (
        lambda: pending.commit(""),
        lambda: store.begin("array", "c", "me", {}, PLENTY),
        lambda: store.remove("array", "a"),
    ):
        with pytest.raises(StoreError, match="the store is closed"):
            act()
    assert list(store.read(entry, 0)) == [b"1"]


# Writing.


def test_nothing_is_visible_until_commit(store: Store, folder: Path) -> None:
    pending = store.begin("array", "a", "me", {}, PLENTY)
    piece = pending.open_piece({}, 3)
    piece.write(b"123")
    piece.close()
    assert (store.names("array"), store.about("array", "a"), entry_files(folder)) == ([], None, [])
    assert store.total_bytes("array") == 0
    pending.commit("")
    assert store.names("array") == ["a"]
    assert nothing_pending(folder)
    # Nothing happens to what is there.
    pending.abandon()
    assert get(store, "a") == [b"123"]
    with pytest.raises(StoreError, match="array 'a' is no longer being written"):
        pending.open_piece({}, 1)


def too_many_bytes(pending: Any) -> None:
    piece = pending.open_piece({}, 3)
    piece.write(b"12")
    piece.write(b"34")


def too_few_bytes(pending: Any) -> None:
    piece = pending.open_piece({}, 3)
    piece.write(b"12")
    piece.close()


def a_piece_within_a_piece(pending: Any) -> None:
    pending.open_piece({}, 3)
    pending.open_piece({}, 3)


def a_piece_closed_twice(pending: Any) -> None:
    piece = pending.open_piece({}, 0)
    piece.close()
    piece.close()


def a_piece_of_negative_size(pending: Any) -> None:
    pending.open_piece({}, -1)


def commit_within_a_piece(pending: Any) -> None:
    pending.open_piece({}, 0)
    pending.commit("")


def two_commits(pending: Any) -> None:
    pending.commit("")
    pending.commit("")


def more_than_allowed(pending: Any) -> None:
    pending.open_piece({}, PLENTY)


def an_interruption(pending: Any) -> None:
    with pending:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("act", "kind", "message"),
    [
        (too_many_bytes, StoreError, "piece 0 of array 'a' has more bytes than were announced"),
        (too_few_bytes, StoreError, "piece 0 of array 'a' lacks 1 of the bytes that were announced"),
        (more_than_allowed, StoreError, r"array 'a' takes \d+ bytes or more, and may take"),
        (a_piece_within_a_piece, InternalError, "perhaps within another"),
        (a_piece_closed_twice, InternalError, "piece 0 of array 'a' is closed"),
        (a_piece_of_negative_size, InternalError, "a piece of -1 bytes was opened"),
        (commit_within_a_piece, InternalError, "commit with an open piece"),
        (an_interruption, KeyboardInterrupt, None),
    ],
)
def test_mistakes_leave_nothing(
    store: Store, folder: Path, act: Callable[[Any], None], kind: type[BaseException], message: str | None
) -> None:
    pending = store.begin("array", "a", "me", {}, PLENTY)
    with pytest.raises(kind, match=message):
        act(pending)
    assert nothing_pending(folder) and entry_files(folder) == []
    with pytest.raises(StoreError, match="array 'a' is no longer being written"):
        pending.commit("")
    put(store, "a", b"1")


def test_a_second_commit_is_an_error_and_changes_nothing(store: Store) -> None:
    pending = store.begin("array", "a", "me", {}, PLENTY)
    with pytest.raises(StoreError, match="array 'a' is no longer being written"):
        two_commits(pending)
    assert store.names("array") == ["a"]


def test_the_limit_is_of_the_file(store: Store, folder: Path) -> None:
    contents = (noise(CHUNK_BYTES + 5), noise(10, 1), b"")
    stored = put(store, "a", *contents).stored_bytes
    assert put(store, "a", *contents, limit=stored).stored_bytes == stored
    for limit in (stored - 1, CHUNK_BYTES + 5, 100, 0, -1):
        with pytest.raises(StoreError, match=f"array 'a' takes [0-9]+ bytes or more, and may take {limit}"):
            put(store, "a", *contents, limit=limit)
        assert nothing_pending(folder)
    assert get(store, "a") == list(contents)


def test_too_large_a_piece_is_refused_before_it_is_written(store: Store, folder: Path) -> None:
    pending = store.begin("array", "a", "me", {}, CHUNK_BYTES)
    with pytest.raises(StoreError, match="may take"):
        pending.open_piece({}, CHUNK_BYTES)
    assert nothing_pending(folder)


def test_headers_count_and_are_limited(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = {"h": "x" * 1000}
    pending = store.begin("array", "a", "me", {}, 2000)
    pending.open_piece(long, 0).close()
    with pytest.raises(StoreError, match=r"takes \d+ bytes or more, and may take 2000"):
        pending.open_piece(long, 0)
    monkeypatch.setattr(store_module, "MOST_INDEX_BYTES", 1500)
    monkeypatch.setattr(store_module, "MOST_PIECES", 2)
    with pytest.raises(
        StoreError, match="array 'a' has more than 2 pieces, or more than 1500 bytes of headers"
    ):
        store.begin("array", "a", "me", {"x": "x" * 1500}, PLENTY)
    pending = store.begin("array", "a", "me", {}, PLENTY)
    pending.open_piece(long, 0).close()
    with pytest.raises(StoreError, match="has more than 2 pieces"):
        pending.open_piece(long, 0)
    with pytest.raises(StoreError, match="has more than 2 pieces"):
        put(store, "a", b"", b"", b"")
    put(store, "a", b"", b"")
    assert nothing_pending(folder)


def test_an_index_of_more_than_a_chunk(folder: Path) -> None:
    header = {"h": "x" * CHUNK_BYTES}
    with Store(folder, KEY) as store, store.begin("array", "a", "me", {}, PLENTY) as pending:
        for content in (b"1", b"2"):
            piece = pending.open_piece(header, 1)
            piece.write(content)
            piece.close()
        written = pending.commit("")
    with Store(folder, KEY) as store:
        assert store.about("array", "a") == written
        assert get(store, "a") == [b"1", b"2"]


# Names, owners, listing.


def test_replacing_and_removing(store: Store, folder: Path) -> None:
    put(store, "a", b"1", b"2")
    put(store, "a", b"3")
    assert get(store, "a") == [b"3"]
    assert len(entry_files(folder)) == 1
    store.remove("array", "a")
    store.remove("array", "a")
    assert (store.about("array", "a"), entry_files(folder)) == (None, [])
    put(store, "a", b"4", owner="another")


def test_only_its_owner_replaces_an_entry(store: Store, folder: Path) -> None:
    pending = store.begin("array", "a", "another", {}, PLENTY)
    put(store, "a", b"1")
    message = "array 'a' is somebody else's; 'another' cannot replace it"
    with pytest.raises(StoreError, match=message):
        put(store, "a", b"2", owner="another")
    # Nor if it came while the other one was being written.
    with pytest.raises(StoreError, match=message):
        pending.commit("")
    assert get(store, "a") == [b"1"]
    assert nothing_pending(folder)
    put(store, "a", b"2", kind="program", owner="another")


def test_listing(folder: Path) -> None:
    names = ("bob alice x", "bob alice y", "bob carol x", "bobby alice x")
    with Store(folder, KEY) as store:
        sizes = {
            name: put(store, name, noise(10 * i), kind="result").stored_bytes for i, name in enumerate(names)
        }
        put(store, "bob", noise(1000))
    for _ in range(2):
        with Store(folder, KEY) as store:
            assert store.names("result") == sorted(names)
            assert store.names("array") == ["bob"]
            assert store.names("program") == []
            assert store.total_bytes("result", "bob ") == sum(sizes[name] for name in names[:3])
            assert store.total_bytes("result", "bob alice ") == sum(sizes[name] for name in names[:2])
            assert store.total_bytes("result") == sum(sizes.values())
            assert store.total_bytes("result", "nobody ") == 0


@pytest.mark.parametrize("name", ["a", "A9._:/@-", "x" * 255, "a/./b", "spiffe://a.b/c", "a b", "a b c d"])
def test_names(store: Store, name: str) -> None:
    put(store, name, b"1")
    assert store.names("array") == [name]
    assert is_word(name) == (" " not in name)


@pytest.mark.parametrize(
    "name", ["", " ", "a ", " a", "a  b", "..", "a/../b", "é", "a\n", "a\0", "x" * 256, "a*"]
)
def test_what_is_no_name(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be stored: a name is of 1 to 255 letters"):
        store.begin("array", name, "me", {}, PLENTY)
    assert store.about("array", name) is None
    assert not is_word(name)


def test_kinds_are_words(store: Store) -> None:
    with pytest.raises(InternalError, match="'a b' is no kind of entry"):
        store.begin("a b", "c", "me", {}, PLENTY)


# Readers, threads, memory.


def test_a_reader_reads_on_what_is_replaced_or_removed(store: Store) -> None:
    older, newer = noise(3 * CHUNK_BYTES), noise(3 * CHUNK_BYTES, 1)
    entry = put(store, "a", older, b"x")
    reader = store.read(entry, 0)
    found = next(reader)
    put(store, "a", newer, b"y")
    assert found + next(reader) == older[: 2 * CHUNK_BYTES]
    store.remove("array", "a")
    assert b"".join(reader) == older[2 * CHUNK_BYTES :]
    for number in (0, 1):
        with pytest.raises(StoreError, match="was removed since it was asked for"):
            list(store.read(entry, number))
    put(store, "a", newer, b"y")
    for number in (0, 1):
        with pytest.raises(StoreError, match="was replaced or changed since it was asked for; ask again"):
            list(store.read(entry, number))


def test_readers_that_stop_early_leave_no_file_open(store: Store) -> None:
    entry = put(store, "a", noise(2 * CHUNK_BYTES))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        reader = store.read(entry, 0)
        next(reader)
        reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_threads(store: Store, folder: Path) -> None:
    """Some write the same names, some read them: each finds one version, whole."""
    size = CHUNK_BYTES + 1000
    errors: list[BaseException] = []
    whole = [0]

    def write(seed: int) -> None:
        for number in range(8):
            put(store, f"n{number % 2}", bytes([seed]) * size, bytes([seed]))

    def read() -> None:
        while not done.is_set():
            for name in store.names("array"):
                try:
                    first, second = get(store, name)
                except StoreError as error:
                    assert "was replaced or changed since it was asked for" in str(error)
                    continue
                assert first == second * size
                whole[0] += 1

    def run(act: Callable[..., None], *arguments: int) -> None:
        try:
            act(*arguments)
        except BaseException as error:
            errors.append(error)

    done = threading.Event()
    writers = [threading.Thread(target=run, args=(write, seed)) for seed in range(3)]
    readers = [threading.Thread(target=run, args=(read,)) for _ in range(2)]
    for thread in (*writers, *readers):
        thread.start()
    for thread in writers:
        thread.join()
    while not whole[0] and not errors:
        time.sleep(0.01)
    done.set()
    for thread in readers:
        thread.join()
    assert errors == []
    assert len(entry_files(folder)) == 2 and nothing_pending(folder)


def test_memory_stays_at_a_few_chunks(store: Store) -> None:
    block = noise(1 << 16)
    count = 512
    tracemalloc.start()
    try:
        with store.begin("array", "a", "me", {}, PLENTY) as pending:
            piece = pending.open_piece({}, count * len(block))
            for _ in range(count):
                piece.write(block)
            piece.close()
            entry = pending.commit("")
        assert sum(map(len, store.read(entry, 0))) == count * len(block)
        assert tracemalloc.get_traced_memory()[1] < 6 * CHUNK_BYTES
    finally:
        tracemalloc.stop()


# Crashes, and disks that are full.


def test_what_a_crash_leaves_is_removed(folder: Path) -> None:
    with Store(folder, KEY) as store:
        put(store, "a", b"1")
    (folder / "pending" / "left").write_bytes(b"half")
    with Store(folder, KEY) as store:
        assert nothing_pending(folder)
        assert get(store, "a") == [b"1"]


def test_a_committed_entry_is_on_disk(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power failure takes cannot be tried; the order that file systems ask for can be looked at."""
    calls: list[tuple[str, str]] = []
    fsync, replace = os.fsync, Path.replace

    def recording_fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).parts[-2]))
        fsync(descriptor)

    def recording_replace(path: Path, target: Path) -> Path:
        calls.append(("replace", path.parent.name))
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "replace", recording_replace)
    put(store, "a", b"1")
    assert calls == [("fsync", "pending"), ("replace", "pending"), ("fsync", folder.name)]
    calls.clear()
    store.remove("array", "a")
    assert calls == [("fsync", folder.name)]


def test_killed_processes_leave_the_old_or_the_new(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "test" / "support" / "store_crashes.py"), str(tmp_path)],
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


FULL_DISK = """
import os, resource, sys
from pathlib import Path
from ditto.runtime.party.store import Store, StoreError

folder = Path(sys.argv[1])
store = Store(folder, bytes(range(32)))

def put(size):
    with store.begin("array", "a", "me", {}, 1 << 40) as pending:
        piece = pending.open_piece({}, size)
        for start in range(0, size, 1 << 16):
            piece.write(bytes(min(1 << 16, size - start)))
        piece.close()
        pending.commit("")

put(1000)
# A file cannot grow beyond this; it is no multiple of what is written at once.
resource.setrlimit(resource.RLIMIT_FSIZE, (2_500_000, 2_500_000))
for size in (3_000_000, 2_499_980):
    try:
        put(size)
    except StoreError as error:
        print(error)
    assert not os.listdir(folder / "pending")
    entry = store.about("array", "a")
    assert b"".join(store.read(entry, 0)) == bytes(1000)
put(2000)
assert b"".join(store.read(store.about("array", "a"), 0)) == bytes(2000)
"""


def test_files_that_cannot_grow(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(folder)],
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == 2 * "cannot store array 'a': File too large\n"
    with Store(folder, KEY) as store:
        assert get(store, "a") == [bytes(2000)]


@pytest.mark.parametrize(("module", "name"), [(os, "open"), (os, "fsync"), (os, "write"), (Path, "replace")])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_errors_of_the_disk(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, number: int
) -> None:
    """The first call fails, then the second, and so on until none does."""
    if name == "write":
        module, name = store_module, "_write_all"
    real = getattr(module, name)
    left = 0

    def failing(*arguments: Any) -> Any:
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    with Store(folder, KEY) as store:
        put(store, "a", b"old", b"")
        calls, failed = 0, True
        while failed:
            calls += 1
            left = calls
            monkeypatch.setattr(module, name, failing)
            try:
                put(store, "a", b"new", b"")
                failed = False
            except StoreError as error:
                assert os.strerror(number) in str(error)
                assert ("make room on the disk" in str(error)) == (number == errno.ENOSPC)
            monkeypatch.setattr(module, name, real)
            assert nothing_pending(folder)
            found = get(store, "a")
            # The folder's fsync comes when the new one is in place.
            assert found in ([b"new", b""], [b"old", b""])
        assert found == [b"new", b""]
        assert calls > 1
    with Store(folder, KEY) as store:
        assert get(store, "a") == found
