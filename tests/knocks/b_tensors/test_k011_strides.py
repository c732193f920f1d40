"""Grader of k011: strides."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "In a book of 3 lines a page and 4 letters a line: how many letters further is "
        "the next letter, the next line, the next page?",
        "From the last axis to the first: the stride is the product of the lengths of "
        "the axes after it. A place is a sum of index times stride. To transpose is to "
        "reorder the strides. What repeats has stride 0.",
        "contiguous: math.prod(shape[k + 1 :]) for each axis k; place: sum(i * s for "
        "i, s in zip(index, strides)); transposed: strides[a] for a in axes; "
        "broadcast: 0 for each new axis in front, then s if n == m else 0 for n, s, m "
        "in zip(shape, strides, to[new:]), where new = len(to) - len(shape).",
    ],
)


def whole(f, axes: int):
    """``f`` with its strides, one for each of so many axes, as an array."""

    @wraps(f)
    def strides(*args):
        received = f(*args)
        name = f"{f.__name__}({', '.join(map(str, args))})"
        checks.true(
            isinstance(received, tuple | list),
            f"{name} must give a tuple of strides; got a {type(received).__name__}",
        )
        for s in received:
            checks.true(
                isinstance(s, int | np.integer),
                f"{name}: strides must be whole numbers; got {s} ({type(s).__name__})",
            )
        checks.true(
            len(received) == axes,
            f"{name} must give {axes} strides, one for each axis; got "
            f"({', '.join(map(str, received))})",
        )
        return np.array(received, np.int64)

    return strides


def places(shape, strides):
    """Where in memory every element of an array with these strides lies."""
    at = np.zeros(shape, np.int64)
    for index in np.ndindex(*shape):
        for i, stride in zip(index, strides):
            at[index] += i * stride
    return at


def numpys(x):
    """NumPy's own strides, in elements."""
    return tuple(s // x.itemsize for s in x.strides)


def shape_of(r, axes: int):
    return tuple(r.size(2, 5) for _ in range(axes))


def contiguous(shape):
    """How far in memory the neighbour along each axis is, by counting."""
    strides = []
    for axis, length in enumerate(shape):
        # a second element along the axis, even where there is only one
        longer = shape[:axis] + (max(length, 2),) + shape[axis + 1 :]
        place = {index: at for at, index in enumerate(np.ndindex(*longer))}
        strides.append(place[tuple(int(a == axis) for a in range(len(shape)))])
    return np.array(strides, np.int64)


def numbered(shape):
    """The places of the first neighbours along each axis, by NumPy."""
    units = np.eye(len(shape), dtype=int)
    return np.array([np.ravel_multi_index(u, shape) for u in units], np.int64)


@knock.check("the strides of a small matrix, of a row, of shapes with up to 4 axes")
def contiguous_(mine, r):
    sizes = r.size(2, 4), r.size(3, 5)
    shapes = [sizes, (r.size(2, 5),), shape_of(r, 3), shape_of(r, 4)]
    shapes += [(1, 4), (3, 1), (1,), (2, 1, 3), ()]
    shapes += [sizes[::-1], shapes[2][::-1], (4, 1), (1, 3)]
    for shape in shapes:
        checks.value(whole(mine.contiguous_strides, len(shape)), contiguous, shape)
    large = (300, 1000, 70000)
    checks.value(whole(mine.contiguous_strides, 3), numbered, large)


@knock.check("the place in memory of x[index], for any strides")
def offset(mine, r):
    x = np.arange(60).reshape(3, 4, 5)
    views = [x[0], x, x.transpose(2, 0, 1), x[:, ::-1, ::2], x[1, 2]]
    views += [np.broadcast_to(x[:, :1], (3, 4, 5))]
    indices = [tuple(r.size(1, n - 1) for n in array.shape) for array in views]
    views, indices = [*views, x, x], [*indices, (2, 0, r.size(1, 4)), (0, 0, 0)]
    for array, index in zip(views, indices):
        start, there = array[(0,) * array.ndim], array[index]
        expected = int(there) - int(start)  # the elements are their own places
        strides = numpys(array)
        checks.value(mine.element_offset, lambda *_, e=expected: e, index, strides)
    for _ in range(2):  # one index, in the same places in other orders and directions
        for strides in [(7, 300, 2), (300, 2, 7), (2, 7, 300), (2, 7, -300), (7, 2, 0)]:
            for index in [(1, 2, 500), (2, 1, 500), (500, 1, 2), (0, 0, 1)]:
                e = 0
                for i, stride in zip(index, strides):
                    e += i * stride
                what = f"element_offset({index}, {strides})"
                got = checks.call(mine.element_offset, index, strides)
                checks.equal(got, e, what)


@knock.check("the strides of transposed arrays")
def transposed(mine, r):
    def oracle(strides, axes):
        shape = tuple(range(2, 2 + len(strides)))
        room = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), shape, strides)
        return np.array(room.transpose(axes).strides, np.int64)  # never read

    cases = [(0, 1), (1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1), (0,)]
    cases.append(tuple(int(a) for a in r.rng.permutation(4)))
    cases.append(r.choice([(1, 3, 0, 2), (2, 0, 3, 1), (1, 2, 3, 0)]))
    for axes in cases:
        strides = tuple(int(s) for s in r.rng.permutation(np.arange(20))[: len(axes)])
        for given in (strides, strides[::-1], tuple(1000 - s for s in strides)):
            checks.value(whole(mine.transpose_strides, len(axes)), oracle, given, axes)
        checks.value(whole(mine.transpose_strides, len(axes)), oracle, strides, axes)


@knock.check("the strides of broadcast arrays: which memory every element is", points=2)
def broadcast(mine, r):
    n, m, k = r.size(2, 4), r.size(2, 4), r.size(2, 4)
    row = np.arange(m), (n, m)
    column = np.arange(n)[:, None], (n, m)
    cases = [
        row,
        (np.arange(m), (m, m)),
        column,
        (np.arange(n * m).reshape(n, m), (n, m)),
        (np.arange(n * m).reshape(n, m), (2, k, n, m)),
        (np.arange(n * m).reshape(m, n).T, (2, k, n, m)),
        (np.arange(n * m).reshape(n, m)[::-1], (2, k, n, m)),
        (np.arange(n * n).reshape(n, n), (n, n, n)),
        (np.arange(n * n).reshape(n, n).T, (n, n, n)),
        (np.arange(600).reshape(2, 300), (2, 2, 300)),
        (np.arange(n * m).reshape(m, n).T, (k, n, m)),
        (np.arange(n * m).reshape(n, 1, m), (n, k, m)),
        (np.arange(n * m).reshape(n, 1, m), (2, n, 1, m)),
        (np.arange(2 * n * m).reshape(n, 2 * m)[:, None, ::2], (k, n, k, m)),
        (np.arange(n).reshape(1, n, 1), (m, n, k)),
        (np.arange(1), (1, n)),
        (np.array(0), (n, m)),
        (np.array(0), ()),
    ]
    for x, to in cases:
        shape, strides = x.shape, numpys(x)
        f = whole(mine.broadcast_strides, len(to))

        for _ in range(2):
            found = checks.call(f, shape, strides, to)
            checks.equal(
                places(to, found),
                np.array(np.broadcast_to(x, to)) - x[(0,) * x.ndim],
                f"broadcast_strides{shape, strides, to} gives {tuple(found.tolist())}; "
                "the places in memory that these strides lead to",
            )


knock.wrong(
    "first axis fastest",
    "these are the strides of an array stored column by column (as in Fortran): here "
    "the last axis has stride 1",
    ("in reversed(shape)", "in shape"),
    ("strides.insert(0, elements)", "strides.append(elements)"),
)
knock.wrong(
    "own length included",
    "the length of an axis itself does not count in its stride, only those of the axes "
    "after it",
    (
        "        strides.insert(0, elements)\n        elements *= length",
        "        elements *= length\n        strides.insert(0, elements)",
    ),
)
knock.wrong(
    "bytes",
    "these are bytes of 8 to an element: here strides are counted in elements",
    ("strides, elements = [], 1", "strides, elements = [], 8"),
)
knock.wrong(
    "floats",
    "a stride is 1.0: np.prod of an empty tuple is a float, math.prod is a whole "
    "number",
    (
        "    return tuple(strides)",
        "    return tuple(np.prod(shape[i + 1 :]) for i in range(len(shape)))",
    ),
)
knock.wrong(
    "neighbour's length",
    "the stride is the product of the lengths of all axes after it, not only of the "
    "next one",
    ("elements *= length", "elements = length"),
)
knock.wrong(
    "last stride taken for 1",
    "the last index is added as if its stride were 1; multiply each index by its own "
    "stride",
    (
        "return sum(i * stride for i, stride in zip(index, strides))",
        "return sum(i * s for i, s in zip(index[:-1], strides[:-1])) + index[-1]",
    ),
)
knock.wrong(
    "strides not signed",
    "a negative stride goes back in memory: keep its sign",
    ("sum(i * stride for", "sum(i * abs(stride) for"),
)
knock.wrong(
    "remembered by the index",
    "an earlier answer comes back: you remember places by something that two different "
    "questions have in common; the place depends on each index with its own stride",
    (
        "    return sum(i * stride for i, stride in zip(index, strides))",
        "    key = tuple(index), tuple(sorted(strides))\n"
        "    place = sum(i * stride for i, stride in zip(index, strides))\n"
        "    return known.setdefault(key, place)",
    ),
    ("import numpy as np\n", "import numpy as np\n\nknown = {}\n"),
)
knock.wrong(
    "inverse permutation",
    "you use the permutation the wrong way round: axis k of the result is axis axes[k] "
    "of x, so its stride is strides[axes[k]]",
    (
        "tuple(strides[axis] for axis in axes)",
        "tuple(strides[axes.index(k)] for k in range(len(axes)))",
    ),
)
knock.wrong(
    "always reversed",
    "you turn the order of all axes around, whatever axes says",
    ("strides[axis] for axis in axes", "strides[::-1]"),
)
knock.wrong(
    "stride kept on stretched axes",
    "an axis that grows from length 1 keeps its stride and so runs into other memory; "
    "it must go on by 0",
    ("(s if n == m else 0 for", "(s for"),
)
knock.wrong(
    "aligned in front",
    "you align the shapes at their first axes; broadcasting aligns them at their last, "
    "and new axes come in front",
    ("to[new:])", "to)"),
    ("return (0,) * new + tuple(old)", "return tuple(old) + (0,) * new"),
)
knock.wrong(
    "new axes left out",
    "an axis that broadcasting adds in front needs a stride too: 0",
    ("return (0,) * new + tuple(old)", "return tuple(old)"),
)
