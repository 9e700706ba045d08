"""A lock that the operating system takes back from a dead process: who runs cycles on a state file of this machine.

The holder leaves its name in the file. Whoever gets the lock next reads there who is certainly dead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from provisioning.errors import ConfigError

if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, _BEHIND_ALL, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_BEHIND_ALL = 1 << 20  # Windows locks bytes against reading, too: one that nobody reads
_LONGEST_NAME = 200


class RunLock:
    """The lock beside the state file at `path`, held from `acquire` to `release` or to the end of the process."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(f"{path}.lock")
        self._file: int | None = None

    def acquire(self) -> str:
        """Answers the name that the last holder left, if any. Raises `ConfigError` while another process lives."""
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigError(
                f"{self._path} cannot be opened: {error.strerror}; STATE needs a folder that can be written"
            ) from error
        try:
            _lock(file)
        except OSError as error:
            os.close(file)
            raise ConfigError(
                f"another process runs a cycle on this state (it holds {self._path}); wait for its end, or stop it"
            ) from error
        self._file = file
        os.lseek(file, 0, os.SEEK_SET)
        return os.read(file, _LONGEST_NAME).decode("utf-8", "replace").strip()

    def leave_name(self, name: str) -> None:
        """Who the holder is, for whoever comes after its death."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.lseek(self._file, 0, os.SEEK_SET)
            os.write(self._file, name.encode())

    def release(self) -> None:
        """Closing gives the lock back. The file stays: deleting it would let two processes lock two files."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
