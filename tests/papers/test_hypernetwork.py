"""HyperNetworks: kernels by hand, their rank, tiles, sizes."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import hypernetwork as hn
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def generator(*args, **options):
    return hn.KernelGenerator(*args, **options).to("float64")


def test_kernels_by_hand():
    net, z = generator(3, 2, 2, z_dim=4, hidden=5), Draw(0)(6, 4)
    for p in net.parameters():
        p.data[...] = Draw(p.numel())(*p.shape)
    kernels = net(Tensor(z)).data
    assert kernels.shape == (6, 2, 3, 2, 2)
    for t, i in np.ndindex(6, 3):
        a = net.weight.data[i] @ z[t] + net.offset.data[i]
        k = net.weight_out.data @ a + net.offset_out.data
        assert_close(kernels[t, :, i], k.reshape(2, 2, 2), "float64", "K_i")


def test_kernels_of_all_z_span_one_dimension_more_than_z():
    net = generator(16, 16, 7, z_dim=4)
    for p in net.parameters():
        p.data[...] = Draw(p.numel())(*p.shape)
    kernels = net(Tensor(Draw(0)(40, 4))).data.reshape(40, -1)
    assert np.linalg.matrix_rank(kernels) == 5


def test_two_linear_layers_are_one():
    """kernel(z) - kernel(0) is linear in z."""
    net = generator(3, 2, 3, z_dim=4)
    a, b = Draw(0)(2, 1, 4)
    at = lambda z: net(Tensor(z)).data  # noqa: E731
    zero = at(np.zeros((1, 4)))
    mixed = at(2 * a - 3 * b) - zero
    assert_close(mixed, 2 * (at(a) - zero) - 3 * (at(b) - zero), "float64", "linear")


def test_tiles_lie_where_they_belong():
    layer = hn.HyperConv2d(4, 6, generator(2, 3, 3, z_dim=2)).to("float64")
    tiles, kernel = layer.generator(layer.z).data, layer.kernel().data
    assert kernel.shape == (6, 4, 3, 3) and len(tiles) == 4
    for row, column in np.ndindex(2, 2):
        part = kernel[3 * row : 3 * row + 3, 2 * column : 2 * column + 2]
        assert np.array_equal(part, tiles[2 * row + column])


def test_it_is_a_convolution_with_that_kernel():
    layer = hn.HyperConv2d(4, 6, generator(2, 3, 3, z_dim=2), 2, 1).to("float64")
    layer.bias.data[...] = Draw(1)(6)
    x = Tensor(Draw(0)(2, 4, 5, 6))
    y = F.conv2d(x, layer.kernel(), layer.bias, 2, 1)
    assert_close(layer(x).data, y.data, "float64", "y")


def test_derivatives():
    layer = hn.HyperConv2d(2, 4, generator(2, 2, 2, z_dim=2, hidden=3)).to("float64")
    check_layer(layer, Tensor(Draw(0)(2, 2, 3, 3)))


def test_layers_may_share_a_generator():
    shared = generator(2, 2, 3, z_dim=3)
    net = nn.Sequential(
        hn.HyperConv2d(2, 4, shared, padding=1), hn.HyperConv2d(4, 2, shared, padding=1)
    ).to("float64")
    own = sum(p.numel() for p in net.parameters())
    core = sum(p.numel() for p in shared.parameters())
    assert own == core + (2 + 2) * 3 + 4 + 2
    F.sum(net(Tensor(Draw(0)(1, 2, 4, 4))) ** 2).backward()
    assert shared.weight.grad is not None and net[1].z.grad is not None


def test_kernels_start_with_the_variance_that_he_asks_for():
    net = generator(16, 16, 3, z_dim=64)
    kernels = net(Tensor(Draw(0)(50, 64))).data
    assert 0.8 < kernels.var() / (2 / (16 * 9)) < 1.25


# Sizes


def test_the_second_layer_of_the_mnist_net():
    assert hn.generator_parameters(16, 16, 7, 4, 4) == 4_240
    layer = models.create("hypernet")[3]
    assert sum(p.numel() for p in layer.generator.parameters()) == 4_240
    assert layer.z.numel() == 4 and layer.kernel().numel() == 12_544


def test_wide_resnets():
    assert hn.generator_parameters(16, 16, 3, 64, 64) == 75_920
    assert (hn.wide_resnet_tiles(40, 1), hn.wide_resnet_tiles(40, 2)) == (242, 966)
    assert 242 * 64 == 15_488 and 966 * 64 == 61_824
    layer = hn.HyperConv2d(32, 64, hn.KernelGenerator())
    assert layer.z.shape == (8, 64)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: hn.KernelGenerator(0), "in_channels must be an integer >= 1; got 0"),
        (lambda: hn.KernelGenerator(z_dim=0), "z_dim must be an integer >= 1; got 0"),
        (lambda: generator()(Tensor(np.ones((2, 3)))), r"z must be \(tiles, 64\)"),
        (lambda: hn.HyperConv2d(24, 16, generator()), "24 and 16 must be multiples"),
        (lambda: hn.wide_resnet_tiles(41), "depth must be 6 n \\+ 4; got 41"),
        (lambda: models.create("hypernet", (1, 3, 3)), "images must be at least 4x4"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        call()
