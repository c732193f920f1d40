"""k009: Derivatives of derivatives

**** | 35 minutes | after k004, k008

A gradient is a function like any other. If the engine remembers how it was worked out,
it can be differentiated again. minidl does so when you ask:

    (g,) = minidl.grad(y, x, create_graph=True)     # dy/dx, with a history of its own
    (h,) = minidl.grad(g.sum(), x)                  # the derivative of that

    x ----> y = f(x)
    |       |
    |       v
    +----> g = f'(x)     without create_graph, g is a constant: this is the end
    |       |
    |       v
    +----> h = f''(x)

Three uses. First, the n-th derivative of a function that works on each element alone.

Second, Hessian times vector. The Hessian H of f: R^D -> R holds all second derivatives,
D * D of them: too many to store. But H v, which Newton's method and conjugate gradients
ask for, is itself the gradient of a single number, the gradient's component along v:

    H v = d/dx <df/dx, v>           (v is a constant)

Third, a gradient in the loss. The critic f of a Wasserstein GAN should rise with slope
1. So its training punishes every row of x where the length of df/dx is not 1:

    penalty = mean over n of  (|df(x)[n] / dx[n]| - 1)^2,    |.| over all axes but n

and training needs the derivative of *that* by the weights inside of f, so the penalty
must come back as a Tensor with its history.

Shapes: nth_derivative and hessian_vector take and give arrays, of any shape, that of x.
gradient_penalty takes an array (N, ...) and gives a Tensor of shape (). For x of shape
(N,) the length of a row's gradient is its size, |g|. All have the dtype of x, and v and
the weights inside of f have it, too. No row's gradient is 0: its length has no slope
there.
Source: Pearlmutter, "Fast exact multiplication by the Hessian", 1994; Gulrajani et al.,
"Improved training of Wasserstein GANs", 2017, equation 3.
Checked: against derivatives worked out by hand and against differences of them; f is
called once; the .grad of no Tensor is touched; float32 stays float32.
"""

import minidl


def nth_derivative(f, x, n):
    """The n-th derivative, n >= 0, of f at each element of the array x.

    f works on each element of a Tensor alone, as minidl.sin does; it is called once.
    None of those before the n-th is constant, that is, all depend on x.
    """
    raise NotImplementedError("k009: write nth_derivative")


def hessian_vector(f, x, v):
    """H v, an array like x, where H holds the second derivatives of f at the array x.

    f gives a Tensor of shape () of a Tensor like x, and is called once; it is not
    linear. The array v has the shape and the dtype of x.
    """
    raise NotImplementedError("k009: write hessian_vector")


def gradient_penalty(f, x):
    """The mean over n of (|df(x)[n]/dx[n]| - 1)^2, a Tensor to be differentiated.

    f gives scores (N,) of a Tensor like the array x (N, ...), each of its own row; it
    is called once. The penalty depends on the weights that f uses. dtype of x.
    """
    raise NotImplementedError("k009: write gradient_penalty")
