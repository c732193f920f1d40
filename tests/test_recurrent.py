"""LSTMCell: number by number, its derivatives, and beside torch."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer, gradcheck, gradgradcheck


@pytest.fixture
def cell():
    minidl.manual_seed(0)
    return nn.LSTMCell(3, 2).to("float64")


def reference(cell, x, h, c):
    """The equations of the docstring, for one example and one unit at a time."""
    w, u, b = cell.weight_ih.data, cell.weight_hh.data, cell.bias_ih.data
    b = b + cell.bias_hh.data
    size = h.shape[1]
    new_h, new_c = np.zeros_like(h), np.zeros_like(c)
    for n in range(len(x)):
        for k in range(size):
            i, f, g, o = (
                sum(w[r] * x[n]) + sum(u[r] * h[n]) + b[r]
                for r in (k, size + k, 2 * size + k, 3 * size + k)
            )
            i, f, o = (1 / (1 + np.exp(-v)) for v in (i, f, o))
            new_c[n, k] = f * c[n, k] + i * np.tanh(g)
            new_h[n, k] = o * np.tanh(new_c[n, k])
    return new_h, new_c


def test_by_hand_and_from_zeros(cell):
    r = Draw(1)
    x, h, c = r(4, 3), r(4, 2), r(4, 2)
    found = cell(Tensor(x), (Tensor(h), Tensor(c)))
    for a, b in zip(found, reference(cell, x, h, c)):
        assert_close(a.data, b, "float64", "step")
    zeros = np.zeros((4, 2))
    for a, b in zip(cell(Tensor(x)), reference(cell, x, zeros, zeros)):
        assert_close(a.data, b, "float64", "first step")


def test_derivatives_over_two_steps(cell):
    def run(x, h, c):
        h, c = cell(x, (h, c))
        h, c = cell(x * h.sum(1, keepdim=True), (h, c))
        return h * 2 + c

    r = Draw(2)
    args = [Tensor(r(*s), True) for s in ((2, 3), (2, 2), (2, 2))]
    gradcheck(run, args)
    gradgradcheck(run, args)


def test_parameters_get_their_gradients(cell):
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, x):
            state = self.cell(x)
            h, c = self.cell(x * 0.5, state)
            return h + c

    check_layer(Twice(), Tensor(Draw(3)(2, 3)))


def test_beside_torch(cell):
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    other = torch.nn.LSTMCell(3, 2).double()
    state = {k: torch.tensor(v.numpy()) for k, v in cell.state_dict().items()}
    other.load_state_dict(state)
    r = Draw(4)
    x, h, c, g = r(4, 3), r(4, 2), r(4, 2), r(4, 2)
    tensors = [torch.tensor(v, requires_grad=True) for v in (x, h, c)]
    ours = [Tensor(v, True) for v in (x, h, c)]
    th, tc = other(tensors[0], (tensors[1], tensors[2]))
    oh, oc = cell(ours[0], (ours[1], ours[2]))
    assert_close(oh.data, th.detach().numpy(), "float64", "h")
    assert_close(oc.data, tc.detach().numpy(), "float64", "c")
    (th + 2 * tc).backward(torch.tensor(g))
    (oh + oc * 2).backward(Tensor(g))
    for name, a, b in zip("xhc", ours, tensors):
        assert_close(a.grad.data, b.grad.numpy(), "float64", f"gradient of {name}")
    named = dict(other.named_parameters())
    for name, p in cell.named_parameters():
        assert_close(p.grad.data, named[name].grad.numpy(), "float64", name)


def test_bad_arguments(cell):
    with pytest.raises(ArgumentError, match="LSTMCell: hidden_size must be"):
        nn.LSTMCell(3, 0)
    with pytest.raises(ShapeError, match=r"x must be \(N, 3\); got \(4, 2\)"):
        cell(Tensor(np.ones((4, 2))))
