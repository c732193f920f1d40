"""pytest grades the knocks: ``pytest exercises``, one file, or ``-k k039``.

Files in ``exercises/`` and ``solutions/`` are collected as knocks, one item for each
check. Unattempted checks read as todo, wrong ones as failed, with what they teach.
Graders in ``tests/knocks/`` are collected as proofs: see `prove`.
"""

from pathlib import Path

import pytest

from ..errors import MinidlError
from . import messages, progress, prove
from .answer import grader_of
from .catalogue import entry_of
from .runner import Runner, Verdict

_runner = None


def runner():
    """The one process that grades for this run of pytest."""
    global _runner
    if _runner is None:
        _runner = Runner()
    return _runner


def pytest_addoption(parser):
    group = parser.getgroup("minidl", "minidl's knocks")
    group.addoption(
        "--knock-seed", type=int, metavar="N", help="grade knocks with these draws"
    )
    group.addoption(
        "--mine",
        action="store_true",
        help="knocks that build on others use your solved ones, not the reference's",
    )


def _knock_file(path, parent):
    if path.suffix == ".py" and path.name.startswith("k"):
        entry = entry_of(path)
        if entry is not None:
            return KnockFile.from_parent(parent, path=path, entry=entry)
    return None


def pytest_collect_file(file_path, parent):
    if parent.session.isinitpath(file_path):
        return None  # pytest takes any file that is named for a module: see below
    return _knock_file(file_path, parent)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path, parent):
    entry = entry_of(module_path)
    if entry is not None and module_path.name.startswith("test_"):
        return ProofFile.from_parent(parent, path=module_path, entry=entry)
    return _knock_file(module_path, parent)  # never imported in this process


class KnockFile(pytest.File):
    """One exercise or solution."""

    def __init__(self, *, entry, **rest):
        super().__init__(**rest)
        self.entry, self.verdict = entry, None

    def collect(self):
        runner().start()  # loads while the rest is collected
        try:
            checks = grader_of(self.entry).checks
        except Exception as error:  # a fault of ours, and of this knock only
            text = f"{self.entry.grader}: {type(error).__name__}: {error}"
            yield BrokenItem.from_parent(self, name="grader", text=text)
            return
        for number, check in enumerate(checks):
            yield KnockItem.from_parent(self, name=check.name, number=number)

    def grade(self):
        """The verdict on this file, graded when it is first asked for."""
        if self.verdict is None:
            option = self.config.getoption
            seed, mine = option("knock_seed"), option("mine")
            self.verdict = runner().grade(self.entry, self.path, seed, mine=mine)
        return self.verdict


class Wrong(Exception):
    """A check that failed; its text is all that is shown."""


class KnockItem(pytest.Item):
    """One check of a knock."""

    def __init__(self, *, number, **rest):
        super().__init__(**rest)
        self.number = number

    def runtest(self):
        verdict = self.parent.grade()
        self.user_properties.append(("knock", [str(self.path), verdict.as_dict()]))
        result = verdict.results[self.number]
        if result.state == "todo":
            pytest.skip("todo")
        if result.state == "skipped":
            pytest.skip(result.message)
        if result.state == "wrong":
            states = [r.state for r in verdict.results]
            first = states.index("wrong") == self.number
            text = messages.of_check(result, verdict, self.parent.entry, first)
            raise Wrong(text)

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, Wrong):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self):
        return self.path, None, f"{self.parent.entry.name} {self.name}"


class BrokenItem(pytest.Item):
    """A knock whose grader does not load."""

    def __init__(self, *, text, **rest):
        super().__init__(**rest)
        self.text = text

    def runtest(self):
        raise Wrong(self.text)

    repr_failure = KnockItem.repr_failure


class ProofFile(pytest.File):
    """One grader."""

    def __init__(self, *, entry, **rest):
        super().__init__(**rest)
        self.entry = entry

    def collect(self):
        yield ProofItem.from_parent(self, name="proof")


class ProofItem(pytest.Item):
    """A grader proved on a few seeds; ``minidl author check`` takes many."""

    def runtest(self):
        proof = prove.proof_of(self.parent.entry, seeds=5, wrong_seeds=3)
        if proof.faults:
            raise Wrong("\n".join([f"the grader {self.path}:", *proof.faults]))

    repr_failure = KnockItem.repr_failure

    def reportinfo(self):
        return self.path, None, f"proof of {self.parent.entry.name}"


def _is_todo(report) -> bool:
    return (
        report.skipped
        and isinstance(report.longrepr, tuple)
        and (report.longrepr[2] == "Skipped: todo")
    )


def pytest_report_teststatus(report):
    if _is_todo(report) and dict(report.user_properties).get("knock"):
        return "todo", "t", "to do"
    return None


def pytest_terminal_summary(terminalreporter):
    verdicts = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            found = dict(getattr(report, "user_properties", ())).get("knock")
            if found:
                verdicts[found[0]] = Verdict.from_dict(found[1])
    if not verdicts:
        return
    terminalreporter.section("knocks", "-")
    for path, verdict in sorted(verdicts.items()):
        terminalreporter.write_line(messages.summary(verdict, entry_of(Path(path))))
    if warning := _keep(verdicts):
        terminalreporter.write_line(warning)


def _keep(verdicts):
    """Note the verdicts on exercises in the learner's progress; a warning, if any."""
    mine = {
        entry_of(Path(path)): verdict
        for path, verdict in verdicts.items()
        if Path(path) == entry_of(Path(path)).exercise
    }
    try:
        return progress.note(next(iter(mine)).root, mine) if mine else None
    except MinidlError as error:
        return f"not noted in the progress: {error}"


def pytest_unconfigure():
    global _runner
    if _runner is not None:
        _runner.close()
        _runner = None
