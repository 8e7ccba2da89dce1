"""Where a party keeps deposits and results: encrypted files in one folder, which survive a restart.

Who knows what. Whoever reads the disk without the store key learns how many entries there are, how large each
and its index are, and when they were written; not names, owners, headers or contents. Whoever changes the
disk without the key is noticed, as a StoreError: bytes changed, files truncated, renamed, mixed out of
several, or of another store. What cannot be noticed is an entry removed, or its whole file put back to an
earlier version, while no process has the store open. Removing an entry frees its file and does not overwrite
it.

The folder (0700, its files 0600):

    lock             held with flock by the process that has the store open
    header           "ditto store 1\\n", salt, check
    entries/TAG      an entry; TAG in hexadecimal
    pending/RANDOM   an entry that is being written; renamed to entries/TAG when all of it is on disk

with K the store key (32 bytes), || concatenation, salts of 32 bytes from the operating system's generator,
and HKDF(salt, info) = HKDF-SHA256 (RFC 5869) of K, 32 bytes long:

    check = HMAC-SHA256(HKDF(header's salt, "ditto store check"), "ditto store 1\\n" || salt)
    TAG   = HMAC-SHA256(HKDF(header's salt, "ditto store names"), kind || " " || name)
    file  = salt || pieces || index || (u64 bytes of the index)
    key   = HKDF(file's salt, "ditto store file")

A piece is sealed in chunks of 1 MiB, the last one shorter (an empty piece is one empty chunk), each by
AES-256-GCM (NIST SP 800-38D) under the file's key with

    nonce           = u32 piece || u64 chunk
    associated data = TAG || u32 piece || u8 (1 for the piece's last chunk, else 0)

Integers are big-endian. The index, JSON, is sealed as piece 2^32 - 1. A file is written once, under a salt of
its own, so no nonce serves twice under one key.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hmac
import io
import itertools
import json
import os
import re
import secrets
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ditto_compiler.errors import DittoError, InternalError

KEY_BYTES = 32
CHUNK_BYTES = 1 << 20
MOST_PIECES = 1 << 16
MOST_INDEX_BYTES = 1 << 24
"""Of an entry's index, which stays in memory."""

_MAGIC = b"ditto store 1\n"
_SALT_BYTES = 32
_TAG_BYTES = 32
_SEAL_BYTES = 16
_FOOTER_BYTES = 8
_INDEX = (1 << 32) - 1
_LOCK, _HEADER, _ENTRIES, _PENDING = "lock", "header", "entries", "pending"

_WORD = re.compile(r"[A-Za-z0-9._:/@-]{1,255}")


class StoreError(DittoError):
    """A store cannot be opened, read or written, or what is in it was changed."""


def is_word(text: str) -> bool:
    """Whether a text is 1 to 255 of `A-Z a-z 0-9 . _ : / @ -`, without two dots in a row.

    The name of an entry is such words, one blank between two.
    """
    return _WORD.fullmatch(text) is not None and ".." not in text


@dataclass(frozen=True)
class Entry:
    """What a store has under a name.

    Attributes:
        kind: what it is: names of different kinds are different.
        name: words, one blank between two.
        owner: who may replace it.
        digest: as `Pending.commit` was told.
        about: as `Store.begin` was told.
        pieces: header and bytes of each.
        stored_bytes: what its file takes.
    """

    kind: str
    name: str
    owner: str
    digest: str
    about: dict[str, Any]
    pieces: tuple[tuple[dict[str, Any], int], ...]
    stored_bytes: int
    _salt: bytes = field(repr=False)
    _starts: tuple[int, ...] = field(repr=False)
    """Where in the file each piece starts, and where the last one ends."""


class Store:
    """A store; it may be used by several threads at a time.

    What is in it is read when it is opened, so entries that somebody takes away or puts back meanwhile are
    noticed, too.

    Args:
        folder: made if there is none; what a crash left half-written in it is removed.
        key: 32 random bytes.

    Raises:
        StoreError: another process uses the folder, it is somebody else's, holds something else, or a store
            of another key; or an entry was changed.
    """

    def __init__(self, folder: Path, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise StoreError(f"a store's key has {KEY_BYTES} bytes, got {len(key)}")
        self._folder = folder.absolute()
        self._key = key
        self._guard = threading.Lock()
        self._entries: dict[tuple[str, str], Entry] = {}
        try:
            _make_folder(self._folder)
            self._lock: int | None = _lock(self._folder)
            try:
                self._load()
            except BaseException:
                os.close(self._lock)
                raise
        except OSError as error:
            raise StoreError(f"cannot open store '{folder}': {error}") from None

    def _load(self) -> None:
        for name in (_ENTRIES, _PENDING):
            (self._folder / name).mkdir(mode=0o700, exist_ok=True)
        self._clear_pending()
        self._name_key = self._read_header()
        for path in sorted((self._folder / _ENTRIES).iterdir()):
            entry = self._read_entry(path)
            self._entries[entry.kind, entry.name] = entry

    def close(self) -> None:
        """Gives the folder free; what is being written is abandoned. May be called twice."""
        with self._guard:
            if self._lock is not None:
                with contextlib.suppress(OSError):
                    self._clear_pending()
                os.close(self._lock)
                self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, kind: str, name: str, owner: str, about: dict[str, Any], limit_bytes: int) -> Pending:
        """Starts an entry, of which nothing is to be seen until `Pending.commit`.

        Args:
            kind: one word, see `is_word`.
            name: words, one blank between two; an entry of the same name, kind and owner is replaced.
            owner: whose it is.
            about: anything that JSON can say.
            limit_bytes: that its file may take: its pieces, 16 bytes for each MiB of them, and its index.

        Raises:
            StoreError: the name is none, or somebody else's; or nothing can be written.
        """
        if not is_word(kind):
            raise InternalError(f"'{kind}' is no kind of entry")
        if not all(map(is_word, name.split(" "))):
            raise StoreError(
                f"{kind} {name!r} cannot be stored: a name is of 1 to 255 letters, digits and . _ : / @ -, "
                f"without '..'"
            )
        with self._guard:
            self._check_open()
            self._check_owner(kind, name, owner)
        return Pending(self, kind, name, owner, about, limit_bytes)

    def about(self, kind: str, name: str) -> Entry | None:
        """The entry of a name, None if there is none."""
        with self._guard:
            return self._entries.get((kind, name))

    def names(self, kind: str) -> list[str]:
        """The names of all entries of a kind, sorted."""
        with self._guard:
            return sorted(name for of, name in self._entries if of == kind)

    def total_bytes(self, kind: str, prefix: str = "") -> int:
        """What the files take of the entries of a kind whose name starts with `prefix`."""
        with self._guard:
            return sum(
                entry.stored_bytes
                for (of, name), entry in self._entries.items()
                if of == kind and name.startswith(prefix)
            )

    def read(self, entry: Entry, number: int) -> Iterator[bytes]:
        """Reads a piece, in chunks of 1 MiB; each was authenticated before it is given out.

        A reader that has its first chunk reads on, even if the entry is replaced or removed meanwhile.

        Raises:
            StoreError: the piece was changed or truncated, or the entry replaced or removed, since
                `entry` was asked for.
        """
        what = f"{entry.kind} '{entry.name}'"
        _, size = entry.pieces[number]
        try:
            with _open_file(self._path(entry.kind, entry.name)) as file:
                if file.read(_SALT_BYTES) != entry._salt:
                    raise StoreError(f"{what} was replaced or changed since it was asked for; ask again")
                file.seek(entry._starts[number])
                seal = _Seal(self._key, entry._salt, self._tag(entry.kind, entry.name))
                yield from seal.read(file, number, size, f"piece {number} of {what}")
        except FileNotFoundError:
            raise StoreError(f"{what} was removed since it was asked for") from None
        except OSError as error:
            raise StoreError(f"cannot read {what}: {error.strerror}") from None

    def remove(self, kind: str, name: str) -> None:
        """Removes an entry; nothing happens if there is none.

        Raises:
            StoreError: it cannot be removed.
        """
        with self._guard:
            self._check_open()
            if (kind, name) not in self._entries:
                return
            try:
                self._path(kind, name).unlink(missing_ok=True)
                del self._entries[kind, name]
                _sync_folder(self._folder / _ENTRIES)
            except OSError as error:
                raise StoreError(f"cannot remove {kind} '{name}': {error.strerror}") from None

    def _publish(self, path: Path, entry: Entry) -> None:
        """Makes a whole file the entry of its name."""
        with self._guard:
            self._check_open()
            self._check_owner(entry.kind, entry.name, entry.owner)
            path.replace(self._path(entry.kind, entry.name))
            self._entries[entry.kind, entry.name] = entry
            # Should this fail, the entry is there, but may be gone after the machine loses power.
            _sync_folder(self._folder / _ENTRIES)

    def _check_open(self) -> None:
        if self._lock is None:
            raise StoreError("the store is closed")

    def _check_owner(self, kind: str, name: str, owner: str) -> None:
        """`owner` may write under this name; the lock is held."""
        entry = self._entries.get((kind, name))
        if entry is not None and entry.owner != owner:
            raise StoreError(f"{kind} '{name}' is somebody else's; '{owner}' cannot replace it")

    def _tag(self, kind: str, name: str) -> bytes:
        # A kind has no blank, so no two kinds and names are one text.
        return hmac.digest(self._name_key, f"{kind} {name}".encode(), "sha256")

    def _path(self, kind: str, name: str) -> Path:
        return self._folder / _ENTRIES / self._tag(kind, name).hex()

    def _new_pending(self) -> Path:
        return self._folder / _PENDING / secrets.token_hex(16)

    def _clear_pending(self) -> None:
        for path in (self._folder / _PENDING).iterdir():
            path.unlink(missing_ok=True)

    def _read_header(self) -> bytes:
        """The key that names are hashed with; writes the header of a new store."""
        path = self._folder / _HEADER
        size = len(_MAGIC) + _SALT_BYTES
        if not path.exists():
            content = _MAGIC + os.urandom(_SALT_BYTES)
            pending = self._new_pending()
            with _new_file(pending) as file:
                _write_all(file, content + self._check(content))
                os.fsync(file.fileno())
            pending.replace(path)
            _sync_folder(self._folder)
        with _open_file(path) as file:
            # One byte more than it should have.
            header = file.read(size + _TAG_BYTES + 1)
        if not header.startswith(_MAGIC):
            raise StoreError(f"'{path}' is not a header of a store that this version of Ditto can read")
        if not hmac.compare_digest(header[size:], self._check(header[:size])):
            raise StoreError(
                f"the key is not that of store '{self._folder}', or its file '{_HEADER}' was changed; "
                f"take the key that the store was made with, or another folder"
            )
        return _derive(self._key, header[len(_MAGIC) : size], b"ditto store names")

    def _check(self, content: bytes) -> bytes:
        return hmac.digest(
            _derive(self._key, content[len(_MAGIC) :], b"ditto store check"), content, "sha256"
        )

    def _read_entry(self, path: Path) -> Entry:
        what = f"'{path}'"
        if not re.fullmatch(f"[0-9a-f]{{{2 * _TAG_BYTES}}}", path.name):
            raise StoreError(f"{what} is not of the store; take it away")
        try:
            with _open_file(path) as file:
                size = os.fstat(file.fileno()).st_size
                salt = file.read(_SALT_BYTES)
                file.seek(max(0, size - _FOOTER_BYTES))
                index_bytes = int.from_bytes(file.read(_FOOTER_BYTES))
                start = size - _FOOTER_BYTES - _sealed_bytes(index_bytes)
                if start < _SALT_BYTES or index_bytes > MOST_INDEX_BYTES:
                    raise StoreError(f"{what} was changed or truncated")
                file.seek(start)
                seal = _Seal(self._key, salt, bytes.fromhex(path.name))
                index = b"".join(seal.read(file, _INDEX, index_bytes, f"the index of {what}"))
                entry = _parse_index(index, size, salt)
            # A file of another store with the same key is whole, under a name that is none here.
            if start != entry._starts[-1] or path != self._path(entry.kind, entry.name):
                raise StoreError(f"{what} was changed or truncated")
        except StoreError as error:
            raise StoreError(
                f"{error}; put back the file as it was, or remove it and store the entry again"
            ) from None
        return entry


class Pending:
    """An entry that is being written, by one thread at a time.

    After an error it is abandoned, and so it is at the end of a `with` block without `commit`: nothing of it
    stays on disk.
    """

    def __init__(
        self, store: Store, kind: str, name: str, owner: str, about: dict[str, Any], limit_bytes: int
    ) -> None:
        self._store = store
        self._what = f"{kind} '{name}'"
        self._limit = limit_bytes
        self._about = {"kind": kind, "name": name, "owner": owner, "about": about}
        self._pieces: list[tuple[dict[str, Any], int]] = []
        self._index_bytes = len(json.dumps(self._about))
        self._salt = os.urandom(_SALT_BYTES)
        self._seal = _Seal(store._key, self._salt, store._tag(kind, name))
        self._path = store._new_pending()
        self._file: io.FileIO | None = None
        self._size = _SALT_BYTES
        self._open: PieceWriter | None = None
        try:
            with store._guard:
                store._check_open()
                self._file = _new_file(self._path)
        except OSError as error:
            raise self._failure(error) from None
        with self._writing() as file:
            self._check_sizes()
            _write_all(file, self._salt)

    def __enter__(self) -> Pending:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()

    def open_piece(self, header: dict[str, Any], size: int) -> PieceWriter:
        """Starts the next piece, when the one before is closed.

        Args:
            header: anything that JSON can say.
            size: the bytes that will be written.

        Raises:
            StoreError: the entry would be larger than it may be.
        """
        with self._writing():
            if self._open is not None or size < 0:
                raise InternalError(f"a piece of {size} bytes was opened, perhaps within another")
            self._pieces.append((header, size))
            self._size += _sealed_bytes(size)
            self._index_bytes += len(json.dumps([header, size])) + 2
            self._check_sizes()
            self._open = PieceWriter(self, len(self._pieces) - 1, size)
            return self._open

    def commit(self, digest: str) -> Entry:
        """Makes the entry visible, in place of the one that was there under its name.

        It is on disk when this returns. If the process is killed meanwhile, either the old or the new one is.

        Raises:
            StoreError: it cannot be written or is larger than it may be, or the one that is there is
                another owner's.
        """
        with self._writing() as file:
            if self._open is not None:
                raise InternalError("commit with an open piece")
            index = json.dumps({**self._about, "digest": digest, "pieces": self._pieces}).encode()
            self._index_bytes = len(index)
            self._check_sizes()
            for number in range(0, max(1, len(index)), CHUNK_BYTES):
                chunk = index[number : number + CHUNK_BYTES]
                last = number + CHUNK_BYTES >= len(index)
                _write_all(file, self._seal.seal(_INDEX, number // CHUNK_BYTES, last, chunk))
            _write_all(file, len(index).to_bytes(_FOOTER_BYTES))
            os.fsync(file.fileno())
            entry = _parse_index(index, file.tell(), self._salt)
            self._store._publish(self._path, entry)
        self._close()
        return entry

    def abandon(self) -> None:
        """Removes what was written; nothing happens if it was committed or abandoned before."""
        if self._file is not None:
            self._close()
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[io.FileIO]:
        """Whatever goes wrong within, nothing of the entry stays."""
        if self._file is None:
            raise StoreError(f"{self._what} is no longer being written")
        try:
            yield self._file
        except OSError as error:
            self.abandon()
            raise self._failure(error) from None
        except BaseException:
            self.abandon()
            raise

    def _failure(self, error: OSError) -> StoreError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "; make room on the disk of the store" if full else ""
        return StoreError(f"cannot store {self._what}: {error.strerror}{hint}")

    def _check_sizes(self) -> None:
        size = self._size + _sealed_bytes(self._index_bytes) + _FOOTER_BYTES
        if size > self._limit:
            raise StoreError(f"{self._what} takes {size} bytes or more, and may take {self._limit}")
        if len(self._pieces) > MOST_PIECES or self._index_bytes > MOST_INDEX_BYTES:
            raise StoreError(
                f"{self._what} has more than {MOST_PIECES} pieces, or more than {MOST_INDEX_BYTES} bytes of "
                f"headers"
            )


class PieceWriter:
    """Writes one piece of a pending entry."""

    def __init__(self, pending: Pending, number: int, size: int) -> None:
        self._pending = pending
        self._number = number
        self._left = size
        self._chunk = 0
        self._buffer = bytearray()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Adds bytes.

        Raises:
            StoreError: they cannot be written, or are more than the piece has.
        """
        # An empty array cannot be cast.
        view = memoryview(data).cast("B") if memoryview(data).nbytes else memoryview(b"")
        with self._writing() as file:
            if len(view) > self._left:
                raise StoreError(f"{self._what} has more bytes than were announced")
            start = 0
            while start < len(view):
                count = min(CHUNK_BYTES - len(self._buffer), len(view) - start)
                self._buffer += view[start : start + count]
                start += count
                self._left -= count
                if self._left and len(self._buffer) == CHUNK_BYTES:
                    self._flush(file, last=False)

    def close(self) -> None:
        """Ends the piece.

        Raises:
            StoreError: it cannot be written, or lacks bytes.
        """
        with self._writing() as file:
            if self._left:
                raise StoreError(f"{self._what} lacks {self._left} of the bytes that were announced")
            self._flush(file, last=True)
            self._pending._open = None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[io.FileIO]:
        with self._pending._writing() as file:
            if self._pending._open is not self:
                raise InternalError(f"{self._what} is closed")
            yield file

    @property
    def _what(self) -> str:
        return f"piece {self._number} of {self._pending._what}"

    def _flush(self, file: io.FileIO, *, last: bool) -> None:
        _write_all(file, self._pending._seal.seal(self._number, self._chunk, last, self._buffer))
        self._chunk += 1
        self._buffer.clear()


class _Seal:
    """Seals and opens the chunks of one file."""

    def __init__(self, key: bytes, salt: bytes, tag: bytes) -> None:
        self._aes = AESGCM(_derive(key, salt, b"ditto store file"))
        self._tag = tag

    def _place(self, piece: int, chunk: int, last: bool) -> tuple[bytes, bytes]:
        """Nonce and associated data."""
        number = piece.to_bytes(4)
        return number + chunk.to_bytes(8), self._tag + number + bytes([last])

    def seal(self, piece: int, chunk: int, last: bool, data: bytes | bytearray) -> bytes:
        nonce, associated = self._place(piece, chunk, last)
        return self._aes.encrypt(nonce, data, associated)

    def read(self, file: io.FileIO, piece: int, size: int, what: str) -> Iterator[bytes]:
        """The chunks of a piece, from where the file is.

        Raises:
            StoreError: one is not what was sealed; names `what`.
        """
        for chunk in range(_chunks(size)):
            length = min(CHUNK_BYTES, size - chunk * CHUNK_BYTES)
            nonce, associated = self._place(piece, chunk, chunk == _chunks(size) - 1)
            try:
                data = self._aes.decrypt(nonce, file.read(length + _SEAL_BYTES), associated)
            except InvalidTag:
                raise StoreError(f"{what} was changed or truncated") from None
            yield data


def _chunks(size: int) -> int:
    return max(1, -(-size // CHUNK_BYTES))


def _sealed_bytes(size: int) -> int:
    return size + _chunks(size) * _SEAL_BYTES


def _parse_index(index: bytes, stored_bytes: int, salt: bytes) -> Entry:
    data = json.loads(index)
    data["pieces"] = tuple((header, size) for header, size in data["pieces"])
    sealed = (_sealed_bytes(size) for _, size in data["pieces"])
    starts = tuple(itertools.accumulate(sealed, initial=_SALT_BYTES))
    return Entry(**data, stored_bytes=stored_bytes, _salt=salt, _starts=starts)


def _derive(key: bytes, salt: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=salt, info=info).derive(key)


def _make_folder(folder: Path) -> None:
    """Makes the folder, or checks that it is one of ours: empty, or with a store in it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.geteuid():
        raise StoreError(f"store '{folder}' belongs to another user; take a folder of your own")
    names = set(os.listdir(folder))
    if _HEADER not in names:
        # A crash may have left one without its header, but not with entries.
        ours = names <= {_LOCK, _ENTRIES, _PENDING}
        if not ours or (_ENTRIES in names and os.listdir(folder / _ENTRIES)):
            raise StoreError(
                f"'{folder}' is not empty, and no store: it has no file '{_HEADER}'; take an empty folder"
            )
    folder.chmod(0o700)


def _lock(folder: Path) -> int:
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise StoreError(f"another process uses store '{folder}'; end it, or take another folder") from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _open_file(path: Path) -> io.FileIO:
    """Opens a file; not what would block, or lead elsewhere.

    Raises:
        StoreError: it is no file.
        OSError: it cannot be opened.
    """
    file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise StoreError(f"'{path}' is not a file")
    return file


def _new_file(path: Path) -> io.FileIO:
    return io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _write_all(file: io.FileIO, data: bytes) -> None:
    """Writes all of `data`; one call writes less when the disk is nearly full."""
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += file.write(view[done:]) or 0


def _sync_folder(folder: Path) -> None:
    """Has the names in a folder written to disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
