"""Generated from the registry: op x sample x check."""

import numpy as np
import pytest

from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import all_ops, check_op, samples_of

OPS = all_ops()
CASES = [(name, i) for name, op in OPS.items() for i in range(len(samples_of(op)))]
REFUSED = [(name, i) for name, op in OPS.items() for i in range(len(op.errors(Draw())))]


@pytest.mark.parametrize("name, i", CASES)
def test_op(name, i):
    check_op(OPS[name], samples_of(OPS[name])[i])


@pytest.mark.parametrize("name, i", REFUSED)
def test_refused(name, i):
    case = OPS[name].errors(Draw())[i]
    inputs = [Tensor(a) if isinstance(a, np.ndarray) else a for a in case.args]
    with pytest.raises(case.error) as caught:
        OPS[name](*inputs, **case.options)
    assert case.match in str(caught.value)
