"""Residual nets: known sizes, and blocks that are left out."""

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.autograd import no_grad
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import resnet
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def small(**options):
    return resnet.ResNet((1, 2), (4, 6), 2, 3, **options).to("float64")


def settled(net, x):
    """In eval mode, with statistics that are not those of the start."""
    for i in range(3):
        net.train()(images(*x.shape, seed=10 + i))
    return net.eval()


@pytest.mark.parametrize("depth, parameters", [(20, 269_722), (110, 1_727_962)])
def test_sizes_by_counting_layers(depth, parameters):
    """9 weights a pair of channels, two numbers a norm, and the linear layer."""
    n = (depth - 2) // 6
    counted = 9 * 3 * 16 + 2 * 16 + 64 * 10 + 10
    for before, out in ((16, 16), (16, 32), (32, 64)):
        counted += 9 * (before * out + (2 * n - 1) * out * out) + 4 * n * out
    assert counted == parameters
    assert nn.count(resnet.resnet(depth), (3, 32, 32)).parameters == parameters


def test_a_block_by_hand():
    block = resnet.Block(2, 5, 2).to("float64").eval()
    x = images(2, 2, 5, 6)
    short = np.zeros((2, 5, 3, 3))
    short[:, :2] = x.data[:, :, ::2, ::2]
    assert np.array_equal(block.shortcut(x).data, short)
    expected = np.maximum(block.body(x).data + short, 0)
    assert_close(block(x).data, expected, "float64", "block")


def test_derivatives():
    check_layer(resnet.Block(2, 3, 2), images(2, 2, 3, 4))
    check_layer(resnet.ResNet((1,), (3,), 2, 2), images(2, 2, 3, 3))


def test_all_blocks_kept_is_the_net_itself():
    net, x = small(), images(4, 2, 6, 5)
    keep = Tensor(np.ones((4, 3)))
    for training in (True, False):
        net.train(training)
        assert_close(net(x, keep).data, net(x).data, "float64", "all kept")


def test_what_is_left_out_is_the_shortcut_alone():
    net, x = small(), images(4, 2, 6, 5)
    settled(net, x)
    y = net.stem(x)
    for block in net.blocks:
        y = block.shortcut(y)
    none = net(x, Tensor(np.zeros((4, 3))))
    assert_close(none.data, net.head(y).data, "float64", "none kept")


def test_images_that_differ_in_their_blocks():
    """Together as each alone, and in training mode's formula as in the other's."""
    net, x = small(), images(5, 2, 6, 5)
    settled(net, x)
    keep = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0], [1, 0, 1.0]])
    y = net(x, Tensor(keep)).data
    for n in range(5):
        alone = net(x[n : n + 1], Tensor(keep[n : n + 1])).data
        assert_close(y[n : n + 1], alone, "float64", f"image {n}")
    for block in net.blocks:
        block.training = True  # its norms stay as they are
    assert_close(net(x, Tensor(keep)).data, y, "float64", "mixed")


def test_blocks_compute_only_images_that_keep_them():
    net, x = small(), images(5, 2, 6, 5)
    settled(net, x)
    seen = []
    for i, block in enumerate(net.blocks):
        inner = block.body.forward
        block.body.forward = lambda h, i=i, f=inner: (
            seen.append((i, len(h.data))) or f(h)
        )
    keep = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 1], [0, 0, 0], [1, 0, 1.0]])
    with no_grad():
        net(x, Tensor(keep))
    assert seen == [(0, 3), (2, 3)]


def test_a_block_nobody_keeps_gets_no_gradient():
    net, x = small(), images(4, 2, 6, 5)
    keep = np.ones((4, 3))
    keep[:, 1] = 0
    settled(net, x)(x, Tensor(keep)).sum().backward()
    assert all(p.grad is None for p in net.blocks[1].parameters())
    net.zero_grad()
    net.train()(x, Tensor(keep)).sum().backward()
    assert all(not p.grad.data.any() for p in net.blocks[1].parameters())
    assert all(p.grad.data.any() for p in net.blocks[2].body[0].parameters())


def test_keep_gets_a_gradient_while_training():
    block, x = resnet.Block(2, 3, 2).to("float64"), images(4, 2, 3, 4)
    keep = Tensor(np.array([0.0, 1.0, 0.3, 1.0]), True)
    g = Draw(9)(4, 3, 2, 2)
    resnet.run_or_skip(block, x, keep).backward(Tensor(g))
    with no_grad():
        gain = (block(x) - block.shortcut(x)).data
    assert_close(keep.grad.data, (g * gain).sum((1, 2, 3)), "float64", "keep")


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: resnet.resnet(21), ArgumentError, "depth must be 6 n"),
        (lambda: resnet.resnet(2), ArgumentError, "depth must be an integer >= 8"),
        (lambda: resnet.ResNet((1,), (4, 8)), ArgumentError, "1 stages; got 2"),
        (lambda: resnet.ResNet((), ()), ArgumentError, "widths must be given"),
        (lambda: resnet.ResNet((0,), (4,)), ArgumentError, "blocks of a stage"),
        (lambda: resnet.Shortcut(4, 3), ArgumentError, "out must be an integer >= 4"),
        (
            lambda: small()(images(2, 2, 6, 6), Tensor(np.ones((2, 2)))),
            ShapeError,
            r"keep must be \(2, 3\); got \(2, 2\)",
        ),
        (
            lambda: resnet.run_or_skip(
                resnet.Block(2, 2), images(2, 2, 3, 3), Tensor(np.ones(3))
            ),
            ShapeError,
            r"keep must be \(2,\); got \(3,\)",
        ),
        (
            lambda: small().eval()(images(2, 2, 6, 6), Tensor(np.full((2, 3), 0.5))),
            ArgumentError,
            "got 0.5",
        ),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
