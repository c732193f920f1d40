"""Policy gradients: by enumeration of all choices, no draw is needed to check them."""

import itertools
import math

import numpy as np
import pytest

import minidl
from minidl import functional as F
from minidl.errors import ArgumentError, ShapeError
from minidl.nn import policy
from minidl.samples import Draw
from minidl.tensor import Tensor
from minidl.testing import assert_close, gradcheck, gradgradcheck

ERRORS = 5.5  # standard errors: chance exceeds them once in 26 million


@pytest.fixture(autouse=True)
def seed():
    minidl.manual_seed(0)


def reward_of(choice):
    """Any function of three choices that is not linear."""
    a, b, c = choice
    return 1.0 + 2 * a - 3 * b * c + 0.5 * (a != c)


@pytest.mark.parametrize("baseline", [0.0, 1.7])
def test_the_estimate_is_right_on_average_over_all_choices(baseline):
    """Weighted by their probabilities, gradients add up to that of the mean reward."""
    logits = Tensor(Draw(0)(3), True)
    p = F.sigmoid(logits)
    choices = list(itertools.product((0.0, 1.0), repeat=3))

    def chance(choice):
        return math.prod(q if u else 1 - q for q, u in zip(p.data, choice))

    mean = sum(
        F.exp(policy.bernoulli_log_prob(p, Tensor(np.array(u)))) * reward_of(u)
        for u in choices
    )
    (expected,) = minidl.grad(mean, logits, retain_graph=True)
    total = np.zeros(3)
    for u in choices:
        log_prob = policy.bernoulli_log_prob(F.sigmoid(logits), Tensor(np.array(u)))
        reward = Tensor(np.array([reward_of(u)]))
        loss = policy.reinforce(log_prob.reshape(1), reward, baseline)
        total -= chance(u) * minidl.grad(loss, logits)[0].data
    assert_close(total, expected.data, "float64", "gradient")


def test_log_probabilities_by_hand():
    p, u = np.array([[0.2, 0.7], [0.5, 0.9]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    found = policy.bernoulli_log_prob(Tensor(p), Tensor(u)).data
    expected = [math.log(0.2) + math.log(0.3), math.log(0.5) + math.log(0.9)]
    assert_close(found, np.array(expected), "float64", "bernoulli")
    logits = Draw(0)(4, 3)
    soft = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    choice = np.array([2, 0, 1, 1])
    found = policy.categorical_log_prob(Tensor(logits), Tensor(choice)).data
    assert_close(found, np.log(soft[range(4), choice]), "float64", "categorical")


def test_entropies_by_hand():
    p = np.array([[0.5, 0.5], [0.1, 0.8]])
    expected = -(p * np.log(p) + (1 - p) * np.log(1 - p)).sum(1)
    assert_close(policy.bernoulli_entropy(Tensor(p)).data, expected, "float64", "H")
    even = policy.categorical_entropy(Tensor(np.zeros((1, 7)))).data
    assert_close(even, np.array([math.log(7)]), "float64", "H")
    sure = policy.bernoulli_entropy(Tensor(np.array([[0.0, 1.0]]))).data
    assert np.isfinite(sure).all() and abs(sure[0]) < 1e-4


@pytest.mark.parametrize(
    "function",
    [
        lambda x: policy.bernoulli_log_prob(
            F.sigmoid(x), Tensor(np.array([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]))
        ),
        lambda x: policy.bernoulli_entropy(F.sigmoid(x)),
        lambda x: policy.categorical_log_prob(x, Tensor(np.array([2, 0]))),
        policy.categorical_entropy,
    ],
)
def test_derivatives(function):
    x = Tensor(Draw(1)(2, 3), True)
    assert gradcheck(function, x) and gradgradcheck(function, x)


def test_draws_have_the_probabilities_that_are_asked_for():
    p = np.array([0.0, 0.1, 0.5, 0.97, 1.0])
    drawn = policy.draw_bernoulli(Tensor(np.tile(p, (20_000, 1)))).data
    assert set(np.unique(drawn)) == {0.0, 1.0}
    bound = ERRORS * np.sqrt(p * (1 - p) / 20_000)
    assert (np.abs(drawn.mean(0) - p) <= bound).all()  # 0 and 1 are certain
    logits = np.log([0.05, 0.25, 0.7])
    drawn = policy.draw_categorical(Tensor(np.tile(logits, (20_000, 1)))).data
    shares = np.bincount(drawn, minlength=3) / 20_000
    bound = ERRORS * np.sqrt(np.exp(logits) * (1 - np.exp(logits)) / 20_000)
    assert (np.abs(shares - np.exp(logits)) <= bound).all()


def test_a_policy_learns_the_best_arm():
    """Three arms; the second pays most on average, but not always."""
    logits = Tensor(np.zeros(3), True)
    optimizer = minidl.optim.Adam([logits], 0.1)
    rng = np.random.default_rng(0)
    for _ in range(200):
        rows = logits.reshape(1, 3) * Tensor(np.ones((16, 1)))
        choice = policy.draw_categorical(rows)
        pays = np.array([0.2, 0.8, 0.5])[choice.data]
        reward = Tensor((rng.random(16) < pays).astype(float))
        log_prob = policy.categorical_log_prob(rows, choice)
        entropy = policy.categorical_entropy(rows)
        baseline = policy.others_mean(reward)
        loss = policy.reinforce(log_prob, reward, baseline, entropy, 0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    p = F.softmax(logits, 0).data
    assert p[1] > 0.9


def test_neither_rewards_nor_baselines_pass_a_gradient():
    log_prob = Tensor(Draw(0)(4), True)
    reward, baseline = (Tensor(Draw(i)(4), True) for i in (1, 2))
    policy.reinforce(log_prob, reward, baseline).backward()
    assert reward.grad is None and baseline.grad is None
    expected = -(reward.data - baseline.data) / 4
    assert_close(log_prob.grad.data, expected, "float64", "gradient")


def test_the_mean_of_the_others():
    reward = Tensor(np.array([[1.0, 0.0], [3.0, 0.0], [8.0, 6.0]]), True)
    baseline = policy.others_mean(reward)
    assert baseline.data.tolist() == [[5.5, 3.0], [4.5, 3.0], [2.0, 0.0]]
    assert not baseline.requires_grad
    assert policy.others_mean(Tensor(np.array([7.0]))).data.tolist() == [0.0]


def test_the_mean_of_the_others_leaves_the_gradient_its_mean():
    """All 2^3 draws of three examples, each as often as it is likely."""
    p = Tensor(np.array([0.2, 0.5, 0.7]), True)
    total, pays = np.zeros(3), np.array([[0.0, 2.0], [1.0, -1.0], [3.0, 4.0]])
    for draw in itertools.product((0, 1), repeat=3):
        u = Tensor(np.array(draw, float))
        reward = Tensor(pays[range(3), draw])
        log_prob = policy.bernoulli_log_prob(p.reshape(3, 1), u.reshape(3, 1))
        loss = policy.reinforce(log_prob, reward, policy.others_mean(reward))
        p.grad = None
        loss.backward()
        total += np.prod(np.where(draw, p.data, 1 - p.data)) * p.grad.data
    assert_close(total, -(pays[:, 1] - pays[:, 0]) / 3, "float64", "gradient")


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda v: policy.bernoulli_log_prob(v(2, 3), v(3)),
            r"choice must be \(2, 3\); got \(3,\)",
        ),
        (
            lambda v: policy.categorical_log_prob(v(2, 3), v(3)),
            r"choice must be \(2,\); got \(3,\)",
        ),
        (lambda v: policy.reinforce(v(2), v(3)), r"reward must be \(2,\); got \(3,\)"),
        (lambda v: policy.reinforce(v(2), v(2), beta=-1), "beta must be a number in"),
        (lambda v: policy.reinforce(v(2), v(2), beta=0.1), "entropy must be given"),
        (
            lambda v: policy.bernoulli_entropy(Tensor(np.array([1, 0]))),
            "p must be probabilities, floats; got int64",
        ),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises((ArgumentError, ShapeError), match=message):
        call(lambda *shape: Tensor(np.full(shape, 0.5)))
