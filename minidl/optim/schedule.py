"""Learning rates over time: each schedule is a function of the step number alone.

The rates are torch's; being closed forms of ``last_epoch`` (the number of steps) and of
each group's ``initial_lr``, they can be resumed anywhere, but they overwrite what is
written to a group's ``lr`` in between.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

from ..errors import ArgumentError, CheckpointError


class Schedule:
    """Sets the ``lr`` of an optimiser's groups; call `step` after the optimiser's.

    A subclass defines ``rate(t, base)``, the rate after t steps for base rate ``base``.
    """

    def __init__(self, optimizer):
        self.optimizer, self.last_epoch = optimizer, 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._apply()

    def rate(self, t: int, base: float) -> float:
        """The rate after ``t`` steps of a group that started with ``base``."""
        raise NotImplementedError

    def _apply(self):
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["lr"] = self.rate(self.last_epoch, base)

    def step(self) -> None:
        """Go on by one step (or epoch, whichever the caller counts)."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The rates now in force, one a group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state(self) -> dict:
        """What `load_state` needs, as plain numbers."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state(self, state: dict) -> None:
        """Go on where `state` was taken; the optimiser's rates follow."""
        groups = len(self.optimizer.param_groups)
        if (
            state.keys() != {"last_epoch", "base_lrs"}
            or len(state["base_lrs"]) != groups
        ):
            raise CheckpointError(
                f"{type(self).__name__}: state must hold last_epoch and "
                f"{groups} base_lrs; got {state}"
            )
        self.last_epoch, self.base_lrs = state["last_epoch"], list(state["base_lrs"])
        for group, base in zip(self.optimizer.param_groups, self.base_lrs):
            group["initial_lr"] = base
        self._apply()


class StepLR(Schedule):
    """``base gamma^(t // step_size)``; step_size >= 1, gamma >= 0."""

    def __init__(self, optimizer, step_size: int, gamma: float = 0.1):
        _check("StepLR", "step_size", step_size, 1)
        _check("StepLR", "gamma", gamma, 0)
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, t, base):
        return base * self.gamma ** (t // self.step_size)


class ExponentialLR(Schedule):
    """``base gamma^t``; gamma >= 0."""

    def __init__(self, optimizer, gamma: float):
        _check("ExponentialLR", "gamma", gamma, 0)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t, base):
        return base * self.gamma**t


class CosineAnnealingLR(Schedule):
    """``eta_min + (base - eta_min) (1 + cos(pi t / T_max)) / 2``; T_max >= 1.

    It falls to eta_min at T_max and rises again after.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts.
    """

    def __init__(self, optimizer, T_max: int, eta_min: float = 0.0):
        _check("CosineAnnealingLR", "T_max", T_max, 1)
        _check("CosineAnnealingLR", "eta_min", eta_min, 0)
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, t, base):
        height = (1 + math.cos(math.pi * t / self.T_max)) / 2
        return self.eta_min + (base - self.eta_min) * height


class LinearLR(Schedule):
    """``base`` times a factor going straight from start_factor to end_factor in
    ``total_iters`` steps and staying there: a warm-up.

    Args: start_factor in (0, 1], end_factor in [0, 1], total_iters >= 1.
    """

    def __init__(
        self,
        optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
    ):
        if not 0 < start_factor <= 1:
            raise ArgumentError(
                f"LinearLR: start_factor must be in (0, 1]; got {start_factor}"
            )
        if not 0 <= end_factor <= 1:
            raise ArgumentError(
                f"LinearLR: end_factor must be in [0, 1]; got {end_factor}"
            )
        _check("LinearLR", "total_iters", total_iters, 1)
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = total_iters
        super().__init__(optimizer)

    def rate(self, t, base):
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class SequentialLR(Schedule):
    """Schedules one after another: number i + 1 takes over at step ``milestones[i]``.

    Each counts its own steps from 0, so a warm-up and the cosine after it read
    ``SequentialLR(o, [LinearLR(o, ...), CosineAnnealingLR(o, ...)], [n])``.
    """

    def __init__(
        self, optimizer, schedulers: Sequence[Schedule], milestones: Sequence[int]
    ):
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        if not schedulers or len(self.milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                "SequentialLR: milestones must be one fewer than schedulers; "
                f"got {len(self.milestones)} and {len(self.schedulers)}"
            )
        if sorted({0, *self.milestones}) != [0, *self.milestones]:
            raise ArgumentError(
                f"SequentialLR: milestones must be > 0 and rise; got {self.milestones}"
            )
        if any(s.optimizer is not optimizer for s in self.schedulers):
            raise ArgumentError(
                "SequentialLR: schedulers must be of the same optimizer"
            )
        super().__init__(optimizer)

    def rate(self, t, base):
        i = bisect_right(self.milestones, t)
        return self.schedulers[i].rate(t - ([0, *self.milestones][i]), base)


def _check(where, name, value, least):
    if not least <= value < math.inf:
        raise ArgumentError(f"{where}: {name} must be >= {least}; got {value!r}")
