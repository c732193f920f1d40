"""Grader of k003: topological order."""

from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "When may a node be put down? Not when you first meet it: something that it is "
        "made from may still be on its way.",
        "Put every node on the stack twice: once to visit it, and once more, before "
        "its inputs are put on top, to put it down after them. A set says who was "
        "visited.",
        "stack = [(root, False)]; then pop (node, done): if done, order.append(node); "
        "else, if it is new, push (node, True) and then (x, False) for x in "
        "node.inputs.",
    ],
)


def behind(root):
    """Every node that can be reached from root, in no special order."""
    found, known = [root], {id(root)}
    for node in found:
        for x in vars(node)["inputs"]:
            if id(x) not in known:
                known.add(id(x))
                found.append(x)
    return found


def drawn(nodes):
    """The graph in text, a line for every node."""
    if len(nodes) > 12:
        return f"  with a graph of {len(nodes):,} nodes"
    lines = [
        f"    {n} is made from {', '.join(map(str, n.inputs))}"
        for n in nodes
        if n.inputs
    ]
    lines = lines or [f"    {nodes[0]} alone"]
    return "\n".join(["  with", *lines])


def fault(order, root, what):
    """None if ``order`` is topological, else (what is wrong, evidence)."""
    if not isinstance(order, list | tuple):
        kind = type(order).__name__
        return f"{what}: a list of nodes must come back; got {kind}", kind
    nodes = behind(root)
    shown = ", ".join(map(str, order[:12])) + (", ..." if len(order) > 12 else "")
    tail = f"\n    received [{shown}]\n{drawn(nodes)}"
    known, place = {id(n) for n in nodes}, {}
    for i, node in enumerate(order):
        if id(node) not in known:
            return f"{what}: {node!r} is no node of this graph{tail}", "foreign"
        place.setdefault(id(node), i)
    twice = sorted(str(n) for i, n in enumerate(order) if place[id(n)] != i)
    missing = sorted(str(n) for n in nodes if id(n) not in place)
    if twice:
        return f"{what}: {twice[0]} is in it more than once{tail}", ["twice", *twice]
    if missing:
        return f"{what}: {missing[0]} is missing{tail}", ["missing", *missing]
    edges = ((n, x) for n in nodes for x in vars(n)["inputs"])
    late = [f"{n} before {x}" for n, x in edges if place[id(n)] < place[id(x)]]
    if late:
        node, _, x = late[0].partition(" before ")
        text = f"{what}: {node} stands before {x}, which it is made from{tail}"
        return text, ["late", str(len(late))]  # whichever way was taken first
    return None


def judge(f, *roots):
    """Ask for the order of every root, twice; show the first fault of all."""
    faults = []
    for root in roots:
        nodes = behind(root)
        before = [dict(vars(n)) for n in nodes]
        first = fault(f(root), root, "topological_order(root)")
        again = fault(f(root), root, "topological_order(root), called again")
        touched = [dict(vars(n)) for n in nodes] != before
        if touched and again is None:
            text = "topological_order(root) changes the nodes: leave them as they are"
            again = f"{text}\n{drawn(nodes)}", "changed"
        faults.append(first or again and (again[0], ["again", again[1]]))
    if any(faults):
        text = next(found[0] for found in faults if found)
        # without the order of graphs: a walk may go left first or right first
        raise Mistake(text, sorted(str(found and found[1]) for found in faults))


def watching(node_class):
    """A class whose nodes say how often they are read and compared."""

    class Watched(node_class):
        spent, limit = 0, 0

        @property
        def inputs(self):
            Watched.spend("ways")
            return Inputs(vars(self)["inputs"])

        @inputs.setter
        def inputs(self, nodes):
            vars(self)["inputs"] = nodes

        def __eq__(self, other):
            Watched.spend("compared")
            return self is other

        __hash__ = object.__hash__

        @classmethod
        def spend(cls, what):
            cls.spent += 1
            if cls.limit and cls.spent > cls.limit:
                raise Mistake(TOO_MUCH[what], what)

    class Inputs(tuple):
        """A node's inputs; it says how many of them are read."""

        def __iter__(self):
            for x in tuple.__iter__(self):
                Watched.spend("inputs")
                yield x

        def __reversed__(self):
            return iter(Inputs(self[::-1]))

        def __getitem__(self, at):
            got = tuple.__getitem__(self, at)
            for _ in got if isinstance(at, slice) else "1":
                Watched.spend("inputs")
            return got

    return Watched


TOO_MUCH = {
    "inputs": "topological_order(root) looks through the inputs of the same node from "
    "the first on whenever it comes back to it: with thousands of inputs that takes "
    "millions of looks. Go on where you left off, or put all of them on the stack",
    "ways": "topological_order(root) looks at the inputs of the same node again and "
    "again: in a graph where every node is used twice, that doubles with every step. "
    "Visit each node once",
    "compared": "topological_order(root) compares nodes one by one: 'node in list' "
    "looks through the whole list, and takes longer the longer it gets. A set finds it "
    "at once",
}


@knock.check("one node after another")
def line(mine, r):
    x = mine.Node(name="x")
    a = mine.Node(x, name="a")
    root = mine.Node(a, name="root")
    judge(mine.topological_order, root)


@knock.check("nodes that are used more than once, by short ways and by long ones")
def shared(mine, r):
    node = mine.Node
    x = node(name="x")
    square = node(x, x, name="square")
    left, right = node(x, x, name="left"), node(x, x, name="right")
    diamond = node(left, right, name="root")
    long = node(node(x, name="a"), name="b")
    graphs = square, diamond, node(long, x, name="root"), node(x, long, name="root")
    judge(mine.topological_order, *graphs)


@knock.check("random graphs; other nodes may have the same name", points=2)
def random_graphs(mine, r):
    judge(mine.topological_order, mine.Node(name="alone"))
    twins = [mine.Node(name="x") for _ in range(3)]
    judge(mine.topological_order, mine.Node(*twins, name="root"))
    for inputs in 1, 2, 2, 3, 3:
        nodes = [mine.Node(name="n0")]
        for i in range(1, r.size(5, 9)):
            some = [r.choice(nodes[-5:]) for _ in range(r.rng.integers(inputs + 1))]
            nodes.append(mine.Node(*some, name=f"n{i}"))
        judge(mine.topological_order, mine.Node(*nodes[-3:], nodes[0], name="root"))
        judge(mine.topological_order, mine.Node(*nodes[::-2], name="root"))


@knock.check("a node with 3,000 inputs: each of them is looked at a few times only")
def wide(mine, r):
    watched = watching(mine.Node)
    nodes = [watched(name=f"n{i}") for i in range(1_500)]
    nodes += [watched(nodes[i], name=f"m{i}") for i in range(1_500)]
    root = watched(*(nodes[i] for i in r.rng.permutation(3_000)), name="root")
    watched.spent, watched.limit = 0, 150_000
    order = mine.topological_order(root)
    watched.limit = 0
    found = fault(order, root, "topological_order(root)")
    if found:
        raise Mistake(*found)


CHAIN = "a chain of 20,000 nodes: no recursion, and no search through lists"


@knock.check(CHAIN, late=True)
def chain(mine, r):
    watched = watching(mine.Node)
    root = watched(name="n0")
    for i in range(1, 20_000):
        root = watched(root, name=f"n{i}")
    watched.spent, watched.limit = 0, 1_000_000
    checks.banned(mine, "setrecursionlimit")
    try:
        order = mine.topological_order(root)
    except RecursionError:
        raise Mistake(
            "topological_order(root) calls itself for every input, and a chain of "
            "20,000 nodes is too deep for that: keep a stack of your own",
            "recursion",
        ) from None
    watched.limit = 0
    found = fault(order, root, "topological_order(root)")
    if found:
        raise Mistake(*found)


@knock.check("a ladder of 200 nodes that all are used twice: each is visited once")
def ladder(mine, r):
    for steps in 12, 200:
        watched = watching(mine.Node)
        root = watched(name="n0")
        for i in range(1, steps):
            root = watched(root, root, name=f"n{i}")
        watched.spent, watched.limit = 0, 100 * steps
        order = mine.topological_order(root)
        watched.limit = 0
        found = fault(order, root, "topological_order(root)")
        if found:
            raise Mistake(*found)


def by_lists(root):
    """The order found with lists where sets belong."""
    order, visited, stack = [], [], [(root, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in visited:
            visited.append(id(node))
            stack.append((node, True))
            stack.extend((x, False) for x in node.inputs)
    return order


@knock.check("the time grows like the number of nodes: no search in lists", late=True)
def time(mine, r):
    root = mine.Node(name="n0")
    for i in range(1, 5_000):
        root = mine.Node(root, name=f"n{i}")
    what = "topological_order(root), for a chain of 5,000 nodes,"
    try:
        checks.faster(
            mine.topological_order, by_lists, root, factor=5, what=what, rounds=3
        )
    except Mistake as slow:
        text = slow.message.replace("the plain loop", "a function with lists")
        raise Mistake(text, slow.evidence) from None


knock.wrong(
    "root first",
    "the order is turned round: inputs come first, and root comes last",
    ("return order", "return order[::-1]"),
)
knock.wrong(
    "met for every use",
    "a node that is used several times is put down several times: keep a set of the "
    "nodes you have visited",
    ("elif node not in visited:", "else:"),
)
knock.wrong(
    "in the order of meeting",
    "you list nodes as you meet them and turn the list round; a node that is met "
    "early, by a short way, then stands after one that is made from it: put a node "
    "down when you come back from its inputs",
    ("stack.append((node, True))", "order.append(node)"),
    ("return order", "return order[::-1]"),
)
knock.wrong(
    "level by level",
    "you list the nodes level by level, by their shortest way from root; what counts "
    "is the longest: a node comes only after everything it is made from",
    ("stack.append((node, True))", "order.append(node)"),
    ("stack.pop()", "stack.pop(0)"),
    ("return order", "return order[::-1]"),
)
knock.wrong(
    "marked too early",
    "you mark nodes as visited when they are put on the stack; until they are taken "
    "off, another node that needs them passes them by: mark them when they are taken "
    "off",
    ("elif node not in visited:", "else:"),
    (
        "stack.extend((x, False) for x in node.inputs)",
        "new = [x for x in dict.fromkeys(node.inputs) if x not in visited]\n"
        "            visited.update(new)\n"
        "            stack.extend((x, False) for x in new)",
    ),
)
knock.wrong(
    "leaves left out",
    "nodes without inputs are left out; they belong in the order too",
    (
        "stack.append((node, True))",
        "stack.extend([(node, True)] if node.inputs else [])",
    ),
)
knock.wrong(
    "root left out",
    "root is missing: it is the last node of the order",
    ("return order", "return order[:-1]"),
)
knock.wrong(
    "known by name",
    "you tell nodes apart by their names; several may have the same, so keep the nodes "
    "themselves in the set (or their id)",
    ("elif node not in visited", "elif node.name not in visited"),
    ("visited.add(node)", "visited.add(node.name)"),
)
knock.wrong(
    "recursion",
    "the order is right, but the function calls itself: deep graphs need a stack of "
    "your own",
    (
        "    order, visited, stack = [], set(), [(root, False)]\n",
        "    order, visited, stack = [], set(), []\n\n"
        "    def visit(node):\n"
        "        if node not in visited:\n"
        "            visited.add(node)\n"
        "            for x in node.inputs:\n"
        "                visit(x)\n"
        "            order.append(node)\n\n"
        "    visit(root)\n",
    ),
)
knock.wrong(
    "a list of the visited",
    "the order is right, but you look for nodes in a list, which takes longer the "
    "longer it gets: use a set",
    ("set(), [(root", "[], [(root"),
    ("visited.add(node)", "visited.append(node)"),
)
knock.wrong(
    "marks left on the nodes",
    "you write on the nodes which ones were visited; the second call finds the marks "
    "of the first and thinks that all is done",
    ("elif node not in visited:", 'elif not hasattr(node, "visited"):'),
    ("visited.add(node)", "node.visited = True"),
)
knock.wrong(
    "inputs from the first on",
    "the order is right, but whenever you come back to a node you look through its "
    "inputs from the first on: put all of them on the stack at once, or keep an "
    "iterator",
    (
        "node, inputs_done = stack.pop()",
        "node = stack[-1][0]\n"
        "        rest = [(x, False) for x in node.inputs if x not in visited]\n"
        "        stack += rest[:1]\n"
        "        if rest:\n"
        "            continue\n"
        "        stack.pop()\n"
        "        inputs_done = node not in visited\n"
        "        visited.add(node)",
    ),
    (
        "        elif node not in visited:\n"
        "            visited.add(node)\n"
        "            stack.append((node, True))  # come back to it after its inputs\n"
        "            stack.extend((x, False) for x in node.inputs)\n",
        "",
    ),
)
knock.wrong(
    "a list of ids",
    "the order is right, but you look for ids in a list, which takes longer the longer "
    "it gets: use a set",
    ("set(), [(root", "[], [(root"),
    ("elif node not in visited", "elif id(node) not in visited"),
    ("visited.add(node)", "visited.append(id(node))"),
)
