"""What a trained shift module does with its directions: two analyses, two pictures.

Wu et al., "Shift: A Zero FLOP, Zero Parameter Alternative to Spatial Convolutions",
CVPR 2018, arXiv 1711.08141; both questions are from the authors' discussion.

Channels that move alike form a direction: 9 of them where K = 3.

1. Are channels of one direction alike? If they are, some can be pruned:

       r[d] = mean over pairs c != e of direction d of abs(corr(x_c, x_e))

2. Which directions does the next 1x1 convolution W (O, C) listen to?

       s[d] = sum over c of direction d, over o, of abs(W[o, c]) std(x_c)

       dh\\dw  -1   0   1
        -1     .   .   .      a picture has one square for each direction
         0     .   #   .
         1     .   .   .

Correlations and deviations are over all images and pixels.

Shapes: x (N, C, H, W), what enters the shift or leaves it; results (K, K), rows dh,
columns dw, NaN where a direction has no two channels (1.) or none (2.).

Deviations: the authors name no norm; these sums and means are our choice.
"""

import numpy as np

from .. import backend, pictures
from ..errors import ShapeError
from ..tensor import Tensor


def _flat(x):
    """Channels as rows, (C, N H W), float64 on the host."""
    x = backend.asnumpy(x.data if isinstance(x, Tensor) else x)
    if x.ndim != 4:
        raise ShapeError(f"shift analysis: x must be (N, C, H, W); got {x.shape}")
    return np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)


def _directions(layer, channels):
    """(row, column, its channels) of each direction of a Shift2d, centre included."""
    if channels != layer.channels:
        raise ShapeError(
            f"shift analysis: x must have the layer's {layer.channels} channels; "
            f"got {channels}"
        )
    reach, d = layer.kernel_size // 2, layer.dilation
    dh, dw = np.array(layer.dh), np.array(layer.dw)
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            found = np.flatnonzero((dh == i * d) & (dw == j * d))
            yield i + reach, j + reach, found


def correlation(layer, x) -> np.ndarray:
    """Mean absolute correlation between channels that share a direction, (K, K).

    ``layer`` is a Shift2d, ``x`` (N, C, H, W) what enters it. A constant channel
    correlates with no other.

    Raises: ShapeError.
    """
    rows = _flat(x)
    rows = rows - rows.mean(axis=1, keepdims=True)
    length = np.sqrt((rows**2).sum(axis=1, keepdims=True))
    rows = rows / np.where(length > 0, length, 1)
    result = np.full((layer.kernel_size,) * 2, np.nan)
    for i, j, own in _directions(layer, len(rows)):
        if len(own) > 1:
            alike = np.abs(rows[own] @ rows[own].T)
            pairs = len(own) * (len(own) - 1)
            result[i, j] = (alike.sum() - np.trace(alike)) / pairs
    return result


def contribution(layer, x, weight) -> np.ndarray:
    """How much each direction gives to the next 1x1 convolution, (K, K).

    ``weight`` (O, C) or (O, C, 1, 1) is that convolution's, ``x`` (N, C, H, W) what
    enters it.

    Raises: ShapeError.
    """
    rows = _flat(x)
    weight = backend.asnumpy(weight.data if isinstance(weight, Tensor) else weight)
    if weight.ndim not in (2, 4) or weight.size != len(weight) * len(rows):
        raise ShapeError(
            f"shift analysis: weight must be (O, {len(rows)}) of a 1x1 convolution; "
            f"got {weight.shape}"
        )
    heard = np.abs(weight.reshape(len(weight), -1)).sum(axis=0) * rows.std(axis=1)
    result = np.full((layer.kernel_size,) * 2, np.nan)
    for i, j, own in _directions(layer, len(rows)):
        if len(own):
            result[i, j] = heard[own].sum()
    return result


def draw(values: np.ndarray, path, title: str = ""):
    """A picture (.png or .svg) of one number for each direction; returns its path.

    Raises: MinidlError where matplotlib is missing.
    """
    reach = len(values) // 2
    figure = pictures.new_figure(4.2, 3.6)
    axes = figure.subplots()
    image = axes.imshow(values, cmap="viridis")
    figure.colorbar(image)
    ticks = range(len(values)), range(-reach, reach + 1)
    axes.set_xticks(*ticks)
    axes.set_yticks(*ticks)
    axes.set_xlabel("dw")
    axes.set_ylabel("dh")
    axes.set_title(title)
    known = values[np.isfinite(values)]
    middle = (known.min() + known.max()) / 2 if known.size else 0
    for (i, j), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.3g}"
        color = "white" if value < middle else "black"  # viridis is dark below
        axes.text(j, i, text, ha="center", va="center", color=color)
    return pictures.save(figure, path)
