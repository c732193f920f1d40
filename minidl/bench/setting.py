"""Where a benchmark runs: device, threads, rounds, and torch if it is there."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from .. import backend
from ..errors import ArgumentError
from ..tensor import Tensor
from ..threads import get_num_threads, set_num_threads
from . import measure


@dataclass
class Setting:
    """What all rows of one benchmark share; `Setting.find` fills it.

    ``torch`` is the module or None, ``missing`` says why it is None; ``sync`` waits for
    the device.
    """

    device: str
    rounds: int
    threads: int
    torch: ModuleType | None
    missing: str
    xp: ModuleType
    sync: Callable[[], None]

    @classmethod
    def find(
        cls, rounds: int, device: str = "cpu", threads: int | None = None
    ) -> "Setting":
        """Look what is here; ``threads`` govern us and torch (default: as it is).

        Raises: ArgumentError unless rounds, threads >= 1; BackendError without the
        device.
        """
        if rounds < 1:
            raise ArgumentError(f"bench: rounds must be >= 1; got {rounds}")
        backend.check_device(device)
        if threads is not None:
            set_num_threads(threads)
        threads, xp, sync = get_num_threads(), np, measure.nothing
        if device == "cuda":
            xp = backend.xp_of(backend.asarray([0.0], None, device))
            sync = xp.cuda.Device().synchronize  # waits for torch's streams, too
        torch, missing = None, ""
        try:
            import torch
        except ImportError:
            missing = "torch is not installed: no ratios (pip install 'minidl[parity]')"
        if torch is not None and device == "cuda":
            if torch.cuda.is_available():
                torch.backends.cuda.matmul.allow_tf32 = False
                torch.backends.cudnn.allow_tf32 = False
            else:
                torch, missing = None, "this torch finds no GPU: no ratios"
        if torch is not None:
            torch.set_num_threads(threads)
        return cls(device, rounds, threads, torch, missing, xp, sync)

    @property
    def peer(self) -> str:
        """What torch's figures are headed with."""
        return f"torch {self.torch.__version__}" if self.torch else "torch"

    @property
    def place(self) -> str:
        """The device as titles name it."""
        return f"{self.threads} threads" if self.device == "cpu" else self.device

    def array(self, *shape: int, seed: int = 0):
        """Standard normal float32 numbers on the device."""
        numbers = np.random.default_rng(seed).standard_normal(shape, np.float32)
        return backend.asarray(numbers, None, self.device)

    def ours(self, array, requires_grad: bool = False) -> Tensor:
        """The array as a leaf of ours."""
        return Tensor(array, requires_grad)

    def theirs(self, array, requires_grad: bool = False):
        """The same numbers as a leaf of torch."""
        there = self.torch.from_numpy(backend.asnumpy(array)).to(self.device)
        return there.requires_grad_() if requires_grad else there

    def copy(self, array) -> Callable[[], None]:
        """A function that copies ``array`` into memory at hand: np.copyto."""
        target = self.xp.empty_like(array)
        target[...] = 0  # memory that was never written is slower
        return lambda: self.xp.copyto(target, array)

    def pair(self, name, ours, peer, reach="", rounds=None, **about) -> measure.Row:
        """`measure.pair` here; ``peer`` is called only if torch is here.

        It returns the function to time.
        """
        return measure.pair(
            name,
            ours,
            peer() if peer and self.torch else None,
            rounds or self.rounds,
            reach,
            sync=self.sync,
            **about,
        )
