"""What a graph keeps in memory, and when it lets go: without the garbage collector."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

from minidl import functional as F
from minidl import grad, no_grad
from minidl.primitive import REGISTRY, primitive
from minidl.samples import S
from minidl.tensor import Node, Spec, Tensor
from minidl.testing import all_ops, as_tensors, samples_of

MEGABYTE = 2**20


@pytest.fixture(autouse=True)
def no_collector():
    """Only reference counts may free anything here."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def memory():
    """A function that says how many megabytes were allocated since the start."""
    Tensor(np.zeros(2), True).sin().sum().backward()  # what is imported lazily, is now
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    yield lambda: (tracemalloc.get_traced_memory()[0] - start) / MEGABYTE
    tracemalloc.stop()


def big(requires_grad=True):
    """A tensor of one megabyte."""
    return Tensor(np.full(MEGABYTE // 8, 0.5), requires_grad)


def arrays_of(y):
    """Weak references to every array that the graph behind ``y`` holds."""
    found, stack, seen = [weakref.ref(y.data)], [y.node], set()
    while stack:
        node = stack.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if node.output is not None:
            found.append(weakref.ref(node.output))
        for x in node.inputs:
            if isinstance(x, Tensor):
                if not isinstance(x.data, Spec):
                    found.append(weakref.ref(x.data))
                stack.append(x.node)
    return found


def network(x, w):
    """A little of everything: ops that keep inputs, outputs, both and neither."""
    y = F.softmax((x @ w).tanh() * 2.0 + x, dim=1).exp() - x.sum(1, keepdim=True)
    y = F.cat([y, F.relu(y)[:, 1:]], 1)
    return F.max_pool2d(y.reshape(1, 1, 4, 7), 2).mean()


def leaves():
    r = np.random.default_rng(0)
    return tuple(Tensor(r.standard_normal((4, 4)), True) for _ in range(2))


def alive(references):
    """How many different arrays of ``references`` still exist."""
    return len({id(r()) for r in references} - {id(None)})


@pytest.mark.parametrize("end", ["dropped", "backward", "grad", "second order"])
def test_a_graph_dies_with_its_last_tensor(end):
    x, w = leaves()
    nodes = sum(type(o) is Node for o in gc.get_objects())
    y = network(x, w)
    references = arrays_of(y)
    assert alive(references) == 8
    if end == "backward":
        y.backward()
    elif end == "grad":
        grad(y, [x, w], retain_graph=True)
    elif end == "second order":
        gx, gw = grad(y, [x, w], create_graph=True)
        references += arrays_of(gx) + arrays_of(gw)
        grad((gx * gx).sum() + gw.sum(), [x, w])
        del gx, gw
    x.grad = w.grad = None
    del y
    assert alive(references) == 2  # x and w
    assert sum(type(o) is Node for o in gc.get_objects()) == nodes


def test_nothing_is_kept_under_no_grad_or_without_leaves():
    x, w = leaves()
    with no_grad():
        y = x.exp()
    middle = weakref.ref(y.data)
    y = (y * w.detach()).sum()
    assert middle() is None and y.node is None


def test_backward_frees_the_graph_while_the_output_lives():
    x, w = leaves()
    y = network(x, w)
    references = arrays_of(y)
    y.backward()
    assert alive(references) == 3  # x, w and the output itself
    y = network(x, w)
    references = arrays_of(y)
    before = alive(references)
    y.backward(retain_graph=True)
    assert alive(references) == before == 8


@pytest.fixture
def probe():
    """A primitive, the identity, whose vjp calls ``probe.call``."""
    calls = []

    @primitive(samples=lambda r: [S(r(2))])
    def memory_probe(x):
        return x.copy()

    def vjp(g, _y, _x):
        calls.append(memory_probe.call())
        return g

    memory_probe.defvjp(vjp)
    memory_probe.calls = calls
    yield memory_probe
    del REGISTRY["memory_probe"]


@pytest.mark.parametrize("retain", [False, True])
def test_backward_frees_what_it_has_passed(probe, memory, retain):
    probe.call = memory
    x = big()
    y = probe(x)
    for _ in range(20):
        y = y.sin()  # keeps its input: a megabyte each
    y = y.sum()
    before = memory()
    assert 20 < before < 23
    y.backward(retain_graph=retain)
    at_the_end = probe.calls[0]
    assert (20 < at_the_end) if retain else (at_the_end < 6)
    assert memory() < (25 if retain else 3)


def test_the_peak_of_backward_is_little_above_that_of_forward(memory):
    y = x = big()
    for _ in range(20):
        y = y.sin()
    y = y.sum()
    before = memory()
    tracemalloc.reset_peak()
    y.backward()
    peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    assert peak < before + 6 and x.grad is not None


FREE = {
    "add": lambda y: y + 1.0, "sub": lambda y: 2.0 - y, "neg": lambda y: -y,
    "reshape": lambda y: y.reshape(-1, 2),
    "slice": lambda y: y[::2], "flip": lambda y: F.flip(y, 0),
    "sum": lambda y: y.sum(0, keepdim=True).expand(y.shape),
    "cat": lambda y: F.cat([y[:1], y[1:]]),
}


@pytest.mark.parametrize("name", FREE)
def test_linear_ops_keep_no_array(name):
    y = FREE[name](Tensor(np.ones(6), True) * 2.0)
    node = y.node
    while node.op.name != "mul":
        assert node.output is None
        assert all(isinstance(x.data, Spec) for x in node.inputs
                   if isinstance(x, Tensor))
        node = next(x.node for x in node.inputs if isinstance(x, Tensor))


def test_a_chain_of_linear_ops_costs_no_memory(memory):
    y = big()
    for _ in range(20):
        y = -(y + 1.0).reshape(2, -1).reshape(-1)
    assert memory() < 3
    y.sum().backward()


def test_a_factor_without_a_gradient_costs_only_itself(memory):
    """``x * 3`` and ``x * mask`` need the factor to go backwards, not x."""
    y, mask = big(), Tensor(np.ones(big().shape, bool))
    before = memory()
    for _ in range(10):
        y = y * 3.0 * mask
    assert memory() - before < 3
    y.sum().backward()


def test_an_op_that_keeps_its_output_keeps_one_array(memory):
    y = big()
    for _ in range(10):
        y = y.tanh() * 1.0  # tanh needs its output, mul by a number nothing
    assert 10.5 < memory() < 12.5


CASES = [(name, i) for name, op in all_ops().items() if op.vjps
         for i in range(len(samples_of(op)))]


@pytest.mark.parametrize("name, i", CASES)
def test_ops_keep_only_what_their_vjps_name(name, i):
    """A vjp that reads what it declared unread meets a Spec, and fails on it."""
    op, sample = all_ops()[name], samples_of(all_ops()[name])[i]
    inputs = [
        F.reshape(x, x.shape) if isinstance(x, Tensor) and x.requires_grad else x
        for x in as_tensors(sample)
    ]
    tracked = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not tracked:
        return
    y = op(*inputs, **sample.options)
    wants = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    mask = sum(1 << i for i, wanted in enumerate(wants) if wanted)
    unread, keeps_output = op.unread(mask, len(inputs))
    for i, x in enumerate(y.node.inputs):
        if isinstance(x, Tensor) and x.requires_grad:
            assert isinstance(x.data, Spec) == (i in unread)
    assert (y.node.output is not None) == keeps_output
    gradients = grad(y, tracked, np.ones(y.shape, y.dtype), allow_unused=True)
    for x, g in zip(tracked, gradients):
        assert g is None or (g.shape, g.dtype) == (x.shape, x.dtype)


def test_a_chain_of_twenty_thousand_nodes():
    x = Tensor(np.ones(2), requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    references = [weakref.ref(y.data)]
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0] and y.tolist() == [20_001.0, 20_001.0]
    del y
    assert alive(references) == 0


def test_a_long_chain_is_dropped_without_running_it():
    x = Tensor(np.ones(2), requires_grad=True)
    y = x
    for _ in range(20_000):
        y = y.sin()
    references = arrays_of(y)
    assert len(references) > 20_000
    del y
    assert alive(references) == 1  # x


def test_a_long_chain_can_be_differentiated_twice():
    x = Tensor(np.array(0.3), requires_grad=True)
    y = x
    for _ in range(2_000):
        y = y * 1.001 + 0.0 * y * y
    (g,) = grad(y, x, create_graph=True)
    (gg,) = grad(g, x)
    assert abs(g.item() - 1.001**2000) < 1e-9 and gg.item() == 0.0
