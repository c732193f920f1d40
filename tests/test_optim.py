"""Optimisers: against torch, in groups, refusing, saved and loaded."""

import json

import numpy as np
import pytest
from optim_cases import CASES, IDS, feed, parameters, rng, train

import minidl
from minidl import nn, optim
from minidl.errors import (
    ArgumentError,
    CheckpointError,
    DtypeError,
    ShapeError,
)
from minidl.tensor import Tensor


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")


# --- parity with torch --------------------------------------------------------------


@pytest.mark.parametrize("dtype, tol", [("float32", 1e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_fifty_steps_equal_torchs(torch, name, options, dtype, tol):
    params = parameters(dtype)
    twins = [torch.nn.Parameter(torch.tensor(p.data)) for p in params]
    ours, theirs = (
        getattr(library, name)(p, **options)
        for library, p in ((optim, params), (torch.optim, twins))
    )
    for k in range(50):
        feed(params, k)
        for p, q in zip(params, twins):
            q.grad = None if p.grad is None else torch.tensor(p.grad.data)
        ours.step()
        theirs.step()
        for p, q in zip(params, twins):
            np.testing.assert_allclose(p.data, q.detach().numpy(), tol, tol)
    state = ours.state_arrays()
    for j, q in enumerate(twins):
        for slot, value in theirs.state[q].items():
            if slot != "step" and value is not None:
                np.testing.assert_allclose(state[f"0.{j}.{slot}"], value, tol, tol)


def test_defaults_equal_torchs(torch):
    for name in ("SGD", "RMSprop", "Adam", "AdamW"):
        ours = getattr(optim, name)(parameters()).defaults
        theirs = getattr(torch.optim, name)([torch.zeros(1)]).defaults
        assert ours == {k: theirs[k] for k in ours}, name


# --- groups, errors, saving ---------------------------------------------------------


def test_groups_have_their_own_options_and_later_ones_join():
    a, b, c = parameters()[:3]
    optimizer = optim.SGD([{"params": a}, {"params": iter([b]), "lr": 1.0}], lr=0.5)
    optimizer.add_param_group({"params": [c], "weight_decay": 0.5})
    assert [g["lr"] for g in optimizer.param_groups] == [0.5, 1.0, 0.5]
    before = [p.data.copy() for p in (a, b, c)]
    for p in (a, b, c):
        p.grad = Tensor(np.ones(p.shape))
    optimizer.step()
    np.testing.assert_allclose(a.data, before[0] - 0.5)
    np.testing.assert_allclose(b.data, before[1] - 1.0)
    np.testing.assert_allclose(c.data, before[2] - 0.5 * (1 + 0.5 * before[2]))
    optimizer.zero_grad()
    assert a.grad is b.grad is c.grad is None
    optimizer.step()
    np.testing.assert_allclose(b.data, before[1] - 1.0)


def test_momentum_may_start_later():
    p = nn.Parameter(np.zeros(2))
    optimizer = optim.SGD([p], lr=1.0)
    for momentum, expected in ((0, -1.0), (0.5, -2.0), (0.5, -3.5)):
        optimizer.param_groups[0]["momentum"] = momentum
        p.grad = Tensor(np.ones(2))
        optimizer.step()
        np.testing.assert_array_equal(p.data, [expected, expected])


P = nn.Parameter(np.ones(2))
REFUSED = [
    (lambda: optim.SGD([P], lr=-1), r"SGD: lr must be in \[0, inf\); got -1"),
    (lambda: optim.SGD([P], lr=float("nan")), "SGD: lr must be"),
    (lambda: optim.SGD([P], lr="0.1"), "SGD: lr must be"),
    (lambda: optim.SGD([P], momentum=-0.1), "SGD: momentum must be"),
    (lambda: optim.SGD([P], weight_decay=-1), "SGD: weight_decay must be"),
    (lambda: optim.SGD([P], nesterov=True), "SGD: nesterov needs momentum > 0"),
    (lambda: optim.SGD([P], momentum=0.9, dampening=0.1, nesterov=True), "dampening 0"),
    (lambda: optim.RMSprop([P], alpha=1.0), r"RMSprop: alpha must be in \[0, 1\)"),
    (lambda: optim.RMSprop([P], eps=-1.0), "RMSprop: eps must be"),
    (
        lambda: optim.Adam([P], betas=(0.9, 1.0)),
        r"Adam: betas must be in \[0, 1\); got",
    ),
    (lambda: optim.AdamW([P], betas=(-0.1, 0.9)), "AdamW: betas must be"),
    (lambda: optim.Adam([P], betas=(0.9,)), "Adam: betas must be two numbers"),
    (lambda: optim.Adam([P], betas=0.9), "Adam: betas must be two numbers"),
    (lambda: optim.Adam([]), "Adam: params must not be empty"),
    (lambda: optim.Adam(P), "Adam: params must be an iterable of Tensors"),
    (lambda: optim.Adam([P, P]), r"params must be given once; got one of shape \(2,\)"),
    (lambda: optim.Adam([{"params": [P]}, {"params": [P]}]), "must be given once"),
    (lambda: optim.Adam([("weight", P)]), "params must be leaf Tensors; got tuple"),
    (lambda: optim.Adam([P * 2.0]), "leaf Tensors; got the result of an op"),
    (
        lambda: optim.Adam([{"params": []}]),
        "Adam: group must be a dict with some params",
    ),
    (
        lambda: optim.Adam([{"params": [P], "momentum": 1}]),
        "only params, lr.*got momentum",
    ),
    (lambda: optim.Adam([{"params": [P], "lr": -1}]), "Adam: lr must be"),
]


@pytest.mark.parametrize("make, message", REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_bad_arguments_are_refused_by_name(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_gradients_and_parameters_that_do_not_fit_are_refused():
    with pytest.raises(DtypeError, match="SGD: params must be floats; got int64"):
        optim.SGD([Tensor(np.ones(2, "int64"))])
    p = nn.Parameter(np.ones((2, 3), "float32"))
    optimizer = optim.Adam([p])
    for g, error, message in (
        (np.ones((3, 2), "float32"), ShapeError, r"0.0 must be \(2, 3\); got \(3, 2\)"),
        (np.ones((2, 3), "float64"), DtypeError, "must be float32; got float64"),
        (np.ones((2, 3), "int64"), DtypeError, "must be float32; got int64"),
    ):
        p.grad = Tensor(g)
        with pytest.raises(error, match=f"Adam: gradient of parameter .*{message}"):
            optimizer.step()
    assert (p.data == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_continuation_is_exact_to_the_bit(name, options, dtype):
    params = parameters(dtype)
    optimizer = getattr(optim, name)(params, **options)
    schedule = optim.CosineAnnealingLR(optimizer, 40)
    for k in range(7):
        train(optimizer, params, 1, k)
        schedule.step()
    arrays = {k: v.copy() for k, v in optimizer.state_arrays().items()}
    scalars, clock = json.loads(
        json.dumps([optimizer.state_scalars(), schedule.state()])
    )
    copies = [nn.Parameter(p.data.copy()) for p in params]
    twin = getattr(optim, name)(copies, lr=9.0)
    second = optim.CosineAnnealingLR(twin, 40)
    twin.load_state(arrays, scalars)
    second.load_state(clock)
    for k in range(7, 20):
        train(optimizer, params, 1, k)
        train(twin, copies, 1, k)
        schedule.step()
        second.step()
        assert schedule.get_last_lr() == second.get_last_lr()
    for p, q in zip(params, copies):
        assert p.data.tobytes() == q.data.tobytes()
    again, other = optimizer.state_scalars(), twin.state_scalars()
    assert again == other
    for k, v in twin.state_arrays().items():
        assert v.tobytes() == optimizer.state_arrays()[k].tobytes()
        assert k not in arrays or not np.shares_memory(v, arrays[k])


def test_state_dict_round_trip():
    params = parameters()
    optimizer = optim.Adam(params)
    train(optimizer, params, 3)
    state = optimizer.state_dict()
    twin = optim.Adam([nn.Parameter(p.data) for p in params])
    twin.load_state_dict(state)
    assert twin.state_scalars() == optimizer.state_scalars()
    assert set(state["arrays"]) == {
        f"0.{j}.{slot}" for j in range(4) for slot in ("exp_avg", "exp_avg_sq")
    }
    assert state["scalars"]["steps"] == {"0.0": 3, "0.1": 3, "0.2": 2, "0.3": 3}


def broken(change):
    params = parameters()
    optimizer = optim.Adam(params)
    train(optimizer, params, 2)
    arrays = {k: v.copy() for k, v in optimizer.state_arrays().items()}
    scalars = json.loads(json.dumps(optimizer.state_scalars()))
    change(arrays, scalars)
    return arrays, scalars


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda a, s: s.update(optimizer="SGD"), "optimizer Adam; got SGD"),
        (lambda a, s: s.pop("steps"), "optimizer.*groups.*steps"),
        (lambda a, s: s["groups"].pop(), "params"),
        (lambda a, s: s["groups"][0]["params"].pop(), "params"),
        (lambda a, s: s["groups"][0].pop("lr"), "lr in each group"),
        (lambda a, s: s["groups"][0].update(lr=-1), "lr must be in"),
        (lambda a, s: s["steps"].update({"0.9": 1}), "steps of its parameters"),
        (lambda a, s: a.pop("0.1.exp_avg"), "array 0.1.exp_avg"),
        (lambda a, s: a.update({"7.0.exp_avg": np.ones(3)}), "arrays of parameters"),
        (lambda a, s: a.update({"nonsense": np.ones(3)}), "arrays of parameters"),
        (
            lambda a, s: a.update({"0.1.exp_avg": np.ones(3)}),
            r"0.1.exp_avg float64\(5,\)",
        ),
        (lambda a, s: a.update({"0.1.exp_avg": np.ones(5, "f")}), r"got float32\(5,\)"),
    ],
)
def test_damaged_state_is_refused_and_nothing_changes(change, message):
    params = parameters()
    optimizer = optim.Adam(params, lr=0.5)
    train(optimizer, params, 1)
    before = {k: v.copy() for k, v in optimizer.state_arrays().items()}
    with pytest.raises((CheckpointError, ArgumentError), match=message):
        optimizer.load_state(*broken(change))
    after = optimizer.state_arrays()
    assert all(np.array_equal(after[k], before[k]) for k in before)
    assert optimizer.param_groups[0]["lr"] == 0.5
    optimizer.load_state(*broken(lambda a, s: None))
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_a_small_network_learns():
    minidl.manual_seed(0)
    x = rng().normal(size=(64, 2)).astype("float32")
    labels = Tensor((x[:, 0] * x[:, 1] > 0).astype("int64"))
    for name, lr in (("SGD", 0.5), ("RMSprop", 0.01), ("Adam", 0.02), ("AdamW", 0.02)):
        model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
        optimizer = getattr(optim, name)(model.parameters(), lr)
        for _ in range(150):
            loss = minidl.functional.cross_entropy(model(Tensor(x)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.25, name
