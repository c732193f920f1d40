"""Grader of k056: a probe for collapsed experts."""

import math
import warnings
from functools import cache, wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Divide each row by its sum once, and use these rows everywhere. Where q is 0, "
        "what number may stand in the logarithm so that q * log is 0?",
        "usage is the mean row; np.log(np.where(q > 0, q, 1)) never warns. For I take "
        "log N of the usage less the mean of log N of the rows. In train, go back from "
        "the error: to the experts directly, to weight through the softmax of k054.",
        "pi = softmax(x @ weight / T); outputs = x @ experts.T; error = ((pi * "
        "outputs).sum(1) - t) / len(x); gexperts = (error[:, None] * pi).T @ x; gpi = "
        "error[:, None] * outputs; gz = pi * (gpi - (gpi * pi).sum(1, keepdims=True)) "
        "/ T; gweight = x.T @ gz. Change both after both gradients are known.",
    ],
)

TIGHT = (1e-9, 1e-11)
SIZES = [(2, 3), (1, 4), (3, 1), (1, 1), (4, 4), (2, 9), (17, 2), (33, 18), (5, 2)]
ROWS = [  # the table of the text, and some with zeros
    [[1, 0], [1, 0]],
    [[0.5, 0.5], [0.5, 0.5]],
    [[1, 0], [0, 1]],
    [[0, 2, 2, 0], [0, 0, 0, 8]],
    [[0, 0, 3]],
    [[5], [2]],
    [[1e-300, 1], [1, 0]],
    [[1e-12, 1, 1e-12], [3e-9, 1, 0]],
    [[1e-4, 3e-4], [2e-7, 0]],
    [[1e-14, 0, 3e-14]],
]


def rows(shares):
    """Each row, divided by its sum."""
    return [[float(a) / math.fsum(map(float, row)) for a in row] for row in shares]


def used(shares):
    """Expert by expert."""
    columns = zip(*rows(shares))
    return np.array([math.fsum(c) / len(shares) for c in columns], shares.dtype)


def entropy(q):
    return -math.fsum(a * math.log(a) for a in map(float, q) if a > 0)


def number(q):
    """Distribution by distribution; e^H as a product of powers."""
    out = np.empty(q.shape[:-1], q.dtype)
    for at in np.ndindex(*out.shape):
        out[at] = math.exp(entropy(q[at]))
    return out


def told(shares):
    """The mean distance (of Kullback and Leibler) of the rows from the usage."""
    all_rows, mean = rows(shares), used(shares.astype(float))
    distances = [
        a * math.log(a / float(m))
        for row in all_rows
        for a, m in zip(row, mean)
        if a > 0
    ]
    return np.asarray(math.fsum(distances) / len(shares), shares.dtype)


def below(shares, least):
    return np.array([float(u) * shares.shape[1] < least for u in used(shares)])


def routing(x, weight, temperature):
    """The shares, image by image."""
    z = np.asarray(x, float) @ np.asarray(weight, float) / float(temperature)
    out = np.empty(z.shape)
    for b, row in enumerate(z):
        e = [math.exp(a - max(row)) for a in row]
        out[b] = np.array(e) / math.fsum(e)
    return out


def loss(weight, experts, x, t, temperature):
    pi = routing(x, weight, temperature)
    y = [float(p @ (experts @ point)) for p, point in zip(pi, x)]
    return 0.5 * np.mean((np.array(y) - t) ** 2)


def trained(weight, experts, x, t, temperatures, lr):
    """The same steps, image by image, with the matrix of the softmax's derivatives."""
    dtype, numbers = x.dtype, []
    weight, experts, x, t = (np.array(a, float) for a in (weight, experts, x, t))
    for temperature in np.asarray(temperatures, float):
        pi = routing(x, weight, temperature)
        numbers.append(float(number(used(pi))))
        gweight, gexperts = np.zeros_like(weight), np.zeros_like(experts)
        for p, point, wanted in zip(pi, x, t):
            each = experts @ point
            error = (p @ each - wanted) / len(x)
            gexperts += error * np.outer(p, point)
            matrix = (np.diag(p) - np.outer(p, p)) / temperature
            gweight += error * np.outer(point, matrix @ each)
        weight, experts = weight - lr * gweight, experts - lr * gexperts
    return tuple(np.array(a, dtype) for a in (weight, experts, numbers))


def sample(r, n, k):
    """Shares of any sums, some of them 0."""
    shares = r.positive(n, k) ** 3 * (r.rng.random((n, k)) < 0.8)
    shares[np.arange(n), r.integers(k, n)] += 0.5
    return shares


def all_shares(r):
    """Tables, and shares of all sizes."""
    found = [np.array(table, float) for table in ROWS]
    found += [sample(r, *size) for size in SIZES]
    return [*found, sample(r, r.size(1, 6), r.size(1, 6)), 1e-3 * sample(r, 3, 3)]


def problem(r, n, c, k):
    """weight, experts, x and t."""
    return r(c, k), r(k, c), r(n, c), r(n)


def quiet(f):
    """``f`` with all of NumPy's warnings as errors that it is told of."""

    @wraps(f)
    def function(*args):
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            result = f(*args)
        text = f"{f.__name__}: NumPy warns of an "
        text += (
            f"{heard[0].message if heard else ''}; 0 * log 0 is 0, without a warning"
        )
        checks.true(not heard, text, ("warning", f.__name__))
        return result

    return function


@knock.check("usage: the mean share of every expert")
def shares(mine, r):
    for some in all_shares(r):
        checks.value(mine.usage, used, some, tolerance=TIGHT, again=False)
    checks.value(mine.usage, used, r.positive(3, 4), tolerance=TIGHT)
    some = np.eye(3)
    text = "usage(shares): the result shares memory with shares; make a new array"
    for few in (some[:1], some):
        checks.true(not np.shares_memory(mine.usage(few), few), text)


@knock.check("effective_number: e to the entropy, zeros allowed", points=2)
def effective(mine, r):
    f = mine.effective_number
    for some in all_shares(r):
        q = np.array(rows(some))
        checks.value(f, number, q[0], tolerance=TIGHT)
        checks.value(f, number, q, tolerance=TIGHT)
    q = np.array(rows(sample(r, 24, 5))).reshape(2, 3, 4, 5)
    checks.value(f, number, q, tolerance=TIGHT)
    for k in (1, 2, 7, 300):
        got, what = (
            checks.call(f, np.full(k, 1 / k)),
            f"effective_number of {k} even shares",
        )
        checks.equal(got, np.asarray(float(k)), what, tolerance=TIGHT)
    quiet(f)(np.array([0.0, 1, 0])), quiet(f)(np.eye(3))


@knock.check("dead: a usage below a part of an even share")
def unused(mine, r):
    even = np.array([[1.0, 0, 2, 1], [0, 1, 0, 3]])  # usage 1/8, 1/8, 1/4, 1/2
    parts = 0.0, 0.25, 0.5, 0.75, 1.0
    found = [plain(checks.call(mine.dead, even, least), "dead") for least in parts]
    for i, least in enumerate(parts):
        try:
            checks.equal(
                found[i], below(even, least), f"dead({even.tolist()}, {least})"
            )
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None
    for table in (ROWS[0], ROWS[3], ROWS[4]):  # 0 is not below 0
        checks.value(mine.dead, below, np.array(table, float), 0.0, again=False)
    checks.value(mine.dead, below, np.array([[5.0], [2.0]]), 1.0)  # nor 1 below 1
    for some in all_shares(r):
        for least in (0.1, 0.5, 0.9, float(r.rng.random())):
            if abs(used(some) - least / some.shape[1]).min() > 1e-6:
                checks.value(mine.dead, below, some, least, again=False)


@knock.check("information: how much the routing depends on the image", points=2)
def depends(mine, r):
    f = mine.information
    for some in all_shares(r):
        checks.value(f, told, some, tolerance=TIGHT, again=False)
        same = some[[0] * 3]  # equal rows: 0
        checks.value(f, told, same, tolerance=TIGHT, again=False)
        quiet(f)(some)
    checks.value(f, told, np.eye(12), tolerance=TIGHT, again=False)
    checks.value(f, told, r.positive(3, 4), tolerance=TIGHT)


@knock.check("train: one step is a step down the gradient of the loss", points=2)
def step(mine, r):
    for case in [(3, 2, 3), (1, 2, 2), (2, 1, 1)]:
        weight, experts, x, t = args = problem(r, *case)
        temperature, lr = r.choice([0.5, 2.0, 7.0]), 0.25
        new = checks.call(mine.train, *args, np.array([temperature]), lr)
        good = isinstance(new, tuple | list) and len(new) == 3
        checks.true(good, "train must give (weight, experts, numbers)")
        points = x, t, temperature
        for i, name in enumerate(("weight", "experts")):
            grad = checks.numeric(loss, (weight, experts, *points), 1.0, i)
            right, what = args[i] - lr * grad, f"train: {name} after one step"
            checks.equal(new[i], right, what, tolerance=(1e-6, 1e-7))


@knock.check("train: a few steps, exactly, and N in each of them", points=3)
def steps(mine, r):
    cases = [(3, 2, 3), (1, 4, 2), (4, 1, 2), (5, 3, 1), (2, 2, 9), (20, 3, 3)]
    for n, c, k in [*cases, (1, 1, 1), tuple(r.size(1, 5) for _ in range(3))]:
        for temperatures in ([], [1.0], [0.5], [30, 10, 3, 1, 1], [1.0, 1e6, 0.4]):
            args = *problem(r, n, c, k), np.array(temperatures, float)
            lr = r.choice([0.01, 0.1])
            options = {"tolerance": (1e-8, 1e-9), "again": k < 4}
            checks.value(mine.train, trained, *args, lr, **options)
    args = *problem(r, 3, 2, 3), np.r_[np.linspace(5, 1, 20), np.ones(20)], 0.05
    checks.value(mine.train, trained, *args, tolerance=(1e-8, 1e-9), again=False)
    args = *problem(r, 50, 2, 2), np.array([2.0, 1.0]), 0.1
    checks.value(mine.train, trained, *args, tolerance=(1e-8, 1e-9), again=False)
    weight, experts, x, t = problem(r, 3, 2, 4)
    args = weight, experts, x, t + 1e4, np.array([1.0, 3.0])  # large gradients
    checks.value(mine.train, trained, *args, 0.01, tolerance=(1e-7, 1e-8))
    x[:, 0] = 1
    for first in ([0, 3000, -3000, 2], [3000, 2999, -3000, 2999.5]):
        weight[0] = first  # sure of one expert; not so sure
        args = weight, experts, x, t, np.array([1.0, 0.1, 30, 1e6])
        checks.value(mine.train, trained, *args, 0.1, tolerance=(1e-7, 1e-8))


@knock.check("float32 stays float32; views are right; results are new arrays")
def layout(mine, r):
    some = np.asfortranarray(sample(r, 6, 4))[::-2, ::-1]
    for dtype, tolerance in ((float, TIGHT), (np.float32, None)):
        some = some.astype(dtype)
        options = {"tolerance": tolerance, "again": False}
        checks.value(mine.usage, used, some, **options)
        checks.value(mine.information, told, some, **options)
        q = np.array(rows(some), dtype).T.copy().T
        checks.value(mine.effective_number, number, q, tolerance=tolerance)
        weight, experts, x, t = problem(r, 4, 3, 2)
        views = np.asfortranarray(weight)[::-1], experts.T.copy().T, x[::-1], t[::-1]
        args = [a.astype(dtype) for a in (*views, np.array([3.0, 1, 0.5])[::-1])]
        checks.value(mine.train, trained, *args, 0.1, tolerance=tolerance)
        for count, lr in ((2, 0.1), (2, 0.0), (0, 0.1)):
            args[4] = args[4][:count]
            found = mine.train(*args, lr)
            if count == 0 and len(found) == 3:
                text = f"train: after no steps numbers must be {args[2].dtype}, as x is"
                good = getattr(found[2], "dtype", None) == args[2].dtype
                checks.true(good, text, "no steps")
            checks.value(mine.train, trained, *args, lr, tolerance=tolerance)
            for result in found:
                shared = any(np.shares_memory(result, a) for a in args)
                text = "train: a result shares memory with an argument; make new arrays"
                checks.true(not shared, text, ("shared", count, lr))


@cache
def target(seed):
    """Where expert 0 is preferred by far; |u . x| of 64 points in the plane."""
    rng, c, k = np.random.default_rng(seed), 3, 4
    x, u = rng.standard_normal((64, c)), rng.standard_normal(c - 1)
    x[:, -1] = 1
    weight, experts = 0.1 * rng.standard_normal((c, k)), rng.standard_normal((k, c))
    weight[-1, 0] += 8
    return weight, experts, x, abs(x[:, :-1] @ u) / np.linalg.norm(u)


FALLING = np.r_[np.linspace(30, 1, 200), np.ones(200)]


def plain_steps(weight, experts, x, t, temperatures, lr):
    """All steps, with arrays: `trained` would take too long."""
    for temperature in temperatures:
        z = x @ weight / temperature
        pi = np.exp(z - z.max(1)[:, None])
        pi /= pi.sum(1)[:, None]
        each = np.einsum("bc,kc->bk", x, experts)
        y = (pi * each).sum(1)
        scaled = pi * ((y - t) / len(x))[:, None]
        gweight = x.T @ (scaled * (each - y[:, None]) / temperature)
        experts = experts - lr * np.einsum("bk,bc->kc", scaled, x)
        weight = weight - lr * gweight
    return weight, experts


@knock.check("it learns while T falls, and not with T = 1 from such a start", late=True)
def learns(mine, r):
    def mean(fit, seed, temperatures):
        weight, experts = fit(*target(seed), temperatures, 1.0)[:2]
        return loss(weight, experts, *target(seed)[2:], 1.0)

    def yours(seed):
        return mean(mine.train, seed, FALLING)

    def theirs(seed):
        return mean(plain_steps, seed, FALLING)

    def collapsed(seed):
        return mean(plain_steps, seed, np.ones(400))

    checks.learns(yours, theirs, "|u . x| of 64 points while T falls from 30 to 1")
    what = "|u . x|, T falling, beside T = 1 all the time (0.7 times its loss)"
    checks.learns(yours, collapsed, what, slack=0.7)
    numbers = mine.train(*target(0), np.ones(400), 1.0)[2]
    text = "train: with T = 1 from an unfair start N must stay below 1.1; got up to "
    checks.true(max(numbers) < 1.1, text + f"{max(numbers):.3g}", np.array(numbers))


USAGE = "return (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)"
LOGS = "logs = np.log(np.where(q > 0, q, 1))"
NUMBER = "return np.exp(-(q * logs).sum(axis=-1))"
DEAD = "return usage(shares) < least / shares.shape[1]"
ROW = "    rows = shares / shares.sum(axis=1, keepdims=True)\n"
INFO = "return np.log(effective_number(usage(shares))) - entropies.mean()"
COPY = "weight, experts, numbers = weight.copy(), experts.copy(), []"
APPEND = "numbers.append(effective_number(usage(pi)))"
EXP = "e = np.exp((z - z.max(axis=1, keepdims=True)) / temperature)"
ERROR = "error = ((pi * outputs).sum(axis=1) - t) / len(x)"
GZ = "gz = pi * (gpi - (gpi * pi).sum(axis=1, keepdims=True)) / temperature"
EXPERTS = "experts -= lr * (error[:, None] * pi).T @ x"
WEIGHT = "weight -= lr * x.T @ gz"
RETURN = "return weight, experts, np.array(numbers, x.dtype)"


def wrong(name, diagnosis, old, new):
    knock.wrong(name, diagnosis, (old, new))


why = "the rows are not divided by their sums: images with large shares count more"
wrong("sums of the rows", why, USAGE, "return shares.sum(axis=0) / shares.sum()")
why = "the shares do not sum to 1: divide each row by its sum"
wrong("plain mean", why, USAGE, "return shares.mean(axis=0)")
why = "you count how often an expert is the first; its shares count"
new = "return np.eye(shares.shape[1], dtype=shares.dtype)[shares.argmax(1)].mean(0)"
wrong("first only", why, USAGE, new)
why = "the usage is a sum over the batch; it is a mean"
wrong("sum of the batch", why, USAGE, USAGE.replace("mean", "sum"))
why = "the means are over the experts; they must be over the images"
wrong("mean over experts", why, USAGE, USAGE.replace("mean(axis=0)", "mean(axis=1)"))
why = "you divide by 1e-6 at least; shares may be as small as they like"
wrong("sums of 1e-6", why, USAGE, USAGE.replace("True)", "True).clip(1e-6)"))
why = "0 * log 0 is NaN in floats; here it is 0"
wrong("NaN for zeros", why, LOGS, "logs = np.log(q)")
why = "you add a small number in the logarithm, which is then wrong for small shares"
wrong("epsilon", why, LOGS, "logs = np.log(q + q.dtype.type(1e-8))")
why = "where a share is 0, NumPy warns of log 0"
wrong("warning", why, LOGS, "logs = np.where(q > 0, np.log(q), 0)")
why = "shares below 1e-10 are left out; only 0 is nothing"
wrong("small is nothing", why, LOGS, "logs = np.log(np.where(q > 1e-10, q, 1))")
why = "this is the entropy; the effective number is e to the entropy"
wrong("entropy", why, NUMBER, "return -(q * logs).sum(axis=-1)")
why = "this is 2 to the entropy; it must be e, as the logarithm is the natural one"
wrong("power of 2", why, NUMBER, "return 2 ** -(q * logs).sum(axis=-1)")
why = "the sign of the entropy is wrong: the number is below 1"
wrong("sign", why, NUMBER, "return np.exp((q * logs).sum(axis=-1))")
why = "1 / (sum of squares) is another effective number; take e to the entropy"
wrong("inverse Simpson", why, NUMBER, "return 1 / (q * q).sum(axis=-1)")
why = "you count the experts that are used at all"
wrong("counted", why, NUMBER, "return (q > 0).sum(axis=-1).astype(q.dtype)")
why = "the sum is over all numbers; it must be along the last axis"
wrong("sum over all", why, NUMBER, NUMBER.replace("axis=-1", ""))
why = "least is a part of an even share, 1 / K; you compare with least itself"
wrong("least itself", why, DEAD, "return usage(shares) < least")
why = "an expert with exactly least / K lives: below, not at most"
wrong("at most", why, DEAD, DEAD.replace("<", "<="))
why = "with least = 0 nothing is dead: a usage of 0 is not below 0"
wrong("unused is dead", why, DEAD, DEAD + " + (usage(shares) == 0)")
why = "you give the experts that live"
wrong("alive", why, DEAD, DEAD.replace("<", ">="))
why = "an expert is dead by its mean share, not by its largest"
new = "return shares.max(axis=0) / shares.max() < least / shares.shape[1]"
wrong("largest share", why, DEAD, new)
why = "you compare with least / N; an even share is 1 / K"
wrong("least of the images", why, DEAD, DEAD.replace("shape[1]", "shape[0]"))
why = "I is a difference of entropies, not of effective numbers"
new = "return effective_number(usage(shares)) - effective_number(rows).mean()"
wrong("difference of numbers", why, INFO, new)
why = "the entropies of the rows are missing"
wrong("entropy of the usage", why, INFO, INFO.replace(" - entropies.mean()", ""))
why = "the sign of I is wrong: it is never below 0"
wrong("negative", why, INFO, INFO.replace("return", "return -(") + ")")
why = "the rows are not divided by their sums in information"
wrong("rows as they are", why, ROW, "    rows = shares\n")
why = "you add up the entropies of the rows; it is their mean"
wrong("sum of entropies", why, INFO, INFO.replace("mean", "sum"))
why = "the temperature is ignored in training"
wrong("no temperature", why, EXP, EXP.replace(" / temperature", ""))
why = "the first temperature is used in all steps"
wrong("first temperature", why, EXP, EXP.replace("temperature", "temperatures[0]"))
why = "scores are clipped; of two large ones the larger is preferred, too"
wrong("scores clipped", why, EXP, "z = np.clip(z, -700, 700)\n        " + EXP)
why = "the gradient by the scores is not divided by T"
wrong("T forgotten", why, GZ, GZ.replace(" / temperature", ""))
why = "the derivative of the softmax is not that of each share alone"
wrong("diagonal only", why, GZ, "gz = gpi * pi * (1 - pi) / temperature")
why = "the router does not learn"
wrong("frozen router", why, WEIGHT, "weight -= 0 * lr * x.T @ gz")
why = "the router stops learning after some steps"
new = WEIGHT.replace("lr", "lr * (len(numbers) <= 30)")
wrong("30 steps", why, WEIGHT, new)
why = "the experts do not learn"
wrong("frozen experts", why, EXPERTS, EXPERTS.replace("lr", "0 * lr"))
why = "the gradient by the experts is made without the shares"
wrong("no shares", why, EXPERTS, EXPERTS.replace("* pi)", "* (0 * pi + 1))"))
why = "errors are clipped; large ones count as they are"
wrong(
    "clipped",
    why,
    ERROR,
    ERROR.replace("= (", "= np.clip(").replace("t) /", "t, -100, 100) /"),
)
why = "you go up: subtract the gradient"
wrong("up", why, EXPERTS, EXPERTS.replace("-=", "+="))
why = "the error is not divided by N: the loss is a mean"
wrong("sum of errors", why, ERROR, ERROR.replace(" / len(x)", ""))
why = "the loss has a factor 1/2: the gradient is the error, not twice of it"
wrong("no half", why, ERROR, ERROR.replace("= (", "= 2 * ("))
why = "the experts change before the router's gradient is taken: use those from before"
new = EXPERTS + "\n        gpi = error[:, None] * (x @ experts.T)\n        " + GZ
wrong("one after the other", why, EXPERTS, new)
why = "N is that of the shares after the step; take those in the step"
knock.wrong(
    "numbers one step late",
    why,
    (
        RETURN,
        "late = trainer(weight, x, temperatures)\n"
        "    return weight, experts, np.array(numbers[1:] + late, x.dtype)\n\n\n"
        "def trainer(weight, x, temperatures):\n"
        "    if len(temperatures) == 0:\n        return []\n"
        "    z = x @ weight / temperatures[-1]\n"
        "    e = np.exp(z - z.max(axis=1, keepdims=True))\n"
        "    return [effective_number(usage(e))]",
    ),
)
why = "numbers are means of N over the rows; take N of the usage"
wrong("N of the rows", why, APPEND, "numbers.append(effective_number(pi).mean())")
why = "weight and experts are changed in place; they belong to whoever called"
wrong("in place", why, COPY, "numbers = []")
why = "usage is float64 even for float32"
wrong("usage float64", why, USAGE, USAGE + ".astype(float)")
why = "with lr = 0 the arguments themselves come back; make new arrays"
new = f"if lr == 0:\n        return given + (np.array(numbers, x.dtype),)\n    {RETURN}"
knock.wrong(
    "shared", why, (COPY, "given = weight, experts\n    " + COPY), (RETURN, new)
)
why = "after no steps numbers is float64 even for float32"
wrong(
    "no steps", why, RETURN, RETURN.replace("x.dtype", "x.dtype if numbers else float")
)
why = "numbers are float64 even for float32"
wrong("numbers float64", why, RETURN, RETURN.replace("x.dtype", "float"))
