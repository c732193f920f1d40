"""Data sets and batches: named or own images in, NumPy arrays out.

    data = load()                           # embedded, needs no download
    norm = transforms.ToFloat(data.mean, data.std)
    loader = DataLoader(data.x_train, data.y_train, shuffle=True, transform=norm)
    for x, y in loader: ...                 # x float32 (B, C, H, W), y int64 (B,)

Importing this package is cheap: what only a download or an archive needs (urllib,
tarfile, gzip) is imported when it is used.
"""

from . import transforms
from .fetch import fetch
from .loader import DataLoader
from .sources import Available, Dataset, available, load

__all__ = [
    "Available",
    "DataLoader",
    "Dataset",
    "available",
    "fetch",
    "load",
    "transforms",
]
