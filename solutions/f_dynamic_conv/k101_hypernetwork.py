"""k101: A hypernetwork writes the kernels

*** | 30 minutes | after k013, k024

A network has many kernels, and they have much in common. A hypernetwork makes all of
them: every kernel has an embedding z of a few numbers, and two linear layers, shared
by all kernels, make the kernel of it. For each input channel i there is a slice:

    a_i = W_i z + B_i                i = 0 ... I - 1
    K_i = W_out a_i + B_out          all outputs and taps of channel i

    z --W_0, B_0--> a_0 --\\                 /--> K[:, 0]
    z --W_1, B_1--> a_1 ---- W_out, B_out ----> K[:, 1]        K (O, I, f, f)
    z --W_2, B_2--> a_2 --/                 \\--> K[:, 2]

Every channel has a first layer of its own, and all share the second. Written out, with
tile t for the t-th embedding (the paper has W_out as a matrix, here it is an array):

    a[t, i, j]       = sum over m of w[i, j, m] * z[t, m]  +  b[i, j]
    k[t, o, i, p, q] = sum over j of w_out[o, p, q, j] * a[t, i, j]  +  b_out[o, p, q]

Nothing but sums and products with weights happens to z, so the kernel is an affine map
of it: K = M z + C. However many kernels there are, they lie in the N_z dimensions of M
around C. That is what a hypernetwork gives away for its few parameters.

A kernel with more channels is laid out in tiles, an embedding for each, row by row:

    k[0] k[1] k[2]      rows = 2, columns = 3: the tiles of a row stand side by side
    k[3] k[4] k[5]      along the input channels, rows along the output channels

The weights of a usual layer have variance 1 / (numbers it reads). For W_out that makes
kernels far too large: He's variance for a kernel is 2 / (I f f). If z is standard
normal, W has variance 1 / N_z, and the offsets are 0, then each a has variance 1, and
W_out must have variance 2 / (I f f d).

The way back is that of two linear layers. What several slices or tiles share adds up
the gradients of all of them.

Shapes: z and gz (T, N_z), w and gw (I, d, N_z), b and gb (I, d), a (T, I, d), w_out and
gw_out (O, f, f, d), b_out and gb_out (O, f, f), k and g (T, O, I, f, f). All sizes are
1 or more. All arrays in one call are floats of one dtype, and so are the results. Every
result is a new array that shares no memory with what is given.
Source: Ha, Dai and Le, "HyperNetworks", ICLR 2017, section 3.1.
Checked: all steps against loops; the gradients against small steps and loops; the
affine map, column by column; tiles one by one; counts, that of the paper's network for
digits among them; the spread of first weights, with bounds that chance does not reach;
float32; views.
"""

import numpy as np


def inner(z, w, b):
    """The vectors a (T, I, d) of all tiles and channels.

    Shapes: z (T, N_z), w (I, d, N_z), b (I, d).
    """
    # answer
    return np.einsum("tm,ijm->tij", z, w) + b


def generate(z, w, b, w_out, b_out):
    """The kernels k (T, O, I, f, f) of all embeddings.

    Shapes: z (T, N_z), w (I, d, N_z), b (I, d), w_out (O, f, f, d), b_out (O, f, f).
    """
    # answer
    a = inner(z, w, b)
    return np.einsum("opqj,tij->toipq", w_out, a) + b_out[:, None]


def generate_backward(g, z, w, b, w_out, b_out):
    """The gradients (gz, gw, gb, gw_out, gb_out); ``g`` is the gradient by k.

    Shapes: g (T, O, I, f, f); each gradient has the shape of its array.
    """
    # answer
    ga = np.einsum("toipq,opqj->tij", g, w_out)
    gw_out = np.einsum("toipq,tij->opqj", g, inner(z, w, b))
    gz = np.einsum("tij,ijm->tm", ga, w)
    gw = np.einsum("tij,tm->ijm", ga, z)
    return gz, gw, ga.sum(axis=0), gw_out, g.sum(axis=(0, 2))


def affine_map(w, b, w_out, b_out):
    """(M, C) with which the kernel of every single z is M z + C.

    Shapes: M (O, I, f, f, N_z), C (O, I, f, f).
    """
    # answer
    m = np.einsum("opqj,ijm->oipqm", w_out, w)
    return m, np.einsum("opqj,ij->oipq", w_out, b) + b_out[:, None]


def tiled(k, rows, columns):
    """The kernel (rows * O, columns * I, f, f) that the tiles make.

    Shapes: k (rows * columns, O, I, f, f).
    """
    # answer
    _, outputs, inputs, f, _ = k.shape
    grid = k.reshape(rows, columns, outputs, inputs, f, f).swapaxes(1, 2)
    return grid.reshape(rows * outputs, columns * inputs, f, f).copy()


def tiled_backward(g, rows, columns):
    """The gradient of k, where ``g`` is that of tiled(k, rows, columns).

    Shapes: g (rows * O, columns * I, f, f), result (rows * columns, O, I, f, f).
    """
    # answer
    outputs, inputs, f = g.shape[0] // rows, g.shape[1] // columns, g.shape[2]
    grid = g.reshape(rows, outputs, columns, inputs, f, f).swapaxes(1, 2)
    return grid.reshape(rows * columns, outputs, inputs, f, f).copy()


def parameters(inputs, outputs, f, z_dim, hidden, tiles):
    """How many numbers w, b, w_out, b_out and the embeddings of all tiles are.

    inputs, outputs and f belong to one tile. A whole number, exact for all sizes.
    """
    # answer
    first = inputs * hidden * (z_dim + 1)
    return first + outputs * f * f * (hidden + 1) + tiles * z_dim


def first_weights(inputs, outputs, f, z_dim, hidden, rng):
    """(w, b, w_out, b_out) to begin with, float64, as the story has them.

    w and w_out are normal with mean 0, all numbers drawn independently from ``rng``, a
    NumPy generator: the next call gives others. b and b_out are 0.
    """
    # answer
    w = rng.normal(0, z_dim**-0.5, (inputs, hidden, z_dim))
    spread = (2 / (inputs * f * f * hidden)) ** 0.5
    w_out = rng.normal(0, spread, (outputs, f, f, hidden))
    return w, np.zeros((inputs, hidden)), w_out, np.zeros((outputs, f, f))
