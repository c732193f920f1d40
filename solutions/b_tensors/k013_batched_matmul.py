"""k013: The gradients of a matrix product, and of stacks of them

** | 20 minutes | after k005

One matrix product: element (n, m) of the result is a row of a times a column of b.

    y[n, m] = sum over k of  a[n, k] * b[k, m]

So a[n, k] counts in the whole row n of y, each time with another element of row k of b.
Backwards it collects from there; and b[k, m] collects from column m of y likewise:

    ga[n, k] = sum over m of  g[n, m] * b[k, m]
    gb[k, m] = sum over n of  a[n, k] * g[n, m]

These are matrix products again. Which ones? The shapes nearly tell, but not when all
matrices are square.

NumPy multiplies whole stacks at once: the last two axes are the matrices, all axes
before them count the matrices in the stack, and those axes broadcast. One matrix times
a stack of 5 is used 5 times, and it collects 5 gradients:

    a       (5, n, k)            a    (5, 1, n, k)
    b          (k, m)            b    (   3, k, m)
    a @ b   (5, n, m)            a@b  (5, 3, n, m)

Shapes: a (..., n, k), b (..., k, m), g (..., n, m) as a @ b, ga as a, gb as b. No axis
has length 0. g, a and b are of one dtype, float64 or float32, and so are ga and gb.
Source: Giles, "Collected matrix derivative results for forward and reverse mode
algorithmic differentiation", 2008.
Checked: against central differences and a loop: one pair, stacks, all ways in which
stacks broadcast; float32; views.
"""

from solutions.a_autograd.k005_unbroadcast import unbroadcast


def matmul(a, b):
    """Given: the products of two stacks of matrices.

    Shapes: a (..., n, k), b (..., k, m), the result (..., n, m).
    """
    return a @ b


def matmul_backward(g, a, b):
    """The gradients (ga, gb) of matmul(a, b).

    ``unbroadcast(g, shape)`` of k005 is there to be used: it adds up copies.
    Shapes: g (..., n, m) as a @ b, a and ga (..., n, k), b and gb (..., k, m). The
    dtype is that of a and b.
    """
    # answer
    ga = g @ b.swapaxes(-1, -2)  # (..., n, m) @ (..., m, k)
    gb = a.swapaxes(-1, -2) @ g  # (..., k, n) @ (..., n, m)
    return unbroadcast(ga, a.shape), unbroadcast(gb, b.shape)
