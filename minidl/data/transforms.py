"""Transforms of a whole batch of images: callables ``(x, rng) -> x``, never in place.

``rng`` is the NumPy generator that the loader made for the batch; a transform that
draws nothing leaves it alone.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import ArgumentError, DtypeError, ShapeError

Transform = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Compose:
    """Apply transforms one after the other, all drawing from the same generator."""

    def __init__(self, *transforms: Transform):
        for transform in transforms:
            if not callable(transform):
                raise ArgumentError(
                    f"Compose: transforms must be callables; got {transform!r}"
                )
        self.transforms = transforms

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for transform in self.transforms:
            x = transform(x, rng)
        return x


class ToFloat:
    """Bytes to normalised floats: ``(x / 255 - mean) / std``, per channel.

    Shapes: uint8 (B, C, H, W) to float32 (B, C, H, W), contiguous.
    Args: mean and std (each > 0) of x / 255, one number or one for each channel.
    Raises: ArgumentError for such a std or lengths that differ; DtypeError and
    ShapeError for another batch.
    """

    def __init__(self, mean: Sequence[float] | float, std: Sequence[float] | float):
        mean, std = np.atleast_1d(mean).astype(float), np.atleast_1d(std).astype(float)
        if mean.ndim != 1 or mean.shape != std.shape:
            raise ArgumentError(
                "ToFloat: mean and std must have one entry for each channel; "
                f"got shapes {mean.shape} and {std.shape}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(std).all() and (std > 0).all()):
            raise ArgumentError(
                "ToFloat: mean and std must be finite, std > 0; "
                f"got {mean.tolist()} and {std.tolist()}"
            )
        # x * scale - shift: one multiplication and one subtraction in float32.
        self.scale = (1 / (255 * std)).astype(np.float32)[:, None, None]  # (C, 1, 1)
        self.shift = (mean / std).astype(np.float32)[:, None, None]

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _check_batch("ToFloat", x)
        if x.dtype != np.uint8:
            raise DtypeError(f"ToFloat: x must be uint8; got {x.dtype}")
        if len(self.scale) not in (1, x.shape[1]):
            raise ShapeError(
                f"ToFloat: x must have {len(self.scale)} channels; got {x.shape}"
            )
        out = x.astype(np.float32, order="C")
        out *= self.scale
        out -= self.shift
        return out


class RandomHorizontalFlip:
    """Mirror each image, left to right, with probability ``p`` (0..1).

    Shapes: (B, C, H, W) to the same.
    """

    def __init__(self, p: float = 0.5):
        if not 0 <= p <= 1:
            raise ArgumentError(f"RandomHorizontalFlip: p must be in 0..1; got {p}")
        self.p = p

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _check_batch("RandomHorizontalFlip", x)
        flipped = rng.random(len(x)) < self.p
        out = x.copy()
        out[flipped] = x[flipped, :, :, ::-1]
        return out


class RandomCrop:
    """Shift each image by up to ``padding`` pixels each way, zeros entering.

    The image is padded by zeros on all sides, and a window of the old size cut out at
    random.

    Shapes: (B, C, H, W) to the same.
    Args: padding >= 0, in pixels.
    Source: K. He et al., "Deep Residual Learning for Image Recognition", section 4.2.
    """

    def __init__(self, padding: int):
        if not isinstance(padding, (int, np.integer)) or padding < 0:
            raise ArgumentError(
                f"RandomCrop: padding must be an integer >= 0; got {padding!r}"
            )
        self.padding = int(padding)

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        _check_batch("RandomCrop", x)
        n, c, h, w = x.shape
        p = self.padding
        padded = np.zeros((n, c, h + 2 * p, w + 2 * p), x.dtype)
        padded[:, :, p : p + h, p : p + w] = x
        dy, dx = rng.integers(0, 2 * p + 1, size=(2, n))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (h, w), axis=(2, 3))
        # windows is (B, C, 2p+1, 2p+1, H, W): every window, without a copy
        return np.ascontiguousarray(windows[np.arange(n), :, dy, dx])  # (B, C, H, W)


def _check_batch(where, x):
    if x.ndim != 4:
        raise ShapeError(f"{where}: x must be (B, C, H, W); got {x.shape}")
