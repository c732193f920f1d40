"""Drawn shapes and options: convolution, windows, pooling, indexing, broadcasting."""

import numpy as np
import pytest

pytest.importorskip("hypothesis", reason="properties need hypothesis: minidl[test]")

import hypothesis.extra.numpy as hnp  # noqa: E402
from hypothesis import assume, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from reference_windows import pool_windows  # noqa: E402
from references import REFERENCES  # noqa: E402

from minidl import kernels, ops  # noqa: E402
from minidl.autograd import grad  # noqa: E402
from minidl.errors import ShapeError  # noqa: E402
from minidl.kernels.windows import output_size  # noqa: E402
from minidl.tensor import Tensor  # noqa: E402
from minidl.testing import assert_close  # noqa: E402

few = settings(max_examples=120, derandomize=True, deadline=None, database=None)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
dtypes = st.sampled_from(["float64", "float32"])
seeds = st.integers(0, 9)


def normal(seed, *shape, dtype="float64"):
    return np.asarray(np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def scattered(a):
    """The same values in memory with gaps and a reversed axis."""
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return np.flip(np.flip(wide[..., ::2], 1).copy(), 1)


@st.composite
def convolutions(draw, words=True):
    """x, weight and options of a convolution with at least one output pixel."""
    groups = draw(st.integers(1, 3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    sides = st.tuples(st.integers(0, 2), st.integers(0, 2))
    kinds = [st.integers(0, 2), sides, st.tuples(sides, sides)]
    kinds += [st.just("valid"), st.just("same")] if words else []
    padding = draw(st.one_of(*kinds))
    stride = (1, 1) if padding == "same" else stride
    n, size = draw(st.integers(0, 3)), draw(st.tuples(*[st.integers(1, 7)] * 2))
    channels, outputs = (groups * draw(st.integers(1, 2)) for _ in range(2))
    pads = ops._geometry.padding_pairs("test", padding, kernel, stride, dilation)
    assume(min(output_size(size, kernel, stride, pads, dilation)) > 0)
    x = normal(draw(seeds), n, channels, *size)
    w = normal(draw(seeds), outputs, channels // groups, *kernel)
    return x, w, dict(stride=stride, padding=padding, dilation=dilation, groups=groups)


@few
@given(convolutions(), dtypes, st.booleans())
def test_conv2d_equals_six_loops(drawn, dtype, strided):
    x, w, options = drawn
    x, w = x.astype(dtype), w.astype(dtype)
    if strided:
        x, w = scattered(x), scattered(w)
    y = ops.conv2d(Tensor(x), Tensor(w), **options)
    assert y.dtype == dtype
    expected = REFERENCES["conv2d"](x.astype("float64"), w.astype("float64"), **options)
    assert_close(y.data, expected, dtype, "conv2d")


@few
@given(convolutions(words=False), dtypes, st.booleans(), st.booleans())
def test_rungs_of_convolution_agree(drawn, dtype, strided, in_parts):
    """The reference rung and the one in use, also where it cuts the batch in parts."""
    x, w, options = drawn
    stride, dilation, groups = (options[k] for k in ("stride", "dilation", "groups"))
    kernel, size = w.shape[2:], x.shape[2:]
    pads = ops._geometry.padding_pairs("", options["padding"], kernel, stride, dilation)
    out = output_size(size, kernel, stride, pads, dilation)
    g = normal(1, len(x), len(w), *out)
    x, w, g = (scattered(a.astype(dtype)) if strided else a.astype(dtype)
               for a in (x, w, g))
    geometry = (stride, pads, dilation, groups)
    for kernel_of, arguments in (
        (kernels.conv2d, (x, w, *geometry)),
        (kernels.conv2d_input, (g, w, size, *geometry)),
        (kernels.conv2d_weight, (x, g, kernel, *geometry)),
    ):
        slow = kernel_of.reference(*arguments)
        with pytest.MonkeyPatch.context() as patch:
            if in_parts:
                patch.setattr(kernels.conv, "COLUMNS", 1)
            fast = kernel_of.cpu(*arguments)
        assert slow.dtype == fast.dtype == dtype
        assert_close(fast, slow, dtype, "rung cpu")


@few
@given(convolutions())
def test_gradients_of_convolution_are_exact_adjoints(drawn):
    """<conv(x, w), g> = <x, conv_input(g, w)> = <w, conv_weight(x, g)>."""
    x, w, options = drawn
    tx, tw = Tensor(x), Tensor(w)
    y = ops.conv2d(tx, tw, **options)
    g = Tensor(normal(5, *y.shape))
    gx = ops.conv2d_input(g, tw, size=x.shape[2:], **options)
    gw = ops.conv2d_weight(tx, g, kernel=w.shape[2:], **options)
    inner = (y.data * g.data).sum()
    scale = np.abs(y.data * g.data).sum() + 1
    assert abs((x * gx.data).sum() - inner) < 1e-13 * scale
    assert abs((w * gw.data).sum() - inner) < 1e-13 * scale


@few
@given(convolutions(words=False), dtypes, st.booleans())
def test_unfold_and_fold_are_adjoint_and_right(drawn, dtype, strided):
    x, w, options = drawn
    kernel = w.shape[2:]
    geometry = {k: options[k] for k in ("stride", "padding", "dilation")}
    x = scattered(x.astype(dtype)) if strided else x.astype(dtype)
    cols = ops.unfold(Tensor(x), kernel_size=kernel, **geometry)
    c = normal(2, *cols.shape, dtype=dtype)
    back = ops.fold(Tensor(c), output_size=x.shape[2:], kernel_size=kernel, **geometry)
    wide = x.astype("float64")
    expected = REFERENCES["unfold"](wide, kernel, **geometry)
    assert_close(cols.data, expected, dtype, "unfold")
    expected = REFERENCES["fold"](c.astype("float64"), x.shape[2:], kernel, **geometry)
    assert_close(back.data, expected, dtype, "fold")
    if dtype == "float64":
        here, there = (cols.data * c).sum(), (x * back.data).sum()
        assert abs(here - there) < 1e-13 * (np.abs(cols.data * c).sum() + 1)


@few
@given(convolutions(words=False))
def test_unfold_and_fold_equal_torch(drawn):
    torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    x, w, options = drawn
    kernel, padding = w.shape[2:], options["padding"]
    nested = isinstance(padding, tuple) and isinstance(padding[0], tuple)
    assume(len(x) and not nested)
    geometry = {k: options[k] for k in ("stride", "padding", "dilation")}
    theirs = torch.nn.functional.unfold(torch.from_numpy(x), kernel, **geometry)
    cols = ops.unfold(Tensor(x), kernel_size=kernel, **geometry)
    assert_close(cols.data, theirs.numpy(), "float64", "unfold")
    size = x.shape[2:]
    theirs = torch.nn.functional.fold(theirs, size, kernel, **geometry)
    ours = ops.fold(cols, output_size=size, kernel_size=kernel, **geometry)
    assert_close(ours.data, theirs.numpy(), "float64", "fold")


@st.composite
def poolings(draw, dilated):
    """A shape (N, C, H, W) and options of a pooling with at least one window."""
    kernel = draw(pairs)
    options = dict(
        kernel_size=kernel,
        stride=draw(st.none() | pairs),
        padding=tuple(draw(st.integers(0, k // 2)) for k in kernel),
        ceil_mode=draw(st.booleans()),
    )
    reach = kernel
    if dilated:
        options["dilation"] = draw(pairs)
        reach = [d * (k - 1) + 1 for d, k in zip(options["dilation"], kernel)]
    size = draw(st.tuples(*[st.integers(1, 7)] * 2))
    assume(all(n + 2 * p >= k for n, p, k in zip(size, options["padding"], reach)))
    return (draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size), options


values = ["normal", "ties", "negative", "nan", "-inf", "all -inf"]


def special(kind, seed, shape, dtype):
    """Images for max pooling: plain, with ties, with NaN, with minus infinity."""
    x = normal(seed, *shape)
    rng = np.random.default_rng(seed)
    if kind == "ties":
        x = np.round(x)
    if kind == "negative":
        x = -np.abs(x) - 1
    if kind in ("nan", "-inf"):
        x[rng.random(shape) < 0.4] = float(kind)
    return np.full(shape, -np.inf, dtype) if kind == "all -inf" else x.astype(dtype)


@few
@given(poolings(dilated=True), st.sampled_from(values), seeds, dtypes, st.booleans())
def test_max_pool2d_and_its_gradient(drawn, kind, seed, dtype, strided):
    """Against loops and rung against rung; ties go to the first, a NaN wins."""
    shape, options = drawn
    x = special(kind, seed, shape, dtype)
    x = scattered(x) if strided else x
    leaf = Tensor(x, True)
    if not all(pixels for pixels, _ in pool_windows(shape[2:], **options).values()):
        with pytest.raises(ShapeError, match="every window must meet a pixel"):
            ops.max_pool2d(leaf, **options)
        return
    expected = REFERENCES["max_pool2d"](x.astype("float64"), **options)
    y = ops.max_pool2d(leaf, **options)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y.data, expected)
    g = normal(3, *y.shape, dtype=dtype)
    (found,) = grad(y, leaf, Tensor(g))
    wide = (g.astype("float64"), x.astype("float64"))
    expected = REFERENCES["max_pool2d_scatter"](*wide, **options)
    assert_close(found.data, expected, dtype, "gradient")
    geometry = ops.pool._geometry(
        "", shape[2:], options["kernel_size"], options["stride"], options["padding"],
        options["dilation"], options["ceil_mode"],
    )
    moves = (kernels.max_pool2d_gather, x), (kernels.max_pool2d_scatter, g)
    for kernel, first in moves:
        fast = kernel.cpu(first, x, *geometry)
        assert_close(fast, kernel.reference(first, x, *geometry), dtype, "rung cpu")


@few
@given(poolings(dilated=False), st.booleans(), st.none() | st.integers(1, 5), dtypes)
def test_avg_pool2d_and_its_gradient(drawn, include, override, dtype):
    shape, options = drawn
    options |= dict(count_include_pad=include, divisor_override=override)
    x = normal(1, *shape, dtype=dtype)
    leaf = Tensor(x, True)
    y = ops.avg_pool2d(leaf, **options)
    expected = REFERENCES["avg_pool2d"](x.astype("float64"), **options)
    assert_close(y.data, expected, dtype, "avg_pool2d")
    g = normal(3, *y.shape, dtype=dtype)
    (found,) = grad(y, leaf, Tensor(g))
    expected = REFERENCES["avg_pool2d_spread"](
        g.astype("float64"), shape[2:], **options)
    assert_close(found.data, expected, dtype, "gradient")


@st.composite
def indexed(draw):
    """An array and an index of slices, integers, None, Ellipsis, arrays or a mask."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    x = normal(draw(seeds), *shape)
    basic = hnp.basic_indices(shape, allow_newaxis=True, allow_ellipsis=True)
    advanced = hnp.integer_array_indices(
        shape[: draw(st.integers(1, len(shape)))],
        result_shape=hnp.array_shapes(max_dims=2, max_side=3),
    )
    mask = hnp.arrays(bool, shape[: draw(st.integers(1, len(shape)))])
    index = draw(st.one_of(basic, advanced, mask.map(lambda m: (m,))))
    index = index if isinstance(index, tuple) else (index,)
    used = sum(i.ndim if getattr(i, "dtype", None) == "bool" else 1
               for i in index if i is not None and i is not Ellipsis)
    if used < len(shape) and draw(st.booleans()):
        index = (*index, slice(None, None, draw(st.sampled_from([1, 2, -1]))))
    return x, index


@few
@given(indexed())
def test_indexing_and_its_gradient(drawn):
    """x[index] is NumPy's; its gradient adds at every place as often as it was read."""
    x, index = drawn
    leaf = Tensor(x, True)
    y = leaf[index]
    np.testing.assert_array_equal(y.data, x[index])
    (ones,) = grad(y, leaf, Tensor(np.ones(y.shape)), retain_graph=True)
    places = np.arange(x.size).reshape(x.shape)[index]
    counts = np.bincount(np.ravel(places), minlength=x.size).reshape(x.shape)
    np.testing.assert_array_equal(ones.data, counts)
    g = normal(4, *y.shape)
    expected = np.zeros(x.size)
    for place, value in zip(np.ravel(places), g.ravel()):
        expected[place] += value
    (found,) = grad(y, leaf, Tensor(g))
    assert_close(found.data, expected.reshape(x.shape), "float64", "scatter-add")


BINARY = {
    "add": (np.add, lambda x, y: (1, 1)),
    "sub": (np.subtract, lambda x, y: (1, -1)),
    "mul": (np.multiply, lambda x, y: (y, x)),
    "div": (np.divide, lambda x, y: (1 / y, -x / y**2)),
    "power": (np.power, lambda x, y: (y * x ** (y - 1), np.log(x) * x**y)),
    "maximum": (np.maximum, lambda x, y: (x > y, y > x)),
    "minimum": (np.minimum, lambda x, y: (x < y, y < x)),
}


@few
@given(
    hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3, min_side=0),
    st.sampled_from(sorted(BINARY)), dtypes,
)
def test_broadcasting_of_binary_ops(drawn, name, dtype):
    """Values by NumPy; gradients in the inputs' shapes, summed where broadcast."""
    function, slopes = BINARY[name]
    x, y = (np.asarray(np.abs(normal(i, *s, dtype=dtype)) + np.float32(0.3))
            for i, s in enumerate(drawn.input_shapes))
    a, b = Tensor(x, True), Tensor(y, True)
    out = getattr(ops, name)(a, b)
    assert out.dtype == dtype and out.shape == drawn.result_shape
    np.testing.assert_array_equal(out.data, function(x, y))
    g = normal(7, *out.shape, dtype=dtype)
    wide = [v.astype("float64") for v in (x, y)]
    for found, array, slope in zip(grad(out, [a, b], Tensor(g)), (x, y), slopes(*wide)):
        whole = np.broadcast_to(g * slope, out.shape).astype("float64")
        lead = whole.ndim - array.ndim
        over = tuple(i for i in range(whole.ndim)
                     if i < lead or array.shape[i - lead] == 1)
        expected = whole.sum(axis=over).reshape(array.shape)
        assert found.dtype == dtype
        assert_close(found.data, expected, dtype, f"gradient of {name}")


REDUCTIONS = {
    "sum": np.sum,
    "amax": np.max,
    "amin": np.min,
    "logsumexp": lambda x, axis, keepdims: np.log(
        np.sum(np.exp(x), axis=axis, keepdims=keepdims)),
}


@few
@given(hnp.array_shapes(min_dims=0, max_dims=4, max_side=3), st.data(), st.booleans(),
       st.sampled_from(sorted(REDUCTIONS)))
def test_reductions_over_any_axes(shape, data, keepdim, name):
    """Values by NumPy; the gradient of a sum of all weights each element rightly."""
    axes = data.draw(hnp.valid_tuple_axes(len(shape))) if shape else ()
    single = [axes[0]] if len(axes) == 1 else []
    dim = data.draw(st.sampled_from([axes, None, *single]))
    x = normal(1, *shape)
    leaf = Tensor(x, True)
    y = getattr(ops, name)(leaf, dim=dim, keepdim=keepdim)
    expected = REDUCTIONS[name](x, axis=dim, keepdims=keepdim)
    assert_close(y.data, expected, "float64", name)
    g = normal(2, *y.shape)
    (found,) = grad(y, leaf, Tensor(g))
    over = tuple(range(x.ndim)) if dim is None else dim
    kept = REDUCTIONS[name](x, axis=over, keepdims=True)
    slope = {"sum": np.ones(shape), "logsumexp": np.exp(x - kept)}.get(name, x == kept)
    expected = g.reshape(kept.shape) * slope
    assert_close(found.data, expected, "float64", f"slope of {name}")
