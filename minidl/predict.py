"""One image in, its most probable classes out."""

from pathlib import Path

import numpy as np

from . import backend
from . import functional as F
from .autograd import no_grad
from .errors import ArgumentError, DataError, RangeError
from .interchange import tensor
from .tensor import Tensor


def read_image(source: str, images) -> tuple[np.ndarray, int | None]:
    """uint8 (C, H, W) in the shape of ``images`` and, where known, the true class.

    ``source`` is the number of a test image, or a .png file, which is turned to as many
    channels as the data has and resized; PNG reading needs matplotlib.
    """
    if source.lstrip("-").isdigit():
        at, count = int(source), len(images.x_test)
        if not 0 <= at < count:
            raise RangeError(f"predict: image must be in [0, {count}); got {at}")
        return images.x_test[at], int(images.y_test[at])
    path = Path(source)
    if path.suffix.lower() != ".png":
        raise ArgumentError(
            f"predict: image must be a number or a .png file; got {source}"
        )
    try:
        from matplotlib.image import imread
    except ImportError:
        raise ArgumentError(
            "predict: reading PNG files needs matplotlib; pip install 'minidl[plot]'"
        ) from None
    try:
        pixels = imread(path)
    except (OSError, SyntaxError) as error:
        raise DataError(f"predict: {path} must be a readable PNG; {error}") from None
    pixels = np.atleast_3d(pixels.astype(np.float32))
    if pixels.shape[2] in (
        2,
        4,
    ):  # transparent parts are black, as the data's ground is
        pixels = pixels[:, :, :-1] * pixels[:, :, -1:]
    if pixels.shape[2] != images.shape[0]:
        gray = pixels.mean(axis=2, keepdims=True)
        pixels = np.repeat(gray, images.shape[0], axis=2)
    x = tensor(pixels.transpose(2, 0, 1)[None])
    shrinks = all(n >= m for n, m in zip(x.shape[2:], images.shape[1:]))
    size = tuple(images.shape[1:])
    y = (
        F.adaptive_avg_pool2d(x, size)
        if shrinks
        else F.interpolate(x, size, mode="bilinear")
    )
    return np.rint(y.numpy()[0] * 255).clip(0, 255).astype(np.uint8), None


def classify(model, image, transform, device="cpu", top=5) -> list[tuple[float, int]]:
    """The ``top`` classes of one uint8 image as (probability, class), best first."""
    x = transform(image[None], np.random.default_rng(0))
    with no_grad():
        logits = model(Tensor(backend.asarray(x, None, device)))
        shares = backend.asnumpy(F.softmax(logits, dim=1).data)[0]
    return [(float(shares[k]), int(k)) for k in np.argsort(shares)[::-1][:top]]
