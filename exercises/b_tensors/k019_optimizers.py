"""k019: SGD with momentum, and Adam

** | 20 minutes | after nothing

A gradient says which way is up; an optimizer decides how far to go down. Both of these
remember something between steps. Here they are pure functions: what they remember comes
in as an argument and goes out as a result, and nothing is changed in place.

SGD with momentum remembers a velocity, like a ball that rolls and loses speed slowly:

    v <- momentum * v + g
    p <- p - lr * v

Adam remembers running means of the gradient and of its square, and divides the one by
the root of the other: every number in p moves by about lr, be its gradients large or
small.

    m <- beta1 * m + (1 - beta1) * g
    v <- beta2 * v + (1 - beta2) * g^2
    p <- p - lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)

m and v start from zero, so at first they are too small: after t steps the weights of
all gradients add up to 1 - beta^t only. The division makes up for it, for the step
alone: what is remembered, and returned, is m and v as in the first two lines.

    step t         1      2      3          beta = 0.9, the gradient is always 1
    m              0.1    0.19   0.271             too small
    m / (1-b^t)    1      1      1                 right

Where a gradient is exactly zero nothing special happens: the ball rolls on.

Shapes: p, g, v, m arrays of one shape, any (also ()), and of one dtype, which the
    results have too (float32 stays float32); lr, momentum, beta1, beta2, eps plain
    Python numbers (a NumPy float64 would promote); t = 1, 2, 3, ...
Source: Sutskever et al., "On the importance of initialization and momentum in deep
learning", 2013; Kingma and Ba, "Adam: a method for stochastic optimization", 2015,
algorithm 1. The form is that of torch.optim.SGD and torch.optim.Adam.
Checked: single steps and several in a row, any t, zero gradients, float32, 0-d arrays;
that new arrays come back.
"""

import numpy as np


def sgd(p, g, v, lr, momentum):
    """One step of SGD with momentum: the new p and the new v.

    v is momentum * v + g, and p goes lr times the new v down. Pure: new arrays of the
    dtype of p come back, and those given are not changed.
    """
    raise NotImplementedError("k019: write sgd")


def adam(p, g, m, v, t, lr, beta1, beta2, eps):
    """Step number ``t`` (1, 2, ...) of Adam: the new p, the new m and the new v.

    eps is added after the root; m and v are returned without the correction. Pure: new
    arrays of the dtype of p come back, and those given are not changed.
    """
    raise NotImplementedError("k019: write adam")
