"""Whole models of the papers beside their twins in torch: outputs and gradients."""

import numpy as np
import pytest

import minidl
from minidl import models
from minidl.papers.routing_network import Router
from minidl.papers.shake_shake import ShakeShake
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close

torch = pytest.importorskip("torch", reason="parity needs torch: minidl[parity]")
from minidl.bench import twin  # noqa: E402

NAMES = sorted(models.MODELS)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("name", NAMES)
def test_a_model_equals_its_twin(name, training):
    minidl.manual_seed(4)
    r = Draw(3)
    ours = models.create(name, (2, 16, 17), 5).to("float64").train(training)
    for buffer in (b for _, b in ours.named_buffers() if b.dtype.kind == "f"):
        buffer.data[...] += 0.1  # away from zeros and ones
    for layer in ours.modules():
        if isinstance(layer, ShakeShake):
            layer.mode = ("even", "even")  # what is drawn is each library's own
        if isinstance(layer, Router):  # certain, so that nothing is
            layer.table.data[...] = np.eye(5)[np.arange(15).reshape(5, 3) % 4]
    theirs = twin.twin(ours).double().train(training)
    twin.copy_state(ours, theirs)
    x, g = r(3, 2, 16, 17), r(3, 5)
    tx = torch.tensor(x, requires_grad=True)
    ty = theirs(tx)
    ty.backward(torch.tensor(g))
    a = Tensor(x, requires_grad=True)
    y = ours(a)
    y.backward(Tensor(g))
    assert_close(y.data, ty.detach().numpy(), "float64", "output")
    assert_close(a.grad.data, tx.grad.numpy(), "float64", "gradient of x")
    named = dict(theirs.named_parameters())
    for path, p in ours.named_parameters():
        expected = named[path].grad
        if p.grad is None:  # a part that this batch did not need
            assert expected is None or not expected.any(), path
            continue
        assert_close(p.grad.data, expected.numpy(), "float64", f"gradient of {path}")
    state = theirs.state_dict()
    for path, buffer in ours.named_buffers():
        assert_close(buffer.data, state[path].numpy(), "float64", path)


def test_shift_can_be_written_in_two_ways():
    ours = models.create("shiftnet", (1, 8, 8))
    x = torch.tensor(np.random.default_rng(0).normal(size=(2, 1, 8, 8)).astype("f"))
    outputs = []
    for way in ("depthwise", "slices"):
        other = twin.twin(ours, way).eval()
        twin.copy_state(ours, other)
        outputs.append(other(x).detach().numpy())
    assert_close(outputs[0], outputs[1], "float32", "slices")


def test_a_layer_without_a_counterpart_is_named():
    class Odd(minidl.nn.Module):
        pass

    with pytest.raises(minidl.MinidlError, match="got Odd"):
        twin.twin(minidl.nn.Sequential(Odd()))
