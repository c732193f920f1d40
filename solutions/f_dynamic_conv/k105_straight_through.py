"""k105: A gate that is hard forwards and soft backwards

*** | 30 minutes | after k008, k012

SkipNet has a gate in front of each residual block. A small net looks at what comes in
and gives a number p between 0 and 1 for each image. If p is above 0.5 the block is run,
otherwise it is skipped:

    g = 1 if p > 0.5, else 0             at exactly 0.5 the block is skipped
    y = g * F(x) + (1 - g) * x           with the g of each image

           +----> F ---- g ----+
    x -----|                   + ---> y
           +------------ 1 - g +

How is p trained? The true derivative of g by p is 0, and nothing would be learnt. The
straight-through estimator declares another one: backwards, g changes as p does, so the
derivative of g by p is 1. All else is as usual, with the g that was used. That is what
a soft gate, y = p F(x) + (1 - p) x, gives p for the same gradient of y:

    gF = g * gy              a block that was skipped gets exactly 0
    gx = (1 - g) * gy        what goes past the block; F's own gradient adds to it later
    gp = sum of gy * (F(x) - x), over all numbers of an image

For gp F(x) is needed even where the block was skipped. So all blocks are run while the
gates are trained this way. When training is over nothing is computed in vain: a block
is run for those images only whose gate is open, and not at all if there is none.

After that first stage SkipNet goes on with true choices and rewards (REINFORCE). A gate
answers for the loss in the end, and for the blocks that were skipped from its own on:

    R[i] = -loss + sum over j >= i of  (alpha / n) * (1 - g[j])

n is the number of gates of the network, i and j count from 0. Skipped blocks pay.

Shapes: x, f, y, gy, gf and gx (N, ...) with one axis or more, p and gp (N,), gates and
the returns (N, n), losses (N,). N, n and all axes are 1 or more, but for `run`, whose
block gets fewer images. f is F(x), of the shape of x. All arrays in one call are floats
of one dtype, and so are the results. These are new arrays, that share no memory with
what is given or with each other. alpha is a Python float; it and the losses may be of
any sign.
Source: Wang et al., "SkipNet: learning dynamic routing in convolutional networks", ECCV
2018.
Checked: against loops, with p of exactly 0.5; numbers that are not finite where they
are not used; the gradient of p against small steps of the soft gate; which images a
block is given; returns against sums; float32; views.
"""

import numpy as np


def gate(p):
    """g, 1.0 where p is above 0.5 and 0.0 elsewhere, of the dtype of p.

    Shapes: p and result (N,).
    """
    # answer
    return (p > 0.5).astype(p.dtype)


def gated(x, f, p):
    """y for all images, from x and f = F(x).

    For each image one of the two is copied as it is, infinities and NaN as well: in
    the other they do not matter.

    Shapes: x, f and result (N, ...), p (N,).
    """
    # answer
    runs = (p > 0.5).reshape(-1, *[1] * (x.ndim - 1))
    return np.where(runs, f, x)


def gated_backward(gy, x, f, p):
    """The declared gradients (gx, gf, gp) of `gated`; ``gy`` is the gradient of y.

    The gp of an image has nothing to do with the other images, and what is not finite
    in its own is not hidden.

    Shapes: gy, x, f, gx and gf (N, ...), p and gp (N,).
    """
    # answer
    g = gate(p).reshape(-1, *[1] * (x.ndim - 1))
    gp = (gy * (f - x)).reshape(len(x), -1).sum(axis=1)
    return (1 - g) * gy, g * gy, gp


def run(x, block, p):
    """y for all images, where ``block`` is called once, or not at all.

    block: a function that gives F(z) for images z (M, ...); it must be given those
    images, in their order, whose gate is open. If there are none it is not called.
    What it gives is copied as it is; it may be the very array that it was given.

    Shapes: x and result (N, ...), p (N,).
    """
    # answer
    y, runs = x.copy(), p > 0.5
    if runs.any():
        y[runs] = block(x[runs])
    return y


def returns(losses, gates, alpha):
    """R for each image and gate.

    Shapes: losses (N,), gates (N, n), all 0.0 or 1.0, result (N, n).
    """
    # answer
    saved = (alpha / gates.shape[1]) * (1 - gates)
    return np.cumsum(saved[:, ::-1], axis=1)[:, ::-1] - losses[:, None]
