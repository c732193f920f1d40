"""k043: The fast Walsh-Hadamard transform, in place

*** | 25 minutes | after k011, k042

Hx with the matrix H of k042 takes n * n multiplications. All of them are by 1 or -1,
and the recursion of H says how to do with far less. Cut x into halves, a and b:

    [H   H] [a]     [H (a + b)]
    [H  -H] [b]  =  [H (a - b)]

So one sum and one difference of halves are needed, and then two transforms of half
the size. These fall apart in the same way, down to size 1, where nothing is left to do.
The steps may be taken in any order; here the smallest pairs come first:

    x     h = 1     h = 2
    a     a + b     (a + b) + (c + d)      A pair p, q becomes p + q, p - q.
    b     a - b     (a - b) + (c - d)      Its two places are h apart, and no place
    c     c + d     (a + b) - (c + d)      belongs to two pairs. From step to step
    d     c - d     (a - b) - (c - d)      h doubles.

No step needs the numbers before it any more, so the result can take the place of x.
Take care: a pair needs both of its old numbers, for the sum and for the difference.

The transform runs along the last axis. It is not normalised: nothing is divided, and
twice the transform is n * x. The order is natural, that of k042: result i is row i of H
times x. The length n is a power of two, and 1 is one: then the result is x.

The rules. No dense product is made, in any form: no @, and none of matmul, dot, inner,
vdot, vecdot, matvec, vecmat, tensordot, einsum, linalg. The factors of H are matrices,
too. So all arrays of one call together have room for 48 numbers for each number of x,
and no more. Only NumPy and math are imported. Python may loop over the steps h, but not
over pairs or rows: a step is done for all of them at once. The lines of your file that
run are counted, and 128 numbers take few more than 64. What hides a loop is not
allowed: map, vectorize, frompyfunc, apply_along_axis.

Shapes: x (..., n) with any number of axes in front.
Source: Fino and Algazi, "Unified matrix treatment of the fast Walsh-Hadamard
transform", 1976; Le, Sarlos and Smola, "Fastfood", ICML 2013.
Checked: against the dense product, up to 8,192 numbers; whole numbers, which stay
exact; other dtypes and views; what is changed and what is not; the rules above; other
lengths; in the end, that 2,048 numbers take less time than the dense product.
"""

import numpy as np


def fwht_inplace(x):
    """Put the transform of x in the place of x. What comes back does not matter.

    The result lies in the memory of x itself; arrays for the time between are allowed.
    x may be a view of something larger: reversed, thinned, with axes exchanged. What is
    not part of x does not change. x is of floats, or of whole numbers with a sign; so
    large numbers of int64 stay exact, too.

    Shapes: x (..., n).

    Raises: ValueError if n is no power of two (0 is none); x is then as it was.
    """
    raise NotImplementedError("k043: write fwht_inplace")


def fwht(x):
    """The transform of x as a new array, dtype kept; x does not change.

    x is of any floats, or of whole numbers with a sign. Every call makes a new array.

    Shapes: x and result (..., n).

    Raises: ValueError if n is no power of two (0 is none).
    """
    raise NotImplementedError("k043: write fwht")


def additions(n):
    """How many additions and subtractions the transform of one x (n,) takes.

    A Python int. A subtraction counts like an addition, and nothing else counts.
    """
    raise NotImplementedError("k043: write additions")
