"""Grader of k035: channel shuffle."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write 0 ... 5 into a table with one row for each group. In which order do you "
        "have to read the table to get 0 3 1 4 2 5?",
        "A table of shape (groups, C // groups), read column by column. Backward, g at "
        "place p goes to the channel that place p came from. Interlace 6 channels in 2 "
        "groups, and the result in 3: what do you see?",
        "interlace: np.arange(C).reshape(groups, C // groups).T.ravel(). shuffle: "
        "x[:, index]. Backward: the same with interlace(C, C // groups).",
    ],
)

EXACT = (0, 0)
CASES = [  # C, groups
    *[(12, 3), (12, 4), (6, 2), (6, 3), (8, 2), (8, 4), (12, 6), (10, 5), (15, 3)],
    *[(4, 2), (9, 3), (1, 1), (5, 1), (5, 5), (2, 2), (2, 1)],
    *[(16, 2), (16, 8), (16, 4), (4, 1), (4, 4), (9, 1), (15, 5), (20, 5), (21, 7)],
]
SHORT = [(6, 2), (6, 3), (12, 3), (4, 2), (1, 1), (5, 1), (5, 5), (8, 4)]
MORE = [(16, 2), (16, 8), (4, 1), (4, 4), (9, 1), (9, 9), (36, 9)]  # squares
MORE += [(15, 3), (15, 5), (10, 5), (20, 5), (21, 7), (25, 5), (30, 6), (24, 8)]


def interlace(channels, groups):
    """Dealt out one by one: from each group its first channel, then its second."""
    order = []
    for k in range(channels // groups):
        for group in range(groups):
            order.append(group * (channels // groups) + k)
    return np.array(order, np.int64)


def shuffle(x, groups):
    """Channel by channel."""
    y = np.empty(x.shape, x.dtype)
    for place, channel in enumerate(interlace(x.shape[1], groups)):
        y[:, place] = x[:, channel]
    return y


def backward(g, groups):
    """Each number goes back to where it came from."""
    gx = np.empty(g.shape, g.dtype)
    for place, channel in enumerate(interlace(g.shape[1], groups)):
        gx[:, channel] = g[:, place]
    return gx


def whole(f):
    """``f`` with its indices as int64, whatever whole numbers they are."""

    @wraps(f)
    def indices(*args):
        received = f(*args)
        good = isinstance(received, np.ndarray) and received.dtype.kind in "iu"
        return received.astype(np.int64) if good else received

    return indices


def random_case(r):
    groups = r.size(2, 5)
    return groups * r.size(2, 5), groups


@knock.check("interlace: where 6 channels in 2 groups come from")
def small(mine, r):
    checks.value(whole(mine.interlace), interlace, 6, 2)


@knock.check("interlace for many numbers of channels and groups", points=2)
def lists(mine, r):
    for case in [*CASES, random_case(r), (r.size(100, 200) * 7, 7)]:
        checks.value(whole(mine.interlace), interlace, *case)


@knock.check("shuffle: the channels of all images, none of them touched", points=2)
def value(mine, r):
    x = 1.0 + np.arange(6).reshape(1, 6, 1, 1)
    checks.value(mine.shuffle, shuffle, x, 2, tolerance=EXACT)
    for channels, groups in [*SHORT, random_case(r)]:
        x = r(r.size(1, 3), channels, r.size(1, 3), r.size(1, 3))
        checks.value(mine.shuffle, shuffle, x, groups, tolerance=EXACT)
    n = 2 * r.size(2, 3)
    checks.value(mine.shuffle, shuffle, r(n, n, n, n), 2, tolerance=EXACT)
    for i, (channels, groups) in enumerate(MORE):
        x = r(1 + i % 5, channels, 1 + i % 2, 1 + i % 3)
        options = {"tolerance": EXACT, "again": False}
        checks.value(mine.shuffle, shuffle, x, groups, **options)


@knock.check("shuffle_backward, against loops and small steps", points=2)
def gradient(mine, r):
    f, g = mine.shuffle_backward, 1.0 + np.arange(6).reshape(1, 6, 1, 1)
    checks.value(f, backward, g, 2, tolerance=EXACT)
    for channels, groups in [*SHORT, random_case(r)]:
        g = r(r.size(1, 3), channels, r.size(1, 3), r.size(1, 3))
        checks.value(f, backward, g, groups, tolerance=EXACT)

    def from_x(g, x, groups):
        return f(g, groups)

    x = r(1, r.choice([6, 8]), 1, 2)
    checks.gradient(from_x, shuffle, x, 2, r=r)
    n = 2 * r.size(2, 3)
    checks.value(f, backward, r(n, n, n, n), 2, tolerance=EXACT)
    for i, (channels, groups) in enumerate(MORE):
        g = r(1 + i % 5, channels, 1 + i % 2, 1 + i % 3)
        checks.value(f, backward, g, groups, tolerance=EXACT, again=False)


@knock.check("backward undoes the shuffle, and is its transpose")
def inverse(mine, r):
    for channels, groups in [(6, 2), (12, 3), (4, 2), random_case(r)]:
        x = r(2, channels, 1, 2)
        there = checks.call(mine.shuffle, x, groups)
        back = checks.call(mine.shuffle_backward, np.array(there), groups)
        what = f"shuffle_backward(shuffle(x, {groups}), {groups}), against x"
        checks.equal(back, x, what, tolerance=EXACT)
        checks.adjoint(
            lambda x, groups=groups: mine.shuffle(x, groups),
            lambda g, groups=groups: mine.shuffle_backward(g, groups),
            x,
            r(*x.shape),
            f"shuffle_backward(g, {groups}) against shuffle(x, {groups})",
        )


@knock.check("dtype kept; views are right; earlier results stay")
def layout(mine, r):
    for f, oracle in ((mine.shuffle, shuffle), (mine.shuffle_backward, backward)):
        x = np.asfortranarray(r(2, 6, 3, 2))
        checks.value(f, oracle, x, 2, tolerance=EXACT)
        x = r(3, 2, 12, 2).astype(np.float32).swapaxes(0, 3)[::-1, :, ::-1]
        x = x.swapaxes(1, 2)[:, ::2]  # 6 channels
        checks.value(f, oracle, x, 3, tolerance=EXACT)
        first = checks.call(f, x, 2)
        checks.call(f, -x, 2), checks.call(f, x, 3)
        what = f"{f.__name__}: an earlier result, after other calls"
        checks.equal(first, oracle(x, 2), what, tolerance=EXACT)
        x = r.integers(100, 2, 4, 1, 3)
        checks.value(f, oracle, x, 2, again=False)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    index = mine.interlace(6, 2)
    if isinstance(index, np.ndarray) and index.flags.writeable:
        index[:] = 0  # it is the caller's
    for _ in range(2):  # the same channels in other groups
        for groups in (1, 2, 3, 6):
            x, f = r(1, 6, 1, 2), whole(mine.interlace)
            checks.value(f, interlace, 6, groups, again=False)
            checks.value(mine.shuffle, shuffle, x, groups, again=False)
            checks.value(mine.shuffle_backward, backward, x, groups, again=False)
    mine.shuffle(x, 2), mine.shuffle_backward(x, 2)
    x *= -2  # the same array with other numbers
    what = "again, after its array was changed in place"
    checks.equal(mine.shuffle(x, 2), shuffle(x, 2), f"shuffle {what}")
    gx = mine.shuffle_backward(x, 2)
    checks.equal(gx, backward(x, 2), f"shuffle_backward {what}")


knock.wrong(
    "table with too many rows",
    "this is the list for C // groups groups, which undoes the shuffle: the table has "
    "one row for each group",
    ("reshape(groups, channels // groups)", "reshape(channels // groups, groups)"),
)
knock.wrong(
    "not read down the columns",
    "your list is 0, 1, 2, ...: the table must be read column by column, so transpose "
    "it before you make a list of it",
    ("channels // groups).T.ravel()", "channels // groups).ravel()"),
)
knock.wrong(
    "columns from below",
    "the groups are dealt out from the last to the first; begin with the first one",
    ("channels // groups).T.ravel()", "channels // groups)[::-1].T.ravel()"),
)
knock.wrong(
    "rolled",
    "the first channel has moved away: every group's first channel comes first, and "
    "channel 0 is the first of the first group",
    (
        "channels // groups).T.ravel()",
        "channels // groups).T.ravel()[(np.arange(channels) + 1) % channels]",
    ),
)
knock.wrong(
    "counted from 1",
    "channels are counted from 0",
    ("np.arange(channels).reshape", "np.arange(1, channels + 1).reshape"),
)
knock.wrong(
    "a table, not a list",
    "interlace gives a table; make one list of it, of length C",
    ("channels // groups).T.ravel()", "channels // groups).T"),
)
knock.wrong(
    "floats",
    "the numbers of channels are floats: an index is a whole number",
    (
        "np.arange(channels).reshape(groups, channels // groups).T.ravel()",
        "np.arange(channels, dtype=float).reshape(groups, -1).T.ravel()",
    ),
    ("interlace(x.shape[1], groups)", "interlace(x.shape[1], groups).astype(int)"),
    (
        "interlace(channels, channels // groups)",
        "interlace(channels, channels // groups).astype(int)",
    ),
)
knock.wrong(
    "always two groups",
    "the channels are dealt out of two groups, whatever groups says",
    ("reshape(groups, channels // groups)", "reshape(2, channels // 2)"),
)
knock.wrong(
    "one list for each number of channels",
    "you remember a list by the number of channels alone; with other groups it is "
    "another one",
    (
        "    return np.arange(channels).reshape(groups, channels // groups).T.ravel()",
        "    order = np.arange(channels).reshape(groups, -1).T.ravel()\n"
        "    return known.setdefault(channels, order)",
    ),
    ("import numpy as np\n", "import numpy as np\n\nknown = {}\n"),
)
knock.wrong(
    "shuffled the other way",
    "shuffle sends channel p to the place interlace(C, groups)[p]; place p is to get "
    "that channel, so read from x by the list: y[:, p] = x[:, list[p]]",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    y = np.empty_like(x)\n"
        "    y[:, interlace(x.shape[1], groups)] = x\n"
        "    return y",
    ),
)
knock.wrong(
    "groups not mixed",
    "the channels are reversed within their groups, and no channel leaves its group",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    n, c, h, w = x.shape\n"
        "    y = x.reshape(n, groups, c // groups, h, w)[:, :, ::-1]\n"
        "    return y.reshape(x.shape)",
    ),
)
knock.wrong(
    "groups moved as a whole",
    "whole groups change places; deal their channels out one by one",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    n, c, h, w = x.shape\n"
        "    y = x.reshape(n, groups, c // groups, h, w)[:, ::-1]\n"
        "    return y.reshape(x.shape)",
    ),
)
knock.wrong(
    "shuffled in place",
    "x itself is shuffled; it belongs to the caller, so make a new array",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    x[:] = x[:, interlace(x.shape[1], groups)]\n    return x",
    ),
)
knock.wrong(
    "wrong axes exchanged",
    "the table's axis is exchanged with the rows of the image: split axis 1 in two and "
    "exchange these two",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    n, c, h, w = x.shape\n"
        "    y = x.reshape(n, groups, c // groups, h, w).swapaxes(2, 3)\n"
        "    return y.reshape(x.shape)",
    ),
)
knock.wrong(
    "pixels shuffled, too",
    "the pixels of each image are in another order, too: only channels change places",
    (
        "    return x[:, interlace(x.shape[1], groups)]",
        "    y = x[:, interlace(x.shape[1], groups)]\n"
        "    return y.swapaxes(2, 3).reshape(x.shape)",
    ),
)
knock.wrong(
    "shuffled again",
    "backward shuffles once more in the same groups; it must undo the shuffle",
    (
        "g[:, interlace(channels, channels // groups)]",
        "g[:, interlace(channels, groups)]",
    ),
)
knock.wrong(
    "passed through",
    "g comes back as it was: the gradient belongs to the channel that each place has "
    "got its numbers from",
    ("return g[:, interlace(channels, channels // groups)]", "return g.copy()"),
)
knock.wrong(
    "backward backwards",
    "backward turns the shuffled channels around; to undo a shuffle is not to read it "
    "from its end",
    (
        "g[:, interlace(channels, channels // groups)]",
        "g[:, interlace(channels, groups)[::-1]]",
    ),
)
knock.wrong(
    "backward the same for all",
    "all channels get the mean gradient; every number goes back to one place, "
    "unchanged",
    (
        "    return g[:, interlace(channels, channels // groups)]",
        "    mean = g.mean(axis=1, keepdims=True)\n"
        "    return np.broadcast_to(mean, g.shape).astype(g.dtype)",
    ),
)
knock.wrong(
    "always float64",
    "the gradient is float64 even where g is not: keep its dtype",
    (
        "    return g[:, interlace(channels, channels // groups)]",
        "    gx = np.zeros(g.shape)\n"
        "    gx[:, interlace(channels, groups)] = g\n"
        "    return gx",
    ),
)
