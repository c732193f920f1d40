"""SkipNet: gates, their declared gradient, and the return."""

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl import models, nn
from minidl.autograd import no_grad
from minidl.errors import ArgumentError, ShapeError, UnknownNameError
from minidl.nn import policy
from minidl.papers import skip_net as sn
from minidl.papers.resnet import ResNet
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, check_layer

KINDS = ["recurrent", "feed-forward"]


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def images(*shape, seed=0):
    return Tensor(Draw(seed)(*shape))


def small(gate="recurrent", alpha=0.1, blocks=(2, 2)):
    net = ResNet(blocks, (4, 6)[: len(blocks)], 2, 3)
    return sn.SkipNet(net, gate, alpha).to("float64")


def opened(net, *biases):
    """Every gate's last bias: large ones open it for any image, small ones shut it."""
    gates = list(net.gates)
    for gate, bias in zip(gates, biases):
        gate.score.weight.data[...] = 0
        gate.score.bias.data[...] = bias
    return net


def test_straight_through():
    p = Tensor(np.array([0.1, 0.5, 0.500001, 0.9]), True)
    g = sn.straight_through(p)
    assert g.data.tolist() == [0, 0, 1, 1]
    g.backward(Tensor(np.array([1.0, -2.0, 3.0, 4.0])))
    assert p.grad.data.tolist() == [1, -2, 3, 4]


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_soft_gates_at_the_hard_values(kind):
    """One block's gate: d loss / d p = <dy, block(x) - shortcut(x)>, p' = p (1 - p)."""
    net, x, g = small(kind, blocks=(2,)), images(4, 2, 5, 5), Draw(8)(4, 3)
    net.net.blocks[0].eval(), net.net.blocks[1].eval()
    net.net.blocks[1].training = True
    logits, p, gates = net.trace(x)
    assert np.array_equal(gates.data, p.data > 0.5)
    logits.backward(Tensor(g))
    gate = net.gates[0]
    with no_grad():
        h = net.net.blocks[0](net.net.stem(x))
        block = net.net.blocks[1]
        gain = (block(h) - block.shortcut(h)).data.mean((2, 3))  # the head is linear
    upstream = (g @ net.net.head[1].weight.data * gain).sum(1)
    expected = (upstream * (p.data * (1 - p.data))[:, 0]).sum()
    assert_close(gate.score.bias.grad.data, np.array([expected]), "float64", "bias")


@pytest.mark.parametrize("kind", KINDS)
def test_all_gates_open_is_the_residual_net(kind):
    net, x = opened(small(kind), 50.0, 50.0, 50.0), images(3, 2, 6, 5)
    for training in (True, False):
        net.train(training)
        state = {k: b.data.copy() for k, b in net.named_buffers()}
        y = net(x).data
        for k, b in net.named_buffers():
            b.data[...] = state[k]
        assert_close(y, net.net(x).data, "float64", f"training {training}")


@pytest.mark.parametrize("kind", KINDS)
def test_all_gates_shut_leaves_the_first_block(kind):
    net, x = opened(small(kind), -50.0, -50.0, -50.0), images(3, 2, 6, 5)
    net.eval()
    h = net.net.blocks[0](net.net.stem(x))
    for block in list(net.net.blocks)[1:]:
        h = block.shortcut(h)
    logits, p, gates = net.trace(x)
    assert_close(logits.data, net.net.head(h).data, "float64", "shortcuts")
    assert not gates.data.any() and (p.data < 1e-20).all() and p.shape == (3, 3)


def test_a_gate_sees_what_the_gates_before_it_decided():
    net, x = small("feed-forward").eval(), images(3, 2, 6, 5)
    gate, block = net.gates[1], net.net.blocks[1]
    for bias, skipped in ((50.0, False), (-50.0, True)):
        opened(net, bias)
        h = net.net.blocks[0](net.net.stem(x))
        h = block.shortcut(h) if skipped else block(h)
        assert_close(net.trace(x)[1].data[:, 1], gate(h)[0].data, "float64", "p")


def test_the_recurrent_gates_share_a_memory_and_keep_a_state():
    net, x = small().eval(), images(3, 2, 6, 5)
    gates = list(net.gates)
    assert all(g.memory is gates[0].memory and g.score is gates[0].score for g in gates)
    h, state, expected = net.net.blocks[0](net.net.stem(x)), None, []
    for gate, block in zip(gates, list(net.net.blocks)[1:]):
        state = gate.memory(gate.embed(Tensor(h.data.mean((2, 3)))), state)
        p = 1 / (1 + np.exp(-gate.score(state[0]).data[:, 0]))
        expected.append(p)
        h = nn.dispatch([block.shortcut, block], h, Tensor((p > 0.5).astype(float)))
    assert_close(net.trace(x)[1].data, np.stack(expected, 1), "float64", "p")


@pytest.mark.parametrize("kind", KINDS)
def test_derivatives_of_a_gate(kind):
    gate = small(kind).gates[0]

    class Alone(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = gate

        def forward(self, x):
            p, state = self.gate(x)
            return p if state is None else self.gate(x * 0.5, state)[0]

    check_layer(Alone(), images(2, 4, 3, 4))


def test_returns_term_by_term():
    r = np.random.default_rng(0)
    loss, gates = r.random(5), (r.random((5, 4)) < 0.5).astype(float)
    found = sn.returns(Tensor(loss, True), Tensor(gates), 0.3)
    assert not found.requires_grad
    for n in range(5):
        for i in range(4):
            saved = sum(0.3 / 4 * (1 - gates[n, j]) for j in range(i, 4))
            assert found.data[n, i] == pytest.approx(saved - loss[n], abs=1e-12)


def test_the_hybrid_loss_is_what_is_declared():
    """Its gradient is that of the cross-entropy and of sum of (R - b) log p."""
    net, x = small(alpha=0.7), images(6, 2, 6, 5)
    y = Tensor(np.array([0, 1, 2, 0, 1, 2]))
    net.start_epoch(1, 2)
    minidl.manual_seed(5)
    logits, loss = net.objective(x, y)
    loss.backward()
    found = {k: p.grad.data.copy() for k, p in net.named_parameters()}
    net.zero_grad()
    minidl.manual_seed(5)
    again, p, g = net.trace(x)
    assert_close(again.data, logits.data, "float64", "the same draws")
    assert set(np.unique(g.data)) == {0.0, 1.0} and not g.requires_grad
    each = F.cross_entropy(again, y, reduction="none")
    reward = sn.returns(each, g, 0.7).data
    baseline = (reward.sum(0) - reward) / 5
    log_p = F.log(g * p + (1 - g) * (1 - p))
    declared = F.mean(each) - F.mean(F.sum(log_p * Tensor(reward - baseline), 1))
    declared.backward()
    for k, q in net.named_parameters():
        assert_close(found[k], q.grad.data, "float64", k)


def test_the_hybrid_gradient_of_a_gate_by_enumeration():
    """The mean over all draws, each as likely as it is, is d E[R] / d p."""
    p = Tensor(np.array([[0.3, 0.8]]), True)
    losses = {(0, 0): 0.9, (0, 1): 0.4, (1, 0): 0.7, (1, 1): 0.1}
    total, alpha = np.zeros((1, 2)), 0.5
    for g, value in losses.items():
        gates = Tensor(np.array([g], float))
        reward = sn.returns(Tensor(np.array([value])), gates, alpha)
        log_prob = policy.bernoulli_log_prob(p.reshape(-1, 1), gates.reshape(-1, 1))
        p.grad = None
        (policy.reinforce(log_prob, reward.reshape(-1)) * 2).backward()
        likely = np.prod(np.where(g, p.data[0], 1 - p.data[0]))
        total += likely * p.grad.data

    def mean_return(q):
        value = 0.0
        for g, loss in losses.items():
            saved = alpha / 2 * (2 - sum(g))
            value += np.prod(np.where(g, q, 1 - q)) * (saved - loss)
        return value

    for i in range(2):
        step = np.eye(2)[i] * 1e-6
        slope = mean_return(p.data[0] + step) - mean_return(p.data[0] - step)
        assert -total[0, i] == pytest.approx(slope / 2e-6, rel=1e-6)


def test_stages_and_status():
    net = small()
    stages = []
    for epoch in range(5):
        net.start_epoch(epoch, 5)
        stages.append(net.stage)
    assert stages == ["supervised"] * 3 + ["hybrid"] * 2
    assert net.status() == "hybrid"
    opened(net, 50.0, 50.0, -50.0)  # shared: the last bias counts for all
    net.objective(images(4, 2, 6, 5), Tensor(np.array([0, 1, 2, 0])))
    assert net.status() == "hybrid, 25 % of blocks run"


def test_skipping_takes_less_time_off_the_same_work():
    """The images that a body sees are those whose gate is open."""
    net, x = small().eval(), images(6, 2, 6, 5)
    with no_grad():
        wanted = net.trace(x)[2].data.sum()
    seen = []
    for block in list(net.net.blocks)[1:]:
        inner = block.body.forward
        block.body.forward = lambda h, f=inner: seen.append(len(h.data)) or f(h)
    with no_grad():
        net(x)
    assert sum(seen) == wanted


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: small("gru"), UnknownNameError, "gate"),
        (lambda: small(alpha=-1), ArgumentError, "alpha must be a number"),
        (lambda: small(blocks=(1,)), ArgumentError, "2 blocks at least"),
        (
            lambda: sn.returns(Tensor(np.ones(2)), Tensor(np.ones((3, 2))), 0.1),
            ShapeError,
            r"got \(2,\) and \(3, 2\)",
        ),
        (lambda: models.create("skipnet", (1, 3, 3)), ShapeError, "at least 4x4"),
    ],
)
def test_bad_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
