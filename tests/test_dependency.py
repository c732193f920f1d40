"""Graphs of channels: matrices, paths, the one kernel that layers amount to."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import MinidlError
from minidl.nn.dependency import (
    composed_kernel,
    dependencies,
    grouped,
    interlace,
    path_counts,
)
from minidl.tensor import Tensor

SHUFFLES = [(6, 1), (6, 2), (6, 3), (6, 6), (24, 4), (36, 6)]


def test_known_orders_and_matrices():
    assert interlace(6, 2).tolist() == [0, 3, 1, 4, 2, 5]
    assert grouped(4, 2, 2).tolist() == [
        [True, True, False, False],
        [False] * 2 + [True] * 2,
    ]
    assert path_counts([[1, 1]], [[1], [2]]).tolist() == [[1, 1], [2, 2]]


@pytest.mark.parametrize("channels, groups", SHUFFLES)
def test_the_order_is_that_of_the_layer_and_is_undone(channels, groups):
    order, back = interlace(channels, groups), interlace(channels, channels // groups)
    x = Tensor(np.arange(channels, dtype=np.float32).reshape(1, -1, 1, 1))
    assert nn.ChannelShuffle(groups)(x).data.ravel().tolist() == order.tolist()
    np.testing.assert_array_equal(order[back], np.arange(channels))
    np.testing.assert_array_equal(back[order], np.arange(channels))
    np.testing.assert_array_equal(
        nn.ChannelShuffle(channels // groups)(nn.ChannelShuffle(groups)(x)).data, x.data
    )


@pytest.mark.parametrize("channels, groups", SHUFFLES)
def test_the_gradient_of_the_reorder_is_the_inverse_reorder(channels, groups):
    r = np.random.default_rng(0)
    x = Tensor(r.standard_normal((2, channels, 3, 2)), requires_grad=True)
    g = Tensor(r.standard_normal(x.shape))
    (back,) = minidl.grad(nn.ChannelShuffle(groups)(x), x, g)
    expected = nn.ChannelShuffle(channels // groups)(g)
    np.testing.assert_array_equal(back.data, expected.data)


def test_dependencies_pass_over_norms_and_activations():
    layers = nn.conv_bn(4, 8, 3, groups=4), nn.ChannelShuffle(2), nn.ReLU6()
    (matrix,) = dependencies([*layers[0], *layers[1:]])
    np.testing.assert_array_equal(matrix, grouped(4, 8, 4)[interlace(8, 2)])


@pytest.mark.parametrize("stride, padding", [(1, 0), (1, 1), (2, 1), ((1, 2), (0, 1))])
def test_a_composed_kernel_takes_stride_and_padding_of_the_spatial_one(stride, padding):
    layers = nn.Sequential(
        nn.Conv2d(4, 6, 1, groups=2, bias=False),
        nn.ChannelShuffle(2),
        nn.Conv2d(6, 6, 3, stride, padding, groups=3, bias=False),
        nn.ChannelShuffle(3),
        nn.Conv2d(6, 2, 1, groups=2, bias=False),
    ).to("float64")
    x = Tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 5)))
    y = F.conv2d(x, Tensor(composed_kernel(layers)), stride=stride, padding=padding)
    np.testing.assert_allclose(y.data, layers(x).data, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: interlace(6, 4), "interlace: groups must divide channels 6; got 4"),
        (lambda: interlace(0, 1), "interlace: channels must be an integer >= 1; got 0"),
        (lambda: grouped(6, 4, 3), "grouped: groups must divide out 4; got 3"),
        (lambda: path_counts([1, 2]), "path_counts: matrix 0 must have two axes"),
        (lambda: dependencies([]), "dependencies: layers must hold a convolution"),
        (
            lambda: dependencies([nn.Linear(2, 2)]),
            "dependencies: layers must be convolutions, .* got Linear after 0 conv",
        ),
        (
            lambda: dependencies([nn.ChannelShuffle(2)]),
            "dependencies: layers must be .* got ChannelShuffle after 0 conv",
        ),
        (
            lambda: composed_kernel(nn.conv_bn(4, 4, 3)),
            "composed_kernel: layers must be .* got BatchNorm2d after 1 conv",
        ),
        (
            lambda: composed_kernel([nn.Conv2d(4, 4, 1)]),
            "composed_kernel: layers must have no bias; got one",
        ),
        (
            lambda: composed_kernel([nn.Conv2d(4, 4, 3, bias=False)] * 2),
            "composed_kernel: at most one layer may be other than 1x1 .*; got 2",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(MinidlError, match=f"^{message}"):
        call()
