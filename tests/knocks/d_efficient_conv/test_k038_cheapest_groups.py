"""Grader of k038: the cheapest groups with a full receptive field."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "The cost is the equation of the story. For the search: which four divisions "
        "must leave no remainder, and which product must not be too large? For the "
        "optimum write f as a function of g1 alone.",
        "Try all g1 and g2 up to middle, keep the pairs that are allowed, and take the "
        "one with the least cost. With g2 = L / g1: f = M * L * A / g1 + N * g1.",
        "min(pairs, key=lambda pair: cost(inputs, middle, outputs, area, *pair)). The "
        "derivative -M * L * A / g1**2 + N is zero at g1 = sqrt(M * L * A / N); then "
        "g2 = L / g1, and both terms of f are equal.",
    ],
)

SIZES = [  # inputs, middle, outputs, area
    (64, 64, 64, 9),
    (6, 6, 6, 9),
    (4, 12, 18, 9),
    (12, 8, 6, 1),
    (2, 12, 2, 9),  # the best pair is not tight
    (9, 6, 4, 25),
    (5, 12, 7, 9),  # only one group divides both
    (7, 7, 7, 9),
    (1, 1, 1, 9),
    (1, 6, 1, 9),
    (6, 12, 4, 9),
    (18, 6, 12, 4),
    (16, 16, 16, 1),
    (12, 12, 16, 9),  # the nearest divisor to the optimum is not the best
    (6, 12, 18, 4),  # nor is the nearest on a scale of ratios
    (128, 128, 128, 9),
    (32, 64, 128, 9),
    (2, 2, 20, 9),  # the outputs decide
    (24, 24, 2, 9),
]
LARGE = [  # inputs, middle, outputs, area, g1, g2: odd costs
    (3 * 10**5, 3 * 10**5, 10**5 + 1, 25, 3, 10**5),  # beyond 2**31
    (3**17, 3**18, 3**5, 25, 1, 3**4),  # beyond 2**53
    (5 * 3**30, 3**31, 3**5, 1, 3**10, 3**3),  # beyond 2**63
]


def weights(inputs, middle, outputs, area, g1, g2):
    """The numbers in both kernels, filter after filter."""
    count = 0
    for _ in range(middle):
        count += len(range(0, inputs, g1)) * area
    for _ in range(outputs):
        count += len(range(0, middle, g2))
    return count


def sees_all(middle, g1, g2):
    """Whether each group of the second layer reads from all groups of the first."""
    whose = [p % g1 for p in range(middle)]  # after the interlace
    size = middle // g2
    return all(len(set(whose[i : i + size])) == g1 for i in range(0, middle, size))


def pairs(inputs, middle, outputs, area):
    """The cost of every pair that is allowed."""
    found = {}
    for g1 in range(1, min(inputs, middle) + 1):
        if inputs % g1 or middle % g1:
            continue
        for g2 in range(1, min(middle, outputs) + 1):
            if not (middle % g2 or outputs % g2) and sees_all(middle, g1, g2):
                found[g1, g2] = weights(inputs, middle, outputs, area, g1, g2)
    return found


def halving(inputs, middle, outputs, area):
    """The optimum where f stops falling, by halving an interval again and again."""
    low, high = 1e-6, 1e9
    for _ in range(120):
        g1 = (low * high) ** 0.5
        if inputs * middle * area / g1**2 > outputs:  # f still falls
            low = g1
        else:
            high = g1
    f = middle * inputs / g1 * area + outputs * g1
    return np.array([g1, middle / g1, f])


def numbers(f, many):
    """``f`` with its so many numbers as an array."""

    @wraps(f)
    def array(*args):
        received = f(*args)
        kind = type(received).__name__
        text = f"{f.__name__} must give {many} numbers, (g1, g2"
        text += ", f)" if many == 3 else ")"
        ok = isinstance(received, tuple | list | np.ndarray) and len(received) == many
        checks.true(ok, f"{text}; got {kind}: {received!r}"[:200], kind)
        ok = all(
            np.ndim(a) == 0 and np.asarray(a).dtype.kind in "iuf" for a in received
        )
        checks.true(ok, f"{text}; got {received!r}"[:200], "no numbers")
        return np.array([float(a) for a in received])

    return array


def exact(received, expected, what):
    """A whole number that must be exactly right, also where floats are not."""
    number = plain(received, what)
    number = number.item() if number.size == 1 else received
    checks.true(number == expected, f"{what} must be {expected:,}; got {received}")


def drawn(r):
    """Sizes of any kind, with divisors in common."""
    a, b = r.choice([2, 3]), r.choice([2, 3, 4])
    inputs, outputs = (b * r.size(1, 3) for _ in range(2))
    return inputs, a * b * r.size(1, 2), outputs, r.choice([1, 4, 9, 25])


@knock.check("the cost of a block, against counting its weights")
def cost(mine, r):
    cases = [(4, 6, 10, 9, 2, 1), (4, 6, 10, 9, 1, 2), (8, 12, 6, 9, 4, 3)]
    cases += [(64, 64, 64, 9, 64, 1), (64, 64, 64, 9, 32, 2), (1, 1, 1, 9, 1, 1)]
    for _ in range(3):
        g1, g2 = r.size(1, 4), r.size(1, 4)
        inputs, outputs = g1 * r.size(1, 4), g2 * r.size(1, 4)
        cases.append((inputs, g1 * g2 * r.size(1, 3), outputs, r.size(1, 9), g1, g2))
    names = "inputs, middle, outputs, area, g1, g2"
    found = [checks.call(mine.cost, *case) for case in cases]
    for case, received in zip(cases, found):
        what = f"cost({', '.join(map(str, case))}) of ({names})"
        try:
            checks.count(received, weights(*case), what)
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None
    for case in LARGE:
        inputs, middle, outputs, area, g1, g2 = case
        right = middle * (inputs // g1 * area) + middle // g2 * outputs
        what = f"cost({', '.join(map(str, case))}) of ({names})"
        exact(checks.call(mine.cost, *case), right, what)


@knock.check("the best pair, against trying all", points=2)
def best(mine, r):
    sizes = [*SIZES, drawn(r), drawn(r), drawn(r)]
    f = numbers(mine.best_groups, 2)
    found = [checks.call(f, *size) for size in sizes]
    for size, pair in zip(sizes, found):
        try:
            judge(size, *pair.tolist())
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None


def judge(size, g1, g2):
    """Raise Mistake unless g1, g2 is one of the cheapest pairs that are allowed."""
    inputs, middle, outputs, _ = size
    what = f"best_groups{size} gives ({g1:g}, {g2:g}): "
    for g, *ns in ((g1, "inputs", inputs, middle), (g2, "outputs", outputs, middle)):
        name, *ns = ns
        text = f"{what}{g:g} must be a whole number that divides {name} and middle"
        checks.true(g >= 1 and not any(n % g for n in ns), text)
    allowed = pairs(*size)
    text = f"{what}with {g1:g} groups and {g2:g} not every output sees every input"
    checks.true((g1, g2) in allowed, text)
    least = min(allowed, key=allowed.get)
    cost, best = allowed[g1, g2], allowed[least]
    text = f"{what}that costs {cost:,}, but {least} costs {best:,}"
    checks.true(cost == best, text)


@knock.check("the optimum for real numbers")
def optimum(mine, r):
    f = numbers(mine.optimum, 3)
    sizes = [(64, 64, 64, 9), (4, 9, 16, 1), (1, 1, 1, 4), (1, 2, 50, 1), (9, 2, 1, 25)]
    sizes += [tuple(r.size(1, 300) for _ in range(4)) for _ in range(3)]
    for size in sizes:
        checks.value(f, halving, *size)


knock.wrong(
    "both widths divided",
    "you divide the middle channels by g1, too: that is the cost of one group, and "
    "there are g1 of them",
    ("middle * (inputs // g1) * area +", "middle // g1 * (inputs // g1) * area +"),
)
knock.wrong(
    "area twice",
    "the second layer is 1x1: its kernel has one tap, not area taps",
    ("+ outputs * (middle // g2)", "+ outputs * (middle // g2) * area"),
)
knock.wrong(
    "area left out",
    "the first layer reads every channel through area taps: multiply by area",
    ("(inputs // g1) * area +", "(inputs // g1) +"),
)
knock.wrong(
    "sizes for groups",
    "you take g1 and g2 for the channels in a group; they are numbers of groups",
    (
        "return middle * (inputs // g1) * area + outputs * (middle // g2)",
        "return middle * g1 * area + outputs * g2",
    ),
)
knock.wrong(
    "second layer reads the inputs",
    "the second layer reads the middle channels, middle / g2 in each group",
    ("outputs * (middle // g2)", "outputs * (inputs // g2)"),
)
knock.wrong(
    "one division for both",
    "you divide the second layer's cost by g1, too; it has g2 groups only",
    ("outputs * (middle // g2)", "outputs * (middle // g2) / g1"),
)
knock.wrong(
    "field not full",
    "you take as many groups as there can be, and outputs no longer see all inputs: "
    "g1 * g2 <= middle is missing",
    ("for g2 in range(1, middle // g1 + 1)", "for g2 in range(1, middle + 1)"),
)
knock.wrong(
    "condition turned round",
    "you ask for g1 * g2 >= middle; the field is full if g1 * g2 <= middle",
    (
        "for g2 in range(1, middle // g1 + 1)",
        "for g2 in range(-(-middle // g1), middle + 1)",
    ),
    (
        "return min(pairs, key=",
        "return min(pairs or [(1, 1)], key=",
    ),
)
knock.wrong(
    "less, but not equal",
    "you leave out the pairs with g1 * g2 = middle, where one path leads to each "
    "input; they keep the full field, and are the cheapest",
    (
        "for g2 in range(1, middle // g1 + 1)",
        "for g2 in range(1, max(1, (middle - 1) // g1) + 1)",
    ),
)
knock.wrong(
    "only tight pairs",
    "you allow only g1 * g2 = middle; sometimes no such pair divides everything, so "
    "allow less, too",
    (
        "for g2 in range(1, middle // g1 + 1)",
        "for g2 in range(middle // g1, middle // g1 + 1)",
    ),
    (
        "return min(pairs, key=",
        "return min(pairs or [(1, 1)], key=",
    ),
)
knock.wrong(
    "inputs not divided",
    "your g1 does not always divide the inputs: it must divide inputs and middle",
    ("if inputs % g1 == middle % g1 == 0 and", "if middle % g1 == 0 and"),
    ("area, *pair)", "area, *pair) - (inputs % pair[0] > 0)"),
)
knock.wrong(
    "middle not divided by g1",
    "your g1 does not always divide the middle channels: it must divide inputs and "
    "middle",
    ("if inputs % g1 == middle % g1 == 0 and", "if inputs % g1 == 0 and"),
)
knock.wrong(
    "outputs not divided",
    "your g2 does not always divide the outputs: it must divide middle and outputs",
    ("and middle % g2 == outputs % g2 == 0", "and middle % g2 == 0"),
)
knock.wrong(
    "middle not divided by g2",
    "your g2 does not always divide the middle channels: it must divide middle and "
    "outputs",
    ("and middle % g2 == outputs % g2 == 0", "and outputs % g2 == 0"),
)
knock.wrong(
    "most groups first",
    "you take as many groups as possible in the first layer; that leaves few to the "
    "second, so compare the costs of both together",
    ("return min(pairs, key=lambda pair: cost(", "return max(pairs) or ("),
    ("area, *pair))", "area)"),
)
knock.wrong(
    "most groups in the second layer",
    "you take as many groups as possible in the second layer; that leaves few to the "
    "first, so compare the costs of both together",
    (
        "return min(pairs, key=lambda pair: cost(",
        "return max(pairs, key=lambda pair: pair[::-1]) or (",
    ),
    ("area, *pair))", "area)"),
)
knock.wrong(
    "nearest to the optimum",
    "you take the divisor that is nearest to the real optimum; the next one can be "
    "cheaper, so compare costs",
    (
        "return min(pairs, key=lambda pair: cost(",
        "best = optimum(inputs, middle, outputs, area)[0]\n"
        "    return min(pairs, key=lambda p: (abs(p[0] - best), -p[1])) or (",
    ),
    ("area, *pair))", "area)"),
)
knock.wrong(
    "nearest ratio",
    "you take the divisor whose ratio to the real optimum is nearest to 1; that is "
    "best only where g1 * g2 = middle can be had, so compare costs",
    (
        "return min(pairs, key=lambda pair: cost(",
        "best = np.log(optimum(inputs, middle, outputs, area)[0])\n"
        "    return min(pairs, key=lambda p: (abs(np.log(p[0]) - best), -p[1])) or (",
    ),
    ("area, *pair))", "area)"),
)
knock.wrong(
    "optimum exchanged",
    "g1 and g2 are exchanged in the optimum",
    (
        "    return g1, g2, 2 * np.sqrt(",
        "    return g2, g1, 2 * np.sqrt(",
    ),
)
knock.wrong(
    "inputs and outputs exchanged",
    "inputs and outputs are exchanged in the optimum: many inputs want a large g1, "
    "many outputs want a large g2",
    (
        "    g1 = np.sqrt(inputs * middle * area / outputs)\n",
        "    inputs, outputs = outputs, inputs\n"
        "    g1 = np.sqrt(inputs * middle * area / outputs)\n",
    ),
)
knock.wrong(
    "one term of two",
    "your least f is half of what it is: at the optimum both layers cost the same, so "
    "f is twice one of them",
    ("g1, g2, 2 * np.sqrt(", "g1, g2, np.sqrt("),
)
knock.wrong(
    "area left out of the optimum",
    "the area is missing in the optimum: a large kernel makes the first layer dear, "
    "and wants more groups there",
    (
        "    g1 = np.sqrt(inputs * middle * area / outputs)\n",
        "    area = 1\n    g1 = np.sqrt(inputs * middle * area / outputs)\n",
    ),
)
knock.wrong(
    "no root",
    "the roots are missing: where the derivative is zero g1**2 stands, not g1",
    (
        "g1 = np.sqrt(inputs * middle * area / outputs)",
        "g1 = inputs * middle * area / outputs",
    ),
    (
        "g2 = np.sqrt(middle * outputs / (inputs * area))",
        "g2 = middle * outputs / (inputs * area)",
    ),
)
knock.wrong(
    "rounded",
    "you round the optimum: here g1 and g2 are real numbers",
    ("    return g1, g2, 2 *", "    return np.round(g1), np.round(g2), 2 *"),
)
