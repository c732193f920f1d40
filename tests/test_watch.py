"""``minidl watch``: when it grades, what its keys do, and how it leaves a terminal."""

import io
import os
import select
import signal
import subprocess
import sys
import time

import pytest
from knock_tree import plant, solve
from rich.console import Console

from minidl import knocks
from minidl.knocks import progress, watch
from minidl.knocks.runner import Result, Verdict


class Grading:
    """A runner that judges by a word in the file, and counts."""

    def __init__(self):
        self.seen = []

    def grade(self, entry, path=None, seed=None, source=None):
        text = entry.exercise.read_text()
        if "broken" in text:
            raise knocks.KnockError("the grader is broken")
        state = "passed" if "return" in text else "todo"
        self.seen.append((entry.name, text))
        message = f"{entry.name}: write it" if state == "todo" else ""
        return Verdict(entry.name, 7, [Result("one", "a check", 1, state, message)])


class Bench:
    """A watch on k001 with a clock and a screen of its own."""

    def __init__(self, root):
        self.now, self.runner = 0.0, Grading()
        self.screen = io.StringIO()
        console = Console(file=self.screen, width=80)
        self.entry = knocks.find("k001", root)
        self.watch = watch.Watch(self.entry, self.runner, console, keys=True)

    def live(self, seconds):
        """Let time pass; what appeared on the screen meanwhile."""
        start, end = self.screen.tell(), self.now + seconds
        while self.now <= end:
            self.now += self.watch.look(self.now)
        return self.screen.getvalue()[start:]

    def press(self, *keys):
        start = self.screen.tell()
        for key in keys:
            self.watch.press(key)
        return self.screen.getvalue()[start:]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(plant(tmp_path))
    return Bench(tmp_path)


def test_it_grades_at_once_and_then_after_every_save(bench):
    text = bench.live(1)
    assert "k001 Twice a number" in text and "todo" in text
    assert "exercises/a_first/k001_twice.py" in text and watch.KEYS in text
    assert bench.live(10) == "" and len(bench.runner.seen) == 1
    solve(bench.entry.root, "k001")
    text = bench.live(0.5)
    assert "solved, 1 of 1 points" in text and "Next: k002 Its square" in text
    assert bench.live(10) == "" and len(bench.runner.seen) == 2
    assert progress.load(bench.entry.root)[0]["k001"].state == "solved"


def test_a_save_by_renaming_is_a_save(bench, tmp_path):
    bench.live(1)
    new = tmp_path / "new.py"
    new.write_text("return")
    bench.entry.exercise.rename(tmp_path / "k001.py~")
    assert bench.live(0.3) == ""  # gone, for a moment
    new.rename(bench.entry.exercise)
    assert "solved" in bench.live(0.5)


def test_a_file_that_is_being_written_is_waited_for(bench):
    bench.live(1)
    for k in range(5):
        bench.entry.exercise.write_text("return" + " " * k)
        bench.watch.look(bench.now)  # never the same twice
    assert len(bench.runner.seen) == 1
    assert "solved" in bench.live(0.5) and len(bench.runner.seen) == 2


def test_a_file_that_stays_away_is_missed_and_welcomed_back(bench):
    text = bench.entry.exercise.read_text()
    bench.live(1)
    bench.entry.exercise.unlink()
    assert "minidl reset k001" in bench.live(2)
    assert bench.live(5) == "" and len(bench.runner.seen) == 1
    bench.entry.exercise.write_text(text)
    assert "todo" in bench.live(1)


def test_a_save_while_it_grades_is_graded_too(bench):
    grade = bench.runner.grade

    def slow(*args, **options):
        found = grade(*args, **options)
        if len(bench.runner.seen) == 1:
            solve(bench.entry.root, "k001")
        return found

    bench.runner.grade = slow
    assert "solved" in bench.live(1) and len(bench.runner.seen) == 2


def test_keys(bench):
    bench.live(1)
    assert "hint 1 of 3" in bench.press("h") and "hint 2 of 3" in bench.press("h")
    assert "0 of 3 solved" in bench.press("l")
    assert bench.press("x", "\n", "é") == ""
    assert "todo" in bench.press("r") and len(bench.runner.seen) == 2
    solve(bench.entry.root, "k001")
    bench.live(1)
    bench.press("n")
    assert "k002 Its square" in bench.live(0.1)
    assert [name for name, _ in bench.runner.seen] == ["k001"] * 3 + ["k002"]
    assert not bench.watch.over
    bench.press("q")
    assert bench.watch.over


def test_next_when_nothing_is_left(bench):
    root = bench.entry.root
    for entry in knocks.all_knocks(root):
        progress.mark(root, entry, revealed=True)
    assert "No other knock is open." in bench.press("n")


def test_faults_do_not_end_it(bench):
    bench.live(1)
    bench.entry.exercise.write_text("broken")
    assert "the grader is broken" in bench.live(1)
    progress.path_of(bench.entry.root).write_text("{")
    bench.entry.exercise.write_text("return")
    assert "progress.broken-1.json" in bench.live(1)
    progress.path_of(bench.entry.root).write_text('{"version": 99}')
    assert "version 99" in bench.press("l") + bench.press("h")
    assert "version 99" in bench.press("r") and "version 99" in bench.press("n")
    bench.entry.grader.write_text("knock = [")
    progress.path_of(bench.entry.root).unlink()
    assert "SyntaxError" in bench.press("h")


def test_on_a_terminal_the_screen_is_cleared_elsewhere_a_line_is_drawn(bench):
    bench.watch.console = Console(
        file=bench.screen, force_terminal=True, width=60, _environ={"TERM": "xterm"}
    )
    assert "\x1b[2J" in bench.live(1)
    bench.watch.console = Console(
        file=bench.screen, force_terminal=True, width=60, _environ={"TERM": "dumb"}
    )
    text = bench.press("r")
    assert "-" * 59 + "\n" in text and "\x1b" not in text


class Session:
    """``minidl watch`` in a process, on a pseudo-terminal or a pipe."""

    def __init__(self, root, *words, terminal):
        import pty
        import termios

        command = [sys.executable, "-c", f"from minidl.cli import main; main({words})"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        self.terminal = None
        if terminal:
            self.screen, self.terminal = pty.openpty()
            self.before = termios.tcgetattr(self.terminal)
            ends = dict.fromkeys(("stdin", "stdout", "stderr"), self.terminal)
        else:
            ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            start_new_session=True,
            preexec_fn=self._control if terminal else None,
            **ends,
        )
        if not terminal:
            self.screen = self.process.stdout.fileno()

    @staticmethod
    def _control():
        """Make the terminal the one that sends Ctrl-C."""
        import fcntl
        import termios

        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def until(self, text):
        """Read the screen until ``text`` comes; what was read."""
        seen, deadline = b"", time.monotonic() + 120
        while text.encode() not in seen:
            assert time.monotonic() < deadline, seen.decode()
            if select.select([self.screen], [], [], 1.0)[0]:
                seen += os.read(self.screen, 4096)
        return seen.decode()

    def press(self, keys):
        os.write(self.screen, keys)

    def ends(self):
        """Its exit status; the terminal must be as it was."""
        status = self.process.wait(timeout=120)
        if self.terminal is not None:
            import termios

            assert termios.tcgetattr(self.terminal) == self.before
        return status

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.terminal is None:
            self.process.stdout.close()
        else:
            os.close(self.screen)
            os.close(self.terminal)


@pytest.fixture
def session(tmp_path):
    """Start ``minidl watch`` on the tiny tree."""
    pytest.importorskip("termios")
    root, open_ = plant(tmp_path), []

    def begin(*words, terminal=True):
        open_.append(Session(root, "watch", *words, terminal=terminal))
        return open_[-1]

    begin.root = root
    yield begin
    for each in open_:
        each.close()


@pytest.mark.process
def test_a_session_on_a_terminal(session):
    watching = session()
    assert "k001 Twice a number: todo" in watching.until("q quit")
    solve(session.root, "k001")
    assert "solved, 3 of 3 points" in watching.until("q quit")
    watching.press(b"\x1b[B")  # an arrow is no key of ours
    watching.press(b"n")
    assert "k002: write square" in watching.until("q quit")
    watching.press(b"h")
    assert "hint 1 of 3" in watching.until("a nudge")
    watching.press(b"q")
    assert watching.ends() == 0


@pytest.mark.process
@pytest.mark.parametrize("way", ["ctrl-c", "sigterm", "ctrl-c while it grades"])
def test_it_leaves_the_terminal_as_it_was(session, way):
    watching = session("k001")
    watching.until("q quit")
    if way == "ctrl-c while it grades":
        exercise = knocks.find("k001", session.root).exercise
        exercise.write_text("while True: pass\n")
        watching.until("grading")
    if way == "sigterm":
        watching.process.send_signal(signal.SIGTERM)
    else:
        watching.press(b"\x03")
    assert watching.ends() == 0


@pytest.mark.process
def test_without_a_terminal_it_watches_without_keys(session):
    watching = session("k002", terminal=False)
    watching.until("Ctrl-C ends it")
    solve(session.root, "k002")
    assert "k002 Its square: solved" in watching.until("Ctrl-C ends it")
    watching.process.send_signal(signal.SIGINT)
    assert watching.ends() == 0
