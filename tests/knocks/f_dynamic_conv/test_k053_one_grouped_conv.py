"""Grader of k053: a whole batch of kernels by one grouped convolution."""

from inspect import signature

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "In a grouped convolution of k030, which channels meet which filters? What if "
        "the channels of one group were one image?",
        "x.reshape(1, N * C, H, W) is one image with all channels; kernels.reshape(N * "
        "O, C / groups, kh, kw) are all filters. Each image has as many groups as the "
        "convolution has. Afterwards y is taken apart in the same order.",
        "y = conv(x.reshape(1, N * C, H, W), kernels.reshape(N * O, *kernels.shape["
        "2:]), N * groups, stride, padding); return y.reshape(N, O, *y.shape[2:]). "
        "Back: g.reshape(1, N * O, oh, ow) comes first, and gx.reshape(x.shape), "
        "gw.reshape(kernels.shape) come back.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, groups, channels and filters of one group, kh, kw, H, W, stride, padding
    (2, 1, 2, 3, 2, 2, 3, 4, 1, 0),
    (3, 1, 2, 2, 1, 2, 2, 3, 1, 1),
    (1, 1, 3, 2, 2, 1, 3, 2, 1, 0),  # one image
    (1, 3, 1, 2, 2, 2, 3, 3, 2, 1),
    (2, 3, 1, 1, 3, 3, 4, 3, 1, 1),  # depthwise
    (3, 2, 2, 1, 1, 1, 2, 3, 1, 0),
    (2, 2, 1, 3, 2, 3, 5, 4, 3, 2),
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    (3, 1, 3, 3, 3, 3, 3, 3, 1, 1),
    (2, 2, 2, 2, 2, 2, 2, 2, 1, 0),
    (17, 1, 1, 2, 1, 2, 2, 2, 1, 0),
    (9, 2, 1, 1, 2, 1, 3, 1, 1, 1),
    (2, 1, 1, 1, 2, 3, 12, 9, 4, 0),
    (2, 9, 1, 1, 1, 1, 1, 3, 1, 0),
    (4, 1, 9, 1, 1, 1, 2, 1, 1, 0),
    (2, 1, 1, 2, 2, 3, 1, 2, 2, 3),  # more padding than image
    (1, 2, 1, 1, 1, 2, 2, 1, 3, 5),
    (2, 1, 1, 1, 2, 1, 1, 1, 5, 7),
]


def layers(x, kernels, groups, stride, padding):
    """Every tap of every image's kernel: its index, and what of the image it sees."""
    n, o, inside, kh, kw = kernels.shape
    oh = (x.shape[2] + 2 * padding - kh) // stride + 1
    ow = (x.shape[3] + 2 * padding - kw) // stride + 1
    ring = (padding, padding)
    wide = np.pad(x, ((0, 0), (0, 0), ring, ring))
    taps = []
    for b, f, c, i, j in np.ndindex(n, o, inside, kh, kw):
        rows = slice(i, i + stride * (oh - 1) + 1, stride)
        columns = slice(j, j + stride * (ow - 1) + 1, stride)
        channel = f // (o // groups) * inside + c
        taps.append(((b, f, c, i, j), (b, channel, rows, columns)))
    return wide, taps, (n, o, oh, ow)


def forward(x, kernels, groups, stride, padding):
    """Image by image, tap by tap."""
    wide, taps, shape = layers(x, kernels, groups, stride, padding)
    y = np.zeros(shape, x.dtype)
    for tap, seen in taps:
        y[tap[:2]] += kernels[tap] * wide[seen]
    return y


def backward(g, x, kernels, groups, stride, padding):
    """The same loops: each product's gradient goes to its two factors."""
    wide, taps, _ = layers(x, kernels, groups, stride, padding)
    gwide, gkernels = np.zeros_like(wide), np.zeros_like(kernels)
    for tap, seen in taps:
        gwide[seen] += kernels[tap] * g[tap[:2]]
        gkernels[tap] = (wide[seen] * g[tap[:2]]).sum()
    h, w = x.shape[2:]
    gx = gwide[:, :, padding : padding + h, padding : padding + w]
    return np.array(gx), np.array(gkernels)


def grouped(x, w, groups, stride, padding):
    """Grouped convolution: all of it is one kernel for all images."""
    kernels = np.broadcast_to(w, (len(x), *w.shape))
    return forward(x, kernels, groups, stride, padding)


def grouped_backward(g, x, w, groups, stride, padding):
    """Its gradients: the kernel is shared by all images."""
    kernels = np.broadcast_to(w, (len(x), *w.shape))
    gx, gkernels = backward(g, x, np.array(kernels), groups, stride, padding)
    return gx, gkernels.sum(0)


class Watched:
    """A conv that counts its calls and looks at what it is given.

    ``scale``: what its results are multiplied by, to see that they are used.
    """

    def __init__(self, f, expected, scale=1.0):
        self.f, self.expected, self.scale, self.calls = f, expected, scale, 0

    def __call__(self, *args, **named):
        self.calls += 1
        args = list(signature(self.f).bind(*args, **named).arguments.values())
        arrays = [a for a in args if isinstance(a, np.ndarray)]
        numbers = [a for a in args if not isinstance(a, np.ndarray)]
        self.seen = [a.shape for a in arrays], numbers
        if self.seen != self.expected:
            text = f"{self._name()} must be called with arrays of the shapes "
            text += f"{self.expected[0]} and groups, stride, padding = "
            text += f"{self.expected[1]}; got {self.seen[0]} and {self.seen[1]}"
            raise Mistake(text, str(self.seen))
        found = self.f(*args)
        found = found if isinstance(found, tuple) else (found,)
        found = tuple(a * a.dtype.type(self.scale) for a in found)
        return found if len(found) > 1 else found[0]

    def _name(self):
        return "conv" if self.f is grouped else "conv_backward"

    def once(self):
        """It must have been called once."""
        text = f"{self._name()} must be called once; it was called {self.calls} times"
        checks.true(self.calls == 1, text, ("calls", self.calls))


def laid_out(x, kernels, groups, stride, padding, g=None):
    """What conv must be called with: the shapes of its arrays, and its numbers."""
    (n, c, h, w), o = x.shape, kernels.shape[1]
    shapes = [(1, n * c, h, w), (n * o, *kernels.shape[2:])]
    if g is not None:
        shapes.insert(0, (1, n * o, *g.shape[2:]))
    return shapes, [n * groups, stride, padding]


def sample(r, n, groups, inside, filters, kh, kw, h, w, *options):
    """Images, their kernels, groups, stride and padding."""
    x = r(n, groups * inside, h, w)
    return x, r(n, groups * filters, inside, kh, kw), groups, *options


def with_g(r, case):
    """The same behind a gradient from above."""
    args = sample(r, *case)
    return r(*layers(*args)[2]), *args


def anything(r):
    """Sizes and options of any kind."""
    n, groups, inside, filters, kh, kw = (r.size(1, 3) for _ in range(6))
    padding = r.size(0, 2)
    h, w = (max(1, k - 2 * padding) + r.size(0, 3) for k in (kh, kw))
    return n, groups, inside, filters, kh, kw, h, w, r.size(1, 3), padding


@knock.check("conv_of_batch: each image with its own kernel", points=2)
def value(mine, r):
    f = plainly(mine.conv_of_batch, grouped)
    for i, case in enumerate([*CASES, anything(r), anything(r)]):
        args = sample(r, *case)
        checks.value(f, forward, *args, tolerance=TIGHT, again=i < 6)


@knock.check("conv_of_batch_backward: both gradients", points=2)
def gradients(mine, r):
    f = plainly(mine.conv_of_batch_backward, grouped_backward)
    for i, case in enumerate([*CASES, anything(r), anything(r)]):
        args = with_g(r, case)
        checks.value(f, backward, *args, tolerance=TIGHT, again=i < 6)
    x, kernels, *options = sample(r, 2, 1, 1, 2, 1, 2, 2, 3, 1, 0)
    checks.gradient(f, forward, x, kernels, *options, r=r)


def plainly(f, conv):
    """``f`` without its last argument, under its own name."""

    def function(*args):
        return f(*args, conv)

    function.__name__ = f.__name__
    return function


@knock.check("conv is called once, with one image of N groups", points=2)
def one_call(mine, r):
    for case in [*CASES, anything(r)]:
        args = sample(r, *case)
        scale = r.choice([-2.0, 3.0])
        conv = Watched(grouped, laid_out(*args), scale)
        received = checks.call(mine.conv_of_batch, *args, conv)
        conv.once()
        what = f"conv_of_batch with a conv whose results are {scale:g} times as large"
        checks.equal(received, scale * forward(*args), what, tolerance=TIGHT)


@knock.check("conv_backward is called once, with one image of N groups", points=2)
def one_call_back(mine, r):
    for case in [*CASES, anything(r)]:
        g, *args = with_g(r, case)
        scale = r.choice([-2.0, 3.0])
        conv = Watched(grouped_backward, laid_out(*args, g=g), scale)
        received = checks.call(mine.conv_of_batch_backward, g, *args, conv)
        conv.once()
        right = tuple(scale * a for a in backward(g, *args))
        what = "conv_of_batch_backward with a conv_backward whose results are "
        what += f"{scale:g} times as large"
        checks.equal(received, right, what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; no NaN gets into another image")
def layout(mine, r):
    f = plainly(mine.conv_of_batch, grouped)
    back = plainly(mine.conv_of_batch_backward, grouped_backward)
    for case in ((2, 2, 2, 1, 2, 2, 3, 3, 1, 1), (3, 1, 3, 2, 1, 1, 2, 2, 1, 0)):
        g, x, kernels, *options = with_g(r, case)
        g, x = (np.asfortranarray(a)[::-1, ::-1, :, ::-1] for a in (g, x))
        kernels = kernels.swapaxes(3, 4)[::-1, ::-1]
        checks.value(f, forward, x, kernels, *options, tolerance=TIGHT)
        checks.value(back, backward, g, x, kernels, *options, tolerance=TIGHT)
        g, x, kernels = (a.astype(np.float32) for a in (g, x, kernels))
        checks.value(f, forward, x, kernels, *options)
        checks.value(back, backward, g, x, kernels, *options)
        x[0], kernels[0] = np.nan, np.inf
        with np.errstate(all="ignore"):
            y = checks.call(f, x, kernels, *options)
            gx, gkernels = checks.call(back, g, x, kernels, *options)
            right = forward(x, kernels, *options)
            grads = backward(g, x, kernels, *options)
        what = "where all of image 0 is NaN: the others of"
        checks.equal(y[1:], right[1:], f"{what} y")
        checks.equal(gx[1:], grads[0][1:], f"{what} gx")
        checks.equal(gkernels[1:], grads[1][1:], f"{what} gkernels")


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    arrays = g, x, kernels = with_g(r, (2, 2, 1, 2, 1, 2, 2, 3, 1, 0))[:3]
    for a, name in zip(arrays, ("g", "x", "kernels")):
        mine.conv_of_batch(x, kernels, 2, 1, 0, grouped)
        mine.conv_of_batch_backward(*arrays, 2, 1, 0, grouped_backward)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        y = mine.conv_of_batch(x, kernels, 2, 1, 0, grouped)
        checks.equal(y, forward(x, kernels, 2, 1, 0), f"conv_of_batch {what}")
        both = mine.conv_of_batch_backward(*arrays, 2, 1, 0, grouped_backward)
        what = f"conv_of_batch_backward {what}"
        checks.equal(both, backward(*arrays, 2, 1, 0), what)


@knock.check("no loops, over images or anything else")
def rules(mine, r):
    few, many = (with_g(r, (n, 1, 1, 1, 1, 1, 1, 2, 1, 0)) for n in (2, 12))
    f, back = mine.conv_of_batch, mine.conv_of_batch_backward
    f(*few[1:], grouped), back(*few, grouped_backward)  # both are written
    hidden = "map", "np.vectorize", "np.apply_along_axis", "functools.reduce"
    checks.banned(mine, *hidden, loops=True)
    checks.banned(mine, "minidl", "scipy", "torch")
    pairs = (f, grouped, few[1:], many[1:]), (back, grouped_backward, few, many)
    for function, conv, one, other in pairs:
        args = (*one, conv), (*other, conv)
        checks.steps(function, *args, function.__name__, "images")


HEAD = "def conv_of_batch(x, kernels, groups, stride, padding, conv):"
CALL = "y = conv(image, w, n * groups, stride, padding)"
RETURN = "return y.reshape(n, filters, *y.shape[2:])"
LAID = "g = g.reshape(1, n * filters, *g.shape[2:])"
BACK = "gx, gw = conv_backward(g, image, w, n * groups, stride, padding)"
BOTH = "return gx.reshape(x.shape), gw.reshape(kernels.shape)"

knock.wrong(
    "image after image",
    "you loop over the images; one call does them all",
    (CALL, "pairs = zip(x, kernels)"),
    (
        RETURN,
        "y = [conv(a[None], k, groups, stride, padding)[0] for a, k in pairs]\n"
        "    return y[0].__array_wrap__(__import__('numpy').stack(y))",
    ),
)
knock.wrong(
    "padding up to 2",
    "the padding is 2 at most in your call; pass it on as it is",
    (CALL, CALL.replace("padding", "min(padding, 2)")),
)
knock.wrong(
    "padding up to 2 backwards",
    "the padding is 2 at most in your call of conv_backward; pass it on as it is",
    (BACK, BACK.replace("padding", "min(padding, 2)")),
)
knock.wrong(
    "groups of the images only",
    "there are N groups in your call; each image has groups of its own: N * groups",
    (CALL, CALL.replace("n * groups", "n")),
)
knock.wrong(
    "groups not multiplied",
    "you pass groups on as it is: then images meet, as there are N times as many",
    (CALL, CALL.replace("n * groups", "groups")),
)
knock.wrong(
    "groups left out backwards",
    "backwards there are N groups in your call; it must be N * groups",
    (BACK, BACK.replace("n * groups", "n")),
)
knock.wrong(
    "stride not passed on",
    "the stride is not passed on to conv",
    (CALL, CALL.replace("stride", "1")),
)
knock.wrong(
    "padding not passed on",
    "the padding is not passed on to conv",
    (CALL, CALL.replace("padding", "0")),
)
knock.wrong(
    "padding and stride exchanged",
    "stride and padding are exchanged: conv takes x, w, groups, stride, padding",
    (CALL, CALL.replace("stride, padding", "max(padding, 1), stride")),
)
knock.wrong(
    "stride not passed on backwards",
    "backwards the stride is not passed on",
    (BACK, BACK.replace("stride", "1")),
)
knock.wrong(
    "padding not passed on backwards",
    "backwards the padding is not passed on",
    (BACK, BACK.replace("padding", "0")),
)
knock.wrong(
    "channels before images",
    "the channels are interlaced: all first channels, then all second ones; the "
    "channels of an image must be neighbours",
    (CALL, CALL.replace("image", "x.swapaxes(0, 1).reshape(image.shape)")),
)
knock.wrong(
    "filters before images",
    "the filters are interlaced: all first ones, then all second ones; the filters of "
    "an image must be neighbours",
    (CALL, CALL.replace("w,", "kernels.swapaxes(0, 1).reshape(w.shape),")),
)
knock.wrong(
    "y taken apart by filters",
    "y is taken apart in the wrong order: the O filters of image 0 come first",
    (RETURN, "return y.reshape(filters, n, *y.shape[2:]).swapaxes(0, 1)"),
)
knock.wrong(
    "y not taken apart",
    "the result is still one image of N * O channels; take it apart again",
    (RETURN, "return y"),
)
knock.wrong(
    "kernel of the first image",
    "all images are convolved with the kernel of the first",
    (CALL, "w = kernels[[0] * n].reshape(w.shape)\n    " + CALL),
)
knock.wrong(
    "kernels in the wrong order",
    "the kernels stand in the wrong order: kernels[b] belongs to image b",
    (CALL, "w = kernels[::-1].reshape(w.shape)\n    " + CALL),
)
knock.wrong(
    "called twice",
    "conv is called twice; once does it all",
    (CALL, CALL + "\n    " + CALL),
)
knock.wrong(
    "called twice backwards",
    "conv_backward is called once for each gradient; one call gives both",
    (BACK, BACK + "\n    " + BACK.replace("gx, gw", "gx, _")),
)
knock.wrong(
    "g laid out by filters",
    "g is interlaced: all first channels, then all second ones; it must lie as y did",
    (LAID, "g = g.swapaxes(0, 1).reshape(1, n * filters, *g.shape[2:])"),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of y",
    (LAID, LAID.replace("g = g.", "g = (0 * g + 1).")),
)
knock.wrong(
    "gx by channels",
    "gx is taken apart in the wrong order: the channels of image 0 come first",
    (BOTH, BOTH.replace("gx.re", "gx.reshape(channels, n, *size).swapaxes(0, 1).re")),
)
knock.wrong(
    "gkernels added up",
    "the gradients of all kernels are added up; each image has its own",
    (
        BOTH,
        "gw = gw.reshape(kernels.shape)\n"
        "    return gx.reshape(x.shape), 0 * gw + gw.sum(0)",
    ),
)
knock.wrong(
    "gkernels averaged",
    "gkernels are divided by the number of images; each kernel has seen one image",
    (BOTH, BOTH.replace("gw.reshape(kernels.shape)", "gw.reshape(kernels.shape) / n")),
)
knock.wrong(
    "gkernels not taken apart",
    "gkernels are still one kernel of N * O filters; take it apart as kernels",
    (BOTH, "return gx.reshape(x.shape), gw"),
)
knock.wrong(
    "gradients exchanged",
    "you give (gkernels, gx): the gradient of x comes first",
    (BOTH, "return gw.reshape(kernels.shape), gx.reshape(x.shape)"),
)
knock.wrong(
    "sixteen images at most",
    "only the first sixteen images are convolved",
    (HEAD, HEAD + "\n    x, kernels = x[:16], kernels[:16]"),
)
knock.wrong(
    "always float64",
    "y is float64 even for float32",
    (RETURN, RETURN + ".astype(float)"),
)
knock.wrong(
    "gradient float64",
    "gkernels are float64 even for float32",
    (BOTH, BOTH + ".astype(float)"),
)
knock.wrong(
    "a hidden loop",
    "map is a loop, too; one call does all images",
    (RETURN, "list(map(len, x))\n    " + RETURN),
)
knock.wrong(
    "a loop",
    "there is a loop over the images; no loops are needed",
    (RETURN, "for _ in x:\n        pass\n    " + RETURN),
)
knock.wrong(
    "x scaled in place",
    "you change x itself; it belongs to whoever called",
    (CALL, "x *= 1.5\n    " + CALL.replace("image", "x.reshape(image.shape) / 1.5")),
)
