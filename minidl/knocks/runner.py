"""Grading from outside: a learner's code runs in a process that may not come back."""

import atexit
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .answer import grader_of
from .catalogue import Entry, KnockError

START = 60.0  # seconds that loading minidl may take, on the slowest machine


@dataclass
class Result:
    """One check's outcome: passed, wrong, todo or skipped."""

    name: str
    sentence: str
    points: int
    state: str
    message: str = ""


@dataclass
class Verdict:
    """What grading said of one knock: todo, wrong or solved."""

    name: str
    seed: int
    results: list[Result] = field(default_factory=list)
    diagnosis: str | None = None
    wrong: str | None = None  # the known wrong answer that it is
    printed: str = ""
    seconds: float = 0.0

    @property
    def state(self) -> str:
        states = {result.state for result in self.results}
        if "wrong" in states:
            return "wrong"
        if "todo" in states or not states & {"passed"}:
            return "todo"
        return "solved"

    @property
    def points(self) -> int:
        return sum(r.points for r in self.results if r.state == "passed")

    @property
    def of(self) -> int:
        """The points there are, those of skipped checks left out."""
        return sum(r.points for r in self.results if r.state != "skipped")

    def as_dict(self) -> dict:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict) -> "Verdict":
        results = [Result(**r) for r in data["results"]]
        return cls(**{**data, "results": results})


class Runner:
    """Grades knocks one after the other; see `nursery` for the process behind it."""

    def __init__(self):
        self._process, self._lines = None, None
        self._fork = None  # the process id of the answer that runs
        atexit.register(self.close)

    def start(self) -> None:
        """Load the process that will be forked, if it does not run yet."""
        if self._process is not None and self._process.poll() is None:
            return
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minidl.knocks.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=os.name == "posix",  # Ctrl-C is for us, not for it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        self._lines = queue.SimpleQueue()
        threading.Thread(
            target=_read, args=(self._process.stdout, self._lines), daemon=True
        ).start()

    def close(self) -> None:
        """End the process, and the answer that runs: it may be an endless one."""
        process, self._process = self._process, None
        fork, self._fork = self._fork, None
        if fork is not None and os.name == "posix":
            with suppress(OSError):
                os.killpg(fork, signal.SIGKILL)
        if process is not None:
            with suppress(OSError):
                process.stdin.close()
            with suppress(OSError):
                process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()

    def grade(
        self,
        entry: Entry,
        path: Path | None = None,
        seed: int | None = None,
        source: str | None = None,
        mine: bool = False,
    ) -> Verdict:
        """The `Verdict` on ``path`` (the exercise if None), with the draws of ``seed``.

        ``source``: grade this text instead of the file's; ``mine``: what it imports of
        other knocks is the learner's where that is solved.

        Raises: KnockError if the grader itself is broken.
        """
        seed = int.from_bytes(os.urandom(4)) if seed is None else seed
        verdict, started = Verdict(entry.name, seed), time.monotonic()
        request = {
            "root": str(entry.root),
            "track": entry.track,
            "stem": entry.stem,
            "path": str(path or entry.exercise),
            "seed": seed,
            "source": source,
            "mine": mine,
        }
        self.start()
        try:
            self._process.stdin.write((json.dumps(request) + "\n").encode())
            self._process.stdin.flush()
            self._listen(verdict, entry)
        except (BrokenPipeError, KeyboardInterrupt):
            self.close()
            raise
        verdict.seconds = time.monotonic() - started
        return verdict

    def _listen(self, verdict, entry) -> None:
        """Read what the fork says until it has ended, or its time is up."""
        states: dict[int, tuple[str, str]] = {}
        checks, running, pid, done, broken = [], None, None, False, None
        deadline = time.monotonic() + START
        limit, ended = START, None
        while ended is None:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                ended = f"it took longer than {limit:g} s: an endless loop?"
                self._kill(pid)
                break
            if line is None:
                words = self._process.stderr.read().decode(errors="replace")
                self.close()
                raise KnockError(f"the grading process died: {words[-500:]}")
            if "pid" in line:
                pid = self._fork = line["pid"]
            elif "checks" in line:
                checks = line["checks"]
            elif "begin" in line:
                running, limit = line["begin"], line["seconds"]
                deadline = time.monotonic() + limit
            elif "check" in line:
                states[line["check"]] = line["state"], line["message"]
            elif "diagnosis" in line:
                verdict.diagnosis, verdict.wrong = line["diagnosis"], line["wrong"]
            elif "printed" in line:
                verdict.printed, done = line["printed"], True
            elif "broken" in line:
                broken = line["broken"]
            elif "ended" in line:
                self._fork = None
                ended = None if done else _how(line["ended"])
                if broken is not None:
                    raise KnockError(f"{entry.grader}: {broken}")
                break
        late = ended or ""
        for i, check in enumerate(checks):
            reached = running is None or i <= running
            text = late if reached else "not reached: an earlier check ended the run"
            state, message = states.get(i, ("wrong", text))
            verdict.results.append(Result(**check, state=state, message=message))
        if not checks:  # the file itself did not even load
            for check in grader_of(entry).checks:
                verdict.results.append(
                    Result(check.name, check.sentence, check.points, "wrong", late)
                )

    def _kill(self, pid) -> None:
        if pid is None or os.name != "posix":
            self.close()
            return
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:  # until the nursery has seen it end
            with suppress(queue.Empty):
                line = self._lines.get(timeout=5)
                if line is None or "ended" in line:
                    self._fork = None
                    return
        self.close()


def _read(stream, lines) -> None:
    with suppress(OSError, ValueError):
        for line in stream:
            lines.put(json.loads(line))
    lines.put(None)


def _how(status: int) -> str:
    """How a process ended that did not finish its checks."""
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        words = {
            "SIGSEGV": "it crashed the interpreter (segmentation fault)",
            "SIGKILL": "it was killed: out of memory?",
            "SIGABRT": "it crashed the interpreter (abort)",
        }
        return words.get(name, f"it was ended by {name}")
    return "it ended the whole process (os._exit)"
