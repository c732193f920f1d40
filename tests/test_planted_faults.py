"""`check_op` finds wrong primitives: each fault is planted beside its right version."""

import numpy as np
import pytest

from minidl import kernels, ops
from minidl.autograd import REGISTRY, Primitive
from minidl.errors import ArgumentError, DtypeError, GradError
from minidl.ops import broadcast_to, eq, matrix_multiply, permute, where
from minidl.samples import Draw, S
from minidl.tensor import Tensor
from minidl.testing import CheckFailure, check_op, gradcheck, samples_of


def draws(*shapes):
    """Samples: one call with normal arrays of ``shapes``."""
    return lambda r: [S(*[r(*shape) for shape in shapes])]


ONE, TWO, SQUARE = draws((3, 4)), draws((3, 4), (3, 4)), draws((3, 3), (3, 3))
IMAGE = draws((2, 2, 4, 5), (3, 2, 3, 2))


def op_of(forward, *vjps, samples=ONE, linear=False, broadcasts=False):
    """A primitive outside the registry."""
    op = Primitive(forward, samples, linear, broadcasts, lambda r: [])
    if vjps:
        op.defvjp(*vjps)
    return op


def swap(x):
    return permute(x, dims=(1, 0))


def raw(x):
    """The classic mistake: an array taken out of the graph."""
    return Tensor(x.data)


def spread(g, x):
    return broadcast_to(ops.reshape(g, shape=(*g.shape, 1)), shape=x.shape)


# The forwards, plain and wrong.


def square(x):
    return x * x


def cube(x):
    return x * x * x


def exponential(x):
    return np.exp(x)


def product(x, y):
    return x * y


def relu(x):
    return np.maximum(x, x.dtype.type(0))


def mean_rows(x):
    return x.mean(axis=-1)


def matmul(x, y):
    return x @ y


def total(x):
    return x.sum(axis=0)


def shifted(x):
    return x * 2 + 1


def doubled(x):
    return x * 2


def plus(x, y):
    return x + y


def conv(x, w):
    return kernels.conv2d(x, w, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)


def doubling_in_place(x):
    x *= 2
    return x


def always_float64(x):
    return np.asarray(x * x, np.float64)


def halves_precision(x):
    return (x.astype(np.float32) ** 2).astype(x.dtype)


def by_memory_order(x):
    return x.ravel(order="K").reshape(x.shape) * 2


def by_strides(x):
    return x * 2 if x.strides[-1] == x.itemsize else x * 3


calls = []


def differs_each_time(x):
    calls.append(x.shape)  # as an op with a hidden random state would
    return x * len(calls)


def input_gradient(g, w, flip):
    w = ops.flip(w, dims=(2, 3)) if flip else w
    return ops.conv2d_input(g, w, size=(4, 5))


def weight_gradient(g, x):
    return ops.conv2d_weight(x, g, kernel=(3, 2))


def scaled_in_place(g):
    g.data *= 2
    return g


def in_memory_order(g):
    return Tensor(g.data.ravel("K").reshape(g.shape))


def spoils_output(g, y):
    y.data[...] = 0
    return g * 2.0


def spoils_input(g, x):
    slope = x * 2.0
    x.data[...] = 0
    return g * slope


def shared_ties(g, x, tied):
    y = ops.amax(x, dim=(1,), keepdim=True)
    hit = eq(x, broadcast_to(y, shape=x.shape))
    ties = ops.sum(where(hit, x.detach() * 0.0 + 1.0, 0.0), dim=(1,), keepdim=True)
    g = broadcast_to(ops.reshape(g, shape=(len(x), 1)), shape=x.shape)
    return where(hit, g / ties if tied else g * 0.5, 0.0)


def amax_rows(x):
    return x.max(axis=1)


# name: (right, wrong), each (forward, vjps, options of op_of)
FAULTS = {
    "sign": ((square, [lambda g, _y, x: g * x * 2.0]),
             (square, [lambda g, _y, x: -(g * x * 2.0)])),
    "dropped upstream": ((square, [lambda g, _y, x: g * x * 2.0]),
                         (square, [lambda g, _y, x: x * 2.0])),
    "ones for upstream": ((doubled, [lambda g, _y, _x: g * 2.0]),
                          (doubled, [lambda g, _y, _x: raw(g) * 0.0 + 2.0])),
    "missing sum over broadcast": (
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=draws((3, 1), (4,)), broadcasts=True)),
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=draws((3, 1), (4,))))),
    "one row for the sum over broadcast": (
        (plus, [lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: ops.sum(g, dim=(0,))],
         dict(samples=draws((3, 4), (4,)))),
        (plus, [lambda g, _y, _a, _b: g, lambda g, _y, _a, _b: g[0]],
         dict(samples=draws((3, 4), (4,))))),
    "transposed": (
        (matmul, [lambda g, _y, _a, b: matrix_multiply(g, swap(b)),
                  lambda g, _y, a, _b: matrix_multiply(swap(a), g)],
         dict(samples=SQUARE)),
        (matmul, [lambda g, _y, _a, b: matrix_multiply(g, b),
                  lambda g, _y, a, _b: matrix_multiply(swap(a), g)],
         dict(samples=SQUARE))),
    "transposed gradient": (
        (doubled, [lambda g, _y, _x: g * 2.0], dict(samples=draws((3, 3)))),
        (doubled, [lambda g, _y, _x: swap(g) * 2.0],
         dict(samples=draws((3, 3))))),
    "off by the factor n": (
        (mean_rows, [lambda g, _y, _x: spread(g, _x) / 4.0]),
        (mean_rows, [lambda g, _y, _x: spread(g, _x)])),
    "off by 2 in a square": ((square, [lambda g, _y, x: g * x * 2.0]),
                             (square, [lambda g, _y, x: g * x])),
    "detached factor": ((cube, [lambda g, _y, x: g * x * x * 3.0]),
                        (cube, [lambda g, _y, x: g * x * x.detach() * 3.0])),
    "saved raw input": ((square, [lambda g, _y, x: g * x * 2.0]),
                        (square, [lambda g, _y, x: g * raw(x) * 2.0])),
    "saved raw output": ((exponential, [lambda g, y, _x: g * y]),
                         (exponential, [lambda g, y, _x: g * raw(y)])),
    "raw upstream of one argument": (
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=TWO)),
        (product, [lambda g, _y, _a, b: raw(g) * raw(b), lambda g, _y, a, _b: g * a],
         dict(samples=TWO))),
    "wrong axis": (
        (total, [lambda g, _y, _x: broadcast_to(g, shape=_x.shape)],
         dict(samples=draws((3, 3)))),
        (total, [lambda g, _y, _x: spread(g, _x)],
         dict(samples=draws((3, 3))))),
    "second argument forgotten": (
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=TWO)),
        (product, [lambda g, _y, _a, b: g * b, None], dict(samples=TWO))),
    "no vjp at all": ((doubled, [lambda g, _y, _x: g * 2.0]), (doubled, [])),
    "gradient of the other argument": (
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=TWO)),
        (product, [lambda g, _y, a, _b: g * a, lambda g, _y, _a, b: g * b],
         dict(samples=TWO))),
    "kernel flipped in the input gradient": (
        (conv, [lambda g, _y, _x, w: input_gradient(g, w, False),
                lambda g, _y, x, _w: weight_gradient(g, x)],
         dict(samples=IMAGE, linear=True)),
        (conv, [lambda g, _y, _x, w: input_gradient(g, w, True),
                lambda g, _y, x, _w: weight_gradient(g, x)],
         dict(samples=IMAGE, linear=True))),
    "mask with >=": ((relu, [lambda g, y, _x: g * (y > 0.0)]),
                     (relu, [lambda g, y, _x: g * (y >= 0.0)])),
    "ties shared by a fixed half": (
        (amax_rows, [lambda g, _y, x: shared_ties(g, x, True)]),
        (amax_rows, [lambda g, _y, x: shared_ties(g, x, False)])),
    "input mutated forwards": (
        (doubled, [lambda g, _y, _x: g * 2.0], dict(linear=True)),
        (doubling_in_place, [lambda g, _y, _x: g * 2.0])),
    "input mutated backwards": ((square, [lambda g, _y, x: g * x * 2.0]),
                                (square, [lambda g, _y, x: spoils_input(g, x)])),
    "output mutated backwards": (
        (doubled, [lambda g, _y, _x: g * 2.0]),
        (doubled, [lambda g, y, _x: spoils_output(g, y)])),
    "upstream mutated": ((doubled, [lambda g, _y, _x: g * 2.0]),
                         (doubled, [lambda g, _y, _x: scaled_in_place(g) * 2.0])),
    "wrong dtype kept": ((square, [lambda g, _y, x: g * x * 2.0]),
                         (always_float64, [lambda g, _y, x: g * x * 2.0])),
    "gradient of a wrong dtype": (
        (doubled, [lambda g, _y, _x: g * 2.0]),
        (doubled, [lambda g, _y, _x: ops.cast(g, dtype="float64") * 2.0])),
    "computed in half the precision": (
        (square, [lambda g, _y, x: g * x * 2.0]),
        (halves_precision, [lambda g, _y, x: g * x * 2.0])),
    "forward reads memory order": ((doubled, [lambda g, _y, _x: g * 2.0]),
                                   (by_memory_order, [lambda g, _y, _x: g * 2.0])),
    "forward depends on strides": ((doubled, [lambda g, _y, _x: g * 2.0]),
                                   (by_strides, [lambda g, _y, _x: g * 2.0])),
    "backward reads memory order": (
        (doubled, [lambda g, _y, _x: g * 2.0]),
        (doubled, [lambda g, _y, _x: in_memory_order(g) * 2.0])),
    "not repeatable": ((doubled, [lambda g, _y, _x: g * 2.0]),
                       (differs_each_time, [lambda g, _y, _x: g * len(calls)])),
    "called linear but affine": (
        (doubled, [lambda g, _y, _x: g * 2.0], dict(linear=True)),
        (shifted, [lambda g, _y, _x: g * 2.0], dict(linear=True))),
    "gradient of the wrong shape": (
        (total, [lambda g, _y, _x: broadcast_to(g, shape=_x.shape)]),
        (total, [lambda g, _y, _x: g])),
    "reads what it declared unread": (
        (product, [lambda g, _y, _a, b: g * b, lambda g, _y, a, _b: g * a],
         dict(samples=TWO)),
        (product, [lambda g, _y, _a, _b: g * _b, lambda g, _y, _a, _b: g * _a],
         dict(samples=TWO))),
}

# What the check says, where it is not that a gradient differs from the differences.
SAID = {
    "missing sum over broadcast": (GradError, "gradient of argument 0 must be"),
    "no vjp at all": (CheckFailure, "must require a gradient"),
    "input mutated forwards": (CheckFailure, "an input was changed"),
    "input mutated backwards": (CheckFailure, "an input was changed"),
    "output mutated backwards": (CheckFailure, "backward changed"),
    "upstream mutated": (CheckFailure, "backward changed"),
    "wrong dtype kept": (DtypeError, "float32"),
    "gradient of a wrong dtype": (GradError, "must be float32"),
    "forward reads memory order": (CheckFailure, "on strided memory"),
    "forward depends on strides": (CheckFailure, "on strided memory"),
    "backward reads memory order": (CheckFailure, "on strided memory, gradient 0"),
    "not repeatable": (CheckFailure, "elements differ"),
    "called linear but affine": (CheckFailure, "adjoint"),
    "gradient of the wrong shape": (GradError, "gradient of argument 0 must be"),
    "reads what it declared unread": (ArgumentError, "Spec"),
}


def build(version):
    forward, vjps, *options = version
    return op_of(forward, *vjps, **(options[0] if options else {}))


@pytest.fixture(autouse=True)
def _registry_stays():
    """Planted ops live outside the registry, which ends as it began."""
    before = dict(REGISTRY)
    yield
    assert REGISTRY == before


@pytest.mark.parametrize("name", FAULTS)
def test_right_version_passes(name):
    op = build(FAULTS[name][0])
    for seed in (0, 1):
        for sample in samples_of(op, seed):
            check_op(op, sample)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found(name, seed):
    calls.clear()
    op = build(FAULTS[name][1])
    error, said = SAID.get(name, (CheckFailure, "gradient of input"))
    with pytest.raises(error, match=said):
        for sample in samples_of(op, seed):
            check_op(op, sample)


def test_a_fault_in_one_element_of_many_is_found():
    """One wrong element of 200 shows along random directions."""

    def nearly(g, x):
        slope = np.full(x.shape, 2.0, g.dtype)
        slope[13, 7] = 2.001
        return g * Tensor(slope)

    op = op_of(doubled, lambda g, _y, x: nearly(g, x))
    with pytest.raises(CheckFailure):
        check_op(op, S(Draw()(20, 10)))


def test_gradcheck_counts_outputs_that_left_the_graph():
    """An output taken out of the graph is a lost gradient, not a constant."""
    x = Tensor(Draw()(3), True)
    gradcheck(lambda x: (x * 2.0, x * 3.0), [x])
    with pytest.raises(CheckFailure):
        gradcheck(lambda x: (x * 2.0, x.detach() * 3.0), [x])
    assert not gradcheck(lambda x: x.detach() * x, [x], raise_exception=False)
