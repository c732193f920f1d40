"""k045: Random signs, a permutation, normal numbers and row lengths

** | 25 minutes | after k043

Fastfood (k046) makes a random matrix out of parts that are random themselves. H does
the mixing and is always the same. Everything random is in three diagonals and a
permutation, d numbers each:

    B    signs          b[i] is 1 or -1, each with probability 1/2
    Pi   permutation    p is 0 ... d - 1 in an order, each order equally likely
    G    normal         g[i] is standard normal: mean 0, variance 1
    S    row lengths    s[i] = l[i] / |g|

What is S for? All rows of H G Pi H B have the same length, sqrt(d) * |g|, where |g| is
the root of the sum of all g[i]^2. The rows of a matrix of normal numbers differ in
length. S makes up for that. It takes the common length out by |g|, and puts in lengths
l[i] as those rows have them:

    l[i] = the length of a vector of d standard normal numbers

Each l[i] belongs to a vector of its own, drawn apart from all others and from g; the
vector itself is not needed. Its squared length follows the chi-square distribution with
d degrees of freedom. Take care not to forget the root.

All numbers of B, Pi and G are independent of each other, too, also where one is drawn
right after another.

The parts without H are S G Pi B. A product is read from right to left, so x meets B
first. A permutation is kept as a list of where the numbers come from:

    y = S G Pi B x          (Pi u)[i] = u[p[i]]

    u = B x:  u0 u1 u2      p = [2 0 1]      Pi u:  u2 u0 u1

Backward needs the transpose of all that. The transpose of a product is the product of
the transposes, in the opposite order. A diagonal is its own transpose. And Pi? Its
transpose sends every number back to where it came from. For p = [2 0 1] that differs
from Pi. For [1 0 2] it does not, so test with a p like the first.

Everything random is drawn from ``rng``, a NumPy generator as np.random.default_rng(7)
makes one. So the same seed gives the same numbers again, and the next call with the
same generator gives others.

Shapes: x and y (N, d); s, g and b (d,), p (d,), whole numbers. d is any number from 1
on, not only a power of two.
Source: Le, Sarlos and Smola, "Fastfood: approximating kernel expansions in loglinear
time", ICML 2013.
Checked: means, shares and independence over many draws, with bounds that chance does
not reach; the same numbers for the same seed; S for a g that is scaled; the products
against loops, and that they are each other's transpose; other dtypes; views.
"""

import numpy as np


def random_signs(d, rng):
    """The diagonal b of B: d random signs 1.0 and -1.0, float64.

    Shapes: the result is (d,).
    """
    raise NotImplementedError("k045: write random_signs")


def random_permutation(d, rng):
    """The list p of Pi: 0 ... d - 1 in random order, of an integer dtype.

    Shapes: the result is (d,).
    """
    raise NotImplementedError("k045: write random_permutation")


def random_gaussian(d, rng):
    """The diagonal g of G: d standard normal numbers, float64.

    Shapes: the result is (d,).
    """
    raise NotImplementedError("k045: write random_gaussian")


def random_lengths(g, rng):
    """The diagonal s of S for a given g: s[i] = l[i] / |g|, float64 for any g.

    g may be any numbers that are not all 0, float32 as well; it does not change.

    Shapes: g and result (d,).
    """
    raise NotImplementedError("k045: write random_lengths")


def apply(x, s, g, p, b):
    """y = S G Pi B x for every row of x. A new array with the dtype of x.

    x, s, g and b are any floats of one dtype.

    Shapes: x and result (N, d), the others (d,).
    """
    raise NotImplementedError("k045: write apply")


def apply_transposed(y, s, g, p, b):
    """The transpose of S G Pi B, times every row of y. A new array, dtype of y.

    y, s, g and b are any floats of one dtype.

    Shapes: y and result (N, d), the others (d,).
    """
    raise NotImplementedError("k045: write apply_transposed")
