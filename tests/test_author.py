"""What authors of knocks use: headers, stubs, and the proof of a grader."""

import warnings

import numpy as np
import pytest
from knock_cases import GRADER, SOLUTION, answered, build

from minidl.errors import UnknownNameError
from minidl.knocks import author, catalogue, prove
from minidl.knocks.catalogue import KnockError
from minidl.knocks.child import Job, failures


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(tmp_path)


def test_headers_are_read(tree):
    entry = tree[0]
    assert (entry.name, entry.title, entry.stars, entry.minutes) == (
        "k901",
        "Scale and sum",
        2,
        5,
    )
    assert entry.needs == () and tree[1].needs == ("k901",)
    assert catalogue.entry_of(entry.grader) == entry
    assert catalogue.entry_of(entry.exercise) == entry
    assert catalogue.entry_of(entry.root / "k901_scale.py") is None


@pytest.mark.parametrize("name", ["k901", "901", "K901", "k901_scale", "k901_scale.py"])
def test_knocks_are_found_by_name(tree, name):
    assert catalogue.find(name) == tree[0]


def test_an_unknown_knock_suggests_the_nearest(tree):
    with pytest.raises(UnknownNameError, match="did you mean k90"):
        catalogue.find("k903")


def test_a_folder_without_knocks_says_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    with pytest.raises(KnockError, match="go to a clone"):
        catalogue.root_of(tmp_path)


@pytest.mark.parametrize(
    "old,new,match",
    [
        ("k901: Scale", "k902: Scale", "must begin 'k901: Title'"),
        ("** | 5", "** 5", "must have a line such as"),
    ],
)
def test_malformed_headers_are_named(tree, old, new, match):
    entry = tree[0]
    entry.solution.write_text(SOLUTION.replace(old, new))
    with pytest.raises(KnockError, match=match):
        entry.title, entry.stars


def test_a_stub_differs_from_its_solution_in_the_answers_only(tree):
    text = tree[0].exercise.read_text()
    assert text.count("raise NotImplementedError") == 3 and "# answer" not in text
    kept = [line for line in SOLUTION.split("\n") if "return" not in line]
    kept = [line for line in kept if "# answer" not in line]
    rest = [line for line in text.split("\n") if "NotImplementedError" not in line]
    assert rest == kept
    compile(text, "stub", "exec")


def test_answers_in_methods_and_of_many_lines():
    text = (
        "class A:\n    def f(self):\n        x = 1\n        # answer\n"
        "        if x:\n            return 2\n\n        return 3\n\n    y = 4\n"
    )
    assert author.stub_of(text, "k001") == (
        "class A:\n    def f(self):\n        x = 1\n"
        '        raise NotImplementedError("k001: write A.f")\n\n    y = 4\n'
    )


@pytest.mark.parametrize("text", ["def f():\n    return 1\n", "# answer\nx = 1\n"])
def test_solutions_without_answers_are_refused(text):
    with pytest.raises(KnockError, match="answer"):
        author.stub_of(text, "k001")


def test_sync_leaves_begun_exercises_alone(tree):
    first, second = tree
    begun = answered(first.exercise.read_text(), total="return x.sum()")
    first.exercise.write_text(begun)
    for entry in tree:
        entry.solution.write_text(entry.solution.read_text().replace("test.", "Test."))
    entries = catalogue.all_knocks()
    written, left = author.sync(first.root)
    assert [e.name for e in written] == ["k902"] and [e.name for e in left] == ["k901"]
    assert first.exercise.read_text() == begun
    assert author.drifted(entries) == [entries[0]]
    author.sync(first.root, force=True)
    assert author.drifted(entries) == []


def test_a_broken_exercise_counts_as_begun(tree):
    tree[0].exercise.write_text("def f(:\n")
    assert author.begun(tree[0])


def test_new_knocks_are_proved_by_hand_only(tree):
    entry = author.new(tree[0].root, "k903", "t_tests", "title")
    assert entry.exercise.is_file() and entry in catalogue.all_knocks()
    found = prove.proof_of(entry, 2, 2)
    assert found.faults == ["there must be 5 wrong answers; got 1"]
    with pytest.raises(KnockError, match="is taken by k903_title"):
        author.new(entry.root, "k903", "t_tests", "other")
    with pytest.raises(KnockError, match="must be like"):
        author.new(entry.root, "x", "t_tests", "Other")


# Proofs.


@pytest.mark.parametrize(
    "old,new,fault",
    [
        ("checks.value(mine.total", "(mine.total", "the wrong answer 'mean' passes"),
        ("return a + x", "return -a * x - 0", "is shown the diagnosis of 'sign'"),
        ("return a + x", "return a * x + 0", "the wrong answer 'added' passes"),
        ("lambda x, a: a * x, r(r", "lambda x, a: a + x, r(r", "the solution fails"),
        ('"multiply", "by a", ', "", "there must be 3 hints; got 1"),
        ('("return a * x", "return -a', '("return x", "return -a', "must occur once"),
    ],
)
def test_faulty_graders_are_found_out(tree, old, new, fault):
    entry = tree[0]
    assert GRADER.count(old) >= 1
    entry.grader.write_text(GRADER.replace(old, new, 1))
    faults = prove.proof_of(entry, 3, 3).faults
    assert any(fault in text for text in faults), faults


def test_good_graders_are_proved(tree):
    for entry in tree:
        proof = prove.proof_of(entry, 5, 5)
        assert proof.faults == [] and proof.killed == proof.wrongs == 5


def test_what_an_answer_silences_is_heard_again(tree):
    off = (
        'import warnings\n\nnp.seterr(all="ignore")\nwarnings.simplefilter("ignore")\n'
    )
    source = SOLUTION.replace("import numpy as np\n", "import numpy as np\n" + off)
    source = source.replace(
        "    return a * x", '    np.seterr(all="raise")\n    return a * x'
    )
    heard, filters = np.geterr(), list(warnings.filters)
    job = Job(tree[0], tree[0].solution, 0, source)
    assert not failures(job, job.answer(), late=True)
    assert np.geterr() == heard and list(warnings.filters) == filters


def test_a_stub_out_of_step_is_found(tree):
    tree[0].exercise.write_text("# mine\n" + tree[0].exercise.read_text())
    assert "author sync" in prove.proof_of(tree[0], 1, 1).faults[0]


@pytest.mark.process
def test_author_check_prints_the_score(tree, capsys):
    from minidl.cli import main

    assert main(["author", "check", "--seeds", "2"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "killed on each of 2 seeds: 10 of 10" in out
