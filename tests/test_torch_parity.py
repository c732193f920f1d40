"""Values, dtypes and gradients against torch, for every primitive and composition.

The upstream gradient is random; every float input that requires a gradient is compared.
"""

from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")

from functional_samples import KINKS, SAMPLES, call, tensors  # noqa: E402
from torch_table import (  # noqa: E402
    FUNCTIONS,
    NO_COUNTERPART,
    NO_FUNCTION,
    OPS,
    make,
)

import minidl.functional as F  # noqa: E402
from minidl.autograd import Primitive, grad  # noqa: E402
from minidl.samples import Draw, S  # noqa: E402
from minidl.tensor import Tensor  # noqa: E402
from minidl.testing import all_ops, assert_close, samples_of  # noqa: E402

REGISTRY = {
    name: op
    for name, op in all_ops().items()
    if op.forward.__module__.startswith("minidl.")
}
PUBLIC = {name: getattr(F, name) for name in F.__all__ if callable(getattr(F, name))}
COMPOSED = {name: f for name, f in PUBLIC.items() if not isinstance(f, Primitive)}
ALIASES = {"cat": "concatenate"}


def kinks(name, r):
    return KINKS[name](r) if name in KINKS else []


OP_CASES = [(name, i) for name in OPS for i in range(len(samples_of(REGISTRY[name])))]
FUNCTION_CASES = [
    (name, i)
    for name in FUNCTIONS
    for i in range(len(SAMPLES[name](Draw())) + len(kinks(name, Draw())))
]


def test_every_primitive_has_a_row_or_a_reason():
    assert not OPS.keys() & NO_COUNTERPART.keys()
    assert sorted([*OPS, *NO_COUNTERPART]) == sorted(REGISTRY)


def test_every_public_function_has_a_row_or_a_reason():
    assert not FUNCTIONS.keys() & NO_FUNCTION.keys()
    expected = set(COMPOSED) - ALIASES.keys()
    assert sorted([*FUNCTIONS, *NO_FUNCTION]) == sorted(expected)
    assert sorted(SAMPLES) == sorted(expected)
    for alias, name in ALIASES.items():
        assert getattr(F, alias) is getattr(F, name)


def upstream(outs):
    """A random gradient for each output that requires one, None for the others."""
    rng = np.random.default_rng(7)
    return [
        rng.standard_normal(y.shape).astype(y.dtype) if y.requires_grad else None
        for y in outs
    ]


def compare(ours, theirs, dtype):
    """Outputs and inputs of both, as `call` returns them: values, dtypes, gradients."""
    (ys, xs), (ts, us) = ours, theirs
    assert len(ys) == len(ts)
    for y, t in zip(ys, ts):
        assert str(y.dtype) == str(t.dtype).removeprefix("torch.")
        assert y.requires_grad == t.requires_grad
        assert_close(y.data, t.detach().numpy(), dtype, "value")
    for x, u in zip(xs, us):
        assert_close(x.data, u.detach().numpy(), dtype, "input after the call")
    seeds = upstream(ys)
    used = [k for k, v in enumerate(seeds) if v is not None]
    tracked = [k for k, x in enumerate(xs) if x.requires_grad]
    if not used:
        return
    found = grad([ys[k] for k in used], [xs[k] for k in tracked],
                 [Tensor(seeds[k]) for k in used], allow_unused=True)
    expected = torch.autograd.grad(
        [ts[k] for k in used], [us[k] for k in tracked],
        [torch.from_numpy(seeds[k]) for k in used], allow_unused=True,
    )
    for k, g, t in zip(tracked, found, expected):
        zeros = np.zeros(xs[k].shape, dtype)
        g, t = zeros if g is None else g.data, zeros if t is None else t.numpy()
        assert g.dtype == dtype
        assert_close(g, t, dtype, f"gradient of input {k}")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, i", OP_CASES)
def test_primitive(name, i, dtype):
    sample = samples_of(REGISTRY[name], seed=3)[i]
    arrays, options = S(*sample.args), sample.options  # options are no tensors
    ours = call(partial(REGISTRY[name], **options), arrays, dtype, tensors)
    theirs = call(partial(OPS[name], **options), arrays, dtype, make)
    compare(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, i", FUNCTION_CASES)
def test_composition(name, i, dtype):
    r = Draw(5)
    sample = [*SAMPLES[name](r), *kinks(name, r)][i]
    ours = call(COMPOSED[name], sample, dtype, tensors)
    theirs = call(FUNCTIONS[name], sample, dtype, make)
    compare(ours, theirs, dtype)


ELEMENTWISE = {
    "abs": {}, "exp": {}, "floor": {}, "log": {}, "neg": {}, "relu": {}, "sigmoid": {},
    "sqrt": {}, "tanh": {}, "erf": {}, "softplus": {}, "leaky_relu": {},
    "clip": dict(min=-1.0, max=1.0),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_special_values(name, dtype):
    """Value and slope at zeros, bounds, infinities, large numbers; nan stays nan."""
    x = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, 90, -90, 2e4, -2e4, 1e-30])
    with np.errstate(all="ignore"):
        ours = call(REGISTRY[name], S(x, **ELEMENTWISE[name]), dtype, tensors)
        theirs = call(OPS[name], S(x, **ELEMENTWISE[name]), dtype, make)
        compare(ours, theirs, dtype)
        nan = REGISTRY[name](Tensor(np.full(1, np.nan, dtype)), **ELEMENTWISE[name])
    assert np.isnan(nan.data).all()


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_special_values_of_pairs(name):
    values = np.array([0.0, 1, -1, np.inf, -np.inf])
    x, y = (a.ravel() for a in np.meshgrid(values, values))
    compare(call(REGISTRY[name], S(x, y), "float64", tensors),
            call(OPS[name], S(x, y), "float64", make), "float64")


def test_special_exponents():
    """x ** y where x is 0, y is 0 or both."""
    x, y = (a.ravel() for a in np.meshgrid([0.0, 1, 2], [0.0, 1, 2, 3]))
    with np.errstate(all="ignore"):
        compare(call(REGISTRY["power"], S(x, y), "float64", tensors),
                call(OPS["power"], S(x, y), "float64", make), "float64")
    for exponent in (0, 1, 2, 3.0):
        compare(call(REGISTRY["power"], S(x, exponent), "float64", tensors),
                call(OPS["power"], S(x, exponent), "float64", make), "float64")
