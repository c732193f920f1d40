"""Primitives: how they are called, registered and typed, and what they refuse."""

import numpy as np
import pytest

from minidl import functional as F
from minidl import grad, ops
from minidl.errors import ArgumentError, DtypeError, GradError, ShapeError
from minidl.primitive import REGISTRY, primitive
from minidl.samples import S
from minidl.tensor import Tensor


def one_sample(r):
    return [S(r(3))]


@pytest.fixture
def registry():
    """Ops that a test registers are forgotten after it."""
    before = dict(REGISTRY)
    yield REGISTRY
    REGISTRY.clear()
    REGISTRY.update(before)


def tensor32(*data):
    return Tensor(np.array(data, "float32"), requires_grad=True)


X = Tensor(np.arange(6.0).reshape(2, 3))
IMAGE, FILTERS = Tensor(np.ones((1, 2, 5, 5))), Tensor(np.ones((3, 2, 3, 3)))


def test_options_go_by_name_or_by_position_after_the_arrays():
    expected = ops.sum(X, dim=1, keepdim=True).tolist()
    assert ops.sum(X, 1, True).tolist() == expected
    assert ops.sum(X, 1, keepdim=True).tolist() == expected
    assert ops.conv2d(IMAGE, FILTERS, None, 2, 1).shape == (1, 3, 3, 3)
    assert ops.conv2d(IMAGE, weight=FILTERS, padding=1).shape == (1, 3, 5, 5)
    assert ops.linear(bias=None, weight=X, x=X).shape == (2, 2)
    assert ops.concatenate(X, X, dim=1).shape == (2, 6)
    assert X.sum(0).tolist() == X.sum(dim=0).tolist() == [3.0, 5.0, 7.0]


@pytest.mark.parametrize("call, message", [
    (lambda: ops.sum(X, dims=1), "sum: option dims is unknown; its options: dim, keep"),
    (lambda: ops.exp(X, fast=True), "exp: option fast is unknown; its options: none"),
    (lambda: ops.cumsum(X), "cumsum: option dim must be given"),
    (lambda: ops.cumsum(X, axis=1), "cumsum: option dim must be given; its options:"),
    (lambda: ops.sum(X, 1, keep=True), "sum: option keep is unknown"),
    (lambda: ops.sum(X, axis=1, keep=0), "sum: option axis is unknown"),
    (lambda: ops.concatenate(X, axis=1), "concatenate: option axis is unknown"),
    (lambda: ops.sum(X, 1, True, 3), "sum: at most 3 arguments; got 4"),
    (lambda: ops.add(X, X, X), "add: at most 2 arguments; got 3"),
    (lambda: ops.sum(X, 1, dim=0), "sum: dim was given twice"),
    (lambda: ops.linear(X), "linear: weight must be given"),
    (lambda: ops.add(X), "add: y must be given"),
])
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()


def test_a_primitive_needs_samples(registry):
    def forward(x):
        return x

    with pytest.raises(TypeError, match="samples"):
        primitive()(forward)
    for samples in (None, [S(1.0)]):
        with pytest.raises(ArgumentError, match="forward: a primitive needs samples"):
            primitive(samples=samples)(forward)
    assert "forward" not in registry


def test_names_are_unique(registry):
    def exp(x):
        return x

    original = registry["exp"]
    with pytest.raises(ArgumentError, match="exp: a primitive needs samples and a new"):
        primitive(samples=one_sample)(exp)
    assert registry["exp"] is original


def test_registration_gives_a_documented_op(registry):
    @primitive(samples=one_sample)
    def double(x):
        """Twice x."""
        return x * 2

    double.defvjp(lambda g, _y, _x: double(g))
    assert registry["double"] is double and double.__doc__ == "Twice x."
    assert repr(double) == "<primitive double>"
    x = tensor32(1, 2)
    assert grad(double(x).sum(), x)[0].tolist() == [2.0, 2.0]


def test_a_vjp_row_is_needed_for_every_array(registry):
    @primitive(samples=one_sample)
    def pair(x, y):
        return x * y

    with pytest.raises(ArgumentError, match="pair: defvjp takes 2 vjps.*got 1"):
        pair.defvjp(lambda g, _y, _a, b: g * b)
    pair.defvjp(lambda g, _y, _a, b: g * b, None)
    a, b = tensor32(2.0), tensor32(3.0)
    got = grad(pair(a, b), [a, b], allow_unused=True)
    assert got[0].item() == 3.0 and got[1] is None


def test_an_op_without_vjps_has_no_derivative(registry):
    @primitive(samples=one_sample)
    def opaque(x):
        return x * 2

    assert not opaque(tensor32(1.0)).requires_grad


@pytest.mark.parametrize("wrong, came", [
    (lambda g: g.reshape(3, 1), r"float64\(3, 1\)"),
    (lambda g: g[:2], r"float64\(2,\)"),
    (lambda g: g.sum(), r"float64\(\)"),
    (lambda g: g.to("float32"), r"float32\(3,\)"),
])
def test_a_wrong_gradient_names_its_op(registry, wrong, came):
    @primitive(samples=one_sample)
    def faulty(x):
        return x.copy()

    faulty.defvjp(lambda g, _y, _x: wrong(g))
    x = Tensor(np.ones(3), requires_grad=True)
    message = rf"faulty: gradient of argument 0 must be float64\(3,\); got {came}"
    for differentiate in (lambda y: grad(y, x), lambda y: y.backward()):
        with pytest.raises(GradError, match=message):
            differentiate((faulty(x) * 2.0).sum())


def test_what_numpy_says_is_told_with_the_op_and_its_arguments(registry):
    @primitive(samples=one_sample)
    def fragile(x, *, size):
        return x.reshape(size)

    with pytest.raises(ShapeError, match=r"fragile: cannot take \(float64\(2, 3\), si"):
        fragile(X, size=4)
    with pytest.raises(ArgumentError, match="fragile: cannot take.*size='a'"):
        fragile(X, size="a")
    with pytest.raises(ShapeError, match=r"add: shapes must broadcast; got float64\(2"):
        X + Tensor(np.ones(2))


SCALARS = [2, 2.0, True, np.float64(2.0), np.float32(2.0), np.int64(2), np.bool_(True)]
SCALARS = [pytest.param(s, id=f"{type(s).__name__}") for s in SCALARS]
BINARY = [
    lambda x, s: x * s, lambda x, s: s * x, lambda x, s: x + s, lambda x, s: s - x,
    lambda x, s: x / s, lambda x, s: s / x, lambda x, s: x**s, lambda x, s: s**x,
    lambda x, s: F.maximum(x, s), lambda x, s: F.where(x > 1.5, x, s),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scalar", SCALARS)
def test_scalars_never_promote(scalar, dtype):
    x = Tensor(np.array([1.0, 2.0], dtype), requires_grad=True)
    for function in BINARY:
        y = function(x, scalar)
        assert isinstance(y, Tensor) and y.dtype == dtype and y.requires_grad
        expected = function(Tensor(x.data.astype("float64")), float(scalar))
        np.testing.assert_allclose(y.data, expected.data, 1e-6)
        assert grad(y.sum(), x)[0].dtype == dtype


def test_whole_numbers_stay_whole():
    i = Tensor(np.array([1, 2], "int32"))
    assert (i * 2).dtype == (i + np.int64(1)).dtype == "int32"
    assert (i == 1).dtype == bool and i.sum().dtype == "int64"


def test_other_values_are_refused():
    x = tensor32(1.0, 2.0)
    for value in (1j, np.complex128(1j), np.str_("a"), "a", [1.0], (1.0,), object):
        with pytest.raises(DtypeError, match="mul: argument must be a Tensor or a"):
            x * value
    for call in (lambda: x @ 2.0, lambda: [1.0, 2.0] @ x, lambda: F.matmul(x, (1.0,))):
        with pytest.raises(DtypeError, match="matmul: arguments must be tensors; got"):
            call()


def test_arrays_do_not_promote_either():
    x = tensor32(1.0, 2.0)
    for other in (np.ones(2), np.array(2.0), Tensor(np.array(2.0)), np.ones(2, "int64"),
                  Tensor(np.ones((2, 2)))):
        for function in (lambda a, b: a * b, lambda a, b: b - a, F.maximum):
            with pytest.raises(DtypeError, match="must have one dtype; got .*to"):
                function(x, other)
    assert (np.array(2.0, "float32") * x).dtype == "float32"
    with pytest.raises(DtypeError, match="linear: tensors must have one dtype"):
        F.linear(x, Tensor(np.ones((3, 2))))
    with pytest.raises(DtypeError, match="concatenate: tensors must have one dtype"):
        F.cat([x, Tensor(np.ones(2))])
    with pytest.raises(DtypeError, match="conv2d: tensors must have one dtype"):
        F.conv2d(IMAGE, FILTERS.to("float32"))


def test_masks_multiply():
    x = tensor32(1.0, 2.0, 3.0)
    mask = x > 1.5
    for y in (x * mask, mask * x, x * mask.data):
        assert y.dtype == "float32" and y.tolist() == [0.0, 2.0, 3.0]
        assert grad(y.sum(), x)[0].tolist() == [0.0, 1.0, 1.0]
    assert not mask.requires_grad


def test_raw_arrays_stand_for_constants():
    x = Tensor(np.array([[0.5, 1.0], [2.0, 4.0]]), requires_grad=True)
    raw = np.full((2, 2), 3.0)
    functions = (
        lambda c: x * c, lambda c: c / x, lambda c: x @ c, lambda c: F.linear(c, x),
        lambda c: F.power(x, c), lambda c: F.power(c, x), lambda c: F.maximum(c, x),
        lambda c: F.einsum("ab,bc->ca", x, c), lambda c: F.cat([c, x]),
        lambda c: F.where(c > 0.0, x, c),
    )
    for function in functions:
        expected = grad(function(Tensor(raw)).sum(), x)[0].tolist()
        assert grad(function(raw).sum(), x)[0].tolist() == expected


def test_functions_that_need_floats_refuse_whole_numbers():
    whole = Tensor(np.array([1, 2]))
    for function in (F.exp, F.sqrt, F.sigmoid, F.erf, lambda x: F.softmax(x, 0)):
        with pytest.raises(DtypeError, match="must be float32 or float64"):
            function(whole)


def test_results_are_arrays_not_numpy_scalars():
    x = tensor32(1.0, 2.0)
    for y in (x.sum(), x[0], x.amax(), x @ x, x.argmax(), F.mse_loss(x, x), x[0] * 2.0):
        assert type(y.data) is np.ndarray and y.shape == ()
