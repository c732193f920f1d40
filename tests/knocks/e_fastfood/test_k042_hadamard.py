"""Grader of k042: the Hadamard matrix."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Begin with [[1]] and double it until it has n rows. For one entry, which "
        "operator of Python leaves the bits that two numbers have in common?",
        "np.block puts four blocks together. i & j has the bits that both have; count "
        "them, and look whether they are even. The sign changes where a number differs "
        "from its neighbour, and np.argsort says which rows come first.",
        "h = np.block([[h, h], [h, -h]]) while len(h) < n, from np.ones((1, 1), int); "
        "entry: (-1) ** (i & j).bit_count(); sign changes: (rows[:, 1:] != "
        "rows[:, :-1]).sum(axis=1); order: np.argsort(sign_changes(hadamard(n))).",
    ],
)

SIZES = [4, 1, 2, 8, 16, 32]
OTHERS = [3, 6, 0, 5, 7, 12, 24, 96, -1, -4]


def parity(i, j):
    """1 for an even number of common bits, else -1, bit by bit."""
    sign = 1
    while i and j:
        if i % 2 == 1 and j % 2 == 1:
            sign = -sign
        i, j = i // 2, j // 2
    return sign


def hadamard(n):
    """Entry by entry."""
    h = np.zeros((n, n), np.int64)
    for i, j in np.ndindex(n, n):
        h[i, j] = parity(i, j)
    return h


def sign_changes(rows):
    """Along one row after the other."""
    counts = np.zeros(len(rows), np.int64)
    for i, row in enumerate(rows):
        for a, b in zip(row[:-1], row[1:]):
            counts[i] += a * b < 0
    return counts


def sequency_order(n):
    """For each number of changes, the row that has it."""
    counts, order = sign_changes(hadamard(n)), np.zeros(n, np.int64)
    for row, count in enumerate(counts):
        order[count] = row
    return order


def whole(f, kinds="i"):
    """``f`` with its integers as int64; other dtypes are a mistake."""

    @wraps(f)
    def integers(*args):
        received = plain(f(*args), f.__name__)
        text = f"{f.__name__} must give an integer array; got {received.dtype}"
        checks.true(received.dtype.kind in kinds, text, received)
        return received.astype(np.int64, copy=False)

    return integers


def refused(f, n):
    """Whether ``f(n)`` raises ValueError."""
    try:
        f(n)
    except ValueError:
        return True
    return False


@knock.check("hadamard: 4 rows, then 1, 2, 8 and more", points=2)
def matrix(mine, r):
    for n in [*SIZES, 2 ** r.size(0, 5)]:
        checks.value(whole(mine.hadamard), hadamard, n)


@knock.check("H H = n I: the rows are orthogonal, and H is symmetric")
def orthogonal(mine, r):
    n = 2 ** r.size(2, 7)
    h = whole(mine.hadamard)(n)
    checks.equal(h.shape, (n, n), f"the shape of hadamard({n})")
    checks.equal(h @ h, n * np.eye(n, dtype=np.int64), f"H @ H, n = {n}")
    checks.equal(h, np.ascontiguousarray(h.T), f"H against its transpose, n = {n}")


@knock.check("hadamard of other sizes raises ValueError")
def sizes(mine, r):
    others = [*OTHERS, 2 ** r.size(3, 6) - 1, 2 ** r.size(3, 6) + 1]
    found = [refused(mine.hadamard, n) for n in others]
    for n, raised in zip(others, found):
        text = f"hadamard({n}): ValueError must be raised, {n} is no power of two"
        checks.true(raised, text, found)


@knock.check("entry: the sign at any place, also far beyond any matrix", points=2)
def entries(mine, r):
    places = [(0, 0), (1, 1), (1, 2), (3, 3), (2, 3), (7, 7), (0, 9), (5, 4)]
    places += [(i, j) for i in range(8) for j in range(8)]
    for bits in (10, 40, 63, 64, 65, 99):
        for _ in range(6):
            i, j = (int.from_bytes(r.rng.bytes(13), "big") >> 104 - bits for _ in "ij")
            places += [(i, j), (i, i), (i, 1 << bits - 1), (j, i)]
    top = 10**30  # 99 is its highest bit
    low = int(r.integers(1 << 40))
    for i, j in ((top, top), (top - 1, top), (top - low, 1 << 99), (top, 3 << 98)):
        places += [(i, j), (j, i)]
    found = [checks.call(mine.entry, i, j) for i, j in places]
    shown = [plain(sign, "entry") for sign in found]
    for (i, j), sign in zip(places, shown):
        try:
            checks.count(sign, parity(i, j), f"entry({i}, {j})")
        except Mistake as mistake:
            raise Mistake(mistake.message, [str(s) for s in shown]) from None


@knock.check("sign_changes: rows of H and other rows of 1 and -1", points=2)
def changes(mine, r):
    f = whole(mine.sign_changes, "iu")
    checks.value(f, sign_changes, np.array([[1, 1, -1], [-1, 1, -1], [-1, -1, -1]]))
    for n in (4, 8, 1):
        checks.value(f, sign_changes, hadamard(n))
    for shape in [
        (1, 1),
        (3, 1),
        (1, 7),
        (4, 4),
        (2, 300),
        (r.size(1, 5), r.size(1, 9)),
    ]:
        rows = 1 - 2 * r.integers(2, *shape)
        checks.value(f, sign_changes, rows)
        checks.value(f, sign_changes, rows.astype(float))
        checks.value(f, sign_changes, np.asfortranarray(rows.astype(np.float32)))
        checks.value(f, sign_changes, rows[::-1, ::-2].astype(np.int8))


@knock.check("sequency_order: the rows of H sorted by their sign changes", points=2)
def order(mine, r):
    for n in [*SIZES, 64, 2 ** r.size(0, 6)]:
        checks.value(whole(mine.sequency_order, "iu"), sequency_order, n)


def long_hadamard(n):
    """`hadamard` for many rows: bits in common are added up modulo 2 by folding."""
    places = np.arange(n)
    common = places[:, None] & places
    for fold in (16, 8, 4, 2, 1):
        common ^= common >> fold
    return 1 - 2 * (common & 1)


@knock.check("hadamard and sequency_order: 512 rows")
def large(mine, r):
    n = 512
    h = long_hadamard(n)
    checks.equal(whole(mine.hadamard)(n), h, f"hadamard({n})")
    order = np.zeros(n, np.int64)
    order[(h[:, 1:] * h[:, :-1] < 0).sum(axis=1)] = np.arange(n)
    checks.equal(whole(mine.sequency_order, "iu")(n), order, f"sequency_order({n})")


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    for name, oracle in (("hadamard", hadamard), ("sequency_order", sequency_order)):
        f = getattr(mine, name)
        first = f(4)
        if isinstance(first, np.ndarray) and first.flags.writeable:
            first[...] = 7  # whoever has a result may write to it
        what = f"{name}(4), again, after its first result was written to"
        checks.equal(whole(f, "iu")(4), oracle(4), what)
        for n in (8, 2, 4):
            checks.equal(whole(f, "iu")(n), oracle(n), f"{name}({n})")
    rows = 1 - 2 * r.integers(2, 3, 5)
    mine.sign_changes(rows)
    rows[:, ::2] *= -1  # the same array with other numbers
    received = whole(mine.sign_changes, "iu")(rows)
    what = "sign_changes again, after rows was changed in place"
    checks.equal(received, sign_changes(rows), what)


BLOCK = "np.block([[h, h], [h, -h]])"
SIGN = "(-1) ** (i & j).bit_count()"
CHANGES = "(rows[:, 1:] != rows[:, :-1]).sum(axis=1)"
ORDER = "np.argsort(sign_changes(hadamard(n)))"

knock.wrong(
    "minus below on the left",
    "the block below on the left has the minus sign; it belongs to the one below on "
    "the right",
    (BLOCK, "np.block([[h, h], [-h, h]])"),
)
knock.wrong(
    "minus above on the right",
    "the block above on the right has the minus sign; it belongs to the one below on "
    "the right",
    (BLOCK, "np.block([[h, -h], [h, h]])"),
)
knock.wrong(
    "minus in the first block",
    "the first block has the minus sign; the first row and column are all 1",
    (BLOCK, "np.block([[-h, h], [h, h]])"),
)
knock.wrong(
    "no minus",
    "there is no minus sign: all entries are 1, and the rows are all alike",
    (BLOCK, "np.block([[h, h], [h, h]])"),
)
knock.wrong(
    "every number doubled in place",
    "every number is replaced by a 2 by 2 block that does not depend on where it "
    "stands; the minus sign belongs to the block, not to its last number",
    (BLOCK, "np.kron(h, np.array([[1, 1], [1, 1]])) * (1 - 2 * (len(h) > 1))"),
)
knock.wrong(
    "orthonormal",
    "your H is divided by the root of n; its entries are 1 and -1",
    ("    return h\n", "    return h / n**0.5\n"),
)
knock.wrong(
    "floats",
    "your H is an array of floats; give it an integer dtype",
    ("np.ones((1, 1), int)", "np.ones((1, 1))"),
)
knock.wrong(
    "one doubling too many",
    "H is doubled once too often: it has n rows, not 2 n",
    ("while len(h) < n:", "while len(h) <= n:"),
)
knock.wrong(
    "begins with H_2",
    "you begin with two rows; H_1 is [[1]]",
    ("np.ones((1, 1), int)", "np.array([[1, 1], [1, -1]])"),
)
knock.wrong(
    "n taken for the exponent",
    "n is taken for the number of doublings; it is the number of rows",
    (
        "    while len(h) < n:\n",
        "    while len(h) < 2 ** min(n, 6):\n",
    ),
)
knock.wrong(
    "rows in sequency order",
    "the rows are sorted by their sign changes; hadamard gives them in natural order",
    (
        "    return h\n",
        "    return h[np.argsort((h[:, 1:] != h[:, :-1]).sum(axis=1))]\n",
    ),
)
knock.wrong(
    "any size doubled",
    "other sizes are not refused: the next power of two is taken instead",
    ("if n < 1 or n & (n - 1):", "if n < 1:"),
)
knock.wrong(
    "only odd sizes refused",
    "odd sizes are refused, but 6 and 12 are no powers of two either",
    ("if n < 1 or n & (n - 1):", "if n < 1 or n % 2 and n > 1:"),
)
knock.wrong(
    "0 accepted",
    "0 is no power of two, though 0 & (0 - 1) is 0: it must be refused",
    ("if n < 1 or n & (n - 1):", "if n < 0 or n & (n - 1):"),
)
knock.wrong(
    "1 refused",
    "1 is a power of two, 2 ** 0: H_1 is [[1]]",
    ("if n < 1 or n & (n - 1):", "if n < 2 or n & (n - 1):"),
)
knock.wrong(
    "always the same H",
    "all calls give the same array: whoever writes to one result changes the others",
    (
        "    return h\n",
        "    return known.setdefault(n, h)\n",
    ),
    ("import numpy as np\n", "import numpy as np\n\nknown = {}\n"),
)
knock.wrong(
    "or for and",
    "you count the bits that i or j has; only those that both have count",
    (SIGN, "(-1) ** (i | j).bit_count()"),
)
knock.wrong(
    "xor for and",
    "you count the bits in which i and j differ; those that both have count",
    (SIGN, "(-1) ** (i ^ j).bit_count()"),
)
knock.wrong(
    "product for and",
    "you ask whether i * j is odd, which only looks at the lowest bits",
    (SIGN, "(-1) ** (i * j % 2)"),
)
knock.wrong(
    "any common bit",
    "your sign is -1 wherever i and j have a bit in common; two such bits make it 1 "
    "again",
    (SIGN, "-1 if i & j else 1"),
)
knock.wrong(
    "bits counted from 1",
    "rows and columns are counted from 0, so i and j are taken as they are",
    (SIGN, "(-1) ** ((i + 1) & (j + 1)).bit_count()"),
)
knock.wrong(
    "bit count itself",
    "entry gives how many bits there are; it must be 1 for an even number, -1 for an "
    "odd one",
    (SIGN, "(i & j).bit_count()"),
)
knock.wrong(
    "sign flipped",
    "the sign is flipped: an even number of common bits gives 1",
    (SIGN, "-((-1) ** (i & j).bit_count())"),
)
knock.wrong(
    "64 bits only",
    "the higher bits of large numbers are lost: Python's whole numbers have as many "
    "as they need, NumPy's have 64",
    (SIGN, "(-1) ** (i & j & (1 << 64) - 1).bit_count()"),
)
knock.wrong(
    "99 bits only",
    "you look at 99 bits; 10**30 has 100, and a number may have any number of them",
    (SIGN, "(-1) ** (i & j & (1 << 99) - 1).bit_count()"),
)
knock.wrong(
    "six bits only",
    "your H repeats from row 64 on: all bits of the row and the column count",
    (
        "    return h\n",
        "    places = np.arange(n) % 64\n    return h[places][:, places]\n",
    ),
)
knock.wrong(
    "eight bits only",
    "your H repeats from row 256 on: a uint8 has eight bits, the rest is lost",
    (
        "    return h\n",
        "    places = np.arange(n).astype(np.uint8)\n    return h[places][:, places]\n",
    ),
)
for rows in (64, 128, 256):
    knock.wrong(
        f"cut out of {rows} rows",
        f"your H is cut out of one of {rows} rows; n may be larger than that",
        (
            "    return h\n",
            f"    return h[:{rows}, :{rows}].copy()\n",
        ),
    )
knock.wrong(
    "order of 256 rows",
    "your order is that of 256 rows, repeated for more; sort all n rows",
    (ORDER, "np.resize(np.argsort(sign_changes(hadamard(min(n, 256)))), n)"),
)
knock.wrong(
    "changes in eight bits",
    "your order is wrong for more than 256 rows: the counts do not fit into 8 bits",
    (ORDER, "np.argsort(sign_changes(hadamard(n)).astype(np.uint8), kind='stable')"),
)
knock.wrong(
    "minus signs counted",
    "you count the numbers that are -1; count how often the sign changes",
    (CHANGES, "(rows < 0).sum(axis=1)"),
)
knock.wrong(
    "runs counted",
    "you count the runs of equal numbers; there is one change less",
    (CHANGES, "1 + " + CHANGES),
)
knock.wrong(
    "around the end",
    "the last number is compared with the first; a row ends there",
    (CHANGES, "(rows != np.roll(rows, 1, axis=1)).sum(axis=1)"),
)
knock.wrong(
    "down the columns",
    "you count the changes down the columns; go along the rows",
    (CHANGES, "(rows[1:] != rows[:-1]).sum(axis=0)"),
)
knock.wrong(
    "only falls",
    "you count the changes from 1 to -1 only; those from -1 to 1 count, too",
    (CHANGES, "(rows[:, 1:] < rows[:, :-1]).sum(axis=1)"),
)
knock.wrong(
    "steps of two",
    "every change counts as 2, the size of the step from 1 to -1; it counts once",
    (CHANGES, "abs(np.diff(rows.astype(int))).sum(axis=1)"),
)
knock.wrong(
    "order of another kind",
    "your list says which place each row goes to; it must say which row each place "
    "gets",
    (ORDER, "sign_changes(hadamard(n))"),
)
knock.wrong(
    "fast rows first",
    "the rows with the most changes come first; slow comes before fast",
    (ORDER, "np.argsort(-sign_changes(hadamard(n)))"),
)
knock.wrong(
    "natural order",
    "your list is 0, 1, 2, ...; the rows of H are not sorted by their changes",
    (ORDER, "np.arange(n)"),
)
knock.wrong(
    "bits reversed only",
    "your list has the bits of 0, 1, 2, ... in reverse, which is dyadic (Paley) order",
    (
        ORDER,
        "np.array([int(f'{i + n:b}'[:0:-1] or '0', 2) for i in range(n)])",
    ),
)
knock.wrong(
    "Gray code only",
    "your list is i ^ (i >> 1); the bits must be reversed as well",
    (ORDER, "np.arange(n) ^ np.arange(n) >> 1"),
)
