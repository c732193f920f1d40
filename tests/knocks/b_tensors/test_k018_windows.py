"""Grader of k018: sliding windows without copying."""

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import draw
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Write down, for a small x, how far (in elements) it is from windows[0, 0] to "
        "windows[0, 1], and from windows[0, 0] to windows[1, 0].",
        "The axis inside a window has the stride of x's last axis, the axis of the "
        "windows step times that; the other axes keep theirs. In two dimensions each "
        "of the last two axes becomes two, or: take windows twice.",
        "as_strided(x, (*x.shape[:-1], count, size), (*x.strides[:-1], step * s, s), "
        "writeable=False) with s = x.strides[-1], after a check that size fits.",
    ],
)


def windows(x, size, step=1):
    """The definition, one element at a time."""
    count = len(range(0, x.shape[-1] - size + 1, step))
    out = np.empty((*x.shape[:-1], count, size), x.dtype)
    for i, j in np.ndindex(count, size):
        out[..., i, j] = x[..., i * step + j]
    return out


def windows2d(x, size, step=(1, 1)):
    """The definition, one window at a time."""
    (kh, kw), (sh, sw) = size, step
    rows = range(0, x.shape[2] - kh + 1, sh)
    columns = range(0, x.shape[3] - kw + 1, sw)
    out = np.empty((*x.shape[:2], len(rows), len(columns), kh, kw), x.dtype)
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            out[:, :, p, q] = x[:, :, top : top + kh, left : left + kw]
    return out


def reach(a):
    """The lowest and the highest byte of an array's elements."""
    start = a.__array_interface__["data"][0]
    steps = [(n - 1) * stride for n, stride in zip(a.shape, a.strides)]
    low, high = sum(min(0, s) for s in steps), sum(max(0, s) for s in steps)
    return start + low, start + high + a.itemsize


def ask(f, oracle, x, *args, **options):
    """``f`` must give a view of ``x`` itself that shows what ``oracle`` says.

    The view is not read before it is known to stay inside of ``x``.
    """
    words = ["x", *map(repr, args), *(f"{k}={v}" for k, v in options.items())]
    title = f"{f.__name__}({', '.join(words)})"
    given = f"\n  with\n    x = {draw(x)}, strides {x.strides}"
    before, expected = x.copy(), oracle(x, *args, **options)
    state = x.flags.writeable, x.shape, x.strides
    view = f(x, *args, **options)
    if not isinstance(view, np.ndarray):
        kind = type(view).__name__
        raise Mistake(f"{title}: an array must come back; got {kind}{given}", kind)
    offset = reach(view)[0] - reach(x)[0]
    moves = tuple(s for n, s in zip(view.shape, view.strides) if n > 1)
    layout = (f.__name__, view.shape, moves, offset, str(view.dtype))
    if view.shape != expected.shape or view.dtype != x.dtype:
        raise Mistake(
            f"{title}: must be {x.dtype} of shape {expected.shape}; got {view.dtype} "
            f"of shape {view.shape}{given}",
            layout,
        )
    if not np.may_share_memory(view, x):
        text = f"{title}: the memory of x must be shared; got a copy{given}"
        raise Mistake(text, ("copy", view.strides, layout[:2]))
    low, high = reach(x)
    if reach(view)[0] < low or reach(view)[1] > high:
        raise Mistake(
            f"{title}: reads memory outside of x; x has strides {x.strides}, the view "
            f"has {view.strides}{given}",
            layout,
        )
    for words in ("", ", called again", ", after x has changed"):
        try:
            checks.equal(view, expected, f"{title}{words}", given=given.lstrip())
        except Mistake as mistake:
            raise Mistake(mistake.message, layout) from None
        if not words:
            text = f"{title} changes its input{given}"
            checks.true(np.array_equal(x, before), text)
            text = (
                f"{title}: x itself cannot be written to any more, or has another "
                f"shape; only the view may be read-only{given}"
            )
            same = (x.flags.writeable, x.shape, x.strides) == state
            checks.true(same, text, "x frozen")
            view = f(x, *args, **options)
        elif x.flags.writeable:
            x += 1
            expected = oracle(x, *args, **options)
            checks.true(
                view.shape == expected.shape and np.may_share_memory(view, x),
                f"{title}: the second call gives something else{given}",
            )
    text = f"{title}: can be written to; ask for writeable=False{given}"
    checks.true(not view.flags.writeable, text, "writeable")


@knock.check("all windows along a line")
def line(mine, r):
    size = r.size(2, 3)
    x = np.arange(1.0, size + r.size(3, 6))
    ask(mine.windows, windows, x.copy(), size)
    ask(mine.windows, windows, -x, size)
    for step in (2, 3):
        ask(mine.windows, windows, np.arange(1.0, size + r.size(6, 9)), size, step)


@knock.check("one, none or many leading axes; every size, step and dtype", points=2)
def leading(mine, r):
    for dtype in (float, np.float32, np.int64, np.int8, complex):
        for shape in ((), (r.size(1, 3),), (2, r.size(1, 3))):
            length, step = r.size(3, 9), r.size(1, 4)
            x = (9 * r(*shape, length)).astype(dtype)
            for size in {1, 2, r.size(1, length), length}:
                ask(mine.windows, windows, x, size, step=step)


@knock.check("windows of images, with other sizes and steps down than across", points=2)
def images(mine, r):
    ask(mine.windows2d, windows2d, np.arange(1.0, 13).reshape(1, 1, 3, 4), (2, 2))
    for size, step in (((2, 3), (1, 2)), ((3, 1), (2, 1)), ((1, 2), (3, 2))):
        shape = r.size(1, 3), r.size(1, 3), r.size(3, 7), r.size(4, 8)
        ask(mine.windows2d, windows2d, r(*shape), size, step)
        ask(mine.windows2d, windows2d, r(*shape).astype(np.float32), size, step=step)
    n = r.size(3, 5)
    ask(mine.windows2d, windows2d, r(n, n, n, n), (2, 2), (1, 1))
    ask(mine.windows2d, windows2d, r(2, 3, 2, 5), (2, 5), (4, 4))
    ask(mine.windows2d, windows2d, r(1, 2, 1, 1), (1, 1), (1, 1))


@knock.check("transposed, reversed and thinned arrays, and what may not be written to")
def layouts(mine, r):
    x = r(r.size(3, 5), 2, r.size(6, 8), r.size(7, 9))
    turned = x.transpose(1, 0, 3, 2)
    thin = x[::2, :, ::-1, 1::2]
    last = x.transpose(2, 3, 0, 1)[::-1, ::-1, :, ::-1]
    fixed = r(*x.shape)
    fixed.flags.writeable = False
    same = np.broadcast_to(r(2, 1, 1, 6), (2, 3, 5, 6))
    fortran = np.asfortranarray(x)
    for a in (turned, thin, x[..., ::-1], x[::-1], fortran, fixed, same):
        ask(mine.windows, windows, a, 2, r.size(1, 2))
        ask(mine.windows2d, windows2d, a, (3, 2), (1, r.size(1, 2)))
        ask(mine.windows2d, windows2d, a, (2, 1), (2, 1))
    ask(mine.windows, windows, last, 2)
    ask(mine.windows, windows, x[0, 0, ::-2, 0], 2)
    ask(mine.windows2d, windows2d, last, (2, 2), (2, 1))


@knock.check("no images, no channels: nothing comes back, in the right shape")
def empty(mine, r):
    n = r.size(1, 3)
    for shape in ((0, 6), (n, 0, 6), (0, n, 5, 6)):
        checks.value(mine.windows, windows, np.zeros(shape), 3, r.size(1, 2))
    for shape in ((0, n, 5, 6), (n, 0, 5, 6), (0, 0, 5, 6)):
        checks.value(mine.windows2d, windows2d, np.zeros(shape), (2, 3), (2, 1))


@knock.check("a window that does not fit is a ValueError")
def refused(mine, r):
    n = r.size(2, 4)
    for size, step in ((n + 1, 1), (n + 3, 2), (0, 1), (-1, 1), (1, 0), (2, -1)):
        what = f"size {size}, step {step}, {n} elements"
        checks.raises(ValueError, mine.windows, r(2, n), size, step, what=what)
        for sizes, steps in (((size, 1), (step, 1)), ((1, size), (1, step))):
            what = f"size {sizes}, step {steps}, images of {n} by {n}"
            f = mine.windows2d
            checks.raises(ValueError, f, r(1, 1, n, n), sizes, steps, what=what)
    for shape in ((0,), (2, 0)):
        what = "there is no window in 0 elements"
        checks.raises(ValueError, mine.windows, np.zeros(shape), 1, what=what)
    for shape in ((1, 1, 0, n), (1, 1, n, 0)):
        what = f"there is no window in an image of shape {shape[2:]}"
        checks.raises(ValueError, mine.windows2d, np.zeros(shape), (1, 1), what=what)


@knock.check("no loops, and not NumPy's sliding_window_view")
def rules(mine, r):
    checks.banned(mine, "sliding_window_view", loops=True)
    ask(mine.windows, windows, r(2, 5), 3)


knock.wrong(
    "item size for stride",
    "the stride is taken from the item size; of a view it is another: x.strides[-1]",
    ("stride = x.strides[-1]", "stride = x.itemsize"),
)
knock.wrong(
    "made contiguous first",
    "x is copied before the view is made (ascontiguousarray): a view that is not "
    "contiguous has strides that serve just as well",
    ("length = x.shape[-1]", "x = np.ascontiguousarray(x)\n    length = x.shape[-1]"),
)
knock.wrong(
    "copy",
    "a copy comes back; what is asked for is a view of the memory of x",
    ("(0, 1, 4, 2, 5, 3)", "(0, 1, 4, 2, 5, 3).copy()"),
)
knock.wrong(
    "one window too few",
    "the last window is missing: count = (L - size) // step + 1",
    ("// step + 1\n    stride", "// step\n    stride"),
)
knock.wrong(
    "as many windows as elements",
    "there are too many windows, the last ones read behind the end of x: they must fit",
    ("- size) // step + 1\n    stride", "- 1) // step + 1\n    stride"),
)
knock.wrong(
    "rounded up",
    "the number of windows is rounded up: a last window that sticks out reads behind "
    "the end of x",
    (
        "(length - size) // step + 1\n    stride",
        "-(-(length - size) // step) + 1\n    stride",
    ),
)
knock.wrong(
    "step ignored",
    "the windows are always one element apart: their stride is step * stride",
    ("step * stride, stride)", "stride, stride)"),
)
knock.wrong(
    "windows and places exchanged",
    "the last two strides are exchanged: first that of the windows, step * stride, "
    "then that inside a window",
    ("step * stride, stride)", "stride, step * stride)"),
)
knock.wrong(
    "thinned windows",
    "the step is taken inside of the windows as well (a dilation)",
    ("step * stride, stride)", "step * stride, step * stride)"),
)
knock.wrong(
    "height and width exchanged",
    "size (kh, kw) is taken as (kw, kh): rows first",
    ("(kh, kw), (sh, sw) = size, step", "(kw, kh), (sh, sw) = size, step"),
)
knock.wrong(
    "steps exchanged",
    "step (sh, sw) is taken as (sw, sh): down first, then across",
    ("(kh, kw), (sh, sw) = size, step", "(kh, kw), (sw, sh) = size, step"),
)
knock.wrong(
    "axes in another order",
    "the axes come as (rows, kh, columns, kw); wanted is (rows, columns, kh, kw)",
    ("(0, 1, 4, 2, 5, 3)", "(0, 1, 4, 5, 2, 3)"),
)
knock.wrong(
    "writeable",
    "the view can be written to: one write would change several windows at once",
    ("        writeable=False,\n", "        writeable=True,\n"),
)
knock.wrong(
    "x made read-only",
    "x itself is made read-only, and nobody can write to it any more; only the view is "
    "to be: as_strided(..., writeable=False)",
    (
        "    stride = x.strides[-1]\n",
        "    stride = x.strides[-1]\n    x.flags.writeable = False\n",
    ),
)
knock.wrong(
    "nothing refused",
    "a window that does not fit, and a size or step below 1, must be a ValueError: "
    "NumPy would give an empty view, or one that reads foreign memory",
    ("if not 1 <= size <= length or step < 1:", "if False:"),
)
knock.wrong(
    "NumPy's own",
    "sliding_window_view does the work; here as_strided is to be used",
    (
        "    return np.lib.stride_tricks.as_strided(\n        x,\n        shape=(*x."
        "shape[:-1], count, size),\n        strides=(*x.strides[:-1], step * stride, "
        "stride),\n        writeable=False,\n    )\n",
        "    view = np.lib.stride_tricks.sliding_window_view(x, size, -1)\n"
        "    return view[..., ::step, :]\n",
    ),
)
