"""Convolutions by their shape: parsing, printing, counting.

``64x32x28x28,out=64,k=3,s=2,p=1,d=1,g=32``: a batch of 64 images of 32 channels and
28x28 pixels; 64 output channels; kernel, stride, padding, dilation, groups. Sides that
differ are written ``k=1x7`` (vertical x horizontal); ``p=same`` keeps the size. What is
left out is ``out`` as many as in, ``k=1``, ``s=1``, ``p=0``, ``d=1``, ``g=1``.
"""

import re
from dataclasses import dataclass
from math import prod

from ..errors import ArgumentError
from ..kernels.windows import output_size
from ..ops._geometry import padding_pairs

SYNTAX = "NxCxHxW[,out=O][,k=K][,s=S][,p=P][,d=D][,g=G], K..D a number or two as 1x7"
PAIRS = {  # key: attribute, least value
    "k": ("kernel", 1),
    "s": ("stride", 1),
    "p": ("padding", 0),
    "d": ("dilation", 1),
}


def _wrong(why):
    return ArgumentError(f"bench conv: SHAPE must be {SYNTAX}; {why}")


def _numbers(text, count, least, what):
    if not re.fullmatch(r"\d{1,9}(x\d{1,9})*", text):
        raise _wrong(f"got {what} {text!r}")
    numbers = tuple(map(int, text.split("x")))
    numbers = numbers * count if len(numbers) == 1 and count == 2 else numbers
    if len(numbers) != count:
        raise _wrong(f"{what} has {count} numbers; got {text!r}")
    if min(numbers) < least:
        raise _wrong(f"{what} must be >= {least}; got {text!r}")
    return numbers


@dataclass(frozen=True)
class Shape:
    """One convolution; the pairs are (vertical, horizontal)."""

    x: tuple[int, int, int, int]
    out: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] | str = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shape":
        """Read the syntax above.

        Raises: ArgumentError that says which part is wrong.
        """
        first, *rest = text.replace(" ", "").split(",")
        x = _numbers(first, 4, 1, "NxCxHxW")
        found = {}
        for word in rest:
            name, equals, value = word.partition("=")
            if not equals or name not in ("out", "g", *PAIRS):
                raise _wrong(f"got {word!r}")
            if name in found:
                raise _wrong(f"{name} is given twice")
            if name in PAIRS:
                same = name == "p" and value == "same"
                least = PAIRS[name][1]
                found[name] = value if same else _numbers(value, 2, least, name)
            else:
                found[name] = _numbers(value, 1, 1, name)[0]
        options = {PAIRS[k][0]: v for k, v in found.items() if k in PAIRS}
        shape = cls(x, found.get("out", x[1]), groups=found.get("g", 1), **options)
        shape.check()
        return shape

    def check(self) -> None:
        """Raises: ArgumentError unless groups divide and the kernel fits."""
        for what, channels in (("input", self.x[1]), ("output", self.out)):
            if channels % self.groups:
                raise _wrong(f"g={self.groups} must divide {channels} {what} channels")
        if self.padding == "same" and self.stride != (1, 1):
            raise _wrong("p=same needs s=1")
        if min(self.size) < 1:
            raise _wrong(f"kernel {self.kernel} must fit into the padded image")

    def __str__(self):
        text = "x".join(map(str, self.x))
        if self.out != self.x[1]:
            text += f",out={self.out}"
        for key, (name, _) in PAIRS.items():
            value = getattr(self, name)
            if value != getattr(Shape, name):
                if value != "same":
                    a, b = value
                    value = a if a == b else f"{a}x{b}"
                text += f",{key}={value}"
        return text + (f",g={self.groups}" if self.groups > 1 else "")

    @property
    def w(self) -> tuple[int, int, int, int]:
        """The shape of the weights."""
        return self.out, self.x[1] // self.groups, *self.kernel

    @property
    def pads(self):
        """Padding as kernels take it: ((top, bottom), (left, right))."""
        given = self.kernel, self.stride, self.dilation
        return padding_pairs("bench conv", self.padding, *given)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return output_size(
            self.x[2:], self.kernel, self.stride, self.pads, self.dilation
        )

    @property
    def y(self) -> tuple[int, int, int, int]:
        """The shape of the output."""
        return self.x[0], self.out, *self.size

    @property
    def flop(self) -> int:
        """Of the forward pass: two for each weight at each place."""
        return 2 * prod(self.y) * prod(self.w[1:])

    @property
    def bytes(self) -> int:
        """Of float32 images and weights read, and the output written, once."""
        return 4 * (prod(self.x) + prod(self.w) + prod(self.y))

    @property
    def options(self) -> dict:
        """Keyword arguments of conv2d, ours and torch's."""
        names = ("stride", "padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}
