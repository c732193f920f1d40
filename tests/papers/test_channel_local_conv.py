"""clcNet: its counts, its graphs of channels, its kernels, what it refuses."""

import math
import sys
import warnings
from itertools import product

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.errors import (
    ArgumentError,
    MinidlError,
    MinidlWarning,
    ShapeError,
    UnknownNameError,
)
from minidl.nn.dependency import (
    composed_kernel,
    dependencies,
    grouped,
    interlace,
    path_counts,
)
from minidl.papers import channel_local_conv as clcs
from minidl.tensor import Tensor
from minidl.testing import check_layer, gradcheck, gradgradcheck

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, requires_grad=False):
    x = np.random.default_rng(0).standard_normal(shape)
    return Tensor(x, requires_grad=requires_grad)


def quiet_clc(*args, **options):
    """`clc` also where outputs miss inputs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MinidlWarning)
        return clcs.clc(*args, **options)


# Cost


# Channels, best g1 and g2, cost, cost of clcNet's (M / 2, 2) and of MobileNet's (M, 1).
BEST = [
    (64, 32, 2, 3_200, 3_200, 4_672),
    (128, 32, 4, 8_704, 10_496, 17_536),
    (256, 64, 4, 25_600, 37_376, 67_840),
    (512, 64, 8, 69_632, 140_288, 266_752),
    (1024, 128, 8, 204_800, 542_720, 1_057_792),
]


@pytest.mark.parametrize("m, g1, g2, cost, clcnet, mobilenet", BEST)
def test_the_best_groups_are_those_of_the_table(m, g1, g2, cost, clcnet, mobilenet):
    assert clcs.best_groups(m, m) == (g1, g2, cost)
    assert clcs.clc_cost(m, m, m // 2, 2) == clcnet
    assert clcs.clc_cost(m, m, m, 1) == mobilenet


@pytest.mark.parametrize("m", [64, 128, 256, 512, 1024])
def test_the_closed_form_with_equal_widths(m):
    g1, g2, cost = clcs.optimum(m, m)
    assert g1 == pytest.approx(3 * math.sqrt(m), rel=1e-14)
    assert g2 == pytest.approx(math.sqrt(m) / 3, rel=1e-14)
    assert cost <= clcs.best_groups(m, m)[2]


@pytest.mark.parametrize(
    "channels, out, mid, area", [(16, 64, 32, 9), (48, 24, 96, 25)]
)
def test_the_closed_form_is_the_minimum_and_both_terms_are_equal_there(
    channels, out, mid, area
):
    g1, g2, cost = clcs.optimum(channels, out, mid, area)
    first, second = channels * mid * area / g1, mid * out / g2
    assert g1 * g2 == pytest.approx(mid, rel=1e-14)
    assert first == pytest.approx(second, rel=1e-14)
    assert first + second == pytest.approx(cost, rel=1e-14)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2):
        moved = channels * mid * area / (g1 * factor) + mid * out / (g2 / factor)
        assert moved > cost
    assert cost <= clcs.best_groups(channels, out, mid, area)[2]


@pytest.mark.parametrize(
    "channels, out, stride, g1, g2, mid",
    [(8, 12, 1, 4, 2, None), (8, 12, 2, 2, 4, 16), (6, 4, 2, 1, 1, None)],
)
def test_the_cost_is_what_the_layers_count(channels, out, stride, g1, g2, mid):
    f = clcs.clc_cost(channels, out, g1, g2, mid)
    block = clcs.clc(channels, out, stride, g1, g2, mid)
    counted = nn.count(block, (channels, 10, 6))
    assert counted.madds == f * (10 // stride) * (6 // stride)
    assert counted.parameters == f + 2 * (mid or channels) + 2 * out
    bare = clcs.clc(channels, out, stride, g1, g2, mid, norm=False)
    assert nn.count(bare, (channels, 10, 6)).parameters == f


# Channel dependency graphs


def divisors(*numbers):
    common = math.gcd(*numbers)
    return [g for g in range(1, common + 1) if common % g == 0]


def settings(mid):
    """(channels, out, g1, g2) that fit ``mid`` channels between the kernels."""
    for channels, out in product((mid, 6, 8, 12), (mid, 4, 12)):
        for g1, g2 in product(divisors(channels, mid), divisors(mid, out)):
            yield channels, out, g1, g2


@pytest.mark.parametrize("mid", [4, 6, 8, 12, 16, 18, 24, 36])
def test_fields_are_full_if_and_only_if_g1_g2_is_at_most_the_channels_between(mid):
    for channels, out, g1, g2 in settings(mid):
        what = f"M {channels}, L {mid}, N {out}, g1 {g1}, g2 {g2}"
        first, second = grouped(channels, mid, g1), grouped(mid, out, g2)
        interlaced = first[interlace(mid, g1)], second
        assert clcs.has_fcrf(*interlaced) == (g1 * g2 <= mid), what
        assert clcs.has_fcrf(first, second) == (1 in (g1, g2)), what
        paths = path_counts(*interlaced)
        if mid % (g1 * g2) == 0:
            assert (paths == mid // (g1 * g2)).all(), what
        sizes = clcs.crf_sizes(*interlaced)
        if g1 * g2 > mid:  # L / g2 groups of M / g1 channels are seen
            assert (sizes == mid // g2 * channels // g1).all(), what
        assert (clcs.crf_sizes(interlaced[0]) == channels // g1).all(), what


def test_paths_compose_as_in_the_drawing_of_the_header():
    first, second = dependencies(clcs.clc(6, 6, g1=2, g2=3))
    halves = np.repeat([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]], 3, axis=0)
    np.testing.assert_array_equal(first, halves[[0, 3, 1, 4, 2, 5]].astype(bool))
    np.testing.assert_array_equal(second, np.kron(np.eye(3), np.ones((2, 2))) > 0)
    np.testing.assert_array_equal(path_counts(first, second), np.ones((6, 6)))
    assert clcs.compose(first, second).dtype == bool


@pytest.mark.parametrize("g1, g2", [(1, 1), (2, 3), (3, 4), (6, 4), (12, 6), (12, 1)])
def test_an_output_depends_on_the_channels_of_its_field_and_on_no_other(g1, g2):
    block = quiet_clc(12, 12, 1, g1, g2, norm=False).to("float64")
    field = clcs.compose(*dependencies(block))
    x = images(1, 12, 3, 3)
    y = block(x).data
    for channel in range(12):
        changed = x.data.copy()
        changed[:, channel] += 1
        moved = (block(Tensor(changed)).data != y).any((0, 2, 3))
        np.testing.assert_array_equal(moved, field[:, channel])


# What the layers compute


def test_known_small_answers():
    x = Tensor(np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1))
    layer = clcs.igc(4, 4, 2).to("float64")
    layer[0].weight.data[...] = 1
    assert layer(x).data.ravel().tolist() == [3, 7, 3, 7]
    block = clcs.clc(4, 4, 1, 2, 2, norm=False).to("float64")
    for conv in (block[0], block[2]):
        conv.weight.data[...] = 1
    assert block(x).data.ravel().tolist() == [10, 10, 10, 10]


@pytest.mark.parametrize(
    "channels, out, stride, g1, g2, mid",
    [
        (8, 8, 1, 4, 2, None),
        (8, 6, 2, 2, 2, None),
        (6, 9, 1, 2, 3, 12),
        (4, 4, 1, 4, 4, None),
        (4, 6, 2, 1, 1, 2),
    ],
)
def test_one_dense_kernel_does_what_the_pair_does(channels, out, stride, g1, g2, mid):
    block = quiet_clc(channels, out, stride, g1, g2, mid, norm=False).to("float64")
    kernel = composed_kernel(block)
    assert kernel.shape == (out, channels, 3, 3)
    x = images(2, channels, 7, 6)
    expected = block(x).detach().numpy()
    got = F.conv2d(x, Tensor(kernel), stride=stride, padding=1).numpy()
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    field = clcs.compose(*dependencies(block))
    np.testing.assert_array_equal((kernel != 0).any((2, 3)), field)


def test_without_groups_it_is_a_plain_convolution_and_a_1x1():
    block = clcs.clc(4, 6, 2, norm=False).to("float64")
    x = images(2, 4, 6, 5)
    first, second = block[0].weight, block[2].weight
    y = F.conv2d(F.conv2d(x, first, stride=2, padding=1), second)
    assert first.shape == (4, 4, 3, 3) and second.shape == (6, 4, 1, 1)
    np.testing.assert_array_equal(block(x).data, y.data)


def test_with_a_group_for_each_channel_it_is_depthwise_separable():
    block = clcs.clc(4, 6, g1=4, g2=1, norm=False).to("float64")
    x = images(2, 4, 6, 5)
    planes = [
        F.conv2d(x[:, c : c + 1], block[0].weight[c : c + 1], padding=1)
        for c in range(4)
    ]
    mixed = np.einsum(
        "oc,nchw->nohw",
        block[2].weight.data[:, :, 0, 0],
        np.concatenate([p.data for p in planes], axis=1),
    )
    np.testing.assert_allclose(block(x).data, mixed, rtol=0, atol=1e-12)


def test_no_activation_stands_between_the_kernels():
    kinds = [type(layer).__name__ for layer in clcs.clc(4, 4, g1=2, g2=2)]
    assert kinds == "Conv2d BatchNorm2d ChannelShuffle Conv2d BatchNorm2d ReLU".split()


def test_the_order_of_norm_and_interlace_makes_no_difference():
    block = clcs.clc(6, 4, g1=3, g2=2).to("float64")
    x = images(3, 6, 4, 4)
    conv, norm, shuffle, *rest = block
    y = norm(conv(x)).data
    np.testing.assert_array_equal(norm(shuffle(conv(x))).data, shuffle(Tensor(y)).data)
    np.testing.assert_array_equal(
        block(x).data, nn.Sequential(conv, shuffle, norm, *rest)(x).data
    )


@pytest.mark.parametrize(
    "block, channels",
    [
        (lambda: clcs.clc(4, 6, 2, 2, 2), 4),
        (lambda: clcs.clc(4, 4, 1, 4, 1, 8), 4),
        (lambda: clcs.igc(6, 3, 3, 2), 6),
    ],
)
def test_derivatives(block, channels):
    check_layer(block(), images(2, channels, 5, 4))


def test_derivatives_of_the_bare_pair():
    block = clcs.clc(4, 4, 1, 2, 2, norm=False).to("float64")
    x = images(2, 4, 4, 3, requires_grad=True)
    assert gradcheck(block, [x]) and gradgradcheck(block, [x])


# What is refused


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: clcs.clc(6, 6, g1=4), "clc: g1 must divide channels 6; got 4"),
        (lambda: clcs.clc(6, 6, g1=3, mid=4), "clc: g1 must divide mid 4; got 3"),
        (lambda: clcs.clc(6, 6, g2=4), "clc: g2 must divide mid 6; got 4"),
        (lambda: clcs.clc(6, 5, g2=3), "clc: g2 must divide out 5; got 3"),
        (lambda: clcs.clc(6, 6, g1=0), "clc: g1 must be an integer >= 1; got 0"),
        (lambda: clcs.clc(0, 6), "clc: channels must be an integer >= 1; got 0"),
        (lambda: clcs.clc(6, 2.5), "clc: out must be an integer >= 1; got 2.5"),
        (lambda: clcs.clc(6, 6, mid=0), "clc: mid must be an integer >= 1; got 0"),
        (lambda: clcs.clc_cost(6, 6, 4, 1), "clc_cost: g1 must divide channels 6; got"),
        (lambda: clcs.best_groups(6, 0), "best_groups: out must be an integer >= 1"),
        (lambda: clcs.optimum(6, 6, 0), "optimum: mid must be an integer >= 1; got 0"),
        (lambda: clcs.clc(6, 6, 0), "Conv2d: stride must be "),
        (lambda: clcs.igc(6, 8, 3), "igc: groups must divide out 8; got 3"),
        (lambda: clcs.igc(6, None, 3), "igc: out must be an integer >= 1; got None"),
        (lambda: clcs.clcnet("C"), "clcNet variant: no clcNet variant is named 'C'"),
        (lambda: clcs.clcnet(classes=0), "Linear: out_features must be an integer"),
        (
            lambda: models.create("clcnet", (1, 3, 28)),
            r"clcnet: images must be at least 4x4; got \(3, 28\)",
        ),
        (lambda: clcs.compose(), "path_counts: matrices must be one or more"),
        (
            lambda: clcs.crf_sizes(np.ones((3, 2)), np.ones((4, 5))),
            "path_counts: matrix 1 must have two axes and 3 columns; got shape",
        ),
    ],
)
def test_bad_input_is_refused_naming_layer_and_argument(call, message):
    with pytest.raises(MinidlError, match=f"^{message}"):
        call()


def test_other_channels_are_refused_naming_the_argument():
    with pytest.raises(ShapeError, match="conv2d: input must have 4 channels.*got 3"):
        clcs.clc(4, 4).to("float64")(images(1, 3, 4, 4))
    with pytest.raises(UnknownNameError, match="known: A, B"):
        clcs.clcnet("xyz")


def test_a_field_that_is_not_full_is_warned_of_once():
    with pytest.warns(
        MinidlWarning, match="clc: g1 .* at most 8.*got 4 \\* 4.*FCRF"
    ) as w:
        block = clcs.clc(8, 8, 1, 4, 4)
    assert len(w) == 1 and w[0].filename == __file__
    assert not clcs.has_fcrf(*dependencies(block))
    assert clcs.has_fcrf(*dependencies(clcs.clc(8, 8, 1, 4, 2)))  # warns nobody


# The drawing


@pytest.mark.parametrize("name, head", [("a.png", PNG), ("b.SVG", b"<?xml")])
def test_the_graph_is_drawn(tmp_path, name, head):
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    matrices = dependencies(clcs.clc(8, 4, g1=4, g2=2))
    assert clcs.draw(path, *matrices, output=3) == path
    written = path.read_bytes()
    assert written.startswith(head) and len(written) > 3000


def test_what_the_drawing_refuses(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    matrix = np.ones((3, 2))
    with pytest.raises(MinidlError, match="path must end in .png or .svg; got a.pdf"):
        clcs.draw(tmp_path / "a.pdf", matrix)
    with pytest.raises(ArgumentError, match=r"draw: output must be in \[0, 3\); got 3"):
        clcs.draw(tmp_path / "a.png", matrix, output=3)
    with pytest.raises(ShapeError, match="matrix 1 must have two axes and 3 columns"):
        clcs.draw(tmp_path / "a.png", matrix, matrix)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MinidlError, match=r"pip install 'minidl\[plot\]'"):
        clcs.draw(tmp_path / "a.png", matrix)
    assert not list(tmp_path.iterdir())
