"""Active and sparse shift: the interpolation, its gradients, how they are trained."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn, optim
from minidl.errors import MinidlError
from minidl.papers import active_shift as active
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer, gradcheck, gradgradcheck

R = Draw(11)


def corners(x, alpha, beta):
    """Z00, Z10, Z01, Z11 of every pixel, zero outside, and the parts a and b."""
    _, channels, height, width = x.shape
    low = np.floor(alpha).astype(int), np.floor(beta).astype(int)
    found = []
    for down, right in ((0, 0), (1, 0), (0, 1), (1, 1)):
        z = np.zeros_like(x)
        for c in range(channels):
            for i in range(height):
                for j in range(width):
                    p, q = i + low[0][c] + down, j + low[1][c] + right
                    if 0 <= p < height and 0 <= q < width:
                        z[:, c, i, j] = x[:, c, p, q]
        found.append(z)
    a, b = ((d - n)[:, None, None] for d, n in zip((alpha, beta), low))
    return *found, a, b


def case(n=2, channels=5, height=4, width=6):
    """An image and displacements off the grid, some beyond the border."""
    alpha = np.array([0.3, -1.6, 2.4, -0.2, 5.5])[:channels]
    beta = np.array([-0.7, 1.2, 0.5, -7.3, 0.1])[:channels]
    return R(n, channels, height, width), alpha, beta


def test_it_is_the_papers_interpolation():
    x, alpha, beta = case()
    z00, z10, z01, z11, a, b = corners(x, alpha, beta)
    y = (1 - a) * (1 - b) * z00 + a * (1 - b) * z10 + (1 - a) * b * z01 + a * b * z11
    found = active.active_shift(Tensor(x), Tensor(alpha), Tensor(beta))
    assert_close(found.data, y, "float64", "bilinear")


def test_gradients_by_displacements_are_the_papers():
    x, alpha, beta = case()
    z00, z10, z01, z11, a, b = corners(x, alpha, beta)
    g = R(*x.shape)
    down = (1 - b) * (z10 - z00) + b * (z11 - z01)
    right = (1 - a) * (z01 - z00) + a * (z11 - z10)
    ta, tb = (Tensor(d, requires_grad=True) for d in (alpha, beta))
    active.active_shift(Tensor(x), ta, tb).backward(Tensor(g))
    assert_close(ta.grad.data, (g * down).sum(axis=(0, 2, 3)), "float64", "alpha")
    assert_close(tb.grad.data, (g * right).sum(axis=(0, 2, 3)), "float64", "beta")


def test_whole_displacements_are_a_shift():
    x, alpha, beta = R(2, 3, 4, 5), np.array([1.0, -2, 0]), np.array([0.0, 1, -3])
    expected = F.shift(Tensor(x), dy=[-1, 2, 0], dx=[0, -1, 3])
    for move in (active.active_shift, active.sparse_shift):
        found = move(Tensor(x), Tensor(alpha), Tensor(beta))
        assert np.array_equal(found.data, expected.data)


def test_first_and_second_derivatives():
    x, alpha, beta = (Tensor(a, requires_grad=True) for a in case())
    gradcheck(active.active_shift, (x, alpha, beta))
    gradgradcheck(active.active_shift, (x, alpha, beta))
    minidl.manual_seed(3)
    check_layer(active.ActiveShift2d(4), Tensor(R(2, 4, 3, 5)))


def test_sparse_shift_rounds_forwards_and_interpolates_backwards():
    x, alpha, beta = case()
    g = R(*x.shape)
    xs = [Tensor(a, requires_grad=True) for a in (x, alpha, beta)]
    ys = [Tensor(a, requires_grad=True) for a in (x, alpha, beta)]
    y = active.sparse_shift(*xs)
    rounded = [np.floor(d + 0.5) for d in (alpha, beta)]
    hard = active.active_shift(ys[0], Tensor(rounded[0]), Tensor(rounded[1]))
    assert np.array_equal(y.data, hard.data)
    y.backward(Tensor(g))
    hard.backward(Tensor(g))
    assert_close(xs[0].grad.data, ys[0].grad.data, "float64", "x: of the whole shift")
    active.active_shift(Tensor(x), ys[1], ys[2]).backward(Tensor(g))
    for ours, soft in zip(xs[1:], ys[1:]):
        assert_close(ours.grad.data, soft.grad.data, "float64", "as if not rounded")


def test_penalty_and_its_gradient():
    minidl.manual_seed(0)
    net = nn.Sequential(active.ActiveShift2d(3), nn.ReLU(), active.ActiveShift2d(2))
    expected = 0.1 * sum(np.abs(p.data).sum() for p in net.parameters())
    value = active.penalty(net, 0.1)
    assert_close(value.item(), expected, "float32", "penalty")
    value.backward()
    for p in net.parameters():
        assert_close(p.grad.data, 0.1 * np.sign(p.data), "float32", "its gradient")
    with pytest.raises(MinidlError, match="must have an ActiveShift2d"):
        active.penalty(nn.ReLU())


def test_gradients_of_length_one():
    net = active.ActiveShift2d(3)
    active.normalise(net)  # before any backward: nothing to do
    net.alpha.grad = Tensor(np.array([3.0, 0, -2], "f"))
    net.beta.grad = Tensor(np.array([4.0, 0, 0], "f"))
    active.normalise(net)
    assert_close(net.alpha.grad.data, np.array([0.6, 0, -1], "f"), "float32", "alpha")
    assert_close(net.beta.grad.data, np.array([0.8, 0, 0], "f"), "float32", "beta")


def test_displacements_learn_where_the_image_went():
    minidl.manual_seed(0)
    smooth = np.cumsum(np.cumsum(R(4, 2, 12, 12), axis=2), axis=3)
    x, truth = Tensor(smooth), Tensor(np.array([0.8, -1.3]))
    target = active.active_shift(x, truth, -truth)
    layer = active.ActiveShift2d(2, reach=0.3).to("float64")
    optimizer = optim.Adam(layer.parameters(), 0.05)
    for _ in range(200):
        loss = F.mse_loss(layer(x), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert np.abs(layer.alpha.data - truth.data).max() < 0.05
    assert np.abs(layer.beta.data + truth.data).max() < 0.05


def test_parameter_groups():
    net = nn.Sequential(nn.Conv2d(2, 3, 1), active.ActiveShift2d(3))
    groups = active.parameter_groups(net, 0.1, weight_decay=0.01)
    optimizer = optim.SGD(groups, 1.0)
    rates = [g["lr"] for g in optimizer.param_groups]
    assert rates == [0.1, 0.1 * 1e-3]
    assert [g["weight_decay"] for g in optimizer.param_groups] == [0.01, 0.0]
    assert [len(g["params"]) for g in groups] == [2, 2]


def test_bad_input_is_one_clear_error():
    x = Tensor(R(1, 3, 4, 4))
    with pytest.raises(MinidlError, match=r"alpha must be \(C,\).*got \(2,\)"):
        active.active_shift(x, Tensor(R(2)), Tensor(R(3)))
    with pytest.raises(MinidlError, match="beta must be"):
        active.sparse_shift(x, Tensor(R(3)), Tensor(R(3, 1)))
    with pytest.raises(MinidlError, match="channels must be"):
        active.ActiveShift2d(0)
    with pytest.raises(MinidlError, match="reach must be"):
        active.ActiveShift2d(2, reach=-1)
