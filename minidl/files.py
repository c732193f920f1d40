"""Files that either exist whole or not at all, whatever interrupts the writer."""

import errno
import os
import platform
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import FileError

AnyPath = str | os.PathLike
# A temporary file's name says which host and process wrote it, so that the next writer
# can tell the leftovers of a killed run from the work of a live one.
_HOST = f"{zlib.crc32(platform.node().encode()):08x}"
_TEMPORARY = re.compile(r"\.minidl-([0-9a-f]{8})-([0-9]{1,9})-[0-9a-f]{16}\.tmp")
_ABANDONED_AFTER = 24 * 3600.0  # seconds


def atomic_write(path: AnyPath, data: bytes | str, keep: Path | None = None) -> None:
    """Replace the file at `path` whole: readers and crashes see the old or the new one.

    Text is written as UTF-8 with its newlines as they are; missing folders are made;
    the file that was there is kept as `keep`, if given, in the same folder.

    Raises: FileError if the file cannot be written (it says what is intact).
    """
    path = Path(path)
    folder = path.parent
    intact = f"{path} is intact" if keep else "nothing changed"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        with _temporary(folder) as new, _temporary(folder) as old:
            _write(new, data.encode() if isinstance(data, str) else data)
            if keep:
                try:
                    os.link(path, old)
                except OSError:  # no hard links here; on a full disk the copy fails too
                    _write(old, path.read_bytes())
            os.replace(new, path)
            intact = f"the new {path.name} is in place, but a power cut may undo it"
            if keep:
                os.replace(old, keep)
            _sync_folder(folder)
    except OSError as error:
        reason = f"{error.strerror or error}; {intact}"
        raise FileError(f"cannot write {path}: {reason}") from error


@contextmanager
def _temporary(folder: Path) -> Iterator[Path]:
    """A fresh name in `folder`; no file of that name is left, whatever happens."""
    path = folder / f".minidl-{_HOST}-{os.getpid()}-{os.urandom(8).hex()}.tmp"
    try:
        yield path
    finally:
        with suppress(OSError):  # renaming over a link to the same file leaves both
            path.unlink()


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def rename(source: AnyPath, target: AnyPath) -> None:
    """Rename ``source`` over ``target`` and make the new name survive a power cut."""
    os.replace(source, target)
    _sync_folder(Path(target).parent)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network drives
                raise
        finally:
            os.close(file)


def _remove_abandoned(folder: Path) -> None:
    """Remove temporary files of this host's ended processes, and any a day old."""
    for path in folder.iterdir():
        if match := _TEMPORARY.fullmatch(path.name):
            with suppress(OSError):  # another user's, or already removed
                ended = match[1] == _HOST and _has_ended(int(match[2]))
                if ended or time.time() - path.stat().st_mtime > _ABANDONED_AFTER:
                    path.unlink()


def _has_ended(process: int) -> bool:
    try:
        if os.name == "posix":  # elsewhere signal 0 is not a question: let age decide
            os.kill(process, 0)
    except OSError as error:  # another user's process is a running one
        return isinstance(error, ProcessLookupError)
    return False
