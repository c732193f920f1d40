"""CondConv: three ways to one result, routing, gradients of experts, exact costs."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.papers import conditional_conv as cc
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def layer(*args, **options):
    return cc.CondConv2d(*args, **options).to("float64")


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


CASES = [
    dict(kernel_size=3, padding=1),
    dict(kernel_size=3, stride=2, padding=1, groups=2),
    dict(kernel_size=3, padding=2, dilation=2, groups=4),  # depthwise
    dict(kernel_size=1, bias=False),
    dict(kernel_size=(1, 3), padding=(0, 1), groups=2, bias=False),
]


@pytest.mark.parametrize("options", CASES, ids=str)
def test_three_ways_of_computing_it_are_one(options):
    net, x = layer(4, 8, experts=3, **options), images(3, 4, 6, 5)
    alpha = net.routing(x).data
    results, gradients = {}, {}
    for way in ("combine", "each", "mixture", "auto"):
        net.evaluation = way
        net.zero_grad()
        leaf = Tensor(x.data, True)
        y = net(leaf)
        y.backward(images(*y.shape, seed=1))
        results[way] = y.data
        gradients[way] = [leaf.grad.data, *(p.grad.data for p in net.parameters())]
    by_hand = []
    plain = {k: v for k, v in options.items() if k not in ("bias", "kernel_size")}
    for b in range(3):
        kernel = sum(alpha[b, i] * net.weight.data[i] for i in range(3))
        y = F.conv2d(Tensor(x.data[b : b + 1]), Tensor(kernel), **plain).data
        if net.bias is not None:
            mixed = sum(alpha[b, i] * net.bias.data[i] for i in range(3))
            y = y + mixed[:, None, None]
        by_hand.append(y)
    for way, y in results.items():
        assert_close(y, np.concatenate(by_hand), "float64", way)
        for got, expected in zip(gradients[way], gradients["each"]):
            assert_close(got, expected, "float64", f"gradient, {way}")


def test_gradients_by_the_formulas():
    """``dW_i = sum_b alpha[b, i] G_b`` and ``dalpha[b, i] = <G_b, W_i>``."""
    net, x = layer(2, 3, 3, padding=1, bias=False, experts=4), images(3, 2, 4, 4)
    alpha, g = Tensor(Draw(1)(3, 4), True), images(3, 3, 4, 4, seed=2)
    net(x, alpha).backward(g)
    by_kernel = []
    for b in range(3):
        kernel = Tensor(np.tensordot(alpha.data[b], net.weight.data, 1), True)
        y = F.conv2d(Tensor(x.data[b : b + 1]), kernel, padding=1)
        y.backward(Tensor(g.data[b : b + 1]))
        by_kernel.append(kernel.grad.data)
    by_kernel = np.array(by_kernel)
    expected = np.einsum("bi,bocpq->iocpq", alpha.data, by_kernel)
    assert_close(net.weight.grad.data, expected, "float64", "dW")
    expected = np.einsum("bocpq,iocpq->bi", by_kernel, net.weight.data)
    assert_close(alpha.grad.data, expected, "float64", "dalpha")


@pytest.mark.parametrize("way", ["combine", "each", "mixture"])
def test_one_expert_is_a_plain_convolution(way):
    net = layer(4, 6, 3, 1, 1, groups=2, experts=1, routing=None, evaluation=way)
    plain = nn.Conv2d(4, 6, 3, 1, 1, groups=2).to("float64")
    plain.weight.data, plain.bias.data = net.weight.data[0], net.bias.data[0]
    x = images(2, 4, 5, 5)
    y = net(x, Tensor(np.ones((2, 1))))
    assert_close(y.data, plain(x).data, "float64", "y")


def test_equal_experts_that_sum_to_one_are_a_plain_convolution():
    net = layer(4, 6, 3, experts=5, routing=cc.Routing(4, 5, activation="softmax"))
    net.to("float64")
    net.weight.data[:] = net.weight.data[0]
    net.bias.data[:] = net.bias.data[0]
    x = images(2, 4, 5, 5)
    plain = F.conv2d(x, Tensor(net.weight.data[0]), Tensor(net.bias.data[0]))
    assert_close(net(x).data, plain.data, "float64", "y")


def test_every_example_has_its_own_kernel():
    """An output depends on its own image alone, but for more than its window."""
    net, x = layer(2, 3, 3, experts=4), images(3, 2, 5, 5)
    before = net(x).data
    changed = x.data.copy()
    changed[1] += 1
    after = net(Tensor(changed)).data
    assert np.array_equal(before[[0, 2]], after[[0, 2]])
    far = x.data.copy()
    far[0, :, 4, 4] += 1  # outside of the first window, but in the mean
    assert abs(net(Tensor(far)).data[0, :, 0, 0] - before[0, :, 0, 0]).min() > 1e-6


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("hidden", [None, 3])
def test_routing_by_hand(activation, hidden):
    route = cc.Routing(4, 5, hidden, activation).to("float64")
    x = images(3, 4, 2, 6)
    z = x.data.mean((2, 3))
    if hidden:
        z = np.maximum(z @ route.hidden.weight.data.T + route.hidden.bias.data, 0)
    z = z @ route.scores.weight.data.T + route.scores.bias.data
    expected = 1 / (1 + np.exp(-z))
    if activation == "softmax":
        expected = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    assert_close(route(x).data, expected, "float64", "alpha")
    pooled = Tensor(x.data.mean((2, 3)))
    assert_close(route(pooled).data, expected, "float64", "alpha of a vector")


def test_experts_are_dropped_in_training_only():
    route = cc.Routing(4, 400, drop=0.25).to("float64")
    x = images(5, 4, 3, 3)
    whole = route.eval()(x).data
    found = route.train()(x).data
    gone = found == 0
    assert 0.15 < gone.mean() < 0.35  # 2,000 of them: 10 standard errors
    assert_close(found[~gone], whole[~gone] / 0.75, "float64", "kept")
    assert 0 < np.ptp(gone.sum(0))  # not the same ones in every example


def test_experts_start_as_single_kernels_would():
    net = cc.CondConv2d(6, 200, 3, experts=3)
    bound = 1 / np.sqrt(6 * 9)
    for i in range(3):
        assert 0.95 * bound < np.abs(net.weight.data[i]).max() <= bound
        assert np.abs(net.bias.data[i]).max() <= bound
    assert not np.array_equal(net.weight.data[0], net.weight.data[1])


@pytest.mark.parametrize("way", ["combine", "mixture"])
@pytest.mark.parametrize("groups", [1, 4])
def test_derivatives(way, groups):
    net = layer(4, 4, 3, 1, 1, groups=groups, experts=2, evaluation=way)
    check_layer(net, images(2, 4, 3, 3))


@pytest.mark.parametrize("way", ["combine", "mixture"])
def test_linear(way):
    net = cc.CondLinear(5, 3, experts=4, evaluation=way).to("float64")
    x = images(6, 5)
    alpha = net.routing(x).data
    w, b = net.weight.data, net.bias.data
    expected = [
        np.tensordot(a, w, 1) @ v + a @ b for a, v in zip(alpha, x.data, strict=True)
    ]
    assert_close(net(x).data, np.array(expected), "float64", "y")
    check_layer(net, x)


def test_derivatives_of_a_block():
    block = cc.CondSeparable(3, 4, 2, 2).to("float64")
    check_layer(block, images(2, 3, 5, 5))


# Costs


def test_cost_of_the_worked_layer():
    cost = cc.cond_cost(64, 128, 3, 8, (14, 14))
    assert cost == {
        "parameters": 590_336,
        "combine": 589_824,
        "route": 512,
        "convolve": 14_450_688,
        "mixture": 115_605_504,
    }
    shape, options = (64, 14, 14), dict(experts=8, bias=False, padding=1)
    for way in ("combine", "mixture"):
        routing = cc.Routing(64, 8, bias=False)
        net = cc.CondConv2d(64, 128, 3, routing=routing, evaluation=way, **options)
        total = cost["mixture"] if way == "mixture" else 589_824 + 14_450_688
        if way == "mixture":
            total += 14 * 14 * 128 * 8  # its outputs are mixed
        found = nn.count(net, shape)
        assert (found.parameters, found.madds) == (590_336, total + 512)


@pytest.mark.parametrize(
    "width, experts, madds",
    [(1.0, 8, 601_405_952), (0.5, 32, 190_711_040), (0.25, 32, 55_607_936)],
)
def test_mobilenets_with_experts(width, experts, madds):
    net = cc.cond_mobilenet(width, experts, evaluation="combine")
    biases = experts * 1000  # of the linear layer, mixed: the paper leaves them out
    assert nn.count(net, (3, 224, 224)).madds - biases == madds


def test_half_the_width_costs_27_percent_more_than_without_experts():
    from minidl.papers import mobilenet

    base = mobilenet.total(mobilenet.mobilenet_cost(0.5)).madds
    assert round(190_711_040 / base, 4) == 1.2757


def test_layers_before_the_first_conditional_one_are_plain():
    kinds = [type(m).__name__ for m in cc.cond_mobilenet(0.25, 2)]
    assert kinds == ["Sequential"] * 6 + ["CondSeparable"] * 8 + [
        "GlobalAvgPool2d",
        "CondLinear",
    ]
    only = cc.cond_mobilenet(0.25, 2, begin=15)
    assert [type(m).__name__ for m in only].count("CondSeparable") == 0


def test_auto_takes_what_costs_less():
    groups = []

    def watch(op, arrays, options, y):
        if op.name == "conv2d":
            groups.append(options["groups"])

    with minidl.autograd.watch_ops(watch):
        layer(4, 8, 3, padding=1, experts=3)(images(2, 4, 6, 6))
        layer(4, 8, 1, experts=3)(images(2, 4, 1, 1))  # one pixel: mix what comes out
        layer(4, 8, 1, experts=1)(images(2, 4, 6, 6))  # one expert: nothing to mix
    assert groups == [2, 1, 1]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layer(4, 8, 3, experts=0), "experts must be an integer >= 1; got 0"),
        (lambda: layer(4, 8, 3, groups=3), "groups must divide in_channels 4; got 3"),
        (lambda: layer(4, 8, 3, evaluation="mix"), "did you mean mixture"),
        (lambda: layer(4, 8, 3, routing=cc.Routing(5, 8)), "from 4 channels to 8"),
        (lambda: layer(4, 8, 3, routing=None)(images(1, 4, 3, 3)), "alpha must be"),
        (
            lambda: layer(4, 8, 3, experts=2)(images(3, 4, 3, 3), images(3, 4)),
            r"alpha must be \(3, 2\); got \(3, 4\)",
        ),
        (lambda: layer(4, 8, 3)(images(1, 5, 3, 3)), r"input must be \(N, 4, H, W\)"),
        (lambda: cc.CondLinear(4, 2, evaluation="each"), "no evaluation is named"),
        (lambda: cc.CondLinear(4, 2)(images(3, 5)), r"input must be \(N, 4\)"),
        (lambda: cc.Routing(4, 0), "experts must be an integer >= 1; got 0"),
        (lambda: cc.Routing(4, 2, hidden=0), "hidden must be an integer >= 1; got 0"),
        (lambda: cc.Routing(4, 2, activation="relu"), "activation of a routing"),
        (lambda: cc.Routing(4, 2, drop=1), "drop must be below 1"),
        (lambda: cc.Routing(4, 2)(images(3, 5)), r"input must be \(N, 4, H, W\) or"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError, MinidlError), match=message):
        call()


def test_float32_and_empty_batches():
    net = cc.CondConv2d(4, 8, 3, padding=1, experts=2)
    y = net(Tensor(np.ones((2, 4, 5, 5), np.float32)))
    assert y.dtype == "float32"
    assert net(Tensor(np.ones((0, 4, 5, 5), np.float32))).shape == (0, 8, 5, 5)
