"""Shift: the assignment of offsets, the modules, counts and facts of the paper."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import MinidlError
from minidl.papers import shift
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import adjoint_check, assert_close, check_layer

R = Draw(7)


def moved(x, dh, dw):
    """The definition, pixel by pixel."""
    y = np.zeros_like(x)
    _, channels, height, width = x.shape
    for c in range(channels):
        for i in range(height):
            for j in range(width):
                a, b = i + dh[c], j + dw[c]
                if 0 <= a < height and 0 <= b < width:
                    y[:, c, i, j] = x[:, c, a, b]
    return y


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("channels", [1, 8, 9, 20, 27, 30])
def test_layer_is_the_definition(channels, kernel, dilation):
    layer, x = shift.Shift2d(channels, kernel, dilation), R(2, channels, 5, 4)
    dh, dw = [], []
    for c in range(channels):  # the assignment in words: rows of the square in turn
        inside = c < channels // kernel**2 * kernel**2
        row, column = divmod(c % kernel**2, kernel)
        dh.append((row - kernel // 2) * dilation if inside else 0)
        dw.append((column - kernel // 2) * dilation if inside else 0)
    assert_close(layer(Tensor(x)).data, moved(x, dh, dw), "float64", "shift")


def test_what_stays():
    def still(channels, kernel=3):
        dh, dw = shift.offsets(channels, kernel)
        return sum(a == b == 0 for a, b in zip(dh, dw))

    assert [still(c) for c in (1, 8, 9, 20, 64)] == [1, 8, 1, 4, 8]
    assert all(still(c) == c // 9 + c % 9 for c in range(1, 100))
    assert still(60, 5) == 60 // 25 + 60 % 25
    x = R(1, 8, 3, 3)
    assert np.array_equal(shift.Shift2d(8)(Tensor(x)).data, x)


def test_it_is_a_depthwise_convolution_by_a_single_one():
    layer, x = shift.Shift2d(20), R(2, 20, 5, 6)
    kernel = np.zeros((20, 1, 3, 3))
    for c, (a, b) in enumerate(zip(layer.dh, layer.dw)):
        kernel[c, 0, 1 + a, 1 + b] = 1
    same = F.conv2d(Tensor(x), Tensor(kernel), padding=1, groups=20)
    assert np.array_equal(layer(Tensor(x)).data, same.data)


def test_backward_is_the_shift_back():
    layer = shift.Shift2d(18)
    adjoint_check(layer, Tensor(R(2, 18, 4, 5)))
    x = Tensor(R(1, 18, 4, 4), requires_grad=True)
    g = R(1, 18, 4, 4)
    layer(x).backward(Tensor(g))
    back = moved(g, [-d for d in layer.dh], [-d for d in layer.dw])
    assert_close(x.grad.data, back, "float64", "gradient")


def test_the_order_of_channels_is_absorbed_by_the_convolutions():
    net = shift.csc(4, 5, 2).to("float64").eval()
    first, norm, _, move, last = net[0], net[1], net[2], net[3], net[4]
    x, order = Tensor(R(2, 4, 5, 5)), R.rng.permutation(10)
    before = net(x).data
    first.weight.data[...] = first.weight.data[order]
    last.weight.data[...] = last.weight.data[:, order]
    for a in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        a.data[...] = a.data[order]
    move.dh, move.dw = (tuple(np.array(d)[order]) for d in (move.dh, move.dw))
    assert_close(net(x).data, before, "float64", "permuted")


def test_nine_times_the_channels_make_any_3x3_convolution():
    channels, out = 3, 4
    w, x = R(out, channels, 3, 3), R(2, channels, 6, 5)
    spread = np.repeat(np.eye(channels), 9, axis=0)  # (9 C, C): each channel nine times
    gather = w.reshape(out, 9 * channels)
    y = F.conv2d(Tensor(x), Tensor(spread[:, :, None, None]))
    y = F.conv2d(shift.Shift2d(9 * channels)(y), Tensor(gather[:, :, None, None]))
    expected = F.conv2d(Tensor(x), Tensor(w), padding=1)
    assert_close(y.data, expected.data, "float64", "3x3")


LAYERS = {
    "shift": (lambda: shift.Shift2d(11), 11),
    "shift 5, dilated": (lambda: shift.Shift2d(26, 5, 2), 26),
    "csc": (lambda: shift.csc(3, 4, 3), 3),
    "csc stride": (lambda: shift.csc(3, 4, 2.5, 2, 5), 3),
    "csc preactivation": (lambda: shift.csc(3, 4, 3, 2, order="preactivation"), 3),
    "sc2": (lambda: shift.sc2(9, 3, 3, 2), 9),
}


@pytest.mark.parametrize("name", LAYERS)
def test_first_and_second_derivatives(name):
    minidl.manual_seed(0)
    make, channels = LAYERS[name]
    check_layer(make(), Tensor(R(3, channels, 5, 4)))


def test_sc2_sees_five_pixels_and_csc_three():
    def seen(net):
        net = nn.Sequential(*(m for m in net if not isinstance(m, nn.BatchNorm2d)))
        for p in net.parameters():
            p.data[...] = np.abs(p.data) + 0.1
        x = Tensor(np.ones((1, 18, 9, 9), "f"), requires_grad=True)
        net(x)[0, :, 4, 4].sum().backward()
        rows, columns = np.nonzero(np.abs(x.grad.data[0]).sum(axis=0))
        return np.ptp(rows) + 1, np.ptp(columns) + 1

    assert seen(shift.csc(18, 18, 2)) == (3, 3)
    assert seen(shift.sc2(18, 18, 2)) == (5, 5)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
@pytest.mark.parametrize("expansion", [1, 3, 2.5])
def test_cost_is_what_is_counted(expansion, size, stride):
    found = minidl.count(shift.csc(6, 10, expansion, stride), (6, *size))
    weights, madds = shift.csc_cost(6, 10, expansion, size, stride)
    norms = 2 * (int(10 * expansion) + 10)
    assert (found.parameters, found.madds) == (weights + norms, madds)


def test_nine_breaks_even_with_a_pair_of_3x3():
    pair = 9 * 16 * 32 + 9 * 32 * 32
    assert shift.csc_cost(16, 32, 9, (8, 8))[0] == pair
    assert shift.csc_cost(16, 32, 8, (8, 8))[0] < pair


RESNETS = {  # depth, expansion: parameters for 10 classes, from the authors' repository
    (20, 1): 34906, (20, 3): 95642, (20, 6): 186746, (20, 9): 277850,
    (56, 1): 102106, (56, 3): 294554, (56, 6): 583226, (56, 9): 871898,
    (110, 1): 202906, (110, 3): 592922, (110, 6): 1177946, (110, 9): 1762970,
}  # fmt: skip


@pytest.mark.parametrize("depth, expansion", RESNETS)
def test_shift_resnets_have_the_papers_sizes(depth, expansion):
    def size(classes):
        net = shift.shift_resnet(depth, expansion, classes=classes)
        return sum(p.numel() for p in net.parameters())

    assert size(10) == RESNETS[depth, expansion]
    if depth == 20:
        assert size(100) == RESNETS[depth, expansion] + 5850


def test_shift_resnet_costs():
    found = minidl.count(shift.shift_resnet(20, 3), (3, 32, 32))
    assert found.parameters == 95642 and found.madds == 16433792


@pytest.mark.parametrize(
    "variant, parameters, madds",
    [("A", 4188680, 1424306176), ("B", 1183480, 370956288)],
)
def test_shift_nets_have_the_papers_sizes(variant, parameters, madds):
    found = minidl.count(shift.shift_net(variant), (3, 224, 224))
    assert (found.parameters, found.madds) == (parameters, madds)


def test_shift_net_c_runs():
    y = shift.shift_net("C").eval()(Tensor(np.zeros((1, 3, 64, 64), "f")))
    assert y.shape == (1, 1000)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (2, 4, 5)])
@pytest.mark.parametrize("name", ["shiftnet", "shiftresnet"])
def test_small_models_take_small_images(name, shape):
    net = minidl.models.create(name, shape, 7)
    assert net(Tensor(np.zeros((2, *shape), "f"))).shape == (2, 7)


REFUSED = [
    (lambda: shift.offsets(9, 4), "shift: kernel_size must be odd.*; got 4"),
    (lambda: shift.offsets(0), "shift: channels must be .* >= 1; got 0"),
    (lambda: shift.Shift2d(9, 3, 0), "shift: dilation must be .* >= 1; got 0"),
    (lambda: shift.csc(3, 4, 0.5), "csc: expansion must be >= 1; got 0.5"),
    (lambda: shift.csc(3, 4, float("nan")), "csc: expansion must be >= 1; got nan"),
    (lambda: shift.csc(3, 4, order="resnext"), "did you mean resnet"),
    (lambda: shift.csc(3, 4, 3, kernel_size=2), "kernel_size must be odd"),
    (lambda: shift.shift_resnet(21), r"depth must be 6 n \+ 2; got 21"),
    (lambda: shift.shift_net("D"), "ShiftNet variant"),
    (lambda: shift.Shift2d(9)(Tensor(R(1, 8, 3, 3))), "dy must be .*8"),
    (lambda: minidl.models.create("shiftnet", (1, 3, 9)), "at least 4x4; got .3, 9."),
]


@pytest.mark.parametrize("call, message", REFUSED, ids=[m[:30] for _, m in REFUSED])
def test_bad_input_is_one_clear_error(call, message):
    with pytest.raises(MinidlError, match=message):
        call()
