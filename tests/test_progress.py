"""Progress that is never lost: what is in its file, who writes it, when."""

import json
import subprocess
import sys
import time

import pytest
from knock_tree import note, solve, states

from minidl import knocks
from minidl.knocks import drill, progress


def test_progress_survives_what_is_in_the_file(run, root):
    path = progress.path_of(root)
    for k, text in enumerate(
        [
            "{",
            "[]",
            "[" * 10_000,
            '{"version": 1, "knocks": {"k001": {"points": "many"}}}',
            '{"version": 1, "knocks": {"k001": {"state": "done"}}}',
            '{"version": "x", "knocks": {}}',
        ],
        1,
    ):
        path.write_text(text)
        words = ("hint", "k001") if k % 2 else ()
        status, _, err = run(*words)
        aside = path.with_name(f"progress.broken-{k}.json")
        assert status == 0 and aside.name in err and err.count("\n") == 1
        assert aside.read_text() == text


def test_a_field_of_another_time_does_no_harm(root):
    row = {"state": "solved", "mood": "good"}
    text = json.dumps({"version": 1, "knocks": {"k001": row}})
    progress.path_of(root).write_text(text)
    done, warning = progress.load(root)
    assert warning is None and done["k001"].state == "solved"


def test_a_newer_progress_is_refused_and_left_alone(run, root):
    text = json.dumps({"version": 2, "knocks": {}})
    progress.path_of(root).write_text(text)
    for words in ((), ("list",), ("hint", "k001"), ("reveal", "k001")):
        status, _, err = run(*words)
        assert status == 2 and "is of version 2" in err and err.count("\n") == 1
    assert progress.path_of(root).read_text() == text


def test_progress_that_cannot_be_read_is_one_sentence(run, root):
    progress.path_of(root).mkdir()
    status, _, err = run()
    assert status == 2 and "cannot read" in err and err.count("\n") == 1


def test_solving_is_dated_once(root, monkeypatch):
    entry = knocks.find("k001", root)
    for now, outcome, expected in (
        (10.0, "passed", 10.0),
        (20.0, "passed", 10.0),
        (30.0, "wrong", 10.0),
        (40.0, "passed", 40.0),
    ):
        monkeypatch.setattr(time, "time", lambda now=now: now)
        note(root, "k001", outcome)
        row = progress.load(root)[0][entry.name]
        assert (row.at, row.solved_at) == (now, expected)


MARKER = """
import sys
from pathlib import Path
from minidl.knocks import find, progress
root, name = Path(sys.argv[1]), sys.argv[2]
for k in range(25):
    def change(done):
        row = done.setdefault(name, progress.Done())
        row.hints += 1
    progress.update(root, change)
    progress.mark(root, find(name, root), points=k)
"""


@pytest.mark.process
def test_two_processes_do_not_lose_each_others_marks(root):
    processes = [
        subprocess.Popen([sys.executable, "-c", MARKER, str(root), name])
        for name in ("k001", "k002", "k001")
    ]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    done, _ = progress.load(root)
    assert (done["k001"].hints, done["k002"].hints) == (50, 25)
    assert done["k002"].points == 24


def test_a_lock_that_nobody_gives_back_is_not_waited_for_for_ever(root, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    with progress.locked(root):
        progress.mark(root, knocks.find("k001", root), hints=1)
    assert progress.load(root)[0]["k001"].hints == 1


@pytest.mark.process
def test_pytest_notes_the_verdicts(root):
    solve(root, "k001")
    drill.start(knocks.find("k001", root))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [*command, "exercises"], cwd=root, capture_output=True, text=True
    )
    assert "k001 Twice a number: solved" in result.stdout, result.stdout
    assert states(root) == ["solved", "todo", "todo"] and result.returncode == 0
    progress.path_of(root).write_text("{")
    result = subprocess.run(
        [*command, "exercises", "-k", "k001"], cwd=root, capture_output=True, text=True
    )
    assert "progress.broken-1.json" in result.stdout, result.stdout
