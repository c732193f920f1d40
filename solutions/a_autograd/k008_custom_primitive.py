"""k008: A primitive of your own

** | 20 minutes | after k002, k005

minidl knows only a few dozen *primitives*; everything else is made of them. You are
going to add two. A primitive is

    forward(x, ...)       on NumPy arrays, as fast as you like
    vjp(g, y, x, ...)     on Tensors, one for each argument: what the gradient g from
                          above becomes for that argument. y is the output of forward.

"vjp" is short for vector-Jacobian product: g times the derivative of y by x.

Why Tensors? Because a vjp that is itself made of minidl's operations (+ - * / ** abs,
minidl.sqrt, minidl.where, ...) is recorded when it runs, and so can be differentiated
again. With y, x and g as Tensors inside of a graph, second derivatives come for free:

    x --forward--> y          first derivative: run vjp
    g, y, x --vjp--> gx       second derivative: run the vjps of what vjp did

Reach into a Tensor for its array (.data), and what you compute with it is a constant to
minidl: the first derivative is right, the second is not.

    softsign(x) = x / (1 + |x|)        d softsign / dx = 1 / (1 + |x|)^2
    hypot(a, b) = sqrt(a^2 + b^2)      d hypot / da = a / hypot,   d hypot / db = ...

softsign is a cheap relative of tanh; hypot is the length of a rectangle's diagonal. For
hypot, a and b may have different shapes that NumPy broadcasts; the engine will do the
sum of k005 for you, because `register` says broadcasts=True. Called by itself, a vjp of
hypot gives the whole broadcast shape, that of g. Neither of these is asked: a or b so
large that a^2 overflows (np.hypot would survive it; you may use it), and the gradient
where a = b = 0, a corner that has none.

Shapes: any. softsign and its gradient have the shape of x; hypot(a, b), g and y have
the broadcast shape of a and b. float32 stays float32.
Source: Maclaurin, "Modeling, inference and optimization with composable differentiable
procedures", 2016, chapter 4 (vjps written in differentiable operations).
Checked: values against loops, 0 and tiny numbers among them; each vjp by itself; first
and second derivatives against differences; float32 and odd memory layouts, by minidl's
own test of a primitive.
"""

import numpy as np

from minidl import primitive
from minidl.samples import S


def softsign(x):
    """x / (1 + |x|) of an array, element by element; between -1 and 1."""
    # answer
    return x / (1 + np.abs(x))


def softsign_vjp(g, y, x):
    """The gradient of softsign by x, a Tensor; g, y = softsign(x) and x are Tensors."""
    # answer
    return g / (1 + abs(x)) ** 2


def hypot(a, b):
    """sqrt(a^2 + b^2) of two arrays that broadcast, element by element."""
    # answer
    return np.sqrt(a * a + b * b)


def hypot_vjp_a(g, y, a, b):
    """The gradient of hypot by a, before the sum over what was broadcast; Tensors."""
    # answer
    return g * (a / y)


def hypot_vjp_b(g, y, a, b):
    """The gradient of hypot by b, before the sum over what was broadcast; Tensors."""
    # answer
    return g * (b / y)


def register():
    """Make both functions known to minidl: two primitives, to be called with Tensors.

    Every primitive brings samples: calls on which minidl's own tests would run it. A
    name can be registered once in a program.
    """
    one = primitive(samples=lambda r: [S(r(3, 4)), S(r())])(softsign)
    one.defvjp(softsign_vjp)
    pair = primitive(samples=lambda r: [S(r(3, 1), r(4))], broadcasts=True)
    two = pair(hypot)
    two.defvjp(hypot_vjp_a, hypot_vjp_b)
    return one, two
