"""Initialisers: variances, bounds, orthogonality, and one generator for all."""

import math

import numpy as np
import pytest

import minidl
from minidl import nn, random
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import init
from minidl.tensor import Tensor


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


WEIGHT = (80, 40, 3, 3)  # 28,800 draws: fan_in 360, fan_out 720


def filled(fill, shape=WEIGHT, dtype="float64", **options):
    t = Tensor(np.full(shape, np.nan, dtype))
    minidl.manual_seed(1)
    assert fill(t, **options) is t
    return t.data


VARIANCES = [
    (init.uniform_, dict(a=-1.0, b=3.0), 16 / 12),
    (init.normal_, dict(mean=2.0, std=3.0), 9.0),
    (init.kaiming_normal_, {}, 2 / 360),
    (init.kaiming_normal_, dict(mode="fan_out", nonlinearity="relu"), 2 / 720),
    (init.kaiming_uniform_, dict(a=math.sqrt(5)), 1 / 360 / 3),
    (init.kaiming_uniform_, dict(nonlinearity="tanh"), 25 / 9 / 360),
    (init.xavier_normal_, {}, 2 / 1080),
    (init.xavier_uniform_, dict(gain=3.0), 9 * 2 / 1080),
    (init.trunc_normal_, dict(a=-100.0, b=100.0, std=2.0), 4.0),
    (init.trunc_normal_, {}, 0.7737413),  # 1 - 4 phi(2) / (2 Phi(2) - 1)
]


@pytest.mark.parametrize("fill, options, variance", VARIANCES)
def test_variances(fill, options, variance):
    x = filled(fill, **options)
    error = math.sqrt(
        2 / x.size
    )  # of a normal sample's variance, relative; less for others
    assert x.var() == pytest.approx(variance, rel=4 * error)
    mean = {init.uniform_: 1.0, init.normal_: 2.0}.get(fill, 0.0)
    assert abs(x.mean() - mean) < 4 * math.sqrt(variance / x.size)
    small = filled(fill, dtype="float32", **options)
    np.testing.assert_array_equal(small, x.astype("float32"))


def test_uniform_and_truncated_bounds():
    bound = 1 / math.sqrt(360)
    x = filled(init.kaiming_uniform_, a=math.sqrt(5))
    assert bound * 0.999 < np.abs(x).max() <= bound
    x = filled(init.trunc_normal_, mean=1.0, std=2.0, a=0.5, b=1.5)
    assert 0.5 <= x.min() < 0.51 and 1.49 < x.max() <= 1.5


@pytest.mark.parametrize("shape", [(20, 50), (50, 20), (12, 3, 2, 2), (4, 5, 3, 3)])
def test_orthogonal(shape):
    x = filled(init.orthogonal_, shape, gain=2.0).reshape(shape[0], -1)
    gram = x @ x.T if x.shape[0] <= x.shape[1] else x.T @ x
    np.testing.assert_allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_orthogonal_is_uniform_over_the_group():
    draws = [init.orthogonal_(Tensor(np.empty((2, 2)))).data for _ in range(400)]
    signs = np.mean([np.diag(d) > 0 for d in draws], axis=0)
    assert (
        np.abs(signs - 0.5) < 0.1
    ).all()  # without the signs of R they are one-sided


@pytest.mark.parametrize("channels, groups", [((3, 3), 1), ((4, 2), 2), ((6, 3), 1)])
def test_dirac_is_the_identity(channels, groups):
    out, inside = channels
    conv = nn.Conv2d(inside * groups, out, 3, padding=1, groups=groups, bias=False)
    init.dirac_(conv.weight, groups)
    x = Tensor(np.random.default_rng(0).random((2, inside * groups, 4, 5), "float32"))
    y = conv(x).data
    each = out // groups
    for g in range(groups):
        kept = min(each, inside)
        np.testing.assert_array_equal(
            y[:, g * each : g * each + kept], x.data[:, g * inside : g * inside + kept]
        )
    assert conv.weight.data.sum() == groups * min(each, inside)


def test_constants_gains_and_fans():
    assert (filled(init.zeros_) == 0).all() and (filled(init.ones_) == 1).all()
    assert (filled(init.constant_, val=2.5) == 2.5).all()
    assert init.fans(Tensor(np.empty(WEIGHT))) == (360, 720)
    assert init.fans(Tensor(np.empty((5, 7)))) == (7, 5)
    gains = [init.calculate_gain(n) for n in ("linear", "tanh", "relu", "selu")]
    assert gains == [1.0, 5 / 3, math.sqrt(2), 0.75]
    assert init.calculate_gain("leaky_relu", 3.0) == pytest.approx(math.sqrt(0.2))


def test_gains_equal_torchs():
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name), name


def test_initialisers_refuse():
    t = Tensor(np.empty((4, 3)))
    for call, error, message in (
        (
            lambda: init.kaiming_normal_(t, mode="fan"),
            ArgumentError,
            "mode must be 'fan_in'",
        ),
        (lambda: init.kaiming_normal_(t, nonlinearity="rely"), LookupError, "relu"),
        (lambda: init.xavier_normal_(Tensor(np.empty(3))), ShapeError, "at least 2-D"),
        (lambda: init.orthogonal_(Tensor(np.empty(3))), ShapeError, "at least 2-D"),
        (lambda: init.uniform_(t, 1.0, 0.0), ArgumentError, "uniform_: b must be"),
        (lambda: init.normal_(t, std=-1.0), ArgumentError, "normal_: std must be >= 0"),
        (
            lambda: init.trunc_normal_(t, a=5.0, b=6.0),
            ArgumentError,
            "1 % of the distr",
        ),
        (lambda: init.dirac_(t), ShapeError, "dirac_: tensor must be 3-D to 5-D"),
        (lambda: init.dirac_(Tensor(np.empty((4, 2, 3))), 3), ArgumentError, "divisor"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_initialisers_draw_from_minidls_generator():
    state = random.get_state()
    first = nn.Linear(3, 2).weight.data
    random.set_state(state)
    np.testing.assert_array_equal(nn.Linear(3, 2).weight.data, first)
