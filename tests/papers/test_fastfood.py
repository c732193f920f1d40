"""Fastfood: the matrix it stands for, what it is on average, counts of deep fried nets.

Statistical tests allow 5.5 standard errors for each number compared, which chance
exceeds once in 26 million; no test compares more than 20.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.papers import fastfood as ff
from minidl.papers import random_features as rf
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

ERRORS = 5.5


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def layer(*args, **options):
    return ff.Fastfood(*args, **options).to("float64")


def hadamard(d):
    h = np.ones((1, 1))
    while len(h) < d:
        h = np.kron([[1, 1], [1, -1]], h)
    return h


def product(fried, k):
    """Block k of V, the five matrices multiplied."""
    d = fried.s.shape[1]
    s, g, b = (np.diag(a.data[k]) for a in (fried.s, fried.g, fried.b))
    h, p = hadamard(d), np.eye(d)[fried.permutation.data[k]]
    return s @ h @ g @ p @ h @ b / (fried.sigma * math.sqrt(d))


# The matrix


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize(
    "inputs, outputs", [(8, 8), (5, 8), (8, 24), (5, 19), (1, 3), (16, 3), (2, 1)]
)
def test_v_is_the_product_of_its_matrices(inputs, outputs, adaptive):
    fried = layer(inputs, outputs, 0.7, adaptive)
    blocks = [product(fried, k)[:, :inputs] for k in range(len(fried.s.data))]
    v = np.concatenate(blocks)[:outputs]
    assert_close(ff.matrix(fried).data, v, "float64", "V")
    x = Draw(0)(4, inputs)
    assert_close(fried(Tensor(x)).data, x @ v.T, "float64", "y")


def test_blocks_are_layers_side_by_side():
    whole, x = layer(6, 24), Tensor(Draw(0)(3, 6))
    parts = []
    for k in range(3):
        part = layer(6, 8)
        for name in ("s", "g", "b", "permutation"):
            getattr(part, name).data[...] = getattr(whole, name).data[k : k + 1]
        parts.append(part(x).data)
    assert_close(whole(x).data, np.concatenate(parts, 1), "float64", "blocks")


def test_row_i_has_the_length_s_i_over_sigma():
    fried = layer(32, 96, 1.9)
    norms = np.linalg.norm(fried.g.data, axis=1, keepdims=True)
    lengths = (fried.s.data * norms / 1.9).reshape(-1)  # the layer's s is s_i / |G|
    found = np.linalg.norm(ff.matrix(fried).data, axis=1)
    assert_close(found, lengths, "float64", "lengths")


def test_rows_of_h_g_p_h_b_all_have_one_length():
    fried = layer(16, 16)
    fried.s.data[...] = 1
    squares = (ff.matrix(fried).data ** 2).sum(1) * 16  # c^2 is 1 / d
    expected = 16 * (fried.g.data**2).sum()
    assert_close(squares, np.full(16, expected), "float64", "squared lengths")


def test_ones_without_a_permutation_are_the_identity():
    fried, x = layer(8, 8, math.sqrt(8)), Draw(0)(3, 8)  # c = 1 / 8
    for a in (fried.s, fried.g, fried.b):
        a.data[...] = 1
    fried.permutation.data[...] = np.arange(8)
    assert_close(fried(Tensor(x)).data, x, "float64", "identity")


def test_rows_are_not_orthogonal():
    v = ff.matrix(layer(16, 16)).data
    unit = v / np.linalg.norm(v, axis=1, keepdims=True)
    assert np.abs(unit @ unit.T - np.eye(16)).max() > 0.1


# Derivatives


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("inputs, outputs", [(4, 4), (3, 10), (8, 5)])
def test_derivatives(inputs, outputs, adaptive):
    fried = layer(inputs, outputs, 0.8, adaptive, bias=True)
    check_layer(fried, Tensor(Draw(0)(3, inputs)))


@pytest.mark.parametrize("form", rf.FORMS)
def test_derivatives_of_features(form):
    net = ff.fastfood_features(3, 6, 0.9, form).to("float64")
    check_layer(net, Tensor(Draw(0)(3, 3)))


def test_what_is_trained():
    frozen, adaptive = layer(6, 9, bias=True), layer(6, 9, adaptive=True, bias=True)
    assert [k for k, _ in frozen.named_parameters()] == ["bias"]
    assert [k for k, _ in adaptive.named_parameters()] == ["s", "g", "b", "bias"]
    names = {"s", "g", "b", "permutation", "bias"}
    assert set(frozen.state_dict()) == set(adaptive.state_dict()) == names


def test_the_three_sums_are_one():
    """``sum S dS = sum G dG = sum B dB = sum y E`` in every block."""
    fried, e = layer(6, 24, 1.1, adaptive=True), Draw(1)(5, 24)
    y = fried(Tensor(Draw(0)(5, 6)))
    y.backward(Tensor(e))
    total = (y.data * e).reshape(5, 3, 8).sum((0, 2))
    for a in (fried.s, fried.g, fried.b):
        assert_close((a.data * a.grad.data).sum(1), total, "float64", "sum")


def test_scales_may_wander():
    fried, x = layer(8, 8, adaptive=True), Tensor(Draw(0)(3, 8))
    before = fried(x).data
    fried.s.data *= 3.0
    fried.g.data *= -0.5
    fried.b.data /= -1.5
    assert_close(fried(x).data, before, "float64", "y")


def test_gradients_by_the_papers_formulas():
    fried, x, e = layer(8, 8, 0.6, adaptive=True), Draw(0)(5, 8), Draw(1)(5, 8)
    leaf = Tensor(x, True)
    fried(leaf).backward(Tensor(e))
    c, h = 1 / (0.6 * math.sqrt(8)), hadamard(8)
    s, g, b, p = (a.data[0] for a in (fried.s, fried.g, fried.b, fried.permutation))
    u3 = (h @ (b * x).T)[p].T
    u5 = (g * u3) @ h
    d4 = (c * s * e) @ h
    d2 = np.empty_like(d4)
    d2[:, p] = g * d4
    d1 = d2 @ h
    for got, right in (
        (fried.s.grad.data[0], (c * e * u5).sum(0)),
        (fried.g.grad.data[0], (d4 * u3).sum(0)),
        (fried.b.grad.data[0], (d1 * x).sum(0)),
        (leaf.grad.data, b * d1),
    ):
        assert_close(got, right, "float64", "gradient")


# On average


def test_what_is_drawn():
    """Signs, permutations, normal numbers and lengths, each with its distribution."""
    d, blocks = 8, 4000
    fried = layer(d, d * blocks)
    b, g, p = fried.b.data, fried.g.data, fried.permutation.data
    assert set(np.unique(b)) == {-1.0, 1.0}
    assert np.array_equal(np.sort(p, axis=1), np.tile(np.arange(d), (blocks, 1)))
    count = blocks * d
    assert abs(b.mean()) < ERRORS / math.sqrt(count)
    assert abs(g.mean()) < ERRORS / math.sqrt(count)
    assert abs((g**2).mean() - 1) < ERRORS * math.sqrt(2 / count)
    first = (p[:, 0] == np.arange(d)[:, None]).mean(axis=1)  # each place as likely
    assert (np.abs(first - 1 / d) < ERRORS * math.sqrt((1 - 1 / d) / d / blocks)).all()
    squares = (fried.s.data * np.linalg.norm(g, axis=1, keepdims=True)) ** 2
    assert abs(squares.mean() - d) < ERRORS * math.sqrt(2 * d / count)
    variance = squares.var()  # chi-square: 2 d, its own error from the fourth moment
    error = ((squares - d) ** 2).std() / math.sqrt(count)
    assert abs(variance - 2 * d) < ERRORS * error


@pytest.mark.parametrize("distance", [0.7, 2.0])
def test_features_are_right_on_average(distance):
    """Over draws of whole layers; rows of one draw depend on each other."""
    x, sigma, draws = Draw(2)(2, 8), 1.2, 3000
    x[1] = x[0] + distance * (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    k = math.exp(-(distance**2) / (2 * sigma**2))
    found = np.empty(draws)
    for i in range(draws):
        phi = ff.fastfood_features(8, 8, sigma).to("float64")(Tensor(x)).data
        found[i] = phi[0] @ phi[1]
    assert abs(found.mean() - k) < ERRORS * found.std() / math.sqrt(draws)


def test_one_cosine_has_the_variance_of_a_normal_row():
    """(1 - exp(-|v|^2))^2 / 2, one row from each of many blocks."""
    blocks, d = 60_000, 4
    v = Draw(5)(d) * 0.6
    z = layer(d, d * blocks)(Tensor(v)).data.reshape(blocks, d)[:, 1]
    length = v @ v
    cosines = np.cos(z)
    expected = 0.5 * (1 - math.exp(-length)) ** 2
    mean = math.exp(-length / 2)
    error = ((cosines - mean) ** 2).std() / math.sqrt(blocks)
    assert abs(((cosines - mean) ** 2).mean() - expected) < ERRORS * error
    assert abs(cosines.mean() - mean) < ERRORS * cosines.std() / math.sqrt(blocks)


def test_errors_fall_with_the_root_of_n():
    """As the fact sheet's table: about 1.2 times those of normal rows."""
    x = Draw(0)(30, 64) / math.sqrt(64)
    k = rf.rbf_kernel(x, x)
    above = np.triu_indices(30, 1)

    def error(features, n):
        squares = []
        for _ in range(6):
            phi = features(64, n).to("float64")(Tensor(x)).data
            squares.append(((phi @ phi.T - k)[above] ** 2).mean())
        return math.sqrt(np.mean(squares))

    fried = [error(ff.fastfood_features, n) for n in (64, 256, 1024)]
    normal = [error(rf.random_features, n) for n in (64, 256, 1024)]
    for errors in (fried, normal):
        assert 3 < errors[0] / errors[2] < 5.3  # four times, for sixteen times the rows
    assert 0.95 < np.mean(np.divide(fried, normal)) < 1.6


# Counts


def test_cost_of_a_block():
    assert ff.cost(1024, 1024) == (3072, 20480, 3072)  # a dense layer: 1,048,576
    assert ff.cost(8, 20) == (72, 144, 72)  # rounded up to three blocks


@pytest.mark.parametrize(
    "name, weights, parameters",
    [
        ("lenet-reference", 430_500, 431_080),
        ("fastfood-2048", 52_124, 52_124 - 3 * 2048 + 70 + 10),
        ("adaptive-fastfood-2048", 52_124, 52_124 + 70 + 2048 + 10),
        # The paper's table prints 38,821. With ten biases more it would be 38,822, and
        # 52,134 for 2,048, which it does not print either: two digits changed places.
        ("fastfood-1024", 38_812, 38_812 - 3 * 1024 + 70 + 10),
        ("adaptive-fastfood-1024", 38_812, 38_812 + 70 + 1024 + 10),
        ("svd-half", 25_500 + 250 * 1300 + 5_000, 25_500 + 330_000 + 580),
        ("svd-quarter", 25_500 + 125 * 1300 + 5_000, 25_500 + 167_500 + 580),
    ],
)
def test_weights_as_the_paper_counts_them(name, weights, parameters):
    net = models.create(name)
    assert ff.count_weights(net) == weights
    assert nn.count(net, (1, 28, 28)).parameters == parameters
    assert net(Tensor(np.zeros((2, 1, 28, 28), np.float32))).shape == (2, 10)


def test_weights_of_the_reference_layer_by_layer():
    net = models.create("lenet-reference")
    weights = [p.numel() for name, p in net.named_parameters() if "weight" in name]
    assert weights == [500, 25_000, 400_000, 5_000]


def test_caffenet():
    assert ff.caffenet_dense_weights() == 58_621_952
    assert ff.caffenet_convolution_weights() == 2_332_704
    assert ff.caffenet_parameters() == 60_965_224
    share = ff.caffenet_dense_weights() / ff.caffenet_parameters()
    assert round(100 * share, 1) == 96.2  # not 99.9, as the slides have it
    forgotten = sum(out * k * k for out, _, k in ff.CAFFENET_CONVOLUTIONS)
    assert forgotten == 27_232  # the slides' count: no input channels
    assert ff.fried_caffenet_weights(16_384) == 16_433_152
    assert ff.fried_caffenet_weights(32_768) == 32_866_304


def test_multiply_adds_are_the_additions():
    assert nn.count(layer(8, 16, adaptive=True), (8,)).madds == 2 * 16 * 3


# Use


def test_a_checkpoint_brings_the_same_function_back():
    x = Tensor(Draw(0)(2, 6))
    one, other = layer(6, 12), layer(6, 12)
    assert not np.array_equal(one(x).data, other(x).data)
    other.load_state_dict(one.state_dict())
    assert np.array_equal(one(x).data, other(x).data)


def test_nothing_is_drawn_in_forward():
    fried, x = layer(6, 12), Tensor(Draw(0)(2, 6))
    state = minidl.random.get_state()
    assert np.array_equal(fried(x).data, fried(x).data)
    assert minidl.random.get_state() == state


def test_a_batch_of_one_and_leading_axes():
    fried, x = layer(6, 12, bias=True), Draw(0)(2, 3, 6)
    fried.bias.data[...] = Draw(1)(12)
    y = fried(Tensor(x)).data
    assert y.shape == (2, 3, 12)
    assert_close(fried(Tensor(x[:1, 0])).data, y[:1, 0], "float64", "batch of one")
    assert_close(fried(Tensor(x[1, 2])).data, y[1, 2], "float64", "one point")
    assert fried(Tensor(np.zeros((0, 6)))).shape == (0, 12)


def test_float32_stays_float32():
    fried = ff.Fastfood(6, 12, adaptive=True)
    y = fried(Tensor(np.ones((2, 6), np.float32)))
    F.sum(y).backward()
    assert y.dtype == "float32" and fried.g.grad.dtype == "float32"


def test_an_adaptive_layer_learns_what_a_frozen_one_cannot():
    """|u . x| for a direction u: 16 rows have to turn towards it."""
    x = Draw(0)(400, 16)
    target = Tensor(np.abs(x @ Draw(1)(16))[:, None] / 4)
    losses = {}
    for adaptive in (False, True):
        minidl.manual_seed(3)
        fried = layer(16, 16, math.sqrt(8), adaptive, bias=True)
        net = nn.Sequential(fried, nn.ReLU(), nn.Linear(16, 1).to("float64"))
        optimizer = minidl.optim.Adam(net.parameters(), 0.02)
        for _ in range(300):
            loss = F.mean((net(Tensor(x)) - target) ** 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[adaptive] = loss.item()
    assert losses[True] < losses[False] / 2


def test_the_permutation_is_checked_after_it_was_changed():
    fried = layer(4, 4)
    fried.permutation.data[0, 0] = fried.permutation.data[0, 1]
    with pytest.raises(ArgumentError, match="must have 0 to 3 once each"):
        fried(Tensor(np.ones((1, 4))))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: layer(0, 4), "Fastfood: in_features must be an integer >= 1; got 0"),
        (lambda: layer(4, 0), "Fastfood: out_features must be an integer >= 1; got 0"),
        (lambda: layer(4, 4, 0), "Fastfood: sigma must be a finite number > 0; got 0"),
        (lambda: layer(4, 4, -2.0), "sigma must be a finite number > 0; got -2.0"),
        (
            lambda: layer(4, 4)(Tensor(np.ones((2, 3)))),
            r"input must be \(..., 4\); got",
        ),
        (lambda: layer(4, 4)(Tensor(np.ones(()))), r"input must be \(..., 4\); got"),
        (lambda: ff.fastfood_features(4, 4, 1.0, "cos"), "form of features"),
        (lambda: ff.fried_caffenet_weights(0), "n must be an integer >= 1; got 0"),
        (lambda: models.create("fastfood-1024", (1, 12, 12)), "fastfood-1024: images"),
        (lambda: models.create("svd-half", (1, 12, 12)), "svd-half: images must be"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError, MinidlError), match=message):
        call()
