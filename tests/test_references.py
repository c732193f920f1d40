"""Every primitive against a second, plain formulation of what it computes."""

import numpy as np
import pytest
from references import REFERENCES

from minidl.tensor import Tensor
from minidl.testing import all_ops, as_tensors, assert_close, samples_of

OPS = {
    name: op
    for name, op in all_ops().items()
    if op.forward.__module__.startswith("minidl.")
}
CASES = [
    (name, seed, i)
    for name, op in OPS.items()
    for seed in (0, 1)
    for i in range(len(samples_of(op, seed)))
]


def test_every_primitive_has_a_reference_and_no_reference_is_stale():
    assert sorted(REFERENCES) == sorted(OPS)


def widened(x):
    """An argument as the reference takes it: floats in float64, values unchanged."""
    x = x.data if isinstance(x, Tensor) else x
    return x.astype(np.float64) if getattr(x, "dtype", None) == np.float32 else x


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, seed, i", CASES)
def test_forward_equals_its_reference(name, seed, i, dtype):
    op, sample = OPS[name], samples_of(OPS[name], seed)[i]
    inputs = as_tensors(sample, dtype)
    expected = np.asarray(REFERENCES[name](*map(widened, inputs), **sample.options))
    got = op(*inputs, **sample.options).data
    assert_close(got, expected, dtype, f"{name} of {sample}")
    if expected.dtype.kind == "f":
        assert got.dtype == (expected.dtype if op.casts else dtype)
    else:
        assert got.dtype == expected.dtype


def test_references_can_differ():
    """The comparison above sees one wrong element, a wrong shape and a wrong dtype."""
    x = np.arange(6.0).reshape(2, 3)
    wrong = x.copy()
    wrong[1, 2] += 1e-9
    with pytest.raises(AssertionError, match="1 of 6 elements differ"):
        assert_close(wrong, x, "float64", "x")
    with pytest.raises(AssertionError, match="shape must be"):
        assert_close(x.T, x, "float64", "x")
