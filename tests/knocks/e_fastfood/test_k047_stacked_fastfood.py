"""Grader of k047: padding and stacking."""

from functools import cache

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Double 1 until it is enough. How many blocks of d are needed so that no "
        "output is missing, and what if n is a multiple of d?",
        "Pad once, then call fastfood for every block with its own four rows. "
        "np.concatenate along axis 1 puts (N, d) arrays one behind the other. The "
        "number of blocks is n / d, rounded up.",
        "d = 1 << (d0 - 1).bit_length(); np.pad(x, ((0, 0), (0, d - d0))); L = -(-n // "
        "d); y = np.concatenate([fastfood(x, s[l], g[l], p[l], b[l], sigma) for l in "
        "range(L)], axis=1)[:, :n]; 3 * L * d parameters, 16 * L * d bytes.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, d0, n
    (2, 3, 6),
    (1, 5, 18),
    (2, 4, 8),
    (3, 4, 3),
    (1, 1, 1),
    (2, 1, 3),
    (2, 2, 5),
    (1, 3, 4),
    (2, 6, 1),
    (4, 8, 9),
    (2, 5, 7),
    (1, 3, 35),  # 9 blocks
    (2, 2, 33),
    (1, 1, 40),
]
POWERS = range(61)  # of 2: whole numbers of so many bits


def length(d0):
    """The first of 1, 2, 4, ... that is not too small."""
    return next(2**m for m in range(64) if 2**m >= d0)


def count(d0, n):
    """Blocks are added until there are n outputs."""
    blocks = outputs = 0
    while outputs < n:
        blocks, outputs = blocks + 1, outputs + length(d0)
    return blocks


def filled(x):
    """Number by number."""
    out = np.zeros((len(x), length(x.shape[1])), x.dtype)
    for i in range(x.shape[1]):
        out[:, i] = x[:, i]
    return out


@cache
def hadamard(d):
    """H: the sign of an entry is the parity of the bits that row and column share."""
    sign = [[(-1.0) ** (i & j).bit_count() for j in range(d)] for i in range(d)]
    return np.array(sign)


def matrix(s, g, p, b, sigma):
    """V of one block, column by column: where a single 1 goes."""
    d = len(s)
    h, v = hadamard(d), np.empty((d, d))
    for j in range(d):
        v[:, j] = s / sigma / np.sqrt(d) * (h @ (g * (h[:, j] * b[j])[p]))
    return v


def forward(x, s, g, p, b, sigma, n):
    """All rows of all matrices below each other; n rows and d0 columns of them."""
    rows = np.vstack([matrix(*block, sigma) for block in zip(s, g, p, b)])
    return (np.asarray(x, float) @ rows[:n, : x.shape[1]].T).astype(x.dtype)


def sample(r, n_points, d0, n):
    """x, the numbers of all blocks, sigma and n."""
    d, blocks = length(d0), count(d0, n)
    p = np.array([r.rng.permutation(d) for _ in range(blocks)])
    sigma = float(r.positive()) + r.choice([0.3, 2.0])
    s, g, b = (r(blocks, d) for _ in range(3))
    return r(n_points, d0), s, g, p, b, sigma, n


def anything(r):
    """Sizes of any kind."""
    return r.size(1, 4), r.size(1, 17), r.size(1, 40)


def exact(found, cases, wanted, name):
    """Whole numbers for many cases; the evidence of a mistake is all of them.

    If all are right, but some are floats, the evidence is just that.
    """
    evidence = [np.asarray(a, float) if _numbers(a) else str(a)[:60] for a in found]
    for case, received in zip(cases, found):
        try:
            checks.count(received, wanted(*case), f"{name}{_shown(case)}")
        except Mistake as mistake:
            raise Mistake(mistake.message, evidence) from None
    for case, received in zip(cases, found):
        kind = type(received).__name__
        text = f"{name}{_shown(case)} must be a whole number; got {received!r} ({kind})"
        checks.true(_whole(received), text, "not whole")


def _whole(a):
    return isinstance(a, int) or np.asarray(a).dtype.kind in "iu"


def _numbers(a):
    return np.asarray(a).dtype.kind in "iuf" if np.ndim(a) == 0 else False


def _shown(case):
    return f"({', '.join(map(str, case))})"


@knock.check("padded_length: the next power of two")
def lengths(mine, r):
    near = [2**m + k for m in POWERS for k in (-1, 0, 1)]
    cases = [*range(1, 34), 63, 64, 65, 800, 1000, r.size(1, 5000), *near[1:]]
    cases = [(d0,) for d0 in cases]
    found = [checks.call(mine.padded_length, *case) for case in cases]
    exact(found, cases, length, "padded_length")


@knock.check("pad: zeros behind the numbers, in a new array")
def padding(mine, r):
    f = mine.pad
    for n, d0 in [(2, 3), (1, 5), (2, 4), (1, 1), (3, 2), (4, 9), anything(r)[:2]]:
        checks.value(f, filled, r(n, d0), tolerance=(0, 0))
    x = r(3, 12)[::-1, ::-2]
    checks.value(f, filled, x, tolerance=(0, 0))
    checks.value(f, filled, x.astype(np.float32), tolerance=(0, 0))
    x = r(2, 5)
    x[0, :2] = np.inf, -np.inf
    checks.value(f, filled, x, tolerance=(0, 0))
    for x in (r(2, 3), r(2, 4)):
        text = "pad(x): the result shares memory with x; make a new array"
        checks.true(not np.shares_memory(f(x), x), text)


@knock.check("number_of_blocks: as few as possible")
def blocks(mine, r):
    cases = [(5, 18), (4, 8), (4, 9), (4, 7), (4, 1), (1, 3), (1, 1), (800, 1024)]
    cases += [(800, 2048), (800, 2049), (3, 1000), (7, 8), (9, 16), (9, 17), (2, 2)]
    cases += [anything(r)[1:] for _ in range(5)]
    cases += [(2**m, 3 * 2**m + k) for m in POWERS for k in (-1, 0, 1)]
    cases += [(2**m + 1, 2 ** (m + 2)) for m in POWERS]
    found = [checks.call(mine.number_of_blocks, *case) for case in cases]
    exact(found, cases, count, "number_of_blocks")


@knock.check("stacked: all blocks, one behind the other, and the first n", points=3)
def value(mine, r):
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(mine.stacked, forward, *sample(r, *case), tolerance=TIGHT)


@knock.check("storage: parameters and bytes", points=2)
def counts(mine, r):
    cases = [(5, 18), (4, 8), (4, 3), (1, 1), (800, 1024), (800, 2048), (9216, 16384)]
    cases += [(3, 100), *(anything(r)[1:] for _ in range(4))]
    cases += [(2**m + 1, 2 ** (m + 2) + 1) for m in range(1, 55)]
    found = [checks.call(mine.storage, *case) for case in cases]
    for case, pair in zip(cases, found):
        good = isinstance(pair, tuple | list | np.ndarray) and len(pair) == 2
        text = f"storage{case} must give (parameters, bytes)"
        checks.true(good, text, "not a pair")

    def parameters(d0, n):
        return sum(length(d0) for _ in range(count(d0, n)) for _ in "SGB")

    def size(d0, n):
        return sum(4 * length(d0) for _ in range(count(d0, n)) for _ in "SGBP")

    both = [np.array(pair, float) for pair in found]
    try:
        exact([pair[0] for pair in found], cases, parameters, "parameters: storage")
        exact([pair[1] for pair in found], cases, size, "bytes: storage")
    except Mistake as mistake:
        raise Mistake(mistake.message, both) from None
    lenet = 500 + 25_000 + int(found[5][0]) + 10 * 2048
    checks.count(lenet, 52_124, "all weights of the LeNet with n = 2048")


@knock.check("float32 stays float32; views are right; nothing is shared or kept")
def layout(mine, r):
    f = mine.stacked
    for case in ((3, 6, 19), (2, 4, 4), (2, 4, 8), (1, 1, 1)):
        x, s, g, p, b, sigma, n = args = sample(r, *case)
        first = checks.call(f, *args)
        views = np.asfortranarray(x)[::-1], s[::-1], g[:, ::-1], p[:, ::-1], b[::-1]
        checks.value(f, forward, *views, sigma, n, tolerance=TIGHT)
        what = "stacked: an earlier result, after another call"
        checks.equal(first, forward(*args), what, tolerance=TIGHT)
        single = [a.astype(np.float32) for a in (x, s, g, b)]
        checks.value(f, forward, *single[:3], p, single[3], sigma, n)
        for a, name in zip(args, ("x", "s", "g", "p", "b")):
            y = f(*args)
            text = f"stacked: the result shares memory with {name}"
            checks.true(not np.shares_memory(y, a), text)
            a[:] = a[:, ::-1] if name == "p" else -2 * a  # in the same array
            what = f"stacked again, after {name} was changed in place"
            checks.equal(f(*args), forward(*args), what, tolerance=TIGHT)


LENGTH = "1 << (d0 - 1).bit_length()"
STACK = (
    "    blocks = [fastfood(x, *block, sigma) for block in zip(s, g, p, b)]\n"
    "    return np.concatenate(blocks, axis=1)[:, :n].copy()"
)

knock.wrong(
    "doubled in any case",
    "a power of two is doubled; it is long enough as it is",
    (LENGTH, "1 << d0.bit_length()"),
)
knock.wrong(
    "rounded down",
    "you take the power of two below d0: then numbers of x are lost",
    (LENGTH, "1 << (d0.bit_length() - 1)"),
)
knock.wrong(
    "even, not a power of two",
    "you round up to an even number; the length must be a power of two",
    (LENGTH, "d0 + d0 % 2"),
)
knock.wrong(
    "twice at least",
    "for d0 = 1 you take 2; 1 is a power of two as well",
    (LENGTH, "max(2, 1 << (d0 - 1).bit_length())"),
)
knock.wrong(
    "by the nearest power",
    "you take the nearest power of two, which may be too small; take the next one",
    (LENGTH, "2 ** int(np.rint(np.log2(d0)))"),
)
knock.wrong(
    "zeros in front",
    "the zeros stand in front of the numbers; put them behind",
    ("(0, padded_length(d0) - d0))", "(padded_length(d0) - d0, 0))"),
)
knock.wrong(
    "zeros on both sides",
    "the zeros stand on both sides, as in a convolution; put all of them behind",
    (
        "    return np.pad(x, ((0, 0), (0, padded_length(d0) - d0)))",
        "    more = padded_length(d0) - d0\n"
        "    return np.pad(x, ((0, 0), (more // 2, more - more // 2)))",
    ),
)
knock.wrong(
    "filled by repetition",
    "the numbers are repeated from the start; padding is with zeros",
    ("padded_length(d0) - d0)))", 'padded_length(d0) - d0)), mode="wrap")'),
)
knock.wrong(
    "last number repeated",
    "the last number is repeated; padding is with zeros",
    ("padded_length(d0) - d0)))", 'padded_length(d0) - d0)), mode="edge")'),
)
knock.wrong(
    "points padded",
    "you pad the number of points, too; only the rows grow longer",
    ("((0, 0), (0, padded", "((0, padded_length(len(x)) - len(x)), (0, padded"),
)
knock.wrong(
    "padded as float64",
    "the padded array is float64 even for float32",
    (
        "    return np.pad(x, ((0, 0), (0, padded_length(d0) - d0)))",
        "    out = np.zeros((len(x), padded_length(d0)))\n"
        "    out[:, :d0] = x\n"
        "    return out",
    ),
)
knock.wrong(
    "not padded when it fits",
    "where d0 is a power of two x itself comes back; make a new array, as promised",
    (
        "    return np.pad(",
        "    if d0 == padded_length(d0):\n        return x\n    return np.pad(",
    ),
)
knock.wrong(
    "blocks rounded down",
    "you round the number of blocks down: the last outputs are missing",
    ("-(-n // padded_length(d0))", "n // padded_length(d0)"),
)
knock.wrong(
    "one block too many",
    "where n is a multiple of d you take one block more than needed",
    ("-(-n // padded_length(d0))", "n // padded_length(d0) + 1"),
)
knock.wrong(
    "blocks of d0",
    "a block gives d outputs, the padded length, not d0",
    ("-(-n // padded_length(d0))", "-(-n // d0)"),
)
knock.wrong(
    "blocks a power of two",
    "you round the number of blocks up to a power of two; only d must be one",
    ("-(-n // padded_length(d0))", "padded_length(-(-n // padded_length(d0)))"),
)
knock.wrong(
    "not cut",
    "all outputs come back; keep the first n",
    ("[:, :n].copy()", ""),
)
knock.wrong(
    "last outputs kept",
    "you keep the last n outputs; keep the first",
    ("[:, :n].copy()", "[:, -n:].copy()"),
)
knock.wrong(
    "every few kept",
    "the outputs that are kept lie spread over all blocks; keep the first n",
    (
        "[:, :n].copy()",
        "[:, np.linspace(0, s.size - 1, n).astype(int)]",
    ),
)
knock.wrong(
    "one block for all",
    "all blocks use the numbers of the first; then the same outputs come again",
    (STACK, STACK.replace("*block, sigma", "s[0], g[0], p[0], b[0], sigma")),
)
knock.wrong(
    "one permutation for all",
    "all blocks use the permutation of the first; each has its own, p[l]",
    (STACK, STACK.replace("zip(s, g, p, b)", "zip(s, g, 0 * p + p[0], b)")),
)
knock.wrong(
    "one B for all",
    "all blocks use the diagonal B of the first; each has its own, b[l]",
    (STACK, STACK.replace("zip(s, g, p, b)", "zip(s, g, p, 0 * b + b[0])")),
)
knock.wrong(
    "blocks interlaced",
    "the outputs of the blocks are interlaced; put one block behind the other",
    (
        "np.concatenate(blocks, axis=1)[:",
        "np.stack(blocks, axis=2).reshape(len(x), -1)[:",
    ),
)
knock.wrong(
    "one after the other",
    "each block reads what the block before has made; all of them read x",
    (
        "    blocks = [fastfood(x, *block, sigma) for block in zip(s, g, p, b)]\n",
        "    blocks, z = [], x\n"
        "    for block in zip(s, g, p, b):\n"
        "        z = fastfood(z, *block, sigma)\n"
        "        blocks.append(z)\n",
    ),
)
knock.wrong(
    "added up",
    "the blocks are added up; put their outputs one behind the other",
    ("np.concatenate(blocks, axis=1)[:", "sum(blocks)[:"),
)
knock.wrong(
    "last block first",
    "the blocks come in the wrong order: block 0 first",
    ("np.concatenate(blocks, axis=1)", "np.concatenate(blocks[::-1], axis=1)"),
)
knock.wrong(
    "scaled by d0",
    "you divide by sqrt(d0); d in the constant is the padded length",
    (
        "    x = pad(x)\n",
        "    sigma = sigma * (x.shape[1] / s.shape[1]) ** 0.5\n    x = pad(x)\n",
    ),
)
knock.wrong(
    "scaled by all outputs",
    "you divide by the root of all outputs; the d of the constant is that of one block",
    ("    x = pad(x)\n", "    x = pad(x)\n    sigma = sigma * len(s) ** 0.5\n"),
)
knock.wrong(
    "permutations are parameters",
    "you count the permutations as parameters; they are stored, but they are no "
    "parameters",
    ("return 3 * entries,", "return 4 * entries,"),
)
knock.wrong(
    "permutations not stored",
    "the permutations are missing in the bytes: they are stored as well",
    ("4 * (3 + 1) * entries", "4 * 3 * entries"),
)
knock.wrong(
    "float64 counted",
    "you count 8 bytes for each number; it is 4",
    ("4 * (3 + 1) * entries", "8 * (3 + 1) * entries"),
)
knock.wrong(
    "numbers, not bytes",
    "the second number counts entries; a number takes 4 bytes",
    ("4 * (3 + 1) * entries", "(3 + 1) * entries"),
)
knock.wrong(
    "one permutation stored",
    "you count one permutation for all blocks; each block has its own",
    ("4 * (3 + 1) * entries", "12 * entries + 4 * padded_length(d0)"),
)
knock.wrong(
    "needed entries only",
    "you count n entries for each diagonal; blocks are stored as a whole",
    ("entries = number_of_blocks(d0, n) * padded_length(d0)", "entries = n"),
)
knock.wrong(
    "not padded in the count",
    "you count blocks of d0 entries; they have the padded length",
    ("* padded_length(d0)\n    return 3", "* d0\n    return 3"),
)
knock.wrong(
    "dense weights",
    "this is what a dense layer has, d0 * n",
    ("return 3 * entries,", "return d0 * n,"),
)
knock.wrong(
    "quotient of logarithms",
    "math.log(d0, 2) is a quotient of two rounded numbers: for 2**29 it is a little "
    "above 29; count in whole numbers",
    ("import numpy as np\n", "import math\n\nimport numpy as np\n"),
    (LENGTH, "2 ** math.ceil(math.log(d0, 2))"),
)
knock.wrong(
    "logarithm rounded",
    "log2 is rounded: above 2**49 the next number has the logarithm 49, too; count in "
    "whole numbers",
    (LENGTH, "2 ** int(np.ceil(np.log2(d0)))"),
)
knock.wrong(
    "logarithm in float32",
    "log2 in float32 has 24 bits: above 2**21 the next number has the logarithm 21, "
    "too; count in whole numbers",
    (LENGTH, "2 ** int(np.ceil(np.log2(np.float32(d0))))"),
)
knock.wrong(
    "length as a float",
    "the length is a float; make it a whole number, 8 and not 8.0",
    (LENGTH, "2.0 ** (d0 - 1).bit_length()"),
    ("(0, padded_length(d0) - d0))", "(0, int(padded_length(d0)) - d0))"),
)
knock.wrong(
    "cut out by multiplication",
    "what is behind the numbers is multiplied by 0, and 0 times an infinity is no "
    "zero; put zeros there",
    (
        "    return np.pad(x, ((0, 0), (0, padded_length(d0) - d0)))",
        "    d = padded_length(d0)\n"
        '    out = np.pad(x, ((0, 0), (0, d - d0)), mode="wrap")\n'
        "    return out * (np.arange(d) < d0)",
    ),
)
knock.wrong(
    "blocks by a float",
    "n / d is rounded to 53 bits, and what is left of a block may vanish; divide whole "
    "numbers: -(-n // d)",
    ("-(-n // padded_length(d0))", "int(np.ceil(n / padded_length(d0)))"),
)
knock.wrong(
    "blocks as a float",
    "the number of blocks is a float; make it a whole number, 3 and not 3.0",
    ("-(-n // padded_length(d0))", "float(-(-n // padded_length(d0)))"),
)
knock.wrong(
    "three blocks at most",
    "only the first three blocks are used; take as many as n needs",
    (STACK, STACK.replace("zip(s, g, p, b)", "list(zip(s, g, p, b))[:3]")),
)
knock.wrong(
    "eight blocks at most",
    "only the first eight blocks are used; take as many as n needs",
    (STACK, STACK.replace("zip(s, g, p, b)", "list(zip(s, g, p, b))[:8]")),
)
knock.wrong(
    "storage as floats",
    "the numbers of storage are floats; make them whole numbers, 3 and not 3.0",
    (
        "3 * entries, 4 * (3 + 1) * entries",
        "3.0 * entries, 16.0 * entries",
    ),
)
knock.wrong(
    "counted in 32 bits",
    "you count in 32 bits, which end at 2,147,483,647; take Python's whole numbers",
    (
        "number_of_blocks(d0, n) * padded_length(d0)",
        "int(np.array([number_of_blocks(d0, n), padded_length(d0)]).astype(np.int32)"
        ".prod(dtype=np.int32))",
    ),
)
