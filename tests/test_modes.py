"""Grad mode, anomaly detection and watchers: nesting, exceptions and threads."""

import threading

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import grad, no_grad
from minidl.autograd import watch_ops
from minidl.errors import AnomalyError
from minidl.modes import enable_grad, is_grad_enabled
from minidl.tensor import Tensor


@pytest.fixture
def x():
    return Tensor(np.array([1.0, 2.0]), requires_grad=True)


def test_no_grad_records_nothing(x):
    with no_grad():
        y = (x * x).exp()
        assert not is_grad_enabled()
    assert is_grad_enabled()
    assert y.node is None and not y.requires_grad
    assert (x * 1.0).requires_grad


def test_modes_nest(x):
    with no_grad():
        with enable_grad():
            assert (x * 2.0).requires_grad
            with no_grad():
                assert not (x * 2.0).requires_grad
            assert (x * 2.0).requires_grad
        assert not (x * 2.0).requires_grad


def test_one_switch_can_be_entered_again_inside_itself():
    switch = no_grad()
    with switch:
        with switch:
            assert not is_grad_enabled()
        assert not is_grad_enabled()
    assert is_grad_enabled()


def test_modes_end_with_an_exception(x):
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()
    with np.errstate(all="ignore"), pytest.raises(AnomalyError):
        with minidl.detect_anomaly():
            x.log().log()
    with np.errstate(all="ignore"):
        assert np.isinf((x * 1000.0).exp().data).all()


def test_modes_decorate_functions(x):
    @no_grad()
    def constant(x):
        """Its own docstring."""
        return inner(x), is_grad_enabled()

    @enable_grad()
    def inner(x):
        return x * 2.0

    for _ in range(2):
        y, enabled = constant(x)
        assert y.requires_grad and not enabled and is_grad_enabled()
    assert constant.__doc__ == "Its own docstring."

    @no_grad()
    def down(n):
        return is_grad_enabled() if n == 0 else down(n - 1)

    assert down(5) is False and is_grad_enabled()


def test_backward_works_inside_no_grad(x):
    y = (x * x).sum()
    with no_grad():
        (g,) = grad(y, x, create_graph=True)
        assert not is_grad_enabled()
    assert g.tolist() == [2.0, 4.0]
    assert grad(g.sum(), x)[0].tolist() == [2.0, 2.0]


def test_backward_without_create_graph_records_nothing(x):
    (g,) = grad((x * x).sum(), x)
    assert not g.requires_grad and is_grad_enabled()


def in_threads(*functions):
    """Run the functions at the same time; their results, or the first exception."""
    results, errors = [None] * len(functions), []

    def run(i):
        try:
            results[i] = functions[i]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(functions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


def test_no_grad_does_not_leak_into_other_threads(x):
    inside, done = threading.Event(), threading.Event()

    def holder():
        with no_grad(), minidl.detect_anomaly():
            inside.set()
            done.wait(10)
            return is_grad_enabled()

    def other():
        inside.wait(10)
        try:
            return is_grad_enabled(), (x * np.inf).requires_grad
        finally:
            done.set()

    assert in_threads(holder, other) == [False, (True, True)]
    with no_grad():
        assert in_threads(is_grad_enabled) == [True]


def test_a_decorated_function_runs_in_overlapping_threads():
    barrier = threading.Barrier(2)
    first_left = threading.Event()

    @no_grad()
    def overlap(first):
        barrier.wait(10)  # both are inside now; the first to come leaves first
        if not first:
            first_left.wait(10)
        return is_grad_enabled()

    def early():
        try:
            return overlap(True), is_grad_enabled()
        finally:
            first_left.set()

    late = lambda: (overlap(False), is_grad_enabled())
    assert in_threads(early, late) == [(False, True)] * 2


def train(seed):
    """Weights after a few steps of a small network drawn from ``seed``."""
    r = np.random.default_rng(seed)
    x, target = Tensor(r.standard_normal((3, 2, 8, 8))), Tensor(r.integers(0, 4, 3))
    filters, weight = (
        Tensor(r.standard_normal(shape), True) for shape in ((3, 2, 3, 3), (4, 27))
    )
    for _ in range(4):
        filters.grad = weight.grad = None
        y = F.max_pool2d(F.relu(F.conv2d(x, filters)), 2).flatten(1)
        F.cross_entropy(F.linear(y, weight), target).backward()
        with no_grad():
            filters.data -= 0.1 * filters.grad.data
            weight.data -= 0.1 * weight.grad.data
    return filters.data, weight.data


def test_threads_train_at_the_same_time_as_one_does_alone():
    alone = [train(seed) for seed in range(8)]
    together = in_threads(*(lambda seed=seed: train(seed) for seed in range(8)))
    for expected, got in zip(alone, together):
        assert all(map(np.array_equal, expected, got))


def test_threads_may_differentiate_one_shared_leaf(x):
    def gradient():
        return grad((x * x * x).sum(), x)[0].tolist()

    assert in_threads(*[gradient] * 8) == [[3.0, 12.0]] * 8


NAN, INF = float("nan"), float("inf")
FINITE = "its inputs were finite"
ANOMALIES = {
    "log": (lambda x: x.log(), [0.0, 1.0], f"log: output holds inf; {FINITE}"),
    "div": (lambda x: x / (x * 0.0), [0.0], f"div: output holds nan; {FINITE}"),
    "exp": (lambda x: x.exp(), [1000.0], "exp: output holds inf"),
    "mul": (lambda x: x * 2.0, [NAN], "mul: output holds nan; argument 0 already held"),
    "sub": (lambda x: x - x, [INF], "sub: output holds nan; argument . already held"),
    "matrix_multiply": (lambda x: x.reshape(1, 1) @ x.reshape(1, 1), [1e300],
                        f"matrix_multiply: output holds inf; {FINITE}"),
    "later": (lambda x: ((x * 2.0).sqrt() + 1.0).sum(), [-1.0], "^sqrt: output"),
}


@pytest.mark.parametrize("name", ANOMALIES)
@np.errstate(all="ignore")
def test_detect_anomaly_names_the_op(name):
    function, data, message = ANOMALIES[name]
    function(Tensor(np.array(data)))
    with minidl.detect_anomaly(), pytest.raises(AnomalyError, match=message):
        function(Tensor(np.array(data)))


@np.errstate(all="ignore")
def test_detect_anomaly_names_the_op_whose_backward_failed():
    for function, message in (
        (lambda x: x.sqrt(), "backward of sqrt: div: output holds inf"),
        (lambda x: (x * 0.0) ** 0.5 * 1.0, "backward of power"),
        (lambda x: minidl.checkpoint(lambda v: v.sqrt(), x),
         "backward of checkpoint: backward of sqrt: div"),
    ):
        x = Tensor(np.array([0.0, 4.0]), requires_grad=True)
        with minidl.detect_anomaly():
            y = function(x).sum()
            with pytest.raises(AnomalyError, match=message):
                y.backward()
        function(x).sum().backward()
        assert not np.isfinite(x.grad.data).all()


def test_detect_anomaly_passes_what_is_finite_and_ignores_whole_numbers(x):
    with minidl.detect_anomaly():
        (F.softmax(x, 0) * x).sum().backward()
        assert (Tensor(np.array([3])) * 2).tolist() == [6]
    assert np.isfinite(x.grad.data).all()


def test_watchers_see_every_op_of_their_block(x):
    seen, outer = [], []
    with watch_ops(lambda op, arrays, options, y: outer.append(op.name)):
        with watch_ops(lambda *call: seen.append(call)):
            y = x.exp().sum(0)
        y.backward()
    names = [op.name for op, *_ in seen]
    assert names == ["exp", "sum"] and outer[:2] == names and "mul" in outer[2:]
    op, arrays, options, result = seen[1]
    assert options == {"dim": 0, "keepdim": False} and result == arrays[0].sum()
    x.exp()
    assert len(seen) == 2
