"""The board and its commands on a tiny tree of knocks."""

import io
import re
import time

import pytest
from knock_tree import note, states
from rich.console import Console

from minidl import cli, knocks
from minidl.knocks import author, board, catalogue, progress, show


def screen(found, width=80, **options):
    console = Console(file=io.StringIO(), width=width, highlight=False, **options)
    board.draw(found, console)
    return console.file.getvalue()


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
