"""Modules that hold modules: one after another, side by side, or as a list."""

from collections.abc import Iterable, Iterator, Mapping

from .. import functional as F
from ..errors import RangeError
from .activation import Identity, ReLU
from .module import Module
from .norm import BatchNorm2d


class _Container(Module):
    """Submodules by number."""

    def _items(self) -> list[tuple[str, Module]]:
        return [(k, v) for k, v in self.__dict__.items() if isinstance(v, Module)]

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._items())

    def __getitem__(self, index):
        items = self._items()
        if isinstance(index, slice):
            return self._slice(items[index])
        if not -len(items) <= index < len(items):
            raise RangeError(
                f"{type(self).__name__}: index must be in [{-len(items)}, "
                f"{len(items) - 1}]; got {index}"
            )
        return items[index][1]

    def append(self, module: Module):
        """Add one module at the end."""
        self.add_module(str(len(self)), module)
        return self


class Sequential(_Container):
    """Modules applied one after another: ``y = f_n(... f_2(f_1(x)))``.

    Takes modules, or one mapping from names to modules. A slice is a Sequential of the
    same modules under the same names. A BatchNorm2d takes a ReLU that follows it along
    in its own pass over the images, with the same result.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        super().__init__()
        named = len(modules) == 1 and isinstance(modules[0], Mapping)
        items = modules[0].items() if named else enumerate(modules)
        for name, module in items:
            self.add_module(str(name), module)

    def _slice(self, items):
        return Sequential(dict(items))

    def forward(self, x):
        modules = list(self)
        for before, module, after in zip(
            [None, *modules], modules, [*modules[1:], None]
        ):
            if _together(module, after):
                x = module(x, relu=True)
            elif not _together(before, module):
                x = module(x)
        return x


def _together(module, after) -> bool:
    """Whether both are one step; not where someone put in a forward of their own."""
    return (
        type(module) is BatchNorm2d
        and type(after) is ReLU
        and not ("forward" in vars(module) or "forward" in vars(after))
    )


class Residual(Module):
    """What a body adds to its input: ``y = body(x) + shortcut(x)``.

    Without ``shortcut`` it is the input itself. Both must give the same shape.

    Source: He et al. 2015, "Deep Residual Learning for Image Recognition", equation 1.
    """

    def __init__(self, body: Module, shortcut: Module | None = None):
        super().__init__()
        self.body = body
        self.shortcut = Identity() if shortcut is None else shortcut

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Concat(_Container):
    """Branches beside each other, their channels one after another:
    ``y = [f_1(x), f_2(x), ...]``.

    Source: Szegedy et al. 2014, "Going Deeper with Convolutions", figure 2.
    """

    def __init__(self, *branches: Module):
        super().__init__()
        for number, branch in enumerate(branches):
            self.add_module(str(number), branch)

    def _slice(self, items):
        return Concat(*(module for _, module in items))

    def forward(self, x):
        return F.concatenate([branch(x) for branch in self], dim=1)


class ModuleList(_Container):
    """A list whose modules are registered; it has no forward of its own."""

    def __init__(self, modules: Iterable[Module] = ()):
        super().__init__()
        self.extend(modules)

    def _slice(self, items):
        return ModuleList(module for _, module in items)

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add all ``modules`` at the end."""
        for module in modules:
            self.append(module)
        return self
