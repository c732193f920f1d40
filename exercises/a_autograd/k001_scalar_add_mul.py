"""k001: A sum and a product, forwards and backwards

* | 10 minutes | after nothing

A neural network is one long calculation that ends in a single number, the loss: how
wrong the network is. To make the loss smaller we ask of every number that took part:
if you grow a little, how much does the loss grow? This track builds a machine that
answers, out of tiny steps, and these are the two tiniest: a + b and a * b.

What is "the gradient that comes from above"? A step knows its inputs a, b and its
output y, but nothing of the long way from y to the loss. So the step that uses y
tells it one number g: how fast the loss grows when y grows. From g our step works out
the same kind of number for each of its inputs, and hands them down in turn.

    forwards:   a ---+
                     +---> y ---> ... ---> loss
                b ---+

    backwards:  ga <--+
                      +--- g <--- ... <--- 1
                gb <--+

    ga = g * (how fast y grows when only a grows)  =  g * dy/da
    gb = g * (how fast y grows when only b grows)  =  g * dy/db

Read g * dy/da like gears: if the loss moves 5 times as fast as y, and y moves 3 times
as fast as a, then the loss moves 15 times as fast as a. Which two slopes a sum has,
and which two a product has, is for you to find.

Shapes: none yet; a, b and g are Python floats, and what comes back are numbers too (a
NumPy number is as good as a float), two of them in a tuple.
Source: Rumelhart, Hinton, Williams, "Learning representations by back-propagating
errors", Nature 323, 1986.
Checked: with small whole numbers, then with negative, zero, equal, huge and tiny ones
(1e200, 1e-200). A gradient that fits into a float must be right, also where a * b does
not fit. Slopes are measured by moving one input to both sides, in exact fractions.
"""


def add(a, b):
    """The sum, y = a + b."""
    raise NotImplementedError("k001: write add")


def add_backward(g, a, b):
    """The gradients (ga, gb) of the inputs of y = a + b.

    ga = g * dy/da and gb = g * dy/db, where g comes from above.
    """
    raise NotImplementedError("k001: write add_backward")


def mul(a, b):
    """The product, y = a * b."""
    raise NotImplementedError("k001: write mul")


def mul_backward(g, a, b):
    """The gradients (ga, gb) of the inputs of y = a * b.

    ga = g * dy/da and gb = g * dy/db, where g comes from above.
    """
    raise NotImplementedError("k001: write mul_backward")
