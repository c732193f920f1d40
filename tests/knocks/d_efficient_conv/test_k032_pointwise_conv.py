"""Grader of k032: pointwise convolution."""

import ast

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Write one pixel of x as a vector and w as a matrix of shape (O, C). What is "
        "the pixel of y? Now write two pixels beside each other.",
        "x.reshape(N, C, H * W) is one matrix for each image; @ takes a stack of "
        "matrices on its right and a single one on its left (k013). For merge, write "
        "down what a pixel becomes: second @ (first @ pixel).",
        "w[:, :, 0, 0] @ x.reshape(N, C, H * W), then reshape to (N, O, H, W). merge: "
        "second[:, :, 0, 0] @ first[:, :, 0, 0], with two axes of length 1 behind.",
    ],
)

TIGHT = (1e-10, 1e-12)
SHAPES = [  # N, C, O, H, W
    (1, 2, 3, 2, 3),
    (2, 3, 2, 3, 1),
    (3, 2, 2, 2, 2),
    (2, 2, 2, 1, 3),
    (3, 3, 3, 3, 3),
    (1, 1, 1, 1, 1),
    (3, 1, 4, 2, 1),
    (2, 4, 1, 1, 1),
    (1, 5, 2, 4, 3),
]


def forward(x, w):
    """Pixel by pixel, filter by filter, channel by channel."""
    (n, channels, h, wd), filters = x.shape, len(w)
    y = np.zeros((n, filters, h, wd), x.dtype)
    for p, q in np.ndindex(h, wd):
        for o, c in np.ndindex(filters, channels):
            y[:, o, p, q] += w[o, c, 0, 0] * x[:, c, p, q]
    return y


def merged(second, first):
    """Every way from a channel to a filter, added up."""
    kernel = np.zeros((len(second), first.shape[1], 1, 1), first.dtype)
    for o, m, c in np.ndindex(*second.shape[:2], first.shape[1]):
        kernel[o, c, 0, 0] += second[o, m, 0, 0] * first[m, c, 0, 0]
    return kernel


def sample(r, n, c, o, h, w):
    """Images and a kernel."""
    return r(n, c, h, w), r(o, c, 1, 1)


def anything(r):
    """Sizes of any kind."""
    return tuple(r.size(1, 4) for _ in range(5))


@knock.check("one small image: every pixel is a vector times the matrix")
def small(mine, r):
    x = 1.0 + r.rng.permutation(6).reshape(1, 2, 1, 3)
    w = 1.0 + r.rng.permutation(4).reshape(2, 2, 1, 1)
    checks.value(mine.pointwise_conv2d, forward, x, w, tolerance=TIGHT)


@knock.check("pointwise_conv2d on many shapes", points=2)
def value(mine, r):
    for shape in [*SHAPES, anything(r)]:
        f = mine.pointwise_conv2d
        checks.value(f, forward, *sample(r, *shape), tolerance=TIGHT)


@knock.check("pixels in another order give the same pixels in that order")
def pixels(mine, r):
    x, w = sample(r, 2, 3, 2, r.size(2, 3), r.size(3, 4))
    rows, columns = r.rng.permutation(x.shape[2]), r.rng.permutation(x.shape[3])
    mixed = checks.call(mine.pointwise_conv2d, x[:, :, rows][..., columns], w)
    y = np.asarray(checks.call(mine.pointwise_conv2d, x, w))
    text = f"pointwise_conv2d: shape must be (2, 2, H, W); got {y.shape}"
    checks.true(y.shape == (2, 2, *x.shape[2:]), text, y)
    what = "pointwise_conv2d of an image with rows and columns in another order"
    checks.equal(mixed, y[:, :, rows][..., columns], what, tolerance=TIGHT)


@knock.check("merge gives the kernel of both; it does what they do in turn", points=2)
def merge(mine, r):
    sizes = [(2, 2, 2), (3, 3, 3), (2, 3, 1), (1, 2, 3), (3, 1, 2), (1, 1, 1)]
    for c, m, o in [*sizes, anything(r)[:3]]:
        first, second = r(m, c, 1, 1), r(o, m, 1, 1)
        checks.value(mine.merge, merged, second, first, tolerance=TIGHT)
    x, first, second = r(2, 2, 3, 2), r(3, 2, 1, 1), r(2, 3, 1, 1)
    kernel = checks.call(mine.merge, second, first)
    once = checks.call(mine.pointwise_conv2d, x, kernel)
    what = "pointwise_conv2d(x, merge(second, first)), against the two in turn"
    checks.equal(once, forward(forward(x, first), second), what, tolerance=TIGHT)


@knock.check("float32 stays float32; views are right; earlier results stay")
def layout(mine, r):
    for n, c, o, h, w in [(2, 3, 2, 3, 2), (3, 2, 2, 2, 2)]:
        x, kernel = sample(r, n, c, o, h, w)
        x, kernel = (np.asfortranarray(a)[::-1, ::-1] for a in (x, kernel))
        checks.value(mine.pointwise_conv2d, forward, x, kernel, tolerance=TIGHT)
        x, kernel = x.astype(np.float32).swapaxes(2, 3), kernel.astype(np.float32)
        checks.value(mine.pointwise_conv2d, forward, x, kernel)
        x = r(w, h, c, n).astype(np.float32).T
        checks.value(mine.pointwise_conv2d, forward, x, kernel)
        second = r(2 * o, o, 1, 1).astype(np.float32)[::2].swapaxes(0, 1)
        checks.value(mine.merge, merged, second, kernel)


@knock.check("nothing is kept from call to call")
def memory(mine, r):
    x, w = sample(r, 2, 2, 2, 2, 1)
    second = r(3, 2, 1, 1)
    for a, name in ((x, "x"), (w, "w"), (second, "second")):
        mine.pointwise_conv2d(x, w), mine.merge(second, w)
        a *= -2  # the same array with other numbers
        y, kernel = mine.pointwise_conv2d(x, w), mine.merge(second, w)
        what = f"again, after {name} was changed in place"
        checks.equal(y, forward(x, w), f"pointwise_conv2d {what}")
        checks.equal(kernel, merged(second, w), f"merge(second, w) {what}")


def multiplies(source, function):
    """Whether a function, or one that it uses, has @, matmul or dot in it."""
    defined = {getattr(node, "name", None): node for node in ast.parse(source).body}
    waiting, known = [function], set()
    while waiting:
        node = defined.get(waiting.pop())
        for part in ast.walk(node) if node is not None else ():
            name = getattr(part, "attr", getattr(part, "id", None))
            if isinstance(part, ast.MatMult) or name in ("matmul", "dot"):
                return True
            if name in defined and name not in known:
                known.add(name)
                waiting.append(name)
    return False


@knock.check("the rules: no loop, and the product is @, np.matmul or np.dot")
def rules(mine, r):
    x, w = sample(r, *SHAPES[0])
    checks.value(mine.pointwise_conv2d, forward, x, w, again=False)
    checks.value(mine.merge, merged, r(2, 3, 1, 1), w, again=False)
    names = "einsum", "tensordot", "vectorize", "apply_along_axis", "convolve"
    checks.banned(mine, *names, "correlate", "minidl", "scipy", "torch", "conv2d")
    checks.banned(mine, loops=True)
    few, many = sample(r, 2, 2, 2, 2, 2), sample(r, 12, 12, 12, 9, 9)
    checks.steps(mine.pointwise_conv2d, few, many, "pointwise_conv2d", "images")
    few = r(2, 2, 1, 1), r(2, 2, 1, 1)
    many = r(12, 12, 1, 1), r(12, 12, 1, 1)
    checks.steps(mine.merge, few, many, "merge", "filters")
    for name in ("pointwise_conv2d", "merge"):
        text = f"there is no matrix product in {name}: use @, np.matmul or np.dot"
        checks.true(multiplies(mine.source, name), text, f"no product in {name}")


knock.wrong(
    "images beside channels",
    "x.reshape(C, -1) does not bring the channels in front: with several images it "
    "takes the channels of one for those of another; move the axes first, or multiply "
    "image by image (@ does that for a stack)",
    (
        "x.reshape(images, channels, height * width)",
        "x.reshape(channels, images * height * width)",
    ),
)
knock.wrong(
    "filters before images",
    "your product has the filters in front and the images behind; reshape does not "
    "exchange them: move the axes",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        "    x = x.swapaxes(0, 1).reshape(channels, -1)\n    y = w[:, :, 0, 0] @ x",
    ),
)
knock.wrong(
    "filters last",
    "after x @ w.T the filters are the last axis; reshape does not bring them to axis "
    "1: move the axis",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        "    y = np.moveaxis(x, 1, 3) @ w[:, :, 0, 0].T",
    ),
)
knock.wrong(
    "channels last by reshape",
    "x.reshape(..., C) does not bring the channels last, it reads the numbers on as "
    "they lie, so that pixels stand for channels: move the axis",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        "    y = x.reshape(images, -1, channels) @ w[:, :, 0, 0].T\n"
        "    y = y.swapaxes(1, 2)",
    ),
)
knock.wrong(
    "matrix laid out anew",
    "w.reshape(C, O).T is another matrix than w: w has the shape (O, C) already",
    ("y = w[:, :, 0, 0] @", "y = w.reshape(channels, len(w)).T @"),
)
knock.wrong(
    "matrix transposed",
    "where O = C you multiply with the transposed matrix: w[o, c] takes channel c to "
    "filter o",
    (
        "y = w[:, :, 0, 0] @",
        "w = w.swapaxes(0, 1) if len(w) == channels else w\n    y = w[:, :, 0, 0] @",
    ),
)
knock.wrong(
    "rows and columns exchanged",
    "rows and columns of the image are exchanged in y",
    (
        "    return y.reshape(images, len(w), height, width)",
        "    return y.reshape(images, len(w), height, width).swapaxes(2, 3)",
    ),
)
knock.wrong(
    "pixels still in a row",
    "y has the pixels of an image side by side, on one axis; give it rows and columns "
    "again",
    ("    return y.reshape(images, len(w), height, width)", "    return y"),
)
knock.wrong(
    "mean over the channels",
    "you divide by the number of channels; the sum is wanted, not the mean",
    (
        "    return y.reshape(images, len(w), height, width)",
        "    return y.reshape(images, len(w), height, width) / w.dtype.type(channels)",
    ),
)
knock.wrong(
    "merged the other way round",
    "you give first @ second: the kernel that works first stands on the right, next to "
    "the pixel",
    (
        "second[:, :, 0, 0] @ first[:, :, 0, 0]",
        "first[:, :, 0, 0] @ second[:, :, 0, 0]",
    ),
)
knock.wrong(
    "merged transposed",
    "the merged kernel is transposed: its shape is (O, C, 1, 1)",
    (
        "product = second[:, :, 0, 0] @ first[:, :, 0, 0]",
        "product = (second[:, :, 0, 0] @ first[:, :, 0, 0]).T",
    ),
)
knock.wrong(
    "merged element by element",
    "the kernels are multiplied element by element; every channel in between carries "
    "something, so it is a matrix product",
    (
        "product = second[:, :, 0, 0] @ first[:, :, 0, 0]",
        "product = second.sum(axis=1)[:, :, 0] * first.sum(axis=0)[:, 0, 0]",
    ),
)
knock.wrong(
    "merged without its last axes",
    "what merge gives is a matrix; as a kernel it has two more axes of length 1",
    ("    return np.expand_dims(product, (2, 3))", "    return product"),
)
knock.wrong(
    "always float64",
    "y is float64 even for float32 images: keep their dtype",
    ("y = w[:, :, 0, 0] @", "y = w[:, :, 0, 0].astype(float) @"),
)
knock.wrong(
    "einsum",
    "einsum does it, but the product is to be @, np.matmul or np.dot in this knock",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        '    y = np.einsum("oc,nchw->nohw", w[:, :, 0, 0], x)',
    ),
)
knock.wrong(
    "image by image",
    "you loop over the images; @ multiplies a whole stack of matrices at once",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        "    x = x.reshape(images, channels, height * width)\n"
        "    y = np.array([w[:, :, 0, 0] @ image for image in x])",
    ),
)
knock.wrong(
    "spread out and added up",
    "you multiply element by element and add up: that makes an array C times as large "
    "as y first; take a matrix product",
    (
        "    y = w[:, :, 0, 0] @ x.reshape(images, channels, height * width)",
        "    y = (w * x[:, None]).sum(axis=2)",
    ),
)
knock.wrong(
    "merged by adding up",
    "merge multiplies element by element and adds up; take a matrix product",
    (
        "product = second[:, :, 0, 0] @ first[:, :, 0, 0]",
        "product = (second[:, :, 0] * first[:, :, 0, 0]).sum(axis=1)",
    ),
)
