"""Xception: Inception rewritten, separable convolutions, and the network's counts."""

import numpy as np
import pytest
from itemised import itemised

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.errors import ArgumentError, ShapeError, UnknownNameError
from minidl.papers import xception as xc
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer, gradcheck, gradgradcheck


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape):
    return Tensor(np.random.default_rng(0).normal(size=shape))


# --- Inception and its rewriting ----------------------------------------------------


@pytest.mark.parametrize("segments", [1, 2, 4])
def test_branches_equal_one_grouped_convolution(segments):
    widths = [(4 // segments, 8 // segments)] * segments
    branches = xc.simplified_inception(3, widths).to("float64")
    grouped = xc.as_grouped(branches)
    assert grouped[2].groups == segments and grouped[0].weight.dtype == "float64"
    x = images(2, 3, 5, 4)
    assert_close(grouped(x).data, branches(x).data, "float64", "grouped")
    back = xc.as_branches(grouped)
    for (name, p), (other, q) in zip(
        branches.named_parameters(), back.named_parameters(), strict=True
    ):
        assert name == other and np.array_equal(p.data, q.data)
        assert not np.shares_memory(p.data, q.data)


def test_branches_of_unequal_widths_stand_beside_each_other():
    branches = xc.simplified_inception(3, [(1, 2), (3, 4)]).to("float64")
    x = images(2, 3, 5, 4)
    y = branches(x)
    assert y.shape == (2, 6, 5, 4)
    assert np.array_equal(y.data[:, 2:], branches[1](x).data)


def test_one_segment_is_an_ordinary_convolution():
    module = xc.grouped_inception(3, 4, 8, 1).to("float64")
    x = images(2, 3, 5, 4)
    expected = F.conv2d(F.relu(module[0](x)), module[2].weight, padding=1)
    assert_close(module(x).data, expected.data, "float64", "one segment")


def test_extreme_inception_is_separable_the_other_way_round():
    extreme = xc.extreme_inception(3, 6).to("float64")
    separable = xc.SeparableConv2d(3, 6, activation="relu", first="pointwise")
    separable.to("float64")
    separable.pointwise.weight.data[...] = extreme[0].weight.data
    separable.depthwise.weight.data[...] = extreme[2].weight.data
    x = images(2, 3, 5, 4)
    assert_close(separable(x).data, extreme(x).data, "float64", "extreme")


def test_derivatives_of_inception():
    check_layer(xc.simplified_inception(2, [(1, 2), (2, 1)]), images(2, 2, 3, 4))
    check_layer(xc.grouped_inception(2, 4, 2, 2), images(2, 2, 3, 4))


# --- separable convolution ----------------------------------------------------------


def full_kernel(layer):
    """The kernel of the full convolution that a separable one equals."""
    return layer.pointwise.weight.data * layer.depthwise.weight.data[:, 0]


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
def test_separable_equals_a_full_convolution(kernel_size):
    layer = xc.SeparableConv2d(3, 4, kernel_size).to("float64")
    x, kernel = images(2, 3, 6, 5), full_kernel(layer)
    assert kernel.shape == (4, 3, kernel_size, kernel_size)
    expected = F.conv2d(x, Tensor(kernel), padding="same").data
    assert_close(layer(x).data, expected, "float64", "full convolution")


def test_every_input_channel_has_kernels_of_rank_one():
    kernel = full_kernel(xc.SeparableConv2d(3, 4).to("float64"))
    for c in range(3):
        assert np.linalg.matrix_rank(kernel[:, c].reshape(4, 9)) == 1


def test_separable_by_hand():
    """Two channels: the sum of the left neighbour of one and twice the other."""
    layer = xc.SeparableConv2d(2, 1)
    layer.depthwise.weight.data[...] = 0
    layer.depthwise.weight.data[0, 0, 1, 0] = 1
    layer.depthwise.weight.data[1, 0, 1, 1] = 1
    layer.pointwise.weight.data[0, :, 0, 0] = 1, 2
    x = np.float32([[[[1, 2, 3]], [[10, 20, 30]]]])
    assert layer(Tensor(x)).data.tolist() == [[[[20, 41, 62]]]]


OPTIONS = [
    {},
    {"activation": "relu"},
    {"activation": "elu", "first": "pointwise"},
    {"kernel_size": 2, "first": "pointwise"},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_middle_activation_and_order(options):
    layer = xc.SeparableConv2d(2, 3, **options).to("float64")
    x = images(2, 2, 4, 3)
    order = [layer.depthwise, layer.pointwise]
    if options.get("first") == "pointwise":
        order.reverse()
    middle = order[0](x).data
    if options.get("activation") == "relu":
        middle = np.maximum(middle, 0)
    if options.get("activation") == "elu":
        middle = np.where(middle > 0, middle, np.exp(middle) - 1)
    assert_close(layer(x).data, order[1](Tensor(middle)).data, "float64", "middle")
    assert not any(p.ndim == 1 for p in layer.parameters())


@pytest.mark.parametrize("options", OPTIONS)
def test_derivatives_of_separable(options):
    check_layer(xc.SeparableConv2d(2, 3, **options), images(2, 2, 4, 3))


def test_mirrored_images_with_mirrored_kernels():
    layer, x = xc.SeparableConv2d(3, 4).to("float64"), images(2, 3, 4, 5)
    y = layer(x).data
    layer.depthwise.weight.data[...] = layer.depthwise.weight.data[..., ::-1].copy()
    mirrored = layer(Tensor(x.data[..., ::-1].copy())).data
    assert_close(mirrored[..., ::-1], y, "float64", "mirrored")


@pytest.mark.parametrize("first", ["depthwise", "pointwise"])
@pytest.mark.parametrize(
    "channels, out, kernel_size", [(8, 12, 3), (5, 4, 1), (3, 6, 5)]
)
def test_cost_of_separable(channels, out, kernel_size, first):
    layer = xc.SeparableConv2d(channels, out, kernel_size, first=first)
    cost = xc.separable_cost(channels, out, (4, 6), kernel_size, first)
    counted = nn.count(layer, (channels, 4, 6))
    assert counted == (cost[0], 0, cost[1])
    if first == "depthwise":
        assert cost[0] == kernel_size**2 * channels + channels * out
        full = nn.Conv2d(channels, out, kernel_size, padding="same", bias=False)
        ratio = cost[1] / nn.count(full, (channels, 4, 6)).madds
        assert xc.separable_ratio(out, kernel_size) == pytest.approx(ratio, rel=1e-12)


# --- pooling as TensorFlow pads -----------------------------------------------------


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (5, 6), (74, 3), (37, 4)])
def test_pool_equals_padding_by_hand(size):
    x = images(1, 2, *size)
    sides = [-(-n // 2) for n in size]
    padding = [max(2 * (out - 1) + 3 - n, 0) for n, out in zip(size, sides)]
    pads = [(t // 2, t - t // 2) for t in padding]
    padded = np.pad(x.data, [(0, 0), (0, 0), *pads], constant_values=-np.inf)
    expected = np.empty((1, 2, *sides))
    for i, j in np.ndindex(*sides):
        window = padded[:, :, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        expected[:, :, i, j] = window.max((2, 3))
    assert np.array_equal(xc.SameMaxPool2d()(x).data, expected)


def test_derivatives_of_the_pool():
    pool, x = xc.SameMaxPool2d(), images(2, 2, 4, 5)
    x.requires_grad_()
    assert gradcheck(pool, x) and gradgradcheck(pool, x)


# --- the network --------------------------------------------------------------------


def separables(channels, *outs):
    """Parameters of separable convolutions with norms, and their weights alone."""
    weights = norms = 0
    for out in outs:
        weights, norms = weights + 9 * channels + channels * out, norms + 2 * out
        channels = out
    return weights + norms, weights


@pytest.fixture(scope="module")
def full():
    return xc.xception()


@pytest.fixture(scope="module")
def seen(full):
    """What a single image of 299x299 showed."""
    return nn.summary(full, (3, 299, 299))


def test_trainable_parameters_flow_by_flow(full, seen):
    parts = itemised(seen)
    assert {name: cost[0] for name, cost in parts.items() if cost[0]} == {
        "stem": 19_488,
        "entry": 1_106_760 - 19_488,
        "middle": 14_018_568 - 1_106_760,
        "exit": 20_806_952 - 14_018_568,
        "linear": 2_049_000,
    }
    stem = 149**2 * 27 * 32 + 147**2 * 9 * 32 * 64
    assert parts["stem"][1] == stem and parts["linear"][1] == 2_048_000
    assert seen.total[:2] == (22_855_952, 8_357_403_496)
    buffers = sum(b.numel() for _, b in full.named_buffers())
    assert buffers == 54_528 and 22_855_952 + buffers == 22_910_480


def test_parameters_module_by_module(full):
    def count(module):
        return sum(p.numel() for p in module.parameters())

    channels = 64
    for module, out in zip(full[1], (128, 256, 728), strict=True):
        shortcut = channels * out + 2 * out
        assert count(module) == separables(channels, out, out)[0] + shortcut
        channels = out
    assert [count(module) for module in full[2]] == 8 * [
        separables(728, 728, 728, 728)[0]
    ]
    exit_ = separables(728, 728, 1024)[0] + 728 * 1024 + 2 * 1024
    assert count(full[3][0]) == exit_
    assert count(full[3]) == exit_ + separables(1024, 1536, 2048)[0]


def test_sizes_of_299(seen):
    stem = [row.shape for row in seen.rows if row.name in ("stem.0", "stem.3")]
    assert stem == [(1, 32, 149, 149), (1, 64, 147, 147)]
    pools = [row.shape for row in seen.rows if row.kind == "SameMaxPool2d"]
    assert [shape[2:] for shape in pools] == [(74, 74), (37, 37), (19, 19), (10, 10)]
    assert [shape[1] for shape in pools] == [128, 256, 728, 1024]
    assert seen.rows[-1].shape == (1, 1000)


def test_without_residuals_no_convolution_is_left_beside():
    full = xc.xception(residual=False, activation="elu")
    assert not any(isinstance(m, nn.Residual) for m in full.modules())
    shortcuts = [(64, 128), (128, 256), (256, 728), (728, 1024)]
    less = sum(channels * out + 2 * out for channels, out in shortcuts)
    assert sum(p.numel() for p in full.parameters()) == 22_855_952 - less
    middle = [m.activation for m in full.modules() if isinstance(m, xc.SeparableConv2d)]
    assert len(middle) == 34 and all(isinstance(m, nn.ELU) for m in middle)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8)])
def test_small_model(shape):
    model = models.create("xception", shape, 7)
    x = images(2, *shape).data.astype("float32")
    assert model(Tensor(x)).shape == (2, 7)


REFUSED = [
    (
        lambda: xc.SeparableConv2d(2, 3, activation="gelu"),
        UnknownNameError,
        "SeparableConv2d activation is named 'gelu'; did you mean.*elu",
    ),
    (
        lambda: xc.xception(activation="tanh"),
        UnknownNameError,
        "SeparableConv2d activation is named 'tanh'; known: elu, relu",
    ),
    (
        lambda: xc.SeparableConv2d(2, 3, first="depth"),
        UnknownNameError,
        "SeparableConv2d order is named 'depth'; did you mean depthwise",
    ),
    (
        lambda: xc.separable_cost(2, 3, (4, 4), first="x"),
        UnknownNameError,
        "separable_cost order is named 'x'",
    ),
    (
        lambda: xc.SeparableConv2d(0, 3),
        ArgumentError,
        "SeparableConv2d: in_channels must be an integer >= 1; got 0",
    ),
    (
        lambda: xc.SeparableConv2d(3, 2.0),
        ArgumentError,
        "SeparableConv2d: out_channels must be an integer >= 1; got 2.0",
    ),
    (
        lambda: xc.SeparableConv2d(3, 2).to("float64")(images(1, 4, 5, 5)),
        ShapeError,
        "conv2d: input must have 1 channels in each of 3 groups; got 4",
    ),
    (
        lambda: xc.simplified_inception(3, []),
        ArgumentError,
        "simplified_inception: widths must name at least 1 branch",
    ),
    (
        lambda: xc.grouped_inception(3, 4, 6, 4),
        ArgumentError,
        "grouped_inception: segments must divide mid 4 and out 6; got 4",
    ),
    (
        lambda: xc.grouped_inception(3, 4, 6, 0),
        ArgumentError,
        "grouped_inception: segments must be an integer >= 1; got 0",
    ),
    (
        lambda: xc.grouped_inception(3, 4, 6.0, 2),
        ArgumentError,
        "grouped_inception: out must be an integer >= 1; got 6.0",
    ),
    (
        lambda: xc.extreme_inception(3, 0),
        ArgumentError,
        "extreme_inception: out must be an integer >= 1; got 0",
    ),
    (lambda: xc.separable_ratio(0), ArgumentError, "separable_ratio: out must be an"),
    (
        lambda: xc.separable_cost(2, 3, (4, 4), 0),
        ArgumentError,
        "separable_cost: kernel_size must be an integer >= 1; got 0",
    ),
    (
        lambda: xc.as_grouped(xc.simplified_inception(3, [(1, 2), (2, 2)])),
        ArgumentError,
        r"as_grouped: branches must all have the same widths .*\[\(1, 2\), \(2, 2\)\]",
    ),
    (
        lambda: xc.SameMaxPool2d()(images(2, 3)),
        ShapeError,
        "max_pool2d: input must be 4-D",
    ),
    (
        lambda: models.create("xception", (1, 28, 7)),
        ShapeError,
        r"xception: images must be at least 8x8; got \(28, 7\)",
    ),
]


@pytest.mark.parametrize("call, kind, text", REFUSED)
def test_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
