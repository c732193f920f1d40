"""k046: The Fastfood product S H G Pi H B

*** | 25 minutes | after k044, k045

A random matrix of d by d normal numbers costs d * d multiplications for every point.
Fastfood puts a product in its place that does nearly the same job and is never written
out:

    V = 1 / (sigma * sqrt(d)) * S H G Pi H B

S, G and B are diagonal, H is the Hadamard matrix of k042 (entries +1 and -1, not
normalised), and Pi is a permutation: (Pi x)[i] = x[p[i]]. A matrix product is read from
right to left, so B is the first that x meets.

    x --B--> u1 --H--> u2 --Pi--> u3 --G--> u4 --H--> u5 --S, constant--> y

    u1 = b * x                  u3[i] = u2[p[i]]            u5 = H u4
    u2 = H u1                   u4    = g * u3              y  = c * s * u5
    with the constant c = 1 / (sigma * sqrt(d))

All that is stored are three diagonals and a permutation, 4 d numbers, and with the
transform of k043 a point costs about 2 d log2(d) additions and 3 d multiplications. For
d = 1024 these are 20,480 and 3,072, where the full matrix takes 1,048,576
multiplications.

The way back goes through the same steps from right to left. Call dy the gradient that
comes from above, of the loss by y. A diagonal passes a gradient on times its numbers,
and its own gradient is what came from above times what went in, added up over all
points. H is symmetric (k044). The permutation sends each number back to the place it
came from.

You can test your gradients without small steps: if a diagonal is doubled, y is doubled.
So the sums of s * ds, of g * dg, of b * db and of y * dy are all the same number. That
is a test only: divide by no diagonal, for it may hold zeros.

Here s, g and b are any numbers, zeros among them: b need not be +1 and -1, and S, as it
comes in, holds all scaling but the constant c. Every length d is a power of two, from 1
on. fwht of k043 is there to be used: fwht(x) is H times every row of x.

No matrix of d by d is made, neither for large d nor for small d.

Shapes: x, y, dx and dy (N, d); s, g, b and their gradients (d,); p (d,), whole numbers
0 ... d - 1 in any order; sigma is a number above 0. x, dy, s, g and b are floats of one
dtype, and so is every result.
Source: Le, Sarlos and Smola, "Fastfood", ICML 2013; for the gradients Yang et al.,
"Deep fried convnets", ICCV 2015.
Checked: y against the matrix, written out; gradients against small steps and against
the gradient of that matrix; the memory used for d = 64 to 512, where a matrix of d by d
does not fit in; float32; views; other arguments in every order of calls; zeros and tiny
numbers; rows of 2,048 numbers, and 1,001 rows.
"""

import numpy as np

from solutions.e_fastfood.k043_fwht import fwht


def fastfood(x, s, g, p, b, sigma):
    """y = V x for every row of x, without a matrix of d by d, for any d; a new array.

    Shapes: x and y (N, d); s, g, p and b (d,).
    """
    raise NotImplementedError("k046: write fastfood")


def fastfood_backward(dy, x, s, g, p, b, sigma):
    """The gradients (dx, ds, dg, db) of `fastfood`; ``dy`` is the gradient by y.

    No matrix of d by d here, either, and nothing that an earlier call has left.

    Shapes: dy and dx (N, d); ds, dg and db (d,).
    """
    raise NotImplementedError("k046: write fastfood_backward")
