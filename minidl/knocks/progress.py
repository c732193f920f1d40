"""What a learner has done: one plain JSON file, ``exercises/progress.json``."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ..files import atomic_write
from .catalogue import Entry, KnockError

VERSION = 1
NAME = "progress.json"
PATIENCE = 5.0  # seconds to wait for another process that writes


@dataclass
class Done:
    """What is known of one knock: the last verdict, and what was read of it."""

    state: str = "todo"  # or "wrong", "solved"
    points: int = 0
    of: int = 0
    at: float = 0.0  # when it was graded last, in seconds since 1970
    grader: str = ""  # which grader said so
    revealed: bool = False  # its solution was read before it was solved
    hints: int = 0  # how many were read
    solved_at: float = 0.0  # since when it is solved
    drilled_at: float = 0.0  # when it was solved once more, from the stub


def fingerprint(entry: Entry) -> str:
    """Short hash of a grader file: another one may judge otherwise."""
    try:
        return hashlib.sha256(entry.grader.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def path_of(root: Path) -> Path:
    return root / "exercises" / NAME


class _Damaged(Exception):
    """The file is not what `save` writes."""


def load(root: Path) -> tuple[dict[str, Done], str | None]:
    """Progress by knock name, and a sentence if the file had to be set aside.

    Raises: KnockError if it cannot be read, or was written by a newer version: it
    stays as it is.
    """
    try:
        return _read(path_of(root)), None
    except _Damaged:
        with locked(root):  # else it might be another's fresh file that is moved
            return _load(root)


def _load(root: Path):
    """`load`, inside of `locked`."""
    path = path_of(root)
    try:
        return _read(path), None
    except _Damaged as error:
        aside = _set_aside(path)
        return {}, (
            f"{path} is damaged ({error}); it is kept as {aside.name}, and progress "
            "starts anew: 'pytest exercises' finds again what is solved"
        )


def _read(path: Path) -> dict[str, Done]:
    try:
        data = json.loads(path.read_bytes())
        version = data["version"]
        if version > VERSION:
            raise KnockError(
                f"{path} is of version {version}, this minidl reads {VERSION}: update "
                "minidl, or move the file away; it was not touched"
            )
        return {name: _row(row) for name, row in data["knocks"].items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise KnockError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _Damaged(f"{type(error).__name__}: {error}") from error


def _row(row: dict) -> Done:
    """One knock's row. Raises: TypeError or ValueError if a field is none."""
    done = Done(**{f.name: row[f.name] for f in fields(Done) if f.name in row})
    for field in fields(Done):
        value = getattr(done, field.name)
        kinds = (int, float) if field.type is float else field.type
        if not isinstance(value, kinds):
            raise TypeError(f"{field.name} is {value!r}")
    if done.state not in ("todo", "wrong", "solved"):
        raise ValueError(f"state is {done.state!r}")
    return done


def _set_aside(path: Path) -> Path:
    k = 1
    while (aside := path.with_name(f"{path.stem}.broken-{k}.json")).exists():
        k += 1
    try:
        path.rename(aside)
    except OSError as error:
        reason = error.strerror or error
        raise KnockError(f"{path} is damaged and cannot be moved: {reason}") from error
    return aside


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Only one process at a time is in here, where the system can lock folders."""
    try:
        import fcntl

        folder = os.open(path_of(root).parent, os.O_RDONLY)
    except (ImportError, OSError):  # not POSIX, or no such folder: writing will say so
        yield
        return
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    break  # the other one hangs: its folder is not worth waiting for
                time.sleep(0.01)
            except OSError:  # some network drives
                break
        yield
    finally:
        with suppress(OSError):
            os.close(folder)  # and the lock with it


def save(root: Path, done: dict[str, Done]) -> None:
    """Write the file whole. Raises: FileError."""
    rows = {name: asdict(row) for name, row in sorted(done.items())}
    text = json.dumps({"version": VERSION, "knocks": rows}, indent=1)
    atomic_write(path_of(root), text + "\n")


def update(root: Path, change: Callable[[dict[str, Done]], None]) -> str | None:
    """Read progress, ``change`` it and write it, with no other process in between.

    Returns: `load`'s sentence if the file had to be set aside.

    Raises: KnockError, FileError.
    """
    with locked(root):
        done, warning = _load(root)
        change(done)
        save(root, done)
    return warning


def mark(root: Path, entry: Entry, **values) -> str | None:
    """Set fields of one knock's row; see `update`."""

    def change(done):
        row = done.setdefault(entry.name, Done())
        for name, value in values.items():
            setattr(row, name, value)

    return update(root, change)


def note(root: Path, verdicts: dict) -> str | None:
    """Keep verdicts (by entry); see `update`."""
    now = time.time()

    def change(done):
        for entry, verdict in verdicts.items():
            row = done.setdefault(entry.name, Done())
            if verdict.state == "solved" and row.state != "solved":
                row.solved_at = now
            row.state, row.points, row.of = verdict.state, verdict.points, verdict.of
            row.at, row.grader = now, fingerprint(entry)

    return update(root, change)


def is_solved(entry: Entry, done: dict[str, Done]) -> bool:
    """Whether its grader as it is now found it solved, be it after a look."""
    row = done.get(entry.name)
    return (
        row is not None and row.state == "solved" and row.grader == fingerprint(entry)
    )


def state_of(entry: Entry, done: dict[str, Done]) -> str:
    """todo, wrong, solved, revealed or stale (the grader has changed since).

    A knock is revealed if its solution was read before it was solved; its points tell
    whether it is solved by now.
    """
    row = done.get(entry.name)
    if row is None or row.state == "todo":
        return "revealed" if row is not None and row.revealed else "todo"
    if row.grader != fingerprint(entry):
        return "stale"
    if row.state == "solved" and row.revealed:
        return "revealed"
    return row.state
