"""Grader of k037: the channel dependency graph."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Draw D for 4 inputs, 6 outputs and 2 groups. How many rows and columns has "
        "each block of ones? What does the interlace move, rows or columns?",
        "Repeat every row and every column of the identity matrix of groups x groups. "
        "For the interlace take the rows in another order. Before you multiply, make "
        "whole numbers of the booleans. Sizes count what is not 0 in each row.",
        "grouped: np.eye(groups, dtype=bool), .repeat(outputs // groups, axis=0), "
        ".repeat(inputs // groups, axis=1); interlaced: grouped(...)[order]; paths: "
        "begin with layers[0].astype(int), then found = d.astype(int) @ found for each "
        "d after it; sizes: (d != 0).sum(axis=1); full: (d != 0).all().",
    ],
)

SIZES = [  # inputs, outputs, groups
    (4, 6, 2),
    (6, 4, 2),
    (6, 6, 3),
    (1, 1, 1),
    (3, 5, 1),
    (5, 5, 5),
    (2, 8, 2),
    (9, 3, 3),
    (1, 4, 1),
]


def grouped(inputs, outputs, groups):
    """Output after output, input after input."""
    d = np.zeros((outputs, inputs), bool)
    for o, i in np.ndindex(outputs, inputs):
        d[o, i] = o // (outputs // groups) == i // (inputs // groups)
    return d


def interlaced(inputs, outputs, groups):
    """Row t of every group, for t = 0, 1, ..."""
    d, p = grouped(inputs, outputs, groups), 0
    rows = np.zeros_like(d)
    for t in range(outputs // groups):
        for g in range(groups):
            rows[p] = d[g * (outputs // groups) + t]
            p += 1
    return rows


def paths(layers):
    """Each output followed back to where it leads, path after path."""
    found = np.zeros((len(layers[-1]), layers[0].shape[1]), np.int64)
    for o in range(len(found)):
        ways = {o: 1}  # a channel, and how many paths have led to it
        for d in layers[::-1]:
            back = {}
            for channel, many in ways.items():
                for i in range(d.shape[1]):
                    if d[channel, i]:
                        back[i] = back.get(i, 0) + many
            ways = back
        for i, many in ways.items():
            found[o, i] = many
    return found


def field_sizes(d):
    """By counting."""
    return np.array([sum(bool(a) for a in row) for row in d.tolist()], np.int64)


def is_full(d):
    """By looking at every entry."""
    return all(bool(a) for row in d.tolist() for a in row)


def whole(f):
    """``f`` with its array of whole numbers as int64; other dtypes are a mistake."""

    @wraps(f)
    def numbers(*args):
        received = plain(f(*args), f.__name__)
        kind = received.dtype.kind
        checks.true(
            kind in "iu",
            f"{f.__name__} must give whole numbers, of an integer dtype; got "
            f"{received.dtype}",
            received,
        )
        return received.astype(np.int64, copy=False)

    return numbers


def answer(f):
    """``f`` with its True or False, of Python or NumPy, as a boolean array."""

    @wraps(f)
    def yes_or_no(*args):
        received = f(*args)
        text = f"{f.__name__} must give True or False; got {received!r}"
        checks.true(isinstance(received, bool | np.bool_), text, "no bool")
        return np.asarray(received)

    return yes_or_no


def every(f, oracle, cases):
    """``f`` in all cases; the evidence of a mistake is what it gives in all of them."""
    found = [checks.call(f, d) for d in cases]
    for d in cases:
        try:
            checks.value(f, oracle, d)
        except Mistake as mistake:
            raise Mistake(mistake.message, (f.__name__, found)) from None


def random_layers(r, *sizes):
    """Boolean matrices of the sizes between layers, the first the inputs."""
    return [r.rng.random((m, n)) < 0.6 for n, m in zip(sizes, sizes[1:])]


def drawn_size(r):
    """Inputs, outputs and groups of any kind."""
    groups = r.size(1, 4)
    return groups * r.size(1, 4), groups * r.size(1, 4), groups


def drawn_matrices(r):
    """Matrices of every kind: empty rows, full ones, numbers of paths."""
    yield r.rng.random((r.size(2, 4), 5)) < 0.5
    yield r.rng.random((r.size(3, 5), 2)) < 0.5
    counts = r.integers(3, 3, r.size(3, 5))
    counts[0], counts[1, 0] = 2, 0
    yield counts
    yield counts.T
    for at in ((0, 0), (-1, -1), (0, -1), (-1, 0)):  # one gap only
        gap = r.integers(3, 3, 4) + 1
        gap[at] = 0
        yield gap
        yield gap > 0
    yield np.eye(3, dtype=bool)
    yield np.eye(2, 1, dtype=bool)
    yield np.eye(2, 1, dtype=bool)[::-1]
    yield np.ones((2, 3), bool)
    yield np.zeros((3, 2), bool)
    yield np.zeros((1, 1), np.int64)
    yield r.integers(4, 2, 1) + 1
    yield r.integers(4, 3, 3) + 1
    yield np.full((2, 2), 2**40)
    wide = np.ones((2, 300), bool)  # more inputs than an uint8 counts
    wide[1, 7] = False
    yield wide


@knock.check("D of a grouped convolution")
def grouped_(mine, r):
    for case in [*SIZES, drawn_size(r), drawn_size(r)]:
        checks.value(mine.grouped, grouped, *case)


@knock.check("D of a grouped convolution with interlaced outputs")
def interlaced_(mine, r):
    for case in [*SIZES, drawn_size(r), drawn_size(r)]:
        checks.value(mine.interlaced, interlaced, *case)


@knock.check("paths through one, two and more random layers", points=2)
def paths_(mine, r):
    f = whole(mine.paths)
    for sizes in ((3, 3, 3), (2, 4, 3), (4, 2), (3, 1, 2, 3), (1, 3, 1), (2, 2, 2, 2)):
        checks.value(f, paths, random_layers(r, *sizes))
    sizes = [r.size(1, 4) for _ in range(r.size(3, 5))]
    checks.value(f, paths, random_layers(r, *sizes))
    views = [d[::-1].T for d in random_layers(r, 4, 3, 2)[::-1]]
    checks.value(f, paths, views)
    many = [np.ones((2, 2), bool)] * r.size(45, 55)
    checks.value(f, paths, many)


@knock.check("sizes of the fields, and which are full", points=2)
def fields(mine, r):
    matrices = list(drawn_matrices(r))
    every(whole(mine.field_sizes), field_sizes, matrices)
    every(answer(mine.is_full), is_full, matrices)
    d = np.ones((1, 70_000), bool)  # more than an uint16 counts
    found, what = whole(mine.field_sizes)(d), "field_sizes of 70,000 inputs"
    checks.equal(found, np.array([70_000]), what)
    every(answer(mine.is_full), is_full, [np.asfortranarray(d) for d in matrices])


@knock.check("blocks of clcNet: full exactly if groups * groups2 <= middle")
def blocks(mine, r):
    cases = [(8, 8, 8, 4, 2), (8, 8, 8, 4, 4), (4, 12, 6, 2, 3), (6, 6, 6, 1, 6)]
    cases.append((4, 4 * r.size(1, 3), 4, r.choice([1, 2, 4]), r.choice([1, 2, 4])))
    for inputs, middle, outputs, g1, g2 in cases:
        for kind in ("interlaced", "grouped"):
            first = getattr(mine, kind)(inputs, middle, g1)
            block = [first, mine.grouped(middle, outputs, g2)]
            what = f"{kind}({inputs}, {middle}, {g1}), then grouped({middle}, "
            what += f"{outputs}, {g2})"
            oracle = interlaced if kind == "interlaced" else grouped
            layers = [oracle(inputs, middle, g1), grouped(middle, outputs, g2)]
            right = paths(layers)
            got = whole(mine.paths)(block)
            checks.equal(got, right, f"{what}: the number of paths")
            got = answer(mine.is_full)(mine.paths(block))
            full = g1 * g2 <= middle if kind == "interlaced" else is_full(right)
            checks.equal(got, full, f"{what}: is it full?")
            sizes = whole(mine.field_sizes)(mine.paths(block))
            checks.equal(sizes, field_sizes(right), f"{what}: the sizes of the fields")


@knock.check("results are new arrays; nothing is kept from call to call")
def memory(mine, r):
    for f, oracle in ((mine.grouped, grouped), (mine.interlaced, interlaced)):
        first = f(4, 6, 2)
        first[...] = False  # whoever has a result may write to it
        checks.equal(f(4, 6, 2), oracle(4, 6, 2), f"{f.__name__}(4, 6, 2), again")
    for sizes in ((3, 2), (3, 2, 3)):
        layers = random_layers(r, *sizes)
        first = mine.paths(layers)
        first[...] = 7
        what = "paths(layers), again, after its first result was written to"
        checks.equal(whole(mine.paths)(layers), paths(layers), what)
    for f, oracle in ((mine.paths, paths), (mine.field_sizes, field_sizes)):
        d = random_layers(r, 3, 4)[0]
        f([d] if f is mine.paths else d)
        d[...] = ~d  # the same array with other entries
        args = [d] if f is mine.paths else d
        what = f"{f.__name__} again, after a matrix was changed in place"
        try:
            checks.equal(whole(f)(args), oracle(args), what)
        except Mistake as mistake:
            raise Mistake(mistake.message, what) from None


knock.wrong(
    "inputs down, outputs across",
    "your matrix has a row for each input; it must have a row for each output and a "
    "column for each input",
    (
        "blocks.repeat(outputs // groups, axis=0).repeat(inputs // groups, axis=1)",
        "blocks.repeat(inputs // groups, axis=0).repeat(outputs // groups, axis=1)",
    ),
    ("outputs, groups)[order]", "outputs, groups)[:, order]"),
)
knock.wrong(
    "groups dealt out",
    "your groups are every groups-th channel; a group is a block of neighbours",
    (
        "blocks.repeat(outputs // groups, axis=0).repeat(inputs // groups, axis=1)",
        "np.tile(blocks, (outputs // groups, inputs // groups))",
    ),
)
knock.wrong(
    "groups taken for their size",
    "you take `groups` for the number of channels in a group; it is the number of "
    "groups",
    (
        "    blocks = np.eye(groups, dtype=bool)\n",
        "    o, i = np.arange(outputs)[:, None], np.arange(inputs)\n"
        "    return o // groups == i // groups\n"
        "    blocks = np.eye(groups, dtype=bool)\n",
    ),
)
knock.wrong(
    "numbers for booleans",
    "D must be boolean: True and False, not 1.0 and 0.0",
    ("np.eye(groups, dtype=bool)", "np.eye(groups)"),
)
knock.wrong(
    "not interlaced",
    "the rows are in the order of the grouped convolution: interlace them",
    ("outputs, groups)[order]", "outputs, groups)"),
)
knock.wrong(
    "inverse order",
    "the rows are in the inverse order: row p is row order[p] of the grouped matrix, "
    "not the other way round",
    ("outputs, groups)[order]", "outputs, groups)[np.argsort(order)]"),
)
knock.wrong(
    "columns interlaced",
    "you interlace the columns, which are the inputs; the outputs are interlaced, and "
    "they are the rows",
    ("order = np.arange(outputs)", "order = np.arange(inputs)"),
    ("outputs, groups)[order]", "outputs, groups)[:, order]"),
)
knock.wrong(
    "wrong way round",
    "the product is the wrong way round: the layer that the data comes to last stands "
    "leftmost",
    ("d @ before", "before @ d"),
)
knock.wrong(
    "whether, not how many",
    "you say whether there is a path, and do not count the paths: NumPy's product of "
    "boolean matrices is boolean, so make whole numbers of them first",
    (
        "reduce(lambda before, d: d @ before, [d.astype(int) for d in layers])",
        "reduce(lambda before, d: d @ before, layers).astype(int)",
    ),
)
knock.wrong(
    "last layer left out",
    "the last layer is left out of the product",
    ("for d in layers]", "for d in layers[:-1] or layers]"),
)
knock.wrong(
    "numbers too small",
    "the counts run over: there are more paths than an int32 can count; use int64",
    ("d.astype(int)", "d.astype(np.int32)"),
)
knock.wrong(
    "paths added up",
    "you add up the numbers of paths; an input counts once, however many paths lead to "
    "it",
    ("np.count_nonzero(d, axis=1)", "np.sum(d, axis=1)"),
)
knock.wrong(
    "outputs of an input",
    "you count down the columns, which gives how many outputs see each input; a field "
    "is a row",
    ("np.count_nonzero(d, axis=1)", "np.count_nonzero(d, axis=0)"),
)
knock.wrong(
    "full if one is",
    "you say full if a single output sees all inputs; every output must",
    ("bool(np.all(d))", "bool(np.all(d, axis=1).any())"),
)
knock.wrong(
    "only the first output",
    "you look at the first output only; every output must see all inputs",
    ("bool(np.all(d))", "bool(np.all(d[0]))"),
)
knock.wrong(
    "no output is blind",
    "you say full if every output sees some input; it must see all of them",
    ("bool(np.all(d))", "bool(np.any(d, axis=1).all())"),
)
knock.wrong(
    "enough paths in all",
    "you compare the number of paths with the number of inputs; many paths may lead to "
    "the same input",
    ("bool(np.all(d))", "bool((np.sum(d, axis=1) >= d.shape[1]).all())"),
)
