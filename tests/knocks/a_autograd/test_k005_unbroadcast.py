"""Grader of k005: undo broadcasting."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Two things happen to a shape: axes are put in front, and axes of size 1 are "
        "stretched. Undo the one, then the other.",
        "g.ndim - len(shape) axes were put in front: sum over them, and they are gone. "
        "An axis of size 1 is summed too, but has to stay: keepdims=True.",
        "g = g.sum(axis=tuple(range(g.ndim - len(shape)))); then, for all i with "
        "shape[i] == 1 together, g.sum(axis=(i, ...), keepdims=True).",
    ],
)


def oracle(g, shape):
    """Each element of g goes to the element that was copied there."""
    total = np.zeros(shape)
    for at in np.ndindex(*g.shape):
        index = at[len(at) - len(shape) :]
        total[tuple(0 if n == 1 else i for i, n in zip(index, shape))] += g[at]
    return total.astype(g.dtype)


def shapes(r, pattern):
    """Shapes of g and x from letters: f in front, s stretched, 1 and k kept."""
    g = [1 if kind == "1" else r.size(2, 4) for kind in pattern]
    x = [1 if kind == "s" else n for kind, n in zip(pattern, g) if kind != "f"]
    return g, tuple(x)


def square(pattern, n=3):
    """The same, with all axes of one size: only their places tell them apart."""
    x = [1 if kind == "s" else n for kind in pattern if kind != "f"]
    return [n] * len(pattern), tuple(x)


@knock.check("a bias: the axis that was put in front is summed away")
def bias(mine, r):
    n, c = r.size(2, 4), r.size(3, 5)
    checks.value(mine.unbroadcast, oracle, np.round(r(n, c), 1) + n, (c,))


@knock.check("an axis of size 1 is summed, and keeps its place")
def stretched(mine, r):
    n, c = r.size(2, 4), r.size(3, 5)
    g = np.round(r(n, c), 1) + n
    checks.value(mine.unbroadcast, oracle, g, (n, 1))
    checks.value(mine.unbroadcast, oracle, g, (1, c))
    checks.value(mine.unbroadcast, oracle, g, (1, 1))


@knock.check("any shapes: axes in front, of size 1, both, none", points=2)
def any_shapes(mine, r):
    patterns = (
        "k kk kkk 1 11 k1 1k ff fk ffk fffk fs fks fsk fksk ffsks sks kss ksk".split()
    )
    patterns += "f1 f1k fk1 s1 1s k1s sssk kssk skks fffsk fkskk kkkkk".split()
    for pattern in patterns:
        for shape, to in shapes(r, pattern), square(pattern, r.size(2, 3)):
            checks.value(mine.unbroadcast, oracle, r(*shape), to)
    for _ in range(10):
        pattern = "f" * r.size(0, 2)
        pattern += "".join(r.choice(list("s1kk")) for _ in range(r.size(0, 4)))
        shape, to = shapes(r, pattern)
        checks.value(mine.unbroadcast, oracle, r(*shape), to)
    g = r(1, 1, 3)  # axes put in front may have size 1
    for to in (3,), (1, 3), (1, 1), (1,), ():
        checks.value(mine.unbroadcast, oracle, g, to)


@knock.check("scalars, and axes of size 0: a sum of nothing is 0")
def scalars_and_nothing(mine, r):
    for shape in (), (1,), (4,), (2, 3), (2, 1, 2):
        checks.value(mine.unbroadcast, oracle, r(*shape), ())
    for shape in (0,), (0, 3), (2, 0), (2, 0, 3):
        for to in {(), (1,), shape, shape[-1:], shape[1:], (1,) * len(shape)}:
            checks.value(mine.unbroadcast, oracle, r(*shape), to)
    checks.value(mine.unbroadcast, oracle, r(0, 3), (1, 3))
    checks.value(mine.unbroadcast, oracle, r(2, 0), (1, 0))


@knock.check("float32 stays float32; views with other strides are right too")
def layout(mine, r):
    for pattern in "fk", "ks", "fsk", "kk", "k":
        shape, to = shapes(r, pattern)
        checks.value(mine.unbroadcast, oracle, r(*shape).astype(np.float32), to)
        checks.value(mine.unbroadcast, oracle, r(*shape[::-1]).T, to)
        checks.value(mine.unbroadcast, oracle, r(*shape)[::-1], to)
        wide = r(*shape[:-1], 2 * shape[-1]).astype(np.float32)
        checks.value(mine.unbroadcast, oracle, wide[..., ::2], to)
    for shape, to in ((300, 2), (2,)), ((2, 300), (2, 1)):
        checks.value(mine.unbroadcast, oracle, r(*shape), to)
    same = np.broadcast_to(r(3), (4, 3))  # every row is the same memory
    for to in (3,), (4, 1), (1, 3), (4, 3), ():
        checks.value(mine.unbroadcast, oracle, same, to)
    for shape in (), (3,), (2, 3):
        g = r(*shape).astype(np.float32)
        got = np.asarray(mine.unbroadcast(g, ())).dtype
        text = f"unbroadcast(g, ()) of a float32 g of shape {shape} must be float32"
        checks.true(got == np.float32, f"{text}; got {got}", f"() {got}")


knock.wrong(
    "mean in front",
    "you take the mean over the axes in front; every copy has moved the loss by "
    "itself, so their gradients are added up",
    (
        "  # axes put in front",
        " / max(1, int(np.prod(g.shape[: g.ndim - len(shape)])))",
    ),
)
knock.wrong(
    "mean of stretched axes",
    "you take the mean over the axes of size 1; every copy has moved the loss by "
    "itself, so their gradients are added up",
    (
        "return np.sum(",
        "return 1 / max(1, int(np.prod([g.shape[i] for i in stretched]))) * np.sum(",
    ),
)
knock.wrong(
    "axes in front stay",
    "axes that broadcasting put in front are still there: sum over them",
    ("g = np.sum(g, axis=tuple(range(g.ndim - len(shape))))", "pass"),
    (
        "return np.sum(g, axis=stretched, keepdims=True)",
        "front = g.ndim - len(shape)\n"
        "    stretched = tuple(front + i for i in stretched)\n"
        "    return np.sum(g, axis=stretched, keepdims=True)",
    ),
)
knock.wrong(
    "size 1 stays stretched",
    "axes of size 1 are still stretched: sum over them",
    ("return np.sum(g, axis=stretched, keepdims=True)", "return g"),
)
knock.wrong(
    "size 1 is dropped",
    "axes of size 1 are gone after the sum; the result must have just the given shape: "
    "keepdims=True",
    ("keepdims=True", "keepdims=False"),
)
knock.wrong(
    "first copy in front",
    "only the first copy along the axes in front is kept; gradients of all copies are "
    "added up",
    (
        "np.sum(g, axis=tuple(range(g.ndim - len(shape))))",
        "g[(0,) * (g.ndim - len(shape))]",
    ),
)
knock.wrong(
    "first copy of size 1",
    "only the first copy along an axis of size 1 is kept; gradients of all copies are "
    "added up",
    (
        "return np.sum(g, axis=stretched, keepdims=True)",
        "return g[tuple(slice(1 if n == 1 else None) for n in shape)]",
    ),
)
knock.wrong(
    "last axes",
    "you sum over the last axes; broadcasting aligns shapes on the right and puts "
    "missing axes in front",
    ("tuple(range(g.ndim - len(shape)))", "tuple(range(len(shape), g.ndim))"),
)
knock.wrong(
    "one axis in front",
    "only one axis in front is summed away; there may be several: g.ndim - len(shape)",
    ("tuple(range(g.ndim - len(shape)))", "tuple(range(min(1, g.ndim - len(shape))))"),
)
knock.wrong(
    "one axis of size 1",
    "only the first axis of size 1 is summed; there may be several",
    ("axis=stretched", "axis=stretched[:1]"),
)
knock.wrong(
    "always float64",
    "the result is float64 even for a float32 gradient: keep the dtype of g",
    (
        "return np.sum(g, axis=stretched, keepdims=True)",
        "return np.sum(g, axis=stretched, keepdims=True, dtype=np.float64)",
    ),
)
knock.wrong(
    "a Python number",
    "for shape () a Python float comes back: it has lost the dtype of g, and is no "
    "NumPy number",
    (
        "return np.sum(g, axis=stretched, keepdims=True)",
        "g = np.sum(g, axis=stretched, keepdims=True)\n"
        "    return g if shape else float(g)",
    ),
)
