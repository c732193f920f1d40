"""Grader of k031: depthwise convolution."""

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "With M = 1, forget the kernel for a moment: what does one tap (i, j) do to a "
        "padded image? It takes a slice of it, and every channel of the slice is "
        "multiplied by a number of its own.",
        "To have M filters on each channel, give x an axis of length 1 behind the "
        "channels and w the shape (C, M, kh, kw): the product of a slice (N, C, 1, oh, "
        "ow) with a tap (C, M, 1, 1) is (N, C, M, oh, ow). Filter o belongs to channel "
        "o // M.",
        "xp = x padded; for each tap (i, j): y += xp[:, :, None, i::stride, j::stride]"
        "[..., :oh, :ow] * w.reshape(C, M, kh, kw)[:, :, i, j, None, None]; at the end "
        "y.reshape(N, C * M, oh, ow). dense[o, o // M] = w[o, 0] for all filters o, "
        "the rest zeros.",
    ],
)

EXACT, TIGHT = (0, 0), (1e-10, 1e-12)
CASES = [  # N, C, M, kh, kw, H, W, stride, padding
    (1, 2, 2, 2, 1, 3, 2, 1, 0),
    (2, 3, 1, 1, 2, 2, 3, 1, 0),
    (2, 2, 3, 2, 2, 3, 3, 1, 0),
    (1, 1, 1, 1, 1, 1, 1, 1, 0),
    (2, 1, 3, 2, 3, 3, 4, 1, 1),
    (1, 3, 2, 3, 3, 4, 5, 2, 1),
    (3, 2, 2, 1, 1, 4, 3, 3, 1),  # pixels that nobody sees
    (2, 4, 1, 3, 2, 5, 4, 2, 0),
    (2, 2, 2, 3, 3, 1, 1, 1, 1),  # mostly padding
    (1, 2, 1, 3, 2, 2, 1, 1, 2),  # two rings, three rings
    (1, 1, 2, 2, 3, 2, 4, 3, 3),
    (1, 5, 1, 2, 1, 9, 5, 2, 0),
    (5, 1, 1, 2, 2, 3, 10, 4, 2),
    (1, 2, 4, 1, 5, 4, 11, 3, 1),
]


def places(size, taps, stride, padding):
    """Where the windows along one axis begin, in the padded image."""
    return range(0, size + 2 * padding - taps + 1, stride)


def convolve(x, w, stride, padding, channels_of):
    """One window under one filter after the other.

    ``channels_of(o)``: which channels of x filter o reads, as a slice.
    """
    (n, c, h, wd), (filters, _, kh, kw) = x.shape, w.shape
    rows, columns = places(h, kh, stride, padding), places(wd, kw, stride, padding)
    wide = np.zeros((n, c, h + 2 * padding, wd + 2 * padding), x.dtype)
    wide[:, :, padding : padding + h, padding : padding + wd] = x
    y = np.zeros((n, filters, len(rows), len(columns)), x.dtype)
    for p, top in enumerate(rows):
        for q, left in enumerate(columns):
            window = wide[:, :, top : top + kh, left : left + kw]
            for o in range(filters):
                y[:, o, p, q] = (window[:, channels_of(o)] * w[o]).sum(axis=(1, 2, 3))
    return y


def depthwise(x, w, stride, padding):
    """Filter o reads one channel only."""
    c, filters = x.shape[1], len(w)

    def own(o):
        return slice(o * c // filters, o * c // filters + 1)

    return convolve(x, w, stride, padding, own)


def ordinary(x, w, stride, padding):
    """Every filter reads all channels."""
    return convolve(x, w, stride, padding, lambda o: slice(None))


def dense(w, channels):
    """Zeros everywhere but where a filter meets its own channel."""
    out = np.zeros((len(w), channels, *w.shape[2:]), w.dtype)
    for c in range(channels):
        for o in range(c * len(w) // channels, (c + 1) * len(w) // channels):
            out[o, c] = w[o, 0]
    return out


def sample(r, n, c, m, kh, kw, h, w, stride, padding):
    """Images, a kernel and the options."""
    return r(n, c, h, w), r(c * m, 1, kh, kw), stride, padding


def anything(r):
    """Sizes and options of any kind."""
    n, c, m, kh, kw = (r.size(1, 3) for _ in range(5))
    padding = r.size(0, 2)
    h, w = (max(1, k - 2 * padding) + r.size(0, 3) for k in (kh, kw))
    return n, c, m, kh, kw, h, w, r.size(1, 3), padding


@knock.check("one filter on each of two channels of one small image")
def small(mine, r):
    x = 1.0 + r.rng.permutation(12).reshape(1, 2, 2, 3)
    w = 1.0 + r.rng.permutation(4).reshape(2, 1, 1, 2)
    checks.value(mine.depthwise_conv2d, depthwise, x, w, 1, 0, tolerance=TIGHT)


@knock.check("several filters on each channel, strides and paddings", points=2)
def value(mine, r):
    for case in [*CASES, anything(r)]:
        f = mine.depthwise_conv2d
        checks.value(f, depthwise, *sample(r, *case), tolerance=TIGHT)


@knock.check("the dense kernel: w where filter and channel meet, else zeros")
def kernel(mine, r):
    for case in [*CASES, anything(r)]:
        w, channels = sample(r, *case)[1], case[1]
        checks.value(mine.dense_kernel, dense, w, channels, tolerance=EXACT)
    w = r(3, 2, 1, 6).astype(np.float32).T[::-1, :, :, 1:]
    checks.value(mine.dense_kernel, dense, w, 3, tolerance=EXACT)
    for bad in (np.nan, np.inf, -np.inf):
        w = r(6, 1, 2, 1)
        w[r.integers(6)] = bad
        with np.errstate(all="ignore"):
            checks.value(mine.dense_kernel, dense, w, 3, tolerance=EXACT)


@knock.check("an ordinary convolution with the dense kernel gives the same")
def equivalent(mine, r):
    for case in [*CASES[:3], anything(r)]:
        x, w, *options = sample(r, *case)
        whole = np.asarray(checks.call(mine.dense_kernel, w, x.shape[1]))
        y = checks.call(mine.depthwise_conv2d, x, w, *options)
        what = "depthwise_conv2d(x, w), against an ordinary one with dense_kernel(w, C)"
        checks.equal(y, ordinary(x, whole, *options), what, tolerance=TIGHT)


@knock.check("nothing comes from another channel, not even NaN")
def local(mine, r):
    for case in [CASES[2], CASES[5]]:
        x, w, *options = sample(r, *case)
        before, bad = depthwise(x, w, *options), r.integers(x.shape[1])
        x[:, bad] = np.nan
        with np.errstate(all="ignore"):
            y = checks.call(mine.depthwise_conv2d, x, w, *options)
        checks.true(
            isinstance(y, np.ndarray) and y.shape == before.shape,
            "depthwise_conv2d: an image with NaN in it gives another shape",
        )
        others = np.arange(len(w)) * x.shape[1] // len(w) != bad
        what = f"depthwise_conv2d, where channel {bad} of x is NaN: all other channels"
        checks.equal(y[:, others], before[:, others], what, tolerance=TIGHT)


@knock.check("a NaN or an infinity arrives in its own channel")
def arrives(mine, r):
    for bad in (np.nan, np.inf, -np.inf):
        x, w, *options = sample(r, *CASES[2])
        x, w, channel = abs(x) + 0.5, abs(w) + 0.5, r.integers(x.shape[1])
        x[:, channel] = bad
        with np.errstate(all="ignore"):
            y = checks.call(mine.depthwise_conv2d, x, w, *options)
            right = depthwise(x, w, *options)
            what = f"depthwise_conv2d, where all of channel {channel} of x is {bad}"
            checks.equal(y, right, what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    x, w, *options = sample(r, 2, 2, 2, 2, 2, 3, 3, 1, 1)
    x, w = (np.asfortranarray(a)[::-1, ::-1] for a in (x, w))
    checks.value(mine.depthwise_conv2d, depthwise, x, w, *options, tolerance=TIGHT)
    x, w = (a.astype(np.float32).swapaxes(2, 3) for a in (x, w))
    checks.value(mine.depthwise_conv2d, depthwise, x, w, *options)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    x, w, *options = sample(r, 2, 2, 2, 2, 1, 3, 2, 1, 0)
    for a, name in ((x, "x"), (w, "w")):
        mine.depthwise_conv2d(x, w, *options), mine.dense_kernel(w, 2)
        a *= -2  # the same array with other numbers
        what = f"again, after {name} was changed in place"
        y, right = mine.depthwise_conv2d(x, w, *options), depthwise(x, w, *options)
        checks.equal(y, right, f"depthwise_conv2d {what}")
        checks.equal(mine.dense_kernel(w, 2), dense(w, 2), f"dense_kernel {what}")
    w = r(4, 1, 2, 2)
    for channels in (1, 2, 4, 1):  # the same kernel on other channels
        checks.value(mine.dense_kernel, dense, w, channels, again=False)
        x = r(1, channels, 3, 3)
        checks.value(mine.depthwise_conv2d, depthwise, x, w, 1, 0, again=False)


@knock.check("no loop over channels, images or places; no ready-made convolution")
def rules(mine, r):
    few, f = sample(r, 1, 1, 1, 1, 2, 3, 3, 1, 0), mine.depthwise_conv2d
    many = {
        "channels": sample(r, 1, 12, 1, 1, 2, 3, 3, 1, 0),
        "filters": sample(r, 1, 1, 12, 1, 2, 3, 3, 1, 0),
        "images": sample(r, 12, 1, 1, 1, 2, 3, 3, 1, 0),
        "places": sample(r, 1, 1, 1, 1, 2, 12, 12, 1, 0),
    }
    checks.value(f, depthwise, *few, again=False)
    names = "minidl", "scipy", "torch", "convolve", "correlate", "vectorize"
    checks.banned(mine, *names, "conv2d", "grouped_conv2d")
    for over, args in many.items():
        checks.steps(f, few, args, "depthwise_conv2d", over)


knock.wrong(
    "summed over the channels",
    "the channels are added up, as in an ordinary convolution; here each channel of x "
    "makes channels of y of its own",
    (
        "    return y.reshape(images, -1, oh, ow)",
        "    y[...] = y.sum(axis=1, keepdims=True)\n"
        "    return y.reshape(images, -1, oh, ow)",
    ),
)
knock.wrong(
    "one filter for all",
    "every channel is filtered with the first filter; each has its own",
    ("w[:, :, i, j, None, None]", "w[:1, :, i, j, None, None]"),
)
knock.wrong(
    "filters dealt out in turn",
    "filter o slides over channel o % C: the filters of a channel are neighbours, so "
    "it is channel o // M",
    (
        "w.reshape(channels, -1, kh, kw)  # (C, M, kh, kw)",
        "w.reshape(-1, channels, kh, kw).swapaxes(0, 1)",
    ),
    (
        "    return y.reshape(images, -1, oh, ow)",
        "    return y.swapaxes(1, 2).reshape(images, -1, oh, ow)",
    ),
)
knock.wrong(
    "results in another order",
    "the results of the first filters of all channels come first; those of one channel "
    "must stand side by side",
    (
        "    return y.reshape(images, -1, oh, ow)",
        "    return y.swapaxes(1, 2).reshape(images, -1, oh, ow)",
    ),
)
knock.wrong(
    "filters of a channel added up",
    "the M results of a channel are added up; each is a channel of y",
    (
        "    return y.reshape(images, -1, oh, ow)",
        "    return y.sum(axis=2)",
    ),
)
knock.wrong(
    "one filter on each channel only",
    "only the first filter of each channel is used: there are len(w) // C of them",
    ("w.reshape(channels, -1, kh, kw)", "w.reshape(channels, -1, kh, kw)[:, :1]"),
)
knock.wrong(
    "kernel turned",
    "your kernel is turned by 180 degrees; deep learning's convolution does not turn "
    "it",
    ("w[:, :, i, j, None, None]", "w[:, :, kh - 1 - i, kw - 1 - j, None, None]"),
)
knock.wrong(
    "stride ignored",
    "the stride is ignored: from where a tap begins, take every stride-th row and "
    "column",
    ("x[:, :, i::stride, j::stride]", "x[:, :, i:, j:]"),
)
knock.wrong(
    "taps stride apart",
    "the taps of the kernel are stride pixels apart; they are neighbours, it is the "
    "window that moves on by stride",
    (
        "    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))",
        "    far = (padding, padding + stride * (kh + kw))\n"
        "    x = np.pad(x, ((0, 0), (0, 0), far, far))",
    ),
    ("x[:, :, i::stride, j::stride]", "x[:, :, i * stride :, j * stride :]"),
)
knock.wrong(
    "border repeated",
    "the padding repeats the pixels at the border: it must be zeros",
    (
        "    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))",
        "    around = (0, 0), (0, 0), (padding, padding), (padding, padding)\n"
        '    x = np.pad(x, around, mode="edge")',
    ),
)
knock.wrong(
    "padding behind only",
    "all the padding is below and to the right: there must be as much on every side",
    (
        "    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))",
        "    x = np.pad(x, ((0, 0), (0, 0), (0, 2 * padding), (0, 2 * padding)))",
    ),
)
knock.wrong(
    "through the dense kernel",
    "other channels are multiplied by zeros: that is C times the work, and a NaN comes "
    "through; take each channel for itself",
    (
        "        y += tap[:, :, None] * w[:, :, i, j, None, None]\n",
        "        full = dense_kernel(w.reshape(-1, 1, kh, kw), channels)[:, :, i, j]\n"
        "        rows = np.moveaxis(np.tensordot(tap, full, (1, 1)), -1, 1)\n"
        "        y += rows.reshape(y.shape)\n",
    ),
)
knock.wrong(
    "channel after channel",
    "you loop over the channels: there may be a thousand of them; multiply each tap "
    "with all channels at once",
    (
        "        y += tap[:, :, None] * w[:, :, i, j, None, None]\n",
        "        for c in range(channels):\n"
        "            y[:, c] += tap[:, c, None] * w[c, :, i, j, None, None]\n",
    ),
)
knock.wrong(
    "filter after filter",
    "you loop over the filters of a channel; multiply each tap with all of them at "
    "once",
    (
        "        y += tap[:, :, None] * w[:, :, i, j, None, None]\n",
        "        for m in range(y.shape[2]):\n"
        "            y[:, :, m] += tap * w[:, m, i, j, None, None]\n",
    ),
)
knock.wrong(
    "place after place",
    "you loop over the places: there are far more of them than taps",
    (
        "    for i, j in np.ndindex(kh, kw):\n"
        "        tap = x[:, :, i::stride, j::stride][:, :, :oh, :ow]  # what the tap "
        "sees\n"
        "        y += tap[:, :, None] * w[:, :, i, j, None, None]\n",
        "    for p, q in np.ndindex(oh, ow):\n"
        "        top, left = p * stride, q * stride\n"
        "        window = x[:, :, None, top : top + kh, left : left + kw]\n"
        "        y[..., p, q] = (window * w).sum(axis=(3, 4))\n",
    ),
)
knock.wrong(
    "always float64",
    "y is float64 even for float32 images: make it with x.dtype",
    ("oh, ow), x.dtype)", "oh, ow))"),
)
knock.wrong(
    "dense in turn",
    "in the dense kernel filter o has its weights at channel o % C: the filters of a "
    "channel are neighbours, so it is channel o // M",
    ("own = filters // (len(w) // channels)", "own = filters % channels"),
)
knock.wrong(
    "dense everywhere",
    "in the dense kernel every filter has its weights at all channels; only one "
    "channel is its own, the others get zeros",
    ("dense[filters, own] = w[:, 0]", "dense[:] = w"),
)
knock.wrong(
    "dense one after the other",
    "filter o has its weights at channel o, and filters beyond the last channel have "
    "none; a channel has M filters, so it is channel o // M",
    (
        "dense[filters, own] = w[:, 0]",
        "dense[filters[:channels], filters[:channels]] = w[:channels, 0]",
    ),
)
knock.wrong(
    "dense by a product",
    "the dense kernel is a product of w with ones and zeros: 0 * NaN is NaN, so write "
    "w into an array of zeros",
    ("dense[filters, own] = w[:, 0]", "dense[filters, own] = 1\n    dense = w * dense"),
)
knock.wrong(
    "NaN wiped out",
    "a NaN or an infinity in x is replaced by an ordinary number; it must stay out of "
    "the other channels, and arrive in its own",
    (
        "    x = np.pad(x, ((0, 0), (0, 0),",
        "    x = np.pad(np.nan_to_num(x), ((0, 0), (0, 0),",
    ),
)
knock.wrong(
    "dense float64",
    "the dense kernel is float64 even for float32 weights: make it with w.dtype",
    ("*w.shape[2:]), w.dtype)", "*w.shape[2:]))"),
)
