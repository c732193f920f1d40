"""Normalisation, ReLU, pooling in pairs, sums and cross-entropy: the fused kernels.

Their rungs agree, threads and known statistics change nothing, derivatives are torch's.
"""

import importlib
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from minidl import functional as F
from minidl import grad, nn, ops
from minidl.autograd import REGISTRY, enable_grad, watch_ops
from minidl.errors import RangeError
from minidl.kernels import _share, pool, pool_pairs
from minidl.kernels._dispatch import Kernel
from minidl.tensor import Tensor
from minidl.testing import TOLERANCE, gradcheck, gradgradcheck

norm, rectifier, softmax = (
    importlib.import_module(f"minidl.kernels.{name}")
    for name in ("norm", "relu", "softmax")
)
few = settings(max_examples=60, derandomize=True, deadline=None, database=None)
dtypes = st.sampled_from(["float64", "float32"])
seeds = st.integers(0, 99)
shapes = st.tuples(
    *[st.integers(0, 5), st.integers(1, 4)], st.integers(1, 6), st.integers(1, 5)
) | st.tuples(st.integers(0, 9), st.integers(1, 5))
UPSIDE_DOWN = (slice(None), slice(None, None, -1))


def normal(seed, shape, dtype="float64", strided=False):
    """Normal values; ``strided``: with the channels backwards in memory."""
    a = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    return a[UPSIDE_DOWN].copy()[UPSIDE_DOWN] if strided else a


def agree(kernel: Kernel, *args, scale=1.0):
    """The rung for the CPU gives what the reference gives, in type and value."""
    before = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
    got, expected = kernel.cpu(*args), kernel.reference(*args)
    assert got.dtype == expected.dtype and got.shape == expected.shape
    rtol, atol = TOLERANCE[str(args[0].dtype)]
    np.testing.assert_allclose(got, expected, rtol, 4 * scale * atol)
    for a, b in zip(args, before):
        np.testing.assert_array_equal(a, b)


@few
@given(shapes, dtypes, st.booleans(), seeds)
def test_the_rungs_over_channels_agree(shape, dtype, strided, seed):
    x, g = (normal(seed + k, shape, dtype, strided) for k in (0, 1))
    factors = normal(seed + 2, (6, shape[1]), dtype)
    agree(norm.channel_moments, x)
    agree(norm.channel_affine, x, *factors[:3], 0.0)
    agree(norm.channel_affine, x, *factors[:3], -math.inf)
    agree(norm.channel_products, g, x, *factors[:3], scale=x.size)
    agree(norm.channel_blend, g, x, *factors)
    agree(norm.channel_sum, x, scale=x.size)
    if len(shape) > 2:
        agree(norm.plane_sum, x, scale=x.size)


@few
@given(shapes, dtypes, st.booleans(), seeds)
def test_the_rungs_of_relu_agree(shape, dtype, strided, seed):
    x, g = (normal(seed + k, shape, dtype, strided) for k in (0, 1))
    x.flat[::3] = 0.0
    agree(rectifier.relu, x)
    agree(rectifier.gate, g, x)


@few
@given(shapes, dtypes, st.sampled_from([0.0, 0.1, 1.0]), st.booleans(), seeds)
def test_the_rungs_of_cross_entropy_agree(shape, dtype, smoothing, strided, seed):
    """With the usual number of classes and, on axis 1, more than `FEW`."""
    shape = (shape[0], shape[1] if seed % 2 else softmax.FEW + 1, *shape[2:])
    x = normal(seed, shape, dtype, strided) * 5
    target = np.random.default_rng(seed).integers(0, shape[1], (shape[0], *shape[2:]))
    g = normal(seed + 1, target.shape, dtype)
    agree(softmax.cross_entropy, x, target, smoothing)
    agree(softmax.cross_entropy_input, g, x, target, smoothing, scale=9)


@few
@given(
    st.tuples(*[st.integers(a, b) for a, b in ((0, 3), (1, 3), (2, 7), (2, 9))]),
    dtypes,
    st.booleans(),
    seeds,
)
def test_pooling_in_pairs_is_pooling(shape, dtype, strided, seed):
    """Odd sides, equal values and NaNs included: the first maximum or NaN wins."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, shape).astype(dtype)
    x[rng.random(shape) < 0.1] = np.nan
    x[rng.random(shape) < 0.1] = -np.inf
    x = x[UPSIDE_DOWN] if strided else x
    out = (shape[2] // 2, shape[3] // 2)
    g = normal(seed, (*shape[:2], *out), dtype)
    options = (out, (2, 2), (2, 2), (0, 0), (1, 1))
    assert pool_pairs.fits(x, *options)
    expected = pool.gather_reference(x, x, *options)
    np.testing.assert_array_equal(pool.gather_cpu(x, x, *options), expected)
    expected = pool.scatter_reference(g, x, *options)
    np.testing.assert_array_equal(pool.scatter_cpu(g, x, *options), expected)


def test_other_windows_are_not_pooled_in_pairs():
    x = np.zeros((1, 1, 5, 5))
    plain = dict(out=(2, 2), kernel=(2, 2), stride=(2, 2))
    plain |= dict(padding=(0, 0), dilation=(1, 1))
    assert pool_pairs.fits(x, **plain)
    for name, value in dict(
        out=(3, 3), kernel=(3, 2), stride=(2, 1), padding=(0, 1), dilation=(2, 1)
    ).items():
        assert not pool_pairs.fits(x, **(plain | {name: value}))


def test_shares_do_not_change_a_bit(monkeypatch):
    """However many threads take part, each computes what one alone would."""
    x, g = normal(0, (5, 3, 9, 7)), normal(1, (5, 3, 9, 7))
    factors, half = normal(2, (6, 3)), normal(3, (5, 3, 4, 3))
    target = np.zeros((5, 9, 7), int)

    def everything():
        return [
            norm.channel_moments(x),
            norm.channel_affine(x, *factors[:3], 0.0),
            norm.channel_products(g, x, *factors[:3]),
            norm.channel_blend(g, x, *factors),
            norm.channel_sum(x),
            rectifier.relu(x),
            rectifier.gate(g, x),
            pool_pairs.maxima(x, (4, 3)),
            pool_pairs.scatter(half, x),
            softmax.cross_entropy(x, target, 0.1),
            softmax.cross_entropy_input(g[:, 0], x, target, 0.1),
        ]

    alone = everything()
    monkeypatch.setattr(_share, "ALONE", 0)
    monkeypatch.setattr(rectifier, "ALONE", 0)
    for threads in (1, 2, 3, 100):
        monkeypatch.setattr(_share.threads, "get_num_threads", lambda n=threads: n)
        for got, expected in zip(everything(), alone, strict=True):
            np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("shape", [(8, 3, 16, 16), (700, 2)])
@pytest.mark.parametrize("mean", [1e4, -3e5])
def test_large_means_cost_no_accuracy(shape, mean):
    """In float32, against the same values in float64: the error stays relative to 1."""
    x = (normal(0, shape) + mean).astype("float32")
    wide, over = x.astype("float64"), (0, *range(2, x.ndim))
    count = x.size // shape[1]
    expected = wide - wide.mean(axis=over, keepdims=True)
    spread = (expected**2).mean(axis=over, keepdims=True)
    root = np.sqrt(spread + 1e-5)
    leaf = Tensor(x, True)
    y = F.batch_norm(leaf, None, None, training=True)
    np.testing.assert_allclose(y.data, expected / root, atol=5e-6)
    g = normal(1, shape)
    (gx,) = grad(y, leaf, Tensor(g.astype("float32")))
    z = expected / root
    along = z * (g * z).mean(axis=over, keepdims=True)
    exact = (g - g.mean(axis=over, keepdims=True) - along) / root
    np.testing.assert_allclose(gx.data, exact, atol=5e-6)
    running = [Tensor(np.zeros(shape[1], "float32")) for _ in range(2)]
    F.batch_norm(leaf, *running, training=True, momentum=1.0)
    np.testing.assert_allclose(running[0].data, wide.mean(axis=over), 1e-7)
    unbiased = spread.reshape(-1) * count / (count - 1)
    np.testing.assert_allclose(running[1].data, unbiased, 1e-5)
    y = F.batch_norm(leaf, *running)
    np.testing.assert_allclose(y.data, expected / root, atol=2e-1 if mean < 0 else 4e-3)


def test_an_outlier_first_costs_no_accuracy():
    """A shift by the first value would lose everything here."""
    x = np.ones((64, 1)) + normal(0, (64, 1)) * 1e-3
    x[0] = 1e9
    mean, rest, var = norm.channel_moments(x)
    assert mean + rest == pytest.approx(math.fsum(x[:, 0]) / 64, rel=1e-15)
    exact = math.fsum((v - math.fsum(x[:, 0]) / 64) ** 2 for v in x[:, 0]) / 64
    assert var == pytest.approx(exact, rel=1e-14)


def leaf(seed, *shape):
    return Tensor(normal(seed, shape), True)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_known_statistics_change_neither_values_nor_derivatives(weighted, relu):
    x, g, v = leaf(0, 4, 3, 2, 3), leaf(1, 4, 3, 2, 3), leaf(2, 4, 3, 2, 3)
    w, b = (leaf(3, 3), leaf(4, 3)) if weighted else (None, None)
    options = dict(eps=1e-3, relu=relu)
    family = ops.norm
    stats = Tensor(norm.channel_moments(x.data))
    sums = family.batch_norm_sums(g, x, w, b, **options).detach()
    inputs = [t for t in (x, g, w) if t is not None]

    def derivatives(*extra):
        y = family.batch_norm(x, w, b, *extra[:1], **options)
        s = family.batch_norm_sums(g, x, w, b, *extra[:1], **options)
        gx = family.batch_norm_input(g, x, w, b, *extra, **options)
        first = grad(gx, inputs, v, create_graph=True)
        second = grad(sum((a * a).sum() for a in first), inputs)
        return [y, s, gx, *first, *second, *grad((s * s).sum(), [x, g])]

    for a, b in zip(derivatives(), derivatives(stats, sums), strict=True):
        np.testing.assert_allclose(a.data, b.data, 1e-9, 1e-11)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("wanted", [(0, 1, 2), (0,), (1,), (2,), (0, 2)])
def test_gradients_taken_together_are_the_rows(wanted, relu):
    """`batch_norm` shares its sums among its gradients; the rows say what they are."""
    op = REGISTRY["batch_norm"]
    inputs = [
        Tensor(t.data, i in wanted)
        for i, t in enumerate((leaf(0, 4, 3, 5), leaf(1, 3), leaf(2, 3)))
    ]
    g = leaf(3, 4, 3, 5).detach()
    y = op(*inputs, eps=1e-3, relu=relu)
    found = grad(y, [inputs[i] for i in wanted], g)
    for i, together in zip(wanted, found, strict=True):
        alone = op.vjps[i](g, None, *inputs, None, eps=1e-3, relu=relu)
        np.testing.assert_allclose(together.data, alone.data, 1e-12, 1e-13)


def test_batch_norm_keeps_its_input_and_nothing_else_of_that_size():
    x = Tensor(normal(0, (4, 3, 5)), True) * 1.0
    y = F.batch_norm(x, None, None, leaf(1, 3), leaf(2, 3), training=True)
    assert y.node.output is None
    arrays = [t.data for t in y.node.inputs]
    assert arrays[0] is x.data and all(a.size <= 9 for a in arrays[1:])


@pytest.mark.parametrize("training", [True, False])
def test_relu_in_one_pass_is_relu_afterwards(training):
    """To the last bit: values, and derivatives of first and second order."""
    x, w, b, g = leaf(0, 5, 3, 4, 2), leaf(1, 3), leaf(2, 3), leaf(3, 5, 3, 4, 2)
    results = []
    for fused in (True, False):
        running = Tensor(normal(4, 3)), Tensor(normal(5, 3) ** 2 + 0.5)
        y = F.batch_norm(x, *running, w, b, training, relu=fused)
        y = y if fused else F.relu(y)
        first = grad(y, [x, w, b], g, create_graph=True)
        second = grad(sum((a * a).sum() for a in first), [x, w, g])
        results.append([y, *running, *first, *second])
    for a, c in zip(*results, strict=True):
        np.testing.assert_allclose(a.data, c.data, 1e-12, 1e-12)
    assert 0 < np.count_nonzero(y.data) < y.numel()


def test_third_and_fourth_derivatives_of_batch_norm():
    x, w, v = leaf(0, 3, 2, 2), leaf(1, 2), leaf(2, 3, 2, 2)

    def second(x, w, v):
        with enable_grad():
            y = F.batch_norm(x, None, None, w, training=True, eps=0.1)
            (gx,) = grad((y * v).sum(), x, create_graph=True)
            return grad((gx * gx).sum(), [x, w], create_graph=True)

    assert gradcheck(second, [x, w, v]) and gradgradcheck(second, [x, w, v])


@settings(few, max_examples=25)
@given(shapes.filter(lambda s: math.prod(s) // s[1] > 1), dtypes, seeds)
def test_batch_norm_trains_as_torch_does(shape, dtype, seed):
    """Values, running statistics, first and second derivatives."""
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    channels = shape[1]
    x, g, v = (normal(seed + k, shape, dtype) for k in range(3))
    w, b, mean = (normal(seed + k, channels, dtype) for k in (3, 4, 5))
    var, momentum = mean**2 + 0.5, 0.3
    ours = [Tensor(a.copy(), True) for a in (x, w, b, g)]
    theirs = [torch.from_numpy(a.copy()).requires_grad_() for a in (x, w, b, g)]
    running = [Tensor(a.copy()) for a in (mean, var)]
    their_running = [torch.from_numpy(a.copy()) for a in (mean, var)]
    y = F.batch_norm(ours[0], *running, *ours[1:3], True, momentum, 0.1)
    t = torch.nn.functional.batch_norm(
        theirs[0], *their_running, *theirs[1:3], True, momentum, 0.1
    )
    first = grad(y, ours[:3], ours[3], create_graph=True)
    their_first = torch.autograd.grad(t, theirs[:3], theirs[3], create_graph=True)
    second = grad((first[0] * Tensor(v)).sum(), [ours[0], ours[1], ours[3]])
    their_second = torch.autograd.grad(
        (their_first[0] * torch.from_numpy(v)).sum(), [theirs[i] for i in (0, 1, 3)]
    )
    rtol, atol = TOLERANCE[dtype]
    for a, c in zip(
        [y, *running, *first, *second],
        [t, *their_running, *their_first, *their_second],
        strict=True,
    ):
        assert str(a.dtype) == str(c.dtype).removeprefix("torch.")
        np.testing.assert_allclose(
            a.data, c.detach().numpy(), 10 * rtol, 30 * atol * max(x.size, 1) ** 0.5
        )


def test_inference_of_nothing_and_of_frozen_statistics():
    mean, var, w, b = (leaf(k, 3) for k in range(4))
    var = Tensor(var.data**2 + 0.3, True)
    empty = F.batch_norm(leaf(5, 0, 3, 2), mean, var, w, b)
    assert empty.shape == (0, 3, 2)
    inputs = [leaf(4, 4, 3, 2), mean, var, w, b]
    assert gradcheck(F.batch_norm, inputs) and gradgradcheck(F.batch_norm, inputs)


def test_relu_at_zero_and_at_nan():
    for size in (4, _share.ALONE):
        x = np.resize(np.array([0.0, -0.0, np.nan, 2.0], "float32"), size)
        g = np.resize(np.array([3.0, np.nan, np.inf, -5.0], "float32"), size)
        np.testing.assert_array_equal(ops.relu(Tensor(x)).data[:4], [0, 0, np.nan, 2])
        t = Tensor(x, True)
        (gx,) = grad(F.relu(t), t, Tensor(g))
        np.testing.assert_array_equal(gx.data[-4:], [0, 0, 0, -5])


@pytest.mark.parametrize("few", [0, 64])
def test_cross_entropy_of_extreme_logits(few, monkeypatch):
    """Certain, impossible, enormous: by NumPy's loops and by those compiled."""
    monkeypatch.setattr(softmax, "FEW", few)
    x = np.array([[0.0, -np.inf, 0.0], [1e30, 0, -1e30], [-80.0, 80, 80], [5, 5, 5]])
    target = np.array([0, 0, 0, 2])
    for dtype in ("float64", "float32"):
        t = Tensor(x.astype(dtype), True)
        y = F.cross_entropy(t, Tensor(target), reduction="none")
        expected = [math.log(2), 0, 160 + math.log(2), math.log(3)]
        np.testing.assert_allclose(y.data, expected, 1e-6)
        (gx,) = grad(y.sum(), t)
        third = 1 / 3
        expected = [[-0.5, 0, 0.5], [0] * 3, [-1, 0.5, 0.5], [third, third, -2 / 3]]
        np.testing.assert_allclose(gx.data, expected, atol=1e-6)


def test_labels_that_are_no_classes_are_never_read():
    x = Tensor(normal(0, (2, 3)))
    for dtype, label in (("int64", 3), ("int8", -1), ("uint64", 2**63), ("uint8", 255)):
        with pytest.raises(RangeError, match=r"labels must be in \[0, 3\)"):
            F.cross_entropy(x, Tensor(np.array([0, label], dtype)))


def test_the_global_average_is_the_mean():
    x = leaf(0, 2, 3, 4, 5)
    y = F.adaptive_avg_pool2d(x, 1)
    assert y.shape == (2, 3, 1, 1)
    np.testing.assert_allclose(y.data[..., 0, 0], x.data.mean(axis=(2, 3)))
    assert gradcheck(lambda t: F.adaptive_avg_pool2d(t, (1, None)), [x])


def test_a_layer_in_training_moves_its_statistics_once_per_call():
    layer = nn.BatchNorm2d(3)
    x = normal(0, (4, 3, 2, 2), "float32")
    layer(Tensor(x, True)).sum().backward()
    expected = 0.1 * x.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(layer.running_mean.data, expected, 1e-5, 1e-7)
    assert layer.weight.grad.shape == layer.bias.grad.shape == (3,)
    assert layer.weight.grad.data.base is None  # an optimiser may write to it


def test_a_sequence_takes_batch_norm_and_relu_in_one_step():
    """With the same result; what is watched or changed runs by itself."""

    class Own(nn.ReLU):
        def forward(self, x):
            return super().forward(x) * 2.0

    x = leaf(0, 4, 3, 2, 2)
    for training, after, factor in (
        (True, nn.ReLU(), 1),
        (False, nn.ReLU(), 1),
        (True, Own(), 2),
    ):
        layers = [nn.BatchNorm2d(3), after, nn.BatchNorm2d(3)]
        model = nn.Sequential(*layers).to("float64").train(training)
        made = []
        with watch_ops(lambda op, arrays, options, y: made.append(op.name)):
            y = model(x)
        fused = training and factor == 1
        assert made.count("relu") == (0 if fused else 1)
        middle = factor * F.relu(layers[0](x))
        np.testing.assert_allclose(y.data, layers[2](middle).data, 1e-12)
    watched = nn.ReLU()
    watched.forward = lambda x: x * 0.0
    assert not nn.Sequential(nn.BatchNorm2d(3), watched).to("float64")(x).data.any()
    rows = str(nn.summary(nn.Sequential(nn.BatchNorm2d(3), nn.ReLU()), (3, 2, 2)))
    assert "BatchNorm2d" in rows and "ReLU" in rows
