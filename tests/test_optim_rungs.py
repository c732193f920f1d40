"""The three rungs of the optimiser kernels: equal, in place, in any memory layout."""

import ctypes
import shutil
import subprocess
import tracemalloc

import lookalike
import numpy as np
import pytest
from optim_cases import CASES, IDS, feed, parameters, rng, train, weights

import minidl
from minidl import nn, optim
from minidl.errors import BackendError
from minidl.kernels import optim as kernels
from minidl.kernels._cuda import Elementwise
from minidl.tensor import Tensor


def compiled(inputs, outputs, body, name):
    """An elementwise CUDA kernel's body, run as C++ over flat arrays."""
    inputs, outputs = (
        [p.strip().rsplit(" ", 1) for p in s.split(",")] for s in (inputs, outputs)
    )

    def run(*args):
        real = {"float32": "float", "float64": "double"}[str(args[-1].dtype)]
        given, lines = [], []
        for i, ((kind, label), value) in enumerate(
            zip(inputs + outputs, args, strict=True)
        ):
            if isinstance(value, np.ndarray):
                assert value.flags.c_contiguous and value.dtype == args[-1].dtype
                lines.append(f"{kind}& {label} = (({kind}*)a[{i}])[i];")
                given.append(value)
            else:
                assert type(value) is (bool if kind == "bool" else float), label
                lines.append(f"const {kind} {label} = *({kind}*)a[{i}];")
                given.append(np.array(value, {"T": args[-1].dtype}.get(kind, kind)))
        source = (
            f"#include <cmath>\nusing namespace std; typedef {real} T;\n"
            'extern "C" void go(void** a, long n) { for (long i = 0; i < n; i++) {\n'
            + "\n".join(lines)
            + body
            + ";}}"
        )
        path = compiled.folder / f"{name}_{real}"
        if not path.with_suffix(".so").exists():
            path.with_suffix(".cpp").write_text(source)
            subprocess.run(
                [
                    "g++",
                    "-O1",
                    "-ffp-contract=off",
                    "-shared",
                    "-fPIC",
                    "-o",
                    path.with_suffix(".so"),
                    path.with_suffix(".cpp"),
                ],
                check=True,
            )
        pointers = (ctypes.c_void_p * len(given))(*[a.ctypes.data for a in given])
        ctypes.CDLL(path.with_suffix(".so")).go(pointers, ctypes.c_long(args[-1].size))

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cuda")


@pytest.fixture
def cuda_as_cpp(folder, monkeypatch):
    if not shutil.which("g++"):
        pytest.skip("the CUDA bodies are run through g++, which is not installed")
    compiled.folder = folder
    monkeypatch.setattr(
        Elementwise,
        "__call__",
        lambda k, *args: compiled(k.inputs, k.outputs, k.body, k.name)(*args),
    )


def rung(kind, name, options, dtype, layout=np.asarray):
    """Parameters and state after 20 steps with one rung of the kernels."""
    names = ("sgd", "rmsprop", "adam", "average")
    with pytest.MonkeyPatch.context() as patch:
        for kernel in names:
            patch.setattr(kernels, kernel, getattr(getattr(kernels, kernel), kind))
        params = [nn.Parameter(layout(w)) for w in weights(dtype)]
        optimizer = getattr(optim, name)(params, **options)
        train(optimizer, params, 20)
    return [p.data for p in params] + list(optimizer.state_arrays().values())


@pytest.mark.parametrize("dtype, tol", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_the_rungs_agree(cuda_as_cpp, name, options, dtype, tol):
    expected = rung("reference", name, options, dtype)
    assert all(a.dtype == dtype for a in expected)
    for kind in ("cpu", "cuda"):
        for a, b in zip(rung(kind, name, options, dtype), expected, strict=True):
            np.testing.assert_allclose(a, b, tol, tol, err_msg=kind)


@pytest.mark.gpu
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_the_gpu_agrees(name, options):
    results = []
    for device in ("cpu", "cuda"):
        params = parameters()
        for p in params:
            p.data = minidl.backend.asarray(p.data, None, device)
        optimizer = getattr(optim, name)(params, **options)
        for k in range(20):
            feed(params, k)
            for p in params:
                p.grad = None if p.grad is None else p.grad.to(device)
            optimizer.step()
        results.append([p.detach().cpu().data for p in params])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, 1e-12, 1e-12)


def test_the_average_rungs_agree(cuda_as_cpp):
    results = []
    for kind in ("reference", "cpu", "cuda"):
        p = rng(1).normal(size=(3, 4))
        getattr(kernels.average, kind)(p, rng(2).normal(size=(3, 4)), 0.25)
        results.append(p)
    expected = 0.75 * rng(1).normal(size=(3, 4)) + 0.25 * rng(2).normal(size=(3, 4))
    for p in results:
        np.testing.assert_allclose(p, expected, 1e-14)


def strided(w):
    """The same values with gaps between them."""
    out = np.zeros((*w.shape[:-1], 2 * w.shape[-1]), w.dtype)[..., ::2] if w.ndim else w
    out[...] = w
    return out


@pytest.mark.parametrize("layout", [np.asfortranarray, strided])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_memory_layouts_do_not_matter(name, options, layout):
    expected = rung("cpu", name, options, "float64")
    for a, b in zip(
        rung("cpu", name, options, "float64", layout), expected, strict=True
    ):
        np.testing.assert_allclose(a, b, 1e-13)
    p, q = (nn.Parameter(rng().normal(size=(4, 6))) for _ in range(2))
    g = rng(1).normal(size=(6, 4)).T
    for parameter, gradient in ((p, g), (q, g.copy())):
        parameter.grad = Tensor(gradient)
        getattr(optim, name)([parameter], **options).step()
    np.testing.assert_array_equal(p.data, q.data)
    np.testing.assert_array_equal(g, rng(1).normal(size=(6, 4)).T)


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_a_step_needs_no_memory(name, options):
    p = nn.Parameter(np.ones(20_000))
    p.grad = Tensor(np.full(20_000, 0.5))
    optimizer = getattr(optim, name)([p], **options)
    optimizer.step()  # compiles the loop, makes the state
    tracemalloc.start()
    optimizer.step()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < p.data.nbytes / 10


def test_rmsprop_of_a_constant_gradient_stays_finite():
    p = nn.Parameter(np.zeros(64, "float32"))
    optimizer = optim.RMSprop([p], centered=True, alpha=0.9)
    for _ in range(300):
        p.grad = Tensor(np.linspace(0.1, 0.9, 64, dtype="float32"))
        optimizer.step()
    assert np.isfinite(p.data).all()


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_nothing_on_the_device_waits_for_the_host(name, options):
    results = []
    with lookalike.installed():
        for device in ("cpu", "cuda"):
            minidl.manual_seed(0)
            model = nn.Linear(3, 2).to(device)
            optimizer = getattr(optim, name)(model.parameters(), **options)
            ema = optim.EMA(model, 0.5)
            x = Tensor(np.ones((4, 3), "float32")).to(device)
            for _ in range(3):
                model(x).sum().backward()
                lookalike.syncs.clear()
                optim.clip_grad_norm_(model.parameters(), 0.5)
                optim.clip_grad_value_(model.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad()
                ema.update()
                assert lookalike.syncs == []
            arrays, scalars = optimizer.state_arrays(), optimizer.state_scalars()
            optimizer.load_state(arrays, scalars)
            results.append([*arrays.values(), *ema.state_arrays().values()])
            assert all(type(a) is np.ndarray for a in results[-1])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, 1e-6)


def test_a_gradient_on_another_device_is_refused():
    with lookalike.installed():
        p = nn.Parameter(Tensor(np.ones(2, "float32")).to("cuda"))
        p.grad = Tensor(np.ones(2, "float32"))
        with pytest.raises(BackendError, match="0.0 must be on 'cuda'; got 'cpu'"):
            optim.Adam([p]).step()
