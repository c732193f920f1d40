"""Shake-Shake: what is declared, forwards and backwards, and the sizes of its nets."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.papers import shake_shake as ss
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

MODES = [(f, b) for f in ss.FORWARD for b in ss.BACKWARD]


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


class Times(nn.Module):
    """A branch that multiplies, so that outputs and gradients tell alpha and beta."""

    def __init__(self, factor):
        super().__init__()
        self.factor = nn.Parameter(np.float64([factor]))

    def forward(self, x):
        return x * self.factor


def found(mode, level, count=6, training=True):
    """alpha and beta of each image, read off a pass through the layer."""
    layer = ss.ShakeShake(Times(1.0), Times(0.0), mode, level).train(training)
    x = Tensor(np.ones((count, 1, 2, 2)), True)
    y = layer(x)
    g = Tensor(np.ones(y.shape))
    y.backward(g)
    alpha, beta = y.data, x.grad.data  # F1(x) = x, F2(x) = 0
    for values in (alpha, beta):  # one number for an image
        assert np.abs(values - values[:, :, :1, :1]).max() < 1e-15
    return alpha[:, 0, 0, 0], beta[:, 0, 0, 0]


@pytest.mark.parametrize("level", ["batch", "image"])
@pytest.mark.parametrize("mode", MODES)
def test_alpha_and_beta_are_what_the_mode_says(mode, level):
    alpha, beta = found(mode, level)
    for way, values in zip(mode, (alpha, beta)):
        assert (values >= 0).all() and (values < 1).all()
        if way == "even":
            assert_close(values, np.full(6, 0.5), "float64", "even")
        elif way == "keep":
            assert_close(beta, alpha, "float64", "keep")
        else:
            different = len(np.unique(values.round(12)))
            assert different == (6 if level == "image" else 1)
            assert abs(values - 0.5).max() > 1e-3
    if mode == ("shake", "shake"):
        assert np.abs(alpha - beta).min() > 1e-6  # drawn anew


@pytest.mark.parametrize("mode", MODES)
def test_all_is_even_out_of_training(mode):
    alpha, beta = found(mode, "image", training=False)
    assert_close(alpha, np.full(6, 0.5), "float64", "alpha")
    assert_close(beta, np.full(6, 0.5), "float64", "beta")


def test_draws_are_uniform_and_new_each_time():
    alpha = np.concatenate(
        [found(("shake", "even"), "image", 500)[0] for _ in range(8)]
    )
    assert len(np.unique(alpha)) == 4000
    share = np.histogram(alpha, 10, (0, 1))[0] / 4000
    assert np.abs(share - 0.1).max() < 5.5 * np.sqrt(0.09 / 4000)


def test_gradients_of_both_branches():
    """``dF1 = beta g`` and ``dF2 = (1 - beta) g`` for any upstream gradient."""
    a, b = (Tensor(Draw(i)(3, 2, 2), True) for i in (1, 2))
    alpha, beta = Tensor(Draw(3).positive(3, 1, 1)), Tensor(Draw(4).positive(3, 1, 1))
    y, g = ss.shake(a, b, alpha, beta), images(3, 2, 2, seed=5)
    y.backward(g)
    mixed = alpha.data * a.data + (1 - alpha.data) * b.data
    assert_close(y.data, mixed, "float64", "forward")
    assert_close(a.grad.data, beta.data * g.data, "float64", "dF1")
    assert_close(b.grad.data, (1 - beta.data) * g.data, "float64", "dF2")


def test_keep_is_the_true_gradient():
    class Fixed(ss.ShakeShake):
        def _drawn(self, way, like):
            return 0.3

    net = Fixed(ss.branch(2, 2), ss.branch(2, 2), ("shake", "keep"))
    check_layer(net.to("float64"), images(3, 2, 4, 4))


def test_derivatives_of_an_even_block_and_of_the_way_around():
    net = ss.block(2, 4, 2, ("even", "even")).to("float64")
    check_layer(net, images(2, 2, 5, 5))


def test_the_second_path_is_one_pixel_away():
    x = Tensor(np.arange(36.0).reshape(1, 1, 6, 6))
    plain, moved = ss.Thinned(2)(x).data[0, 0], ss.Thinned(2, True)(x).data[0, 0]
    assert np.array_equal(plain, x.data[0, 0, ::2, ::2])
    assert np.array_equal(moved, x.data[0, 0, 1::2, 1::2])
    odd = Tensor(np.ones((1, 1, 5, 5)))
    assert ss.Thinned(2, True)(odd).data[0, 0].tolist() == [[1, 1, 0]] * 2 + [[0, 0, 0]]


@pytest.mark.parametrize(
    "depth, width, parameters", [(26, 32, 2_923_162), (20, 16, 541_082)]
)
def test_sizes_of_nets(depth, width, parameters):
    net = ss.shake_shake(depth, width)
    assert sum(p.numel() for p in net.parameters()) == parameters


def test_branches_learn_apart():
    net = ss.shake_shake(8, 4, classes=3)
    shaken = net[2][0] if isinstance(net[2], nn.Sequential) else None
    layers = [m for m in net.modules() if isinstance(m, ss.ShakeShake)]
    assert shaken is None and len(layers) == 3
    x = Tensor(np.ones((2, 3, 8, 8), np.float32))
    F.sum(net(x) ** 2).backward()
    for layer in layers:
        one, other = (
            next(b.parameters()).grad.data for b in (layer.first, layer.second)
        )
        assert not np.array_equal(one, other)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ss.shake_shake(27), "depth must be 6 n \\+ 2; got 27"),
        (lambda: ss.block(2, 2, mode=("keep", "even")), "forward mode"),
        (lambda: ss.block(2, 2, mode=("even", "shaek")), "did you mean shake"),
        (lambda: ss.block(2, 2, level="pixel"), "level"),
        (lambda: ss.Thinned(0), "stride must be an integer >= 1; got 0"),
        (
            lambda: ss.ShakeShake(nn.Identity(), nn.Conv2d(1, 2, 1))(
                Tensor(np.ones((1, 1, 2, 2), np.float32))
            ),
            "both branches must give one shape",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError, MinidlError), match=message):
        call()
