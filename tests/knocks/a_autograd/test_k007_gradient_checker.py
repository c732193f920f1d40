"""Grader of k007: the gradient checker, judged by what it accepts and rejects."""

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Which of your numbers does backward never see? Which could it destroy? What "
        "would happen if it gave you one gradient too few?",
        "Draw g once. Hand backward copies of g and of the xs, and look at the copies "
        "afterwards. Compare the shapes before you compare the numbers. Then loop over "
        "the arguments, and over np.ndindex(x.shape).",
        "For each i: kept = x[i]; x[i] = kept + h; above = (g * f(*xs)).sum(); "
        "x[i] = kept - h; below = (g * f(*xs)).sum(); x[i] = kept. Then "
        "np.allclose(gradient, numeric, rtol=1e-5, atol=1e-7).",
    ],
)


def verdict(mine, case, r):
    """What the checker says of one case; the case's arrays must survive it."""
    _, f, backward, xs = case
    given = [x.copy(order="K") if x.ndim else np.array(x) for x in xs]
    given = [x if x.ndim < 2 else np.asfortranarray(x) for x in given]
    answer = mine.check_gradient(f, backward, given, r.rng)
    if not isinstance(answer, bool | np.bool_):
        kind = "None" if answer is None else type(answer).__name__
        raise Mistake(f"check_gradient must return True or False; got {kind}", kind)
    changed = any(not np.allclose(a, b, 1e-9, 1e-12) for a, b in zip(given, xs))
    return bool(answer), changed


def judge(mine, cases, r, expected):
    """All verdicts on ``cases`` must be ``expected``; names the first that is not."""
    seen = [verdict(mine, case, r) for case in cases]
    verdicts = np.array([answer for answer, _ in seen])
    missed = [case for case, good in zip(cases, verdicts == expected) if not good]
    if missed:
        words = ("rejects a right", "accepts a wrong")[not expected]
        text = (
            f"your checker {words} backward: {missed[0][0]}\n    "
            f"{len(cases) - len(missed)} of {len(cases)} are judged rightly"
        )
        text += "".join(f"\n    also misjudged: {c[0]}" for c in missed[1:4])
        raise Mistake(text, verdicts)
    for case, (_, changed) in zip(cases, seen):
        sentence = f"check_gradient changes xs, with {case[0]}"
        evidence = "xs changed" if expected else "xs spoiled by backward"
        checks.true(not changed, sentence, evidence)


def apart(r, *shape):
    """Numbers of both signs, at least 0.3 away from 0, no two alike."""
    n = int(np.prod(shape))
    values = np.linspace(0.3, 1.5, n) + 0.4 / n * r.rng.random(n)
    signs = np.where(np.arange(n) % 2, -1.0, 1.0)
    return r.rng.permutation(values * signs).reshape(shape)


def square(x):
    return x * x


def right_cases(r):
    """(name, f, backward, xs): what must be accepted."""
    n, m, d = r.size(1, 3), r.size(2, 4), r.size(1, 3)
    w = r(m, d)
    cases = [
        ("f = 0 * x: all gradients are 0", lambda x: 0 * x, lambda g, x: (0 * g,),
         [r(n, m)]),
        ("f = x ** 3 at 0, where the gradient is 0", lambda x: x**3,
         lambda g, x: (3 * g * x**2,), [np.array([0.0, -1.0, 0.0, 2.0])]),
        ("f = a * b", lambda a, b: a * b, lambda g, a, b: (g * b, g * a),
         [r(n, m), r(n, m)]),
        ("f = x + b, b broadcast", lambda x, b: x + b,
         lambda g, x, b: (g, g.sum(axis=0)), [r(n, m), r(m)]),
        ("f = s * x, s a single number of shape ()", lambda s, x: s * x,
         lambda g, s, x: ((g * x).sum(), g * s), [r(), r(n, m)]),
        ("f = a @ b", lambda a, b: a @ b, lambda g, a, b: (g @ b.T, a.T @ g),
         [r(n, m), r(m, d)]),
        ("f = x.T, a view of its input", lambda x: x.T, lambda g, x: (g.T,),
         [r(n, m)]),
        ("f = x, its input itself", lambda x: x, lambda g, x: (g,), [r(m)]),
        ("f = max(x, 0)", lambda x: np.maximum(x, 0), lambda g, x: (g * (x > 0),),
         [apart(r, n, m)]),
        ("f = the sum of x, one number", lambda x: x.sum(),
         lambda g, x: (np.broadcast_to(g, x.shape),), [r(n, m)]),
        ("f = a, which does not depend on b", lambda a, b: a + 0,
         lambda g, a, b: (g, np.zeros(b.shape)), [r(m), r(n)]),
        ("f = sin(20 x), strongly curved", lambda x: np.sin(20 * x),
         lambda g, x: (20 * g * np.cos(20 * x),), [r(n, m)]),
        ("f = 3000 x, large", lambda x: 3000 * x, lambda g, x: (3000 * g,),
         [100 * apart(r, 1)]),
        ("f = 0.001 x, small", lambda x: 0.001 * x, lambda g, x: (0.001 * g,),
         [r(n, m)]),
        ("f = 1000 x * x at 0, the bottom of a valley", lambda x: 1000 * x * x,
         lambda g, x: (2000 * g * x,), [np.zeros(1)]),
        ("f = log(exp(x)) - x, which is 0 up to rounding",
         lambda x: np.log(np.exp(x)) - x, lambda g, x: (0 * g,), [r(6, 6)]),
        ("f = softmax(x)", softmax, softmax_backward, [r(n, m)]),
        ("f = x @ w with w fixed, x of one row", lambda x: x @ w,
         lambda g, x: (g @ w.T,), [r(1, m)]),
        ("f = a + b * c, three arguments", lambda a, b, c: a + b * c,
         lambda g, a, b, c: (g.sum(), (g * c).sum(0), g * b), [r(), r(m), r(n, m)]),
        ("f = 30 a + 0.1 b, a large and a small gradient",
         lambda a, b: 30 * a + 0.1 * b, lambda g, a, b: (30 * g, 0.1 * g),
         [r(2), r(2)]),
    ]
    return cases


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_backward(g, x):
    y = softmax(x)
    return (y * (g - (g * y).sum(axis=-1, keepdims=True)),)


def wrong_formulas(r):
    """Wrong numbers in the right shape."""
    n, m = r.size(2, 3), r.size(2, 4)
    x, k = apart(r, n, m), r.size(2, 3)
    big, many = apart(r, 6, 6), apart(r, 20, 15)
    mixed = np.where(np.arange(12) % 2, 3000.0, 0.003)
    small = np.where(np.arange(12) % 2, 3000.0, 0.006)

    def last(gradient):
        gradient = np.array(gradient)
        gradient.flat[-1] += 0.01
        return (gradient,)

    def first(gradient):
        gradient = np.array(gradient)
        gradient.flat[0] += 1
        return (gradient,)

    def cube(x):
        return x**3

    return [
        ("f = x * x, and g, the gradient from above, is ignored: 2 x", square,
         lambda g, x: (2 * x,), [x]),
        ("f = x * x, with the sum of g in place of g", square,
         lambda g, x: (g.sum() * 2 * x,), [x]),
        ("f = sin(x), the sign flipped", np.sin, lambda g, x: (-g * np.cos(x),), [x]),
        ("f = x ** 1, and n * x ** (n - 1) comes out as 0 for n = 1",
         lambda x: x**1.0, lambda g, x: (0 * g,), [x]),
        ("f = x ** 3, one power too many left: 3 x", cube, lambda g, x: (3 * g * x,),
         [x]),
        ("f = x * x, one of the two paths forgotten: x", square,
         lambda g, x: (g * x,), [x]),
        ("f = a * b, wrong by a factor for the first argument only", lambda a, b: a * b,
         lambda g, a, b: (g * b * 2, g * a), [x, r(n, m)]),
        ("f = a * b, wrong by a factor for the second argument only",
         lambda a, b: a * b, lambda g, a, b: (g * b, g * a / 2), [x, r(n, m)]),
        ("f = a / b, the sign wrong for the second argument only", lambda a, b: a / b,
         lambda g, a, b: (g / b, g * a / b**2), [r(n, m), x]),
        ("f = a * b, the two gradients exchanged", lambda a, b: a * b,
         lambda g, a, b: (g * a, g * b), [x, r(n, m)]),
        ("f = a * b * c, wrong for the third argument only", lambda a, b, c: a * b * c,
         lambda g, a, b, c: (g * b * c, g * a * c, g * a), [x, r(n, m), r(n, m)]),
        ("f = |x|, wrong only where x < 0", np.abs, lambda g, x: (g.copy(),), [x]),
        ("f = leaky relu, wrong only where x > 0",
         lambda x: np.where(x > 0, x, 0.1 * x),
         lambda g, x: (np.where(x > 0, 0.1 * g, 0.1 * g),), [x]),
        ("f = x * x, wrong only in the last element, off by 0.01", square,
         lambda g, x: last(2 * g * x), [x]),
        ("f = x * x, wrong only in the first element, off by 1", square,
         lambda g, x: first(2 * g * x), [x]),
        ("f = x * x, wrong only where g < 0", square,
         lambda g, x: (2 * np.maximum(g, 0) * x,), [big]),
        ("f = x * x, a factor of 1.001", square, lambda g, x: (2.002 * g * x,), [x]),
        ("f = 0.01 x * x, a factor of 0.999: small, but as wrong",
         lambda x: 0.01 * square(x), lambda g, x: (0.01998 * g * x,), [x]),
        ("f = 1000 x * x, a factor of 1.001", lambda x: 1000 * square(x),
         lambda g, x: (2002 * g * x,), [x]),
        ("f = x * x, a NaN in the gradient", square,
         lambda g, x: (np.where(x == x.flat[0], np.nan, 2 * g * x),), [x]),
        ("f = x * x, all of it NaN", square, lambda g, x: (np.nan * g * x,), [x]),
        ("f = x * x, an infinity in the gradient", square,
         lambda g, x: (np.where(x == x.flat[0], np.inf, 2 * g * x),), [x]),
        ("f = x.T for square x, not turned back", lambda x: x.T, lambda g, x: (g,),
         [r(k, k)]),
        ("f = x[::-1], not turned back", lambda x: x[::-1], lambda g, x: (g,), [x]),
        ("f = the mean of x, the division forgotten", np.mean,
         lambda g, x: (g + 0 * x,), [x]),
        ("f = the sum of x * x over axis 0, g ignored", lambda x: square(x).sum(axis=0),
         lambda g, x: (2 * x,), [x]),
        ("f = s * s of one number, the sign flipped", square,
         lambda g, s: (-2 * g * s,), [np.array(0.7)]),
        ("f = softmax(x), the sum below the line taken as constant", softmax,
         lambda g, x: (g * softmax(x),), [x]),
        ("f = softmax(x), a gradient of 0 (what ones from above would give)", softmax,
         lambda g, x: (0 * g,), [x]),
        ("f = 3000 a + 0.003 b, the gradient of b twice too large",
         lambda a, b: 3000 * a + 0.003 * b, lambda g, a, b: (3000 * g, 0.006 * g),
         [r(12), r(12)]),
        ("f = 0.003 a + 3000 b, the gradient of a twice too large",
         lambda a, b: 0.003 * a + 3000 * b, lambda g, a, b: (0.006 * g, 3000 * g),
         [r(12), r(12)]),
        ("f = c * x, c = 0.003, 3000, 0.003, ...: wrong only where c is small",
         lambda x: mixed * x, lambda g, x: (small * g,), [r(12)]),
        ("f = x * x with 300 numbers, wrong only in the last", square,
         lambda g, x: last(2 * g * x), [many]),
    ]


def wrong_manners(r):
    """The numbers may be right, but shapes, counts or inputs are not."""
    n, m = r.size(2, 3), r.size(2, 4)
    x = apart(r, n, m)

    def doubles_x(g, x):
        x *= 2
        return (g * x,)

    def doubles_g(g, x):
        g *= 2
        return (g * x,)

    def second_input(g, a, b):
        gradients = g * b, g * a
        b *= 0
        return gradients

    return [
        ("f = x + b, the sum over the broadcast rows of b missing: shape (n, m)",
         lambda x, b: x + b, lambda g, x, b: (g, g), [x, r(m)]),
        ("f = x + b, the sum keeps its axis: shape (1, m) in place of (m,)",
         lambda x, b: x + b, lambda g, x, b: (g, g.sum(axis=0, keepdims=True)),
         [x, r(m)]),
        ("f = s * x, the gradient of the number s not summed: shape (n, m)",
         lambda s, x: s + x, lambda g, s, x: (np.full(x.shape, g.sum()), g),
         [r(), x]),
        ("f = the sum of x, one number for all of x: shape ()", lambda x: x.sum(),
         lambda g, x: (g,), [x]),
        ("f = the sum of x over axis 0, g not repeated for each row: shape (1, m)",
         lambda x: x.sum(axis=0), lambda g, x: (g[None],), [x]),
        ("f = 2 x for a row x, laid out flat: shape (m,) in place of (1, m)",
         lambda x: 2 * x, lambda g, x: (2 * g[0],), [r(1, m)]),
        ("f = a * b, only one gradient for two arguments", lambda a, b: a * b,
         lambda g, a, b: (g * b,), [x, r(n, m)]),
        ("f = x * x, two gradients for one argument", square,
         lambda g, x: (2 * g * x, g), [x]),
        ("f = x * x, the gradient is right, but x is changed in place", square,
         doubles_x, [x]),
        ("f = x * x, the gradient is right, but g is changed in place", square,
         doubles_g, [x]),
        ("f = a * b, the gradients are right, but b is set to 0", lambda a, b: a * b,
         second_input, [x, r(n, m)]),
    ]


@knock.check("f = x * x: g * 2 x is accepted; 2 x, g * x and -g * 2 x are rejected")
def simplest(mine, r):
    x = apart(r, 3)
    cases = [
        ("f = x * x, 2 g x", square, lambda g, x: (2 * g * x,), [x]),
        ("f = x * x, 2 x, where g is ignored", square, lambda g, x: (2 * x,), [x]),
        ("f = x * x, g x", square, lambda g, x: (g * x,), [x]),
        ("f = x * x, -2 g x", square, lambda g, x: (-2 * g * x,), [x]),
    ]
    verdicts = np.array([verdict(mine, case, r)[0] for case in cases])
    text = "your checker {} the backward {}"
    for case, received, expected in zip(cases, verdicts, (True, False, False, False)):
        words = "accepts" if received else "rejects"
        checks.true(received == expected, text.format(words, case[0]), verdicts)


@knock.check("g is drawn by rng: another one gives another g, the same the same")
def drawn(mine, r):
    seed, x, first = int(r.integers(1000)), apart(r, 3), []

    def backward(g, x):
        got.append(g.copy())
        return (2 * g * x,)

    for rng in map(np.random.default_rng, (seed, seed, seed + 1)):
        got = []
        mine.check_gradient(square, backward, [x], rng)
        checks.true(got, "check_gradient never calls backward", "not called")
        first.append(got[0])
    text = "check_gradient draws {} g from {}: use rng, which it is given"
    same = np.array_equal(first[0], first[1])
    checks.true(same, text.format("another", "two equal Generators"), "not from rng")
    same = np.array_equal(first[0], first[2])
    checks.true(not same, text.format("the same", "different Generators"), "always so")


@knock.check("right backward functions of all kinds are accepted", points=2)
def accepts(mine, r):
    judge(mine, right_cases(r), r, True)
    view = apart(r, 3, 8)[::-1, ::2]
    kept = view.copy()
    answer = mine.check_gradient(square, lambda g, x: (2 * g * x,), [view], r.rng)
    text = "your checker rejects a right backward: f = x * x, x a view with gaps"
    checks.true(answer, text, "view rejected")
    text = "check_gradient changes xs, with f = x * x, x a view with gaps"
    checks.true(np.allclose(view, kept, 1e-9, 1e-12), text, "view changed")


@knock.check("wrong formulas are rejected", points=3)
def formulas(mine, r):
    judge(mine, wrong_formulas(r), r, False)


@knock.check("wrong shapes, wrong counts and changed inputs are rejected", points=2)
def manners(mine, r):
    judge(mine, wrong_manners(r), r, False)


knock.wrong(
    "ones from above",
    "you feed ones as the gradient from above: a backward that ignores g, or is right "
    "for ones only, passes; draw g at random",
    ("g = rng.standard_normal(np.shape(f(*xs)))", "g = np.ones(np.shape(f(*xs)))"),
)
knock.wrong(
    "positive g",
    "your g has no negative elements, so what is wrong only there passes: draw it from "
    "the normal distribution",
    ("rng.standard_normal(np.shape(f(*xs)))", "rng.random(np.shape(f(*xs))) + 0.1"),
)
knock.wrong(
    "first argument only",
    "you look at the gradient by the first argument only",
    ("zip(xs, gradients):", "zip(xs[:1], gradients):"),
)
knock.wrong(
    "one element only",
    "you compare only one element of each gradient: mistakes hide in the others",
    (
        "if not np.allclose(gradient, numeric, rtol=1e-5, atol=1e-7)",
        "if not np.allclose(\n            np.ravel(gradient)[:1], numeric.ravel()[:1], "
        "1e-5, 1e-7\n        )",
    ),
)
knock.wrong(
    "too tolerant",
    "your tolerance is too large: a factor of 1.001 passes",
    ("rtol=1e-5", "rtol=1e-2"),
)
knock.wrong(
    "absolute tolerance too large",
    "your tolerance takes no account of the size of the gradient: what is small passes "
    "though it is wrong by a thousandth of itself",
    ("rtol=1e-5, atol=1e-7", "rtol=1e-5, atol=1e-3"),
)
knock.wrong(
    "purely relative",
    "where the gradient is 0, rounding is larger than any fraction of it: add a small "
    "absolute tolerance",
    ("rtol=1e-5, atol=1e-7", "rtol=1e-5, atol=0"),
)
knock.wrong(
    "no room for rounding",
    "your tolerance leaves no room for the rounding of f, which grows with the size of "
    "the gradient",
    ("rtol=1e-5, atol=1e-7", "rtol=0, atol=1e-8"),
)
knock.wrong(
    "one side only",
    "the difference to one side only is off by about h times the second derivative: "
    "right functions that are strongly curved are refused",
    ("x[i] = kept - h", "x[i] = kept"),
    ("(above - below) / (2 * h)", "(above - below) / h"),
)
knock.wrong(
    "step too small",
    "your step h is so small that rounding is all that is left of the difference",
    ("    h = 1e-6\n", "    h = 1e-13\n"),
)
knock.wrong(
    "step too large",
    "your step h is so large that the curve is no straight line over it",
    ("    h = 1e-6\n", "    h = 1e-2\n"),
)
knock.wrong(
    "shapes not compared",
    "you compare numbers without shapes: NumPy broadcasts, and a gradient of the wrong "
    "shape passes",
    (
        "if [np.shape(gradient) for gradient in gradients] != [x.shape for x in xs]",
        "if len(gradients) != len(xs)",
    ),
)
knock.wrong(
    "gradients not counted",
    "you do not count the gradients: zip stops at the shorter list, and one too few or "
    "too many passes",
    (
        "[np.shape(gradient) for gradient in gradients] != [x.shape for x in xs]",
        "[np.shape(a) for a, _ in zip(gradients, xs)] != [\n"
        "        x.shape for x, _ in zip(xs, gradients)\n    ]",
    ),
)
knock.wrong(
    "changed inputs unnoticed",
    "you do not look whether backward changed g or xs in place",
    (
        "if not all(np.array_equal(a, b) for a, b in zip(given, (g, *xs)))",
        "if False",
    ),
)
knock.wrong(
    "changed g unnoticed",
    "you look whether backward changed xs, but not whether it changed g",
    ("for a, b in zip(given, (g, *xs))", "for a, b in zip(given[1:], xs)"),
)
knock.wrong(
    "caller's arrays shifted",
    "you move the caller's own arrays and leave them moved",
    ("xs = [x.copy() for x in xs]", "xs = list(xs)"),
    ("            x[i] = kept\n", ""),
)
knock.wrong(
    "NaN passes",
    "a NaN compares as false with everything, so it passes: ask whether all elements "
    "are close, not whether one is far",
    (
        "if not np.allclose(gradient, numeric, rtol=1e-5, atol=1e-7)",
        "if (abs(gradient - numeric) > 1e-7 + 1e-5 * abs(numeric)).any()",
    ),
)
knock.wrong(
    "overwritten output",
    "f may give its input itself (or a view): then the next move of x changes what you "
    "kept; work out each weighted sum before you move x again",
    ("above = np.sum(g * f(*xs))", "above = f(*xs)"),
    ("below = np.sum(g * f(*xs))", "below = f(*xs)"),
    ("(above - below) / (2 * h)", "np.sum(g * (above - below)) / (2 * h)"),
)
knock.wrong(
    "measured by the largest",
    "you measure an error by the largest element of the gradient; a small element "
    "beside it may then be all wrong: measure each by its own size",
    (
        "rtol=1e-5, atol=1e-7",
        "rtol=0, atol=1e-7 + 1e-5 * abs(numeric).max()",
    ),
)
knock.wrong(
    "a generator of its own",
    "you draw g with a generator of your own, the same g at every call: use rng",
    (
        "rng.standard_normal(np.shape(f(*xs)))",
        "np.random.default_rng(0).standard_normal(np.shape(f(*xs)))",
    ),
)
knock.wrong(
    "spoiled by backward",
    "you give backward the caller's own arrays; if it writes into them, they stay "
    "spoiled: give it copies",
    ("xs = [x.copy() for x in xs]", "xs = list(xs)"),
    ("backward(*given)", "backward(g, *xs)"),
)
