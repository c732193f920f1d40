"""MobileNet: counts under both multipliers, shares by kind of layer, the block."""

import numpy as np
import pytest
from itemised import itemised

import minidl
from minidl import models, nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import mobilenet as m
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

# Channels in and out, stride of each block at alpha 1.
BLOCKS = [
    (32, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 512, 1),
    (512, 1024, 2),
    (1024, 1024, 1),
]
# alpha, side, trainable, with buffers, multiply-adds
SCALED = [
    (1, 224, 4_231_976, 4_253_864, 568_740_352),
    (0.75, 224, 2_585_560, 2_601_976, 325_400_448),
    (0.5, 224, 1_331_592, 1_342_536, 149_497_088),
    (0.25, 224, 470_072, 475_544, 41_030_272),
    (1, 192, 4_231_976, 4_253_864, 418_121_728),
    (1, 160, 4_231_976, 4_253_864, 290_675_200),
    (1, 128, 4_231_976, 4_253_864, 186_400_768),
]


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape):
    return Tensor(np.random.default_rng(0).normal(size=shape))


def norms(model):
    """Numbers in scales and shifts of the norms, and in the last layer's bias."""
    return sum(p.numel() for p in model.parameters() if p.ndim == 1)


@pytest.mark.parametrize("alpha, side, trainable, everything, madds", SCALED)
def test_counts_block_by_block(alpha, side, trainable, everything, madds):
    model = m.mobilenet(alpha)
    summary = nn.summary(model, (3, side, side))
    stem, at = int(32 * alpha), side // 2
    expected = [(27 * stem + 2 * stem, at**2 * 27 * stem)]
    for channels, out, stride in BLOCKS:
        channels, out, at = int(channels * alpha), int(out * alpha), at // stride
        weights = 9 * channels + channels * out
        expected.append((weights + 2 * channels + 2 * out, at**2 * weights))
    expected += [(0, 0), (out * 1000 + 1000, out * 1000)]
    assert list(itemised(summary).values()) == expected
    assert summary.total[:2] == (trainable, madds)
    assert summary.rows[-1].shape == (1, 1000)
    assert trainable + sum(b.numel() for _, b in model.named_buffers()) == everything


@pytest.mark.parametrize("alpha, side, trainable, everything, madds", SCALED)
def test_cost_functions_agree(alpha, side, trainable, everything, madds):
    weights = trainable - norms(m.mobilenet(alpha))
    assert m.total(m.mobilenet_cost(alpha, (side, side))) == (weights, madds)


def test_shares_by_kind_of_layer():
    shares = m.shares(m.mobilenet_cost())
    percent = {k: tuple(round(100 * v, 2) for v in row) for k, row in shares.items()}
    assert percent == {
        "stem": (0.02, 1.91),
        "depthwise": (1.06, 3.06),
        "pointwise": (74.59, 94.86),
        "linear": (24.33, 0.18),
    }


def test_without_the_five_equal_blocks():
    model = m.mobilenet(shallow=True)
    counted = nn.count(model, (3, 224, 224))
    assert len(model) == 1 + 8 + 2
    assert counted.parameters - norms(model) == 2_875_328
    assert counted.madds == 307_323_392
    assert m.total(m.mobilenet_cost(shallow=True)) == (2_875_328, 307_323_392)


@pytest.mark.parametrize("options", [{}, {"shallow": True}, {"full": True}])
@pytest.mark.parametrize("size", [(33, 64), (40, 47)])
def test_costs_on_odd_images(options, size):
    model = m.mobilenet(0.3, 2, 7, **options)
    counted = nn.count(model, (2, *size))
    cost = m.total(m.mobilenet_cost(0.3, size, 2, 7, **options))
    assert cost == (counted.parameters - norms(model), counted.madds)


@pytest.mark.parametrize("channels, out", [(8, 12), (32, 64)])
def test_a_block_costs_a_ninth_and_one_over_the_channels(channels, out):
    shape = channels, 6, 6
    block = nn.count(nn.Sequential(*m.separable(channels, out)), shape)
    whole = nn.count(nn.Sequential(*nn.conv_bn(channels, out, 3)), shape)
    assert block.madds / whole.madds == pytest.approx(1 / out + 1 / 9, rel=1e-12)


def test_a_block_whose_depthwise_copies_is_a_1x1_convolution():
    block = nn.Sequential(*m.separable(3, 4)).to("float64").eval()
    for norm in (block[1], block[4]):
        norm.eps = 0.0
    depthwise, pointwise = block[0].weight.data, block[3].weight.data
    depthwise[...] = 0
    depthwise[:, 0, 1, 1] = 1
    x = images(2, 3, 4, 5)
    mixed = np.einsum("oc,nchw->nohw", pointwise[:, :, 0, 0], np.maximum(x.data, 0))
    assert_close(block(x).data, np.maximum(mixed, 0), "float64", "mixed")


def test_mirrored_images_with_mirrored_kernels():
    block, x = nn.Sequential(*m.separable(3, 4)).to("float64"), images(2, 3, 4, 5)
    y = block(x).data
    block[0].weight.data[...] = block[0].weight.data[..., ::-1].copy()
    mirrored = block(Tensor(x.data[..., ::-1].copy())).data
    assert_close(mirrored[..., ::-1], y, "float64", "mirrored")


@pytest.mark.parametrize("stride", [1, 2])
def test_derivatives(stride):
    block = nn.Sequential(*m.separable(2, 3, stride))
    check_layer(block, images(3, 2, 5, 4))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 4, 4)])
def test_small_model(shape):
    model = models.create("mobilenet", shape, 7)
    x = images(2, *shape).data.astype("float32")
    assert model(Tensor(x)).shape == (2, 7)


REFUSED = [
    (
        lambda: m.mobilenet(0.01),
        ArgumentError,
        "mobilenet: width must leave at least one of 32 channels; got 0.01",
    ),
    (lambda: m.mobilenet(0), ArgumentError, "mobilenet: width must leave.*got 0"),
    (lambda: m.mobilenet(-1), ArgumentError, "mobilenet: width must be a number.*-1"),
    (lambda: m.mobilenet("1"), ArgumentError, "mobilenet: width must be a number.*'1'"),
    (lambda: m.mobilenet_cost(0.01), ArgumentError, "mobilenet: width must leave"),
    (
        lambda: m.mobilenet_cost(size=(0, 4)),
        ArgumentError,
        "mobilenet_cost: size must be an integer >= 1; got 0",
    ),
    (lambda: m.mobilenet(classes=0), ArgumentError, "Linear: out_features must be an"),
    (
        lambda: models.create("mobilenet", (1, 3, 28)),
        ShapeError,
        r"mobilenet: images must be at least 4x4; got \(3, 28\)",
    ),
    (
        lambda: models.create("mobilenet")(Tensor(np.zeros((1, 3, 28, 28), "float32"))),
        ShapeError,
        "conv2d: input must have 1 channels.*got 3",
    ),
]


@pytest.mark.parametrize("call, kind, text", REFUSED)
def test_refused(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
