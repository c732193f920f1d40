"""Grader of k015: cross-entropy and its gradient."""

import math
import warnings
from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "The loss of one example is log(sum of e^logits) minus the logit of its label.",
        "logits[np.arange(N), labels] takes one element out of each row. Subtract the "
        "maximum of each row first: neither loss nor probabilities change by it.",
        "s = logits - logits.max(axis=1, keepdims=True); loss = (np.log(np.exp(s).sum("
        "axis=1)) - s[np.arange(N), labels]).mean(). Gradient: p = np.exp(s) / "
        "np.exp(s).sum(axis=1, keepdims=True); p[np.arange(N), labels] -= 1; g * p / "
        "N.",
    ],
)


def muted(f):
    """``f``, with nothing heard of NumPy's warnings: values are looked at first."""

    @wraps(f)
    def function(*args):
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f(*args)

    return function


def no_warning(f, *args):
    """NumPy may not warn of anything in f(*args)."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        checks.call(f, *args)
    checks.true(
        not heard,
        f"{f.__name__}: the values are right, but NumPy warns of a "
        f"{heard[0].message if heard else ''}, and whoever uses this is alarmed\n  "
        "with\n"
        f"    logits = {args[-2].tolist()}\n    labels = {args[-1].tolist()}",
        ("warning", f.__name__),
    )


def distances(row, label):
    """How far every logit of a row is above that of the label."""
    return row.astype(float) - float(row[label])


def forward(logits, labels):
    """-log p as log(sum of e^distance), the largest distance taken out."""
    losses = []
    for row, label in zip(logits, labels):
        apart = distances(row, label)
        terms = [math.exp(d - max(apart)) for d in apart]
        losses.append(max(apart) + math.log(math.fsum(terms)))
    return np.asarray(math.fsum(losses) / len(losses), logits.dtype)


def backward(g, logits, labels):
    """Each probability as 1 / (sum of e^distance)."""
    out = np.zeros_like(logits)
    for n, (row, label) in enumerate(zip(logits, labels)):
        for c in range(len(row)):
            with np.errstate(over="ignore"):
                p = 1 / sum(np.exp(distances(row, c)))
            out[n, c] = float(g) * (p - float(c == label)) / len(labels)
    return out


def draw(r, n, c):
    """Logits, and labels with the first and the last class among them if n > 1."""
    labels = r.integers(c, n)
    labels[-1], labels[0] = c - 1, 0
    return r(n, c) * 2, r.rng.permutation(labels)


def agree(mine, r, logits, labels, g=None, again=True):
    """Both functions against the loops, and without a warning."""
    f, back = muted(mine.cross_entropy), muted(mine.cross_entropy_backward)
    g = np.asarray(r() * 2, logits.dtype) if g is None else g
    checks.value(f, forward, logits, labels, again=again)
    no_warning(mine.cross_entropy, logits, labels)
    checks.value(back, backward, g, logits, labels, again=again)
    no_warning(mine.cross_entropy_backward, g, logits, labels)


SHAPES = (4, 2), (3, 3), (2, 5), (1, 3), (3, 1), (1, 1), (7, 4)


@knock.check("the mean loss of a few examples")
def loss(mine, r):
    checks.value(mine.cross_entropy, forward, np.log([[1.0, 2, 5]]), np.array([1]))
    first = r.size(2, 3), r.size(3, 4)
    for n, c in [first, (5, 3), *SHAPES]:
        checks.value(mine.cross_entropy, forward, *draw(r, n, c))
    logits, _ = draw(r, 3, 3)
    for label in range(3):
        checks.value(mine.cross_entropy, forward, logits, np.full(3, label))


@knock.check("its gradient by the logits")
def gradient(mine, r):
    f = mine.cross_entropy_backward
    logits, labels = draw(r, r.size(2, 3), r.size(3, 4))
    checks.gradient(f, forward, logits, labels, r=r)
    g = r.choice([0.5, 3.0, -2.0])  # a number of Python
    for n, c in [(logits.shape[0] + 2, logits.shape[1]), *SHAPES]:
        checks.value(f, backward, g, *draw(r, n, c))
    logits, _ = draw(r, 3, 3)
    for label in range(3):
        checks.value(f, backward, np.asarray(r()), logits, np.full(3, label))


@knock.check("logits of 1e4, and rows at very different heights, without a warning")
def huge(mine, r):
    n, c = r.size(2, 4), r.size(2, 4)
    logits, labels = draw(r, n, c)
    agree(mine, r, logits + 1e4, labels)
    agree(mine, r, logits - 1e4, labels)
    agree(mine, r, logits + 2000 * np.arange(n)[:, None], labels, again=False)
    agree(mine, r, np.full((n, c), -1e4), labels)
    logits[np.arange(n), labels] += 1e4
    agree(mine, r, logits, labels, again=False)


@knock.check("sure, and wrong by 1e4: the loss is as large, without a warning")
def surprise(mine, r):
    n, c = r.size(2, 4), r.size(2, 4)
    logits, labels = draw(r, n, c)
    logits[np.arange(n), labels] += 1e4
    agree(mine, r, logits, (labels + 1) % c)
    agree(mine, r, logits * -1e4, labels)
    agree(mine, r, np.array([[0.0, 60.0]]), np.array([0]))
    agree(mine, r, np.array([[1e300, -1e300]]), np.array([1]))
    agree(mine, r, np.array([[1e36, -1e36]], np.float32), np.array([1]))


@knock.check("equal logits of 1e17: the loss is log C, nothing is swallowed")
def swallowed(mine, r):
    n, c = r.size(1, 3), r.size(2, 4)
    _, labels = draw(r, n, c)
    for size in (1e17, -1e17, 1e300):
        agree(mine, r, np.full((n, c), size), labels)
    steps = r.integers(4, n, c) * 0.25  # exact in float32 at 1e6
    agree(mine, r, (steps + 1e6).astype(np.float32), labels)
    agree(mine, r, (steps - 1e6).astype(np.float32), labels)


@knock.check("hundreds of classes, hundreds of examples")
def many(mine, r):
    agree(mine, r, *draw(r, 300, 2), again=False)
    labels = np.array([r.size(130, 199), r.size(260, 299)])
    agree(mine, r, r(2, 300), labels, again=False)


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    n, c = r.size(2, 4), r.size(2, 4)
    logits, labels = draw(r, 2 * n, c)
    logits = np.asfortranarray(logits)[::-2, ::-1]
    agree(mine, r, logits, labels[::2])
    logits = logits.astype(np.float32)
    loss = mine.cross_entropy(logits, labels[1::2])
    checks.true(
        type(loss) is float or getattr(loss, "dtype", None) == np.float32,
        f"cross_entropy of float32 logits must be a float32; got {type(loss).__name__}",
    )
    agree(mine, r, logits, labels[1::2])
    agree(mine, r, logits, labels[1::2], g=0.5)
    agree(mine, r, logits, labels[1::2], g=np.float64(0.5))
    agree(mine, r, logits, labels[1::2], g=np.asarray(r()))
    two = r(2, c), draw(r, 2, c)[1]
    checks.value(mine.cross_entropy_backward, backward, np.float32(0.5), *two)
    agree(mine, r, r(3, 3).T, draw(r, 3, 3)[1])
    agree(mine, r, logits + np.float32(100), labels[::2])
    agree(mine, r, logits - np.float32(120), labels[::2])
    sure = np.array([[1e4, 0], [0, 1e4]], np.float32)
    agree(mine, r, sure, np.array([0, 0]))


knock.wrong(
    "sum of the losses",
    "this is the sum over the batch: the loss is the mean",
    (
        "(log_total - shifted[rows, labels]).mean()",
        "(log_total - shifted[rows, labels]).sum()",
    ),
)
knock.wrong(
    "mean over the classes too",
    "you divide by N * C, as a mean over a whole one-hot matrix does: there are N "
    "losses, so divide by N",
    (
        "(log_total - shifted[rows, labels]).mean()",
        "(log_total - shifted[rows, labels]).sum() / logits.size",
    ),
)
knock.wrong(
    "sign of the loss",
    "the sign is flipped: the loss is -log p, and never below 0",
    ("(log_total - shifted[rows, labels])", "(shifted[rows, labels] - log_total)"),
)
knock.wrong(
    "probability in place of its logarithm",
    "this is -p of the label: the logarithm is missing",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "return -np.exp(shifted[rows, labels] - log_total).mean()",
    ),
)
knock.wrong(
    "labels for every row",
    "logits[:, labels] takes the columns of all labels out of every row, N * N "
    "numbers; each row wants its own label only: logits[np.arange(N), labels]",
    ("log_total - shifted[rows, labels]", "log_total[:, None] - shifted[:, labels]"),
)
knock.wrong(
    "softmax over the batch",
    "your probabilities add up to 1 over the batch; they must do so over the classes",
    (
        "log_total = np.log(np.exp(shifted).sum(axis=1))  # (N,)",
        "shifted = logits - logits.max(axis=0)\n"
        "    log_total = np.log(np.exp(shifted).sum(axis=0))[labels]",
    ),
)
knock.wrong(
    "overflow",
    "you take exp of the logits as they are: take away the maximum of each row first",
    ("shifted = logits - logits.max(axis=1, keepdims=True)", "shifted = logits"),
)
knock.wrong(
    "softmax overflows",
    "your softmax divides inf by inf: e^710 is more than a float64 can hold; take away "
    "the maximum of each row first",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)\n"
        "    return -np.log(p[rows, labels]).mean()",
    ),
)
knock.wrong(
    "small number in the logarithm",
    "a small number added to p keeps log from 0, but the loss can then never be more "
    "than 27.6: work with log p = z - log(sum of e^z) instead, z = logits - maximum",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "p = np.exp(shifted[rows, labels] - log_total)\n"
        "    return -np.log(p + 1e-12).mean()",
    ),
)
knock.wrong(
    "log of a p of 0",
    "a p of 0 has no logarithm: do not go by way of p, but take log p = z - log(sum of "
    "e^z), z = logits - maximum",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "p = np.exp(shifted[rows, labels]) / np.exp(log_total)\n    return "
        "-np.log(p).mean()",
    ),
)
knock.wrong(
    "one maximum for all",
    "you take away the maximum of all logits: a row far below it becomes all zeros; "
    "each row needs its own",
    (
        "shifted = logits - logits.max(axis=1, keepdims=True)",
        "shifted = logits - logits.max()",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: the gradient that comes in from above multiplies all of this",
    ("    p *= g", "    # none"),
)
knock.wrong(
    "gradient not divided by N",
    "the loss is a mean over N examples: divide its gradient by N",
    ("return p / len(labels)", "return p"),
)
knock.wrong(
    "gradient divided by N * C",
    "you divide by N * C: the loss is a mean over the N examples only",
    ("return p / len(labels)", "return p / logits.size"),
)
knock.wrong(
    "labels forgotten",
    "this is the softmax: take 1 away from the probability of the label in each row",
    ("    p[rows, labels] -= 1\n", ""),
)
knock.wrong(
    "sign of the gradient",
    "the sign is flipped: it is p minus the truth, not the truth minus p",
    ("p *= g", "p *= -g"),
)
knock.wrong(
    "labels of all rows",
    "p[:, labels] -= 1 takes 1 away in every row for every label: each row has its own "
    "label only",
    ("p[rows, labels] -= 1", "p[:, labels] -= 1"),
)
knock.wrong(
    "gradient overflows",
    "the gradient takes exp of the logits as they are: take the maximum of each row "
    "away here, too",
    ("p = np.exp(logits - logits.max(axis=1, keepdims=True))", "p = np.exp(logits)"),
)
knock.wrong(
    "always float64",
    "a float64 has come in, perhaps a one-hot matrix by np.eye or np.zeros: make it of "
    "the logits' dtype",
    (
        "    p[rows, labels] -= 1\n",
        "    p = p - np.eye(logits.shape[1])[labels]\n",
    ),
)
knock.wrong(
    "maximum added again",
    "log(sum of e^z) drowns in a large maximum: do not add it again, but take the "
    "label's logit after the maximum was taken away",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "top = logits.max(axis=1)\n"
        "    return (log_total + top - logits[rows, labels]).mean()",
    ),
)
knock.wrong(
    "labels in 8 bits",
    "with more than 128 classes your labels run over: 8 bits hold -128 to 127 only",
    (
        "return (log_total - shifted[rows, labels]).mean()",
        "return (log_total - shifted[rows, labels.astype(np.int8)]).mean()",
    ),
)
knock.wrong(
    "dtype of g",
    "the gradient has the dtype of g where that is another: it must have that of the "
    "logits",
    ("p *= g", "p = p * g"),
)
