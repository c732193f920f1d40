"""The GPU path: on a look-alike of CuPy everywhere, on a real GPU where there is one.

Every op and the usual compositions give on "cuda" what they give on "cpu", values and
derivatives, and their results stay there without a copy or a wait for the host.
"""

import sys

import lookalike
import numpy as np
import pytest

import minidl
from minidl import backend, optim, tensor
from minidl import functional as F
from minidl.errors import BackendError, GradError
from minidl.samples import Draw
from minidl.testing import all_ops, assert_close, samples_of

OPS = all_ops()
CASES = [(name, i) for name, op in OPS.items() for i in range(len(samples_of(op)))]
TWICE = "mul conv2d max_pool2d softmax linear contract sqrt getitem".split()


@pytest.fixture(params=["lookalike", pytest.param("device", marks=pytest.mark.gpu)])
def cuda(request):
    """The module `cupy`: the look-alike, and a real one on a machine with a GPU."""
    if request.param == "device":
        import cupy

        yield cupy
        return
    with lookalike.installed() as module:
        yield module


@pytest.fixture
def fake():
    """The look-alike alone, for what can be seen on it only: waits and refusals."""
    with lookalike.installed() as module:
        yield module


def moved(value, device):
    """Index arrays inside an option, on the device."""
    if isinstance(value, tuple):
        return tuple(moved(v, device) for v in value)
    return backend.asarray(value, None, device) if backend.is_array(value) else value


def evaluate(function, arrays, device, twice):
    """Outputs of ``function``, its gradients and, if ``twice``, gradients of those."""
    inputs = [
        tensor(a, device=device, requires_grad=a.dtype.kind == "f")
        if isinstance(a, np.ndarray) else a for a in arrays
    ]
    sources = [x for x in inputs if isinstance(x, minidl.Tensor) and x.requires_grad]
    outputs = function(*inputs)
    outputs = list(outputs) if isinstance(outputs, tuple) else [outputs]
    results, rng = list(outputs), np.random.default_rng(3)
    for _ in range(1 + twice):
        outputs = [y for y in outputs if y is not None and y.requires_grad]
        if not outputs or not sources:
            break
        upstream = [
            tensor(np.asarray(rng.standard_normal(y.shape), y.dtype), device=y.device)
            for y in outputs
        ]
        outputs = minidl.grad(outputs, sources, upstream, create_graph=bool(twice),
                              allow_unused=True)
        results += outputs
    return results


def compare(cupy, function, *arrays, twice=False, kind="float64", ends="cuda"):
    """``function`` on both devices: equal results, those of the GPU still there."""
    expected = evaluate(function, arrays, "cpu", twice)
    got = evaluate(function, arrays, "cuda", twice)
    assert len(got) == len(expected)
    for i, (a, b) in enumerate(zip(got, expected)):
        if b is None:
            assert a is None
            continue
        if i or ends == "cuda":
            assert a.device == "cuda" and isinstance(a.data, cupy.ndarray)
        assert a.dtype == b.dtype
        assert_close(a.data, b.data, kind, f"result {i}")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, i", CASES)
def test_every_op_agrees_with_the_cpu(cuda, name, i, dtype):
    op, sample = OPS[name], samples_of(OPS[name])[i]
    arrays = [
        a.astype(dtype) if getattr(a, "dtype", None) == "float64" else a
        for a in sample.args
    ]

    def function(*xs):
        device = next(x.device for x in xs if isinstance(x, minidl.Tensor))
        return op(*xs, **{k: moved(v, device) for k, v in sample.options.items()})

    compare(cuda, function, *arrays, twice=name in TWICE, kind=dtype,
            ends=sample.options.get("device", "cuda"))


@pytest.mark.parametrize("name, i", CASES)
def test_no_op_waits_for_the_gpu(fake, name, i):
    op, sample = OPS[name], samples_of(OPS[name])[i]
    options = {k: moved(v, "cuda") for k, v in sample.options.items()}
    evaluate(lambda *xs: op(*xs, **options), sample.args, "cuda", twice=False)
    allowed = "get" if name == "transfer" else "boolean index"  # masks are data
    assert all(wait.startswith(allowed) for wait in lookalike.syncs), lookalike.syncs


def lenet(x, target, w1, b1, w2, w3, b3):
    """A small convolutional classifier and its loss."""
    x = F.max_pool2d(F.relu(F.conv2d(x, w1, b1, padding=1)), 2)
    x = F.avg_pool2d(F.relu(F.conv2d(x, w2, stride=2)), 2)
    return F.cross_entropy(F.linear(F.flatten(x, 1), w3, b3), target)


def lenet_arrays(dtype="float32"):
    r = Draw(1)
    shapes = [(4, 1, 12, 12), (3, 1, 3, 3), (3,), (4, 3, 3, 3), (5, 4), (5,)]
    x, *parameters = [(r(*shape) * 0.5).astype(dtype) for shape in shapes]
    return [x, r.integers(5, 4), *parameters]


def normalised(x, weight, bias):
    mean, var = (tensor(np.zeros(3), device=x.device) for _ in range(2))
    y = F.batch_norm(x, mean, var, weight, bias, training=True)
    return y, F.batch_norm(y, mean, var), mean, var


def dropped(x):
    minidl.manual_seed(5)
    return F.dropout(x, 0.4) + F.dropout(x, 0.4)


def scaled(x):
    return F.interpolate(x, scale_factor=2, mode="bilinear") + F.interpolate(x, (10, 8))


R = Draw(2)
GRID = R(2, 3, 4, 2) * 0.8
COMPOSITIONS = {
    "lenet": (lenet, lenet_arrays("float64")),
    "batch_norm": (normalised, [R(4, 3, 2, 2), R(3), R(3)]),
    "layer_norm": (lambda x, w, b: F.layer_norm(x, (4,), w, b), [R(3, 4), R(4), R(4)]),
    "normalize": (lambda x: F.normalize(x) + F.normalize(x, 3.0), [R(3, 4)]),
    "gelu": (lambda x: F.gelu(x) + F.gelu(x, "tanh"), [R(3, 4)]),
    "dropout": (dropped, [R(4, 5)]),
    "grid_sample": (F.grid_sample, [R(2, 3, 5, 6), GRID]),
    "grid_sample border": (lambda x, g: F.grid_sample(x, g, padding_mode="border"),
                           [R(2, 3, 5, 6), GRID * 2]),
    "grid_sample reflection": (
        lambda x, g: F.grid_sample(x, g, padding_mode="reflection", align_corners=True),
        [R(2, 3, 5, 6), GRID * 2]),
    "grid_sample nearest": (lambda x, g: F.grid_sample(x, g, "nearest"),
                            [R(2, 3, 5, 6), GRID]),
    "affine_grid": (lambda t: F.affine_grid(t, (2, 3, 4, 5)), [R(2, 2, 3)]),
    "conv_transpose2d": (lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1),
                         [R(2, 3, 4, 5), R(3, 2, 3, 3), R(2)]),
    "adaptive_avg_pool2d": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)),
                            [R(2, 3, 5, 7)]),
    "interpolate": (scaled, [R(1, 2, 5, 4)]),
    "pad": (lambda x: F.pad(F.pad(x, (1, 2), "reflect"), (0, 1, 2, 0), "circular"),
            [R(2, 3, 4)]),
    "smooth labels": (lambda x, t: F.cross_entropy(x, t, label_smoothing=0.1),
                      [R(4, 5), R.integers(5, 4)]),
    "soft labels": (F.cross_entropy, [R(4, 5), np.abs(R(4, 5))]),
    "binary_cross_entropy": (F.binary_cross_entropy_with_logits, [R(4), R.positive(4)]),
    "huber_loss": (F.huber_loss, [R(6), R(6)]),
    "einsum": (lambda x, y: F.einsum("bij,bjk->ki", x, y), [R(2, 3, 4), R(2, 4, 5)]),
    "einsum diagonal": (lambda x: F.einsum("ii->i", x), [R(4, 4)]),
    "einsum of three": (lambda x, y, z: F.einsum("ab,bc,cd", x, y, z),
                        [R(2, 3), R(3, 4), R(4, 2)]),
    "list": (lambda x: x[[0, 2, 2]] + x[:, [1, 1, 0]][:3], [R(4, 3)]),
    "index tensor": (lambda x, i: x[i] * x[i, 1:2], [R(4, 3), R.integers(4, 5)]),
    "host array": (lambda x: x[np.array([1, 1]), 1:] + x[np.array([-1, 0]), :2],
                   [R(4, 3)]),
    "slices": (lambda x: x[..., ::-2] + x[1, None, :2], [R(4, 3)]),
    "gather": (lambda x, i: F.gather(x, 1, i) * F.take_along_axis(x, i, 1),
               [R(3, 4), R.integers(4, 3, 2)]),
    "embedding": (lambda w, i: F.embedding(i, w), [R(5, 3), R.integers(5, 2, 2)]),
    "counting": (lambda x, i: F.scatter_add(i * 0, 0, i, i), [R(3), R.integers(3, 3)]),
    "extremes": (lambda x: (*x.max(1), x.min(), x.amax(0), x.var(0)), [R(3, 4)]),
    "joining": (lambda x, y: F.stack([x, y]).sum(0) - F.cat(F.split(x, 2)),
                [R(4), R(4)]),
    "methods": (lambda x: (x.T @ x).exp().log().clamp(-1, 1).permute(1, 0), [R(3, 3)]),
    "scalars": (lambda x: 2 - x / 3 + 2.0**x + np.float64(0.5) * x, [R(4)]),
}
WAITS = {  # what has to look at the values of device memory, and how often
    "mask": (lambda x, m: x[m] * 2.0, [R(4, 3), R.mask(4, 3)]),
    "one_hot": (lambda x, i: F.one_hot(i, 4).to("float64") * x,
                [R(4), R.integers(4, 3)]),
}


@pytest.mark.parametrize("name", [*COMPOSITIONS, *WAITS])
def test_compositions_agree_with_the_cpu(cuda, name):
    function, arrays = (COMPOSITIONS | WAITS)[name]
    compare(cuda, function, *arrays)


def test_second_derivatives_of_a_network_agree(cuda):
    compare(cuda, lenet, *lenet_arrays("float64"), twice=True)


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_no_wait_for_the_gpu_in_forward_and_backward(fake, name):
    function, arrays = COMPOSITIONS[name]
    evaluate(function, arrays, "cuda", twice=False)
    assert lookalike.syncs == []


def test_waits_are_those_declared(fake):
    for function, arrays in WAITS.values():
        evaluate(function, arrays, "cuda", twice=False)
    assert 0 < len(lookalike.syncs) <= 6, lookalike.syncs


OPTIMISERS = {
    "SGD": lambda p: optim.SGD(p, 0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "SGD plain": lambda p: optim.SGD(p, 0.1),
    "RMSprop": lambda p: optim.RMSprop(p, 0.01, centered=True, momentum=0.5),
    "Adam": lambda p: optim.Adam(p, 0.01, weight_decay=1e-3),
    "AdamW": lambda p: optim.AdamW(p, 0.01),
}


def train(device, make):
    """Parameters after three steps of training on ``device``."""
    x, target, *parameters = [tensor(a, device=device) for a in lenet_arrays("float64")]
    optimiser = make([p.requires_grad_() for p in parameters])
    for _ in range(3):
        optimiser.zero_grad()
        lenet(x, target, *parameters).backward()
        optimiser.step()
    return parameters


@pytest.mark.parametrize("name", OPTIMISERS)
def test_training_agrees_with_the_cpu(cuda, name):
    trained = train("cuda", OPTIMISERS[name])
    for p, expected in zip(trained, train("cpu", OPTIMISERS[name])):
        assert p.device == p.grad.device == "cuda"
        assert_close(p.data, expected.data, "float64", "parameter")


@pytest.mark.parametrize("name", OPTIMISERS)
def test_no_wait_for_the_gpu_in_training(fake, name):
    train("cuda", OPTIMISERS[name])
    assert lookalike.syncs == []


def test_gradients_flow_from_device_to_device(cuda):
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x.to("cuda") * 3.0).to("cpu") * x
    assert y.device == x.cuda().cpu().device == "cpu" and x.cuda().device == "cuda"
    y.sum().backward()
    assert x.grad.device == "cpu"
    np.testing.assert_allclose(x.grad.numpy(), [6.0, 12.0])


def test_checkpoint_and_anomaly_detection_run_there(cuda):
    x = tensor([0.3, 0.7], device="cuda", requires_grad=True)
    minidl.checkpoint(lambda v: (v * v).sin(), x).sum().backward()
    assert x.grad.device == "cuda"
    with minidl.detect_anomaly():
        with pytest.raises(minidl.MinidlError, match="log: output holds inf"):
            (x * 0.0).log()


MIXED = {
    "operator": lambda c, g: c + g,
    "raw array": lambda c, g: g * c.data,
    "matmul": lambda c, g: g @ c,
    "where": lambda c, g: F.where(c > 0, g, 0.0),
    "concatenate": lambda c, g: F.cat([c, g]),
    "linear": lambda c, g: F.linear(g, c),
    "loss": lambda c, g: F.mse_loss(g, c),
    "library": lambda c, g: backend.xp_of(c.data, g.data),
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_devices_are_refused_with_both_names(cuda, name):
    host = tensor(np.ones((2, 2)))
    with pytest.raises(BackendError, match="one device; got (cpu, cuda|cuda, cpu)"):
        MIXED[name](host, host.cuda())


def test_numpy_is_not_given_device_memory(cuda):
    x = tensor([1.0, 2.0], device="cuda")
    for convert in (x.numpy, lambda: np.asarray(x), lambda: np.array([1]) * x):
        with pytest.raises(BackendError, match="got 'cuda'|one device"):
            convert()
    with pytest.raises(GradError):
        tensor([1.0], device="cuda", requires_grad=True).numpy()
    assert x.tolist() == [1.0, 2.0] and x[1].item() == 2.0 and float(x[0]) == 1.0
    assert "device='cuda'" in repr(x) and x.cpu().numpy().tolist() == [1.0, 2.0]


def test_device_memory_is_adopted_and_copied(cuda):
    array = cuda.asarray(np.ones(3, "float32"))
    adopted, copied = minidl.from_dlpack(array), tensor(array)
    array[0] = 5.0
    assert adopted.device == copied.device == "cuda"
    assert adopted.tolist() == [5, 1, 1] and copied.tolist() == [1, 1, 1]


class NoCupy:
    """An import finder on whose machine CuPy is not installed."""

    def find_spec(self, name, path=None, target=None):
        if name == "cupy":
            raise ModuleNotFoundError("No module named 'cupy'", name="cupy")


def test_without_cupy_the_remedy_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.setattr(sys, "meta_path", [NoCupy(), *sys.meta_path])
    assert not backend.is_available()
    for attempt in (lambda: tensor([1.0], device="cuda"), lambda: tensor([1.0]).cuda()):
        with pytest.raises(BackendError, match="missing.*pip install 'minidl"):
            attempt()


def test_cupy_without_a_gpu_is_told_apart():
    with lookalike.installed(available=False):
        assert not minidl.is_available()
        with pytest.raises(BackendError, match="finds no GPU.*use device 'cpu'"):
            tensor([1.0]).to("cuda")
