"""k044: Backward through the transform

** | 20 minutes | after k024, k042, k043

The fast transform of k043 is a chain of sums and differences. One could go back through
all its steps. It is easier to remember what they are together: a product with a matrix.

    forward     y  = H x
    backward    gx = H^T g         g is the gradient of y

Ask k042 what the transpose of H is, and what H H is. Then backward and inverse are one
line each, and no matrix is needed for either.

The transform makes numbers larger: H H = n I, so the length of a vector grows by the
root of n. The normalised (orthonormal) transform keeps all lengths and angles:

    y = H x / sqrt(n)

Transforms often come in pairs with something simple between them. So it is with
filters, and with Fastfood, the layer of this track. With a diagonal d between two,

    x --H--> u --times d--> v --H--> y          y = H (d * (H x))
    gx <-H-- gu <-times d-- gv <-H-- g

all rows of x share one d. Its gradient is the sum of what all rows give.

The function `fwht` of k043 is there to be used.

Shapes: x, y, g and gx (..., n); in `sandwich` x, y, g and gx (N, n), d and gd (n,).
n is a power of two. All arrays in one call are floats of one dtype.
Source: Le, Sarlos and Smola, "Fastfood", ICML 2013; Yang et al., "Deep fried convnets",
ICCV 2015.
Checked: against the dense matrix; gradients against small steps; each backward is the
transpose of its forward; the inverse undoes the transform; lengths are kept by the
orthonormal transform; float32; views; results are new arrays.
"""

from solutions.e_fastfood.k043_fwht import fwht


def fwht_backward(g):
    """The gradient gx of x, where g is that of y = fwht(x). A new array, dtype kept.

    Shapes: g and result (..., n).
    """
    raise NotImplementedError("k044: write fwht_backward")


def inverse(y):
    """The x whose transform fwht(x) is y. A new array, dtype kept.

    Shapes: y and result (..., n).
    """
    raise NotImplementedError("k044: write inverse")


def orthonormal(x):
    """The normalised transform H x / sqrt(n). A new array, dtype kept.

    Shapes: x and result (..., n).
    """
    raise NotImplementedError("k044: write orthonormal")


def orthonormal_backward(g):
    """The gradient gx of x, where g is that of y = orthonormal(x).

    A new array, dtype kept.

    Shapes: g and result (..., n).
    """
    raise NotImplementedError("k044: write orthonormal_backward")


def sandwich(x, d):
    """y = fwht(d * fwht(x)) for every row of x. A new array, dtype kept.

    Shapes: x and result (N, n), d (n,).
    """
    raise NotImplementedError("k044: write sandwich")


def sandwich_backward(g, x, d):
    """(gx, gd), where g is the gradient of y = sandwich(x, d). New arrays, dtype kept.

    Shapes: g, x and gx (N, n), d and gd (n,).
    """
    raise NotImplementedError("k044: write sandwich_backward")
