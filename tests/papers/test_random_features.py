"""Random features: kernels in closed form, what is near them, least squares on them.

Statistical tests allow 5.5 standard errors for each number compared, which chance
exceeds once in 26 million; no test compares more than 20.
"""

import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import ArgumentError, MinidlError, ShapeError
from minidl.papers import random_features as rf
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

ERRORS = 5.5


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def test_the_kernel_by_hand():
    x, y = Draw(0)(3, 4), Draw(1)(5, 4)
    k = rf.rbf_kernel(x, Tensor(y), 1.7)
    for i, j in np.ndindex(3, 5):
        gap = sum((a - b) ** 2 for a, b in zip(x[i], y[j]))
        assert math.isclose(k[i, j], math.exp(-gap / (2 * 1.7**2)), rel_tol=1e-12)
    assert np.array_equal(np.diag(rf.rbf_kernel(1e3 * x, 1e3 * x)) <= 1, [True] * 3)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_kernels_are_the_integrals_that_they_stand_for(order):
    """2 E[step(z) step(z') (z z')^k] by the angle: an integral over a half circle.

    With z = r cos(a), z' = r cos(a - t) the radius gives E r^(2k) = 2^k k!.
    """
    for t in (0.0, 0.3, math.pi / 2, 2.0, 3.0):
        x, y = np.array([[1.5, 0.0]]), 0.7 * np.array([[math.cos(t), math.sin(t)]])
        low, high = t - math.pi / 2, math.pi / 2
        nodes, weights = np.polynomial.legendre.leggauss(60)
        a = (high - low) / 2 * nodes + (high + low) / 2
        inner = (np.cos(a) * np.cos(a - t)) ** order
        mean = (weights * inner).sum() * (high - low) / 2 / (2 * math.pi)
        expected = 2 * mean * 2**order * math.factorial(order) * (1.5 * 0.7) ** order
        got = rf.arc_cosine_kernel(x, y, order)[0, 0]
        assert math.isclose(got, expected, rel_tol=1e-12, abs_tol=1e-14), t


def test_values_of_arc_cosine_kernels():
    x = Draw(0)(4, 6)
    lengths = (x * x).sum(1)
    assert_close(np.diag(rf.arc_cosine_kernel(x, x, 1)), lengths, "float64", "k(x, x)")
    unit = np.eye(3)
    assert math.isclose(rf.arc_cosine_kernel(unit, unit, 1)[0, 1], 1 / math.pi)
    assert math.isclose(rf.arc_cosine_kernel(unit, unit, 0)[0, 1], 1 / 2)
    same = rf.arc_cosine_kernel(x, x, 0)
    assert np.abs(np.diag(same) - 1).max() < 1e-8


def pair(distance, d=8):
    """Two points so far from each other."""
    x = Draw(2)(2, d)
    x[1] = x[0] + distance * (x[1] - x[0]) / np.linalg.norm(x[1] - x[0])
    return x


@pytest.mark.parametrize("form", ["paired", "phased"])
@pytest.mark.parametrize("distance", [0.5, 1.5, 4.0])
def test_features_are_right_on_average_and_err_as_the_formula_says(form, distance):
    x, sigma, n, draws = pair(distance), 1.3, 16, 4000
    k, double = (math.exp(-((f * distance / sigma) ** 2) / 2) for f in (1, 2))
    found = np.empty(draws)
    for i in range(draws):
        phi = rf.random_features(8, n, sigma, form).to("float64")(Tensor(x)).data
        found[i] = phi[0] @ phi[1]
    # paired features come in twos: D counts both of a row
    features = 2 * n if form == "paired" else n
    expected = rf.variance(k, double, features, form)
    assert abs(found.mean() - k) < ERRORS * math.sqrt(expected / draws)
    # the variance of a variance: from the fourth moment, which the draws estimate well
    spread = ((found - k) ** 2).std() / math.sqrt(draws)
    assert abs(((found - k) ** 2).mean() - expected) < ERRORS * spread


def test_paired_features_have_length_one():
    phi = rf.random_features(5, 32, 0.4).to("float64")(Tensor(Draw(0)(7, 5))).data
    assert_close((phi * phi).sum(1), np.ones(7), "float64", "length")


@pytest.mark.parametrize("order", [0, 1, 2])
def test_rectified_rows_are_the_arc_cosine_kernel(order):
    x, n = Draw(4)(2, 3), 200_000
    net = nn.Sequential(rf.GaussianRows(3, n), rf.ArcCosine(order)).to("float64")
    phi = net(Tensor(x)).data
    k = rf.arc_cosine_kernel(x, x, order)
    products = phi[:, None] * phi[None] * n  # each has the kernel as its mean
    errors = products.std(axis=2) / math.sqrt(n)
    assert (np.abs(products.mean(axis=2) - k) < ERRORS * errors).all()


def test_the_step_passes_no_gradient():
    z = Tensor(Draw(0)(3, 4), True)
    net = rf.ArcCosine(0)
    y = net(z)
    assert set(np.unique(y.data)) <= {0.0, math.sqrt(2 / 4)}
    F.sum(y).backward()
    assert not z.grad.data.any()


@pytest.mark.parametrize("form", rf.FORMS)
def test_derivatives(form):
    check_layer(
        rf.random_features(4, 6, 0.8, form).to("float64"), Tensor(Draw(0)(3, 4))
    )


def test_everything_random_is_in_the_state():
    net = rf.random_features(4, 6, 2.0, "phased")
    assert sorted(net.state_dict()) == ["0.weight", "1.phase"]
    assert list(net.parameters()) == []
    other = rf.random_features(4, 6, 2.0, "phased")
    x = Tensor(Draw(0)(2, 4).astype(np.float32))
    assert not np.array_equal(net(x).data, other(x).data)
    other.load_state_dict(net.state_dict())
    assert np.array_equal(net(x).data, other(x).data)


def test_a_seed_gives_the_same_features_again():
    first = rf.random_features(4, 6).state_dict()["0.weight"].numpy()
    minidl.manual_seed(0)
    assert np.array_equal(rf.random_features(4, 6).state_dict()["0.weight"].data, first)


def ring(count, seed):
    """Points in the plane, and whether they lie between two circles."""
    x = Draw(seed).rng.uniform(-2, 2, (count, 2))
    radius = np.linalg.norm(x, axis=1)
    return x, ((radius > 0.8) & (radius < 1.5)).astype(float)


def test_kernel_ridge_learns_what_no_line_tells_apart():
    x, y = ring(800, 0)
    features = rf.random_features(2, 200, 0.5, "phased").to("float64")
    ridge = rf.KernelRidge(features, 1e-5).fit(x, y)
    test, expected = ring(400, 1)
    right = ((ridge.predict(Tensor(test)) > 0.5) == expected).mean()
    linear = rf.KernelRidge(nn.Identity(), 1e-5).fit(x, y)
    assert right > 0.93
    assert ((linear.predict(test) > 0.5) == expected).mean() < 0.75


def test_kernel_ridge_solves_the_normal_equations():
    x, y = Draw(0)(30, 4), Draw(1)(30, 3)
    features = rf.random_features(4, 10, 1.0).to("float64")
    ridge = rf.KernelRidge(features, 0.1).fit(x, y)
    p = features(Tensor(x)).data
    residual = p.T @ (p @ ridge.weight - (y - y.mean(0))) + 0.1 * 30 * ridge.weight
    assert np.abs(residual).max() < 1e-10
    assert_close(ridge.predict(x), p @ ridge.weight + y.mean(0), "float64", "predict")
    single = rf.KernelRidge(features, 0.1).fit(x, y[:, 1])
    assert_close(single.predict(x), ridge.predict(x)[:, 1], "float64", "one target")


def test_batches_change_nothing():
    x, y = Draw(0)(2500, 3), Draw(1)(2500)
    features = rf.random_features(3, 8).to("float64")
    ridge = rf.KernelRidge(features).fit(x, y)
    assert_close(ridge._map(x, 100), ridge._map(x), "float64", "features")
    assert ridge.predict(x).shape == (2500,)


def test_softmax_by_sgd_on_fixed_features_learns_the_ring():
    x, y = ring(600, 0)
    net = nn.Sequential(rf.random_features(2, 128, 0.5, "phased"), nn.Linear(128, 2))
    optimizer = minidl.optim.Adam(net.parameters(), 0.05)
    x, y = Tensor(x.astype(np.float32)), Tensor(y.astype(np.int64))
    for _ in range(150):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.15


def test_median_distance():
    x = np.zeros((50, 2, 3))
    x[:, 0, 0] = np.arange(50)
    gaps = [abs(i - j) for i in range(50) for j in range(50) if i != j]
    assert abs(rf.median_distance(x, 20_000) - np.median(gaps)) <= 1
    with pytest.raises(ShapeError, match="N >= 2"):
        rf.median_distance(x[:1])


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: rf.GaussianRows(0, 4), "in_features must be an integer >= 1"),
        (lambda: rf.GaussianRows(4, 0), "n must be an integer >= 1"),
        (lambda: rf.GaussianRows(4, 4, 0), "sigma must be a finite number > 0; got 0"),
        (lambda: rf.GaussianRows(4, 4, -1.0), "sigma must be a finite number > 0"),
        (lambda: rf.GaussianRows(4, 4, math.nan), "sigma must be a finite number > 0"),
        (lambda: rf.GaussianRows(4, 4, "1"), "sigma must be a finite number > 0"),
        (lambda: rf.random_features(4, 4, 1.0, "pared"), "did you mean"),
        (lambda: rf.ArcCosine(3), "order must be 0, 1 or 2; got 3"),
        (lambda: rf.arc_cosine_kernel(np.eye(2), np.eye(2), 4), "order must be 0, 1"),
        (lambda: rf.arc_cosine_kernel(np.zeros((1, 2)), np.eye(2)), "a direction"),
        (lambda: rf.rbf_kernel(np.eye(2), np.eye(3)), "points must be"),
        (lambda: rf.rbf_kernel(np.eye(2), np.eye(2), 0), "sigma must be"),
        (lambda: rf.variance(0.5, 0.1, 8, "arc"), "form of features"),
        (lambda: rf.KernelRidge(nn.Identity(), 0), "penalty must be a finite number"),
        (
            lambda: rf.KernelRidge(nn.Identity()).predict(np.eye(2)),
            "fit must be called",
        ),
        (
            lambda: rf.KernelRidge(nn.Identity()).fit(np.eye(2), [1]),
            "a target for each",
        ),
        (
            lambda: rf.KernelRidge(nn.Identity()).fit(np.ones((0, 2)), []),
            "one at least",
        ),
        (lambda: rf.random_features(4, 4)(Tensor(np.ones((2, 3), np.float32))), "3"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, MinidlError), match=message):
        call()


def test_one_point_and_leading_axes():
    net = rf.random_features(4, 6).to("float64")
    x = Draw(0)(2, 3, 4)
    y = net(Tensor(x)).data
    assert y.shape == (2, 3, 12)
    assert_close(net(Tensor(x[0, 0])).data, y[0, 0], "float64", "one point")
