"""k104: Drop blocks, and be your own critic

**** | 35 minutes | after k014, k015

BlockDrop asks for each image which of the K blocks of a residual network it needs. A
small policy network looks at the image and gives a logit for each block; p, its
sigmoid, is the probability to run the block. From p the choice u is drawn, 1 to run a
block and 0 to drop it. There is no gradient through a choice, but there is a reward
for it, and that is a large one if few blocks were run and the answer is right:

    R(u) = 1 - (|u| / K)^2    if right           |u|: how many blocks were run
           -gamma             if wrong           gamma 0 or more

Is a reward good or bad news? The policy is its own critic: the baseline is the reward
of its most likely choice, u' = 1 where p >= 0.5. So the advantage is R(u) - R(u').

A p near to 0 or 1 would leave nothing to try out. So u is not drawn from p, but from

    q = alpha * p + (1 - alpha) * (1 - p)        0.5 < alpha < 1, in [1 - alpha, alpha]

At first it is too hard to choose all blocks at once. So a curriculum begins with the
last one: with `last` = t only the last t blocks may be dropped, each epoch one more
(where t is larger than K, all may be). The blocks before them run in any case: they are
1 in u and u', they count in |u|, and they are left out of the loss:

    K = 5, last = 2      u = 1 1 1 . .        drawn, and in the loss: the dots

REINFORCE makes a loss of all that, whose gradient trains the policy:

    loss = - mean over images of  A * sum over the last t blocks of log P(u_k)

    P(u_k) = q_k if u_k is 1, 1 - q_k if it is 0;    A the advantage, a given number

Its gradient goes from log P to q, from q to p and from p to the logits; the given
numbers u and A get none. P is q or 1 - q, and never near to 0. But the sigmoid of a
large logit needs care; `sigmoid`, given here, is safe.

Shapes: logits, p, q and u (N, K); right (N,), True or False; rewards and A (N,). N and
K are 1 or more, last is 0 or more. Floats in one call have one dtype, and so have the
results, which are new arrays; all elements of a u are 1.0 or 0.0. alpha and gamma are
Python floats.
Source: Wu et al., "BlockDrop: dynamic inference paths in residual networks", CVPR 2018.
Checked: against loops; p of exactly 0.5, all and none of the blocks, curricula from 0
to more than K; draws, with bounds that chance does not reach; the gradient against
small steps and loops, with large logits; float32; views.
"""

import numpy as np


def sigmoid(x):
    """Given: 1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-abs(x))
    return np.where(x < 0, small, 1) / (1 + small)


def reward(u, right, gamma):
    """R(u) for each image, of the dtype of u.

    Shapes: u (N, K), right (N,), result (N,).
    """
    # answer
    used = u.mean(axis=1)
    return np.where(right, 1 - used**2, -gamma).astype(u.dtype)


def greedy(p, last):
    """The most likely choice u' under the curriculum, of the dtype of p.

    Shapes: p and result (N, K).
    """
    # answer
    u = (p >= 0.5).astype(p.dtype)
    u[:, : max(0, p.shape[1] - last)] = 1
    return u


def bounded(p, alpha):
    """q, the probabilities that u is drawn with.

    Shapes: p and result (N, K).
    """
    # answer
    return alpha * p + (1 - alpha) * (1 - p)


def draw(p, alpha, last, rng):
    """A choice u, drawn from q under the curriculum, of the dtype of p.

    Each element is drawn from ``rng``, a NumPy generator, independently of all others:
    the same seed gives the same u, and the next call another one.

    Shapes: p and result (N, K).
    """
    # answer
    u = (rng.random(p.shape) < bounded(p, alpha)).astype(p.dtype)
    u[:, : max(0, p.shape[1] - last)] = 1
    return u


def loss(logits, u, advantage, alpha, last):
    """The loss of the story, a NumPy number or an array of shape ().

    Its dtype is that of the logits: np.float32 for float32, never a Python float.

    Shapes: logits and u (N, K), advantage (N,).
    """
    # answer
    q = bounded(sigmoid(logits), alpha)
    log_p = np.log(np.where(u == 1, q, 1 - q))
    log_p[:, : max(0, u.shape[1] - last)] = 0
    return -(advantage * log_p.sum(axis=1)).mean()


def loss_backward(g, logits, u, advantage, alpha, last):
    """The gradient of the logits; ``g`` is that of the loss, a number.

    It is exactly 0 for blocks that may not be dropped.

    Shapes: logits, u and result (N, K), advantage (N,).
    """
    # answer
    p = sigmoid(logits)
    q = bounded(p, alpha)
    by_q = np.where(u == 1, 1 / q, -1 / (1 - q))
    by_logits = by_q * (2 * alpha - 1) * p * (1 - p)
    by_logits[:, : max(0, u.shape[1] - last)] = 0
    return -g * advantage[:, None] * by_logits / len(u)
