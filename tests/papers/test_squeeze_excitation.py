"""Squeeze and excitation: its gate, its place, its cost and SE-ResNet-50."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import squeeze_excitation as se
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape):
    return Tensor(np.random.default_rng(0).normal(size=shape))


def layer(channels=4, reduction=2, bias=True):
    return se.SqueezeExcitation(channels, reduction, bias).to("float64")


def test_the_formula_by_hand():
    gate, x = layer(6, 3), images(2, 6, 3, 5)
    w1, b1 = gate.squeeze.weight.data, gate.squeeze.bias.data
    w2, b2 = gate.excite.weight.data, gate.excite.bias.data
    assert w1.shape == (2, 6) and w2.shape == (6, 2)
    hidden = np.maximum(x.data.mean((2, 3)) @ w1.T + b1, 0)
    s = 1 / (1 + np.exp(-(hidden @ w2.T + b2)))
    assert_close(gate(x).data, s[:, :, None, None] * x.data, "float64", "output")


def test_without_second_weights_the_input_is_halved():
    gate, x = layer(), images(2, 4, 3, 3)
    gate.excite.weight.data[...] = 0
    gate.excite.bias.data[...] = 0
    assert np.array_equal(gate(x).data, x.data / 2)


def test_a_large_bias_opens_the_gate():
    gate, x = layer(), images(2, 4, 3, 3)
    gate.excite.bias.data[...] = 50
    assert_close(gate(x).data, x.data, "float64", "open gate")


def test_pixels_may_be_shuffled():
    gate, x = layer(), images(2, 4, 3, 4)
    order = np.random.default_rng(1).permutation(12)

    def shuffled(a):
        return a.reshape(2, 4, 12)[:, :, order].reshape(2, 4, 3, 4)

    moved = gate(Tensor(shuffled(x.data))).data
    assert_close(moved, shuffled(gate(x).data), "float64", "shuffled pixels")


@pytest.mark.parametrize("bias", [True, False])
def test_derivatives(bias):
    check_layer(layer(bias=bias), images(2, 4, 3, 2))


def test_derivatives_of_a_residual_block():
    body = nn.Conv2d(2, 4, 3, padding=1)
    block = se.se_residual(body, 4, 2, nn.Conv2d(2, 4, 1))
    check_layer(block, images(2, 2, 3, 3))


def test_the_gate_stands_before_the_addition():
    block = se.se_residual(nn.Identity(), 4, 2).to("float64")
    gate = block.body[1]
    gate.excite.weight.data[...] = 0
    gate.excite.bias.data[...] = -50
    x = images(2, 4, 3, 3)
    assert_close(block(x).data, x.data, "float64", "a closed gate leaves the identity")
    gate.excite.bias.data[...] = 0
    assert_close(block(x).data, 1.5 * x.data, "float64", "half of the body")


COSTS = [  # channels, reduction, weights, with biases
    (256, 16, 8_192, 8_464),
    (64, 4, 2_048, 2_128),
    (20, 16, 40, 61),
]


@pytest.mark.parametrize("channels, reduction, weights, biased", COSTS)
def test_cost(channels, reduction, weights, biased):
    for bias, parameters in ((False, weights), (True, biased)):
        model = se.SqueezeExcitation(channels, reduction, bias)
        counted = nn.count(model, (channels, 3, 3))
        assert counted == (parameters, 0, weights)
        assert se.se_cost(channels, reduction, bias) == (parameters, weights)
    if channels % reduction == 0:
        assert weights == 2 * channels**2 // reduction


def test_se_resnet_50_group_by_group():
    model = se.se_resnet50()
    gates = [m for m in model.modules() if isinstance(m, se.SqueezeExcitation)]
    assert [g.channels for g in gates] == 3 * [256] + 4 * [512] + 6 * [1024] + 3 * [
        2048
    ]
    counted = nn.count(model, (3, 64, 64))
    extra = sum(se.se_cost(g.channels)[0] for g in gates)
    assert extra == 2_530_992
    assert counted.parameters == 28_088_024 == 25_557_032 + extra


def test_resnet_50_itself():
    model = se.se_resnet50(reduction=None)
    assert sum(p.numel() for p in model.parameters()) == 25_557_032


REFUSED = [
    (lambda: layer(8, 9), ArgumentError, "reduction must be at most channels 8.*got 9"),
    (lambda: layer(8, 0), ArgumentError, "SqueezeExcitation: reduction must be an"),
    (lambda: layer(0, 1), ArgumentError, "SqueezeExcitation: channels must be an int"),
    (
        lambda: layer(8.0, 1),
        ArgumentError,
        "SqueezeExcitation: channels must be an int",
    ),
    (lambda: se.se_cost(8), ArgumentError, "SqueezeExcitation: reduction must be at"),
    (
        lambda: layer()(images(2, 3, 3, 3)),
        ShapeError,
        r"SqueezeExcitation: input must be \(N, 4, H, W\); got \(2, 3, 3, 3\)",
    ),
    (lambda: layer()(images(2, 4)), ShapeError, r"SqueezeExcitation: input.*\(2, 4\)"),
]


@pytest.mark.parametrize("call, kind, text", REFUSED)
def test_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
