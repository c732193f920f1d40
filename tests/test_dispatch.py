"""Modules to choose from: every row passes its own, and no other is called."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, gradcheck, gradgradcheck


class Times(nn.Module):
    """Multiplies, and counts the rows that it was given."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(np.float64([factor]))
        self.calls = []

    def forward(self, x):
        self.calls.append(x.shape[0])
        return x * self.factor


def choices(*values, dtype=np.int64):
    return Tensor(np.array(values, dtype))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64, np.float32])
@pytest.mark.parametrize("choice", [(0, 2, 1, 2, 0), (2, 2, 2, 2, 2), (1, 0, 0, 1, 0)])
def test_every_row_passes_the_module_it_chose(choice, dtype):
    modules = [Times(f) for f in (2.0, 3.0, 5.0)]
    x = Draw(0)(5, 2, 3)
    y = nn.dispatch(modules, Tensor(x), choices(*choice, dtype=dtype))
    factor = np.array([2.0, 3.0, 5.0])[list(choice)]
    assert np.array_equal(y.data, x * factor[:, None, None])
    for i, module in enumerate(modules):
        assert module.calls == [choice.count(i)] * (i in choice)


def test_gradients_to_second_order_and_none_for_those_not_chosen():
    modules = [Times(f) for f in (2.0, 3.0, 5.0)]
    choice = choices(2, 0, 2, 0)

    def f(x, a, b):
        chosen = [lambda v: v * v * a, None, lambda v: v * b]
        return nn.dispatch(chosen, x, choice)

    r = Draw(1)
    args = [Tensor(r(*s), True) for s in ((4, 3), (1,), (1,))]
    gradcheck(f, args)
    gradgradcheck(f, args)
    y = nn.dispatch(modules[1:2] + [Times(7.0)], Tensor(r(3, 2)), choices(1, 1, 1))
    y.sum().backward()
    assert modules[1].factor.grad is None


def test_a_norm_takes_the_mean_of_its_own_rows():
    minidl.manual_seed(0)
    norms = [nn.BatchNorm2d(2).to("float64") for _ in range(2)]
    x = Draw(2)(6, 2, 3, 3)
    y = nn.dispatch(norms, Tensor(x), choices(0, 1, 1, 0, 0, 1)).data
    for rows in ([0, 3, 4], [1, 2, 5]):
        assert_close(y[rows].mean((0, 2, 3)), np.zeros(2), "float64", "mean")


@pytest.mark.parametrize(
    "choice, error, message",
    [
        ([0, 1], ShapeError, r"choice must be \(3,\).*got \(2,\)"),
        ([0, 2, 1], ArgumentError, "one of 2 modules, counted from 0; got 2"),
        ([0, -1, 1], ArgumentError, "got -1"),
        ([0, 0.5, 1], ArgumentError, "got 0.5"),
        ([0, np.nan, 1], ArgumentError, "got nan"),
    ],
)
def test_bad_choices(choice, error, message):
    modules = [Times(2.0), Times(3.0)]
    with pytest.raises(error, match=message):
        nn.dispatch(modules, Tensor(np.ones((3, 2))), Tensor(np.array(choice)))


def test_no_rows():
    with pytest.raises(ShapeError, match="x must have a row"):
        nn.dispatch([Times(1.0)], Tensor(np.ones((0, 2))), Tensor(np.zeros(0)))
