"""k073: mixup

** | 20 minutes | after k015

A network can learn by heart what it sees again and again, wrong labels included. mixup
never shows it the same twice: every image is mixed with another one of the batch, and
the label says how much of it is which.

    lam ~ Beta(alpha, alpha)                one number for the batch, between 0 and 1
    x~   = lam * x + (1 - lam) * x[order]   order: a random permutation of the batch
    loss = lam * CE(logits, labels) + (1 - lam) * CE(logits, labels[order])

    lam = 0.7   order = (2 0 1)     image 0: 0.7 of image 0 and 0.3 of image 2
                                    image 1: 0.7 of image 1 and 0.3 of image 0

CE is the mean cross-entropy (k015) of what the network makes of x~. As it is linear in
the one-hot labels, the loss is the same as one cross-entropy with mixed labels:

    target[b] = lam * onehot(labels[b]) + (1 - lam) * onehot(labels[order[b]])
    loss      = mean over b of  - sum over c of target[b, c] * log softmax(logits[b])[c]

and its gradient is that of any cross-entropy, softmax less target:

    dloss/dlogits = (softmax(logits) - target) / N             times g, from above

With alpha = 1 all lam are as likely; small alphas make lam nearly 0 or 1, which is
hardly any mixing, large ones about a half. lam = 1 is plain training.

cross_entropy and cross_entropy_backward of k015 are there to be used.

Shapes: x (N, ...), any number of axes after the first; labels (N,), whole numbers from
0 to C - 1; order (N,), whole numbers, a permutation; logits (N, C); g a number. N and C
are 1 or more. lam is a Python float from 0 to 1. x, logits and target are floats; an
array has the dtype of x or of the logits. The loss is one number, a float of any
precision. Logits are up to 1e4 in size.
Source: Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk
minimization", ICLR 2018.
Checked: images, labels and loss against loops; the gradient against small steps and
loops, with random g; that both forms of the loss are one; lam 0, 1 and between; g = 0;
large logits; up to 200 classes; float32; views; what is drawn: lam and order from rng
alone (np.random stays as it was), and their distributions.
"""

import numpy as np

from solutions.b_tensors.k015_cross_entropy import cross_entropy, cross_entropy_backward


def draw(n, alpha, rng):
    """(lam, order) for a batch of n, drawn from ``rng`` only, a numpy Generator.

    lam ~ Beta(alpha, alpha) is one number, order (n,) a permutation of 0 ... n - 1, all
    permutations as likely. alpha is from 0.05 to 100.
    """
    raise NotImplementedError("k073: write draw")


def mix(x, lam, order):
    """lam * x + (1 - lam) * x[order], a new array of the dtype of x.

    Shapes: x and result (N, ...), order (N,).
    """
    raise NotImplementedError("k073: write mix")


def mixed_labels(labels, lam, order, classes):
    """target: the one-hot labels, mixed as the images are; float64, a new array.

    Shapes: labels and order (N,), result (N, classes).
    """
    raise NotImplementedError("k073: write mixed_labels")


def mixup_loss(logits, labels, lam, order):
    """lam * CE(logits, labels) + (1 - lam) * CE(logits, labels[order]): a number.

    Shapes: logits (N, C), labels and order (N,).
    """
    raise NotImplementedError("k073: write mixup_loss")


def mixup_loss_backward(g, logits, labels, lam, order):
    """The gradient of `mixup_loss` by the logits; ``g`` is that by the loss, a number.

    Shapes: logits and result (N, C), labels and order (N,). dtype of the logits, also
    where g has another.
    """
    raise NotImplementedError("k073: write mixup_loss_backward")
