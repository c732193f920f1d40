"""Gradient clipping and averaged weights."""

import math

import numpy as np
import pytest

from minidl import nn, optim
from minidl.errors import ArgumentError, CheckpointError, GradError
from minidl.tensor import Tensor


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("limit", [0.0, 0.5, 1e3])
def test_clipping_equals_torchs(limit):
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    params = [nn.Parameter(np.zeros(n, "float32")) for n in ((3, 4), (), (2, 1, 5))]
    for clip in ("clip_grad_norm_", "clip_grad_value_"):
        for i, p in enumerate(params):
            p.grad = Tensor(np.asarray(rng(i).normal(size=p.shape)).astype("float32"))
        twins = [torch.zeros(p.shape, requires_grad=True) for p in params]
        for p, q in zip(params, twins):
            q.grad = torch.tensor(p.grad.data)
        ours = getattr(optim, clip)(params, limit)
        theirs = getattr(torch.nn.utils, clip)(twins, limit)
        if ours is not None:
            assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
        for p, q in zip(params, twins):
            np.testing.assert_allclose(p.grad.data, q.grad, 1e-6)


def test_clipping_by_norm():
    p, q = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros((1, 1)))
    p.grad, q.grad = Tensor(np.array([3.0, 0.0])), Tensor(np.array([[4.0]]))
    memory = p.grad.data
    total = optim.clip_grad_norm_(iter([p, q, nn.Parameter([1.0])]), 1.0)
    assert total.item() == 5.0 and p.grad.data is memory
    np.testing.assert_allclose(p.grad.data, [0.6, 0.0], 1e-6)
    np.testing.assert_allclose(q.grad.data, [[0.8]], 1e-6)
    optim.clip_grad_value_(p, 0.25)
    np.testing.assert_array_equal(p.grad.data, [0.25, 0.0])
    assert optim.clip_grad_norm_([nn.Parameter([1.0])], 1.0).item() == 0.0


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_can_refuse_norms_that_are_not_finite(bad):
    p = nn.Parameter(np.zeros(2))
    p.grad = Tensor(np.array([1.0, bad]))
    with pytest.raises(
        GradError, match=f"clip_grad_norm_: norm must be finite; got {bad}"
    ):
        optim.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    np.testing.assert_array_equal(p.grad.data, [1.0, bad])
    assert not math.isfinite(optim.clip_grad_norm_([p], 1.0).item())


def test_clipping_leaves_the_graph_of_a_gradient_alone():
    p = nn.Parameter(np.array([3.0, 4.0]))
    (p * p).sum().backward(create_graph=True)
    g = p.grad
    optim.clip_grad_norm_([p], 1.0)
    np.testing.assert_allclose(p.grad.data, [0.6, 0.8], 1e-6)
    np.testing.assert_array_equal(g.data, [6.0, 8.0])
    p.grad = None
    p.sum().backward(create_graph=True)  # a broadcast view: read-only memory
    optim.clip_grad_value_([p], 0.5)
    np.testing.assert_array_equal(p.grad.data, [0.5, 0.5])


def test_average_of_weights_follows_the_formula():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm2d(2)).to("float64")
    ema = optim.EMA(model, 0.9)
    expected = {k: p.data.copy() for k, p in model.named_parameters()}
    for k in range(5):
        for p in model.parameters():
            p.data += rng(k).normal(size=p.shape)
        ema.update()
        for name, p in model.named_parameters():
            expected[name] = 0.9 * expected[name] + 0.1 * p.data
    state = ema.state_arrays()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, 1e-13)
    own = {k: p.data for k, p in model.named_parameters()}
    with ema.swapped() as swapped:
        assert swapped is model
        for name, p in model.named_parameters():
            np.testing.assert_allclose(p.data, expected[name], 1e-13)
        for refused in (
            ema.update,
            lambda: ema.apply_to(model),
            ema.swapped().__enter__,
        ):
            with pytest.raises(
                ArgumentError, match="must be called outside of swapped"
            ):
                refused()
    assert all(p.data is own[k] for k, p in model.named_parameters())
    with pytest.raises(ZeroDivisionError), ema.swapped():
        1 / 0
    assert all(p.data is own[k] for k, p in model.named_parameters())


def test_average_copies_and_reloads():
    model = nn.Linear(2, 1)
    ema = optim.EMA(model, 0.5)
    model.weight.data += 1
    ema.update()
    other, twin = nn.Linear(2, 1), optim.EMA(nn.Linear(2, 1), 0.5)
    ema.apply_to(other)
    twin.load_state(ema.state_arrays())
    for name, p in other.named_parameters():
        np.testing.assert_array_equal(p.data, ema.averages[name])
        np.testing.assert_array_equal(twin.averages[name], ema.averages[name])
        assert not np.shares_memory(p.data, ema.averages[name])
    with pytest.raises(
        ArgumentError, match="EMA: model must have the averaged parameters"
    ):
        ema.apply_to(nn.Linear(3, 1))
    with pytest.raises(CheckpointError, match="EMA: state must hold"):
        ema.load_state({"weight": np.zeros((1, 2), "float32")})
    assert repr(other) == repr(model)


P = nn.Parameter(np.ones(2))
REFUSED = [
    (lambda: optim.clip_grad_norm_([P], -1), "clip_grad_norm_: max_norm must be >= 0"),
    (
        lambda: optim.clip_grad_value_([P], -1),
        "clip_grad_value_: clip_value must be >= 0",
    ),
    (
        lambda: optim.EMA(nn.Linear(1, 1), 1.1),
        r"EMA: decay must be in \[0, 1\]; got 1.1",
    ),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()
