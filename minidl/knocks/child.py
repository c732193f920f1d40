"""Grading as it happens inside the process that runs a learner's code.

The process is a fork of one that has loaded everything (see `runner`). It reports each
check as soon as it is done: one JSON line each, on a channel that prints cannot reach.
"""

import io
import json
import os
import sys
import warnings
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import numpy as np

from .answer import Answer, Unwritten, about, execute, grader_of, load
from .catalogue import Entry, MARK
from .grader import Mistake, Sampler, Unavailable, same_evidence

MEMORY = 4 << 30  # bytes that an answer may ask for
LOADING = 10.0  # seconds that an answer's file may take to load
PRINTED = 4000  # characters of what it prints that are kept


class Printed(io.TextIOBase):
    """What an answer prints: the beginning, however much it is."""

    def __init__(self):
        self.text, self.dropped = "", 0

    def writable(self):
        return True

    def write(self, text):
        room = PRINTED - len(self.text)
        self.text += text[:room]
        self.dropped += max(0, len(text) - room)
        return len(text)


@contextmanager
def _undone():
    """What an answer sets of np.seterr and warnings' filters ends with the block."""
    with np.errstate(), warnings.catch_warnings():
        yield


class Job:
    """One knock to grade: the answer in ``path``, with the numbers of ``seed``."""

    def __init__(self, entry: Entry, path: Path, seed: int, source: str | None = None):
        self.entry, self.path, self.seed = entry, path, seed
        self.grader = grader_of(entry)
        reference = entry.text.replace(MARK, "#")
        self.reference = execute(
            reference, str(entry.solution), f"minidl_reference_{entry.stem}"
        )
        self.source = source

    def answer(self) -> Answer:
        """The learner's module. Raises: Mistake or Unwritten."""
        try:
            with _undone():
                if self.source is not None:
                    name = f"minidl_knock_{self.entry.stem}"
                    module = execute(self.source, str(self.path), name)
                    return Answer(module, self.source, self.reference)
                return load(self.entry, self.path, self.reference)
        except (Mistake, Unwritten):
            raise
        except BaseException as error:
            raise Mistake(about(error, self.path, self.entry.name), "import") from None

    def with_source(self, source: str, filename: str) -> "Job":
        """The same numbers for another answer."""
        other = copy(self)
        other.source, other.path = source, Path(filename)
        return other

    def ask(self, check, answer, small=False):
        """None if the check passes. Raises: Mistake, Unwritten or Unavailable."""
        number = self.grader.checks.index(check)
        sampler = Sampler((self.seed, number))
        sampler.small = small
        try:
            with _undone():
                check.ask(answer, sampler)
        except (Mistake, Unwritten, Unavailable):
            raise
        except BaseException as error:
            text = about(error, self.path, self.entry.name)
            raise Mistake(text, (type(error).__name__, str(error))) from None


def grade(job: Job, report) -> None:
    """Ask every check; ``report(dict)`` is called before and after each."""
    report({"seed": job.seed, "checks": [_describe(c) for c in job.grader.checks]})
    printed = Printed()
    sys.stdout = sys.stderr = printed
    report({"begin": 0, "seconds": LOADING})
    try:
        answer = job.answer()
    except Mistake as mistake:
        answer, broken = None, mistake.message
    except Unwritten as waiting:
        answer, broken = None, waiting
    failed = {}
    for i, check in enumerate(job.grader.checks):
        report({"begin": i, "seconds": check.seconds})
        if answer is None:
            todo = isinstance(broken, Unwritten)
            report(_result(i, "todo" if todo else "wrong", str(broken)))
            continue
        if check.late and failed:
            report(_result(i, "wrong", "not tried: it takes long; first the others"))
            continue
        try:
            job.ask(check, answer)
        except Mistake as mistake:
            failed[i] = mistake
            report(_result(i, "wrong", _smaller(job, check, mistake)))
        except Unwritten as waiting:
            report(_result(i, "todo", str(waiting)))
        except Unavailable as reason:
            report(_result(i, "skipped", str(reason)))
        else:
            report(_result(i, "passed", ""))
    if failed:
        report({"begin": None, "seconds": 20.0})
        found = diagnose(job, failed)
        if found is not None:
            report({"diagnosis": found.diagnosis, "wrong": found.name})
    text = printed.text + (f"\n... {printed.dropped:,} more" if printed.dropped else "")
    report({"printed": text, "done": True})


def _describe(check):
    return {"name": check.name, "sentence": check.sentence, "points": check.points}


def _result(i, state, message):
    return {"check": i, "state": state, "message": message}


def _smaller(job, check, mistake) -> str:
    """The same mistake on the smallest input, by an answer that is loaded anew."""
    try:
        job.ask(check, job.answer(), small=True)
    except Mistake as shown:
        return shown.message
    except (Unwritten, Unavailable):
        pass
    return mistake.message


def failures(job: Job, answer, late: bool) -> dict[int, Mistake]:
    """The checks that an answer fails, by number; those that are late only if asked."""
    found = {}
    for i, check in enumerate(job.grader.checks):
        if check.late and (found or not late):
            continue  # as in grading: the others come first
        try:
            job.ask(check, answer)
        except Mistake as mistake:
            found[i] = mistake
        except (Unwritten, Unavailable):
            pass
    return found


def first_failure(job: Job, answer, late: bool):
    """The number of the first check that fails and its `Mistake`, or None."""
    for i, check in enumerate(job.grader.checks):
        if check.late and not late:
            continue
        try:
            job.ask(check, answer)
        except Mistake as mistake:
            return i, mistake
        except (Unwritten, Unavailable):
            pass
    return None


def diagnose(job: Job, failed: dict[int, Mistake]):
    """The known wrong answer that is wrong in the way of ``failed``, or None."""
    late = any(job.grader.checks[i].late for i in failed)
    first = min(failed)
    alike = []
    for wrong in job.grader.wrongs:
        found = of_wrong(job, wrong, first_failure, late)
        if found and found[0] == first and match(found[1], failed[first]):
            alike.append(wrong)
    if len(alike) < 2:
        return alike[0] if alike else None
    return closest(failed, [(w, of_wrong(job, w, failures, late)) for w in alike])


def of_wrong(job: Job, wrong, ask, late: bool):
    """What ``ask`` (`failures` or `first_failure`) finds of a known wrong answer."""
    other = job.with_source(wrong.apply(job.entry.text), f"<{wrong.name}>")
    try:
        answer = other.answer()
    except Mistake as mistake:
        return {0: mistake} if ask is failures else (0, mistake)
    return ask(other, answer, late)


def match(a: Mistake, b: Mistake) -> bool:
    return same_evidence(a.evidence, b.evidence)


def closest(failed: dict[int, Mistake], known):
    """The wrong answer that fails ``failed`` first as it does, and agrees most.

    ``known``: pairs of a wrong answer and its failures.
    """
    first = min(failed)
    best, most = None, 0
    for wrong, others in known:
        same = [
            i
            for i, mistake in failed.items()
            if i in others and match(mistake, others[i])
        ]
        if first in same:
            agreeing = 2 * len(same) - len(set(others) - set(failed))
            agreeing += 1000  # to agree on the first is what counts
            if agreeing > most:
                best, most = wrong, agreeing
    return best


def limit_memory() -> None:
    """An answer that asks for too much gets a MemoryError, and the machine lives on."""
    try:
        import resource

        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    except (ImportError, OSError, ValueError):
        pass  # not Linux: the time limit has to do


def run(request: dict, channel: int) -> None:
    """Grade what ``request`` names and write JSON lines to the file ``channel``."""

    def report(line):
        os.write(channel, (json.dumps(line) + "\n").encode())

    root = Path(request["root"])
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True  # no folders of it beside what learners write
    entry = Entry(root, request["track"], request["stem"])
    limit_memory()
    try:
        job = Job(entry, Path(request["path"]), request["seed"], request.get("source"))
    except BaseException as error:  # the grader itself is broken
        report({"broken": f"{type(error).__name__}: {error}"})
        return
    with redirected(request["mine"], root):
        grade(job, report)


@contextmanager
def redirected(mine: bool, root: Path):
    """With ``mine``, what the answer imports of other solutions is the learner's."""
    if not mine:
        yield
        return
    from . import mine as own

    with own.redirected(own.solved(root)):
        yield
