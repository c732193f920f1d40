"""Grader of k010: checkpointing, by its gradient, its steps and its memory."""

import tracemalloc
import weakref

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Forwards: append x to kept before step i runs, if i is a multiple of every. "
        "Backwards: segment number k begins with kept[k]. Which steps belong to it?",
        "Take the segments from the last to the first. In each, first make the inputs "
        "of all its steps from kept[k], in a new list; then go through its steps "
        "backwards.",
        "segment = steps[k * every : (k + 1) * every]; inputs = [kept[k]]; for "
        "forward, _ in segment[:-1]: inputs.append(forward(inputs[-1])); then for _, "
        "backward in reversed(segment): g = backward(g, inputs.pop()).",
    ],
)


class Chain:
    """Steps that note who calls them, and how many of their arrays are alive."""

    def __init__(self, r, n, d):
        self.weights = [r(d, d) / np.sqrt(d) for _ in range(n)]
        self.kinds = [int(k) for k in r.integers(3, n)]
        self.steps = [self._step(i) for i in range(n)]
        self.d = d
        self.clear()

    def clear(self):
        self.forwards, self.backwards, self.order, self.most = [], [], [], 0
        self.alive = {}

    def _born(self, array):
        """Count the arrays that a forward made, or was given, and that still live."""
        key = id(array)
        self.alive[key] = weakref.ref(array, lambda _: self.alive.pop(key, None))
        self.most = max(self.most, len(self.alive))
        return array

    def run(self, i, x):
        """What step i makes of x."""
        if self.kinds[i] == 0:
            return x @ self.weights[i]
        if self.kinds[i] == 1:
            return np.sin(2 * x)
        return x + 0.5 * np.cos(3 * x)

    def back(self, i, g, x):
        """The gradient by x of step i."""
        if self.kinds[i] == 0:
            return g @ self.weights[i].T
        if self.kinds[i] == 1:
            return g * 2 * np.cos(2 * x)
        return g * (1 - 1.5 * np.sin(3 * x))

    def _step(self, i):
        def forward(x):
            self.forwards.append(i)
            self.order.append(("forward", i))
            return self._born(np.array(self.run(i, x)))

        def backward(g, x):
            self.backwards.append(i)
            self.order.append(("backward", i))
            return self.back(i, g, x)

        return forward, backward

    def inputs(self, x):
        """What goes into every step, and the end; without noting anything."""
        found = [x]
        for i in range(len(self.steps)):
            found.append(self.run(i, found[-1]))
        return found


def plain(chain, g, x):
    """The gradient with everything kept."""
    inputs = chain.inputs(x)
    for i in reversed(range(len(chain.steps))):
        g = chain.back(i, g, inputs[i])
    return g


def sizes(r):
    """Pairs (steps, every): exact multiples, remainders, 1, and more than there are."""
    n = r.size(4, 7)
    return [(4, 2), (5, 2), (n, 3), (7, 3), (n, 1), (3, 5), (1, 1), (1, 4), (6, 6),
            (9, 4)]


def told(n, every):
    return f"with {n} steps and every = {every}"


@knock.check("forward: y is what the steps make of x; kept is every k-th input")
def forwards(mine, r):
    for n, every in sizes(r):
        chain, d = Chain(r, n, r.size(2, 3)), told(n, every)
        x = r(r.size(1, 3), chain.d)
        given, steps = x.copy(), list(chain.steps)
        result = mine.forward_checkpointed(steps, given, every)
        if not isinstance(result, tuple | list) or len(result) != 2:
            kind = type(result).__name__
            raise Mistake(f"forward_checkpointed must give (y, kept); got {kind}", kind)
        (y, kept), inputs = result, chain.inputs(x)
        kind = type(kept).__name__
        checks.true(isinstance(kept, list), f"kept must be a list; got {kind}", kind)
        wanted = list(range(0, n, every))
        checks.equal(y, inputs[-1], f"y of forward_checkpointed {d}")
        evidence = np.concatenate([np.ravel(a) for a in kept] or [np.zeros(0)])
        if len(kept) != len(wanted):
            raise Mistake(
                f"kept of forward_checkpointed {d}: what goes into steps {wanted} must "
                f"be kept, {len(wanted)} arrays; got {len(kept)}",
                evidence,
            )
        for array, i in zip(kept, wanted):
            try:
                what = f"kept of forward_checkpointed {d}: what goes into step {i}"
                checks.equal(array, inputs[i], what)
            except Mistake as mistake:
                raise Mistake(mistake.message, evidence) from None
        checks.true(np.array_equal(given, x), "forward_checkpointed changes x", "x")
        checks.true(steps == chain.steps, "the list of steps is changed", "steps")
        text = f"forward_checkpointed {d}: each step once, in order; called were "
        ran = np.array(chain.forwards, float)
        checks.true(chain.forwards == list(range(n)), f"{text}{chain.forwards}", ran)


@knock.check("backward: the gradient, as without checkpoints", points=2)
def gradient(mine, r):
    for n, every in [*sizes(r), (300, 17)]:
        chain = Chain(r, n, r.size(2, 3))
        x = r(r.size(1, 3), chain.d)
        g, inputs = r(*x.shape), chain.inputs(x)
        kept = [inputs[i] for i in range(0, n, every)]
        copies, given, steps = [a.copy() for a in kept], g.copy(), list(chain.steps)
        got = mine.backward_checkpointed(given, copies, steps, every)
        what = f"the gradient of backward_checkpointed {told(n, every)}"
        checks.equal(got, plain(chain, g, x), what)
        good = len(copies) == len(kept) and all(map(np.array_equal, copies, kept))
        checks.true(good, "backward_checkpointed changes kept", "kept changed")
        checks.true(np.array_equal(given, g), "backward_checkpointed changes g", "g")
        checks.true(steps == chain.steps, "the list of steps is changed", "steps")
        again = mine.backward_checkpointed(given, copies, steps, every)
        checks.equal(again, plain(chain, g, x), f"{what}, called again")


@knock.check("both together, in float32 and on views, and twice in a row")
def together(mine, r):
    chain = Chain(r, 7, 3)
    chain.weights = [w.astype("float32") for w in chain.weights]
    chain.kinds = [1 + i % 2 for i in range(7)]
    for _ in range(2):
        x, g = (r(3, 2).astype("float32").T for _ in range(2))
        y, kept = mine.forward_checkpointed(chain.steps, x, 3)
        checks.equal(y, chain.inputs(x)[-1], "y in float32")
        got = mine.backward_checkpointed(g, kept, chain.steps, 3)
        checks.equal(got, plain(chain, g, x), "the gradient in float32")


@knock.check("backward: no step runs more often than it must", points=2)
def count(mine, r):
    for n, every in [(4, 2), *sizes(r), (16, 4)]:
        chain = Chain(r, n, 2)
        x = r(1, 2)
        inputs = chain.inputs(x)
        kept = [inputs[i] for i in range(0, n, every)]
        mine.backward_checkpointed(r(1, 2), kept, chain.steps, every)
        ran = [chain.forwards.count(i) for i in range(n)]
        wanted = [int((i + 1) % every != 0 and i + 1 != n) for i in range(n)]
        back = chain.backwards
        if back != list(range(n))[::-1]:
            raise Mistake(
                f"backward_checkpointed {told(n, every)}: each backward once, from the "
                f"last to the first; called were those of steps {back}",
                np.array([-1.0, *back]),
            )
        if ran != wanted:
            raise Mistake(
                f"backward_checkpointed {told(n, every)} calls the forwards of steps "
                f"0 to {n - 1}\n    {ran} times; needed are\n    {wanted}",
                np.array(ran, float),
            )


@knock.check("no more arrays are alive than those kept and a segment's", points=2)
def memory(mine, r):
    for n, every in [(16, 4), (24, 3), (30, 5), (36, 6)]:
        chain = Chain(r, n, 2)
        _few(mine, chain, r(r.size(1, 2), 2), r, every)
    steps = [(lambda x: x + 1, lambda g, x: g + 0.0)] * 64
    x, n, every = r(1000), 64, 8
    with _Peak(x.nbytes) as peak:
        y, kept = mine.forward_checkpointed(steps, x, every)
    _enough(peak.arrays, "forward_checkpointed", 8 + 6, n, every)
    with _Peak(x.nbytes) as peak:
        mine.backward_checkpointed(y, kept, steps, every)
    _enough(peak.arrays, "backward_checkpointed", 2 * 8 + 6, n, every)


def _few(mine, chain, x, r, every):
    n = len(chain.steps)
    y, kept = mine.forward_checkpointed(chain.steps, x, every)
    checkpoints = -(-n // every)
    evidence = [float(chain.most)]
    if chain.most > checkpoints + 2:
        _alive("forward_checkpointed", chain.most, checkpoints + 2, n, every, evidence)
    g = r(*y.shape)
    del y
    chain.most = 0
    mine.backward_checkpointed(g, kept, chain.steps, every)
    evidence.append(float(chain.most))
    most = checkpoints + 2 * every
    if chain.most > most:
        _alive("backward_checkpointed", chain.most, most, n, every, evidence)


def _alive(name, received, most, n, every, evidence):
    raise Mistake(
        f"{name} {told(n, every)}: {received} arrays made by the steps are in memory "
        f"at one time; {most} are enough, with some to spare",
        np.array(evidence),
    )


class _Peak:
    """How many arrays of a size were newly in memory at most, whoever made them."""

    def __init__(self, size):
        self.size = size

    def __enter__(self):
        self.ours = not tracemalloc.is_tracing()
        if self.ours:
            tracemalloc.start()
        tracemalloc.reset_peak()
        self.before = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *error):
        peak = tracemalloc.get_traced_memory()[1] - self.before
        self.arrays = peak // self.size
        if self.ours:
            tracemalloc.stop()


def _enough(received, name, most, n, every):
    if received > most:
        evidence = f"memory of {name}"
        raise Mistake(
            f"{name} {told(n, every)}: memory for {received} arrays is in use at one "
            f"time; {most} are enough, with some to spare",
            evidence,
        )


knock.wrong(
    "outputs kept",
    "you keep what comes out of every k-th step: keep what goes in, before it runs",
    (
        "        if i % every == 0:\n            kept.append(x)\n"
        "        x = forward(x)\n",
        "        x = forward(x)\n        if i % every == 0:\n"
        "            kept.append(x)\n",
    ),
)
knock.wrong(
    "everything kept",
    "every input is kept: that is no checkpointing",
    ("        if i % every == 0:\n", "        if True:\n"),
)
knock.wrong(
    "one late",
    "you count from 1: the first to be kept is x, what goes into step 0",
    ("if i % every == 0:", "if (i + 1) % every == 0:"),
)
knock.wrong(
    "first one left out",
    "x itself must be kept too: without it the first segment cannot be made again",
    ("if i % every == 0:", "if i and i % every == 0:"),
)
knock.wrong(
    "segments in forward order",
    "you take the segments from the first to the last: the gradient comes from the end",
    ("for k in reversed(range(len(kept))):", "for k in range(len(kept)):"),
)
knock.wrong(
    "steps in forward order",
    "inside of a segment too, the gradient runs from the last step to the first",
    ("for _, backward in reversed(segment):\n            g = backward(g, inputs.pop())",
     "for i, (_, backward) in enumerate(segment):\n"
     "            g = backward(g, inputs[i])"),
)
knock.wrong(
    "rest left out",
    "the last segment may be shorter than the others: where the number of steps is no "
    "multiple of every, you leave the rest out",
    ("reversed(range(len(kept)))", "reversed(range(len(steps) // every))"),
)
knock.wrong(
    "outputs in place of inputs",
    "you give each backward what came out of its step: it needs what went in",
    ("for forward, _ in segment[:-1]:", "for forward, _ in segment:"),
)
knock.wrong(
    "checkpoint for all",
    "you take every slope at the checkpoint: within the segment, x changes",
    ("g = backward(g, inputs.pop())", "g = backward(g, inputs[0])"),
)
knock.wrong(
    "upstream ignored",
    "your gradient starts with ones: start with g",
    ("    for k in reversed(", "    g = g * 0 + 1\n    for k in reversed("),
)
knock.wrong(
    "kept used up",
    "the gradient is right, but you empty kept: it belongs to the caller",
    ("inputs = [kept[k]]", "inputs = [kept.pop()]"),
)
knock.wrong(
    "last step run for nothing",
    "you run the last step of each segment again, though nobody needs what it gives",
    ("for forward, _ in segment[:-1]:", "for forward, _ in segment:"),
    ("        for _, backw", "        inputs.pop()\n        for _, backw"),
)
knock.wrong(
    "always from the start",
    "you make every input again from the checkpoint, one by one: within a segment that "
    "takes a number of steps that grows with its square",
    (
        "for forward, _ in segment[:-1]:\n"
        "            inputs.append(forward(inputs[-1]))",
        "for stop in range(1, len(segment)):\n            x = kept[k]\n"
        "            for forward, _ in segment[:stop]:\n"
        "                x = forward(x)\n            inputs.append(x)",
    ),
)
knock.wrong(
    "nothing forgotten",
    "all that was made again is in memory at one time, as without checkpoints: go back "
    "through a segment before you make the next, and then forget it",
    ("    for k in reversed(", "    made = []\n    for k in reversed("),
    ("        for _, backw", "        made += inputs\n        for _, backw"),
)
knock.wrong(
    "copies of everything",
    "a copy of every array stays in memory, beside those that are kept",
    (
        "        x = forward(x)\n    return x, kept",
        "        copies.append(x.copy())\n        x = forward(x)\n    return x, kept",
    ),
    ("    kept = []\n", "    kept, copies = [], []\n"),
)
