"""A second copy of the weights that follows them slowly, and often predicts better."""

from contextlib import contextmanager

import numpy as np

from .. import backend
from ..errors import ArgumentError, CheckpointError
from ..kernels import optim as kernels
from ..nn import Module


class EMA:
    """Moving average of a model's parameters: ``a = decay a + (1 - decay) p``.

    It starts as a copy of them; call `update` after each optimiser step. Buffers
    (running statistics) are not averaged.

    Args: decay in [0, 1].
    Raises: ArgumentError.
    Source: Tarvainen and Valpola 2017, "Mean Teachers Are Better Role Models", section
    2; the plain mean is Polyak and Juditsky 1992.
    """

    def __init__(self, model: Module, decay: float = 0.999):
        if not 0 <= decay <= 1:
            raise ArgumentError(f"EMA: decay must be in [0, 1]; got {decay!r}")
        self.model, self.decay, self._swapped = model, decay, False
        self.averages = {name: p.data.copy() for name, p in model.named_parameters()}

    def update(self) -> None:
        """Move the averages towards the model's weights, in place."""
        self._check_own_weights("update")
        for name, p in self.model.named_parameters():
            kernels.average(self.averages[name], p.data, 1.0 - self.decay)

    def apply_to(self, model: Module) -> None:
        """Copy the averages into the parameters of ``model``, of the same shapes."""
        own = dict(model.named_parameters())
        if {k: p.shape for k, p in own.items()} != {
            k: a.shape for k, a in self.averages.items()
        }:
            raise ArgumentError(
                "EMA: model must have the averaged parameters "
                f"{list(self.averages)}; got {list(own)}"
            )
        self._check_own_weights("apply_to")
        for name, p in own.items():
            p.data[...] = backend.asarray(self.averages[name], None, p.device)

    @contextmanager
    def swapped(self):
        """Inside, the model computes with the averages; nothing is copied."""
        self._check_own_weights("swapped")
        self._exchange()
        try:
            yield self.model
        finally:
            self._exchange()

    def _exchange(self):
        for name, p in self.model.named_parameters():
            p.data, self.averages[name] = self.averages[name], p.data
        self._swapped = not self._swapped

    def _check_own_weights(self, where):
        if self._swapped:
            raise ArgumentError(
                f"EMA: {where} must be called outside of swapped(); "
                "the model holds the averages there"
            )

    def state_arrays(self) -> dict[str, np.ndarray]:
        """The averages on the host by parameter name; those on the CPU share memory."""
        return {name: backend.asnumpy(a) for name, a in self.averages.items()}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Continue from `state_arrays`.

        Raises: CheckpointError, with nothing changed, if names, shapes or types differ.
        """
        shown = [
            {k: f"{a.dtype}{a.shape}" for k, a in found.items()}
            for found in (self.averages, arrays)
        ]
        if shown[0] != shown[1]:
            raise CheckpointError(f"EMA: state must hold {shown[0]}; got {shown[1]}")
        for name, a in self.averages.items():
            a[...] = backend.asarray(arrays[name], None, backend.device_of(a))
