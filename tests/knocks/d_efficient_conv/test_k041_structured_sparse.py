"""Grader of k041: IGCV2's structured sparse product."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Give x the shape (N, partitions, K): now one matrix product per partition is "
        "left. Which axes does the permutation exchange before it is flattened again?",
        "For the paths, send every unit vector through layers that are all ones. Each "
        "layer multiplies the paths of an output by its K, and they spread evenly as "
        "long as they can: when is it one for each of C inputs? For the balance make "
        "S * K_1 = K_2 = ... = K_L, with the product of all K fixed.",
        'structured: x = np.einsum("pab,npb->nap", blocks, x.reshape(N, P, K))'
        ".reshape(N, C) layer by layer; complementary: the product of the sizes is C; "
        "balance: K = (S * C) ** (1 / L), K_1 = K / S, L * C * K weights.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, C, sizes
    (1, 6, (2,)),
    (2, 6, (3,)),
    (2, 6, (2, 3)),
    (1, 12, (2, 3, 2)),
    (3, 8, (2, 2, 2)),
    (1, 1, (1,)),
    (2, 4, (1, 4)),
    (2, 3, (3,)),
    (1, 5, (1,)),
    (2, 12, (4, 6)),
    (1, 6, (6, 1, 2)),
    (2, 6, (2, 3, 1, 6)),  # four layers
    (1, 8, (2, 4, 2, 1, 8)),  # five
    (5, 4, (2, 2)),  # more rows than channels
    (7, 6, (3, 2)),
    (3, 2, (2, 1)),
    (4, 1, (1, 1)),
]
MANY = [(8, (8, 8, 8, 8)), (2, (2,) * 34), (3, (3,) * 36), (4, (4, 2) * 12)]
LARGE = [  # channels, sizes, area: odd counts
    (3**12, (3**7, 3, 3), 9),  # beyond 2**31
    (3**20, (3**14, 1, 1), 1),  # beyond 2**53
    (3**40, (3**20, 3**10, 1), 9),  # beyond 2**63
]


def dense(blocks):
    """P W of one layer as a matrix, entry by entry."""
    count, size, _ = blocks.shape
    w = np.zeros((count * size,) * 2, blocks.dtype)
    for p, a, b in np.ndindex(count, size, size):
        w[a * count + p, p * size + b] = blocks[p, a, b]  # row p * size + a, moved
    return w


def structured(x, layers):
    """Dense matrix after dense matrix."""
    y = np.array(x)
    for blocks in layers:
        y = y @ dense(blocks).T
    return y


def path_counts(channels, sizes):
    """The paths of every output, followed back."""
    counts = np.zeros((channels, channels), np.int64)
    for output in range(channels):
        ends = {output: 1}  # a channel, and how many paths have led to it
        for size in sizes[::-1]:
            count, before = channels // size, {}
            for q, many in ends.items():
                p = q % count  # place a * count + p is channel a of partition p
                for i in range(p * size, p * size + size):
                    before[i] = before.get(i, 0) + many
            ends = before
        for i, many in ends.items():
            counts[output, i] = many
    return counts


def balanced(channels, area, depth):
    """The best sizes, by halving for the ratio at which the sum stops to fall."""
    low, high = 1e-9, 1e12
    for _ in range(150):
        size = (low * high) ** 0.5
        first = channels / size ** (depth - 1)
        if area * first > size:  # a larger size for the others would be cheaper
            low = size
        else:
            high = size
    return np.array([first, size, channels * (area * first + (depth - 1) * size)])


def whole(f):
    """``f`` with its integers as int64; other dtypes are a mistake."""

    @wraps(f)
    def integers(*args):
        received = plain(f(*args), f.__name__)
        text = f"{f.__name__} must give an integer array; got {received.dtype}"
        checks.true(received.dtype.kind in "iu", text, received)
        return received.astype(np.int64, copy=False)

    return integers


def three(f):
    """``f`` with its three numbers as an array."""

    @wraps(f)
    def array(*args):
        received = f(*args)
        text = f"{f.__name__} must give three numbers, (K_1, K, weights); got "
        good = isinstance(received, tuple | list | np.ndarray) and len(received) == 3
        checks.true(good, f"{text}{received!r}"[:200], "not three")
        kinds = [np.asarray(a).dtype.kind for a in received if np.ndim(a) == 0]
        good = len(kinds) == 3 and set(kinds) <= set("iuf")
        checks.true(good, f"{text}{received!r}"[:200], "no numbers")
        return np.array([float(a) for a in received])

    return array


def exact(received, expected, what):
    """A whole number that must be exactly right, also where floats are not."""
    number = plain(received, what)
    number = number.item() if number.size == 1 else received
    checks.true(number == expected, f"{what} must be {expected:,}; got {received}")


def sample(r, n, channels, sizes):
    """x and blocks of these sizes."""
    return r(n, channels), [r(channels // size, size, size) for size in sizes]


def anything(r):
    """Sizes of any kind, their product smaller, larger or equal."""
    channels = r.choice([4, 6, 8, 9, 12])
    divisors = [k for k in range(1, channels + 1) if channels % k == 0]
    return r.size(1, 3), channels, [r.choice(divisors) for _ in range(r.size(1, 3))]


@knock.check("one layer: the blocks, then the permutation")
def layer(mine, r):
    for n, channels, sizes in [(1, 6, (2,)), (1, 6, (3,)), (2, 8, (2,)), (1, 3, (1,))]:
        x, layers = sample(r, n, channels, sizes)
        x = np.round(10 * x)
        checks.value(mine.structured, structured, x, layers, tolerance=TIGHT)


@knock.check("several layers", points=2)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r), anything(r)]:
        args = sample(r, *case)
        checks.value(mine.structured, structured, *args, tolerance=TIGHT)


@knock.check("how many paths there are", points=2)
def counts(mine, r):
    cases = [case[1:] for case in [*CASES, anything(r), anything(r)]]
    f = whole(mine.path_counts)
    cases += [(24, (2, 3, 4)), (16, (8, 4)), (8, (2, 2)), *MANY]
    for channels, sizes in cases:
        checks.value(f, path_counts, channels, sizes)


@knock.check("which sizes are complementary", points=2)
def complementary(mine, r):
    cases = [(6, (2, 3)), (6, (3, 2)), (24, (2, 3, 4)), (64, (8, 8)), (64, (4, 4, 4))]
    cases += [(64, (4, 8)), (64, (16, 8)), (8, (2, 2)), (8, (2, 2, 2)), (8, (4, 4))]
    cases += [(6, (6,)), (6, (1, 6)), (6, (3,)), (6, (1, 1)), (1, (1,)), (1, (1, 1))]
    cases += [(12, (4, 6)), (12, (6, 6)), (9, (3, 1, 3)), (6, (6, 6)), (16, (2,) * 4)]
    cases += [(4, (1, 2, 1)), (12, (2, 6)), (12, (6, 4)), (5, (5, 1)), (6, (3, 3))]
    cases += [(6, (2, 2, 2)), *(anything(r)[1:] for _ in range(3))]
    found = []
    for case in cases:
        received = checks.call(mine.is_complementary, *case)
        text = f"is_complementary must give True or False; got {received!r}"
        checks.true(isinstance(received, bool | np.bool_), text, "no bool")
        found.append(bool(received))
    for (channels, sizes), received in zip(cases, found):
        right = bool((path_counts(channels, sizes) == 1).all())
        text = f"is_complementary({channels}, {sizes}) must be {right}; got {received}"
        checks.true(received == right, text, found)


@knock.check("how many weights there are")
def weights(mine, r):
    cases = [(64, (64,), 9), (64, (1, 64), 9), (64, (1, 4, 4, 4), 9), (6, (2, 3), 4)]
    cases += [(*anything(r)[1:], r.size(1, 25)) for _ in range(4)]
    found = [checks.call(mine.weight_count, *case) for case in cases]
    for (channels, sizes, area), received in zip(cases, found):
        count = 0
        for i, size in enumerate(sizes):
            for _ in range(channels // size):
                count += size * size * (area if i == 0 else 1)
        try:
            what = f"weight_count({channels}, {sizes}, {area})"
            checks.count(received, count, what)
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None
    for channels, sizes, area in LARGE:
        right = channels * sizes[0] * area + sum(channels * k for k in sizes[1:])
        what = f"weight_count({channels}, {sizes}, {area})"
        exact(checks.call(mine.weight_count, channels, sizes, area), right, what)


@knock.check("the balance")
def balance(mine, r):
    cases = [(64, 9, 3), (64, 9, 2), (16, 1, 4), (1, 9, 2), (2, 25, 3)]
    cases += [(r.size(1, 500), r.size(1, 25), r.size(2, 8)) for _ in range(3)]
    for case in cases:
        checks.value(three(mine.balance), balanced, *case)


@knock.check("float32 stays float32; views are right; nothing is shared or kept")
def layout(mine, r):
    f = mine.structured
    for sizes in ((2, 3), (1,), (6,)):
        x, layers = sample(r, 3, 6, sizes)
        first = checks.call(f, x, layers)
        checks.value(f, structured, x[::-1, ::-1], layers, tolerance=TIGHT)
        what = "structured: an earlier result, after another call"
        checks.equal(first, structured(x, layers), what)
        turned = [blocks[::-1].swapaxes(1, 2) for blocks in layers]
        checks.value(f, structured, np.asfortranarray(x), turned, tolerance=TIGHT)
        single = [blocks.astype(np.float32) for blocks in layers]
        checks.value(f, structured, x.astype(np.float32), single)
        y = f(x, layers)
        for a, name in ((x, "x"), *((blocks, "a layer") for blocks in layers)):
            text = f"structured: the result shares memory with {name}"
            checks.true(not np.shares_memory(y, a), text)
            a *= -2  # the same array with other numbers
            what = f"structured again, after {name} was changed in place"
            checks.equal(f(x, layers), structured(x, layers), what)
    for layers in ([np.ones((3, 1, 1))], [np.eye(3)[None]], [np.ones((3, 1, 1))] * 4):
        x = r(2, 3)  # layers that change nothing
        y = f(x, layers)
        checks.equal(y, x, "structured with layers that change nothing")
        text = "structured: a new array must come back, also where nothing changes"
        checks.true(not np.shares_memory(y, x), text)
    first = mine.path_counts(6, (2, 3))
    first[...] = 7  # whoever has a result may write to it
    what = "path_counts(6, (2, 3)), again, after its first result was written to"
    checks.equal(whole(mine.path_counts)(6, (2, 3)), path_counts(6, (2, 3)), what)


STEP = 'np.einsum("pab,npb->nap", blocks, z).reshape(len(x), -1)'

knock.wrong(
    "not permuted",
    "the permutations are missing: after its blocks every layer interlaces its "
    "channels",
    ("npb->nap", "npb->npa"),
)
knock.wrong(
    "inverse order",
    "you use the permutation the wrong way round: y[q] is z[order[q]], so reshape to "
    "(C / K, K), transpose and flatten",
    (
        STEP,
        'np.einsum("pab,npb->npa", blocks, z)\n'
        "        x = x.reshape(len(x), -1, len(blocks)).swapaxes(1, 2)\n"
        "        x = x.reshape(len(x), -1)",
    ),
)
knock.wrong(
    "permuted first",
    "you permute before the blocks; W is applied first, and P after it",
    (
        "        z = x.reshape(len(x), len(blocks), -1)  # (N, partitions, K)\n",
        "        z = x.reshape(len(x), len(blocks), -1)\n"
        "        z = z.swapaxes(1, 2).reshape(z.shape)\n",
    ),
    ("npb->nap", "npb->npa"),
)
knock.wrong(
    "last permutation left out",
    "there is no permutation after the last layer; P_L belongs to it, too",
    (
        "    return x\n",
        "    x = x.reshape(len(x), -1, len(blocks)).swapaxes(1, 2)\n"
        "    return x.reshape(len(x), -1)\n",
    ),
)
knock.wrong(
    "blocks transposed",
    "your blocks are transposed: blocks[p, a, b] is the weight of input b in output a",
    ('"pab,npb->nap"', '"pba,npb->nap"'),
)
knock.wrong(
    "last layer first",
    "the layers come in the wrong order: layers[0] is W_1, and x meets it first",
    ("for blocks in layers:", "for blocks in layers[::-1]:"),
)
knock.wrong(
    "one block for all",
    "all partitions use the first block; each has its own",
    (STEP, STEP.replace("blocks, z", "0 * blocks + blocks[0], z")),
)
knock.wrong(
    "partitions dealt out",
    "your partitions are channels C / K apart; a partition is a block of K neighbours",
    (
        "        z = x.reshape(len(x), len(blocks), -1)  # (N, partitions, K)\n",
        "        z = x.reshape(len(x), -1, len(blocks)).swapaxes(1, 2)\n",
    ),
)
knock.wrong(
    "first layer's sizes for all",
    "the permutation is always that of the first layer; each has its own K",
    (
        STEP,
        'np.einsum("pab,npb->npa", blocks, z)\n'
        "        x = x.reshape(len(x), len(layers[0]), -1).swapaxes(1, 2)\n"
        "        x = x.reshape(len(x), -1)",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32: keep the dtype of x",
    ("    return x\n", "    return x if x.dtype.kind == 'i' else x.astype(float)\n"),
)
knock.wrong(
    "inputs down",
    "the counts are transposed: a row for each output, a column for each input",
    ("layers).T", "layers)"),
)
knock.wrong(
    "whether, not how many",
    "you say whether there is a path, and do not count the paths",
    ("layers).T", "layers).T.clip(0, 1)"),
)
knock.wrong(
    "numbers for sizes",
    "you take K for the number of partitions; it is the number of channels in each",
    (
        "np.ones((channels // size, size, size), int)",
        "np.ones((size, channels // size, channels // size), int)",
    ),
)
knock.wrong(
    "first layer left out",
    "the paths through the first layer are missing",
    ("for size in sizes]", "for size in sizes[1:]]"),
)
knock.wrong(
    "at least one path",
    "you ask for at least one path; complementary means exactly one",
    (
        "bool(np.prod(sizes) == channels)",
        "bool(np.all(path_counts(channels, sizes) >= 1))",
    ),
)
knock.wrong(
    "at most one path",
    "you ask for at most one path; complementary means exactly one, so none is missing",
    (
        "bool(np.prod(sizes) == channels)",
        "bool(np.all(path_counts(channels, sizes) <= 1))",
    ),
)
knock.wrong(
    "sum for product",
    "you compare the sum of the sizes with the channels; paths multiply from layer to "
    "layer",
    ("bool(np.prod(sizes)", "bool(np.sum(sizes)"),
)
knock.wrong(
    "same path count everywhere",
    "you ask whether all counts are equal, which they are if the product of the sizes "
    "is a multiple of the channels; they must be 1, too",
    (
        "bool(np.prod(sizes) == channels)",
        "bool(np.ptp(path_counts(channels, sizes)) == 0)",
    ),
)
knock.wrong(
    "all layers spatial",
    "you count area taps in every layer; only the first is spatial",
    ("(area * sizes[0] + sum(sizes[1:]))", "area * sum(sizes)"),
)
knock.wrong(
    "no layer spatial",
    "the first layer has area taps: count its weights so many times",
    ("(area * sizes[0] + sum(sizes[1:]))", "sum(sizes)"),
)
knock.wrong(
    "last layer spatial",
    "you count the taps in the last layer; the first one is spatial",
    (
        "(area * sizes[0] + sum(sizes[1:]))",
        "(sum(sizes[:-1]) + area * sizes[-1])",
    ),
)
knock.wrong(
    "one block counted",
    "you count one block of each layer; there are channels / K of them",
    (
        "channels * (area * sizes[0] + sum(sizes[1:]))",
        "area * sizes[0] ** 2 + sum(k * k for k in sizes[1:])",
    ),
)
knock.wrong(
    "sizes equal",
    "you make all sizes equal; equal are the terms of the sum, S * K_1 and the others",
    (
        "    size = (area * channels) ** (1 / depth)\n",
        "    size = channels ** (1 / depth)\n"
        "    return size, size, channels * size * (area + depth - 1)\n",
    ),
)
knock.wrong(
    "area not divided out",
    "the product of your sizes is S * C; it must be C, so K_1 is smaller than the "
    "others by the factor S",
    ("return size / area, size,", "return size, size,"),
)
knock.wrong(
    "area left out",
    "the area is missing: the balance is S * K_1 = K_2 = ... = K_L",
    (
        "    size = (area * channels) ** (1 / depth)\n",
        "    area = 1\n    size = (area * channels) ** (1 / depth)\n",
    ),
)
knock.wrong(
    "weights of one layer",
    "your weights are those of one layer; there are depth of them",
    ("size, depth * channels * size", "size, channels * size"),
)
knock.wrong(
    "sizes exchanged",
    "K_1 and K are exchanged: the spatial layer is dear, so its blocks are smaller",
    ("return size / area, size,", "return size, size / area,"),
)
