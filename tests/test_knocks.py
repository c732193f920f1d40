"""Grading in a process of its own, and pytest: whatever a learner's code does."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from knock_cases import GRADER, RIGHT, answered, build

import minidl
from minidl.knocks import mine, progress
from minidl.knocks.catalogue import KnockError
from minidl.knocks.runner import Runner, Verdict


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(tmp_path)


@pytest.fixture(scope="module")
def runner():
    runner = Runner()
    yield runner
    runner.close()


def grade(runner, entry, text, **options):
    entry.exercise.write_text(text)
    return runner.grade(entry, seed=1, **options)


def states(verdict):
    return [result.state for result in verdict.results]


@pytest.mark.process
def test_three_verdicts(tree, runner):
    entry = tree[0]
    stub = entry.exercise.read_text()
    untouched = grade(runner, entry, stub)
    assert untouched.state == "todo" and states(untouched) == ["todo"] * 3
    part = grade(runner, entry, answered(stub, scale="return a * x"))
    assert part.state == "todo" and states(part) == ["passed", "todo", "todo"]
    assert (part.points, part.of) == (2, 4)
    wrong = grade(runner, entry, answered(stub, scale="return x"))
    assert wrong.state == "wrong" and states(wrong) == ["wrong", "todo", "todo"]
    right = grade(runner, entry, answered(stub, **RIGHT))
    assert right.state == "solved" and right.points == right.of == 4
    assert Verdict.from_dict(json.loads(json.dumps(right.as_dict()))) == right
    assert runner.grade(entry, entry.solution).state == "solved"


@pytest.mark.process
@pytest.mark.parametrize(
    "part,body,wrong",
    [
        ("scale", "return -(x * a)", "sign"),
        ("scale", "y = x.copy()\ny += a\nreturn y", "added"),
        ("scale_backward", "return a * np.ones(len(x)), x.sum()", "upstream"),
        ("scale_backward", "return a * g, x * g", "no sum"),
        ("total", "return np.asarray(np.mean(x))", "mean"),
    ],
)
def test_answers_get_the_diagnosis_of_the_wrong_answer_they_equal(
    tree, runner, part, body, wrong
):
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, part: body})
    verdict = grade(runner, tree[0], text)
    assert verdict.wrong == wrong and verdict.state == "wrong"


@pytest.mark.process
def test_an_unknown_mistake_gets_no_diagnosis(tree, runner):
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": "return x**a"})
    verdict = grade(runner, tree[0], text)
    assert verdict.state == "wrong" and verdict.diagnosis is None


@pytest.mark.process
@pytest.mark.parametrize(
    "body,word",
    [
        ("import os\nos._exit(0)", "ended the whole process"),
        ("import ctypes\nctypes.string_at(0)", "crashed the interpreter"),
        ("import sys\nsys.exit(0)", "ends the program"),
        ("input()", "waits for input"),
        ("return scale(x, a)", "calls itself without end"),
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("return None", "None came back"),
        ("return [1.0]", "a list came back"),
        ("return 'y'", "got builtins.str"),
        ("return (a * x).astype('f')", "dtype must be float64; got float32"),
        ("return (a * x)[:, None]", "shape must be"),
        ("x *= a\nreturn x", "changes its input x"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("return a * x * np.nan", "NaN"),
        (
            "scale.n = getattr(scale, 'n', 0) + 1\nreturn a * x * scale.n",
            "called again",
        ),
    ],
)
def test_misbehaviour_is_one_clear_word_on_that_check(tree, runner, body, word):
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": body})
    verdict = grade(runner, tree[0], text)
    assert verdict.results[0].state == "wrong"
    assert word in verdict.results[0].message
    assert "Traceback" not in verdict.results[0].message
    good = answered(tree[0].exercise.read_text().replace(body, ""), **{})
    assert good  # and the next knock is graded as if nothing had been
    assert runner.grade(tree[1], tree[1].solution, seed=1).state == "solved"


@pytest.mark.process
def test_an_endless_loop_ends(tree, runner):
    entry = tree[0]
    entry.grader.write_text(GRADER.replace("points=2)", "points=2, seconds=0.5)"))
    text = answered(
        entry.exercise.read_text(), **{**RIGHT, "scale": "while True:\n    pass"}
    )
    verdict = grade(runner, entry, text)
    assert "longer than 0.5 s" in verdict.results[0].message
    assert "not reached" in verdict.results[1].message
    assert runner.grade(tree[1], tree[1].solution, seed=1).state == "solved"


@pytest.mark.process
def test_what_an_answer_starts_ends_with_it(tree, runner, tmp_path):
    body = (
        "import subprocess, sys\n"
        "sleep = 'import time; time.sleep(99)'\n"
        "child = subprocess.Popen([sys.executable, '-c', sleep])"
        f"\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\nreturn a * x"
    )
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": body})
    grade(runner, tree[0], text)
    ends(int((tmp_path / "pid").read_text()))


def ends(pid):
    """Wait until a process has ended; fail if it does not."""
    for _ in range(100):
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("it still runs")


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_answer_does_not_outlive_who_asked(tree, tmp_path):
    file = tmp_path / "pid"
    body = f"import os\nopen({str(file)!r}, 'w').write(str(os.getpid()) + '.')\n"
    text = answered(
        tree[0].exercise.read_text(), **{**RIGHT, "scale": body + "while True: pass"}
    )
    tree[0].exercise.write_text(text)
    command = [sys.executable, "-m", "minidl", "check", "k901"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as asking:
        for _ in range(600):
            if file.exists() and file.read_text().endswith("."):
                break
            time.sleep(0.1)
        asking.kill()
    ends(int(file.read_text().rstrip(".")))


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux only")
def test_a_memory_hog_is_stopped(tree, runner):
    body = "return np.ones(2**40)"
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": body})
    verdict = grade(runner, tree[0], text)
    assert "more memory than a knock may have" in verdict.results[0].message


@pytest.mark.process
@pytest.mark.parametrize(
    "change,word",
    [
        (lambda t: t.replace("def scale(x, a):", "def scales(x, a):"), "is missing"),
        (lambda t: t.replace("scale(x, a):", "scale(x, b):"), "keep its parameters"),
        (
            lambda t: t.replace("def total(x):", "def total(x:"),
            "k901_scale.py, line 24: ",
        ),
        (lambda t: "import nothing_of_that_name\n" + t, "No module named"),
        (lambda t: "1 / 0\n" + t, "division by zero"),
    ],
)
def test_broken_files(tree, runner, change, word):
    text = change(answered(tree[0].exercise.read_text(), **RIGHT))
    verdict = grade(runner, tree[0], text)
    assert verdict.state == "wrong"
    assert any(word in r.message for r in verdict.results), verdict.results


@pytest.mark.process
def test_a_missing_file_says_how_to_get_it_back(tree, runner):
    tree[0].exercise.unlink()
    verdict = runner.grade(tree[0], seed=1)
    assert "minidl reset k901" in verdict.results[0].message


@pytest.mark.process
def test_prints_are_kept_in_part_and_never_disturb(tree, runner):
    body = "print('here')\nprint('x' * 10**7)\nreturn -a * x"
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": body})
    verdict = grade(runner, tree[0], text)
    assert verdict.printed.startswith("here\n") and len(verdict.printed) < 5000
    assert verdict.wrong == "sign"


@pytest.mark.process
def test_a_broken_grader_is_an_error_and_no_verdict(tree, runner):
    tree[0].grader.write_text("knock = 1\n")
    with pytest.raises(KnockError, match="must define knock"):
        runner.grade(tree[0])


@pytest.mark.process
def test_the_same_seed_gives_the_same_numbers(tree, runner):
    text = answered(tree[0].exercise.read_text(), **{**RIGHT, "scale": "return x"})
    first, again = (grade(runner, tree[0], text) for _ in range(2))
    other = runner.grade(tree[0], seed=2)
    assert first.results == again.results != other.results


@pytest.mark.process
def test_prerequisites_are_the_references_unless_mine(tree, runner):
    first, second = tree
    slow = "return np.array([a * v + 1 for v in x])"  # wrong, and marked as solved
    first.exercise.write_text(
        answered(first.exercise.read_text(), **{**RIGHT, "scale": slow})
    )
    text = second.solution.read_text().replace("# answer", "#")
    assert grade(runner, second, text).state == "solved"
    assert grade(runner, second, text, mine=True).state == "solved"
    done = progress.Done("solved", 4, 4, 0.0, progress.fingerprint(first))
    progress.save(first.root, {"k901": done})
    assert grade(runner, second, text, mine=True).state == "wrong"
    assert grade(runner, second, text).state == "solved"


# pytest itself.


def run_pytest(tree, *arguments, cwd=None):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=cwd or tree[0].root,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.process
def test_pytest_grades_exercises_and_solutions(tree):
    stub = tree[0].exercise.read_text()
    tree[0].exercise.write_text(answered(stub, **{**RIGHT, "scale": "return -a * x"}))
    done = run_pytest(tree, "exercises", "-q")
    assert "1 failed, 2 passed, 1 todo" in done.stdout, done.stdout + done.stderr
    assert "-1.000x everywhere: the sign is flipped" in done.stdout
    assert "Probably: the sign is wrong." in done.stdout
    assert "Traceback" not in done.stdout and "site-packages" not in done.stdout
    assert "k901 Scale and sum: wrong, 2 of 4 points" in done.stdout
    rows, _ = progress.load(tree[0].root)
    assert rows["k901"].state == "wrong" and rows["k902"].state == "todo"
    done = run_pytest(tree, "solutions", "-q")
    assert done.returncode == 0 and "4 passed" in done.stdout, done.stdout
    assert progress.load(tree[0].root)[0]["k901"].state == "wrong"  # not theirs


@pytest.mark.process
def test_pytest_takes_one_file_from_any_folder_without_importing_it(tree):
    file = tree[0].exercise
    text = answered(file.read_text(), **RIGHT) + "\n\nprint('ran')\n"
    file.write_text(text + "import sys\nassert 'pytest' not in sys.modules\n")
    done = run_pytest(tree, file.name, "-q", cwd=file.parent)
    assert "3 passed" in done.stdout, done.stdout
    done = run_pytest(tree, "exercises", "-k", "k902", "-q", "--knock-seed", "3")
    assert "1 todo" in done.stdout and "deselected" in done.stdout


@pytest.mark.process
def test_pytest_proves_graders(tree):
    done = run_pytest(tree, "tests", "-q")
    assert "2 passed" in done.stdout, done.stdout
    tree[1].grader.write_text(tree[1].grader.read_text().replace("2 * x", "4.0 * x"))
    done = run_pytest(tree, "tests", "-q")
    assert "1 failed, 1 passed" in done.stdout
    assert "the solution fails value" in done.stdout


# Progress.


def test_progress_survives_damage(tree):
    root = tree[0].root
    done = progress.Done("solved", 4, 4, 1.0, progress.fingerprint(tree[0]))
    progress.save(root, {"k901": done})
    rows, warning = progress.load(root)
    assert rows == {"k901": done} and warning is None
    assert progress.state_of(tree[0], rows) == "solved"
    tree[0].grader.write_text(GRADER + "# changed\n")
    assert progress.state_of(tree[0], rows) == "stale"
    progress.path_of(root).write_text('{"version": 1, "knocks": {"k9')
    rows, warning = progress.load(root)
    assert rows == {} and "damaged" in warning and ".broken-1.json" in warning
    kept = progress.path_of(root).with_name("progress.broken-1.json")
    assert kept.read_text().startswith('{"version": 1')


def test_progress_of_a_newer_version_is_not_touched(tree):
    path = progress.path_of(tree[0].root)
    path.write_text('{"version": 99, "knocks": {}}')
    with pytest.raises(KnockError, match="version 99"):
        progress.load(tree[0].root)
    assert path.read_text() == '{"version": 99, "knocks": {}}'


# The learner's own pieces in a network.


def test_mine_needs_something_solved(tree):
    with pytest.raises(KnockError, match="none of k015"), mine.installed(tree[0].root):
        pass
    assert minidl.functional.conv2d is minidl.conv2d
