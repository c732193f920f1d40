"""k106: Shake-Shake: a backward that is not the derivative

*** | 25 minutes | after k008, k028

A residual block with two branches alike can mix them at random. Shake-Shake does so
forwards, and it mixes the gradients at random once more, with another number:

    forward     y  = x + alpha * F1(x) + (1 - alpha) * F2(x)
    backward    g1 = beta * g,    g2 = (1 - beta) * g,    gx = g, the skip's part

That is noise of two kinds, and it regularises. The second line is not the derivative of
the first one, on purpose: it is declared. How alpha and beta are taken has a name, as
"shake-even", first the way forwards, then backwards:

    even     0.5
    shake    drawn uniformly from [0, 1), and anew for each call
    keep     beta = alpha: the true derivative (backwards only)

With "shake-shake" beta is drawn independently of alpha. One draw may be for the whole
batch or for each image of it (the level). A number for each pixel is no Shake-Shake.
Once training is over, both are 0.5: nothing is drawn then.

What is x worth to the whole? It goes into both branches, too. Take the simplest ones,
F_i(x) = ReLU(x w_i), with images that are rows:

    x --------------------------+
    x -- w1 -- ReLU -- alpha ---+--> y
    x -- w2 -- ReLU -- 1-alpha -+

    u_i = x w_i      gu_i = g_i where u_i > 0, else 0
    gw_i = x^T gu_i                         gx = g + gu_1 w1^T + gu_2 w2^T

with g_1 and g_2 by beta as above. Backwards, alpha does not occur at all.

Shapes: x, f1, f2, y and g (N, ...) in `mix` and (N, C) in `block`; w1, w2 and their
gradients (C, C); alpha and beta in all of them (N, 1, ..., 1) or (1, 1, ..., 1), with
as many axes as x: they broadcast. All arrays in one call are floats of one dtype, and
so are the results, new arrays that share no memory with what is given or with each
other, but for `coefficients`.
Source: Gastaldi, "Shake-Shake regularization", ICLR 2017 workshop.
Checked: all kinds of coefficients, with bounds that chance does not reach; forward and
backward against loops; with beta = alpha against small steps; float32; views.
"""

import numpy as np


def coefficients(mode, level, shape, training, rng):
    """(alpha, beta), float64 arrays, for images of this shape (N, ...).

    mode: (forward, backward), forward "even" or "shake", backward "even", "keep" or
    "shake". level: "batch" or "image". rng: a NumPy generator, the only source of
    chance; it is used in no other case than "shake" while training. At the level of
    images, each has a draw that is independent of all others. Where beta = alpha both
    may be the same array.

    Shapes: results (N, 1, ..., 1) if level is "image", else (1, 1, ..., 1), with as
    many axes as shape has.
    """
    # answer
    size = (shape[0] if level == "image" else 1, *[1] * (len(shape) - 1))
    half = np.full(size, 0.5)
    if not training:
        return half, half
    alpha = rng.random(size) if mode[0] == "shake" else half
    beta = rng.random(size) if mode[1] == "shake" else half
    return alpha, alpha if mode[1] == "keep" else beta


def mix(x, f1, f2, alpha):
    """y = x + alpha f1 + (1 - alpha) f2.

    Shapes: x, f1, f2 and result (N, ...), alpha (N, 1, ..., 1) or (1, 1, ..., 1).
    """
    # answer
    return x + alpha * f1 + (1 - alpha) * f2


def mix_backward(g, beta):
    """The declared gradients (gx, g1, g2) of `mix` by x, f1 and f2.

    Shapes: g and results (N, ...), beta (N, 1, ..., 1) or (1, 1, ..., 1).
    """
    # answer
    return g.copy(), beta * g, (1 - beta) * g


def block(x, w1, w2, alpha):
    """y of the block whose branches are ReLU(x w1) and ReLU(x w2).

    Shapes: x and result (N, C), w1 and w2 (C, C), alpha (N, 1) or (1, 1).
    """
    # answer
    return mix(x, np.maximum(x @ w1, 0), np.maximum(x @ w2, 0), alpha)


def block_backward(g, x, w1, w2, beta):
    """The declared gradients (gx, gw1, gw2) of `block`; ``g`` is the gradient of y.

    Shapes: g, x and gx (N, C), w1, w2, gw1 and gw2 (C, C), beta (N, 1) or (1, 1).
    """
    # answer
    gx, g1, g2 = mix_backward(g, beta)
    gu1, gu2 = g1 * (x @ w1 > 0), g2 * (x @ w2 > 0)
    return gx + gu1 @ w1.T + gu2 @ w2.T, x.T @ gu1, x.T @ gu2
