"""mixup: the mixture, its loss, and what is drawn."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import nn
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import mixup
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def batch(count=6):
    x = Tensor(Draw(0)(count, 1, 3, 4), True)
    return x, Tensor(Draw(1).integers(5, count))


def test_images_and_labels_by_hand():
    x, y = batch()
    order = [3, 0, 1, 2, 5, 4]  # no involution
    mixed = mixup.mix(x, y, 0.3, order)
    assert_close(mixed.x.data, 0.3 * x.data + 0.7 * x.data[order], "float64", "x")
    assert mixed.first.tolist() == y.tolist()
    assert mixed.second.tolist() == y.data[order].tolist()


def test_the_loss_is_that_of_mixed_one_hot_labels():
    x, y = batch()
    mixed = mixup.mixup(x, y, 0.7)
    logits = Tensor(Draw(2)(6, 5), True)
    one_hot = np.eye(5)
    labels = mixed.lam * one_hot[mixed.first.data]
    labels = labels + (1 - mixed.lam) * one_hot[mixed.second.data]
    expected = -F.mean(F.sum(F.log_softmax(logits, 1) * Tensor(labels), 1))
    assert_close(mixed.loss(logits).data, expected.data, "float64", "loss")
    (ours,) = minidl.grad(mixed.loss(logits), logits)
    (theirs,) = minidl.grad(expected, logits)
    assert_close(ours.data, theirs.data, "float64", "gradient")


def test_lam_one_is_plain_training():
    x, y = batch()
    mixed = mixup.mix(x, y, 1.0, [5, 4, 3, 2, 1, 0])
    logits = Tensor(Draw(2)(6, 5))
    assert np.array_equal(mixed.x.data, x.data)
    assert mixed.loss(logits).item() == F.cross_entropy(logits, y).item()


def test_gradients_reach_both_images():
    x, y = batch()
    F.sum(mixup.mix(x, y, 0.25, [1, 2, 3, 4, 5, 0]).x).backward()
    assert_close(x.grad.data, np.ones(x.shape), "float64", "0.25 and 0.75 of two")


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lam_is_beta_distributed(alpha):
    """Mean and variance within 5.5 standard errors: chance fails 1 in 10 million."""
    x, y = batch(2)
    lams = np.array([mixup.mixup(x, y, alpha).lam for _ in range(4000)])
    assert ((lams >= 0) & (lams <= 1)).all()
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(lams.mean() - 0.5) < 5.5 * np.sqrt(variance / 4000)
    squares = (lams - 0.5) ** 2
    assert abs(squares.mean() - variance) < 5.5 * squares.std() / np.sqrt(4000)


def test_a_small_alpha_mixes_nothing():
    x, y = batch()
    lams = [mixup.mixup(x, y, 1e-4).lam for _ in range(200)]
    assert all(min(lam, 1 - lam) < 1e-6 for lam in lams)
    assert 0 < np.mean(lams) < 1


def test_permutations_differ():
    x, y = batch(20)
    seen = {tuple(mixup.mixup(x, y).x.data[:, 0, 0, 0]) for _ in range(5)}
    assert len(seen) == 5


@pytest.mark.parametrize("alpha", [0, -1.0, float("nan"), "1"])
def test_alpha_must_be_positive(alpha):
    x, y = batch()
    with pytest.raises(ArgumentError, match="mixup: alpha must be a finite number > 0"):
        mixup.mixup(x, y, alpha)


def test_labels_must_fit():
    x, y = batch()
    with pytest.raises(ShapeError, match=r"must be \(6,\) .*; got \(5,\) and \(6,\)"):
        mixup.mix(x, y[:5], 0.5, range(6))
    with pytest.raises(ShapeError, match=r"got \(6,\) and \(2,\)"):
        mixup.mix(x, y, 0.5, [0, 1])


def test_a_model_that_is_trained_by_mixup():
    minidl.manual_seed(0)
    x, y = batch()
    inner = nn.Sequential(nn.Flatten(), nn.Linear(x.data[0].size, 5)).to("float64")
    model = mixup.Mixed(inner, 0.7)
    assert np.array_equal(model(x).data, inner(x).data)
    state = minidl.random.get_state()
    logits, loss = model.objective(x, y)
    minidl.random.set_state(state)
    mixture = mixup.mixup(x, y, 0.7)
    assert_close(logits.data, inner(mixture.x).data, "float64", "logits")
    assert_close(loss.data, mixture.loss(logits).data, "float64", "loss")
    with pytest.raises(ArgumentError, match="Mixed: alpha must be a finite number > 0"):
        mixup.Mixed(inner, 0)
