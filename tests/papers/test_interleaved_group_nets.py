"""IGC-L24M2 for CIFAR, IGCV3-D and the small models, block for block."""

from functools import cache

import numpy as np
import pytest

from minidl import models, nn
from minidl.errors import ShapeError
from minidl.papers import interleaved_group_conv as igc
from minidl.tensor import Tensor


@cache
def cifar(depth):
    return nn.summary(igc.igcv1_net(depth), (3, 32, 32))


@pytest.mark.parametrize(
    "depth, parameters", [(20, 155_962), (38, 317_242), (62, 532_282)]
)
def test_igc_l24m2_has_the_published_size(depth, parameters):
    assert cifar(depth).total.parameters == parameters


# First and further blocks of each stage at D = 20: channels in and out, partitions,
# pixels along a side.
ROWS = [
    *[(48, 48, 2, 32)] * 6,
    *[(48, 96, 4, 16), *[(96, 96, 4, 16)] * 5],
    *[(96, 192, 8, 8), *[(192, 192, 8, 8)] * 5],
]


@pytest.mark.parametrize("i", range(18))
def test_every_block_of_igc_l24m2(i):
    channels, out, each, size = ROWS[i]
    rows = {row.name: row for row in cifar(20).rows}
    at = i + 3  # behind convolution, norm and ReLU of the stem
    primary, secondary, norm = (rows[f"{at}.{k}"] for k in (0, 2, 4))
    assert primary.parameters == out * (channels // 24) * 9
    assert secondary.parameters == out * (out // each)
    assert norm.parameters == 2 * out
    assert primary.shape == secondary.shape == (1, out, size, size)
    assert primary.madds == primary.parameters * size**2


@pytest.mark.parametrize(
    "depth, parameters", [(20, 269_722), (38, 561_370), (62, 950_234)]
)
def test_the_plain_network_of_16_channels_is_larger(depth, parameters):
    layers, channels = nn.conv_bn(3, 16, 3), 16
    for out in (16, 32, 64):
        for _ in range((depth - 2) // 3):
            layers += nn.conv_bn(channels, out, 3)
            channels = out
    plain = sum(p.numel() for layer in layers for p in layer.parameters())
    assert plain + 64 * 10 + 10 == parameters > cifar(depth).total.parameters


# t, c, n, s of every block of IGCV3-D, one after another
IGCV3_D = [
    (t, c, s if i == 0 else 1)
    for t, c, n, s in [
        (1, 16, 1, 1), (6, 24, 4, 2), (6, 32, 6, 2), (6, 64, 8, 2), (6, 96, 6, 1),
        (6, 160, 6, 2), (6, 320, 1, 1),
    ]
    for i in range(n)
]  # fmt: skip


@cache
def igcv3(width):
    return nn.summary(igc.igcv3_d(width), (3, 224, 224))


@pytest.mark.parametrize("i", range(len(IGCV3_D)))
def test_every_block_of_igcv3_d(i):
    t, out, stride = IGCV3_D[i]
    channels = IGCV3_D[i - 1][1] if i else 32
    size, same = 112, stride == 1 and channels == out
    for _, _, s in IGCV3_D[:i]:
        size //= s
    at = f"{i + 3}.body" if same else f"{i + 3}"  # behind conv, norm, ReLU6
    rows = {row.name: row for row in igcv3(1.0).rows}
    expand, depthwise, project = (rows[f"{at}.{k}"] for k in (0, 3, 6))
    mid = t * channels
    assert expand.parameters == mid * channels // 2
    assert depthwise.parameters == mid * 9
    assert project.parameters == out * mid // 2
    assert expand.shape == (1, mid, size, size)
    assert project.shape == (1, out, size // stride, size // stride)


def test_igcv3_d_has_the_published_cost():
    assert igcv3(1.0).total[:2] == (3_491_688, 312_970_176)
    assert igcv3(1.0).total.parameters < 3_504_872  # MobileNetV2's


@pytest.mark.parametrize(
    "width, parameters", [(0.75, 2_638_084), (0.5, 1_985_528), (0.25, 1_534_020)]
)
def test_narrower_igcv3_d(width, parameters):
    model = igc.igcv3_d(width)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize("name", ["igcv1", "igcv2", "igcv3"])
def test_the_small_models_take_small_images(name):
    for shape in ((1, 28, 28), (3, 32, 32), (2, 4, 4)):
        y = models.create(name, shape, 7)(Tensor(np.zeros((2, *shape), np.float32)))
        assert y.shape == (2, 7)
    with pytest.raises(ShapeError, match=f"^{name}: images must be at least 4x4"):
        models.create(name, (1, 28, 3))
