"""Compositions: derivatives of both orders against differences, and what is refused."""

import numpy as np
import pytest
from functional_samples import SAMPLES, arrays, call, tensors

import minidl
import minidl.functional as F
from minidl.autograd import Primitive
from minidl.errors import (
    ArgumentError,
    DtypeError,
    RangeError,
    ShapeError,
    UnknownNameError,
)
from minidl.samples import Draw, E
from minidl.tensor import Tensor
from minidl.testing import gradcheck, gradgradcheck

CASES = [(name, i) for name, f in SAMPLES.items() for i in range(len(f(Draw())))]


def test_every_composition_has_samples():
    public = {n for n in F.__all__ if callable(getattr(F, n))}
    composed = {n for n in public if not isinstance(getattr(F, n), Primitive)}
    assert composed - set(SAMPLES) == {"cat"}  # an alias of concatenate
    assert set(SAMPLES) <= composed


def rebuilt(name, sample, inputs):
    """The float outputs of the sample's call with ``inputs``, in order, as arrays."""
    given = iter(inputs)

    def place(array, requires_grad):
        return next(given) if requires_grad else Tensor(array)

    outs, _ = call(getattr(F, name), sample, "float64", place)
    return [y for y in outs if y.dtype.kind == "f"]


@pytest.mark.parametrize("name, i", CASES)
def test_derivatives(name, i):
    """gradcheck and gradgradcheck in float64 with a random upstream gradient."""
    sample = SAMPLES[name](Draw(11))[i]
    outs, inputs = call(getattr(F, name), sample, "float64", tensors)
    leaves = [x for x in inputs if x.requires_grad]
    differentiable = [y for y in outs if y.requires_grad]
    assert bool(leaves) == bool(differentiable)
    if leaves:
        gradcheck(lambda *xs: rebuilt(name, sample, xs), leaves)
        gradgradcheck(lambda *xs: rebuilt(name, sample, xs), leaves)


@pytest.mark.parametrize("name, i", CASES)
def test_inputs_stay_and_a_second_call_agrees(name, i):
    """No input is changed but batch norm's running statistics, and a call repeats."""
    sample, made = SAMPLES[name](Draw(11))[i], []

    def remember(array, requires_grad):
        made.append((array, array.copy(), requires_grad))
        return Tensor(array, requires_grad)

    first, _ = call(getattr(F, name), sample, "float64", remember)
    second, _ = call(getattr(F, name), sample, "float64", remember)
    for y, z in zip(first, second):
        np.testing.assert_array_equal(y.data, z.data)
    for after, before, requires_grad in made:
        if requires_grad or name != "batch_norm":
            np.testing.assert_array_equal(after, before)


REFUSED = {
    "adaptive_avg_pool2d": lambda r: [
        E(ShapeError, "must be 4-D", r(2, 4, 4), 2),
        E(ShapeError, "at least 1 pixel; got (1, 2, 0, 4)", r(1, 2, 0, 4), 2),
        E(ArgumentError, "output_size must be", r(1, 2, 4, 4), 0),
        E(ArgumentError, "[1, 2, 3]", r(1, 2, 4, 4), (1, 2, 3)),
        E(ArgumentError, "output_size must be", r(1, 2, 4, 4), 1.5),
    ],
    "affine_grid": lambda r: [
        E(ShapeError, "theta must be (N, 2, 3)", r(2, 3), (2, 1, 4, 4)),
        E(ShapeError, "got (2, 2, 3) for (1, 1, 4, 4)", r(2, 2, 3), (1, 1, 4, 4)),
        E(ShapeError, "size (N, C, H, W)", r(1, 2, 3), (1, 1, 4)),
        E(ShapeError, "at least 1 pixel", r(1, 2, 3), (1, 1, 0, 4)),
    ],
    "batch_norm": lambda r: [
        E(ShapeError, "must be (N, C, ...); got (3,)", r(3), None, None, training=True),
        E(ShapeError, "more than 1 value", r(1, 3), None, None, training=True),
        E(ShapeError, "more than 1 value", r(0, 3), None, None, training=True),
        E(ShapeError, "running_mean must be (2,); got (3,)", r(3, 2), r(3), r(2)),
        E(ShapeError, "weight must be (2,)", r(3, 2), None, None, r(3), training=True),
        E(ShapeError, "bias must be (2,)", r(3, 2), r(2), r(2), r(2), r(1)),
        E(ArgumentError, "must be given when not training", r(3, 2), None, None),
        E(ArgumentError, "go together", r(3, 2), r(2), None, training=True),
        E(ArgumentError, "go together", r(3, 2), None, r(2), training=True),
    ],
    "concatenate": lambda r: [
        E(ShapeError, "must not be an empty list", []),
        E(ShapeError, "got (3,), (2, 2)", [r(3), r(2, 2)]),
        E(ArgumentError, "dim must be", [r(3)], 1),
        E(ShapeError, "shapes must be equal", [r(), r()]),
        E(DtypeError, "one dtype", [r(2), r(2).astype("float32")]),
    ],
    "conv_transpose2d": lambda r: [
        E(ShapeError, "input must be 4-D", r(2, 4, 4), r(2, 3, 2, 2)),
        E(ShapeError, "weight must be (2, out/groups", r(1, 2, 4, 4), r(3, 3, 2, 2)),
        E(ShapeError, "weight must be", r(1, 2, 4, 4), r(2, 3, 2)),
        E(ShapeError, "bias must be (3,)", r(1, 2, 4, 4), r(2, 3, 2, 2), r(2)),
        E(ShapeError, "at least 1 pixel", r(1, 2, 4, 4), r(2, 3, 2, 2), padding=9),
        E(ArgumentError, "groups must divide", r(1, 2, 4, 4), r(2, 3, 2, 2), groups=3),
        E(ArgumentError, "output_padding must be smaller", r(1, 2, 4, 4), r(2, 3, 2, 2),
          output_padding=1),
        E(ArgumentError, "stride must be", r(1, 2, 4, 4), r(2, 3, 2, 2), stride=0),
        E(ArgumentError, "padding must be", r(1, 2, 4, 4), r(2, 3, 2, 2), padding=-1),
        E(ArgumentError, "dilation must be", r(1, 2, 4, 4), r(2, 3, 2, 2), dilation=0),
    ],
    "cross_entropy": lambda r: [
        E(ShapeError, "logits must be (N, C, ...); got (3,)", r(3), r.integers(2, 3)),
        E(ShapeError, "target must be (3,)", r(3, 2), r.integers(2, 4)),
        E(ShapeError, "target must be (2, 4)", r(2, 3, 4), r.integers(3, 2)),
        E(ShapeError, "shape of input (3, 2); got (3, 3)", r(3, 2), r(3, 3)),
        E(ShapeError, "batch must not be empty", r(0, 2), r.integers(2, 0)),
        E(RangeError, "labels must be in [0, 2); got 2", r(3, 2), np.array([0, 2, 1])),
        E(RangeError, "in [0, 2); got -1", r(3, 2), np.array([0, -1, 1])),
        E(DtypeError, "classes (integers)", r(3, 2), r.mask(3)),
        E(DtypeError, "got list", r(3, 2), [0, 1, 1]),
        E(ArgumentError, "got 'avg'", r(3, 2), r.integers(2, 3), reduction="avg"),
        E(ArgumentError, "in [0, 1]", r(3, 2), r.integers(2, 3), label_smoothing=1.5),
        E(ArgumentError, "in [0, 1]", r(3, 2), r.integers(2, 3), label_smoothing=-0.1),
    ],
    "dropout": lambda r: [
        *[E(ArgumentError, "p must be in [0, 1]", r(3), p) for p in (1.5, -1, np.nan)],
        E(ShapeError, "mask must be bool(3,); got bool(4,)", r(3), mask=r.mask(4)),
        E(ShapeError, "got bool(3,)", r(2, 3), mask=r.mask(3)),
        E(ShapeError, "got float64(3,)", r(3), mask=r(3)),
    ],
    "einsum": lambda r: [
        E(ArgumentError, "name 1 operands; got 2", "ij,jk->ik", r(3, 4)),
        E(ShapeError, "label each axis", "ij->ij", r(3)),
        E(ShapeError, "'j' must have one size; got 4 and 5", "ij,jk", r(3, 4), r(5, 2)),
        E(ShapeError, "must have one size", "...i,...i", r(2, 3), r(4, 3)),
        E(ShapeError, "must be of a square", "ii", r(1, 3)),
        E(ShapeError, "must be of a square", "ii", r(3, 2)),
        E(ArgumentError, "each input label once", "ij->ik", r(3, 4)),
        E(ArgumentError, "each input label once", "ij->ii", r(3, 4)),
        E(ArgumentError, "must be letters", "i.j->i", r(3, 4)),
        E(ArgumentError, "must be letters", "...i...->i", r(3, 4)),
        E(ArgumentError, "must be letters", "i1->i", r(3, 4)),
    ],
    "embedding": lambda r: [
        E(DtypeError, "index must be integers", r(3), r(4, 2)),
        E(RangeError, "[0, 4); got values from 4 to 4", np.array([4]), r(4, 2)),
        E(RangeError, "got values from -1 to 0", np.array([0, -1]), r(4, 2)),
        E(ShapeError, "weight must be (num, features)", r.integers(3, 3), r(4)),
    ],
    "channel_shuffle": lambda r: [
        E(ArgumentError, "groups dividing C; got input (2, 6, 3), groups 4",
          r(2, 6, 3), 4),
        E(ArgumentError, "groups 0", r(2, 6, 3), 0),
        E(ArgumentError, "groups 2.0", r(2, 6, 3), 2.0),
        E(ArgumentError, "groups True", r(2, 6, 3), True),
        E(ArgumentError, "got input (6,)", r(6), 2),
    ],
    "elu": lambda r: [
        E(DtypeError, "elu: input must be float32 or float64; got int64",
          r.integers(3, 4)),
    ],
    "expand": lambda r: [
        E(ShapeError, "must extend (3,)", r(3), 2, 4),
        E(ShapeError, "must extend (3, 1)", r(3, 1), 3),
        E(ShapeError, "must extend", r(3), -1, 3),
        E(ShapeError, "must extend", r(1), -2),
        E(ShapeError, "must extend", r(3), 2.5, 3),
    ],
    "flatten": lambda r: [
        E(ArgumentError, "dim must be", r(3), 1),
        E(ArgumentError, "start_dim must not come after", r(2, 3), 1, 0),
    ],
    "gather": lambda r: [
        E(ArgumentError, "dim must be", r(3, 4), 2, r.integers(3, 3, 4)),
        E(ShapeError, "integers of rank 2", r(3, 4), 1, r.integers(3, 3)),
        E(ShapeError, "got float64", r(3, 4), 1, r(3, 4)),
        E(ShapeError, "no larger than (3, 4)", r(3, 4), 1, r.integers(3, 4, 2)),
        E(RangeError, "[0, 4)", r(3, 4), 1, np.full((3, 1), 4)),
        E(RangeError, "from -1", r(3, 4), 1, np.full((3, 1), -1)),
    ],
    "gelu": lambda r: [E(ArgumentError, "'none' or 'tanh'; got 'tan'", r(3), "tan")],
    "grid_sample": lambda r: [
        E(ShapeError, "input must be 4-D", r(2, 4, 4), r(2, 3, 3, 2)),
        E(ShapeError, "grid must be (1, oh, ow, 2)", r(1, 2, 4, 4), r(2, 3, 3, 2)),
        E(ShapeError, "got (1, 3, 3, 3)", r(1, 2, 4, 4), r(1, 3, 3, 3)),
        E(ShapeError, "at least 1 pixel", r(1, 2, 0, 4), r(1, 3, 3, 2)),
        E(UnknownNameError, "did you mean bilinear?", r(1, 2, 4, 4), r(1, 3, 3, 2),
          "bilin"),
        E(UnknownNameError, "did you mean zeros?", r(1, 2, 4, 4), r(1, 3, 3, 2),
          padding_mode="zero"),
    ],
    "interpolate": lambda r: [
        E(ShapeError, "input must be 4-D", r(2, 4, 4), 2),
        E(ShapeError, "at least 1 pixel", r(1, 2, 4, 4), scale_factor=0.1),
        E(ShapeError, "at least 1 pixel", r(1, 2, 4, 0), 2),
        E(ArgumentError, "either size or scale_factor", r(1, 2, 4, 4)),
        E(ArgumentError, "either size or scale_factor", r(1, 2, 4, 4), 2, 2),
        E(ArgumentError, "size must be", r(1, 2, 4, 4), 0),
        E(ArgumentError, "size must be", r(1, 2, 4, 4), (1, 2, 3)),
        *[E(ArgumentError, "scale_factor must be", r(1, 2, 4, 4), scale_factor=s)
          for s in (-1, 0, np.nan, (1, 2, 3), (2,))],
        E(ArgumentError, "'bilinear' only", r(1, 2, 4, 4), 2, align_corners=True),
        E(UnknownNameError, "did you mean bilinear", r(1, 2, 4, 4), 2, mode="bilnear"),
    ],
    "layer_norm": lambda r: [
        E(ShapeError, "must end in (3,); got (3, 4)", r(3, 4), 3),
        E(ShapeError, "must end in ()", r(3, 4), ()),
        E(ShapeError, "must end in (2, 3, 4)", r(3, 4), (2, 3, 4)),
        E(ShapeError, "weight must be (4,); got (3,)", r(3, 4), 4, r(3)),
        E(ShapeError, "bias must be (4,)", r(3, 4), 4, None, r(1)),
    ],
    "matmul": lambda r: [
        E(ShapeError, "at least 1-D", r(), r(3)),
        E(ShapeError, "inner sizes must agree", r(3), r(4)),
        E(ShapeError, "inner sizes must agree", r(3, 4), r(3, 4)),
    ],
    "normalize": lambda r: [
        *[E(ArgumentError, "p must be", r(3, 4), p) for p in (0.5, np.inf, np.nan)],
        E(ArgumentError, "dim must be", r(3, 4), dim=2),
    ],
    "one_hot": lambda r: [
        E(DtypeError, "index must be integers", r(3)),
        E(RangeError, "[0, 2); got 1 to 2", np.array([1, 2]), 2),
        E(RangeError, "got -1", np.array([-1])),
        E(ArgumentError, "num_classes must be given", np.zeros(0, int)),
    ],
    "pad": lambda r: [
        *[E(ArgumentError, "pairs of integers >= 0", r(3), p)
          for p in ((1,), (1, 1, 1, 1), (-1, 0), (1.5, 1), 2)],
        E(UnknownNameError, "did you mean reflect?", r(3), (1, 1), "refl"),
        E(ArgumentError, "at most 2 for axis 0", r(3), (3, 0), "reflect"),
        E(ArgumentError, "at most 3", r(3), (0, 4), "circular"),
        E(ArgumentError, "at most 0", r(0), (1, 1), "replicate"),
    ],
    "relu6": lambda r: [
        E(DtypeError, "relu6: input must be float32 or float64", r.integers(3, 4)),
    ],
    "scatter_add": lambda r: [
        E(ShapeError, "src must have the shape", r(3), 0, r.integers(2, 3), r(2)),
        E(RangeError, "[0, 3)", r(3), 0, np.array([3]), r(1)),
        E(ArgumentError, "dim must be", r(3), 1, np.array([0]), r(1)),
    ],
    "split": lambda r: [
        E(ArgumentError, "size must be >= 1", r(5), 0),
        E(ArgumentError, "add up to 5; got [1, 2]", r(5), [1, 2]),
        E(ArgumentError, "add up to 5", r(5), [6, -1]),
        E(ArgumentError, "dim must be", r(5), 2, 1),
        E(ArgumentError, "must have an axis", r(), 1),
        E(ArgumentError, "sizes must be integers", r(5), 2.0),
    ],
    "squeeze": lambda r: [E(ArgumentError, "dim must be", r(3), 2)],
    "stack": lambda r: [
        E(ShapeError, "got none", []),
        E(ShapeError, "got (3,), (2,)", [r(3), r(2)]),
        E(ArgumentError, "dim must be", [r(3)], 3),
    ],
    "take_along_axis": lambda r: [
        E(ShapeError, "rank 2; got (3,)", r(3, 4), r.integers(2, 3), 1),
        E(ShapeError, "broadcast but along dim 1", r(3, 4), r.integers(2, 2, 4), 1),
        E(ArgumentError, "dim must be", r(3, 4), r.integers(2, 3, 4), 2),
    ],
    "transpose": lambda r: [E(ArgumentError, "dim must be", r(3), 0, 1)],
    "unsqueeze": lambda r: [E(ArgumentError, "dim must be", r(3), 3)],
    "var": lambda r: [
        E(ShapeError, "more than 1 elements; got (1,)", r(1)),
        E(ShapeError, "must not be empty", r(3, 0), 1),
        E(ArgumentError, "dim must be", r(3), 2),
    ],
    "mean": lambda r: [
        E(ShapeError, "must not be empty", r(0)),
        E(ArgumentError, "dim must be", r(3), 1),
    ],
}
for _name in ("max", "min"):
    REFUSED[_name] = lambda r: [
        E(ShapeError, "must not be empty", r(0)),
        E(ShapeError, "must not be empty", r(3, 0), 1),
        E(ArgumentError, "dim must be", r(3), 1),
        E(ArgumentError, "dim must be", r(2, 3), (0, 1)),
    ]
for _name in ("mse_loss", "l1_loss", "huber_loss", "binary_cross_entropy_with_logits"):
    REFUSED[_name] = lambda r: [
        E(ShapeError, "shape of input (3,); got (3, 1)", r(3), r(3, 1)),
        E(ShapeError, "got float", r(3), 3.0),
        E(ShapeError, "batch must not be empty", r(0), r(0)),
        E(ArgumentError, "'sum' or 'none'; got 'men'", r(3), r(3), reduction="men"),
    ]
_losses = REFUSED["huber_loss"]
REFUSED["huber_loss"] = lambda r: _losses(r) + [
    E(ArgumentError, "delta must be > 0", r(3), r(3), delta=d) for d in (0, -1, np.nan)
]
WRONG = [(name, i) for name, f in REFUSED.items() for i in range(len(f(Draw())))]


def test_every_composition_refuses_something():
    assert sorted(REFUSED) == sorted(SAMPLES)


@pytest.mark.parametrize("name, i", WRONG)
def test_refused(name, i):
    """The declared error, its message naming the function and what came."""
    case = REFUSED[name](Draw())[i]
    args, options = arrays(case)
    with pytest.raises(case.error) as caught:
        getattr(F, name)(*args, **options)
    said = str(caught.value)
    assert case.match in said
    expected = {"pad": "pad", "grid_sample": ("grid_sample", "padding_mode")}
    assert said.startswith(expected.get(name, name))


def test_running_statistics_move_towards_the_batch():
    """By momentum; the variance towards the unbiased one; not in eval."""
    x = np.array([[1.0], [3.0], [8.0]])
    mean, var = Tensor(np.array([10.0])), Tensor(np.array([2.0]))
    F.batch_norm(Tensor(x), mean, var, training=True, momentum=0.25)
    assert mean.data == pytest.approx([0.75 * 10 + 0.25 * 4])
    assert var.data == pytest.approx([0.75 * 2 + 0.25 * 13])
    F.batch_norm(Tensor(x), mean, var, training=False)
    assert mean.data == pytest.approx([8.5])


def test_dropout_keeps_the_expected_value_and_repeats_by_seed():
    x = Tensor(np.ones((100, 100), "float32"))
    minidl.manual_seed(3)
    y = F.dropout(x, 0.3)
    minidl.manual_seed(3)
    assert np.array_equal(F.dropout(x, 0.3).data, y.data)
    assert np.isclose(y.data, 1 / 0.7).sum() + (y.data == 0).sum() == 10_000
    assert y.data.mean() == pytest.approx(1, abs=0.03)  # 4.6 standard deviations


def test_a_0d_tensor_has_one_axis_for_reductions():
    """As in torch, dim 0 and -1 of a scalar leave it as it is."""
    x = Tensor(np.array(2.0), requires_grad=True)
    for f in (F.sum, F.mean, F.amax, F.logsumexp, F.softmax, F.log_softmax, F.cumsum):
        y = f(x, dim=-1)
        assert y.shape == ()
        expected = 0.0 if f in (F.softmax, F.log_softmax) else 1.0
        assert minidl.grad(y, x)[0].item() == expected


def test_unsigned_integers_sum_to_int64():
    x = Tensor(np.array([200, 100], "uint8"))
    assert F.sum(x).dtype == "int64" and F.sum(x).item() == 300
    assert F.cumsum(x, dim=0).dtype == "int64"


def test_infinite_maxima_share_the_gradient():
    x = Tensor(np.array([1.0, np.inf, np.inf]), requires_grad=True)
    assert minidl.grad(F.amax(x), x)[0].tolist() == [0, 0.5, 0.5]


def test_powers_of_a_negative_number_have_no_slope():
    x = Tensor(np.array([0.0, 2.0]), requires_grad=True)
    assert np.isnan(minidl.grad((-2.0) ** x, x, Tensor(np.ones(2)))[0].data).all()


FLOAT, SINGLE = Tensor(np.ones((2, 2))), Tensor(np.ones((2, 2), "float32"))
WHOLE, IMAGE = Tensor(np.ones((2, 2), "int64")), Tensor(np.ones((1, 1, 2, 2)))


@pytest.mark.parametrize(
    "name, args, error, words",
    [
        ("sum", (FLOAT, (0, -2)), ArgumentError, "must name each axis once"),
        ("mean", (WHOLE,), DtypeError, "must be float32 or float64; got int64"),
        ("mse_loss", (FLOAT, SINGLE), DtypeError, "floats of one dtype"),
        ("l1_loss", (FLOAT, WHOLE), DtypeError, "floats of one dtype"),
        ("cross_entropy", (FLOAT, SINGLE), DtypeError, "floats of one dtype"),
        ("layer_norm", (FLOAT, 2, Tensor(np.ones(2, "float32"))), DtypeError, "weight"),
        ("linear", (WHOLE, FLOAT), DtypeError, "one dtype; got int64, float64"),
        ("concatenate", ([FLOAT, WHOLE],), DtypeError, "one dtype"),
        ("conv2d", (IMAGE, Tensor(np.ones((0, 1, 1, 1)))), ShapeError, "at least 1"),
        ("conv2d", (IMAGE, IMAGE, None, 1, ()), ArgumentError, "padding must be"),
    ],
)
def test_refusals_name_the_function_that_was_called(name, args, error, words):
    with pytest.raises(error) as caught:
        getattr(F, name)(*args)
    said = str(caught.value)
    assert said.startswith(f"{name}: ") and words in said and "cannot take" not in said


def test_batch_norm_refuses_types_and_momentum():
    x, one = Tensor(np.ones((2, 1))), np.ones(1)
    with pytest.raises(DtypeError, match="batch_norm: input and weight"):
        F.batch_norm(x, None, None, Tensor(one.astype("float32")), training=True)
    with pytest.raises(ArgumentError, match="momentum must be a number"):
        F.batch_norm(x, Tensor(one), Tensor(one), training=True, momentum=None)
