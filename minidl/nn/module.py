"""Module: layers as trees of named tensors."""

from collections.abc import Callable, Iterator

from .. import backend
from .. import functional as F
from ..errors import ArgumentError, DtypeError, MinidlError
from ..tensor import Tensor
from .state import Difference, Parameter, load


class Module:
    """A layer or model: define ``forward``; assign parameters and submodules.

    Attributes that are Parameters or Modules, and tensors given to `register_buffer`,
    form the state; their names are the paths of attributes, as in torch.
    """

    training = True

    def __init__(self):
        self._buffers: dict[str, bool] = {}  # name: whether it belongs to the state

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, *args, **kwargs):
        """The layer's output; every subclass defines it."""
        raise MinidlError(f"{type(self).__name__}: forward must be defined")

    def __setattr__(self, name, value):
        old, buffers = self.__dict__.get(name), self.__dict__.get("_buffers", ())
        if isinstance(value, Parameter | Module) and "_buffers" not in self.__dict__:
            raise MinidlError(
                f"{type(self).__name__}: super().__init__() must be called "
                f"before {name} is assigned"
            )
        kind = Parameter if isinstance(old, Parameter) else Tensor
        kept = kind is Parameter or name in buffers
        if kept and not isinstance(value, kind | None):
            raise ArgumentError(
                f"{type(self).__name__}: {name} must stay a {kind.__name__} "
                f"or become None; got {type(value).__name__}; to change "
                f"its values write to {name}.data"
            )
        super().__setattr__(name, value)

    def register_buffer(
        self, name: str, tensor: Tensor | None, persistent: bool = True
    ):
        """Make ``tensor`` part of the module but not a parameter; `to` moves it along.

        A ``persistent`` buffer is part of the state dict.
        """
        if name in self.__dict__ or hasattr(type(self), name) or "." in name:
            raise ArgumentError(
                f"register_buffer: name must be new and without dots; got {name!r}"
            )
        if "_buffers" not in self.__dict__:
            raise MinidlError(
                f"{type(self).__name__}: super().__init__() must be called "
                f"before {name} is registered"
            )
        self._buffers[name] = persistent
        setattr(self, name, tensor)

    def add_module(self, name: str, module: "Module") -> None:
        """Assign a submodule under ``name``, which may be a number as text."""
        where = type(self).__name__
        if not isinstance(module, Module):
            raise ArgumentError(
                f"{where}: element {name} must be a Module; got {type(module).__name__}"
            )
        if (
            not name
            or "." in name
            or name in self.__dict__
            or hasattr(type(self), name)
        ):
            raise ArgumentError(
                f"{where}: name must be new, without dots and no method; got {name!r}"
            )
        setattr(self, name, module)

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Direct submodules with their names, each once."""
        seen = set()
        for name, value in self.__dict__.items():
            if isinstance(value, Module) and id(value) not in seen:
                seen.add(id(value))
                yield name, value

    def children(self) -> Iterator["Module"]:
        """Direct submodules, each once."""
        return (child for _, child in self.named_children())

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True):
        """(path, module) of this module and all below, parents first, each once."""
        seen, stack = set(), [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            stack += reversed(
                [
                    (f"{path}.{name}" if path else name, value)
                    for name, value in module.__dict__.items()
                    if isinstance(value, Module)
                ]
            )

    def modules(self) -> Iterator["Module"]:
        """This module and all below, each once."""
        return (module for _, module in self.named_modules())

    def _tensors(self, own: Callable, remove_duplicate: bool):
        """(path, tensor) of what ``own(module)`` names in every module."""
        seen = set()
        for path, module in self.named_modules("", remove_duplicate):
            for name in own(module):
                value = module.__dict__.get(name)
                if value is None or (remove_duplicate and id(value) in seen):
                    continue
                seen.add(id(value))
                yield f"{path}.{name}" if path else name, value

    def named_parameters(self, remove_duplicate: bool = True):
        """(path, parameter), a shared one once unless ``remove_duplicate`` is False."""
        return self._tensors(_parameter_names, remove_duplicate)

    def parameters(self) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters())

    def named_buffers(self, remove_duplicate: bool = True):
        """(path, buffer), a shared one once unless ``remove_duplicate`` is False."""
        return self._tensors(lambda m: m.__dict__.get("_buffers", ()), remove_duplicate)

    def _state(self) -> dict[str, Tensor]:
        """Path to tensor, a shared one under all its names."""

        def names(module):
            buffers = module.__dict__.get("_buffers", {})
            return _parameter_names(module) + [n for n, kept in buffers.items() if kept]

        return dict(self._tensors(names, remove_duplicate=False))

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by path: detached, sharing memory."""
        return {name: t.detach() for name, t in self._state().items()}

    def load_state_dict(self, state: dict, strict: bool = True) -> Difference:
        """Copy ``state`` (path to Tensor or array) into parameters and buffers.

        Shapes and types must be equal; names too if ``strict``. All or nothing.

        Raises: CheckpointError listing every entry that does not fit.
        """
        return load(type(self).__name__, self._state(), state, strict)

    def to(self, device_or_dtype) -> "Module":
        """Move to "cpu" or "cuda", or turn floats into a float dtype, in place."""
        if device_or_dtype in ("cpu", "cuda"):
            device, dtype = backend.check_device(device_or_dtype), None
        else:
            device, dtype = None, backend.check_dtype("Module.to", device_or_dtype)
            if dtype.kind != "f":
                raise DtypeError(f"Module.to: dtype must be a float; got {dtype}")

        def convert(x):
            return backend.asarray(
                x,
                dtype if x.dtype.kind == "f" else None,
                device or backend.device_of(x),
            )

        for _, t in [*self.named_parameters(), *self.named_buffers()]:
            t.data = convert(t.data)
            if t.grad is not None:
                t.grad = Tensor(convert(t.grad.data))
        return self

    def train(self, mode: bool = True) -> "Module":
        """Training mode (or not) for this module and all below."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self) -> "Module":
        """Evaluation mode: dropout off, running statistics used."""
        return self.train(False)

    def objective(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(logits, loss) of a batch in training: the loss is their cross-entropy.

        A model that is trained by another loss says so here. The logits are what its
        training accuracy is counted from.

        Shapes: x (N, ...), y (N,) whole numbers, logits (N, classes), loss ().
        """
        logits = self(x)
        return logits, F.cross_entropy(logits, y)

    def start_epoch(self, epoch: int, epochs: int) -> None:
        """Called before each of ``epochs`` rounds of training, counted from 0.

        For layers that change as training goes on, such as a falling temperature.
        Whatever they set is to be in the state, or to follow from ``epoch``.
        """

    def status(self) -> str:
        """A word about the layer that is shown while it is trained; mostly none."""
        return ""

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for p in self.parameters():
            p.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Ask for gradients of all parameters, or freeze them."""
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def apply(self, fn: Callable[["Module"], None]) -> "Module":
        """Call ``fn`` on every module below, then on this one."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    def extra_repr(self) -> str:
        """What `repr` shows between the parentheses."""
        return ""

    def __repr__(self):
        lines = [
            f"({name}): {child!r}".replace("\n", "\n  ")
            for name, child in self.__dict__.items()
            if isinstance(child, Module)
        ]
        body = self.extra_repr()
        if lines:
            body = "\n  " + "\n  ".join([body] * bool(body) + lines) + "\n"
        return f"{type(self).__name__}({body})"


def _parameter_names(module):
    return [name for name, v in module.__dict__.items() if isinstance(v, Parameter)]
