"""IGCV1, V2 and V3: counts, paths, formulas, special cases, what they refuse."""

import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import MinidlError, ShapeError
from minidl.nn.dependency import (
    composed_kernel,
    dependencies,
    grouped,
    interlace,
    path_counts,
)
from minidl.papers import interleaved_group_conv as igc
from minidl.tensor import Tensor
from minidl.testing import check_layer, gradcheck, gradgradcheck


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, requires_grad=False):
    x = np.random.default_rng(0).standard_normal(shape)
    return Tensor(x, requires_grad=requires_grad)


def composed(block, x):
    """What the block's one dense kernel makes of x; the first layer has the stride."""
    stride = block[0].stride
    return F.conv2d(x, Tensor(composed_kernel(block)), stride=stride, padding=1).data


# V1: formulas


@pytest.mark.parametrize(
    "partitions, each, primary, secondary", [(24, 2, 864, 1152), (18, 2, 648, 648)]
)
def test_v1_weights(partitions, each, primary, secondary):
    block = igc.igcv1_block(partitions, each, norm=False)
    first, _, second, _ = (
        sum(p.numel() for p in layer.parameters()) for layer in block
    )
    assert (first, second) == (primary, secondary)
    assert igc.igcv1_weights(partitions, each) == primary + secondary
    counted = nn.count(block, (partitions * each, 5, 4))
    assert counted.parameters == primary + secondary
    assert counted.madds == 20 * (primary + secondary)


def test_the_plain_convolution_of_as_many_weights():
    assert round(igc.plain_width(igc.igcv1_weights(24, 2)), 2) == 14.97
    assert igc.plain_width(igc.igcv1_weights(18, 2)) == 12


@pytest.mark.parametrize("area", [1, 4, 9, 25])
def test_v1_is_wider_exactly_where_the_condition_says(area):
    for partitions in range(1, 40):
        for each in range(1, 12):
            weights = igc.igcv1_weights(partitions, each, area)
            width = partitions * each  # compared as integers, G^2 S > T
            wider = width**2 * area > weights
            what = f"L {partitions}, M {each}"
            assert igc.igcv1_is_wider(partitions, each, area) == wider, what
            least = 2 * math.sqrt(area) * width**1.5
            assert weights >= least * (1 - 1e-14), what
            if partitions == each * area:
                assert weights == pytest.approx(least, rel=1e-14), what


def test_the_widest_v1_block():
    assert igc.igcv1_weights(18, 2) == 1296 == 2 * 3 * 36**1.5
    assert igc.igcv1_widest(1296) == pytest.approx((18, 2, 36), rel=1e-14)
    partitions, each, width = igc.igcv1_widest(2016)
    assert partitions == pytest.approx(9 * each, rel=1e-14)
    assert width * (each * 9 + partitions) == pytest.approx(2016, rel=1e-14)
    assert width > 48 / 1.01  # L24 M2 is close to it


# V1: the block


@pytest.mark.parametrize("partitions, each", [(3, 2), (24, 2), (4, 4), (1, 5), (5, 1)])
def test_v1_is_the_product_of_its_matrices(partitions, each):
    width = partitions * each
    primary, secondary = dependencies(igc.igcv1_block(partitions, each))
    one = np.eye(width, dtype=bool)
    p_transposed = one[interlace(width, partitions)]
    p = one[interlace(width, each)]
    np.testing.assert_array_equal(p @ p_transposed, one)
    first, second = (grouped(width, width, g) for g in (partitions, each))
    np.testing.assert_array_equal(primary, p_transposed @ first)
    np.testing.assert_array_equal(secondary, p @ second)
    assert (path_counts(primary, secondary) == 1).all()


def test_without_the_permutation_v1_does_not_mix():
    block = [layer for layer in igc.igcv1_block(3, 2) if not _is_shuffle(layer)]
    assert (path_counts(*dependencies(block)) == 0).any()


def _is_shuffle(layer):
    return isinstance(layer, nn.ChannelShuffle)


def test_known_small_answers_of_v1():
    block = igc.igcv1_block(2, 2, norm=False).to("float64")
    x = Tensor(np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1))
    block[0].weight.data[...] = 1
    block[2].weight.data[...] = np.array([1.0, 10, 1, 100]).reshape(4, 1, 1, 1) * [
        [[1]],
        [[2]],
    ]
    # Primary: 3 3 7 7. Permuted: 3 7 | 3 7. Secondary: 17 170 | 17 1700, then back.
    assert block(x).data.ravel().tolist() == [17, 17, 170, 1700]


@pytest.mark.parametrize(
    "partitions, each, in_channels, stride",
    [(3, 2, None, 1), (2, 4, 4, 2), (4, 2, 12, 1), (1, 4, None, 1), (4, 1, None, 2)],
)
def test_one_dense_kernel_does_what_v1_does(partitions, each, in_channels, stride):
    block = igc.igcv1_block(partitions, each, in_channels, stride, norm=False)
    block.to("float64")
    x = images(2, in_channels or partitions * each, 7, 6)
    np.testing.assert_allclose(block(x).data, composed(block, x), rtol=0, atol=1e-12)


def test_v1_with_one_partition_is_a_convolution_and_a_factor_for_each_channel():
    block = igc.igcv1_block(1, 4, norm=False).to("float64")
    x = images(2, 4, 5, 4)
    first, second = block[0].weight, block[2].weight
    assert first.shape == (4, 4, 3, 3) and second.shape == (4, 1, 1, 1)
    y = F.conv2d(x, first, padding=1).data * second.data.reshape(1, 4, 1, 1)
    np.testing.assert_allclose(block(x).data, y, rtol=0, atol=1e-12)


def test_v1_with_one_channel_each_is_a_channelwise_and_a_dense_convolution():
    block = igc.igcv1_block(4, 1, norm=False).to("float64")
    x = images(2, 4, 5, 4)
    first, second = block[0].weight, block[2].weight
    assert first.shape == (4, 1, 3, 3) and second.shape == (4, 4, 1, 1)
    y = F.conv2d(F.conv2d(x, first, padding=1, groups=4), second)
    np.testing.assert_allclose(block(x).data, y.data, rtol=0, atol=1e-12)


# V2


@pytest.mark.parametrize(
    "channels, sizes",
    [(6, (2, 3)), (64, (8, 8)), (64, (4, 4, 4)), (64, (2,) * 6), (24, (2, 3, 4)),
     (64, (1, 64)), (64, (1, 8, 8))],
)  # fmt: skip
def test_v2_is_complementary_where_the_sizes_multiply_to_the_width(channels, sizes):
    matrices = dependencies(igc.igcv2_block(channels, sizes))
    np.testing.assert_array_equal([m.sum(1) for m in matrices], _rows(channels, sizes))
    assert (path_counts(*matrices) == 1).all()
    order = np.arange(channels)  # all permutations together are the identity
    for size in sizes:
        order = order[interlace(channels, channels // size)]
    np.testing.assert_array_equal(order, np.arange(channels))


def _rows(channels, sizes):
    return [[size] * channels for size in sizes]


def test_v2_with_other_sizes_misses_inputs_or_sees_them_twice():
    assert (path_counts(*dependencies(igc.igcv2_block(64, (4, 8)))) == 0).any()
    assert (path_counts(*dependencies(igc.igcv2_block(64, (16, 8)))) == 2).all()


@pytest.mark.parametrize(
    "sizes, weights",
    [
        ((1, 64), 4_672),
        ((1, 8, 8), 1_600),
        ((1, 4, 4, 4), 1_344),
        ((1,) + (2,) * 6, 1_344),
    ],
)
def test_v2_weights(sizes, weights):
    assert igc.igcv2_weights(64, sizes) == weights < 36_864
    counted = nn.count(igc.igcv2_block(64, sizes, norm=False), (64, 3, 2))
    assert counted.parameters == weights and counted.madds == 6 * weights


def test_v2_optimum():
    layers, size, weights = igc.igcv2_optimum(64)
    assert round(layers, 2) == 6.36
    assert size == pytest.approx(math.e, rel=1e-14)
    assert weights == pytest.approx(math.e * 64 * math.log(576), rel=1e-14)
    for count in range(1, 12):
        _, size, least = igc.igcv2_optimum(64, count)
        assert size**count == pytest.approx(576, rel=1e-12)
        assert least == pytest.approx(count * 64 * size, rel=1e-14)
        assert least >= weights
    for sizes in ((1, 64), (1, 8, 8), (1, 4, 4, 4), (1,) + (2,) * 6, (8, 8), (2,) * 6):
        _, _, least = igc.igcv2_optimum(64, len(sizes))
        assert igc.igcv2_weights(64, sizes) >= least


def test_balanced_sizes_have_the_least_weights():
    # S K_1 = K_2 with S = 9 and C = 36: K = (2, 18), the sum of both terms is 36 C.
    assert igc.igcv2_optimum(36, 2)[1:] == pytest.approx((18, 36 * 36), rel=1e-14)
    assert igc.igcv2_weights(36, (2, 18)) == 36 * 36
    assert igc.igcv2_weights(36, (2, 18)) == igc.igcv1_weights(18, 2)
    for first in (1, 3, 4, 6, 9, 12):
        assert igc.igcv2_weights(36, (first, 36 // first)) > 36 * 36


@pytest.mark.parametrize(
    "channels, sizes, in_channels, stride",
    [(8, (2, 2, 2), None, 1), (6, (2, 3), None, 2), (8, (1, 2, 4), 4, 2)],
)
def test_one_dense_kernel_does_what_v2_does(channels, sizes, in_channels, stride):
    block = igc.igcv2_block(channels, sizes, in_channels, stride, norm=False)
    block.to("float64")
    x = images(2, in_channels or channels, 6, 7)
    np.testing.assert_allclose(block(x).data, composed(block, x), rtol=0, atol=1e-12)


def test_v2_with_sizes_1_and_c_is_depthwise_separable():
    block = igc.igcv2_block(4, (1, 4), norm=False).to("float64")
    x = images(2, 4, 5, 4)
    y = F.conv2d(x, block[0].weight, padding=1, groups=4)
    y = F.conv2d(y, block[2].weight)
    np.testing.assert_allclose(block(x).data, y.data, rtol=0, atol=1e-12)


def test_v2_with_two_sizes_is_v1():
    one, two = igc.igcv1_block(3, 2), igc.igcv2_block(6, (2, 3))
    two.load_state_dict(one.state_dict())
    x = Tensor(images(2, 6, 5, 4).data.astype("float32"))
    np.testing.assert_array_equal(one(x).data, two(x).data)
    assert repr(one) == repr(two)


# V3


def body(block):
    return block.body if isinstance(block, nn.Residual) else block


@pytest.mark.parametrize(
    "channels, out, expansion, groups, paths",
    [(24, 24, 6, 2, 36), (32, 16, 1, 2, 8), (24, 32, 6, 2, 36), (18, 9, 2, 3, 4)],
)
def test_v3_has_equally_many_paths_everywhere(channels, out, expansion, groups, paths):
    layers = body(igc.igcv3_block(channels, out, 1, expansion, groups))
    assert paths == channels * expansion // groups**2
    assert (path_counts(*dependencies(layers)) == paths).all()


def test_v3_without_the_permutation_has_two_halves():
    layers = body(igc.igcv3_block(24, 24))
    apart = [layer for layer in layers if not _is_shuffle(layer)]
    paths = path_counts(*dependencies(apart))
    np.testing.assert_array_equal(paths, 72 * grouped(24, 24, 2))


def test_no_activation_follows_the_expansion_of_v3():
    kinds = [type(layer).__name__ for layer in body(igc.igcv3_block(4, 4))]
    conv = ["Conv2d", "BatchNorm2d"]
    assert kinds == [*conv, "ChannelShuffle", *conv, "ReLU6", *conv]


def test_v3_has_a_shortcut_only_where_the_shape_stays():
    same, wider, halved = (igc.igcv3_block(4, *a) for a in ((4,), (6,), (4, 2)))
    assert [isinstance(b, nn.Residual) for b in (same, wider, halved)] == [1, 0, 0]
    x = images(2, 4, 6, 5)
    same.to("float64")
    np.testing.assert_array_equal(same(x).data, same.body(x).data + x.data)
    assert halved.to("float64")(x).shape == (2, 4, 3, 3)


# Derivatives


@pytest.mark.parametrize(
    "block, channels",
    [
        (lambda: igc.igcv1_block(2, 2), 4),
        (lambda: igc.igcv1_block(3, 2, 3, 2), 3),
        (lambda: igc.igcv2_block(8, (2, 2, 2)), 8),
        (lambda: igc.igcv2_block(4, (1, 2, 2), 2, 2), 2),
        (lambda: igc.igcv3_block(4, 4, 1, 2), 4),
        (lambda: igc.igcv3_block(4, 6, 2, 1), 4),
    ],
)
def test_derivatives(block, channels):
    check_layer(block(), images(2, channels, 5, 4))


@pytest.mark.parametrize(
    "block",
    [
        lambda: igc.igcv1_block(2, 2, norm=False),
        lambda: igc.igcv2_block(4, (1, 2, 2), norm=False),
    ],
)
def test_derivatives_of_the_bare_kernels(block):
    block = block().to("float64")
    x = images(2, 4, 4, 3, requires_grad=True)
    assert gradcheck(block, [x]) and gradgradcheck(block, [x])


# What is refused


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: igc.igcv1_block(4, 2, 6),
            "igcv1_block: partitions must divide in_channels 6; got 4",
        ),
        (
            lambda: igc.igcv1_block(0, 2),
            "igcv1_block: partitions must be an int",
        ),
        (lambda: igc.igcv1_block(2, 1.5), "igcv1_block: each must be an integer >= 1"),
        (lambda: igc.igcv1_net(21), r"igcv1_net: depth must be 3 n \+ 2; got 21"),
        (lambda: igc.igcv1_net(2), "igcv1_net: depth must be an integer >= 5; got 2"),
        (
            lambda: igc.igcv1_net(each=0),
            "igcv1_net: each must be an integer >= 1; got 0",
        ),
        (
            lambda: igc.igcv2_block(8, (3, 2)),
            r"igcv2_block: sizes\[0\] must divide in_channels 8; got 3",
        ),
        (
            lambda: igc.igcv2_block(8, (1, 3)),
            r"igcv2_block: sizes\[1\] must divide channels 8; got 3",
        ),
        (
            lambda: igc.igcv2_block(8, (1, 2), 12),
            r"igcv2_block: in_channels / sizes\[0\] must divide channels 8; got 12",
        ),
        (
            lambda: igc.igcv2_block(8, 2),
            "igcv2_block: sizes must be a list of integers; got 2",
        ),
        (
            lambda: igc.igcv2_block(8, ()),
            r"igcv2_block: sizes must be a list of integers; got \(\)",
        ),
        (
            lambda: igc.igcv2_block(8, ("2", 4)),
            r"igcv2_block: sizes\[0\] must be an integer >= 1; got '2'",
        ),
        (lambda: igc.igcv2_weights(8, ()), "igcv2_weights: sizes must be a list"),
        (lambda: igc.igcv2_optimum(8, 0), "igcv2_optimum: layers must be a number in"),
        (
            lambda: igc.igcv3_block(5, 4),
            "igcv3_block: groups must divide channels 5; got 2",
        ),
        (
            lambda: igc.igcv3_block(4, 4, groups=4, expansion=0),
            "igcv3_block: expansion must be an integer >= 1; got 0",
        ),
        (
            lambda: igc.igcv3_d(0.01),
            "igcv3_d: width must leave at least one of 32 channels; got 0.01",
        ),
        (
            lambda: igc.igcv3_d(0.2),
            "igcv3_d: width must leave even numbers of channels, .*; got 0.2, .* 3",
        ),
        (lambda: igc.igcv3_d(-1), "igcv3_d: width must be a number in"),
    ],
)
def test_bad_input_is_refused_naming_layer_and_argument(call, message):
    with pytest.raises(MinidlError, match=f"^{message}"):
        call()


@pytest.mark.parametrize(
    "block",
    [
        lambda: igc.igcv1_block(2, 2),
        lambda: igc.igcv2_block(4, (2, 2)),
        lambda: igc.igcv3_block(4, 4),
    ],
)
def test_other_channels_are_refused(block):
    with pytest.raises(ShapeError, match="conv2d: input must have 2 channels.*got 3"):
        block().to("float64")(images(1, 3, 4, 4))
