"""The board and its commands on a tiny tree of knocks; progress that is never lost."""

import io
import json
import re
import subprocess
import sys
import time

import pytest
from knock_tree import plant, solve
from rich.console import Console

import minidl
from minidl import cli, knocks
from minidl.knocks import (
    author,
    board,
    catalogue,
    drill,
    messages,
    notebook,
    progress,
    show,
)
from minidl.knocks.runner import Result, Verdict


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The tree, which is also the present folder."""
    monkeypatch.chdir(plant(tmp_path))
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


@pytest.fixture
def run(root, capsys):
    """Run a command: (exit status, stdout, stderr)."""

    def call(*words):
        try:
            status = cli.main([str(w) for w in words])
        except SystemExit as end:  # argparse
            status = end.code
        return status, *capsys.readouterr()

    return call


def verdict(name, *states, messages=("",) * 9):
    checks = zip(states, messages)
    return Verdict(name, 7, [Result(s, f"check {s}", 1, s, m) for s, m in checks])


def note(root, name, *states):
    progress.note(root, {knocks.find(name, root): verdict(name, *states)})


def screen(found, width=80, **options):
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    board.draw(found, console)
    return console.file.getvalue()


def states(root):
    return [row.state for row in board.gather(root).rows]


# the board


def test_the_board_shows_what_is_done_and_what_is_next(run, root):
    note(root, "k001", "passed", "passed")
    note(root, "k002", "passed", "wrong")
    status, out, err = run()
    assert (status, err) == (0, "")
    assert re.search(r"^  k001 Twice a number .*\* +5 min solved +2/2$", out, re.M)
    assert re.search(r"^> k002 Its square .*\*\* +10 min wrong +1/2$", out, re.M)
    assert re.search(r"^  k003 .*15 min todo$", out, re.M)
    assert "a_first  1 of 2 solved" in out and "b_second  0 of 1 solved" in out
    assert "1 of 3 solved, 1 wrong; 3 points" in out
    assert "Next: k002 Its square" in out
    assert "exercises/a_first/k002_square.py" in out


def test_without_knocks_the_help_is_shown(tmp_path, monkeypatch, capsys):
    def nowhere():
        raise knocks.KnockError("none")

    monkeypatch.setattr("minidl.knocks.commands.root_of", nowhere)
    assert cli.main([]) == 0
    assert "usage: minidl" in capsys.readouterr().out


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_board_fits_its_terminal(root, width):
    note(root, "k003", "passed", "wrong")
    lines = screen(board.gather(root), width).splitlines()
    assert max(len(line) for line in lines if line.startswith(("  k", "> k"))) < width
    assert any("k003 Its cube" in line and "wrong" in line for line in lines)


def test_states_are_words_where_there_is_no_colour(root):
    note(root, "k001", "passed")
    text = screen(board.gather(root), force_terminal=True, color_system=None)
    assert "solved" in text and "\x1b[3" not in text
    colours = {"force_terminal": True, "color_system": "standard"}
    assert "\x1b[32m" in screen(board.gather(root), **colours)


def test_an_encoding_without_blocks_gets_a_bar_all_the_same(root):
    note(root, "k001", "passed")
    raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    board.draw(board.gather(root), Console(file=raw, width=80))
    raw.flush()
    assert re.search(rb"^#+-+$", raw.buffer.getvalue(), re.M)


def test_the_next_knock_is_one_whose_prerequisites_are_met(root):
    assert board.gather(root).next().name == "k001"
    note(root, "k002", "passed")
    note(root, "k001", "passed")
    assert board.gather(root).next().name == "k003"
    progress.mark(root, knocks.find("k003", root), revealed=True)
    assert board.gather(root).next() is None
    assert "Nothing is left" in screen(board.gather(root))


def test_a_knock_that_is_left_is_not_the_next_one(root):
    progress.mark(root, knocks.find("k001", root), revealed=True)
    assert board.gather(root).next(after="k002").name == "k003"
    assert board.gather(root).next(after="k001").name == "k002"


def test_stale_is_what_another_grader_judged(root):
    note(root, "k001", "passed")
    entry = knocks.find("k001", root)
    entry.grader.write_text(entry.grader.read_text() + "\n# changed\n")
    found = board.gather(root)
    assert found.rows[0].state == "stale" and found.next() == entry
    assert "its grader has changed" in screen(found)


def test_revealed_is_what_was_read_before_it_was_solved(root):
    entry = knocks.find("k001", root)
    progress.mark(root, entry, revealed=True)
    assert states(root)[0] == "revealed"
    note(root, "k001", "wrong")
    assert states(root)[0] == "wrong"
    note(root, "k001", "passed")
    assert states(root)[0] == "revealed"
    assert progress.is_solved(entry, progress.load(root)[0])


def test_list_is_plain_and_filtered(run, root):
    note(root, "k001", "passed", "passed")
    _, out, _ = run("list")
    assert [line[:4] for line in out.splitlines()] == ["k001", "k002", "k003"]
    assert "k001  solved      2/2  *        5 min  a_first   Twice a number" in out
    for words, names in (
        (["solved"], ["k001"]),
        (["todo", "wrong"], ["k002", "k003"]),
        (["a"], ["k001", "k002"]),
        (["second", "todo"], ["k003"]),
        (["exercises/b_second/"], ["k003"]),
        (["stale"], []),
    ):
        assert [x[:4] for x in run("list", *words)[1].splitlines()] == names
    status, _, err = run("list", "solvd")
    assert status == 2 and "did you mean solved?" in err


# hints, solutions, stubs


def test_hints_come_one_by_one_and_are_remembered(run):
    for k, hint in enumerate(["a nudge", "an idea", "nearly 2 * x"], 1):
        _, out, _ = run("hint", "k001")
        assert f"hint {k} of 3:\n  {hint}\n" in out and out.count("hint ") == 1
    assert "minidl reveal k001" in out
    assert run("hint", "1")[1].count("hint ") == 3


def test_all_hints_at_once(run, root):
    assert run("hint", "k002", "--all")[1].count("hint ") == 3
    assert progress.load(root)[0]["k002"].hints == 3


def test_reveal_in_a_pipe_is_the_file_itself(run, root):
    status, out, err = run("reveal", "k001")
    entry = knocks.find("k001", root)
    assert status == 0 and "now marked as revealed" in err
    assert out == entry.text.replace("    # answer\n", "")
    assert states(root)[0] == "revealed"
    assert run("reveal", "k001")[2] == ""  # it was known


def test_reveal_on_a_terminal_shows_the_equation_and_the_code(root):
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    show.reveal(knocks.find("k001", root), console)
    text = re.sub(r"\x1b\[[0-9;]*m", "", console.file.getvalue())
    assert text.startswith("k001: Twice a number\n")
    assert text.count("y = 2 * x") == 1 and "    return 2 * x" in text
    assert "# answer" not in text


def test_who_solved_it_may_look(run, root):
    note(root, "k001", "passed")
    assert run("reveal", "k001")[2] == "" and run("diff", "k001")[2] == ""
    assert states(root)[0] == "solved"


@pytest.mark.parametrize("command", ["reveal", "diff"])
def test_a_solution_is_shown_only_to_who_agrees(run, root, monkeypatch, command):
    monkeypatch.setattr(show, "at_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    status, out, _ = run(command, "k001")
    assert status == 1 and "[y/N]" in out and "return" not in out
    assert states(root)[0] == "todo"
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    assert run(command, "k001")[0] == 0 and states(root)[0] == "revealed"
    assert "[y/N]" not in run(command, "k001")[1]


def test_diff_compares_and_reveals(run, root):
    exercise = knocks.find("k001", root).exercise
    exercise.write_text(
        author.stub(knocks.find("k001", root)).replace(
            'raise NotImplementedError("k001: write twice")', "return 3 * x"
        )
    )
    _, out, err = run("diff", "k001")
    assert "-    return 3 * x\n+    return 2 * x\n" in out and "# answer" not in out
    assert "--- exercises/a_first/k001_twice.py (yours)" in out
    assert "revealed" in err and states(root)[0] == "revealed"
    exercise.unlink()
    status, _, err = run("diff", "k001")
    assert status == 2 and err.count("\n") == 1 and "cannot read" in err


def test_reset_keeps_what_was_written(run, root, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda _: "20260102-030405")
    entry = knocks.find("k001", root)
    stub = entry.exercise.read_text()
    for text, name in (
        (b"mine = 1\r\n", "k001-20260102-030405.py"),
        (b"\xff\x00", "k001-20260102-030405-2.py"),
    ):
        entry.exercise.write_bytes(text)
        status, out, _ = run("reset", "k001", "--yes")
        assert status == 0 and name in out and entry.exercise.read_text() == stub
        assert (root / "exercises" / "backups" / name).read_bytes() == text
    assert "kept" not in run("reset", "k001")[1]  # nothing to keep, nothing to ask
    entry.exercise.unlink()
    assert run("reset", "k001")[0] == 0 and entry.exercise.read_text() == stub
    assert len(list((root / "exercises" / "backups").iterdir())) == 2


def test_reset_asks(run, root, monkeypatch):
    exercise = knocks.find("k001", root).exercise
    exercise.write_text("mine = 1\n")
    status, _, err = run("reset", "k001")
    assert status == 2 and "--yes" in err and exercise.read_text() == "mine = 1\n"
    monkeypatch.setattr(show, "at_terminal", lambda: True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert run("reset", "k001")[0] == 1 and exercise.read_text() == "mine = 1\n"


def test_reset_without_room_for_the_backup_changes_nothing(run, root):
    (root / "exercises" / "backups").write_text("in the way")
    exercise = knocks.find("k001", root).exercise
    exercise.write_text("mine = 1\n")
    status, _, err = run("reset", "k001", "--yes")
    assert status == 2 and "cannot write" in err and err.count("\n") == 1
    assert exercise.read_text() == "mine = 1\n"


# bad names


@pytest.mark.parametrize(
    "command", ["hint", "reveal", "diff", "reset", "check", "watch"]
)
def test_an_unknown_knock_is_one_sentence(run, command):
    status, _, err = run(command, "k0011")
    assert status == 2 and err.count("\n") == 1 and "did you mean k001" in err
    status, _, err = run(command, "nonsense")
    assert status == 2 and err.count("\n") == 1 and "minidl list" in err


def test_no_knocks_here_is_one_sentence(run, root, monkeypatch):
    monkeypatch.setattr(catalogue, "is_root", lambda folder: False)
    for words in (["list"], ["hint", "k001"], ["check"], ["drill"], ["watch"]):
        status, _, err = run(*words)
        assert status == 2 and err.count("\n") == 1 and "no knocks at or above" in err


def test_a_broken_grader_is_one_sentence(run, root):
    knocks.find("k001", root).grader.write_text("knock = [\n")
    status, _, err = run("hint", "k001")
    assert status == 2 and err.count("\n") == 1 and "SyntaxError" in err


# grading


@pytest.mark.process
def test_check_prints_what_is_wrong_and_notes_it(run, root):
    solve(root, "k001")
    exercise = knocks.find("k002", root).exercise
    exercise.write_text("def square(x):\n    return x * x + 1\n")
    status, out, _ = run("check", "k001", "2", "--seed", "5")
    assert status == 1
    assert "k001 Twice a number: solved, 3 of 3 points" in out
    assert "k002 Its square: wrong, 0 of 3 points" in out
    assert "  wrong    square of many [numbers]" in out
    assert "Probably: you add one." in out and "check k002 --seed 5" in out
    assert states(root) == ["solved", "wrong", "todo"]
    solve(root, "k002")
    assert run("check", "k002", "k001", "k001")[0] == 0
    assert states(root) == ["solved", "solved", "todo"]
    status, out, _ = run("check")  # the next one
    assert status == 1 and "k003: write cube" in out
    exercise.unlink()
    status, out, _ = run("check", "k002")
    assert status == 1 and "minidl reset k002" in out


@pytest.mark.process
def test_a_verdict_stands_even_if_it_cannot_be_noted(run, root):
    solve(root, "k001")
    progress.path_of(root).write_text('{"version": 99}')
    status, out, err = run("check", "k001")
    assert status == 0 and "solved" in out
    assert "not noted" in err and "version 99" in err and err.count("\n") == 1
    assert progress.path_of(root).read_text() == '{"version": 99}'


@pytest.mark.process
def test_check_in_a_notebook(root):
    solve(root, "k001")
    found = minidl.knocks.check("k001")
    assert found.solved and found.points == found.of == 3
    assert "k001 Twice a number: solved, 3 of 3 points" in repr(found) == str(found)
    assert states(root)[0] == "solved"
    text = "def twice(x):\n    raise ValueError('<b>no</b> & never')\n"
    found = minidl.knocks.check("k001", source=text, seed=3)
    assert not found.solved and found.seed == 3 and found.state == "wrong"
    assert "ValueError: <b>no</b>" in repr(found) and "seed=3" in repr(found)
    page = found._repr_html_()
    assert "&lt;b&gt;no&lt;/b&gt; &amp; never" in page and "<b>no" not in page
    assert states(root)[0] == "solved"  # a text is not the exercise
    with pytest.raises(minidl.MinidlError, match="did you mean"):
        minidl.knocks.check("k0011")
    with pytest.raises(minidl.MinidlError, match="source must be a text"):
        minidl.knocks.check("k001", source=len)
    notebook._runner.close()


def test_a_process_that_has_just_died_is_started_again():
    class Dying:
        calls = 0

        def grade(self, *words, **options):
            self.calls += 1
            if self.calls == 1:
                raise BrokenPipeError
            return words, options

    entry = object()
    assert notebook.grade(Dying(), entry, seed=1) == ((entry, None), {"seed": 1})


def test_explanations_do_not_repeat_themselves(root):
    entry = knocks.find("k001", root)
    found = verdict("k001", "wrong", "wrong", "wrong", messages=["a", "a", "b"])
    assert messages.explanation(found, entry, every=True).count("\na") == 1
    assert "\nb" not in messages.explanation(found, entry)
    assert messages.explanation(verdict("k001", "passed"), entry) == ""
    assert "k001: solved" not in messages.in_full(found, entry)
    assert "again: x" in messages.in_full(found, entry, again="x")


# drill


@pytest.mark.process
def test_a_drill_from_beginning_to_end(run, root):
    status, _, err = run("drill")
    assert status == 2 and "no knock is solved yet" in err
    assert run("drill", "--check")[0] == 2
    solve(root, "k001", "k002")
    note(root, "k002", "passed")
    progress.mark(root, knocks.find("k002", root), solved_at=1.0, revealed=True)
    note(root, "k001", "passed")
    status, out, _ = run("drill")
    file = root / "exercises" / "drill" / "k002_square.py"
    assert status == 0 and "k002 Its square" in out and file.is_file()
    assert "still open" in run("drill")[1]
    status, out, _ = run("drill", "--check")
    assert status == 1 and "k002: write square" in out
    file.write_text(file.read_text().replace("raise", "return 0  # raise"))
    assert run("drill", "--check")[0] == 1
    status, out, _ = run("drill", "--skip")  # kept, and k002 is still the oldest
    kept = list((root / "exercises" / "backups").iterdir())
    assert status == 0 and "return 0" in kept[0].read_text()
    file.write_text(knocks.find("k002", root).text)
    status, out, _ = run("drill", "--check", "--seed", "4")
    assert status == 0 and "kept as" in out and not file.exists()
    assert states(root)[:2] == ["solved", "solved"]  # no longer revealed
    assert drill.pick(root).name == "k001"
    assert knocks.find("k002", root).exercise.read_text().count("# answer") == 1


def test_the_seed_decides_between_drills_of_one_age(root):
    rows = {n: verdict(n, "passed") for n in ("k001", "k002", "k003")}
    progress.note(root, {knocks.find(n, root): v for n, v in rows.items()})
    picked = [drill.pick(root, seed).name for seed in range(20)]
    assert set(picked) == set(rows)
    assert picked == [drill.pick(root, seed).name for seed in range(20)]


def test_a_drill_is_no_exercise_to_pytest(root):
    entry = knocks.find("k001", root)
    assert catalogue.entry_of(drill.start(entry)) is None
    assert catalogue.entry_of(entry.exercise) == entry


# progress


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
