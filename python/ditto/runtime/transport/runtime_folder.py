"""Folders for what processes share while they run: sockets, logs.

A folder is its user's alone, and is removed when its owner closes it or ends. What a process leaves that was
killed, the next one removes: each folder has a file that its process holds locked as long as it lives.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from ditto_compiler.errors import DittoError

_PREFIX = "ditto-"
_LOCK = "lock"
_CONTENT = b"Held by the process whose folder this is; Ditto removes the folder when nobody holds it.\n"

_LONGEST_SOCKET = "/xxxxxxxx/to2.sock"
"""Below a folder; the system takes 107 bytes for the whole path."""

_OPEN: set[RuntimeFolder] = set()


class RuntimeFolderError(DittoError):
    """There can be no folder for what processes share."""


class RuntimeFolder:
    """A new folder, in the system's folder for temporary files, until `close` or the end of the process.

    Attributes:
        path: of the folder, which nobody but this user can look into.

    Raises:
        RuntimeFolderError: it cannot be made, or its path is too long for sockets.
    """

    def __init__(self) -> None:
        try:
            parent = Path(tempfile.gettempdir())
            _remove_what_is_left(parent)
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        except OSError as error:
            raise RuntimeFolderError(
                f"cannot make a folder for sockets and logs: {error}; TMPDIR says where"
            ) from None
        self._lock = -1
        self._process = os.getpid()
        try:
            if len(os.fsencode(self.path)) + len(_LONGEST_SOCKET) > 107:
                raise RuntimeFolderError(
                    f"the path of the folder for sockets is too long for them: {self.path}; "
                    "set TMPDIR to a shorter one"
                )
            self._lock = _take_lock(self.path)
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise
        _OPEN.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes the folder. What cannot be removed now, a later process will.

        In a process that was forked from its owner it does nothing.
        """
        if self in _OPEN and self._process == os.getpid():
            _remove(self.path)
            # Not before: an interrupt may come in between, and then somebody tries again.
            _OPEN.discard(self)
            os.close(self._lock)


@atexit.register
def close_all() -> None:
    """Removes all folders of this process."""
    for folder in list(_OPEN):
        folder.close()


def _take_lock(folder: Path) -> int:
    """Makes a folder ours: from the first moment that it has the lock file, that is locked."""
    new = folder / f"{_LOCK}.new"
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, _CONTENT)
        new.rename(folder / _LOCK)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_what_is_left(parent: Path) -> None:
    """Removes folders of this user whose processes are gone."""
    for path in parent.glob(f"{_PREFIX}*"):
        with contextlib.ExitStack() as descriptors, contextlib.suppress(OSError):
            # By descriptors, for what stands behind a name can change.
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            descriptors.callback(os.close, folder)
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
            lock = os.open(_LOCK, flags, dir_fd=folder)
            descriptors.callback(os.close, lock)
            if not _is_ours(folder) or not _is_ours(lock) or os.read(lock, len(_CONTENT)) != _CONTENT:
                continue
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # It may be another's by now that stands there.
            if os.path.samestat(os.fstat(folder), os.lstat(path)):
                _remove(path)


def _is_ours(descriptor: int) -> bool:
    about = os.fstat(descriptor)
    kind = stat.S_ISDIR(about.st_mode) or stat.S_ISREG(about.st_mode)
    return kind and about.st_uid == os.geteuid()


def _remove(folder: Path) -> None:
    """Removes a folder whose lock is held: the lock last, by which others find what could not be removed."""
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry.name != _LOCK:
                entry.unlink()
        if os.listdir(folder) == [_LOCK]:
            (folder / _LOCK).unlink()
            folder.rmdir()
