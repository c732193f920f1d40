"""Verdicts, hints, solutions and differences on a console; stubs written back."""

import ast
import difflib
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path

from ..errors import MinidlError
from ..files import atomic_write
from . import author, messages, progress
from .board import shown
from .catalogue import MARK, Entry, KnockError, read


def plain(console, text: str, style: str = "") -> None:
    """Print text as it is: no markup, no line broken."""
    from rich.text import Text

    console.print(Text(text, style=style), soft_wrap=True)


def busy(console):
    """What shows, on a terminal that can, that something goes on."""
    if console.is_terminal and not console.is_dumb_terminal:
        return console.status("grading", spinner="line")
    return nullcontext()


def heading(entry: Entry, console, path: Path | None = None) -> None:
    """Which knock, and where its file is."""
    plain(console, f"{entry.name} {entry.title}", "bold")
    plain(console, shown(path or entry.exercise), "dim")


def verdict(found, entry: Entry, console, again=None, every=False) -> None:
    """Print a verdict: its checks, what is wrong, and the sum in one line."""
    from rich.text import Text

    console.print()
    for state, sentence in messages.checklist(found):
        style = messages.STYLES[state]
        line = Text("  ").append(f"{state:<7}", style=style)
        room = max(20, console.width - 12)
        line.append("  " + ("\n" + " " * 11).join(textwrap.wrap(sentence, room)))
        console.print(line, soft_wrap=True)
    words = messages.explanation(found, entry, again, every)
    if words:
        console.print()
        plain(console, words)
    console.print()
    style = {"solved": "bold green", "wrong": "bold red"}.get(found.state, "bold")
    plain(console, messages.summary(found, entry), style)


def hints_of(entry: Entry) -> list[str]:
    """A knock's hints. Raises: KnockError if its grader does not load."""
    from .answer import grader_of

    try:
        return list(grader_of(entry).hints)
    except MinidlError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise KnockError(f"{entry.grader}: {reason}") from error


def hint(entry: Entry, console, every: bool = False) -> str | None:
    """Print the next hint, or ``every`` one; after the last, all of them again.

    Returns: progress' warning, if there is one.
    """
    hints = hints_of(entry)
    done, _ = progress.load(entry.root)
    read_ = min(done.get(entry.name, progress.Done()).hints, len(hints))
    over = read_ >= len(hints)
    first, last = (0, len(hints)) if every or over else (read_, read_ + 1)
    for k in range(first, last):
        plain(console, f"{entry.name}, hint {k + 1} of {len(hints)}:", "bold")
        room = max(20, min(78, console.width - 4))
        plain(console, textwrap.indent(textwrap.fill(hints[k], room), "  "))
    if last >= len(hints):
        text = f"That is all; the solution is one 'minidl reveal {entry.name}' away."
        plain(console, text, "dim")
    if last > read_:
        return progress.mark(entry.root, entry, hints=last)
    return None


def reference(entry: Entry) -> str:
    """The solution's text as a learner may read it."""
    lines = entry.text.split("\n")
    return "\n".join(line for line in lines if line.strip() != MARK)


def seen(entry: Entry) -> str:
    """Mark a knock as revealed, unless it is solved already: then nothing is spoiled.

    Returns: what to tell the learner of it.
    """
    done, _ = progress.load(entry.root)
    row = done.get(entry.name)
    if progress.is_solved(entry, done) or (row is not None and row.revealed):
        return ""
    warning = progress.mark(entry.root, entry, revealed=True)
    said = f"{entry.name} is now marked as revealed"
    return f"{warning}\n{said}" if warning else said


def reveal(entry: Entry, console) -> None:
    """Print the solution, with its equation; in a pipe the file itself."""
    text = reference(entry)
    if not console.is_terminal:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    _about(entry, console)
    docstring = ast.parse(text).body[0]
    code = text.split("\n")[docstring.end_lineno :]
    _coloured("\n".join(code).strip("\n"), console)


def _about(entry: Entry, console) -> None:
    """The docstring: the title stands out, and so do equations and drawings."""
    lines = entry.about.split("\n")
    plain(console, lines[0], "bold")
    for line in lines[1:]:
        plain(console, line, "cyan" if line.startswith("    ") else "")
    console.print()


def _coloured(text: str, console) -> None:
    """Print source text in the terminal's own colours, lines unbroken."""
    from rich.syntax import Syntax

    found = Syntax("", "python", theme="ansi_dark", background_color="default")
    console.print(found.highlight(text.rstrip("\n")), soft_wrap=True)


def difference(entry: Entry, console) -> None:
    """Print how the exercise differs from the solution."""
    yours = read(entry.exercise).splitlines()
    theirs = reference(entry).splitlines()
    names = f"{shown(entry.exercise)} (yours)", f"{shown(entry.solution)} (reference)"
    lines = list(difflib.unified_diff(yours, theirs, *names, lineterm=""))
    if not lines:
        plain(console, f"{entry.name}: yours is the reference, to the letter")
    styles = {"---": "bold", "+++": "bold", "@@ ": "cyan"}
    first = {"-": "red", "+": "green"}
    for line in lines:
        style = styles.get(line[:3]) or first.get(line[:1], "")
        plain(console, line, style)


def set_by(root: Path, name: str, data: bytes) -> Path:
    """Keep ``data`` as exercises/backups/<name>-<time>.py; no backup is overwritten."""
    folder = root / "exercises" / "backups"
    stamp = time.strftime("%Y%m%d-%H%M%S")
    with progress.locked(root):
        path, k = folder / f"{name}-{stamp}.py", 2
        while path.exists():
            path, k = folder / f"{name}-{stamp}-{k}.py", k + 1
        atomic_write(path, data)
    return path


def written(entry: Entry) -> bool:
    """Whether the exercise holds anything but the stub."""
    try:
        return entry.exercise.read_bytes() != author.stub(entry).encode()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def restore(entry: Entry, path: Path | None = None) -> Path | None:
    """Write the stub to ``path``, the exercise if None; other text there is kept.

    Returns: the backup, if one was made.

    Raises: KnockError, FileError; what was there is intact.
    """
    path = path or entry.exercise
    stub = author.stub(entry).encode()
    backup = None
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        there = None
    except OSError as error:
        raise KnockError(f"cannot read {path}: {error.strerror or error}") from error
    if there == stub:
        return None
    if there is not None:
        backup = set_by(entry.root, entry.name, there)
    atomic_write(path, stub)
    return backup


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes; no answer is a no."""
    print(f"{question} [y/N] ", end="", flush=True)
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except (OSError, UnicodeDecodeError):
        return False


def at_terminal() -> bool:
    """Whether there is somebody to ask."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):  # closed, or none at all
        return False
