"""clcNet-A and -B as released, block for block, and the small model."""

from functools import cache

import numpy as np
import pytest

from minidl import models, nn
from minidl.nn.dependency import dependencies
from minidl.papers import channel_local_conv as clcs
from minidl.tensor import Tensor

# in, out, stride, g1, g2 of the released networks; a, b, c, d times the marked rows.
RELEASED = [
    (32, 64, 1, 16, 2),
    (64, 128, 2, 32, 2),
    (128, 128, 1, 64, 2),  # a
    (128, 256, 2, 64, 2),
    (256, 256, 1, 128, 2),  # b
    (256, 512, 2, 128, 2),
    (512, 512, 1, 256, 2),  # c
    (512, 1024, 2, 256, 2),
    (1024, 1024, 1, 512, 2),  # d
]
REPEATS = {"A": (1, 1, 1, 1, 1, 1, 5, 1, 2), "B": (1, 1, 1, 1, 1, 1, 7, 1, 3)}


def released(variant):
    return [row for row, n in zip(RELEASED, REPEATS[variant]) for _ in range(n)]


@cache
def network(variant):
    """The network, its summary, and its state's size; one forward pass."""
    model = clcs.clcnet(variant)
    buffers = sum(b.numel() for _, b in model.named_buffers())
    return model, nn.summary(model, (3, 224, 224)), buffers


BLOCKS = [(v, i) for v in "AB" for i in range(len(released(v)))]


@pytest.mark.parametrize("variant, i", BLOCKS)
def test_every_block_of_clcnet_is_as_released(variant, i):
    channels, out, stride, g1, g2 = released(variant)[i]
    size = 112
    for row in released(variant)[: i + 1]:
        size //= row[2]
    model, summary, _ = network(variant)
    at = i + 3  # behind convolution, norm and ReLU of the stem
    first, norm, _, second, *_ = model[at]
    assert (first.in_channels, second.out_channels) == (channels, out)
    assert (first.stride, first.groups, second.groups) == ((stride,) * 2, g1, g2)
    rows = {row.name: row for row in summary.rows}
    kernels = rows[f"{at}.0"], rows[f"{at}.3"]
    weights = channels * channels * 9 // g1, channels * out // g2
    for row, count in zip(kernels, weights):
        assert row.parameters == count
        assert row.madds == count * size**2
        assert row.shape[2:] == (size, size)
    assert norm.num_features == channels


@pytest.mark.parametrize(
    "variant, parameters, state, madds",
    [
        ("A", 3_253_640, 3_279_624, 342_973_440),
        ("B", 4_085_128, 4_119_304, 424_559_616),
    ],
)
def test_clcnet_has_the_published_size(variant, parameters, state, madds):
    _, summary, buffers = network(variant)
    assert summary.total.parameters == parameters
    assert summary.total.madds == madds
    assert parameters + buffers == state


def test_clcnet_b_needs_a_quarter_less_than_mobilenet():
    saved = 1 - network("B")[1].total.madds / 568_740_352
    assert round(100 * saved, 2) == 25.35


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 4, 4)])
def test_the_small_model_takes_small_images(shape):
    model = models.create("clcnet", shape, 7)
    y = model(Tensor(np.zeros((2, *shape), np.float32)))
    assert y.shape == (2, 7)
    for layer in model:
        if isinstance(layer, nn.Sequential):
            assert clcs.has_fcrf(*dependencies(layer))
