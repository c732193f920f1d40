"""k002: The chain rule

* | 15 minutes | after k001

Steps are made into a chain by giving the output of one to the next. For example
y = sin(x * x) is two steps: first square, then sine. Of every step we know two things:
the function f itself, and df, which says how steep f is at any place.

Call the numbers between the steps x0 = x, x1, x2, ... A change of x is made larger or
smaller by every step it runs through, so the slopes multiply:

    forwards:    x0 --- f1 --> x1 --- f2 --> x2 --- f3 --> x3 = y

    backwards:   gx <-- * ---- . <--- * ---- . <--- * ---- g
                    df1(x0)        df2(x1)       df3(x2)

    gx = g * df3(x2) * df2(x1) * df1(x0)

Each slope is taken where its own step stood: df2 at x1, which is what went into f2, not
at x and not at what came out. That is why a network must remember what went through it
on the way forwards, and why training takes more memory than using. At the end of
a chain comes, as in k001, g from above; for y itself it would be 1.

Shapes: x, g and the numbers between are plain floats; steps is a list of pairs, tuples
(f, df). The list has any length: thousands too (so no recursion: Python stops at a
depth of 1,000), or none, and a chain of no steps leaves its input (and g) as it is.
Source: Baydin, Pearlmutter, Radul, Siskind, "Automatic differentiation in machine
learning: a survey", JMLR 18, 2018, section 3.
Checked: one step, two steps, random chains, a chain of 5,000 steps, the same step many
times, other numbers after it through the same list; that no f and no df is called more
than once for one gradient (the last f need not be called at all); that the list of
steps is not changed.
"""

import math


def square(x):
    """x times itself."""
    return x * x


def square_slope(x):
    """How steep the square is at x."""
    return 2 * x


SQUARE = (square, square_slope)
SIN = (math.sin, math.cos)
EXP = (math.exp, math.exp)
# To play with: compose(3.0, [SQUARE, SIN]) is sin(3 * 3).


def compose(x, steps):
    """Run x through all steps: y = ... f3(f2(f1(x))).

    steps: a list of pairs (f, df); the first is applied first.
    """
    # answer
    for f, _ in steps:
        x = f(x)
    return x


def compose_backward(g, x, steps):
    """The gradient gx of the chain's input, g times the slopes of all steps.

    steps: a list of pairs (f, df), maybe thousands. Each f and each df is called once
    at most. Nothing is kept for the next call: x may be another one then.
    """
    # answer
    inputs = []
    for f, _ in steps:
        inputs.append(x)  # what goes into a step is where its slope is taken
        x = f(x)
    for (_, df), z in zip(steps[::-1], inputs[::-1]):
        g = g * df(z)
    return g
