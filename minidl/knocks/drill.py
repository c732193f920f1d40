"""The drill: solve again, from the stub, what was solved longest ago.

The stub goes to ``exercises/drill/``; the answer in ``exercises/`` is never touched.
``--check`` grades it with fresh numbers. Once solved, it is put into the backups, and
the knock goes to the end of the queue; if it had been revealed, it is now solved.
"""

import random
import time
from pathlib import Path

from . import progress, show
from .catalogue import Entry, KnockError, all_knocks


def folder_of(root: Path) -> Path:
    return root / "exercises" / "drill"


def file_of(entry: Entry) -> Path:
    return folder_of(entry.root) / f"{entry.stem}.py"


def pending(root: Path) -> Entry | None:
    """The knock whose drill is open."""
    return next((e for e in all_knocks(root) if file_of(e).is_file()), None)


def pick(root: Path, seed: int | None = None) -> Entry:
    """A knock solved, or drilled, longest ago; ``seed`` decides between equals.

    Raises: KnockError if none is solved.
    """
    done, _ = progress.load(root)
    solved = [e for e in all_knocks(root) if progress.is_solved(e, done)]
    if not solved:
        raise KnockError("drill: no knock is solved yet; 'minidl' shows the next one")

    def age(entry):
        row = done[entry.name]
        return max(row.solved_at, row.drilled_at)

    oldest = min(map(age, solved))
    return random.Random(seed).choice([e for e in solved if age(e) == oldest])


def start(entry: Entry) -> Path:
    """Write the stub to solve anew. Raises: FileError."""
    show.restore(entry, file_of(entry))
    return file_of(entry)


def put_by(entry: Entry) -> Path | None:
    """Close a drill: its text goes to the backups, unless it is the stub."""
    backup = show.restore(entry, file_of(entry))
    try:
        file_of(entry).unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise KnockError(f"cannot remove {file_of(entry)}: {reason}") from error
    return backup


def passed(entry: Entry) -> Path | None:
    """Note that a drill is solved, and close it: where its text is kept."""
    progress.mark(entry.root, entry, drilled_at=time.time(), revealed=False)
    return put_by(entry)
