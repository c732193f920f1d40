"""A network on the learner's own pieces computes what it computes on the engine's."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn, optim
from minidl.knocks import catalogue, mine, progress
from minidl.tensor import Tensor

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def solved(tmp_path):
    """A copy of the knocks where all are solved, by the solutions themselves."""
    shutil.copytree(ROOT / "solutions", tmp_path / "solutions")
    shutil.copytree(ROOT / "solutions", tmp_path / "exercises")
    shutil.copytree(ROOT / "tests" / "knocks", tmp_path / "tests" / "knocks")
    entries = catalogue.all_knocks(tmp_path)
    done = {
        e.name: progress.Done("solved", 1, 1, grader=progress.fingerprint(e))
        for e in entries
    }
    progress.save(tmp_path, done)
    return tmp_path


def leaves(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [Tensor(rng.standard_normal(shape), True) for shape in shapes]


def results(run, tensors):
    """The output and all gradients, under a fixed random upstream gradient."""
    y = run(*tensors)
    g = np.random.default_rng(1).standard_normal(y.shape)
    found = minidl.grad(y, list(tensors), Tensor(np.asarray(g, y.dtype)))
    return [y.data, *(t.data for t in found)]


def batch_norm(x, w, b):
    mean, var = Tensor(np.zeros(3)), Tensor(np.ones(3))
    y = F.batch_norm(x, mean, var, w, b, True, 0.1, 1e-5, relu=True)
    return y + F.sum(mean) + 3 * F.sum(var)  # what was written into them shows


CASES = {
    "conv2d": (
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        [(2, 3, 7, 6), (4, 3, 3, 3), (4,)],
    ),
    "dilated": (
        lambda x, w: F.conv2d(x, w, dilation=(2, 2)),
        [(2, 3, 7, 6), (4, 3, 3, 2)],
    ),
    "max_pool2d": (lambda x: F.max_pool2d(x, kernel_size=2), [(2, 3, 5, 6)]),
    "avg_pool2d": (lambda x: F.avg_pool2d(x, kernel_size=2), [(2, 3, 4, 6)]),
    "batch_norm": (batch_norm, [(4, 3, 5, 4), (3,), (3,)]),
    "cross_entropy": (
        lambda x: F.cross_entropy(x, Tensor(np.array([1, 0, 4]))),
        [(3, 5)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_piece_gives_what_the_engine_gives(solved, name):
    run, shapes = CASES[name]
    expected = results(run, leaves(*shapes))
    with mine.installed(solved) as lines:
        assert len(lines) == len(mine.PIECES)
        assert all("yours" in line for line in lines)
        ours = results(run, leaves(*shapes))
    for got, wanted in zip(ours, expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-11)


def test_the_learners_code_is_what_runs(solved):
    """Each piece is broken in turn, and the result changes."""
    for name, brings in mine.PIECES.items():
        entry = catalogue.find(name, solved)
        text = entry.exercise.read_text()
        entry.exercise.write_text(text + f"\n\n{_broken(name)}\n")
        cases = [case for case in CASES if case in brings]
        for case in cases:
            run, shapes = CASES[case]
            expected = results(run, leaves(*shapes))[0]
            with mine.installed(solved):
                assert not np.allclose(results(run, leaves(*shapes))[0], expected), case
        entry.exercise.write_text(text)


def _broken(name):
    first = {
        "k015": "cross_entropy",
        "k019": "sgd",
        "k025": "conv2d",
        "k027": "max_pool2d",
        "k028": "batch_norm",
    }[name]
    if name == "k028":
        return (
            "right_ = batch_norm\n\ndef batch_norm(*a):\n"
            "    y, m, v = right_(*a)\n    return y + 1, m, v"
        )
    if name == "k027":
        return (
            "right_ = max_pool2d, avg_pool2d\n\n"
            "def max_pool2d(x, size):\n    return right_[0](x, size) + 1\n\n"
            "def avg_pool2d(x, size):\n    return right_[1](x, size) + 1"
        )
    return f"right_ = {first}\n\ndef {first}(*a):\n    return right_(*a) + 1"


@pytest.mark.parametrize(
    "run,shapes",
    [
        (lambda x, w: F.conv2d(x, w, groups=2), [(2, 4, 5, 5), (4, 2, 3, 3)]),
        (lambda x, w: F.conv2d(x, w, stride=(1, 2)), [(2, 2, 5, 5), (4, 2, 3, 3)]),
        (lambda x: F.max_pool2d(x, kernel_size=2, stride=1), [(1, 2, 4, 4)]),
        (lambda x: F.max_pool2d(x, kernel_size=3, padding=1), [(1, 2, 4, 4)]),
        (
            lambda x: F.cross_entropy(x, Tensor(np.array([1, 0])), label_smoothing=0.1),
            [(2, 5)],
        ),
    ],
)
def test_what_the_knocks_do_not_ask_for_stays_the_engines(solved, run, shapes):
    expected = results(run, leaves(*shapes))
    with mine.installed(solved):
        ours = results(run, leaves(*shapes))
    for got, wanted in zip(ours, expected, strict=True):
        assert np.array_equal(got, wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.01),
        lambda p: optim.SGD(p, 0.1),
        lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, 0.01),
        lambda p: optim.AdamW(p, 0.01, weight_decay=0.1),
    ],
)
def test_steps(solved, make):
    def run():
        (p,) = leaves((4, 3))
        optimizer = make([p])
        for k in range(3):
            p.grad = Tensor(np.random.default_rng(k).standard_normal((4, 3)))
            optimizer.step()
        return p.data

    expected = run()
    with mine.installed(solved):
        np.testing.assert_allclose(run(), expected, rtol=1e-10, atol=1e-12)


def test_a_lenet_learns_on_them_and_all_is_put_back(solved):
    before = F.conv2d, F.max_pool2d, F.cross_entropy, optim.Adam.update
    minidl.manual_seed(0)
    net = models.create("lenet")
    assert isinstance(net, nn.Sequential)
    x = minidl.tensor(
        np.random.default_rng(0).standard_normal((8, 1, 28, 28)), "float32"
    )
    y = Tensor(np.arange(8))
    optimizer = optim.Adam(net.parameters(), 1e-3)
    losses = []
    with mine.installed(solved):
        assert before[0] is not F.conv2d
        for _ in range(4):
            loss = F.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert not [n for n in sys.modules if n.split(".")[0] == "solutions"]
    assert before == (F.conv2d, F.max_pool2d, F.cross_entropy, optim.Adam.update)


def test_what_is_not_solved_is_said(solved):
    done, _ = progress.load(solved)
    del done["k025"]
    progress.save(solved, done)
    with mine.installed(solved) as lines:
        assert "conv2d: the engine's (k025 is not solved)" in lines
