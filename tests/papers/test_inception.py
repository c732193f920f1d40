"""Inception: the module's branches, the table of GoogLeNet and its counts."""

import numpy as np
import pytest
from itemised import itemised

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers.inception import GROUPS, Inception, Widths, googlenet, inception_cost
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

# Module: channels in, widths (1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5, pool), channels
# out, weights without biases, side of the image in GoogLeNet.
MODULES = {
    "3a": (192, (64, 96, 128, 16, 32, 32), 256, 163_328, 28),
    "3b": (256, (128, 128, 192, 32, 96, 64), 480, 388_096, 28),
    "4a": (480, (192, 96, 208, 16, 48, 64), 512, 375_552, 14),
    "4b": (512, (160, 112, 224, 24, 64, 64), 512, 448_512, 14),
    "4c": (512, (128, 128, 256, 24, 64, 64), 512, 509_440, 14),
    "4d": (512, (112, 144, 288, 32, 64, 64), 528, 604_672, 14),
    "4e": (528, (256, 160, 320, 32, 128, 128), 832, 867_328, 14),
    "5a": (832, (256, 160, 320, 32, 128, 128), 832, 1_042_432, 7),
    "5b": (832, (384, 192, 384, 48, 128, 128), 1024, 1_442_816, 7),
}
SMALL = Widths(2, 2, 3, 1, 2, 2)
NAIVE = Widths(2, None, 3, None, 2, None)


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape):
    return Tensor(np.random.default_rng(0).normal(size=shape))


def test_the_table_is_the_papers():
    ours = [tuple(widths) for rows in GROUPS.values() for widths in rows]
    assert ours == [row[1] for row in MODULES.values()]


@pytest.mark.parametrize("name", MODULES)
def test_module(name):
    channels, widths, out, weights, side = MODULES[name]
    module = Inception(channels, widths)
    assert Widths(*widths).out(channels) == out
    counted = nn.count(module, (channels, 7, 7))
    assert counted == (weights + sum(widths), 0, 49 * weights)
    assert inception_cost(channels, widths, (7, 7)) == (weights, 49 * weights)


def test_googlenet_module_by_module():
    summary = nn.summary(googlenet(), (3, 224, 224))
    parts = itemised(summary)
    stem = 7 * 7 * 3 * 64, 64 * 64, 9 * 64 * 192
    expected = {
        "stem": (
            sum(stem) + 64 + 64 + 192,
            112**2 * stem[0] + 56**2 * (stem[1] + stem[2]),
        )
    }
    for name, (_, widths, _, weights, side) in MODULES.items():
        expected[name] = weights + sum(widths), side**2 * weights
    expected["linear"] = 1024 * 1000 + 1000, 1024 * 1000
    assert {name: cost for name, cost in parts.items() if cost[0]} == expected
    assert summary.total[:2] == (6_998_552, 1_582_671_872)
    assert summary.rows[-1].shape == (1, 1000)


def test_googlenet_has_as_many_weights_and_biases_as_known():
    sizes = [(p.ndim, p.numel()) for p in googlenet().parameters()]
    assert sum(n for ndim, n in sizes if ndim > 1) == 6_990_272
    assert sum(n for ndim, n in sizes if ndim == 1) == 8_280


def test_without_reductions_3a_costs_more_and_gives_more():
    naive = Widths(64, None, 128, None, 32, None)
    assert naive.out(192) == 416
    assert inception_cost(192, naive, (1, 1)) == (387_072, 387_072)
    model = Inception(192, naive)
    assert nn.count(model, (192, 3, 3)) == (387_072 + 224, 0, 9 * 387_072)
    assert model(Tensor(np.zeros((1, 192, 3, 3), "float32"))).shape == (1, 416, 3, 3)


def test_branches_that_copy_their_input():
    """With ones in the centre of every kernel: x, x, x and the pooled x, positive."""
    module = Inception(3, Widths(3, 3, 3, 3, 3, 3)).to("float64")
    for p in module.parameters():
        p.data[...] = 0
        if p.ndim == 4:
            p.data[:, :, p.shape[2] // 2, p.shape[3] // 2] = np.eye(3)
    x = images(2, 3, 4, 5)
    seen = np.maximum(x.data, 0)
    pooled = F.max_pool2d(x, kernel_size=3, stride=1, padding=1).data
    expected = np.concatenate([seen] * 3 + [np.maximum(pooled, 0)], 1)
    assert_close(module(x).data, expected, "float64", "copies")


@pytest.mark.parametrize("widths", [SMALL, NAIVE], ids=["reduced", "naive"])
def test_mirrored_images_with_mirrored_kernels(widths):
    module, x = Inception(3, widths).to("float64"), images(2, 3, 4, 5)
    y = module(x).data
    for p in module.parameters():
        p.data[...] = p.data[..., ::-1].copy() if p.ndim == 4 else p.data
    mirrored = module(Tensor(x.data[..., ::-1].copy())).data
    assert_close(mirrored[..., ::-1], y, "float64", "mirrored")


@pytest.mark.parametrize("widths", [SMALL, NAIVE], ids=["reduced", "naive"])
def test_derivatives(widths):
    check_layer(Inception(2, widths), images(2, 2, 4, 3))


REFUSED = [
    (lambda: Inception(0, SMALL), ArgumentError, "Inception: channels must be an int"),
    (
        lambda: Inception(3, SMALL._replace(c3=0)),
        ArgumentError,
        "Inception: widths.c3 must be an integer >= 1; got 0",
    ),
    (
        lambda: Inception(3, SMALL._replace(c1=None)),
        ArgumentError,
        "Inception: widths.c1 must be an integer >= 1; got None",
    ),
    (
        lambda: Inception(3, SMALL._replace(r5=2.5)),
        ArgumentError,
        "Inception: widths.r5 must be an integer >= 1; got 2.5",
    ),
    (
        lambda: Inception(3, (1, 2, 3)),
        ArgumentError,
        r"Inception: widths must be c1, r3, c3, r5, c5, pp; got \(1, 2, 3\)",
    ),
    (lambda: inception_cost(3, (1,) * 5, (2, 2)), ArgumentError, "widths must be c1"),
    (
        lambda: Inception(3, SMALL).to("float64")(images(1, 4, 5, 5)),
        ShapeError,
        "conv2d: input must have 3 channels.*got 4",
    ),
    (lambda: googlenet(dropout=2), ArgumentError, r"Dropout: p must .*\[0, 1\]; got 2"),
    (lambda: googlenet(0), ArgumentError, "Conv2d: in_channels must be an integer"),
]


@pytest.mark.parametrize("call, kind, text", REFUSED)
def test_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
