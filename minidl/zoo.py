"""A place where models enter under a name, with the training options that suit them."""

from collections.abc import Callable
from dataclasses import dataclass

from . import nn
from .errors import ArgumentError, ShapeError


@dataclass(frozen=True)
class Entry:
    """A model's builder and the training options that suit it."""

    name: str
    build: Callable[..., nn.Module]
    optimizer: str
    lr: float

    @property
    def about(self) -> str:
        """The first line of the builder's docstring."""
        return (self.build.__doc__ or "").strip().splitlines()[0]


MODELS: dict[str, Entry] = {}


def register_model(name: str, *, optimizer: str = "adam", lr: float = 1e-3):
    """Register ``build(shape, classes) -> Module`` under ``name``.

    ``shape`` is (C, H, W) of one image; ``optimizer`` and ``lr`` are the defaults of
    ``minidl train`` for this model.
    """

    def register(build):
        if name in MODELS:
            raise ArgumentError(f"register_model: name must be new; got {name!r} again")
        MODELS[name] = Entry(name, build, optimizer, lr)
        return build

    return register


def check_image(name: str, shape, least: int) -> None:
    """Raise ShapeError unless images (C, H, W) are at least ``least`` pixels wide."""
    if min(shape[1:]) < least:
        raise ShapeError(
            f"{name}: images must be at least {least}x{least}; got {tuple(shape[1:])}"
        )
