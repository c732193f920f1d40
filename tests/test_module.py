"""Modules: registration, state, modes, moving, containers, copies."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import minidl
from minidl import nn
from minidl.errors import (
    ArgumentError,
    BackendError,
    CheckpointError,
    DtypeError,
    MinidlError,
    RangeError,
)
from minidl.tensor import Tensor
from minidl.testing import assert_close


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter([1.0, 2.0])
        self.register_buffer("calls", Tensor(np.zeros((), "int64")))
        self.register_buffer(
            "scratch", Tensor(np.zeros(2, "float32")), persistent=False
        )

    def forward(self, x):
        self.calls.data += 1
        return x * self.weight


def test_parameters_buffers_and_state():
    m = Scale()
    assert [k for k, _ in m.named_parameters()] == ["weight"]
    assert [k for k, _ in m.named_buffers()] == ["calls", "scratch"]
    state = m.state_dict()
    assert list(state) == ["weight", "calls"]
    assert not state["weight"].requires_grad and type(state["weight"]) is Tensor
    state["weight"].data[0] = 7.0
    assert m.weight.data[0] == 7.0
    m.bias = None
    m.weight = nn.Parameter([3.0])
    assert m.state_dict()["weight"].shape == (1,)
    m.weight = None
    assert list(m.state_dict()) == ["calls"] and list(m.parameters()) == []


def test_a_parameter_of_two_modules_counts_once_but_has_two_names():
    m = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    m[1].weight = m[0].weight
    assert [k for k, _ in m.named_parameters()] == ["0.weight", "0.bias"]
    assert list(m.state_dict()) == ["0.weight", "0.bias", "1.weight"]
    both = m.named_parameters(remove_duplicate=False)
    assert [k for k, _ in both] == ["0.weight", "0.bias", "1.weight"]


def test_assignments_that_would_lose_state_are_refused():
    m = Scale()
    with pytest.raises(
        ArgumentError, match="Scale: weight must stay a Parameter.*Tensor"
    ):
        m.weight = m.weight * 2.0
    with pytest.raises(ArgumentError, match="Scale: calls must stay a Tensor.*int"):
        m.calls = 3
    m.calls = Tensor(np.ones((), "int64"))
    assert m.state_dict()["calls"].item() == 1
    for name in ("weight", "forward", "a.b"):
        with pytest.raises(ArgumentError, match="register_buffer: name must be new"):
            m.register_buffer(name, None)


@pytest.mark.parametrize(
    "assign",
    [
        lambda m: setattr(m, "weight", nn.Parameter([1.0])),
        lambda m: setattr(m, "layer", nn.ReLU()),
        lambda m: m.register_buffer("mean", None),
    ],
)
def test_forgetting_super_init_is_explained(assign):
    class Forgetful(nn.Module):
        def __init__(self):
            assign(self)

    with pytest.raises(MinidlError, match=r"Forgetful: super\(\).__init__\(\) must be"):
        Forgetful()
    with pytest.raises(MinidlError, match="Module: forward must be defined"):
        nn.Module()(1)


def test_parameter():
    array = np.ones(3, "float32")
    p = nn.Parameter(array)
    assert p.data is array and p.requires_grad and p.is_leaf and isinstance(p, Tensor)
    assert nn.Parameter([1.0, 2.0]).dtype == "float32"
    assert nn.Parameter((p * 2.0), requires_grad=False).is_leaf
    with pytest.raises(DtypeError, match="Parameter: data must be float32 or float64"):
        nn.Parameter([1, 2])
    assert type(copy.deepcopy(p)) is nn.Parameter and not hasattr(p, "__dict__")


def test_load_state_dict_names_every_misfit_and_changes_nothing():
    m = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm2d(3))
    before = {k: v.data.copy() for k, v in m.state_dict().items()}
    state = {k: v + 1.0 for k, v in before.items()}
    state["0.weight"] = np.zeros((3, 3), "float32")
    state["1.weight"] = np.zeros(3, "float64")
    state["1.bias"] = [1.0, 2.0, 3.0]
    del state["0.bias"]
    state["2.extra"] = np.zeros(1, "float32")
    with pytest.raises(CheckpointError) as caught:
        m.load_state_dict(state)
    for part in (
        "load_state_dict: entries must fit Sequential",
        "0.weight must be float32(3, 2); got float32(3, 3)",
        "1.weight must be float32(3,); got float64(3,)",
        "1.bias must be float32(3,); got list",
        "missing 0.bias",
        "unexpected 2.extra",
    ):
        assert part in str(caught.value)
    assert "running_mean" not in str(caught.value)
    for k, v in m.state_dict().items():
        np.testing.assert_array_equal(v.data, before[k])
    with pytest.raises(CheckpointError):
        m.load_state_dict({"0.weight": state["0.weight"]}, strict=False)


def test_load_state_dict_copies_in_place_and_may_be_lenient():
    m = nn.Linear(2, 1)
    p, memory = m.weight, m.weight.data
    difference = m.load_state_dict(
        {"weight": Tensor(np.array([[5.0, 6.0]], "float32")), "x": p.detach()},
        strict=False,
    )
    assert difference == (["bias"], ["x"]) and difference.missing_keys == ["bias"]
    assert m.weight is p and p.data is memory and p.data.tolist() == [[5.0, 6.0]]


def test_train_and_eval_reach_all_modules():
    m = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(2)))
    assert m.eval() is m and not any(x.training for x in m.modules())
    assert m.train() is m and all(x.training for x in m.modules())


def test_to_keeps_identity_and_converts_floats_only():
    m = nn.Sequential(Scale())
    p = m[0].weight
    m(Tensor(np.ones(2, "float32"))).sum().backward()
    assert m.to("float64") is m and m[0].weight is p
    assert p.dtype == p.grad.dtype == m[0].scratch.dtype == "float64"
    assert m[0].calls.dtype == "int64" and m.to("cpu") is m
    with pytest.raises(DtypeError, match="Module.to: dtype must be a float; got int64"):
        m.to("int64")
    if not minidl.is_available():
        with pytest.raises(BackendError, match="'cuda' is not usable"):
            m.to("cuda")


@pytest.mark.gpu
def test_to_moves_everything():
    m = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to("cuda")
    assert {t.device for t in m.state_dict().values()} == {"cuda"}
    y = m(Tensor(np.ones((2, 1, 5, 5), "float32")).to("cuda"))
    assert y.device == "cuda" and m.to("cpu")[0].weight.device == "cpu"


def test_zero_grad_apply_and_requires_grad():
    m = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1)))
    m(Tensor(np.ones((1, 2), "float32"))).sum().backward()
    assert all(p.grad is not None for p in m.parameters())
    m.zero_grad()
    assert all(p.grad is None for p in m.parameters())
    seen = []
    assert m.apply(lambda x: seen.append(type(x).__name__)) is m
    assert seen == ["Linear", "Linear", "Sequential", "Sequential"]
    m.requires_grad_(False)
    assert not m(Tensor(np.ones((1, 2), "float32"))).requires_grad
    assert all(p.requires_grad for p in m.requires_grad_().parameters())


def test_containers_index_slice_and_grow():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Linear(2, 2)
    m = nn.Sequential({"first": a, "second": b}).append(c)
    assert list(m) == [a, b, c] and len(m) == 3 and m[-1] is c and m.second is b
    assert list(m[1:]) == [b, c] and [k for k, _ in m[1:].named_children()] == [
        "second",
        "2",
    ]
    x = Tensor(np.array([[-1.0, 2.0]], "float32"))
    assert_close(m(x).data, c(b(a(x))).data, "float32", "composition")
    layers = nn.ModuleList([a]).extend([b, c])
    assert [k for k, _ in layers.named_children()] == ["0", "1", "2"]
    assert list(layers[1:]) == [b, c] and list(layers[::-1].named_children())[0] == (
        "0",
        c,
    )
    for container in (m, layers):
        for i in (3, -4):
            with pytest.raises(RangeError, match=r"index must be in \[-3, 2\]; got"):
                container[i]
    with pytest.raises(MinidlError, match="ModuleList: forward must be defined"):
        layers(x)


def test_modules_copy_and_pickle():
    shared = nn.Linear(3, 3)
    m = nn.Sequential(shared, nn.BatchNorm2d(2), nn.Sequential(nn.ReLU(), shared))
    for twin in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert repr(twin) == repr(m) and twin[0] is twin[2][1]
        for p, q in zip(m.parameters(), twin.parameters(), strict=True):
            assert p.data is not q.data and type(q) is nn.Parameter
            np.testing.assert_array_equal(p.data, q.data)


def test_import_loads_neither_numba_nor_rich():
    code = (
        "import sys, minidl.nn, minidl.optim; "
        "print({'numba', 'rich', 'cupy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
