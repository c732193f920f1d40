"""Grader of k033: what a separable convolution costs."""

from math import gcd
from numbers import Rational

import numpy as np

from minidl.knocks import Grader, checks

knock = Grader(
    hints=[
        "Count for one filter first: how many channels does it read, how many weights "
        "is that? How many filters are there? Then: at how many places is each weight "
        "used once?",
        "A filter of a grouped convolution reads channels // groups channels. The "
        "places are those of the result, after the stride. The pointwise convolution "
        "is an ordinary one with k = 1; it works on the smaller image already.",
        "weights = filters * (channels // groups) * k * k, multiply-adds = weights * "
        "oh * ow. Depthwise: C * k * k, pointwise: C * O; put their sum over C * O * k "
        "* k and cancel. In a network, (oh, ow) and filters become the next layer's "
        "size and channels.",
    ],
)

MOBILENET = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
MOBILENET += [(512, 1)] * 5 + [(1024, 2), (1024, 1)]


def places(size, kernel, stride):
    """Along each axis: how many windows fit into the padded image."""
    wide = [n + kernel // 2 + kernel // 2 for n in size]
    return tuple(len(range(0, n - kernel + 1, stride)) for n in wide)


def conv(size, channels, filters, kernel, stride=1, groups=1):
    """Pairs of a filter and a channel of the same group, times taps, times places."""
    group_of_filter = np.arange(filters) * groups // filters
    group_of_channel = np.arange(channels) * groups // channels
    meet = int((group_of_filter[:, None] == group_of_channel).sum())
    taps = sum(1 for _ in range(kernel) for _ in range(kernel))
    rows, columns = places(size, kernel, stride)
    return meet * taps, meet * taps * rows * columns


def large(size, channels, filters, kernel, stride=1, groups=1):
    """The same for numbers that are too large to lay out all pairs."""
    weights = filters * len(range(0, channels, groups)) * kernel * kernel
    rows, columns = places(size, kernel, stride)
    return weights, weights * rows * columns


def network(size, channels, layers, kernel, conv=conv):
    """Depthwise and pointwise kernels, one after the other."""
    total = [0, 0]
    for filters, stride in layers:
        costs = [conv(size, channels, channels, kernel, stride, channels)]
        size = places(size, kernel, stride)
        costs.append(conv(size, channels, filters, 1))
        channels = filters
        total = [a + sum(b) for a, b in zip(total, zip(*costs))]
    return tuple(total)


def pair(f, expected, *args, **options):
    """``f`` of these must be this pair of exact whole numbers."""
    words = [*map(repr, args), *(f"{k}={v!r}" for k, v in options.items())]
    title = f"{f.__name__}({', '.join(words)})"
    judge(checks.call(f, *args, **options), expected, title)


def judge(received, expected, title):
    """Say what is wrong with a pair of costs."""
    checks.true(
        isinstance(received, tuple | list | np.ndarray) and len(received) == 2,
        f"{title} must give a pair (weights, multiply-adds); got {received!r}",
        str(type(received)),
    )
    for n in received:
        checks.true(
            isinstance(n, int | np.integer) and not isinstance(n, bool),
            f"{title}: costs must be whole numbers (int); got {n!r}, of type "
            f"{type(n).__name__}",
            type(n).__name__,
        )
    numbers = tuple(map(int, received))
    for name, n, right in zip(("weights", "multiply-adds"), numbers, expected):
        text = f"{title}: the {name} must be {right:,}; got {n:,}"
        checks.true(n == right, text, (title, *map(str, numbers)))


def groups_of(r):
    """Channels, filters and groups that divide both."""
    groups = r.size(1, 4)
    return groups * r.size(1, 5), groups * r.size(1, 5), groups


@knock.check("the cost of an ordinary convolution without a stride")
def ordinary(mine, r):
    pair(mine.conv_cost, conv((4, 5), 2, 3, 3), (4, 5), 2, 3, 3)
    for kernel in (1, 3, 5):
        args = (r.size(1, 9), r.size(1, 9)), r.size(2, 9), r.size(2, 9), kernel
        pair(mine.conv_cost, conv(*args), *args)
    for args in [((1, r.size(2, 9)), 1, 1, 7), ((9, 4), 3, 2, 7), ((2, 5), 2, 3, 9)]:
        pair(mine.conv_cost, conv(*args), *args)


@knock.check("strides: the work is that at the places of the result")
def strides(mine, r):
    for stride in (1, 2, 2, 3, 4):
        size, kernel = (r.size(5, 12), r.size(5, 12)), r.choice([1, 3, 5])
        args = size, r.size(2, 6), r.size(2, 6), kernel, stride
        pair(mine.conv_cost, conv(*args), *args)
    for size in ((1, 2), (2, 1), (7, 8), (8, 7), (1, 1)):
        args = size, 2, 3, 3, r.choice([2, 3])
        pair(mine.conv_cost, conv(*args), *args)


@knock.check("groups, from one to one channel in each")
def groups(mine, r):
    args = (3, 4), 6, 4, 3
    pair(mine.conv_cost, conv(*args, groups=2), *args, groups=2)
    for stride in (1, 2, 3):
        size, kernel = (r.size(2, 9), r.size(2, 9)), r.choice([1, 3, 5])
        channels, filters, groups = groups_of(r)
        args = size, channels, filters, kernel, stride, groups
        pair(mine.conv_cost, conv(*args), *args)
        args = size, channels, channels * r.size(1, 3), kernel, stride, channels
        pair(mine.conv_cost, conv(*args), *args)


@knock.check("a depthwise and a pointwise convolution together", points=2)
def separable(mine, r):
    pair(mine.separable_cost, network((4, 5), 2, [(3, 1)], 3), (4, 5), 2, 3, 3)
    for stride in (1, 2, 3, 2):
        size = r.size(2, 12), r.size(2, 12)
        channels, filters, kernel = r.size(1, 9), r.size(1, 9), r.choice([1, 3, 5])
        right = network(size, channels, [(filters, stride)], kernel)
        pair(mine.separable_cost, right, size, channels, filters, kernel, stride)
    sizes = [(6, 7), (7, 6), (9, 2), (1, 5), (1, 1)]
    for size, kernel, stride in zip(sizes, (3, 7, 5, 9, 7), (2, 3, 4, 1, 2)):
        right = network(size, 2, [(3, stride)], kernel)
        pair(mine.separable_cost, right, size, 2, 3, kernel, stride)
    pair(mine.separable_cost, network((6, 7), 1, [(1, 2)], 3), (6, 7), 1, 1, 3, 2)


def exact(mine, filters, kernel, count, total):
    """cost_ratio must be the ratio of two whole numbers."""
    received = checks.call(mine.cost_ratio, filters, kernel)
    title = f"cost_ratio({filters}, {kernel})"
    checks.true(
        isinstance(received, Rational) and not isinstance(received, bool),
        f"{title} must be an exact fractions.Fraction; got {received!r}, of type "
        f"{type(received).__name__}",
        type(received).__name__,
    )
    text = f"{title} must be {count}/{total} in lowest terms; got {received}"
    checks.true(received * total == count, text, (title, str(received)))


@knock.check("the ratio, exactly, from two numbers only", points=2)
def ratio(mine, r):
    sizes = [(r.size(2, 30), r.choice([3, 5, 7])) for _ in range(4)]
    some = [(1, 3), (2, 1), (1, 1), (64, 7), (10**9, 3), (10**20 + 1, 11)]
    for filters, kernel in [(4, 3), *sizes, *some]:
        size, channels, stride = (r.size(1, 9), 4), r.size(1, 9), r.size(1, 3)
        few = min(filters, 50)  # the counts below are of pairs: not too many
        count = network(size, channels, [(few, stride)], kernel)[1]
        total = conv(size, channels, few, kernel, stride)[1]
        if few < filters:
            count, total = filters + kernel * kernel, filters * kernel * kernel
        common = gcd(count, total)
        exact(mine, filters, kernel, count // common, total // common)


@knock.check("whole networks, layer after layer", points=2)
def networks(mine, r):
    layers = [(r.size(2, 5), 2), (r.size(3, 6), 1)]
    size, channels = (r.size(5, 9), r.size(6, 12)), r.size(2, 5)
    some = [(r.size(1, 6), r.size(1, 3)) for _ in range(r.size(3, 5))]
    for layers in (layers, layers[:1], some, some[::-1], [(2, 2), (3, 2), (4, 2)]):
        for kernel in (3, r.choice([1, 5])):
            args = size, channels, layers, kernel
            pair(mine.network_cost, network(*args), *args)
    for size in ((5, 9), (9, 5), (17, 6), (1, 7), (7, 1)):  # odd after each stride
        for kernel, layers in ((3, [(2, 2)] * 3), (7, [(3, 2), (2, 1), (1, 3)])):
            pair(
                mine.network_cost,
                network(size, 2, layers, kernel),
                size,
                2,
                layers,
                kernel,
            )
    pair(mine.network_cost, (0, 0), size, channels, [], 3)
    for _ in range(2):
        title = f"network_cost({size}, {channels}, {some}, 3)"
        cost = mine.network_cost(size, channels, some, 3)
        judge(cost, network(size, channels, some, 3), title)
        some.append((2, 2))  # the same list has become longer


@knock.check("MobileNet's 13 separable layers, on images of 224 pixels and others")
def mobilenet(mine, r):
    pair(mine.network_cost, (3184224, 556878336), (112, 112), 32, MOBILENET, 3)
    size = r.choice([(96, 96), (80, 80), (64, 64), (112, 75)])
    right = network(size, 32, MOBILENET, 3)
    pair(mine.network_cost, right, size, 32, MOBILENET, 3)


@knock.check("large numbers, to the last digit")
def exactly(mine, r):
    a, b, c = (10**9 + 2 * r.size(1, 99) + 1 for _ in range(3))  # odd
    far = (10**17 + 1, 10**17 + 7)
    for args in [
        ((9, 7), 10**5 + 3, 10**5 + 1, 3),  # beyond 32 bits
        ((a, b), a, b, 7),
        (far, 3 * far[0], 3 * c, 3, 1, 3),
        (far[::-1], 5 * far[1], 5, 1, 2, 5),
    ]:
        pair(mine.conv_cost, large(*args), *args)
    for size, channels, filters, kernel, stride in [
        ((5, 3), 10**6 + 1, 10**6 + 4, 3, 1),
        ((a, c), b, 2 * c, 7, 1),
        (far, a, 2 * b, 3, 3),
    ]:
        layers = [(filters, stride)]
        right = network(size, channels, layers, kernel, large)
        pair(mine.separable_cost, right, size, channels, filters, kernel, stride)
        layers = [*layers, (a, 2), (b, 3)]
        right = network(size, channels, layers, kernel, large)
        pair(mine.network_cost, right, size, channels, layers, kernel)
    for odd in (1, 2):  # one of two sums is odd
        layers = [(2 * b, 1), (c, 1)]
        right = network((a, b), odd, layers, 3, large)
        pair(mine.network_cost, right, (a, b), odd, layers, 3)


knock.wrong(
    "groups forgotten",
    "every filter is counted with all channels; in a grouped convolution it reads "
    "those of its own group only",
    ("(channels // groups)", "channels"),
)
knock.wrong(
    "groups twice",
    "you divide by the number of groups twice; there are still all the filters, and "
    "each reads groups times fewer channels",
    ("filters * (channels // groups)", "filters // groups * (channels // groups)"),
)
knock.wrong(
    "groups multiplied",
    "you multiply by the number of groups; groups make a convolution cheaper",
    ("(channels // groups)", "channels * groups"),
)
knock.wrong(
    "kernel counted once",
    "a kernel has k * k taps: k rows of k",
    ("kernel**2\n    oh, ow", "kernel\n    oh, ow"),
)
knock.wrong(
    "stride ignored",
    "the stride is not counted: there is one multiplication for each weight at each "
    "place of the result, and with a stride there are fewer places than pixels",
    ("oh, ow = ((n - 1) // stride + 1 for n in size)", "oh, ow = size"),
)
knock.wrong(
    "stride along one axis",
    "the stride makes the image smaller along one axis only in your count; it works on "
    "rows and columns",
    (
        "oh, ow = ((n - 1) // stride + 1 for n in size)",
        "oh, ow = (size[0] - 1) // stride + 1, size[1]",
    ),
)
knock.wrong(
    "rounded down",
    "H // stride drops a place where the stride does not divide H: it is (H - 1) // "
    "stride + 1",
    (
        "oh, ow = ((n - 1) // stride + 1 for n in size)",
        "oh, ow = (n // stride for n in size)",
    ),
)
knock.wrong(
    "no padding",
    "you count the places of a convolution without padding; with k // 2 rings none is "
    "lost but by the stride",
    (
        "oh, ow = ((n - 1) // stride + 1 for n in size)",
        "oh, ow = ((n - kernel) // stride + 1 for n in size)",
    ),
)
knock.wrong(
    "biases counted",
    "there are no biases here: weights are the numbers of the kernel only",
    (
        "    return weights, weights * oh * ow",
        "    return weights + filters, weights * oh * ow",
    ),
)
knock.wrong(
    "additions counted too",
    "a multiplication and an addition are one multiply-add; you count two",
    (
        "    return weights, weights * oh * ow",
        "    return weights, 2 * weights * oh * ow",
    ),
)
knock.wrong(
    "floats",
    "the costs are floats, which cannot hold all whole numbers: divide whole numbers "
    "with //",
    ("(channels // groups)", "(channels / groups)"),
)
knock.wrong(
    "pointwise at the first size",
    "the pointwise convolution is counted on the image that comes in; it works on what "
    "the depthwise one gives, after the stride",
    (
        "pointwise = conv_cost(after, channels, filters, 1)",
        "pointwise = conv_cost(size, channels, filters, 1)",
    ),
)
knock.wrong(
    "stride twice",
    "the stride is counted in the pointwise convolution, too: only the depthwise one "
    "has it",
    (
        "pointwise = conv_cost(after, channels, filters, 1)",
        "pointwise = conv_cost(after, channels, filters, 1, stride)",
    ),
)
knock.wrong(
    "depthwise not grouped",
    "the depthwise convolution is counted as if every filter read all channels; it has "
    "as many groups as channels",
    (
        "conv_cost(size, channels, channels, kernel, stride, channels)",
        "conv_cost(size, channels, channels, kernel, stride)",
    ),
)
knock.wrong(
    "pointwise first",
    "you count the k x k on the O channels after the pointwise convolution; here it "
    "comes first, on the C channels of x",
    (
        "conv_cost(size, channels, channels, kernel, stride, channels)",
        "conv_cost(size, filters, filters, kernel, stride, filters)",
    ),
)
knock.wrong(
    "pointwise left out",
    "only the depthwise convolution is counted; the pointwise one is the larger part",
    (
        "    return depthwise[0] + pointwise[0], depthwise[1] + pointwise[1]",
        "    return depthwise",
    ),
)
knock.wrong(
    "pointwise with the kernel",
    "the pointwise convolution is counted with k * k taps; it has a single one",
    (
        "pointwise = conv_cost(after, channels, filters, 1)",
        "pointwise = conv_cost(after, channels, filters, kernel)",
    ),
)
knock.wrong(
    "ratio upside down",
    "your ratio is that of the ordinary convolution to the separable one: turn it over",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return 1 / (Fraction(1, filters) + Fraction(1, kernel**2))",
    ),
)
knock.wrong(
    "ratio with k",
    "the ratio has 1 / k in it; the kernel has k * k taps",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return Fraction(1, filters) + Fraction(1, kernel)",
    ),
)
knock.wrong(
    "ratio of one half",
    "this is the ratio of the depthwise convolution alone; the pointwise one is "
    "missing",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return Fraction(1, filters)",
    ),
)
knock.wrong(
    "ratio of the other half",
    "this is the ratio of the pointwise convolution alone; the depthwise one is "
    "missing",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return Fraction(1, kernel**2)",
    ),
)
knock.wrong(
    "ratio multiplied",
    "you multiply the two fractions: the costs of both halves add up",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return Fraction(1, filters) * Fraction(1, kernel**2)",
    ),
)
knock.wrong(
    "ratio rounded",
    "your ratio is a float, which is rounded: take Fraction(1, n) for 1 / n",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return 1 / filters + 1 / kernel**2",
    ),
)
knock.wrong(
    "float made a fraction",
    "your ratio is a float that became a Fraction only afterwards: it is rounded "
    "already",
    (
        "    return Fraction(1, filters) + Fraction(1, kernel**2)",
        "    return Fraction(1 / filters + 1 / kernel**2)",
    ),
)
knock.wrong(
    "size not passed on",
    "all layers are counted on the image of the first; a stride makes it smaller for "
    "those after it",
    (
        "size, channels = tuple((n - 1) // stride + 1 for n in size), filters",
        "channels = filters",
    ),
)
knock.wrong(
    "channels not passed on",
    "all layers are counted with the channels of the first image; each gives as many "
    "as it has filters",
    (
        "size, channels = tuple((n - 1) // stride + 1 for n in size), filters",
        "size = tuple((n - 1) // stride + 1 for n in size)",
    ),
)
knock.wrong(
    "last layer only",
    "only the last layer's cost comes back: add all of them up",
    ("weights + cost[0], multiply_adds + cost[1]", "cost"),
)
