"""The board: what there is, what is done, and what comes next."""

import os
from dataclasses import dataclass
from pathlib import Path

from ..errors import unknown_name
from . import progress
from .catalogue import Entry, all_knocks

STATES = {  # and how they look; the words alone must do where there is no colour
    "solved": "green",
    "wrong": "red",
    "todo": "",
    "revealed": "magenta",
    "stale": "yellow",
}
OPEN = ("todo", "wrong", "stale")  # what the next knock is chosen from


@dataclass(frozen=True)
class Row:
    """One knock with what the learner has done of it."""

    entry: Entry
    state: str
    done: progress.Done

    @property
    def points(self) -> str:
        """3/4, or nothing before it was graded."""
        return f"{self.done.points}/{self.done.of}" if self.done.of else ""


@dataclass(frozen=True)
class Board:
    """All knocks in order; ``warning`` if progress had to be set aside."""

    rows: list[Row]
    warning: str | None = None

    def count(self, state: str) -> int:
        return sum(row.state == state for row in self.rows)

    @property
    def points(self) -> int:
        return sum(row.done.points for row in self.rows)

    def next(self, after: str | None = None) -> Entry | None:
        """The first open knock whose prerequisites are solved or revealed.

        ``after``: the first after that knock, or else from the beginning, but not it.
        If others wait for knocks that are not there, the first open one.
        """
        open_ = [r for r in self.rows if r.state in OPEN and r.entry.name != after]
        if after is not None:
            open_.sort(key=lambda row: row.entry.name < after)
        met = {r.entry.name for r in self.rows if self._met(r)}
        ready = (row for row in open_ if met.issuperset(row.entry.needs))
        found = next(ready, open_[0] if open_ else None)
        return found and found.entry

    @staticmethod
    def _met(row: Row) -> bool:
        """Whether other knocks may build on this one."""
        return row.state in ("solved", "revealed") or row.done.revealed


def gather(root: Path) -> Board:
    """The board of the knocks in ``root``. Raises: KnockError."""
    done, warning = progress.load(root)
    nothing = progress.Done()
    rows = [
        Row(entry, progress.state_of(entry, done), done.get(entry.name, nothing))
        for entry in all_knocks(root)
    ]
    return Board(rows, warning)


def shown(path: Path) -> str:
    """A path as it is typed: from here, if it is not far."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # on another drive
        return str(path)
    return near if near.count("..") <= 2 else str(path)


def fit(text: str, width: int) -> str:
    """``text`` in exactly ``width`` columns."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(0, width - 3)) + "..."[:width]


def draw(board: Board, console) -> None:
    """Print the board: tracks, knocks, a progress bar and the next knock."""
    from rich.text import Text

    width = console.width - 1  # the last column makes some terminals wrap
    following = board.next()
    titles = [len(row.entry.title) for row in board.rows]
    room = max(12, min(max(titles, default=0), width - 36))
    lines = []
    track = None
    for row in board.rows:
        if row.entry.track != track:
            track = row.entry.track
            mine = [r for r in board.rows if r.entry.track == track]
            solved = sum(r.state == "solved" for r in mine)
            head = Text(f"\n{track}", style="bold")
            head.append(f"  {solved} of {len(mine)} solved", style="not bold dim")
            lines.append(head)
        lines.append(_line(row, room, row.entry is following))
    for line in lines:
        console.print(line, soft_wrap=True)
    console.print()
    _total(board, console, min(30, width - 2))
    _footer(board, following, console)


def _line(row: Row, room: int, following: bool):
    from rich.text import Text

    entry = row.entry
    style = STATES[row.state]
    line = Text("> " if following else "  ", style="bold" if following else "")
    line.append(f"{entry.name} {fit(entry.title, room)} ")
    line.append(f"{'*' * entry.stars:<5}", style="yellow")
    line.append(f" {entry.minutes:>3} min ", style="dim")
    line.append(f"{row.state:<8}", style=style)
    if row.points:
        line.append(f" {row.points}", style=style)
    line.rstrip()
    return line


def _total(board: Board, console, width: int) -> None:
    """A bar, and in words what it says."""
    from rich.text import Text

    solved, every = board.count("solved"), len(board.rows)
    full = round(width * solved / every)
    if solved < every:
        full = min(full, width - 1)
    ink, paper = "#-" if console.options.ascii_only else "█░"
    bar = Text(ink * full, style="green").append(paper * (width - full), style="dim")
    console.print(bar, soft_wrap=True)
    words = [f"{solved} of {every} solved"]
    words += [
        f"{board.count(state)} {state}"
        for state in ("wrong", "revealed", "stale")
        if board.count(state)
    ]
    console.print(Text(f"{', '.join(words)}; {_points(board.points)}"))


def _points(n: int) -> str:
    return f"{n} point" if n == 1 else f"{n} points"


def _footer(board: Board, following: Entry | None, console) -> None:
    from rich.text import Text

    if board.count("stale"):
        text = "stale: its grader has changed since; 'minidl check' it again"
        console.print(Text(text, style="yellow"))
    console.print()
    if following is None:
        text = "Nothing is left to solve. 'minidl drill' keeps it fresh."
        console.print(Text(text, style="bold"))
    else:
        console.print(Text(f"Next: {following.name} {following.title}", style="bold"))
        console.print(Text(f"  write  {shown(following.exercise)}"), soft_wrap=True)
        console.print(Text(f"  then   minidl watch {following.name}"))
    console.print(Text("All commands: minidl --help", style="dim"))


def chosen(board: Board, words: list[str]) -> list[Row]:
    """The rows of some tracks and states: "wrong", "c_convolution" or just "c".

    Raises: UnknownNameError for a word that is neither.
    """
    tracks = {row.entry.track for row in board.rows}
    states, wanted = set(), set()
    for word in words:
        text = word.strip().lower().rstrip("/").rsplit("/", 1)[-1]
        fitting = {
            t for t in tracks if text in (t, t.partition("_")[0], t.partition("_")[2])
        }
        if text in STATES:
            states.add(text)
        elif fitting:
            wanted |= fitting
        else:
            raise unknown_name("track or state", word, [*tracks, *STATES])
    return [
        row
        for row in board.rows
        if (not states or row.state in states)
        and (not wanted or row.entry.track in wanted)
    ]


def lines(rows: list[Row], console) -> None:
    """Print rows for ``grep``: one line each, whatever the width."""
    from rich.text import Text

    track = max((len(row.entry.track) for row in rows), default=0)
    for row in rows:
        entry = row.entry
        text = Text(f"{entry.name}  ")
        text.append(f"{row.state:<8}", style=STATES[row.state])
        text.append(
            f"  {row.points or '-':>5}  {'*' * entry.stars:<5}  {entry.minutes:>3} min"
            f"  {entry.track:<{track}}  {entry.title}"
        )
        console.print(text, soft_wrap=True)
