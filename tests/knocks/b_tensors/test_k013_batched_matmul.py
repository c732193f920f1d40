"""Grader of k013: the gradients of batched matrix products."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write b[k, m] as c[m, k], with c the transpose of b. What is ga, then?",
        "For one pair of matrices: ga = g @ b.T and gb = a.T @ g. In a stack, "
        "transpose the last two axes only. A matrix that was used for many others "
        "collects all of their gradients.",
        "ga = g @ b.swapaxes(-1, -2), gb = a.swapaxes(-1, -2) @ g; then "
        "unbroadcast(ga, a.shape) and unbroadcast(gb, b.shape).",
    ],
)


def products(a, b):
    """Every multiplication: the places in y, a and b that take part in it."""
    (n, k), m = a.shape[-2:], b.shape[-1]
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])

    def place(at, shape):
        at = at[len(at) - len(shape) :]
        return tuple(i if size > 1 else 0 for i, size in zip(at, shape))

    for at in np.ndindex(*stack):
        in_a, in_b = place(at, a.shape[:-2]), place(at, b.shape[:-2])
        for i, j, s in np.ndindex(n, m, k):
            yield (*at, i, j), (*in_a, i, s), (*in_b, s, j)


def forward(a, b):
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.zeros((*stack, a.shape[-2], b.shape[-1]), a.dtype)
    for at, in_a, in_b in products(a, b):
        y[at] += a[in_a] * b[in_b]
    return y


def backward(g, a, b):
    ga, gb = np.zeros(a.shape), np.zeros(b.shape)
    for at, in_a, in_b in products(a, b):
        ga[in_a] += g[at] * b[in_b]
        gb[in_b] += g[at] * a[in_a]
    return ga.astype(a.dtype), gb.astype(b.dtype)


def result(a, b):
    """The shape of a @ b."""
    stack = np.broadcast_shapes(a[:-2], b[:-2])
    return (*stack, a[-2], b[-1])


def agree(mine, r, cases, dtype=np.float64):
    """Against the loop, for pairs of shapes."""
    for a, b in cases:
        arrays = (r(*shape).astype(dtype) for shape in (result(a, b), a, b))
        checks.value(mine.matmul_backward, backward, *arrays)


@knock.check("one pair of square matrices, where shapes tell nothing")
def square(mine, r):
    g = np.array([[1.0, 0], [0, 0]]) * r.choice([1, 2, 3])
    a, b = r.rng.permutation(np.arange(1.0, 9)).reshape(2, 2, 2)
    checks.value(mine.matmul_backward, backward, g, a, b)
    n = r.size(2, 3)
    checks.gradient(mine.matmul_backward, forward, r(n, n), r(n, n), r=r)


@knock.check("one pair of matrices of any shapes")
def pair(mine, r):
    n, k, m = r.size(2, 3), r.size(2, 4), r.size(2, 3)
    checks.gradient(mine.matmul_backward, forward, r(n, k + 1), r(k + 1, m), r=r)
    shapes = [
        (n, k, m),
        (1, k, m),
        (n, 1, m),
        (n, k, 1),
        (1, 1, m),
        (1, k, 1),
        (1, 1, 1),
    ]
    agree(mine, r, [((i, s), (s, j)) for i, s, j in shapes])


@knock.check("two stacks of the same length: every pair has its own gradient")
def stacks(mine, r):
    n, k, m, s = r.size(2, 3), r.size(2, 3), r.size(2, 3), r.size(2, 3)
    checks.gradient(mine.matmul_backward, forward, r(s, n, k), r(s, k, m), r=r)
    for stack in [(s,), (1,), (2, s), (1, s), (s, 1), (2, 1, s)]:
        agree(mine, r, [((*stack, n, k), (*stack, k, m))])
    agree(mine, r, [((n, n, n), (n, n, n)), ((2, 2, 2, 2), (2, 2, 2, 2))])


@knock.check("stacks that broadcast: what is used often collects often", points=2)
def broadcast(mine, r):
    n, k, m, s, t = (r.size(2, 3) for _ in range(5))
    checks.gradient(mine.matmul_backward, forward, r(s, n, k), r(k, m), r=r)
    checks.gradient(mine.matmul_backward, forward, r(n, k), r(s, k, m), r=r)
    stacks = [
        *[((s,), ()), ((), (s,)), ((s,), (1,)), ((1,), (s,)), ((1,), ()), ((), (1,))],
        *[((s, 1), (t,)), ((t,), (s, 1)), ((s, 1), (1, t)), ((1, t), (s, 1))],
        *[((s, t), (t,)), ((t,), (s, t)), ((s, t), (s, 1)), ((s, 1), (s, t))],
        *[((s, t), ()), ((), (s, t)), ((1, 1), (s, t)), ((s, t), (1, 1))],
        *[((2, 1, t), (s, 1)), ((s, 1), (2, 1, t))],
    ]
    agree(mine, r, [((*one, n, k), (*two, k, m)) for one, two in stacks])
    agree(
        mine, r, [((n, n, n), (n, n)), ((n, n), (n, n, n)), ((n, 1, n, n), (n, n, n))]
    )


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    n, k, m, s = r.size(2, 3), r.size(2, 3), r.size(2, 3), r.size(2, 3)
    agree(
        mine, r, [((n, k), (k, m)), ((s, n, k), (k, m)), ((1, n, k), (s, k, m))], "f4"
    )
    a = r(s, 2 * k, n).swapaxes(-1, -2)[..., ::2]
    b, g = r(k, m)[::-1, ::-1], r(n, m, s).transpose(2, 0, 1)
    checks.value(mine.matmul_backward, backward, g, a, b)
    for size in (2, 3):  # square, and stored column by column
        turned = [r(size, size, size).transpose(0, 2, 1) for _ in range(3)]
        whole = [r(size, size, size).T for _ in range(3)]
        plain = [r(size, size, size) for _ in range(3)]
        for way in np.ndindex(2, 2, 2):
            mixed = [(plain, turned)[w][i] for i, w in enumerate(way)]
            checks.value(mine.matmul_backward, backward, *(x[0] for x in mixed))
        checks.value(mine.matmul_backward, backward, *turned)
        checks.value(mine.matmul_backward, backward, *whole)


knock.wrong(
    "transposed views",
    "a square matrix that is a transposed view is a matrix like any other: how it lies "
    "in memory says nothing about what it means",
    (
        "ga = g @ b.swapaxes(-1, -2)",
        "ga = g @ (b if b.ndim == 2 and not b.flags.c_contiguous and b.shape[0] == "
        "b.shape[1]\n              else b.swapaxes(-1, -2))",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: your gradients are those of the plain sum of all elements of a @ b",
    ("    ga = g @ b", "    g = g * 0 + 1\n    ga = g @ b"),
)
knock.wrong(
    "not transposed",
    "b and a enter as they are; in the formulas the sums run over m and n, so both are "
    "transposed",
    ("ga = g @ b.swapaxes(-1, -2)", "ga = g @ b"),
    ("gb = a.swapaxes(-1, -2) @ g", "gb = a @ g"),
)
knock.wrong(
    "order exchanged",
    "the factors are in the wrong order: matrix products do not commute; b stands "
    "right of a in y, and right of g in ga; a stands left, in y and in gb",
    ("ga = g @ b.swapaxes(-1, -2)", "ga = b.swapaxes(-1, -2) @ g"),
    ("gb = a.swapaxes(-1, -2) @ g", "gb = g @ a.swapaxes(-1, -2)"),
)
knock.wrong(
    "gradients exchanged",
    "the two gradients come back in the wrong order: (ga, gb) is wanted",
    (
        "return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)",
        "return unbroadcast(gb, b.shape), unbroadcast(ga, a.shape)",
    ),
)
knock.wrong(
    "all axes reversed",
    ".T turns around all axes, those of the stack too: exchange the last two only",
    ("ga = g @ b.swapaxes(-1, -2)", "ga = g @ b.T"),
    ("gb = a.swapaxes(-1, -2) @ g", "gb = a.T @ g"),
)
knock.wrong(
    "copies of a not added up",
    "a broadcast a was used for several matrices: its gradient is the sum over them, "
    "in the shape of a",
    ("return unbroadcast(ga, a.shape),", "return ga,"),
)
knock.wrong(
    "copies of b not added up",
    "a broadcast b was used for several matrices: its gradient is the sum over them, "
    "in the shape of b",
    ("unbroadcast(gb, b.shape)", "gb"),
)
knock.wrong(
    "mean over the stack",
    "you take the mean over the copies of a broadcast matrix: their gradients add up",
    (
        "return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)",
        "return (\n"
        "        unbroadcast(ga, a.shape) * (a.size / ga.size),\n"
        "        unbroadcast(gb, b.shape) * (b.size / gb.size),\n"
        "    )",
    ),
)
knock.wrong(
    "first of the stack",
    "a broadcast matrix gets only the gradient of its first use: add up all of them",
    (
        "return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)",
        "ga, gb = (\n"
        "        x[(0,) * (x.ndim - y.ndim)][tuple(slice(n) for n in y.shape)]\n"
        "        for x, y in ((ga, a), (gb, b))\n"
        "    )\n"
        "    return ga, gb",
    ),
)
knock.wrong(
    "stack added up",
    "every pair in two stacks has a gradient of its own: add up only over axes that "
    "were broadcast",
    (
        "return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)",
        "return (\n"
        "        unbroadcast(ga, a.shape[-2:]) + 0 * a,\n"
        "        unbroadcast(gb, b.shape[-2:]) + 0 * b,\n"
        "    )",
    ),
)
