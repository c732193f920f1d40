"""k048: Random features approximate the RBF kernel

*** | 25 minutes | after k047

A kernel says how alike two points are. The RBF kernel is

    k(x, y) = exp(-|x - y|^2 / (2 sigma^2))

A method that uses it compares all points with all points, which is slow for many of
them. Random features make short work of it: each point gets a list of numbers, and the
product of two lists is about k.

Why that works: k is the mean of a cosine, over random normal rows w of mean 0, whose
numbers are independent and have the variance 1 / sigma^2.

    k(x, y) = mean over w of  cos(w . x - w . y)

Take n such rows, W, and let z = W x, n numbers for each point. There are two forms.

    paired    (cos z_1, ..., cos z_n, sin z_1, ..., sin z_n) / sqrt(n)      2 n numbers
              for  cos(s - t) = cos s cos t + sin s sin t

    phased    sqrt(2 / n) * (cos(z_1 + b_1), ..., cos(z_n + b_n))             n numbers
              with random phases b, uniform from 0 to 2 pi:
              2 cos(s + b) cos(t + b) = cos(s - t) + cos(s + t + 2 b), and the last
              term is 0 on average over b

Both are right on average for any n. A single draw is off, and its standard deviation
falls as 1 / sqrt(n): four times the rows for half the error. How large it is follows
from the cosines above. Write each estimate as a mean over n rows, and take the variance
of one of its terms. You need the mean of cos(2 w . (x - y)), which is the kernel of
points twice as far from each other: that is k^4.

    n       64      256     1024        paired, Gaussian W, d = 64: root mean square
    error   .084    .042    .021        of the distance from the exact kernel

Fastfood comes in at z: the rows of V (k046, k047) take the place of W. Each of them
alone is right on average as well, though rows of one block depend on each other. In the
same measurement (paired as well) its errors are .108, .051 and .025.

Shapes: x (N, d), y (M, d), rbf(x, y, sigma) (N, M); w (n, d), b (n,); z (N, n), one row
for each point; paired (N, 2 n), phased (N, n). sigma is a number above 0. All floats
that come in have one dtype, which results keep; what is drawn is float64.
Source: Rahimi and Recht, "Random features for large-scale kernel machines", NIPS 2007;
Le, Sarlos and Smola, "Fastfood", ICML 2013.
Checked: the kernel, also far from the origin, and both forms against loops; errors
against integrals; what is drawn by its statistics, of one large draw and of many small
ones, all within six standard errors: a right answer fails by chance in fewer than one
of a million runs.
"""

import numpy as np


def rbf(x, y, sigma):
    """The kernel of every row of x with every row of y; a new array.

    Shapes: x (N, d), y (M, d), result (N, M).
    """
    raise NotImplementedError("k048: write rbf")


def draw(n, d, sigma, rng):
    """(w, b): random rows and phases, drawn anew from ``rng``, a NumPy Generator.

    All n * d numbers in w and all n phases are independent of each other: the numbers
    in a row, the rows, the phases, and the phases of the rows. What one call draws is
    independent of what any other draws.

    Shapes: w (n, d), b (n,).
    """
    raise NotImplementedError("k048: write draw")


def paired(z):
    """All cosines, then all sines, of every row of z, scaled; a new array.

    Shapes: z (N, n), result (N, 2 n).
    """
    raise NotImplementedError("k048: write paired")


def phased(z, b):
    """The cosines of every row of z with phases b, scaled; a new array.

    Shapes: z (N, n), b (n,), result (N, n).
    """
    raise NotImplementedError("k048: write phased")


def errors(k, n):
    """(paired, phased): the standard deviations of the two estimates of a kernel k.

    Each estimate is the product of the features of two points, from n rows; k is the
    value of their kernel, from 0 to 1.

    Shapes: k (M,), both results (M,).
    """
    raise NotImplementedError("k048: write errors")
