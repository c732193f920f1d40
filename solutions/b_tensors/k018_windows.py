"""k018: Sliding windows without copying

*** | 25 minutes | after k011

An array is memory plus strides: how far it is from one element to the next along each
axis (k011; NumPy's x.strides counts bytes). Nothing forbids two elements to lie at the
same place. So all windows that slide over a signal are there already, without copying
one number; only shape and strides have to say so:

    windows(x, 3, step=1)[i, j] = x[i * step + j]

    memory:  a b c d e        windows:  a b c     one row down:     step * stride
             |---|                      b c d     one column right: stride
               |---|                    c d e
                 |---|

``np.lib.stride_tricks.as_strided`` makes such a view, and believes whatever you say: a
stride or a length too large reads foreign memory, or crashes. As many windows as fit:

    count = (length - size) // step + 1

A view that overlaps itself should not be written to: ask for ``writeable=False``; x
itself stays as it is. Take the strides from ``x.strides``, never from the item size: x
may be transposed, reversed (negative strides) or every second element of something
larger.

Windows are half of a convolution (k022), of pooling and of a moving average.

Shapes: windows (..., L) -> (..., count, size);
    windows2d (N, C, H, W) -> (N, C, rows, columns, kh, kw).
Source: Harris et al., "Array programming with NumPy", 2020 (strides);
    numpy.lib.stride_tricks.as_strided, its manual page.
Checked: against loops, for contiguous, transposed, reversed and thinned arrays; shares
memory and stays inside of it, and leaves x writeable; no loops, and not NumPy's own
sliding_window_view.
"""

import numpy as np


def windows(x, size, step=1):
    """All windows of ``size`` elements along the last axis, ``step`` apart.

    A read-only view of ``x``: [..., i, j] is x[..., i * step + j]. x itself can be
    written to as before. size and step are whole numbers.
    Shapes: x (..., L), result (..., count, size), count = (L - size) // step + 1. An
    axis before the last may have length 0; then the result is empty too.

    Raises: ValueError if size or step is below 1, or size above L (always if L = 0).
    """
    # answer
    length = x.shape[-1]
    if not 1 <= size <= length or step < 1:
        raise ValueError(f"no window of {size} in {length} elements, step {step}")
    count = (length - size) // step + 1
    stride = x.strides[-1]
    return np.lib.stride_tricks.as_strided(
        x,
        shape=(*x.shape[:-1], count, size),
        strides=(*x.strides[:-1], step * stride, stride),
        writeable=False,
    )


def windows2d(x, size, step=(1, 1)):
    """All windows of size (kh, kw) of every image and channel, ``step`` (sh, sw) apart.

    A read-only view of ``x``: [n, c, p, q, i, j] is x[n, c, p * sh + i, q * sw + j]. x
    itself can be written to as before. size and step are pairs, never single numbers.
    Shapes: x (N, C, H, W), result (N, C, rows, columns, kh, kw). N or C may be 0.

    Raises: ValueError if a size or step is below 1, or a size too large for x.
    """
    # answer
    (kh, kw), (sh, sw) = size, step
    columns = windows(x, kw, sw)  # (N, C, H, columns, kw)
    rows = windows(columns.transpose(0, 1, 3, 4, 2), kh, sh)
    return rows.transpose(0, 1, 4, 2, 5, 3)  # from (N, C, columns, kw, rows, kh)
