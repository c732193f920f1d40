"""k015: Cross-entropy

** | 20 minutes | after k014

A network that tells C classes apart gives C numbers, the logits: the higher one is, the
more it believes in that class. Softmax makes probabilities of them. The loss asks for
one number only, the probability of the class that is true, its label:

    p[n, c] = e^logits[n, c] / sum over j of e^logits[n, j]
    loss    = mean over n of  -log p[n, labels[n]]

    logits  2.0 1.0 0.1   p  0.66 0.24 0.10   label 0   -log 0.66 = 0.42  quite right
            2.0 1.0 0.1      0.66 0.24 0.10   label 2   -log 0.10 = 2.32  a surprise

Nothing is lost on a certain truth, more and more on what was held impossible: -log p
grows without end, and a float p that has become 0 makes it inf. Logarithm and softmax
belong together, as in k014. With the maximum of each row taken away first, nothing is
lost, however large the logits are:

    z[n]        = logits[n] - max of logits[n]
    log p[n, c] = z[n, c] - log(sum over j of e^z[n, j])

(Not logits - logsumexp(logits): a maximum of 1e17, added again, swallows a log 2.)

The gradient is the simplest there is in all of deep learning: what the network believes
less what is true (1 for the label, 0 for the rest), divided by N for the mean.

    dloss/dlogits[n, c] = (p[n, c] - [c is labels[n]]) / N         times g, from above

Shapes: logits (N, C); labels (N,), int64 from 0 to C - 1; the loss a single number. N
and C are 1 or more, and logits up to 1e300 in size (1e36 in float32).
Source: Bridle, "Probabilistic interpretation of feedforward classification network
outputs, with relationships to statistical pattern recognition", 1990.
Checked: against a loop and central differences; logits of 1e4, one example, one class,
labels that repeat, hundreds of classes; no warnings; float32; views.
"""

import numpy as np


def cross_entropy(logits, labels):
    """The mean over the examples of -log softmax(logits)[label].

    Shapes: logits (N, C), labels (N,), the loss a number of the logits' dtype. It is
    right, and without warnings, for small and for large logits.
    """
    # answer
    rows = np.arange(len(labels))
    shifted = logits - logits.max(axis=1, keepdims=True)  # the largest is 0
    log_total = np.log(np.exp(shifted).sum(axis=1))  # (N,)
    return (log_total - shifted[rows, labels]).mean()


def cross_entropy_backward(g, logits, labels):
    """The gradient of cross_entropy(logits, labels) by the logits.

    Shapes: g a single number, logits and the result (N, C), labels (N,). dtype of the
    logits, also where g has another. It is right, and without warnings, for small and
    for large logits.
    """
    # answer
    rows = np.arange(len(labels))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)  # softmax
    p[rows, labels] -= 1
    p *= g  # in place: the dtype stays that of the logits
    return p / len(labels)
