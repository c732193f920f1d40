"""k103: A router that learns: the weighted policy learner

*** | 30 minutes | after k012, k015

A routing network has several blocks at each depth, and a router that picks one of them.
Blocks learn by gradients, but a pick has none. So the router keeps a table: for every
task and depth the probabilities of the n blocks. It draws one block at each depth, and
in the end there is a reward, 1 if the answer was right and -1 if not. Each pick can get
a bonus on top, rho times how often this block was picked lately at this depth, so that
paths settle (rho below 0: so that they spread):

    R[d] = final + rho * frequency[d, a[d]]          a[d]: the block picked at depth d

Whether a reward is good or bad news, a baseline tells, the running mean of rewards:

    D[d] = R[d] - baseline[d]                        the advantage, before ...
    baseline[d] moves by rate * D[d]                 ... the baseline moves

The weighted policy learner changes the probability of what was picked:

    p[a] moves by  lr * D * (1 - p[a])   if D >= 0     slower, the surer it is already
                   lr * D * p[a]         if D <  0     slower, the rarer it is already

After that the n numbers of that depth are no probabilities any more: they add up to
something else than 1, and some may be below 0 or above 1. They are replaced by the
nearest point of the simplex, which is the set of all probabilities:

    the p with p[i] >= 0 and sum of p = 1 for which the sum of (p[i] - v[i])^2 is least

What comes out is p[i] = max(v[i] - t, 0), where t is such that the sum is 1. To find t,
sort v, the largest first: s[0] >= s[1] >= ... If just the k largest stay above 0, then

    t = (s[0] + ... + s[k - 1] - 1) / k

and the right k is the last one for which s[k - 1] > t, with the t of that k.

    v = 0.9  0.6  -0.1     k = 1: t = -0.1       0.9 > t
                           k = 2: t = 0.25       0.6 > t
                           k = 3: t = 0.133     -0.1 < t      so k = 2, t = 0.25
    p = 0.65 0.35  0

A number added to all of v changes nothing. So take the largest away first: then no
digits are lost where all of v is around 1e9.

Shapes: v (M, n), frequency (D, n), policy (tasks, D, n), baseline (tasks, D), actions
(D,) integers in [0, n), R and reward (D,). final, rho, lr, rate: Python floats, lr >= 0
and rate in [0, 1]. A frequency may be any number from 0 on, also a count above 1. All
arrays of floats in one call have one dtype, and so have the results, which are new
arrays.
Source: Rosenbaum, Klinger and Riemer, "Routing networks: adaptive selection of
non-linear functions for multi-task learning", ICLR 2018.
Checked: the projection against exact fractions, with ties, with one number, and with
large ones; rewards and steps against loops, for D of any sign and for 0; that other
tasks stay as they are; float32; views.
"""

import numpy as np


def project(v):
    """The nearest probabilities to each row of v.

    The numbers of v may be as large as 1e12. All rows are projected: one whose sum is
    only a little off 1 as well.

    Shapes: v and result (M, n).
    """
    # answer
    v = v - v.max(axis=1, keepdims=True)
    s = -np.sort(-v, axis=1)
    k = np.arange(1, v.shape[1] + 1, dtype=v.dtype)
    t = (np.cumsum(s, axis=1) - 1) / k
    last = (s > t).sum(axis=1, keepdims=True) - 1
    return np.maximum(v - np.take_along_axis(t, last, axis=1), 0)


def rewards(final, rho, frequency, actions):
    """R[d] for each depth, of the dtype of frequency.

    Shapes: frequency (D, n), actions (D,), result (D,).
    """
    # answer
    return final + rho * frequency[np.arange(len(actions)), actions]


def step(policy, baseline, task, actions, reward, lr, rate):
    """(policy, baseline) after one trace of a task; other tasks stay exactly the same.

    Shapes: policy (tasks, D, n), baseline (tasks, D), actions and reward (D,).
    """
    # answer
    picked = np.arange(len(actions)), actions
    p, advantage = policy[task].copy(), reward - baseline[task]
    p[picked] += lr * advantage * np.where(advantage < 0, p[picked], 1 - p[picked])
    policy, baseline = policy.copy(), baseline.copy()
    policy[task] = project(p)
    baseline[task] += rate * advantage
    return policy, baseline
