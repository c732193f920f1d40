"""Grader of k002: the chain rule."""

import math

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Which numbers do the slopes need? All of them are there while you run "
        "forwards: do not let them go.",
        "Run forwards first, and before every f put the number that goes into it in a "
        "list. Then walk through steps and list from behind, and multiply.",
        "inputs = []; for f, df in steps: inputs.append(x); x = f(x). Then: for i in "
        "reversed(range(len(steps))): g = g * steps[i][1](inputs[i]).",
    ],
)
EXACT = (1e-9, 0.0)


class Chain(list):
    """A list of steps that is drawn by the names of its functions."""

    def __repr__(self):
        return f"[{', '.join(f.__name__ for f, _ in self)}]"


def named(name, f, df):
    """A step whose function has a name to be shown by."""

    def function(x):
        return f(x)

    function.__name__ = name
    return function, df


SQUARE = named("square", lambda x: x * x, lambda x: 2 * x)
CUBE = named("cube", lambda x: x**3, lambda x: 3 * x**2)
GENTLE = [
    named("sin", math.sin, math.cos),
    named("cos", math.cos, lambda x: -math.sin(x)),
    named("tanh", math.tanh, lambda x: 1 - math.tanh(x) ** 2),
    named("half", lambda x: x / 2, lambda x: 0.5),
    named("bell", lambda x: math.exp(-x * x), lambda x: -2 * x * math.exp(-x * x)),
    named("root", lambda x: math.sqrt(1 + x * x), lambda x: x / math.sqrt(1 + x * x)),
    named("minus", lambda x: 0.3 - x, lambda x: -1.0),
]
DRIFT = named("drift", lambda x: x + 0.1 * math.sin(x), lambda x: 1 + 0.1 * math.cos(x))
LENGTH = 5_000


def output(x, steps):
    for i in range(len(steps)):
        x = steps[i][0](x)
    return x


def gradient(g, x, steps):
    """Carried along forwards: the value, and how fast it grows with x."""
    speed = 1.0
    for f, df in steps:
        x, speed = f(x), speed * df(x)
    return g * speed


def agrees(mine, g, x, steps):
    checks.value(mine.compose, output, x, steps, tolerance=EXACT)
    checks.value(mine.compose_backward, gradient, g, x, steps, tolerance=EXACT)


def number(r):
    """Positive or negative, never near zero."""
    return r.choice([-1, 1]) * float(r.positive())


@knock.check("compose runs x through the steps, the first one first")
def forwards(mine, r):
    x = r.choice([2.0, 3.0, 5.0])
    checks.value(mine.compose, output, x, Chain([SQUARE, CUBE]))
    half_first = Chain([GENTLE[3], SQUARE])
    checks.value(mine.compose, output, x, half_first)


@knock.check("one step: g times its slope")
def one_step(mine, r):
    g, x = r.choice([7.0, 11.0]), r.choice([3.0, 5.0])
    checks.value(mine.compose_backward, gradient, g, x, Chain([SQUARE]))


@knock.check("two steps: each slope where its own step stood")
def two_steps(mine, r):
    g, x = r.choice([7.0, 11.0]), r.choice([3.0, 5.0])
    checks.value(mine.compose_backward, gradient, g, x, Chain([SQUARE, CUBE]))
    checks.value(mine.compose_backward, gradient, g, x, Chain([CUBE, SQUARE]))


@knock.check("random chains: of no step, of many, of the same step again", points=2)
def chains(mine, r):
    for length in 0, 1, 2, 3, 4, 5, r.size(6, 9):
        for _ in range(3):
            steps = Chain(r.choice(GENTLE) for _ in range(length))
            agrees(mine, number(r), number(r), steps)
    for step in GENTLE:
        agrees(mine, number(r), number(r), Chain([step] * r.size(2, 4)))
    agrees(mine, 0.0, number(r), Chain(GENTLE))
    agrees(mine, number(r), 0.0, Chain([GENTLE[0], DRIFT, GENTLE[3], SQUARE, CUBE]))


@knock.check("nothing is kept: the same list of steps again, with other numbers")
def nothing_kept(mine, r):
    first, second = Chain([SQUARE, CUBE]), Chain([GENTLE[0], DRIFT])
    x, y, g = 1.5, 2.5, r.choice([7.0, 11.0])
    steps = Chain(first)
    what = "compose_backward(g, x, steps), after compose at another x"
    mine.compose(x, steps)
    given = f"    steps = {steps}, compose at {x}, compose_backward at {y}"
    received = mine.compose_backward(g, y, steps)
    checks.equal(received, gradient(g, y, steps), what, given=given, tolerance=EXACT)
    what = "compose_backward(g, x, steps), called again"
    for z in y, x, float(r()), -x:
        received, given = mine.compose_backward(g, z, steps), f"    x = {z}"
        expected = gradient(g, z, steps)
        checks.equal(received, expected, what, given=given, tolerance=EXACT)
    steps[:] = second  # the same list, with other steps in it
    what += " with other steps in the same list"
    for z in -x, x:
        received, given = mine.compose_backward(g, z, steps), f"    x = {z}"
        expected = gradient(g, z, steps)
        checks.equal(received, expected, what, given=given, tolerance=EXACT)
        expected = output(z, steps)
        checks.equal(mine.compose(z, steps), expected, "compose", tolerance=EXACT)


@knock.check("a chain of 5,000 steps, in which every f and df is called once at most")
def long_chain(mine, r):
    what = "compose_backward(g, x, steps) of 5,000 steps"
    calls = {}

    def counted(i, kind, f):
        def function(x):
            calls[i, kind] = calls.get((i, kind), 0) + 1
            if calls[i, kind] > 1:
                raise Mistake(
                    f"{what} calls the same {kind} more than once; once each is "
                    "enough: keep what goes into every step while you run forwards",
                    f"{kind} again",
                )
            return f(x)

        return function

    f, df = (lambda x: x + 1e-3 * math.sin(x)), (lambda x: 1 + 1e-3 * math.cos(x))
    bare = [(f, df)] * LENGTH
    steps = [(counted(i, "f", f), counted(i, "df", df)) for i in range(LENGTH)]
    given, g, x = list(steps), number(r), number(r)
    checks.banned(mine, "setrecursionlimit")
    try:
        received = mine.compose_backward(g, x, given)
        calls.clear()
        forwards = mine.compose(x, given)
    except RecursionError:
        raise Mistake(
            "a function that calls itself for every step: 5,000 steps are too deep for "
            "that, use a loop",
            "recursion",
        ) from None
    checks.equal(received, gradient(g, x, bare), what, tolerance=EXACT)
    checks.equal(forwards, output(x, bare), "compose of 5,000 steps", tolerance=EXACT)
    text = "the list of steps is changed: the caller wants it as it was"
    checks.true(given == steps, text, "changed")


knock.wrong(
    "last step first",
    "compose runs through the steps from the last to the first; the first pair of the "
    "list is applied first",
    (
        "for f, _ in steps:\n        x = f(x)",
        "for f, _ in steps[::-1]:\n        x = f(x)",
    ),
)
knock.wrong(
    "upstream ignored",
    "this is the slope of the whole chain, but g, the gradient from above, is missing: "
    "start the product with g, not with 1",
    ("inputs = []", "g, inputs = 1.0, []"),
)
knock.wrong(
    "all slopes at x",
    "all slopes are taken at x; each step's slope belongs to the number that went into "
    "that step",
    ("df(z)", "df(inputs[0])"),
)
knock.wrong(
    "slopes at the outputs",
    "the slopes are taken at what comes out of the steps; take each at what goes in: "
    "keep x before you replace it by f(x)",
    (
        "inputs.append(x)  # what goes into a step is where its slope is taken\n"
        "        x = f(x)",
        "x = f(x)\n        inputs.append(x)",
    ),
)
knock.wrong(
    "slopes added",
    "you add the slopes up; a change is stretched by every step in turn, so they are "
    "multiplied",
    ("g = g * df(z)", "g = g + df(z)"),
)
knock.wrong(
    "one list not turned round",
    "the steps are walked through from behind, the numbers between them from the "
    "front: turn both round, or neither",
    ("inputs[::-1]", "inputs"),
)
knock.wrong(
    "last step forgotten",
    "the slope of the last step is missing in the product",
    ("zip(steps[::-1], inputs[::-1])", "zip(steps[-2::-1], inputs[-2::-1])"),
)
knock.wrong(
    "f for df",
    "you multiply by f, how large the step's output is; df says how steep it is",
    ("for (_, df), z", "for (df, _), z"),
)
knock.wrong(
    "sign",
    "the sign is wrong: nothing is subtracted in the chain rule",
    ("return g\n", "return -g\n"),
)
knock.wrong(
    "all over again for every step",
    "the gradient is right, but for every slope you run the chain again from the "
    "start; with 1,000 steps that is half a million calls, so keep the numbers between",
    (
        "inputs.append(x)  # what goes into a step is where its slope is taken\n"
        "        x = f(x)",
        "inputs.append(compose(x, steps[: len(inputs)]))",
    ),
)
knock.wrong(
    "a call for every step",
    "the gradient is right, but the function calls itself for every step, and Python "
    "stops that at a depth of 1,000: run through the steps in a loop",
    ("    inputs = []\n", "    if steps:\n        f, df = steps[0]\n        "
     "return compose_backward(g, f(x), steps[1:]) * df(x)\n    inputs = []\n"),
)
knock.wrong(
    "kept from compose",
    "you use the numbers that the last compose left behind; they belong to its x, and "
    "this call may have another one: run forwards again",
    (
        "    for f, _ in steps:\n        x = f(x)\n    return x",
        "    kept = []\n"
        "    for f, _ in steps:\n"
        "        kept.append(x)\n"
        "        x = f(x)\n"
        "    compose.kept = list(steps), kept\n"
        "    return x",
    ),
    (
        "    inputs = []\n    for f, _ in steps:\n        inputs.append(x)  # what "
        "goes into a step is where its slope is taken\n        x = f(x)\n",
        '    if getattr(compose, "kept", (None,))[0] != steps:\n'
        "        compose(x, steps)\n"
        "    inputs = compose.kept[1]\n",
    ),
)
