"""Random projections: the bound, lengths on average, distances of many points."""

import math

import numpy as np
import pytest

import minidl
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import random_projection as rp
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

KINDS = [rp.DenseProjection, rp.HadamardProjection]
ERRORS = 5.5  # standard errors: chance exceeds them once in 26 million


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


@pytest.mark.parametrize(
    "points, eps, expected",
    [(10**6, 0.5, 663), (10**6, 0.1, 11841), (10**6, 0.01, 1112658), (1000, 0.5, 331)],
)
def test_the_bound(points, eps, expected):
    assert int(rp.bound(points, eps)) == expected
    assert rp.least_dimensions(points, eps) == expected + 1  # the first that is enough


def test_one_point_needs_one_dimension():
    assert rp.bound(1, 0.3) == 0 and rp.least_dimensions(1, 0.3) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", ["random", "unit", "row of H"])
def test_squared_lengths_are_right_on_average(kind, point):
    d, k, draws = 16, 4, 4000
    x = {
        "random": Draw(0)(d),
        "unit": np.eye(d)[3],
        "row of H": np.where(np.arange(d) % 2, -1.0, 1.0),
    }[point]
    found = [
        (kind(d, k).to("float64")(Tensor(x)).data ** 2).sum() / (x @ x)
        for _ in range(draws)
    ]
    error = np.std(found) / math.sqrt(draws)
    assert abs(np.mean(found) - 1) <= max(ERRORS * error, 1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_all_distances_of_many_points_are_kept(kind):
    """The bound for 40 points and eps 0.5; it fails in fewer than 1 of 40 draws."""
    x = Draw(1)(40, 700)
    k = rp.least_dimensions(40, 0.5)
    y = kind(700, k).to("float64")(Tensor(x)).data
    pairs = np.triu_indices(40, 1)
    before, after = (((a[pairs[0]] - a[pairs[1]]) ** 2).sum(1) for a in (x, y))
    assert (np.abs(after / before - 1) < 0.5).all()
    assert np.abs(after / before - 1).max() > 0.05  # a projection, not a copy


def test_a_row_of_h_needs_the_signs():
    """Without them it falls on one coordinate, which k of d rows mostly miss."""
    layer = rp.HadamardProjection(64, 8).to("float64")
    row = Tensor(np.where(np.arange(64) % 2, -1.0, 1.0))
    with_signs = (layer(row).data ** 2).sum() / 64
    assert 0.2 < with_signs < 3
    layer.signs.data[...] = 1
    assert (layer(row).data ** 2).sum() / 64 in (0.0, 8.0)


def test_all_rows_make_an_isometry():
    layer = rp.HadamardProjection(32, 32).to("float64")
    x = Draw(0)(5, 32)
    y = layer(Tensor(x)).data
    assert_close(y @ y.T, x @ x.T, "float64", "products")


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_and_state(kind):
    layer = kind(6, 4).to("float64")
    check_layer(layer, Tensor(Draw(0)(3, 6)))
    names = {"weight"} if kind is rp.DenseProjection else {"signs", "rows"}
    assert set(layer.state_dict()) == names and list(layer.parameters()) == []


@pytest.mark.parametrize("eps", [0, 1, -0.1, math.nan])
def test_eps_must_lie_between(eps):
    with pytest.raises(ArgumentError, match="eps must be above 0 and below 1"):
        rp.bound(10, eps)


def test_bad_arguments():
    with pytest.raises(ArgumentError, match="points must be an integer >= 1; got 0"):
        rp.least_dimensions(0, 0.5)
    with pytest.raises(
        ArgumentError, match="k must be at most 8, .* 6 features; got 9"
    ):
        rp.HadamardProjection(6, 9)
    with pytest.raises(ArgumentError, match="k must be an integer >= 1; got 0"):
        rp.DenseProjection(6, 0)
    with pytest.raises(ShapeError, match=r"input must be \(..., 6\); got \(2, 5\)"):
        rp.HadamardProjection(6, 4)(Tensor(np.ones((2, 5))))
