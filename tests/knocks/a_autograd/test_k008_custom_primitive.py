"""Grader of k008: two primitives of one's own, softsign and hypot."""

import math
from contextlib import contextmanager
from functools import wraps

import numpy as np

import minidl
from minidl.errors import MinidlError
from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake
from minidl.primitive import REGISTRY as OPS
from minidl.samples import S
from minidl.testing import check_op

knock = Grader(
    hints=[
        "The forwards are one line of NumPy each. For the vjps, write the derivative "
        "from the docstring down as it stands, times g, with Tensors for letters.",
        "abs(x), x * y, x / y and x ** 2 work on Tensors and are recorded. Do not take "
        ".data or .detach(): the second derivative would not see what you do there. "
        "The derivative of hypot is shortest with y, which is given.",
        "softsign: x / (1 + np.abs(x)), vjp g / (1 + abs(x)) ** 2. hypot: "
        "np.sqrt(a * a + b * b), vjps g * (a / y) and g * (b / y).",
    ],
)


def softsign(x):
    """The definition, one element at a time."""
    y = np.zeros(x.shape, x.dtype)
    for at in np.ndindex(*x.shape):
        y[at] = float(x[at]) / (1 + math.fabs(float(x[at])))
    return y


def softsign_gradient(g, x):
    """Its derivative times g."""
    y = np.zeros(x.shape)
    for at in np.ndindex(*x.shape):
        y[at] = g[at] / (1 + math.fabs(x[at])) ** 2
    return y


def hypot(a, b):
    """The definition, one element at a time."""
    a, b = np.broadcast_arrays(a, b)
    y = np.zeros(a.shape, a.dtype)
    for at in np.ndindex(*a.shape):
        y[at] = math.sqrt(float(a[at]) ** 2 + float(b[at]) ** 2)
    return y


def hypot_gradient_a(g, a, b):
    """Its derivative by a, for shapes that are alike, times g."""
    y = np.zeros(a.shape)
    for at in np.ndindex(*a.shape):
        y[at] = g[at] * a[at] / math.sqrt(a[at] ** 2 + b[at] ** 2)
    return y


def hypot_gradient_b(g, a, b):
    return hypot_gradient_a(g, b, a)


@contextmanager
def primitives(mine):
    """The learner's two primitives, known to minidl for as long as the block runs."""
    before = dict(OPS)
    try:
        yield mine.register()
    finally:
        for name in OPS.keys() - before.keys():
            del OPS[name]


def first(op, name):
    """backward(g, *xs) by minidl through ``op``, from arrays to arrays."""

    def backward(g, *xs):
        leaves = [minidl.Tensor(x, True) for x in xs]
        found = minidl.grad(op(*leaves), leaves, minidl.Tensor(np.asarray(g)))
        found = tuple(gx.data for gx in found)
        return found if len(found) > 1 else found[0]

    backward.__name__ = f"gradient_of_{name}"
    return backward


def second(op, name, i):
    """The gradients by g and all xs of what ``op``'s vjp number ``i`` gives."""

    def backward(v, g, *xs):
        leaves = [minidl.Tensor(np.asarray(a), True) for a in (g, *xs)]
        y = op(*leaves[1:])
        gx = minidl.grad(y, leaves[1 + i], leaves[0], create_graph=True)[0]
        if not gx.requires_grad:
            raise Mistake(
                f"{name}: its vjp is made of constants: minidl recorded nothing of it, "
                "so there is no second derivative. Write it in operations on Tensors",
                gx.data,
            )
        found = minidl.grad(gx, leaves, minidl.Tensor(np.asarray(v)), allow_unused=True)
        return tuple(
            np.zeros(leaf.shape) if part is None else part.data
            for part, leaf in zip(found, leaves)
        )

    backward.__name__ = f"second_derivatives_of_{name}"
    return backward


def away(r, *shape):
    """Numbers of both signs, not near 0, where |x| has a kink."""
    signs = np.where(r.rng.random(shape) < 0.5, -1.0, 1.0)
    return np.asarray(r.positive(*shape) * signs)


def named(r):
    """A few shapes: plain, one number, a single row, three axes."""
    n, m = r.size(1, 3), r.size(2, 3)
    return [(m,), (n, m), (), (1, 1), (2, n, m)]


def pairs(r):
    """Pairs of shapes that broadcast."""
    n, m = r.size(2, 3), r.size(2, 4)
    return [((m,), (m,)), ((n, m), (m,)), ((n, 1), (1, m)), ((), (n, m)), ((n, m), ())]


@knock.check("softsign: values, at small and large numbers, in float64 and float32")
def softsign_value(mine, r):
    checks.value(mine.softsign, softsign, np.array([1.0, -2.0, 3.0]))
    checks.value(mine.softsign, softsign, np.array([0.0, -1e6, 1e6]))
    for shape in named(r):
        checks.value(mine.softsign, softsign, r(*shape))
    x = (3 * r(3, 4)).astype("float32")[:, ::-1]
    checks.value(mine.softsign, softsign, x)
    checks.value(mine.softsign, softsign, r(3, 4).T)
    checks.value(mine.softsign, softsign, r(0, 2))
    tiny = np.array([0.0, 3e-9, -4e-12])
    checks.value(_scaled(mine.softsign), _scaled(softsign), tiny)


def alone(vjp, name):
    """A vjp called by itself, from arrays to an array."""

    def function(g, *xs):
        found = vjp(*(minidl.Tensor(np.asarray(a)) for a in (g, *xs)))
        if not isinstance(found, minidl.Tensor):
            kind = type(found).__name__
            raise Mistake(f"{name} must give a Tensor; got {kind}", kind)
        return found.data

    function.__name__ = name
    return function


def _scaled(f):
    """``f``'s results times 1e9."""

    @wraps(f)
    def function(*args):
        return np.asarray(f(*args)) * 1e9

    return function


@knock.check("softsign: first derivative")
def softsign_first(mine, r):
    with primitives(mine) as (op, _):
        backward = first(op, "softsign")
        checks.gradient(backward, softsign, away(r, 3), r=r)
        for shape in named(r):
            checks.gradient(backward, softsign, away(r, *shape), r=r)
        checks.gradient(backward, softsign, np.array([0.0, 1.0, -5.0, 20.0]), r=r)
        checks.gradient(backward, softsign, np.array([200.0, -300.0]), r=r)


@knock.check("softsign: second derivative")
def softsign_second(mine, r):
    with primitives(mine) as (op, _):
        backward = second(op, "softsign", 0)
        for shape in named(r):
            g, x = r(*shape), away(r, *shape)
            checks.gradient(backward, softsign_gradient, g, x, r=r)


@knock.check("hypot: values, also of shapes that broadcast, in float64 and float32")
def hypot_value(mine, r):
    checks.value(mine.hypot, hypot, np.array([3.0, -8.0]), np.array([4.0, 6.0]))
    for one, two in pairs(r):
        checks.value(mine.hypot, hypot, r(*one), r(*two))
    a, b = r(3, 4).astype("float32"), r(4, 3).astype("float32").T
    checks.value(mine.hypot, hypot, a, b)
    checks.value(mine.hypot, hypot, np.zeros(2), np.zeros(2))
    a, b = np.array([0.0, 3e-9, -5e-15]), np.array([0.0, -4e-9, 12e-15])
    checks.value(_scaled(mine.hypot), _scaled(hypot), a, b)
    for i in range(len(a)):
        got, want = mine.hypot(a[i:], b[i:])[:1], hypot(a[i:], b[i:])[:1]
        checks.equal(got, want, f"hypot({a[i]:g}, {b[i]:g})", tolerance=(1e-9, 0))
    large = np.array([3e100, 1.0]), np.array([4e100, -1e8])
    checks.value(mine.hypot, hypot, *large)


@knock.check("hypot: each vjp by itself gives the broadcast shape of g, unsummed")
def hypot_alone(mine, r):
    for one, two in [((3,), (3,)), *pairs(r), ((1,), (1, 1))]:
        a, b = away(r, *one), away(r, *two)
        y = hypot(a, b)
        g, (wide, high) = r(*y.shape), np.broadcast_arrays(a, b)
        want = hypot_gradient_a(g, wide, high), hypot_gradient_b(g, wide, high)
        for i, name in enumerate(("hypot_vjp_a", "hypot_vjp_b")):
            vjp = alone(getattr(mine, name), name)
            checks.value(vjp, lambda *_, w=want[i]: w, g, y, a, b, again=False)
    g, a, b = np.array([2.0]), np.array([3e-9]), np.array([4e-9])
    for name, want in (("hypot_vjp_a", 1.2), ("hypot_vjp_b", 1.6)):
        got = alone(getattr(mine, name), name)(g, hypot(a, b), a, b)
        checks.equal(got, np.array([want]), f"{name} at a = 3e-9, b = 4e-9, g = 2")


@knock.check("hypot: first derivatives by both arguments, also broadcast")
def hypot_first(mine, r):
    with primitives(mine) as (_, op):
        backward = first(op, "hypot")
        for one, two in pairs(r):
            checks.gradient(backward, hypot, away(r, *one), away(r, *two), r=r)
        a = np.array([0.0, 2.0, -3.0])
        checks.gradient(backward, hypot, a, np.array([1.5, 0.0, 4.0]), r=r)


@knock.check("hypot: second derivatives, the mixed ones too", points=2)
def hypot_second(mine, r):
    with primitives(mine) as (_, op):
        for shape in ((2,), (1, 3), ()):
            args = r(*shape), away(r, *shape), away(r, *shape)
            for i, oracle in enumerate((hypot_gradient_a, hypot_gradient_b)):
                name = f"hypot_vjp_{'ab'[i]}"
                checks.gradient(second(op, name, i), oracle, *args, r=r)


@knock.check("both pass minidl's own test of a primitive: float32, odd memory layouts")
def own_test(mine, r):
    n, m = r.size(1, 3), r.size(2, 3)
    with primitives(mine) as (one, two):
        samples = [(one, S(away(r, n, m))), (one, S(away(r, m)))]
        samples.append((two, S(away(r, n, m), away(r, n, m))))
        samples.append((two, S(away(r, n, 1), away(r, m))))
        for op, sample in samples:
            try:
                check_op(op, sample)
            except MinidlError as error:
                raise Mistake(f"minidl's test of {op.name}: {error}") from None


knock.wrong(
    "size forgotten",
    "the line below 1 + x must have |x|: without it, softsign has a pole at -1",
    ("x / (1 + np.abs(x))", "x / (1 + x)"),
)
knock.wrong(
    "softsign's g ignored",
    "the vjp of softsign ignores g: multiply the derivative by what comes from above",
    ("return g / (1 + abs(x)) ** 2", "return 0 * g + 1 / (1 + abs(x)) ** 2"),
)
knock.wrong(
    "not squared",
    "the derivative of softsign is 1 / (1 + |x|)^2; your vjp lacks the square",
    ("(1 + abs(x)) ** 2", "(1 + abs(x))"),
)
knock.wrong(
    "softsign's sign",
    "softsign rises everywhere: its derivative is positive, yours is negative",
    ("return g / (1 + abs(x))", "return -g / (1 + abs(x))"),
)
knock.wrong(
    "slope of |x| taken as 1",
    "right where x > 0 only: by the quotient rule the derivative of the line below "
    "comes in, and that of |x| is -1 for negative x",
    ("return g / (1 + abs(x))", "return g * (1 + abs(x) - x) / (1 + abs(x))"),
)
knock.wrong(
    "computed on arrays",
    "your vjp of softsign works on .data: for minidl the result is g times a constant, "
    "so the second derivative by x is 0",
    ("return g / (1 + abs(x)) ** 2", "return g / (1 + np.abs(x.data)) ** 2"),
)
knock.wrong(
    "nothing recorded",
    "your vjp of softsign leaves Tensors for arrays altogether: neither g nor x is in "
    "the graph of what comes back",
    (
        "return g / (1 + abs(x)) ** 2",
        "return type(g)(g.data / (1 + np.abs(x.data)) ** 2)",
    ),
)
knock.wrong(
    "sum of sizes",
    "hypot is the root of the sum of squares, not the sum of the sizes",
    ("np.sqrt(a * a + b * b)", "np.abs(a) + np.abs(b)"),
)
knock.wrong(
    "a small number under the root",
    "a small number is added under the root: hypot(0, 0) is 0, and hypot of tiny "
    "numbers is as exact as any",
    ("np.sqrt(a * a + b * b)", "np.sqrt(a * a + b * b + 1e-12)"),
)
knock.wrong(
    "a small number added to y",
    "a small number is added to y: where a and b are tiny it is not small",
    ("return g * (a / y)", "return g * (a / (y + 1e-12))"),
    ("return g * (b / y)", "return g * (b / (y + 1e-12))"),
)
knock.wrong(
    "summed already",
    "your vjp adds up what was broadcast: the engine does that, after it; give the "
    "shape of g",
    (
        "return g * (a / y)",
        "ga = g * (a / y)\n"
        "    while ga.ndim > a.ndim:\n        ga = ga.sum(0)\n"
        "    for axis, n in enumerate(a.shape):\n"
        "        if n < ga.shape[axis]:\n"
        "            ga = ga.sum(axis, keepdim=True)\n"
        "    return ga",
    ),
)
knock.wrong(
    "root forgotten",
    "the root is missing: you give the square of hypot",
    ("np.sqrt(a * a + b * b)", "(a * a + b * b)"),
)
knock.wrong(
    "not divided by y",
    "the derivative of hypot by a is a / y: the outer derivative, that of the root, is "
    "missing",
    ("return g * (a / y)", "return g * a"),
    ("return g * (b / y)", "return g * b"),
)
knock.wrong(
    "arguments exchanged",
    "the vjps of a and of b are exchanged",
    ("return g * (a / y)", "return g * b / y"),
    ("return g * (b / y)", "return g * a / y"),
)
knock.wrong(
    "hypot's g ignored",
    "the vjps of hypot ignore g, the gradient from above",
    ("return g * (a / y)", "return 0 * g + a / y"),
    ("return g * (b / y)", "return 0 * g + b / y"),
)
knock.wrong(
    "y taken as constant",
    "y depends on a and b too: by y.detach() (or y.data) its part of the second "
    "derivative is lost",
    ("return g * (a / y)", "return g * (a / y.detach())"),
    ("return g * (b / y)", "return g * (b / y.detach())"),
)
knock.wrong(
    "always float64",
    "float32 becomes float64 on the way: make no float64 arrays inside",
    ("return x / (1 + np.abs(x))", "return x / (np.ones(x.shape) + np.abs(x))"),
)
