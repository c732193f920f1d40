"""What every op with a kernel does with input that is odd, empty, huge or wrong.

Generated over the ops and their samples: memory in any layout gives what a copy of it
gives; what is empty gives an empty result; what cannot be is refused by name.
"""

import itertools

import numpy as np
import pytest
from references import REFERENCES

from minidl import functional as F
from minidl import kernels
from minidl.autograd import grad
from minidl.errors import (
    ArgumentError,
    BackendError,
    DtypeError,
    MinidlError,
    ShapeError,
)
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import all_ops, assert_close, samples_of

FAMILIES = tuple(f"minidl.ops.{name}" for name in ("transform", "conv", "pool"))
OPS = {n: op for n, op in all_ops().items() if op.forward.__module__ in FAMILIES}
PUBLIC = sorted(OPS.keys() & set(F.__all__))
CHECKED = sorted(OPS)
SAMPLES = [(name, i) for name, op in OPS.items() for i in range(len(samples_of(op)))]
FIRST = [(name, i) for name, i in SAMPLES if i < 2]


def test_the_ops_are_found():
    assert {"fwht", "shift", "conv2d", "unfold", "fold", "max_pool2d"} <= set(PUBLIC)
    assert {"conv2d_input", "conv2d_weight", "max_pool2d_scatter"} <= OPS.keys()


def gaps(a):
    """Every other element of memory along every axis."""
    wide = np.zeros([2 * n for n in a.shape], a.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def read_only(a):
    view = a.copy()
    view.flags.writeable = False
    return view


def misaligned(a):
    """Elements that begin one byte after where the processor would like them."""
    view = np.frombuffer(bytearray(a.nbytes + 1), a.dtype, a.size, 1).reshape(a.shape)
    view[...] = a
    assert a.size == 0 or not view.flags.aligned
    return view


LAYOUTS = {
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "reversed rows": lambda a: a[..., ::-1],
    "Fortran": np.asfortranarray,
    "last axes swapped": lambda a: a.swapaxes(0, -1).copy().swapaxes(0, -1),
    "gaps": gaps,
    "one row for all": lambda a: np.broadcast_to(a[..., :1], a.shape),
    "one image for all": lambda a: np.broadcast_to(a[:1], a.shape),
    "read-only": read_only,
    "misaligned": misaligned,
}


def run(op, arrays, options, upstream, layout):
    """Output and gradients with every float array passed through ``layout``."""
    given = [
        Tensor(layout(a), True) if getattr(a, "dtype", None) == "float32" else a
        for a in arrays
    ]
    before = [x.data.copy() for x in given if isinstance(x, Tensor)]
    y = op(*given, **options)
    sources = [x for x in given if isinstance(x, Tensor)]
    found = grad(y, sources, Tensor(layout(upstream(y.shape))), allow_unused=True)
    for x, b in zip(sources, before):
        np.testing.assert_array_equal(x.data, b)
    return [y.data, *(g.data for g in found if g is not None)]


def upstream(shape):
    return np.random.default_rng(5).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name, i", FIRST)
def test_any_memory_gives_what_its_copy_gives(name, i, layout):
    op, sample, view = OPS[name], samples_of(OPS[name])[i], LAYOUTS[layout]
    arrays = [
        a.astype("float32") if getattr(a, "dtype", None) == "float64" else a
        for a in sample.args
    ]
    got = run(op, arrays, sample.options, upstream, view)
    copied = run(op, arrays, sample.options, upstream, lambda a: view(a).copy("C"))
    assert len(got) == len(copied) > 1
    for a, b in zip(got, copied):
        assert a.dtype == b.dtype == "float32"
        assert_close(a, b, "float32", f"{name} of {layout} memory")


@pytest.mark.parametrize(
    "dtype", ["int64", "uint8", "bool", "complex64", "float16", "longdouble", ">f4"]
)
@pytest.mark.parametrize("name", CHECKED)
def test_other_types_are_refused_by_name(name, dtype):
    sample = samples_of(OPS[name])[0]
    given = [Tensor(a.astype(dtype)) for a in sample.args if a is not None]
    with pytest.raises(DtypeError) as caught:
        OPS[name](*given, **sample.options)
    assert name in str(caught.value) and str(np.dtype(dtype)) in str(caught.value)


def emptied(sample):
    """The sample's arrays with one axis of one of them made empty, in every way."""
    for k, a in enumerate(sample.args):
        for axis in range(getattr(a, "ndim", 0)):
            shape = [0 if i == axis else n for i, n in enumerate(a.shape)]
            yield k, axis, [*sample.args[:k], np.zeros(shape), *sample.args[k + 1 :]]


@pytest.mark.parametrize("name, i", [c for c in SAMPLES if c[0] in PUBLIC])
def test_empty_axes_give_the_empty_result_or_an_error(name, i):
    op, sample = OPS[name], samples_of(OPS[name])[i]
    accepted = set()
    for k, axis, arrays in emptied(sample):
        given = [a if a is None else Tensor(a, True) for a in arrays]
        try:
            y = op(*given, **sample.options)
        except MinidlError as error:
            assert str(error).startswith(f"{name}: ")
            assert "cannot take" not in str(error)  # NumPy's words are no clear error
            continue
        accepted.add((k, axis))
        expected = REFERENCES[name](*arrays, **sample.options)
        assert_close(y.data, expected, "float64", f"{name} with empty axis {axis}")
        tracked = [x for x in given if x is not None]
        found = grad(y, tracked, Tensor(np.ones(y.shape)), allow_unused=True)
        for x, g in zip(tracked, found):
            assert g is None or g.shape == x.shape
    lead = samples_of(op)[i].args[0].ndim > 1
    assert not lead or (0, 0) in accepted  # an empty batch is no mistake


@pytest.mark.parametrize("name, i", SAMPLES)
def test_arrays_that_do_not_fit_each_other_are_refused(name, i):
    """One array a row, a channel or an image short: the right result or an error."""
    op, sample = OPS[name], samples_of(OPS[name])[i]
    for k, a in enumerate(sample.args):
        for axis in range(getattr(a, "ndim", 0)):
            short = np.delete(a, slice(0, 1), axis)
            arrays = [*sample.args[:k], short, *sample.args[k + 1 :]]
            given = [b if b is None else Tensor(b) for b in arrays]
            try:
                y = op(*given, **sample.options)
            except MinidlError as error:
                assert str(error).startswith(f"{name}: ")
                assert "cannot take" not in str(error)
                continue
            expected = REFERENCES[name](*arrays, **sample.options)
            assert_close(y.data, expected, "float64", f"{name} with short axis {axis}")


@pytest.mark.parametrize("name", PUBLIC)
def test_what_torch_takes_empty_is_taken(name):
    pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
    from torch_table import OPS as THEIRS
    from torch_table import foreign

    op, taken = OPS[name], 0
    for sample in samples_of(op):
        for _k, _axis, arrays in emptied(sample):
            try:
                theirs = THEIRS[name](*map(foreign, arrays), **sample.options)
            except (RuntimeError, ValueError, IndexError):
                continue
            given = [a if a is None else Tensor(a) for a in arrays]
            ours = op(*given, **sample.options)
            assert_close(ours.data, theirs.numpy(), "float64", f"{name} of {arrays}")
            taken += 1
    assert taken


r = Draw()
WINDOWED = {
    "conv2d": lambda x, k, o: F.conv2d(x, Tensor(r(4, 2, *k)), **o),
    "unfold": lambda x, k, o: F.unfold(x, k, **o),
    "fold": lambda x, k, o: F.fold(Tensor(np.ones((1, 2, 1))), x.shape[2:], k, **o),
    "max_pool2d": lambda x, k, o: F.max_pool2d(x, k, **o),
    "avg_pool2d": lambda x, k, o: F.avg_pool2d(x, k, **o),
}


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("kernel", [(6, 2), (2, 7), (9, 9)])
@pytest.mark.parametrize("name", WINDOWED)
def test_kernels_that_do_not_fit_are_refused(name, kernel, padding):
    size = [n - 2 * padding for n in (5, 6)]
    with pytest.raises(ShapeError, match=f"^{name}: kernel .* must fit into"):
        WINDOWED[name](Tensor(r(1, 2, *size)), kernel, dict(padding=padding))


OPTIONS = [
    (name, option)
    for name in WINDOWED
    for option in ("stride", "padding", "dilation", "kernel")
    if (name, option) not in {("avg_pool2d", "dilation"), ("conv2d", "kernel")}
]
LARGEST = 2**31 - 1


@pytest.mark.parametrize("value", [LARGEST, 2**31, 2**62, 2**64])
@pytest.mark.parametrize("name, option", OPTIONS)
def test_huge_options_are_right_or_refused(name, option, value):
    """The largest stride takes the first window; nothing wraps around."""
    x = Tensor(r(1, 2, 4, 4))
    kernel = (value, value) if option == "kernel" else (1, 1)
    options = {} if option == "kernel" else {option: value}
    try:
        y = WINDOWED[name](x, kernel, options)
    except (ShapeError, ArgumentError) as error:
        assert str(error).startswith(f"{name}: ")
        assert value > LARGEST or option in ("padding", "kernel") or name == "fold"
        return
    small = WINDOWED[name](x, (1, 1), {} if option == "dilation" else {option: 9})
    assert value <= LARGEST and y.shape == small.shape
    if name != "conv2d":  # whose weights are drawn at each call
        np.testing.assert_array_equal(y.data, small.data)


@pytest.mark.parametrize("far", [2**31, -(2**31), 2**62, -(2**63), 2**63, 10**30])
def test_a_shift_by_any_distance_leaves_zeros(far):
    x = Tensor(r(2, 3, 4, 5), True)
    for dy, dx in ((far, 0), (0, far), (far, far), (far, -far)):
        y = F.shift(x, dy, dx)
        assert not y.data.any()
        assert not grad(y, x, Tensor(r(2, 3, 4, 5)))[0].data.any()


KINDS = [tuple, list, *(f"{k}{bits}" for k in "iu" for bits in "1248")]


@pytest.mark.parametrize("kind", KINDS)
def test_displacements_of_every_kind(kind):
    """Also those that cannot be negated in their own type, as backward needs."""
    dy = np.array([0, 1, 3]) if "u" in str(kind) else np.array([0, -1, 3])
    given = kind(dy.tolist()) if callable(kind) else dy.astype(kind)
    x, g = Tensor(r(2, 3, 6, 5), True), Tensor(r(2, 3, 6, 5))
    y = F.shift(x, given, 1)
    np.testing.assert_array_equal(y.data, REFERENCES["shift"](x.data, dy, 1))
    back = REFERENCES["shift"](g.data, -dy, -1)
    np.testing.assert_array_equal(grad(y, x, g)[0].data, back)


class OnDevice:
    """An array that lives elsewhere, as far as minidl can see."""

    shape, ndim, dtype = (3,), 1, np.dtype("int64")


def test_wrong_displacements_are_refused(monkeypatch):
    x = Tensor(r(1, 3, 4, 5))
    for wrong in ((1, 2), [1, 2, 3, 4], np.zeros((3, 1), int), [[1, 2, 3]], ()):
        with pytest.raises(ShapeError, match="dy must be one number or 3, one a chan"):
            F.shift(x, wrong, 0)
    with pytest.raises(ShapeError, match="dx must be one number or one a channel"):
        F.shift(x, 0, [1, [2], 3])
    for wrong in (0.5, [0.0, 1.0, 2.0], True, [True] * 3, None, "1", [2**64] * 3):
        with pytest.raises(ArgumentError, match="dx must be whole numbers"):
            F.shift(x, 0, wrong)
    monkeypatch.setattr("minidl.ops.transform.is_array", lambda a: True)
    with pytest.raises(BackendError, match="dy must be numbers on the host"):
        F.shift(x, OnDevice(), 0)


@pytest.mark.parametrize(
    "n, following", [(0, 1), (3, 4), (6, 8), (1023, 1024), (2**20 + 1, 2**21)]
)
@pytest.mark.parametrize(
    "function", [F.fwht, F.to_sequency, F.from_sequency, kernels.fwht_]
)
def test_other_lengths_name_the_next_power_of_two(function, n, following):
    x = np.zeros((1, n))
    with pytest.raises(ShapeError, match=f"got {n}, the next is {following}$"):
        function(x if function is kernels.fwht_ else Tensor(x))


def test_in_place_shares_memory_and_out_of_place_does_not():
    for n, rows in itertools.product((1, 2, 64, 2**13), (0, 1, 9)):
        x = r(rows, n)
        y = kernels.fwht(x)
        assert not np.shares_memory(x, y)
        seen = x[:, ::-1]
        assert kernels.fwht_(x) is x
        np.testing.assert_allclose(seen[:, ::-1], y, atol=1e-9)
    mapped = np.ones((2, 4)).view(np.memmap)
    assert kernels.fwht_(mapped).tolist() == [[4, 0, 0, 0]] * 2


def refused_in_place():
    base = r(4, 8)
    overlapping = np.lib.stride_tricks.as_strided(base, (7, 8), (32, 8))
    layout = [
        base.T,
        base[:, ::2],
        base[:, ::-1],
        base[::-1],
        overlapping,
        np.broadcast_to(base[0], (4, 8)),
        np.asfortranarray(base),
    ]
    yield from ((x, ArgumentError, "must be C-contiguous") for x in layout)
    yield read_only(base), ArgumentError, "may be written; got a read-only"
    yield from (
        (base.astype(d), DtypeError, f"float32 or float64; got {d}")
        for d in ("int64", "bool", "complex128", "float16", ">f8")
    )
    yield misaligned(base), ArgumentError, "may be written; got a misaligned"
    yield np.zeros(()), ShapeError, "at least 1-D"
    yield from (
        (x, DtypeError, "must be a NumPy or CuPy array; got")
        for x in (Tensor(base), base.tolist(), 3.0, None)
    )


CASES = list(refused_in_place())


@pytest.mark.parametrize("i", range(len(CASES)))
def test_in_place_refuses_what_it_would_spoil(i):
    x, error, match = CASES[i]
    before = np.array(x.data if isinstance(x, Tensor) else x)
    with pytest.raises(error, match=f"^fwht_: .*{match}"):
        kernels.fwht_(x)
    np.testing.assert_array_equal(x.data if isinstance(x, Tensor) else x, before)
