"""``minidl watch``: grades on every save; single keys do the rest.

`Watch` knows no terminal and no clock: it is told what time it is and which keys were
pressed. `run` lets it live on a real one.
"""

import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import MinidlError
from . import progress, show
from .board import draw, gather, shown
from .catalogue import Entry
from .notebook import grade

POLL = 0.2  # seconds between two looks at the file
SETTLE = 0.05  # an editor that was caught writing is looked at again after this
GONE = 1.0  # editors that save by renaming leave no file for a moment: for so long
ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.)?")  # arrows and their like
KEYS = "n next   h hint   l list   r rerun   q quit"


def stamp(path: Path):
    """What changes when a file is saved; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


class Watch:
    """The knock at hand, when it is graded, and what the keys do."""

    def __init__(self, entry: Entry, runner, console, keys: bool = False):
        self.runner, self.console, self.keys = runner, console, keys
        self.over = False
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        self.entry = entry
        self.graded = object()  # the stamp of what was graded: of nothing yet
        self.last = stamp(entry.exercise)
        self.since = float("-inf")  # when ``last`` was seen first

    def look(self, now: float) -> float:
        """Grade if the file was saved and is at rest; when to look again, in seconds.

        A file that is missing is at rest only after a while.
        """
        seen = stamp(self.entry.exercise)
        if seen != self.last:
            self.last, self.since = seen, now
            return SETTLE
        if seen == self.graded:
            return POLL
        if seen is None and now - self.since < GONE:
            return SETTLE
        self.graded = seen
        self.grade()
        return POLL

    def grade(self) -> None:
        """Grade and show the verdict."""
        self._clear()
        entry, console = self.entry, self.console
        show.heading(entry, console)
        if self.graded is None:
            text = f"It is missing; 'minidl reset {entry.name}' brings the stub back."
            show.plain(console, f"\n{text}", "bold red")
            return self._bottom()
        try:
            with show.busy(console):
                verdict = grade(self.runner, entry)
        except MinidlError as error:
            show.plain(console, f"\n{error}", "bold red")
            return self._bottom()
        again = f"minidl check {entry.name} --seed {verdict.seed}"
        show.verdict(verdict, entry, console, again)
        self._try(lambda: progress.note(entry.root, {entry: verdict}))
        if verdict.state == "solved" and (following := self._following()):
            text = f"Well done. Next: {following.name} {following.title}"
            show.plain(console, text, "bold")
        return self._bottom()

    def press(self, key: str) -> None:
        """Do what a key stands for; others mean nothing."""
        if key == "q":
            self.over = True
        elif key == "r":
            self.graded = self.last = stamp(self.entry.exercise)
            self.grade()
        elif key == "h":
            self.console.print()
            self._try(lambda: show.hint(self.entry, self.console))
        elif key == "l":
            self._clear()
            self._try(lambda: draw(gather(self.entry.root), self.console))
            self._bottom()
        elif key == "n" and (following := self._following()):
            self._take(following)

    def _following(self) -> Entry | None:
        """The next open knock; that there is none is said."""
        board = self._try(lambda: gather(self.entry.root))
        found = board and board.next(after=self.entry.name)
        if board and not found:
            show.plain(self.console, "No other knock is open.", "bold")
        return found

    def _try(self, do: Callable):
        """The result of ``do``; a warning that it returns or raises is shown."""
        try:
            found = do()
        except MinidlError as error:
            found = str(error)
        if isinstance(found, str):
            show.plain(self.console, found, "yellow")
            return None
        return found

    def _clear(self) -> None:
        if self.console.is_terminal and not self.console.is_dumb_terminal:
            self.console.clear()
        else:
            show.plain(self.console, "\n" + "-" * min(60, self.console.width - 1))

    def _bottom(self) -> None:
        """The last lines of every screen."""
        self.console.print()
        if self.keys:
            show.plain(self.console, KEYS, "dim")
        else:
            name = shown(self.entry.exercise)
            show.plain(self.console, f"watching {name}; Ctrl-C ends it", "dim")


def run(entry: Entry, runner, console) -> int:
    """Watch until q or Ctrl-C; the terminal is left as it was."""
    with _ended_by_signals(), _keyboard() as read:
        watch = Watch(entry, runner, console, keys=read is not None)
        try:
            while not watch.over:
                pause = watch.look(time.monotonic())
                if read is None:
                    time.sleep(pause)
                    continue
                for key in read(pause):
                    watch.press(key)
        except KeyboardInterrupt:
            console.print()
    return 0


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM ends the watch like Ctrl-C, so that the terminal is put in order."""

    def end(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


@contextmanager
def _keyboard() -> Iterator[Callable[[float], str] | None]:
    """``read(seconds)``: the keys pressed until then; None if there is no terminal."""
    try:
        import termios
        import tty

        file = sys.stdin.fileno()
        mine = os.isatty(file) and os.tcgetpgrp(file) == os.getpgrp()
    except (ImportError, AttributeError, OSError, ValueError):  # Windows, no stdin
        mine = False
    if not mine:  # also in the background, where touching the terminal would stop us
        yield None
        return
    before = termios.tcgetattr(file)

    def begin(*_):
        with suppress(termios.error):
            tty.setcbreak(file)

    def read(seconds: float) -> str:
        ready, _, _ = select.select([file], [], [], seconds)
        if not ready:
            return ""
        try:
            data = os.read(file, 64)
        except OSError:  # the terminal is gone
            data = b""
        if not data:
            return "q"
        return ESCAPES.sub("", data.decode("ascii", "ignore")).lower()

    continued = signal.signal(signal.SIGCONT, begin)  # after Ctrl-Z and fg
    begin()
    try:
        yield read
    finally:
        signal.signal(signal.SIGCONT, continued or signal.SIG_DFL)
        with suppress(termios.error):
            termios.tcsetattr(file, termios.TCSADRAIN, before)
