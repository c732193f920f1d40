"""Grader of k004: backwards through a graph."""

import math

import numpy as np

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "Which node can say first what its gradient is? And which next? The function "
        "topological_order is there for you.",
        "Give root its g. Walk through reversed(topological_order(root)): when you "
        "come to a node its grad is complete, so hand it down to the node's inputs.",
        "for node in reversed(order): for x, gx in zip(node.inputs, "
        "node.backward(node.grad)): add gx to x.grad (do not replace it).",
    ],
)


class Graph:
    """Named nodes in the order they were made; a node counts its local backwards.

    The local backwards know no values: a node's slopes are fixed numbers.
    """

    def __init__(self, mine):
        self.node, self.nodes, self.text = mine.Node, {}, []
        self.counts, self.once = {}, False

    def make(self, name, value=0.0, inputs=(), slopes=()):
        def local(g):
            self.counts[name] = self.counts.get(name, 0) + 1
            if self.once and self.counts[name] > 1:
                raise Mistake(
                    f"the local backward of {name} is called more than once: wait "
                    "until all that was made from it has handed its gradient down",
                    "more than once",
                )
            return tuple(g * s for s in slopes)

        nodes = tuple(self.nodes[x] for x in inputs)
        made = self.node(value, nodes, local) if inputs else self.node(value)
        self.nodes[name] = made
        if inputs:
            self.text.append((name, inputs, slopes))
        return self

    def drawn(self):
        """The graph in text, a line for every node that has inputs."""
        if len(self.text) > 12:
            return f"    a graph of {len(self.nodes):,} nodes"
        return "\n".join(map(_line, self.text)) or "    root alone"

    def compare(self, expected, what):
        """Every node's grad must be as expected, a dictionary by name."""
        received = [number(node.grad, name) for name, node in self.nodes.items()]
        for (name, e), got in zip(expected.items(), received):
            if not math.isclose(got, e, rel_tol=1e-9, abs_tol=1e-12):
                raise Mistake(
                    f"{what}: the gradient of {name} is wrong:\n"
                    f"    received {got:.6g}\n    expected {e:.6g}\n  with\n"
                    + self.drawn(),
                    np.array(received),
                )


def _line(part):
    if isinstance(part, str):
        return f"    {part}"
    name, inputs, slopes = part
    words = " + ".join(f"{s:.3g} * {x}" for s, x in zip(slopes, inputs))
    return f"    {name} = {words}"


def number(grad, name):
    if type(grad) is float:
        return grad
    array = np.asarray(grad)
    if array.shape != () or array.dtype.kind not in "fiu":
        kind = type(grad).__name__
        raise Mistake(f"the grad of {name} must be a number; got {kind}", kind)
    return float(array)


def ways(graph, root, g):
    """Every node's gradient: the sum of what arrives by every single way from root."""
    names = {id(node): name for name, node in graph.nodes.items()}
    total = dict.fromkeys(graph.nodes, 0.0)

    def go(node, g):
        total[names[id(node)]] += g
        for x, gx in zip(node.inputs, node.backward(g)):
            go(x, gx)

    go(graph.nodes[root], g)
    graph.counts.clear()
    return total


def look(mine, build, root="root", g=None):
    """Go backwards through two fresh graphs; both must come out right."""
    for again in "", ", on a second fresh graph":
        graph = build()
        expected = ways(graph, root, 1.0 if g is None else g)
        before = [(n.value, n.inputs, n.backward) for n in graph.nodes.values()]
        start = graph.nodes[root]
        what = "backward(root)" if g is None else f"backward(root, g={g:.3g})"
        mine.backward(start) if g is None else mine.backward(start, g)
        graph.compare(expected, what + again)
        after = [(n.value, n.inputs, n.backward) for n in graph.nodes.values()]
        text = "backward(root) changes values or inputs of nodes: only grad is yours"
        checks.true(before == after, text, "changed")


@knock.check("x * x + x, a sine, a product: numbers to check by hand")
def by_hand(mine, r):
    at, by = (float(n) for n in r.rng.permutation([2, 3, 5, 7])[:2])
    graph = Graph(mine)
    x = mine.Node(at)
    square = mine.mul(x, x)
    root = mine.add(square, x)
    mine.backward(root)
    graph.nodes = dict(x=x, square=square, root=root)
    graph.text = [f"x = {at}", "square = x * x", "root = square + x"]
    graph.compare(dict(x=2 * at + 1, square=1.0, root=1.0), "backward(root)")

    x, y = mine.Node(at), mine.Node(by)
    product = mine.mul(x, y)
    wave = mine.sin(product)
    root = mine.add(wave, y)
    mine.backward(root)
    slope = math.cos(at * by)
    graph.nodes = dict(x=x, y=y, product=product, wave=wave, root=root)
    graph.text = [f"x = {at}", f"y = {by}", "product = x * y"]
    graph.text += ["wave = sin(product)", "root = wave + y"]
    expected = dict(x=slope * by, y=slope * at + 1, product=slope, wave=1.0, root=1.0)
    graph.compare(expected, "backward(root)")


@knock.check("one chain, with a gradient g from above")
def chain(mine, r):
    a, b = 1.5 + r.positive(2)

    def build():
        graph = Graph(mine).make("x").make("a", 0.0, "x", [float(a)])
        return graph.make("root", 0.0, "a", [float(b)])

    look(mine, build)
    look(mine, build, g=3.0)
    look(mine, build, g=-float(r.positive()))


@knock.check("shared nodes: gradients add up, and wait until all are there", points=2)
def shared(mine, r):
    s = [float(x) for x in 1.5 + r.positive(8)]

    def twice():
        return Graph(mine).make("x").make("root", 0.0, "xx", s[:2])

    def short_and_long(inputs, slopes):
        graph = Graph(mine).make("x").make("y", 0.0, "x", s[:1])
        graph.make("a", 0.0, "y", s[1:2]).make("b", 0.0, "a", s[2:3])
        return graph.make("root", 0.0, inputs, slopes)

    look(mine, twice, g=3.0)
    look(mine, lambda: short_and_long("by", s[3:5]), g=3.0)
    look(mine, lambda: short_and_long("yb", s[3:5]), g=3.0)
    look(mine, lambda: short_and_long("yby", s[3:6]), g=3.0)


@knock.check("random graphs: one to three inputs, gradients of both signs")
def random_graphs(mine, r):
    look(mine, lambda: Graph(mine).make("root"), g=float(r()))
    for most in 1, 2, 2, 3, 3:
        parts, names = [], ["x", "y"]
        for i in range(r.size(3, 7)):
            chosen = [r.choice(names[-4:]) for _ in range(r.rng.integers(1, most + 1))]
            parts.append((f"n{i}", chosen, [float(v) for v in r(len(chosen))]))
            names.append(f"n{i}")
        last = [*names[-2:], r.choice(names)]
        parts.append(("root", last, [float(v) for v in r(3)]))

        def build(parts=parts):
            graph = Graph(mine).make("x").make("y")
            for name, inputs, slopes in parts:
                graph.make(name, 0.0, inputs, slopes)
            return graph

        look(mine, build)
        look(mine, build, g=float(r()))


@knock.check("gradients of 0 are handed down too; a node may have 300 inputs")
def zeros(mine, r):
    s = [float(x) for x in 1.5 + r.positive(4)]

    def slopes_of_zero():
        graph = Graph(mine).make("x").make("y")
        graph.make("a", 0.0, "x", s[:1]).make("b", 0.0, "ay", [s[1], 0.0])
        graph.make("c", 0.0, "b", s[2:3]).make("d", 0.0, "a", s[3:4])
        return graph.make("root", 0.0, "cd", [0.0, 1.0])

    def cancelled():
        graph = Graph(mine).make("x").make("a", 0.0, "x", s[:1])
        graph.make("b", 0.0, "a", s[1:2])
        return graph.make("root", 0.0, "bb", [s[2], -s[2]])

    def crowd():
        slopes = [float(i) for i in range(300)]
        graph = Graph(mine).make("x").make("y").make("a", 0.0, "xy", s[:2])
        return graph.make("root", 0.0, list("xay") * 100, slopes)

    for build, g in (slopes_of_zero, 3.0), (cancelled, 3.0), (cancelled, 0.0):
        look(mine, build, g=g)
        graph = build()
        mine.backward(graph.nodes["root"], g)
        counts = [graph.counts.get(name, 0) for name, _, _ in graph.text]
        pairs = zip(graph.text, counts)
        missed = [name for (name, _, _), count in pairs if count != 1]
        text = "".join(missed[:1])
        checks.true(
            not missed,
            f"backward(root, g={g:.3g}): the local backward of {text} must be called "
            f"just once\n  with\n{graph.drawn()}",
            np.array(counts),
        )
    look(mine, crowd, g=3.0)


@knock.check("2^60 ways lead from root to x: every local backward once")
def ladder(mine, r):
    long(mine, float(r()), 60, 2, 1.0)


@knock.check("5,000 nodes deep, every local backward once", late=True)
def deep(mine, r):
    long(mine, float(r()), 5_000, 1, -1.0)


def long(mine, g, steps, inputs, slope):
    graph = Graph(mine).make("n0")
    graph.once = True
    for i in range(1, steps + 1):
        graph.make(f"n{i}", 0.0, [f"n{i - 1}"] * inputs, [slope] * inputs)
    try:
        mine.backward(graph.nodes[f"n{steps}"], g)
    except RecursionError:
        raise Mistake(
            "backward calls itself for every input, and a chain of 5,000 nodes is "
            "too deep for that: walk through topological_order(root)",
            "recursion",
        ) from None
    factor = inputs * slope
    expected = {f"n{i}": g * factor ** (steps - i) for i in range(steps + 1)}
    graph.text = [f"{steps:,} nodes, each made {inputs} times from the one before"]
    graph.compare(expected, f"backward(root, g={g:.3g})")


knock.wrong(
    "overwritten",
    "a node that is used several times keeps only the last gradient that came: add "
    "each to what is there",
    ("x.grad += gx", "x.grad = gx"),
)
knock.wrong(
    "no beginning",
    "all gradients are zero: root has to get g before the walk begins",
    ("root.grad = g", "pass"),
)
knock.wrong(
    "upstream ignored",
    "root starts with 1 whatever g is: it must start with g",
    ("root.grad = g", "root.grad = 1.0"),
)
knock.wrong(
    "from the wrong end",
    "you walk from the leaves to root; gradients come from root: reverse the order",
    ("reversed(topological_order(root))", "topological_order(root)"),
)
knock.wrong(
    "g to everybody",
    "every node's local backward gets root's g; it must get the node's own grad, which "
    "holds all slopes between root and it",
    ("node.backward(node.grad)", "node.backward(g)"),
)
knock.wrong(
    "same input twice",
    "if a node uses the same input twice, as in x * x, only one of its two gradients "
    "is added: both count",
    (
        "zip(node.inputs, node.backward(node.grad)):",
        "dict(zip(node.inputs, node.backward(node.grad))).items():",
    ),
)
knock.wrong(
    "too early",
    "a node hands its gradient down as soon as it is met, before all of it has "
    "arrived: use the topological order, from its end",
    (
        "    for node in reversed(topological_order(root)):\n",
        "    queue, met = [root], {root}\n"
        "    for node in queue:\n"
        "        new = [x for x in dict.fromkeys(node.inputs) if x not in met]\n"
        "        queue += new\n"
        "        met.update(new)\n",
    ),
)
knock.wrong(
    "again at every arrival",
    "a node hands down all it has whenever something arrives, so the parts that came "
    "first are handed down again: it may do so once only, when all is there",
    (
        "    for node in reversed(topological_order(root)):\n",
        "    queue = [root]\n    for node in queue:\n        queue += node.inputs\n",
    ),
)
knock.wrong(
    "way by way",
    "the gradients are right, but you follow every way from root by itself, and their "
    "number doubles with every shared node: add up first, then hand down once",
    ("    root.grad = g\n", "    stack = [(root, g)]\n"),
    (
        "    for node in reversed(topological_order(root)):\n",
        "    while stack:\n"
        "        node, above = stack.pop()\n"
        "        node.grad += above\n",
    ),
    ("node.backward(node.grad)", "node.backward(above)"),
    ("x.grad += gx", "stack.append((x, gx))"),
)
knock.wrong(
    "sign",
    "the sign is wrong: what the uses of a node hand down is added, not subtracted",
    ("x.grad += gx", "x.grad -= gx"),
)
knock.wrong(
    "zeros passed over",
    "you pass nodes over whose gradient is 0, so their local backward never runs; it "
    "is to be called just once for every node with inputs",
    (
        "    for node in reversed(topological_order(root)):\n",
        "    for node in reversed(topological_order(root)):\n"
        "        if node.grad == 0:\n"
        "            continue\n",
    ),
)
