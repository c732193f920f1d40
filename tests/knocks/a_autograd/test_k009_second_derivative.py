"""Grader of k009: derivatives of derivatives."""

import math

import numpy as np

import minidl
from minidl.knocks import Grader, checks
from minidl.knocks.grader import Mistake

knock = Grader(
    hints=[
        "In each of the three, which gradient is to be differentiated again? That one, "
        "and only that one, needs create_graph=True.",
        "minidl.grad(number, x) differentiates a single number. So add up before: "
        "y.sum() where each y depends on its own x, (g * v).sum() for the gradient "
        "along v, f(x).sum() where each score depends on its own row.",
        "x = minidl.tensor(x, requires_grad=True); (g,) = minidl.grad(f(x), x, "
        "create_graph=True); (hv,) = minidl.grad((g * v).sum(), x). For the penalty, "
        "length = minidl.sqrt((g * g).reshape(len(x), -1).sum(1)).",
    ],
)


class Curve:
    """A function of each element, with its n-th derivative; counts its calls."""

    def __init__(self, name, f, derivative):
        self.name, self.f, self.derivative, self.calls = name, f, derivative, 0

    def __call__(self, x):
        self.calls += 1
        return self.f(x)

    def __repr__(self):
        return self.name


def curves(k):
    """Three curves; ``k`` makes them different each time."""

    def sine(x, n):
        return k**n * math.sin(k * x + n * math.pi / 2)

    def power(x, n):
        return math.perm(5, n) * x ** (5 - n)

    return [
        Curve(f"sin({k} x)", lambda x: minidl.sin(x * k), sine),
        Curve("x ** 5", lambda x: x * x * x * x * x, power),
        Curve("exp(-2 x)", lambda x: minidl.exp(x * -2.0),
              lambda x, n: (-2) ** n * math.exp(-2 * x)),
    ]


def nth(f, x, n):
    y = np.zeros(x.shape, x.dtype)
    for at in np.ndindex(*x.shape):
        y[at] = f.derivative(float(x[at]), n)
    return y


class Field:
    """A function to one number, with its Hessian (flat); counts its calls."""

    def __init__(self, r, kind, d):
        self.kind, self.calls = kind, 0
        self.a = r(d, d)
        self.weight = minidl.Tensor(np.array(self.a), True)

    def __repr__(self):
        return {"quadratic": "x @ a @ x", "lse": "logsumexp(x)",
                "network": "tanh(a @ x).sum()", "cubic": "(x ** 3).sum()"}[self.kind]

    def __call__(self, x):
        self.calls += 1
        x = x.reshape(-1)
        a = self.weight if x.dtype == "float64" else self.weight.to("float32")
        if self.kind == "quadratic":
            return ((a @ x) * x).sum()
        if self.kind == "lse":
            return minidl.logsumexp(x, 0)
        if self.kind == "cubic":
            return (x * x * x).sum()
        return minidl.tanh(a @ x).sum()

    def hessian(self, x):
        d = x.size
        if self.kind == "quadratic":
            return self.a + self.a.T
        if self.kind == "cubic":
            return np.diag(6 * x)
        h = np.zeros((d, d))
        p = np.exp(x) / np.exp(x).sum()
        t = np.tanh(self.a @ x)
        for i, j in np.ndindex(d, d):
            if self.kind == "lse":
                h[i, j] = (i == j) * p[i] - p[i] * p[j]
            else:
                h[i, j] = sum(
                    -2 * t[k] * (1 - t[k] ** 2) * self.a[k, i] * self.a[k, j]
                    for k in range(d)
                )
        return h


def product(f, x, v):
    h = f.hessian(x.astype(float).ravel())
    return (h @ v.astype(float).ravel()).reshape(x.shape).astype(x.dtype)


class Critic:
    """Scores of rows by a small network of weights ``w`` (D, E) and ``u`` (E,)."""

    def __init__(self, w, u):
        self.w, self.u, self.calls = minidl.Tensor(w, True), minidl.Tensor(u, True), 0

    def __repr__(self):
        return "tanh(x @ w) @ u"

    def __call__(self, x):
        self.calls += 1
        return minidl.tanh(x.reshape(x.shape[0], -1) @ self.w) @ self.u


def critic_penalty(w, u, x):
    """The penalty of `Critic`, row by row, from the gradient worked out by hand."""
    total = 0.0
    for row in x.reshape(len(x), -1):
        t = np.tanh(row @ w)
        gradient = [sum(w[d, e] * u[e] * (1 - t[e] ** 2) for e in range(len(u)))
                    for d in range(len(row))]
        total += (math.sqrt(sum(s * s for s in gradient)) - 1) ** 2
    return np.asarray(total / len(x))


def once(f, name, tensors=()):
    """f was called once, and nobody's .grad was written."""
    if f.calls != 1:
        text = f"{name} must call f once; it was called {f.calls} times, f = {f!r}"
        raise Mistake(text, np.asarray(float(f.calls)))
    for t in tensors:
        text = "writes into .grad of the weights inside of f: minidl.grad does not"
        checks.true(t.grad is None, f"{name} {text}, backward does", "grad written")


@knock.check("nth_derivative of sin, x ** 5 and exp", points=2)
def nth_value(mine, r):
    sine = curves(1)[0]
    checks.value(mine.nth_derivative, nth, sine, np.array([0.0, 1.0, 2.0]), 2)
    for n in range(5):
        for f in curves(r.choice([2.0, 3.0])):
            shape = [(3,), (1, 2), (), (2, 1, 2), (1,)][(n + r.size(0, 4)) % 5]
            x = np.asarray(r(*shape) * 0.5)
            checks.value(mine.nth_derivative, nth, f, x, n, again=n % 2 == 0)
            f.calls = 0
            mine.nth_derivative(f, x, n)
            once(f, "nth_derivative")
    w = minidl.Tensor(np.asarray(2.0), True)
    f = Curve("sin(w x)", lambda x: minidl.sin(x * w), curves(2.0)[0].derivative)
    checks.value(mine.nth_derivative, nth, f, r(2), 2)
    f.calls = 0
    mine.nth_derivative(f, r(2), 2)
    once(f, "nth_derivative", [w])
    x = r(4, 2).astype("float32").T * np.float32(0.5)
    checks.value(mine.nth_derivative, nth, curves(2.0)[0], x, 3)


@knock.check("hessian_vector: H v, for an H worked out by hand", points=2)
def hessian(mine, r):
    f = Field(r, "cubic", 2)
    x, v = np.array([1.0, -2.0]), np.array([3.0, 0.5])
    checks.value(mine.hessian_vector, product, f, x, v)
    for kind in ("quadratic", "lse", "network", "cubic"):
        shape = r.choice([(r.size(2, 4),), (2, r.size(1, 2)), (1, 3)])
        f = Field(r, kind, int(np.prod(shape)))
        x, v = r(*shape), r(*shape)
        checks.value(mine.hessian_vector, product, f, x, v)
        f.calls = 0
        mine.hessian_vector(f, x.copy(), v.copy())
        once(f, "hessian_vector", [f.weight])
    f = Field(r, "network", 6)
    x, v = (r(3, 2).astype("float32").T for _ in range(2))
    checks.value(mine.hessian_vector, product, f, x, v)


@knock.check("gradient_penalty: its value", points=2)
def penalty_value(mine, r):
    def slope(f, x):
        rows = [math.sqrt(sum(float(s) ** 2 for s in f.weight)) for _ in x]
        return np.asarray(sum((length - 1) ** 2 for length in rows) / len(x))

    for weight in ([0.3, 0.4], [3.0, -4.0]):
        f = Curve("x @ w", None, None)
        f.weight, f.f = weight, lambda x: x @ minidl.Tensor(np.array(weight), True)
        checks.value(mine.gradient_penalty, slope, f, r(r.size(2, 3), 2))

    def oracle(f, x):
        return critic_penalty(f.w.data, f.u.data, x)

    for shape in ((2, 3), (1, 2), (3, 2, 2), (4, 1), (2, 1, 3)):
        d, e = int(np.prod(shape[1:])), r.size(1, 3)
        f, x = Critic(r(d, e), 2 * r(e)), np.asarray(r(*shape))
        checks.value(mine.gradient_penalty, oracle, f, x)
        f.calls = 0
        y = mine.gradient_penalty(f, x.copy())
        once(f, "gradient_penalty", [f.w, f.u])
        _a_tensor(y)
    f = Critic(r(3, 2).astype("float32"), r(2).astype("float32"))
    for x in (r(2, 3).astype("float32"), r(3, 2).astype("float32").T):
        checks.value(mine.gradient_penalty, _single(oracle), f, x)
        y = mine.gradient_penalty(f, x.copy())
        checks.true(
            y.dtype == "float32",
            f"gradient_penalty of float32 x and weights must be float32; got {y.dtype}",
            f"dtype of the penalty {y.dtype}",
        )
    f = Critic(r(1, 2), 2 * r(2))
    checks.value(mine.gradient_penalty, oracle, f, r(r.size(2, 4)))


def _single(oracle):
    def function(f, x):
        return oracle(f, x).astype("float32")

    return function


def _a_tensor(y):
    kind = type(y).__name__
    checks.true(
        isinstance(y, minidl.Tensor),
        f"gradient_penalty must give a Tensor, to be differentiated; got {kind}",
        kind,
    )


@knock.check("gradient_penalty: its derivative by the weights inside of f", points=2)
def penalty_gradient(mine, r):
    for shape in ((2, 2), (1, 3), (3, 2, 1)):
        x, d, e = np.asarray(r(*shape)), int(np.prod(shape[1:])), r.size(2, 3)

        def gradient_of_the_penalty(g, w, u):
            f = Critic(w, u)
            y = mine.gradient_penalty(f, x.copy())
            _a_tensor(y)
            checks.true(
                y.requires_grad,
                "gradient_penalty has no history: training could not learn from it. "
                "The gradient by x must be made with create_graph=True, and stay a "
                "Tensor",
                y.data,
            )
            seed = minidl.Tensor(np.asarray(g).reshape(y.shape))
            found = minidl.grad(y, [f.w, f.u], seed, allow_unused=True)
            return tuple(np.zeros_like(a) if t is None else t.data
                         for t, a in zip(found, (w, u)))

        def penalty(w, u):
            return critic_penalty(w, u, x)

        w, u = r(d, e), 1 + r.positive(e)
        checks.gradient(gradient_of_the_penalty, penalty, w, u, r=r)


knock.wrong(
    "one derivative too many",
    "you differentiate n + 1 times",
    ("range(n)", "range(n + 1)"),
)
knock.wrong(
    "nth: no graph",
    "the second derivative needs the history of the first: create_graph=True in every "
    "turn",
    ("minidl.grad(y.sum(), x, create_graph=True)", "minidl.grad(y.sum(), x)"),
)
knock.wrong(
    "nth: mean",
    "each derivative is divided by the number of elements: add up with sum, not mean",
    ("minidl.grad(y.sum(), x", "minidl.grad(y.mean(), x"),
)
knock.wrong(
    "nth: x multiplied in",
    "you multiply by x in every turn: that is x f'(x), not f'(x)",
    ("    return y.detach()", "        y = y * x\n    return y.detach()"),
)
knock.wrong(
    "v ignored",
    "you add up the whole gradient: that gives H times ones, v does not occur",
    ("(g * v).sum()", "g.sum()"),
)
knock.wrong(
    "v outside",
    "v must go in before the second derivative: v * (H ones) is not H v",
    ("    return hv.numpy()", "    return v * hv.numpy()"),
    ("(g * v).sum()", "g.sum()"),
)
knock.wrong(
    "g in place of v",
    "that is the derivative of g * g, 2 H g: multiply by v",
    ("(g * v).sum()", "(g * g).sum()"),
)
knock.wrong(
    "hessian: no graph",
    "g is a constant where you differentiate it: make it with create_graph=True, and "
    "do not detach it",
    ("minidl.grad(f(x), x, create_graph=True)", "minidl.grad(f(x), x)"),
)
knock.wrong(
    "the gradient still in .grad",
    "backward adds to .grad: the first gradient is still in it, so you give g + H v; "
    "use minidl.grad",
    (
        "(g,) = minidl.grad(f(x), x, create_graph=True)\n    (hv,)",
        "f(x).backward(create_graph=True)\n    g = x.grad\n    (hv,)",
    ),
    ("    return hv.numpy()", "    return hv.numpy() + g.detach().numpy()"),
)
knock.wrong(
    "weights' .grad written",
    "the result is right, but backward also writes into .grad of all weights inside of "
    "f, where the next training step will find it; use minidl.grad",
    (
        "(g,) = minidl.grad(f(x), x, create_graph=True)\n    (hv,)",
        "f(x).backward(create_graph=True)\n    g = x.grad\n    (hv,)",
    ),
)
knock.wrong(
    "diagonal only",
    "you take the diagonal of H only: the mixed second derivatives are missing",
    (
        "(hv,) = minidl.grad((g * v).sum(), x)\n    return hv.numpy()",
        "flat = g.reshape(-1)\n"
        "    rows = [minidl.grad(flat[i], x, retain_graph=True)[0].numpy().flat[i]\n"
        "            for i in range(len(flat))]\n"
        "    return (v.reshape(-1) * rows).reshape(v.shape).astype(v.dtype)",
    ),
)
knock.wrong(
    "penalty: root forgotten",
    "you take the square of the length: the penalty compares the length with 1, so the "
    "root is needed",
    ("minidl.sqrt((g * g).reshape(len(x), -1).sum(1))",
     "(g * g).reshape(len(x), -1).sum(1)"),
)
knock.wrong(
    "penalty: nothing subtracted",
    "the slope is to be 1, not 0: subtract 1 from the length before you square it",
    ("((length - 1) ** 2).mean()", "(length ** 2).mean()"),
)
knock.wrong(
    "penalty: float64",
    "the penalty of float32 x and weights is float64: make no float64 on the way",
    ("((length - 1) ** 2).mean()", '((length - 1) ** 2).to("float64").mean()'),
)
knock.wrong(
    "penalty: sum over the rows",
    "the penalties of the rows are added up; take their mean",
    ("((length - 1) ** 2).mean()", "((length - 1) ** 2).sum()"),
)
knock.wrong(
    "penalty: mean of the lengths first",
    "you take the mean of the lengths before you compare with 1: long and short rows "
    "make up for each other",
    ("((length - 1) ** 2).mean()", "(length.mean() - 1) ** 2"),
)
knock.wrong(
    "penalty: one length for all",
    "you take one length over the whole batch: each row has its own",
    ("(g * g).reshape(len(x), -1).sum(1)", "(g * g).sum()"),
)
knock.wrong(
    "penalty: mean within a row",
    "the length of a row is the root of the sum of squares, not of their mean",
    ("(g * g).reshape(len(x), -1).sum(1)", "(g * g).reshape(len(x), -1).mean(1)"),
)
knock.wrong(
    "penalty: one side only",
    "slopes below 1 are punished too",
    ("(length - 1) ** 2", "minidl.relu(length - 1) ** 2"),
)
knock.wrong(
    "penalty: no graph",
    "the value is right, but it is a constant: without create_graph=True the weights "
    "inside of f learn nothing from it",
    ("minidl.grad(f(x).sum(), x, create_graph=True)", "minidl.grad(f(x).sum(), x)"),
)
knock.wrong(
    "penalty: half detached",
    "the length is cut off in one place: the derivative of (length - 1)^2 is "
    "2 (length - 1) times that of the length, and you lose the factor 2",
    ("((length - 1) ** 2).mean()", "((length - 1) * (length.detach() - 1)).mean()"),
)
