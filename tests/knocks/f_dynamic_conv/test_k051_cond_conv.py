"""Grader of k051: CondConv."""

import math

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Take one image alone: its shares are a row of alpha, its kernel is a weighted "
        "sum over the first axis of experts. What is left is k025 with a batch of one.",
        "np.tensordot(alpha, experts, axes=1) sums over the experts for all images. "
        "x[b : b + 1] is a batch of one. Backwards: G[b] of each image first, from it "
        "galpha and gexperts, and galpha goes on to route_backward.",
        "gx_b, G_b = conv2d_backward(g[b : b + 1], x[b : b + 1], kernels[b], stride, "
        "padding, 1); galpha[b, i] = (G_b * experts[i]).sum(); gexperts[i] += alpha[b, "
        "i] * G_b; through, gweight, gbias = route_backward(galpha, x, weight, bias); "
        "gx = all gx_b, plus through.",
    ],
)

TIGHT = (1e-10, 1e-12)
CASES = [  # N, C, O, n, kh, kw, H, W, stride, padding
    (2, 2, 3, 4, 2, 2, 3, 4, 1, 0),
    (1, 2, 1, 3, 1, 2, 2, 3, 1, 1),
    (3, 1, 2, 1, 2, 1, 3, 2, 1, 0),
    (2, 3, 1, 2, 1, 1, 1, 1, 1, 0),
    (1, 1, 1, 1, 1, 1, 1, 1, 1, 0),
    (2, 1, 1, 9, 2, 3, 5, 4, 2, 1),
    (3, 3, 3, 3, 3, 3, 3, 3, 1, 1),
    (2, 2, 2, 2, 2, 2, 2, 2, 1, 0),
    (4, 2, 1, 3, 3, 1, 4, 3, 3, 2),
    (17, 1, 1, 2, 1, 2, 2, 2, 1, 0),
    (1, 2, 2, 2, 2, 3, 12, 9, 4, 0),
    (2, 1, 9, 2, 1, 1, 1, 3, 1, 0),
    (2, 9, 1, 2, 1, 1, 2, 1, 1, 0),
    (1, 1, 1, 17, 1, 1, 1, 2, 1, 0),
    (2, 1, 1, 2, 2, 2, 1, 2, 2, 3),
    (1, 1, 2, 2, 5, 4, 5, 6, 1, 1),
]
TINY = [(2, 1, 2, 2, 1, 2, 2, 2, 1, 0), (1, 2, 1, 3, 2, 1, 2, 1, 2, 1)]


def shares(x, weight, bias):
    """Score by score."""
    out = np.empty((len(x), len(bias)))
    for b, i in np.ndindex(*out.shape):
        z = float(bias[i])
        for c in range(len(weight)):
            z += float(weight[c, i]) * float(np.float64(x[b, c]).mean())
        out[b, i] = (1 + math.tanh(z / 2)) / 2
    return out


def windows(x, experts, stride, padding):
    """What tap (i, j) sees in all places, as slices of the padded image."""
    kh, kw = experts.shape[3:]
    n, c, h, w = x.shape
    wide = np.zeros((n, c, h + 2 * padding, w + 2 * padding))
    wide[:, :, padding : padding + h, padding : padding + w] = x
    oh = len(range(0, h + 2 * padding - kh + 1, stride))
    ow = len(range(0, w + 2 * padding - kw + 1, stride))

    def seen(i, j):
        rows = slice(i, i + stride * (oh - 1) + 1, stride)
        return rows, slice(j, j + stride * (ow - 1) + 1, stride)

    return wide, seen, (oh, ow)


def forward(x, weight, bias, experts, stride, padding):
    """Every expert convolves every image, tap by tap; outputs are added up."""
    alpha = shares(x, weight, bias)
    wide, seen, places = windows(x, experts, stride, padding)
    y = np.zeros((len(x), experts.shape[1], *places))
    for e, o, c, i, j in np.ndindex(*experts.shape):
        scale = alpha[:, e] * float(experts[e, o, c, i, j])
        y[:, o] += scale[:, None, None] * wide[:, c, *seen(i, j)]
    return y.astype(x.dtype)


def backward(g, x, weight, bias, experts, stride, padding):
    """The same loops: the gradient of a product goes to its three factors."""
    alpha = shares(x, weight, bias)
    wide, seen, _ = windows(x, experts, stride, padding)
    gwide, galpha = np.zeros_like(wide), np.zeros_like(alpha)
    gexperts = np.zeros(experts.shape)
    for e, o, c, i, j in np.ndindex(*experts.shape):
        at, tap = (slice(None), c, *seen(i, j)), float(experts[e, o, c, i, j])
        products = (g[:, o] * wide[at]).sum((1, 2))
        gexperts[e, o, c, i, j] = (alpha[:, e] * products).sum()
        galpha[:, e] += tap * products
        gwide[at] += (tap * alpha[:, e])[:, None, None] * g[:, o]
    h, w = x.shape[2:]
    gx = gwide[:, :, padding : padding + h, padding : padding + w]
    gz = galpha * alpha * (1 - alpha)
    gweight = np.einsum("bc,be->ce", np.float64(x).mean((2, 3)), gz)
    gx = gx + np.einsum("be,ce->bc", gz, weight)[:, :, None, None] / (h * w)
    grads = gx, gweight, gz.sum(0), gexperts
    return tuple(np.array(a).astype(x.dtype) for a in grads)


def mixed(alpha, experts):
    """Expert by expert, for one image after the other."""
    out = np.zeros((len(alpha), *experts.shape[1:]), experts.dtype)
    for b, e in np.ndindex(*alpha.shape):
        out[b] += alpha[b, e] * experts[e]
    return out


def sample(r, n, c, o, experts, kh, kw, h, w, *options):
    """Images, a router and experts; images are not 0 on average."""
    x = r(n, c, h, w) + r(n, c, 1, 1)
    return x, r(c, experts), r(experts), r(experts, o, c, kh, kw), *options


def with_g(r, case):
    """The same behind a gradient from above."""
    x, weight, bias, experts, *options = sample(r, *case)
    places = windows(x, experts, *options)[2]
    return r(len(x), experts.shape[1], *places), x, weight, bias, experts, *options


def anything(r):
    """Sizes and options of any kind."""
    n, c, o, experts, kh, kw = (r.size(1, 3) for _ in range(6))
    padding = r.size(0, 2)
    h, w = (max(1, k - 2 * padding) + r.size(0, 3) for k in (kh, kw))
    return n, c, o, experts, kh, kw, h, w, r.size(1, 3), padding


@knock.check("mix: the sum of the experts, for each image its own")
def kernels(mine, r):
    f = mine.mix
    alpha = np.array([[1.0, 0], [0, 1], [2, 3]])
    experts = np.arange(8.0).reshape(2, 2, 1, 1, 2)
    checks.value(f, mixed, alpha, experts, tolerance=(0, 0))
    for n, e, *kernel in [
        *[
            (2, 3, 2, 2, 1, 2),
            (1, 2, 1, 2, 3, 1),
            (3, 1, 1, 1, 1, 1),
            (1, 1, 2, 1, 2, 2),
        ],
        *[
            (2, 2, 1, 2, 5, 4),
            (2, 2, 2, 2, 2, 2),
            (9, 17, 1, 2, 1, 1),
            (20, 3, 1, 1, 1, 5),
            (3, 9, 4, 1, 3, 3),
        ],
        tuple(r.size(1, 4) for _ in range(6)),
    ]:
        checks.value(f, mixed, r(n, e), r(e, *kernel), tolerance=TIGHT)
    alpha, experts = r(3, 8)[::-1, ::2], np.asfortranarray(r(4, 2, 3, 2, 2))[::-1, ::-1]
    checks.value(f, mixed, alpha, experts, tolerance=TIGHT)
    checks.value(f, mixed, alpha.astype(np.float32), experts.astype(np.float32))


@knock.check("cond_conv2d: images, routers, experts, strides, paddings", points=2)
def value(mine, r):
    for i, case in enumerate([*CASES, anything(r), anything(r)]):
        options = {"tolerance": TIGHT, "again": i < 6}
        checks.value(mine.cond_conv2d, forward, *sample(r, *case), **options)
    x, weight, bias, experts, *options = sample(r, *CASES[0])
    for add in (-900.0, -14.0, 900.0):  # off, almost off, and on
        args = x, weight, bias + add, experts, *options
        checks.value(mine.cond_conv2d, forward, *args, tolerance=TIGHT, again=False)


@knock.check("cond_conv2d_backward: all four gradients", points=4)
def gradients(mine, r):
    f = mine.cond_conv2d_backward
    for case in TINY:
        *args, stride, padding = sample(r, *case)
        checks.gradient(f, forward, *args, stride, padding, r=r)
    for case in [*CASES, anything(r), anything(r)]:
        checks.value(f, backward, *with_g(r, case), tolerance=TIGHT, again=False)


@knock.check("an image has the same y alone as in any batch")
def alone(mine, r):
    args = x, weight, bias, experts, *options = sample(r, *CASES[6])
    right = forward(*args)
    for b in range(len(x)):
        received = checks.call(mine.cond_conv2d, x[[b]], *args[1:])
        what = f"cond_conv2d of image {b} alone"
        checks.equal(received, right[[b]], what, tolerance=TIGHT)
    one = experts[:1].repeat(len(experts), 0)
    received = checks.call(mine.cond_conv2d, x, weight, bias, one, *options)
    right = forward(x, weight, bias, one, *options)
    what = "cond_conv2d where all experts are the same kernel"
    checks.equal(received, right, what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right")
def layout(mine, r):
    f, back = mine.cond_conv2d, mine.cond_conv2d_backward
    g, x, weight, bias, experts, *options = with_g(r, (2, 2, 2, 3, 2, 2, 3, 3, 1, 1))
    g, x, weight = (np.asfortranarray(a)[::-1, ::-1] for a in (g, x, weight))
    bias, experts = np.repeat(bias, 2)[::-2], experts.swapaxes(3, 4)[::-1, ::-1]
    args = x, weight, bias, experts
    checks.value(f, forward, *args, *options, tolerance=TIGHT)
    checks.value(back, backward, g, *args, *options, tolerance=TIGHT)
    g, *args = (a.astype(np.float32) for a in (g, *args))
    checks.value(f, forward, *args, *options, again=False)
    checks.value(back, backward, g, *args, *options, again=False)


@knock.check("results are arrays of their own, and nothing is kept from call to call")
def memory(mine, r):
    for case in ((2, 2, 1, 2, 1, 1, 1, 2, 1, 0), (1, 1, 1, 1, 1, 1, 1, 1, 1, 0)):
        *arrays, stride, padding = with_g(r, case)
        what, options = "", (stride, padding)
        letters = "", "g", "x", "weight", "bias", "experts"
        for a, name in zip((None, *arrays), letters):
            if a is not None:
                a *= -2  # the same array with other numbers
                what = f", again, after {name} was changed in place"
            both = arrays[1:]
            y, right = mine.cond_conv2d(*both, *options), forward(*both, *options)
            checks.equal(y, right, f"cond_conv2d{what}", tolerance=TIGHT)
            grads = mine.cond_conv2d_backward(*arrays, *options)
            right = backward(*arrays, *options)
            checks.equal(grads, right, f"cond_conv2d_backward{what}", tolerance=TIGHT)
            own("y", y, arrays), [own("a gradient", grad, arrays) for grad in grads]
    for n in (1, 2):
        alpha, experts = np.eye(n), r(n, 1, 2, 1, 1)
        kernels = mine.mix(alpha, experts)
        checks.equal(kernels, experts, "mix of one expert each")
        own("mix", kernels, (alpha, experts))


def own(name, result, args):
    """It is no view of an argument, nor one that cannot be written to."""
    shared = any(np.shares_memory(result, a) for a in args)
    text = f"{name} shares memory with an argument; make a new array"
    checks.true(not shared, text, (name, "shared"))
    text = f"{name} cannot be written to: it is a view; make a new array"
    checks.true(np.asarray(result).flags.writeable, text, (name, "read-only"))


MIX = "return np.tensordot(alpha, experts, axes=1)"
KERNELS = "    kernels = mix(route(x, weight, bias), experts)\n"
CONV = "return np.concatenate([conv2d(xb, w, stride, padding, 1) for xb, w in pairs])"
PARTS = "parts = zip(g[:, None], x[:, None], mix(alpha, experts))"
BOTH = "both = [conv2d_backward(*part, stride, padding, 1) for part in parts]"
STACK = "gkernels = np.stack(gkernels)  # (N, O, C, kh, kw)"
GALPHA = "galpha = np.tensordot(gkernels, experts, axes=([1, 2, 3, 4], [1, 2, 3, 4]))"
ROUTER = "through, gweight, gbias = route_backward(galpha, x, weight, bias)"
GEXPERTS = "gexperts = np.tensordot(alpha.T, gkernels, axes=1)"
RETURN = "return np.concatenate(gx) + through, gweight, gbias, gexperts"

knock.wrong(
    "shares divided by their sum",
    "you divide the shares by their sum; sigmoids are taken as they are",
    (MIX, MIX.replace("alpha,", "alpha / alpha.sum(1, keepdims=True),")),
)
knock.wrong(
    "mean of the experts",
    "the sum over the experts is divided by their number; it is a plain sum",
    (MIX, MIX + " / alpha.shape[1]"),
)
knock.wrong(
    "first image for all",
    "all images get the kernel of the first; each has its own shares",
    (MIX, MIX.replace("alpha,", "alpha[:1].repeat(len(alpha), 0),")),
)
knock.wrong(
    "shares of the batch",
    "all images get the kernel of the mean shares; each has its own",
    (MIX, MIX.replace("alpha,", "alpha.mean(0, keepdims=True).repeat(len(alpha), 0),")),
)
knock.wrong(
    "small shares left out",
    "shares below 1e-4 are left out; they count as they are",
    (MIX, MIX.replace("alpha,", "alpha * (abs(alpha) > 1e-4),")),
)
knock.wrong(
    "best expert only",
    "you take the expert of the largest share; all of them are added up",
    (
        MIX,
        "best = alpha.argmax(1)\n"
        "    top = alpha.max(1)[:, None, None, None, None]\n"
        "    return top * experts[best]",
    ),
)
knock.wrong(
    "eight experts at most",
    "only the first eight experts are mixed; take all there are",
    (MIX, "return np.tensordot(alpha[:, :8], experts[:8], axes=1)"),
)
knock.wrong(
    "padding up to 2",
    "the padding is 2 at most in yours; take it as it is",
    (CONV, CONV.replace("padding", "min(padding, 2)")),
)
knock.wrong(
    "one expert passed through",
    "a single expert is taken as it is, without its share",
    (
        MIX,
        "if len(experts) == 1:\n        return experts.repeat(len(alpha), 0)\n    "
        + MIX,
    ),
)
knock.wrong(
    "always float64",
    "the kernels are float64 even for float32: keep the dtype",
    (MIX, MIX.replace("alpha,", "alpha.astype(float),")),
)
knock.wrong(
    "outputs through a ReLU",
    "there is no ReLU in this layer",
    (CONV, CONV.replace("return ", "return np.maximum(0, ") + ")"),
)
knock.wrong(
    "routed by the batch",
    "the router looks at the mean image of the batch; it looks at each image alone",
    (
        KERNELS,
        "    mean = np.broadcast_to(x.mean(axis=0), x.shape)\n"
        "    kernels = mix(route(mean, weight, bias), experts)\n",
    ),
)
knock.wrong(
    "routed by the image before",
    "the shares of one image are used for another: keep the order of the batch",
    (KERNELS, KERNELS.replace("route(x, ", "route(np.roll(x, 1, axis=0), ")),
)
knock.wrong(
    "all experts alike",
    "the experts are added up without their shares",
    (KERNELS, "    kernels = mix(0 * route(x, weight, bias) + 1, experts)\n"),
)
knock.wrong(
    "router without its bias",
    "the bias of the router is ignored",
    (KERNELS, KERNELS.replace("bias)", "0 * bias)")),
)
knock.wrong(
    "stride ignored",
    "the stride is ignored: windows move by so many pixels",
    (CONV, "return np.concatenate([conv2d(xb, w, 1, padding, 1) for xb, w in pairs])"),
)
knock.wrong(
    "padding ignored",
    "the padding is ignored: rings of zeros are laid around the image",
    (CONV, "return np.concatenate([conv2d(xb, w, stride, 0, 1) for xb, w in pairs])"),
)
knock.wrong(
    "padding and stride exchanged",
    "padding and stride are exchanged: conv2d takes x, w, stride, padding, dilation",
    (
        CONV,
        "return np.concatenate(\n"
        "        [conv2d(xb, w, max(1, padding), stride, 1) for xb, w in pairs]\n"
        "    )",
    ),
)
knock.wrong(
    "flipped kernels",
    "the kernels are flipped; conv2d of deep learning does not flip",
    (CONV, CONV.replace("conv2d(xb, w, ", "conv2d(xb, w[:, :, ::-1, ::-1], ")),
)
knock.wrong(
    "upstream ignored",
    "g is ignored: you have the gradients of the plain sum of y",
    (PARTS, PARTS.replace("g[:, None]", "np.ones_like(g)[:, None]")),
)
knock.wrong(
    "router forgotten in gx",
    "the router reads x as well: the gradient through it is missing in gx",
    (RETURN, RETURN.replace(" + through", "")),
)
knock.wrong(
    "convolution forgotten in gx",
    "gx has the part of the router only; the convolution reads x as well",
    (RETURN, RETURN.replace("np.concatenate(gx) + through", "through")),
)
knock.wrong(
    "router subtracted",
    "the two parts of gx are added up",
    (RETURN, RETURN.replace("+ through", "- through")),
)
knock.wrong(
    "one kernel for gx",
    "gx is made with the mean of the experts; each image has its own kernel",
    (
        PARTS,
        PARTS.replace("mix(alpha, experts)", "mix(alpha.mean(0) + 0 * alpha, experts)"),
    ),
)
knock.wrong(
    "G summed over the batch",
    "the gradient by the kernel is added up over the batch before it meets the shares; "
    "every image has its own kernel and its own G",
    (STACK, "gkernels = np.stack([sum(gkernels)] * len(x))"),
)
knock.wrong(
    "experts without shares",
    "gexperts is the sum of all G; each counts by the share of that expert",
    (GEXPERTS, GEXPERTS.replace("alpha.T", "0 * alpha.T + 1")),
)
knock.wrong(
    "experts averaged",
    "gexperts is divided by the number of images; add them up",
    (GEXPERTS, GEXPERTS + " / len(x)"),
)
knock.wrong(
    "experts with one share for all",
    "gexperts is made with the mean shares; each image has its own",
    (GEXPERTS, GEXPERTS.replace("alpha.T", "(0 * alpha + alpha.mean(0)).T")),
)
knock.wrong(
    "mean in galpha",
    "galpha is a mean over the entries of the kernel; it is a sum of products",
    (GALPHA, GALPHA + " / experts[0].size"),
)
knock.wrong(
    "sigmoid twice",
    "galpha is multiplied with alpha * (1 - alpha) already; route_backward does that",
    (ROUTER, ROUTER.replace("galpha,", "galpha * alpha * (1 - alpha),")),
)
knock.wrong(
    "alpha for its gradient",
    "route_backward wants the gradient by alpha, not alpha",
    (ROUTER, ROUTER.replace("galpha,", "alpha,")),
)
knock.wrong(
    "router not trained",
    "gweight and gbias are zeros: the shares depend on them",
    (RETURN, RETURN.replace("gweight, gbias", "0 * gweight, 0 * gbias")),
)
knock.wrong(
    "gradients in another order",
    "the gradients come in another order: it must be gx, gweight, gbias, gexperts",
    (RETURN, "return np.concatenate(gx) + through, gexperts, gweight, gbias"),
)
knock.wrong(
    "gradient without padding",
    "backwards the padding is ignored",
    (BOTH, BOTH.replace("stride, padding, 1", "stride, 0, 1")),
)
knock.wrong(
    "gradient float64",
    "gx is float64 even for float32: keep the dtype",
    (RETURN, RETURN.replace("+ through", "+ through.astype(float)")),
)
knock.wrong(
    "experts scaled in place",
    "you multiply the experts themselves; they belong to whoever called",
    (
        MIX,
        "experts *= 2\n    return np.tensordot(alpha, experts, axes=1) / 2",
    ),
)
knock.wrong(
    "expert itself",
    "where the share is exactly 1 and there is one expert, a view of it comes back; "
    "make a new array",
    (
        MIX,
        "if alpha.shape == (1, 1) and alpha[0, 0] == 1:\n"
        "        return experts.reshape(experts.shape)\n    " + MIX,
    ),
)
