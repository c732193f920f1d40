"""BlockDrop: reward, bounded draws, the self-critical loss, and its three stages."""

import itertools

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models
from minidl.autograd import no_grad
from minidl.errors import ArgumentError, ShapeError
from minidl.papers import block_drop as bd
from minidl.papers.resnet import ResNet
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

LABELS = Tensor(np.array([0, 1, 2, 0, 1, 2]))


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def small(**options):
    net = ResNet((1, 2), (4, 6), 2, 3)
    return bd.BlockDrop(net, bd.Policy(3, 2, (3, 4)), **options).to("float64")


def deciding(model, *logits):
    """A policy that says the same for every image."""
    linear = model.policy.net.head[1]
    linear.weight.data[...] = 0
    linear.bias.data[...] = logits
    return model


def test_the_reward_by_hand():
    keep = Tensor(np.array([[1, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0.0]]))
    right = Tensor(np.array([True, True, True, False]))
    found = bd.reward(keep, right, gamma=5.0)
    assert found.data.tolist() == [0.0, 1.0, 0.75, -5.0]
    assert not found.requires_grad
    floats = Tensor(np.array([1.0, 1.0, 1.0, 0.0]))
    assert np.array_equal(bd.reward(keep, floats, gamma=5.0).data, found.data)


def test_all_right_with_all_blocks_pays_nothing_and_with_none_one():
    for size in (1, 6, 54):
        ones = Tensor(np.ones((2, size)))
        yes = Tensor(np.ones(2, bool))
        assert bd.reward(ones, yes).data.tolist() == [0, 0]
        assert bd.reward(ones * 0, yes).data.tolist() == [1, 1]


def test_bounded_probabilities():
    p = Tensor(np.array([0.0, 0.5, 1.0, 0.25]), True)
    s = bd.bounded(p, 0.8)
    assert_close(s.data, np.array([0.2, 0.5, 0.8, 0.35]), "float64", "bounded")
    s.sum().backward()
    assert_close(p.grad.data, np.full(4, 0.6), "float64", "slope")


def test_the_size_of_the_papers_policy():
    """78,215 with the value head, 64 weights and a bias, that their code never uses."""
    policy = bd.Policy(54)
    assert sum(p.data.size for p in policy.parameters()) + 64 + 1 == 78_215


def test_derivatives_of_the_policy():
    check_layer(bd.Policy(4, 2, (2, 3)), images(3, 2, 4, 3))


def test_without_leave_to_drop_it_is_the_residual_net():
    model, x = deciding(small(), -9, -9, -9).eval(), images(4, 2, 6, 5)
    logits, keep = model.trace(x)
    assert (keep.data == 1).all()
    assert_close(logits.data, model.net(x).data, "float64", "all blocks")


@pytest.mark.parametrize("blocks", range(4))
def test_only_the_last_blocks_may_be_dropped(blocks):
    model, x = deciding(small(), -9, -9, -9).eval(), images(4, 2, 6, 5)
    model.allow(blocks)
    keep = model.trace(x)[1].data
    assert (keep[:, : 3 - blocks] == 1).all() and not keep[:, 3 - blocks :].any()


def test_a_block_is_kept_from_one_half_on():
    model = deciding(small(), -0.1, 0.0, 0.1).eval()
    model.allow(3)
    assert model.trace(images(2, 2, 6, 5))[1].data.tolist() == [[0, 1, 1]] * 2


def test_what_is_read_back_drops_the_same_blocks():
    model = deciding(small(), 9, -9, -9)
    model.allow(1)
    other = small()
    other.load_state_dict(model.state_dict())
    x = images(4, 2, 6, 5)
    for a, b in zip(model.eval().trace(x), other.eval().trace(x)):
        assert np.array_equal(a.data, b.data)


def stages(model, epochs):
    rows = []
    for epoch in range(epochs):
        model.start_epoch(epoch, epochs)
        rows.append((model.stage, model.droppable))
    return rows


def test_stages():
    first, second, third = bd.STAGES
    assert stages(small(), 10) == (
        [(first, 0)] * 4
        + [(second, 1), (second, 2), (second, 3), (second, 3)]
        + [(third, 3)] * 2
    )
    assert stages(small(), 1) == [(first, 0)]
    assert stages(small(), 2) == [(first, 0), (second, 3)]
    assert stages(small(), 3) == [(first, 0), (second, 3), (third, 3)]


def test_pretraining_is_that_of_the_net():
    model, x = small(), images(6, 2, 6, 5)
    _, loss = model.objective(x, LABELS)
    expected = F.cross_entropy(model.net(x), LABELS)
    assert_close(loss.data, expected.data, "float64", "loss")
    loss.backward()
    assert all(p.grad is None for p in model.policy.parameters())


def policy_loss(model, p, drawn, x, gamma, some):
    """The declared loss, written out again: the net's passes are as in eval mode."""
    s = model.alpha * p + (1 - model.alpha) * (1 - p)
    best = (s.data >= 0.5).astype(float)
    best[:, : 3 - some] = 1
    pays = []
    with no_grad():
        for keep in (drawn, best):
            right = model.net(x, Tensor(keep)).data.argmax(1) == LABELS.data
            pays.append(np.where(right, 1 - keep.mean(1) ** 2, -gamma))
    s, u = s[:, 3 - some :], Tensor(drawn[:, 3 - some :])
    log_p = F.sum(F.log(u * s + (1 - u) * (1 - s)), 1)
    entropy = F.sum(-s * F.log(s) - (1 - s) * F.log(1 - s), 1)
    gain = Tensor(pays[0] - pays[1])
    return -F.mean(gain * log_p) - model.beta * F.mean(entropy)


def test_the_curriculum_trains_the_policy_alone_by_the_declared_loss():
    model, x = small(gammas=(2.0, 3.0)), images(6, 2, 6, 5)
    model.start_epoch(4, 10)
    model.start_epoch(5, 10)
    assert model.droppable == 2
    for norm in model.policy.modules():
        norm.training = False  # the same statistics twice
    before = {k: v.data.copy() for k, v in model.net.state_dict().items()}
    kept = {}
    inner = model.net.forward
    model.net.forward = lambda x, keep: kept.update({len(kept): keep}) or inner(x, keep)
    minidl.manual_seed(3)
    _, loss = model.objective(x, LABELS)
    loss.backward()
    del model.net.forward
    assert all(p.grad is None for p in model.net.parameters())
    after = model.net.state_dict()
    assert all(np.array_equal(before[k], after[k].data) for k in before)
    found = [p.grad.data.copy() for p in model.policy.parameters()]
    model.policy.zero_grad()
    drawn = kept[1].data
    assert (drawn[:, 0] == 1).all() and not (drawn[:, 1:] == 1).all()
    declared = policy_loss(model, model.policy(x), drawn, x, 2.0, 2)
    assert_close(loss.data, declared.data, "float64", "loss")
    declared.backward()
    for a, p in zip(found, model.policy.parameters()):
        assert_close(a, p.grad.data, "float64", "gradient")


def test_finetuning_adds_the_cross_entropy_of_the_blocks_drawn():
    model, x = small(gammas=(2.0, 3.0), beta=0.3), images(6, 2, 6, 5)
    model.start_epoch(9, 10)
    model.net.eval()
    kept = {}
    inner = model.net.forward
    model.net.forward = lambda x, keep: kept.update({len(kept): keep}) or inner(x, keep)
    model.policy.eval()
    logits, loss = model.objective(x, LABELS)
    del model.net.forward
    drawn = kept[1].data
    right = logits.data.argmax(1) == LABELS.data  # of norms in training mode
    pays = np.where(right, 1 - drawn.mean(1) ** 2, -3.0)
    best = kept[0].data
    model.net.eval()
    s = bd.bounded(model.policy(x), 0.8)
    u = Tensor(drawn)
    log_p = F.sum(F.log(u * s + (1 - u) * (1 - s)), 1)
    entropy = F.sum(-s * F.log(s) - (1 - s) * F.log(1 - s), 1).data.mean()
    rest = loss.data - F.cross_entropy(logits, LABELS).data + 0.3 * entropy
    # What is left is -mean((R - b) log p): b is one of its two values for each image.
    gains = [1 - best.mean(1) ** 2, np.full(6, -3.0)]
    values = [
        -np.mean((pays - np.choose(which, gains)) * log_p.data)
        for which in itertools.product((0, 1), repeat=6)
    ]
    assert np.abs(np.array(values) - rest).min() < 1e-12
    loss.backward()
    assert any(p.grad is not None and p.grad.data.any() for p in model.net.parameters())
    assert all(p.grad is not None for p in model.policy.parameters())


def test_status():
    model = small()
    assert model.status() == "pretraining"
    model.start_epoch(5, 10)
    assert model.status() == "curriculum"
    deciding(model, 60, 60, 60)
    model.alpha = 1.0
    model.objective(images(6, 2, 6, 5), LABELS)
    said = "curriculum, the last 2 may be dropped, 3.0 of 3 blocks run"
    assert model.status() == said
    model.start_epoch(9, 10)
    assert model.status() == "finetuning, 3.0 of 3 blocks run"


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: small(gammas=(-1, 2)), ArgumentError, "gamma must be a number"),
        (lambda: small(alpha=1.1), ArgumentError, "alpha must be a number"),
        (lambda: small(beta=-0.1), ArgumentError, "beta must be a number"),
        (lambda: small().allow(4), ArgumentError, "at most 3; got 4"),
        (lambda: small().allow(-1), ArgumentError, "blocks must be an integer"),
        (
            lambda: bd.BlockDrop(ResNet((1,), (4,)), bd.Policy(2)),
            ArgumentError,
            "decide on the net's 1 blocks; got 2",
        ),
        (lambda: bd.Policy(0), ArgumentError, "blocks must be an integer"),
        (
            lambda: bd.reward(Tensor(np.ones((2, 3))), Tensor(np.ones(3))),
            ShapeError,
            r"got \(2, 3\) and \(3,\)",
        ),
        (lambda: bd.bounded(Tensor(np.ones(2)), 2), ArgumentError, "alpha must be"),
        (lambda: models.create("blockdrop", (1, 2, 9)), ShapeError, "at least 4x4"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
