"""Policy gradients: how to train choices that have no derivative.

A network gives the probabilities of a choice, the choice is drawn, a reward R comes
back. The gradient of the mean reward is a mean as well, so one draw estimates it:

    d E[R] = E[(R - b) d log p(choice)]        for any baseline b that does not know
                                               the choice; it takes variance away

`reinforce` is the loss whose gradient is minus that, less ``beta`` times the entropy,
which keeps probabilities from settling too early. Draws come from minidl's generator.

Source: Williams 1992, "Simple Statistical Gradient-Following Algorithms for
Connectionist Reinforcement Learning".
"""

import numpy as np

from .. import functional as F
from .. import random
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from ._arguments import number

LEAST = 1e-6  # probabilities nearer to 0 or 1 count as this near: logarithms end


def _inside(where, p):
    if p.dtype.kind != "f":
        raise ArgumentError(f"{where}: p must be probabilities, floats; got {p.dtype}")
    return F.clip(p, LEAST, 1 - LEAST)


def _fits(where, name, value, shape):
    if value.shape != shape:
        raise ShapeError(
            f"{where}: {name} must be {tuple(shape)}; got {tuple(value.shape)}"
        )


def draw_bernoulli(p: Tensor) -> Tensor:
    """0 or 1 for each probability, of its dtype: a constant.

    Shapes: p and the result, any; elements in [0, 1].
    """
    drawn = random.generator().random(tuple(p.shape))
    drawn = Tensor(drawn.astype(np.dtype(p.dtype))).to(p.device)
    return (drawn < p.detach()).to(p.dtype)


def bernoulli_log_prob(p: Tensor, choice: Tensor) -> Tensor:
    """``sum of u log p + (1 - u) log(1 - p)`` over the last axis.

    Shapes: p, choice (..., K), the result (...).
    Raises: ShapeError unless they agree.
    """
    _fits("bernoulli_log_prob", "choice", choice, p.shape)
    p = _inside("bernoulli_log_prob", p)
    u = choice.detach()
    return F.sum(u * F.log(p) + (1 - u) * F.log(1 - p), -1)


def bernoulli_entropy(p: Tensor) -> Tensor:
    """``-sum of p log p + (1 - p) log(1 - p)`` over the last axis.

    Shapes: p (..., K), the result (...).
    """
    p = _inside("bernoulli_entropy", p)
    return -F.sum(p * F.log(p) + (1 - p) * F.log(1 - p), -1)


def draw_categorical(logits: Tensor) -> Tensor:
    """A class for each row of logits, with the probabilities of its softmax: int64.

    Shapes: logits (..., K), the result (...).
    """
    # Of numbers with Gumbel noise the largest is drawn with the softmax's probability.
    noise = random.generator().gumbel(size=tuple(logits.shape))
    noise = Tensor(noise.astype(np.dtype(logits.dtype))).to(logits.device)
    return F.argmax(logits.detach() + noise, -1)


def categorical_log_prob(logits: Tensor, choice: Tensor) -> Tensor:
    """``log softmax(logits)`` at the choice.

    Shapes: logits (..., K), choice (...) whole numbers, the result (...).
    Raises: ShapeError unless they agree.
    """
    _fits("categorical_log_prob", "choice", choice, logits.shape[:-1])
    return F.gather(F.log_softmax(logits, -1), -1, choice.unsqueeze(-1)).squeeze(-1)


def categorical_entropy(logits: Tensor) -> Tensor:
    """``-sum of p log p`` of the softmax over the last axis.

    Shapes: logits (..., K), the result (...).
    """
    log_p = F.log_softmax(logits, -1)
    return -F.sum(F.exp(log_p) * log_p, -1)


def reinforce(
    log_prob: Tensor, reward: Tensor, baseline=0.0, entropy=None, beta: float = 0.0
) -> Tensor:
    """``-mean((R - b) log p) - beta mean(entropy)``: its gradient trains the policy.

    Neither rewards nor baselines pass a gradient.

    Shapes: log_prob, reward and, if given, entropy (N,); baseline (N,) or a number.
    Raises: ShapeError; ArgumentError unless beta >= 0, and for a beta without entropy.
    """
    _fits("reinforce", "reward", reward, log_prob.shape)
    number("reinforce", "beta", beta, 0, float("inf"))
    baseline = baseline.detach() if isinstance(baseline, Tensor) else baseline
    loss = -F.mean((reward.detach() - baseline) * log_prob)
    if beta == 0:
        return loss
    if entropy is None:
        raise ArgumentError("reinforce: entropy must be given where beta > 0")
    return loss - F.mean(entropy) * beta


def others_mean(reward: Tensor) -> Tensor:
    """A baseline for each reward: the mean of all others, ``(sum R - R_n) / (N - 1)``.

    It does not know the choice that it is the baseline of, so the gradient keeps its
    mean. One reward has no others: 0.

    Shapes: reward (N, ...), the result too: a constant.
    """
    reward = reward.detach()
    if reward.shape[0] == 1:
        return reward * 0
    return (F.sum(reward, 0, keepdim=True) - reward) / (reward.shape[0] - 1)
