"""Grader of k039: the shift operation."""

from functools import wraps

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.compare import plain
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Cut the offsets to the image's size, and lay rings of zeros around it that "
        "are as wide as the largest offset left; then nothing can fall outside. Which "
        "slice of the wide image is y[:, c]?",
        "With rings of `reach` zeros, y[0, 0] of channel c is at row dh + reach and "
        "column dw + reach. Backwards every pixel goes the way it came. For the "
        "offsets, c % K and c // K % K count through a kernel's columns and rows.",
        "offsets = np.clip(offsets, -reach, reach) with reach = max(H, W); y[:, c] = "
        "xp[:, c, dh + reach :, dw + reach :][:, :H, :W]; "
        "shift_backward(g, offsets) is shift(g, -offsets); offsets: dh = "
        "(c // K % K - K // 2) * dilation, dw = (c % K - K // 2) * dilation, and 0 for "
        "c >= channels // K**2 * K**2.",
    ],
)

TIGHT = (1e-12, 1e-12)
FAR = [  # offsets of four channels, most of them far outside
    [[300, 0], [0, -300], [-1, 1], [-700, 500]],
    [[10**15, 0], [0, -(10**15)], [1, -1], [-(10**15), 10**15]],
]
SHAPES = [(1, 9, 3, 3), (2, 4, 3, 5), (1, 1, 1, 1), (3, 2, 1, 4), (1, 3, 4, 1)]


def forward(x, offsets):
    """Pixel after pixel."""
    y = np.zeros(x.shape, x.dtype)
    height, width = x.shape[2:]
    for c, h, w in np.ndindex(*x.shape[1:]):
        row, column = h + int(offsets[c, 0]), w + int(offsets[c, 1])
        if 0 <= row < height and 0 <= column < width:
            y[:, c, h, w] = x[:, c, row, column]
    return y


def backward(g, offsets):
    """The same loop: the gradient of a copy goes to what was copied."""
    gx = np.zeros(g.shape, g.dtype)
    height, width = g.shape[2:]
    for c, h, w in np.ndindex(*g.shape[1:]):
        row, column = h + int(offsets[c, 0]), w + int(offsets[c, 1])
        if 0 <= row < height and 0 <= column < width:
            gx[:, c, row, column] += g[:, c, h, w]
    return gx


def small_steps(g, offsets):
    """The gradient of <g, y> by x, by differences."""
    return checks.numeric(forward, (np.zeros(g.shape), offsets), g, 0)


def shift_offsets(channels, kernel, dilation):
    """Direction after direction, while a whole round of channels is left."""
    offsets = np.zeros((channels, 2), np.int64)
    half, c = kernel // 2, 0
    while channels - c >= kernel**2:
        for dh in range(-half, half + 1):
            for dw in range(-half, half + 1):
                offsets[c] = dh * dilation, dw * dilation
                c += 1
    return offsets


def whole(f):
    """``f`` with its integers as int64; other dtypes are a mistake."""

    @wraps(f)
    def integers(*args):
        received = plain(f(*args), f.__name__)
        text = f"{f.__name__} must give an integer array; got {received.dtype}"
        checks.true(received.dtype.kind == "i", text, received)
        return received.astype(np.int64, copy=False)

    return integers


def drawn(r, channels, far):
    """Offsets up to so many pixels, one of them (0, far) and one (-far, 0)."""
    offsets = r.integers(2 * far + 1, channels, 2) - far
    offsets[0] = -far, 0
    offsets[-1] = 0, far
    return offsets


def cases(r):
    """Shapes and offsets: small, larger than the image, and none at all."""
    for shape in [*SHAPES, tuple(r.size(1, 4) for _ in range(4))]:
        size = max(shape[2:])
        for far in {1, 2, size, size + 1, 2 * size + 1}:
            yield shape, drawn(r, shape[1], far)
        yield shape, np.zeros((shape[1], 2), np.int64)
    for offsets in FAR:
        yield (1, 4, 2, 3), np.array(offsets)


@knock.check("shift: one channel, one pixel further in each direction")
def one_step(mine, r):
    x = 1.0 + r.rng.permutation(9).reshape(1, 1, 3, 3)
    for step in ((0, 1), (-1, 0), (1, 0), (0, -1), (1, -1)):
        checks.value(mine.shift, forward, x, np.array([step]), tolerance=TIGHT)


@knock.check("shift: many shapes and offsets, some of them beyond the image", points=2)
def value(mine, r):
    for shape, offsets in cases(r):
        options = {"tolerance": TIGHT, "again": shape in SHAPES[:2]}
        checks.value(mine.shift, forward, r(*shape), offsets, **options)


@knock.check("backward, against small steps and a loop", points=2)
def gradients(mine, r):
    for shape in ((1, 2, 2, 3), (2, 1, 3, 2), (1, 3, 1, 2)):
        g, offsets = r(*shape), drawn(r, shape[1], r.size(1, 2))
        options = {"tolerance": (1e-5, 1e-7), "again": False}
        checks.value(mine.shift_backward, small_steps, g, offsets, **options)
    options = {"tolerance": TIGHT, "again": False}
    for shape, offsets in cases(r):
        checks.value(mine.shift_backward, backward, r(*shape), offsets, **options)


@knock.check("sum(shift(x) * g) = sum(x * shift_backward(g))")
def transpose(mine, r):
    for shape, offsets in cases(r):
        checks.adjoint(
            lambda x, offsets=offsets: mine.shift(x, offsets),
            lambda g, offsets=offsets: mine.shift_backward(g, offsets),
            r(*shape),
            r(*shape),
            "shift(x, offsets) and shift_backward(g, offsets)",
        )


@knock.check("the offsets of many channels, kernels and dilations", points=2)
def assignment(mine, r):
    cases = [(9, 3, 1), (18, 3, 2), (20, 3, 1), (8, 3, 1), (1, 3, 1), (17, 3, 3)]
    cases += [(25, 5, 1), (60, 5, 2), (24, 5, 1), (3, 1, 2), (49, 7, 1), (1, 1, 1)]
    cases += [(100, 7, 3), (81, 9, 2), (18, 3, 200), (10, 3, 10**6)]
    for _ in range(3):
        cases.append((r.size(1, 80), r.choice([1, 3, 5]), r.size(1, 3)))
    f = whole(mine.shift_offsets)
    found = [checks.call(f, *case) for case in cases]
    for case in cases:
        try:
            checks.value(f, shift_offsets, *case)
        except Mistake as mistake:
            raise Mistake(mistake.message, found) from None


def not_finite(mine, r):
    """NaN and infinity are moved, too, or leave nothing behind."""
    offsets = np.array([[0, 1], [-1, 0], [1, -1], [0, 0], [3, 0]])
    for f, oracle in ((mine.shift, forward), (mine.shift_backward, backward)):
        for number in (np.nan, np.inf):
            for h, w in ((0, 0), (2, 1), (1, 2)):
                x = r(1, 5, 3, 3)
                x[:, :, h, w] = number
                checks.value(f, oracle, x, offsets, tolerance=TIGHT, again=False)


@knock.check("float32 stays float32; NaN are moved; views; earlier results stay")
def layout(mine, r):
    for f, oracle in ((mine.shift, forward), (mine.shift_backward, backward)):
        x, offsets = r(2, 4, 3, 3), drawn(r, 4, 1)
        first = checks.call(f, x, offsets)
        checks.value(f, oracle, x[::-1, ::-1], offsets, tolerance=TIGHT)
        what = f"{f.__name__}: an earlier result, after another call"
        checks.equal(first, oracle(x, offsets), what)
        checks.value(f, oracle, np.asfortranarray(x), offsets, tolerance=TIGHT)
        turned = drawn(r, 4, 1)[:, ::-1]
        single = x.astype(np.float32).swapaxes(2, 3)
        checks.value(f, oracle, single, turned, tolerance=TIGHT)
        still = np.zeros_like(offsets)
        result = f(x, still)
        what = f"{f.__name__}: a new array must come back, also for offsets 0"
        checks.true(not np.shares_memory(result, x), what)
        checks.value(f, oracle, np.broadcast_to(x[:1], x.shape), offsets, again=False)
    not_finite(mine, r)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    for f, oracle in ((mine.shift, forward), (mine.shift_backward, backward)):
        x, offsets = r(1, 3, 3, 3), drawn(r, 3, 1)
        for _ in range(3):
            checks.value(f, oracle, x, drawn(r, 3, 1), tolerance=TIGHT, again=False)
        f(x, offsets)
        x *= -2  # the same array with other numbers
        what = f"{f.__name__} again, after its array was changed in place"
        checks.equal(f(x, offsets), oracle(x, offsets), what)
        offsets *= -1
        what = f"{f.__name__} again, after the offsets were changed in place"
        checks.equal(f(x, offsets), oracle(x, offsets), what)
    first = mine.shift_offsets(9, 3, 1)
    first[...] = 5  # whoever has a result may write to it
    what = "shift_offsets(9, 3, 1), again, after its first result was written to"
    checks.equal(whole(mine.shift_offsets)(9, 3, 1), shift_offsets(9, 3, 1), what)


ROLLED = (
    "        y[:, c] = xp[:, c, top : top + height, left : left + width]",
    "        move = reach - top, reach - left\n"
    "        y[:, c] = np.roll(x[:, c], move, axis=(1, 2))",
)

knock.wrong(
    "rolled",
    "the border wraps around where zeros should enter: np.roll brings the pixels that "
    "leave on one side back on the other",
    ROLLED,
)
knock.wrong(
    "other direction",
    "the channels move in the opposite direction: y at h is x at h + dh, so a positive "
    "dh moves the picture up",
    ("enumerate(offsets + reach)", "enumerate(reach - offsets)"),
)
knock.wrong(
    "rows and columns exchanged",
    "rows and columns are exchanged: (dh, dw) is first the row, then the column",
    ("enumerate(offsets + reach)", "enumerate(offsets[:, ::-1] + reach)"),
)
knock.wrong(
    "border repeated",
    "the pixels at the border are repeated; zeros come in from outside",
    (
        "(reach, reach), (reach, reach)))",
        '(reach, reach), (reach, reach)), mode="edge")',
    ),
)
knock.wrong(
    "one offset for all",
    "all channels move by the offset of the first; each has its own",
    ("enumerate(offsets + reach)", "enumerate(0 * offsets + offsets[0] + reach)"),
)
knock.wrong(
    "slices below zero",
    "your slices go wrong where an offset reaches beyond the image: their end becomes "
    "negative, and NumPy counts that from the other end; such a channel is zero",
    (
        "        y[:, c] = xp[:, c, top : top + height, left : left + width]",
        "        y[:, c], dh, dw = 0, top - reach, left - reach\n"
        "        top, bottom = max(0, -dh), min(height, height - dh)\n"
        "        left, right = max(0, -dw), min(width, width - dw)\n"
        "        seen = x[:, c, top + dh : bottom + dh, left + dw : right + dw]\n"
        "        y[:, c, top:bottom, left:right] = seen",
    ),
)
knock.wrong(
    "offsets cut to the image",
    "an offset beyond the image is cut to the image's size less 1, so a row or column "
    "stays visible; the whole channel must be zero",
    (
        "    reach = np.abs(offsets).max()",
        "    last = np.array([height, width]) - 1\n"
        "    offsets = np.clip(offsets, -last, last)\n"
        "    reach = np.abs(offsets).max()",
    ),
)
knock.wrong(
    "rings of any width",
    "your rings of zeros are as wide as the largest offset, however large it is; what "
    "is further out than the image is wide and high is zero anyway, so cut the offsets "
    "there first",
    ("np.clip(offsets, -size, size)", "offsets"),
)
knock.wrong(
    "multiplied by a mask",
    "what goes over the edge is multiplied by 0, and a NaN or an infinity becomes NaN "
    "by that; write zeros there",
    (
        "        y[:, c] = xp[:, c, top : top + height, left : left + width]",
        "        move = reach - top, reach - left\n"
        "        mask = np.pad(np.ones((height, width), x.dtype), reach)\n"
        "        mask = mask[top : top + height, left : left + width]\n"
        "        y[:, c] = np.roll(x[:, c], move, axis=(1, 2)) * mask",
    ),
)
knock.wrong(
    "always float64",
    "the result is float64 even for float32 images: make your arrays with x.dtype",
    ("y = np.empty_like(x)", "y = np.empty(x.shape)"),
)
knock.wrong(
    "x itself comes back",
    "for offsets 0 x itself comes back, not a copy: whoever writes to the result "
    "changes x",
    (
        "    y = np.empty_like(x)\n",
        "    if reach == 0:\n        return x\n    y = np.empty_like(x)\n",
    ),
)
knock.wrong(
    "not turned back",
    "the gradient moves on in the direction of the picture; it must go back, so by the "
    "negated offsets",
    ("return shift(g, -offsets)", "return shift(g, offsets)"),
)
knock.wrong(
    "turned back by exchange",
    "backwards you exchange rows and columns; both stay, and their signs change",
    ("return shift(g, -offsets)", "return shift(g, offsets[:, ::-1])"),
)
knock.wrong(
    "only rows turned back",
    "backwards only the rows go back; negate both dh and dw",
    ("return shift(g, -offsets)", "return shift(g, offsets * [-1, 1])"),
)
knock.wrong(
    "rolled back",
    "the gradient of pixels that fell over the edge comes back on the other side; it "
    "is zero there (np.roll wraps around)",
    (
        "    return shift(g, -offsets)",
        "    gx = np.empty_like(g)\n"
        "    for c, move in enumerate(offsets):\n"
        "        gx[:, c] = np.roll(g[:, c], move, axis=(1, 2))\n"
        "    return gx",
    ),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: this is the gradient of the plain sum of y; shift the gradient that "
    "comes from above",
    ("return shift(g, -offsets)", "return shift(np.ones_like(g), -offsets)"),
)
knock.wrong(
    "not shifted back",
    "g comes back where it is; every channel must be shifted back",
    ("return shift(g, -offsets)", "return g.copy()"),
)
knock.wrong(
    "channels in blocks",
    "your channels of one direction lie side by side; here they are dealt out: channel "
    "c has the direction of channel c + K * K",
    (
        "    c = np.arange(channels)\n",
        "    c = np.arange(channels) // max(1, channels // kernel**2)\n",
    ),
)
knock.wrong(
    "remainder shifted",
    "the remainder at the end is dealt out, too; what does not fill a round of K * K "
    "channels stays where it is",
    ("    offsets[channels // kernel**2 * kernel**2 :] = 0  # the remainder\n", ""),
)
knock.wrong(
    "remainder in front",
    "the channels that stay are the first ones; they must be the last",
    (
        "    offsets[channels // kernel**2 * kernel**2 :] = 0  # the remainder\n",
        "    offsets = np.roll(offsets, channels % kernel**2, axis=0)\n"
        "    offsets[: channels % kernel**2] = 0\n",
    ),
)
knock.wrong(
    "columns first",
    "the directions run down the columns first; they run along a row first, so dw "
    "changes from one channel to the next",
    ("np.stack([dh, dw], axis=1)", "np.stack([dw, dh], axis=1)"),
)
knock.wrong(
    "not centred",
    "your offsets begin at 0; they run from -(K // 2) to K // 2",
    ("axis=1) - kernel // 2) * dilation", "axis=1)) * dilation"),
)
knock.wrong(
    "dilation ignored",
    "the dilation is ignored: with it every offset is so many times as far",
    ("kernel // 2) * dilation", "kernel // 2) * 1"),
)
knock.wrong(
    "always 3 by 3",
    "your directions are always those of a 3 by 3 kernel; there are K * K",
    ("    c = np.arange(channels)\n", "    kernel = 3\n    c = np.arange(channels)\n"),
)
knock.wrong(
    "one round only",
    "only the first K * K channels move; the next K * K move alike, and so on",
    (
        "channels // kernel**2 * kernel**2 :]",
        "kernel**2 * (channels >= kernel**2) :]",
    ),
)
