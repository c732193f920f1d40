"""Grading and drilling by the board's commands, and in a notebook."""

import pytest
from knock_tree import note, solve, states, verdict

import minidl
from minidl import knocks
from minidl.knocks import catalogue, drill, messages, notebook, progress


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
