"""Grader of k001: a sum and a product, forwards and backwards."""

import functools
from fractions import Fraction

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Take a = 3, b = 4. Now let a be 3.1: by how much does a + b grow, and by how "
        "much does a * b grow? Compare that with the 0.1 that a grew.",
        "A sum grows exactly as much as a does. A product a * b grows b times as much "
        "as a does. The same with the roles of a and b exchanged; then times g.",
        "add_backward: return g * 1, g * 1. mul_backward: the first gradient is g * b; "
        "write the second in the same way, and return both.",
    ],
)
EXACT = (1e-9, 0.0)


def total(a, b):
    """Exact, in fractions."""
    return float(Fraction(a) + Fraction(b))


def product(a, b):
    """Exact, in fractions."""
    return float(Fraction(a) * Fraction(b))


def slope(f, x):
    """How fast f grows at x: exact for straight lines, in fractions."""
    return (f(x + 1) - f(x - 1)) / 2


def add_gradients(g, a, b):
    g, a, b = map(Fraction, (g, a, b))
    slopes = slope(lambda x: x + b, a), slope(lambda x: a + x, b)
    return tuple(float(g * s) for s in slopes)


def mul_gradients(g, a, b):
    g, a, b = map(Fraction, (g, a, b))
    slopes = slope(lambda x: x * b, a), slope(lambda x: a * x, b)
    return tuple(float(g * s) for s in slopes)


def floats(backward):
    """The gradients as floats: to return 1 where 1.0 is meant is no mistake."""

    @functools.wraps(backward)
    def answer(g, a, b):
        result = backward(g, a, b)
        if not isinstance(result, tuple | list):
            return result
        return tuple(float(x) if type(x) is int else x for x in result)

    return answer


def whole(r):
    """Three different whole numbers: no two mistakes give the same."""
    return (float(x) for x in r.rng.permutation([2, 3, 5, 7, 11])[:3])


@knock.check("add and mul give the sum and the product")
def forwards(mine, r):
    a, b, c = whole(r)
    for x, y in (a, b), (-a, c), (b, 0.0), (-a, -a), (c / 7, 0.01 * b):
        checks.value(mine.add, total, x, y)
        checks.value(mine.mul, product, x, y)


@knock.check("add_backward hands the gradient from above to both inputs")
def sum_backwards(mine, r):
    checks.value(floats(mine.add_backward), add_gradients, *whole(r))


@knock.check("mul_backward: each input gets g times its own slope")
def product_backwards(mine, r):
    checks.value(floats(mine.mul_backward), mul_gradients, *whole(r))


@knock.check("any numbers: negative, zero, equal, huge and tiny", points=2)
def any_numbers(mine, r):
    sums, products = floats(mine.add_backward), floats(mine.mul_backward)
    for scale_g, scale_a, scale_b in [
        (1, 1, 1), (1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (1, 0, 0),
        (1e6, 1, 1), (1, 1e6, 1), (1, 1, 1e6), (1e-6, 1, 1), (1, 1e-6, 1), (1, 1, 1e-6),
    ]:  # fmt: skip
        drawn = r.positive(3) * r.choice([(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
        g, a, b = (float(x) for x in drawn * (scale_g, scale_a, scale_b))
        for numbers in (g, a, b), (-g, -a, b), (-g, a, b), (g, b, b):
            checks.value(mine.add, total, *numbers[1:], tolerance=EXACT)
            checks.value(mine.mul, product, *numbers[1:], tolerance=EXACT)
            checks.value(sums, add_gradients, *numbers, tolerance=EXACT)
            checks.value(products, mul_gradients, *numbers, tolerance=EXACT)


@knock.check("gradients near the ends of what a float can hold")
def ends(mine, r):
    sums, products = floats(mine.add_backward), floats(mine.mul_backward)
    for scales in [
        (1, 1e200, 1e200), (1, 1e-200, 1e-200), (1, 1e20, 1), (1, 1, 1e20),
        (1, 1e200, 1e-200), (1e-200, 1e200, 1e200), (1e200, 1e-200, 1e-200),
        (1e-100, 1e150, 1e250), (1e100, 1e-150, 1e-250), (1, 1e-20, 1e-20),
    ]:  # fmt: skip
        signs = r.choice([(1, 1, 1), (-1, 1, -1), (1, -1, -1)])
        numbers = [float(x) for x in r.positive(3) * signs * scales]
        checks.value(mine.add, total, *numbers[1:], tolerance=EXACT)
        checks.value(sums, add_gradients, *numbers, tolerance=EXACT)
        checks.value(products, mul_gradients, *numbers, tolerance=EXACT)


knock.wrong(
    "mul adds",
    "mul gives the sum; it should give the product a * b",
    ("return a * b\n", "return a + b\n"),
)
knock.wrong(
    "sum: upstream ignored",
    "the slope of a sum is 1, that is right, but g is missing: what you return must be "
    "g times the slope, for the loss grows g times as fast as y",
    ("return g, g", "return 1.0, 1.0"),
)
knock.wrong(
    "sum: split in two",
    "you share g out between a and b; but y grows as fast as each of them, so each "
    "gets the whole of g",
    ("return g, g", "return g / 2, g / 2"),
)
knock.wrong(
    "sum: times the inputs",
    "you multiply g by the inputs; how fast a + b grows does not depend on where a and "
    "b are",
    ("return g, g", "return g * a, g * b"),
)
knock.wrong(
    "sum: second one lost",
    "the gradient of b is zero; a sum grows with b as it grows with a",
    ("return g, g", "return g, 0.0"),
)
knock.wrong(
    "product: exchanged",
    "the two gradients are exchanged: y = a * b grows b times as fast as a, so a gets "
    "g * b",
    ("return g * b, g * a", "return g * a, g * b"),
)
knock.wrong(
    "product: upstream ignored",
    "these are the slopes of a product, that is right, but g is missing: multiply each "
    "by g, for the loss grows g times as fast as y",
    ("return g * b, g * a", "return b, a"),
)
knock.wrong(
    "product: like a sum",
    "you hand g down as a sum does; a product grows faster or slower than its input, "
    "by a factor that is the other input",
    ("return g * b, g * a", "return g, g"),
)
knock.wrong(
    "product: sign",
    "the sign is wrong: with a positive b, a * b grows when a grows",
    ("return g * b, g * a", "return -g * b, -g * a"),
)
knock.wrong(
    "product: added",
    "you add g and the slope; they are multiplied, like the gears of a machine",
    ("return g * b, g * a", "return g + b, g + a"),
)
knock.wrong(
    "product: times the output",
    "you multiply g by y = a * b; what counts is how fast y grows, not how large it is",
    ("return g * b, g * a", "return g * a * b, g * a * b"),
)
knock.wrong(
    "product: through the output",
    "you get the slopes by dividing the output by an input; a * b may be too large or "
    "too small for a float where its slopes are not: the slope is the other input",
    (
        "return g * b, g * a",
        "y = a * b\n"
        "    return g * (y / a if a else b), g * (y / b if b else a)",
    ),
)
knock.wrong(
    "product: measured",
    "you measure the slopes by moving the inputs by a fixed step; a large number does "
    "not change by it at all: the slope of a product is known, it is the other input",
    (
        "return g * b, g * a",
        "ga = (a + 0.5) * b - (a - 0.5) * b\n"
        "    gb = a * (b + 0.5) - a * (b - 0.5)\n"
        "    return g * ga, g * gb",
    ),
)
