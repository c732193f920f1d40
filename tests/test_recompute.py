"""`minidl.checkpoint`: the derivatives of the plain function, with less memory."""

import tracemalloc

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import grad, no_grad
from minidl.errors import GradError
from minidl.tensor import Tensor


def draw(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), True)


def close(got, expected):
    for g, e in zip(got, expected, strict=True):
        np.testing.assert_allclose(g.data, e.data, rtol=1e-11, atol=1e-12)


A, B, W = draw(3, 4), draw(4, 4, seed=1), draw(4, 4, seed=2)


def nested(run, a, b):
    inner = lambda u: run(lambda v: (v @ W).tanh(), u * b[0])
    return run(inner, a) * run(inner, a * 2.0)


# Each builds a graph over the leaves A, B, W; run is `checkpoint` or a plain call.
GRAPHS = {
    "one argument": lambda run: run(lambda a: (a * a).sin(), A),
    "two arguments": lambda run: run(lambda a, b: (a @ b).tanh() * a, A, B),
    "the same twice": lambda run: run(lambda a, c: a * c.exp(), A, A),
    "made from another": lambda run: run(lambda a, c: a * a * c, A, (A * B[:3]).sin()),
    "a captured leaf": lambda run: run(lambda a: (a @ W).sin() * (a @ B), A),
    "captured and passed": lambda run: run(lambda w: (w @ W).tanh(), W),
    "captured and behind": lambda run: run(lambda a: (a @ W).tanh() * a, A @ W),
    "in a chain": lambda run: run(lambda a: (a @ W).sin(), run(lambda a: a @ W, A @ B)),
    "within itself": lambda run: nested(run, A, B),
    "with a constant": lambda run: run(lambda a, c, s: a * c * s, A, A.detach(), 2.0),
    "its own argument": lambda run: run(lambda a: a, A * 2.0) * A,
}


@pytest.mark.parametrize("name", GRAPHS)
def test_values_and_derivatives_are_those_without(name):
    leaves, plain = [A, B, W], lambda fn, *xs: fn(*xs)
    results = []
    for run in (plain, minidl.checkpoint):
        y = GRAPHS[name](run)
        first = [
            grad(GRAPHS[name](run).sum(), leaves, allow_unused=True, create_graph=again)
            for again in (False, True)
        ]
        used = [i for i, g in enumerate(first[1]) if g is not None]
        weights = [draw(*leaves[i].shape, seed=5 + i).detach() for i in used]
        total = sum((first[1][i] * v).sum() for i, v in zip(used, weights))
        second = grad(total, leaves, allow_unused=True) if total.requires_grad else ()
        results.append((y, *first[0], *first[1], *second))
    for expected, got in zip(*results, strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            close([got], [expected])


def test_third_derivatives():
    x = Tensor(np.array([0.4, 1.3]), requires_grad=True)
    y = minidl.checkpoint(lambda v: v.sin() * v, x)
    for _ in range(3):
        (y,) = grad(y.sum(), x, create_graph=True)
    np.testing.assert_allclose(y.data, -3 * np.sin(x.data) - x.data * np.cos(x.data))


def test_backward_fills_the_gradients_of_arguments_and_captured_leaves():
    x, w = draw(2, 3), draw(3, 3, seed=1)
    minidl.checkpoint(lambda v: (v @ w).relu(), x).sum().backward()
    close([x.grad, w.grad], grad((x @ w).relu().sum(), [x, w]))
    assert not np.shares_memory(x.grad.data, w.grad.data)


def test_the_function_runs_once_forward_and_once_backward():
    calls = []

    def fn(v):
        calls.append(minidl.is_grad_enabled())
        return v.exp()

    x = draw(3)
    y = minidl.checkpoint(fn, x).sum()
    assert calls == [True]
    y.backward()
    assert calls == [True, True]
    with no_grad():
        assert not minidl.checkpoint(fn, x).requires_grad
    assert calls == [True, True, False]


def test_what_needs_no_gradient_stays_without():
    x = draw(3)
    assert minidl.checkpoint(lambda v: v * 2.0, x.detach()).node is None
    cut = minidl.checkpoint(lambda v: v.detach() * 2.0, x)
    assert not cut.requires_grad
    close(grad((cut * x).sum(), x), [cut])
    assert not minidl.checkpoint(lambda v: v > 0.0, x).requires_grad


def test_it_keeps_less_memory():
    def block(v):
        for _ in range(10):
            v = v.sin()
        return v

    used = {}
    for name, run in (("plain", lambda v: block(v)),
                      ("checkpoint", lambda v: minidl.checkpoint(block, v))):
        x = Tensor(np.full(2**16, 0.5), requires_grad=True)  # half a megabyte
        run(x).sum().backward()
        tracemalloc.start()
        y = x
        for _ in range(8):
            y = run(y)
        y = y.sum()
        kept = tracemalloc.get_traced_memory()[0]
        y.backward()
        used[name] = kept / 2**20, tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
    assert used["plain"][0] > 39 and used["checkpoint"][0] < 5
    assert used["checkpoint"][1] < 13 < 39 < used["plain"][1]


def test_a_captured_intermediate_is_refused():
    x = draw(3)
    hidden = x.exp()
    with pytest.raises(GradError, match="close over a tensor made by exp; pass it"):
        minidl.checkpoint(lambda v: v * hidden, x)
    with pytest.raises(GradError, match="made by exp"):
        minidl.checkpoint(lambda v: hidden * 2.0, x)
    close(grad(minidl.checkpoint(lambda v, h: v * h, x, hidden).sum(), x),
          grad((x * x.exp()).sum(), x))


@pytest.mark.parametrize("result", [(1, 2), None, 3.0, np.ones(2)])
def test_a_function_must_return_one_tensor(result):
    kind = type(result).__name__
    with pytest.raises(GradError, match=f"must return one Tensor; got {kind}"):
        minidl.checkpoint(lambda v: result, draw(2))


def test_a_network_of_checkpoints_learns_as_without():
    r = np.random.default_rng(3)
    x, target = Tensor(r.standard_normal((4, 2, 6, 6))), Tensor(r.integers(0, 3, 4))
    start = [r.standard_normal(s) * 0.5 for s in ((3, 2, 3, 3), (3, 3, 3, 3), (3, 12))]

    def train(run):
        a, b, c = parameters = [Tensor(p.copy(), True) for p in start]
        for _ in range(3):
            y = run(lambda v: F.relu(F.conv2d(v, a, padding=1)), x)
            y = run(lambda v: F.max_pool2d(F.relu(F.conv2d(v, b)), 2), y)
            F.cross_entropy(F.linear(y.flatten(1), c), target).backward()
            for p in parameters:
                p.data -= 0.1 * p.grad.data
                p.grad = None
        return parameters

    close(train(minidl.checkpoint), train(lambda fn, *xs: fn(*xs)))
