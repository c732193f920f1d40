"""What defines a training run: the options of ``minidl train``, checked."""

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path

from .. import backend, data, models, optim
from ..errors import ArgumentError, CheckpointError, DataError, unknown_name

OPTIMIZERS = {
    "sgd": lambda p, lr, wd: optim.SGD(p, lr, momentum=0.9, weight_decay=wd),
    "nesterov": lambda p, lr, wd: optim.SGD(
        p, lr, momentum=0.9, weight_decay=wd, nesterov=True
    ),
    "rmsprop": lambda p, lr, wd: optim.RMSprop(p, lr, weight_decay=wd),
    "adam": lambda p, lr, wd: optim.Adam(p, lr, weight_decay=wd),
    "adamw": lambda p, lr, wd: optim.AdamW(p, lr, weight_decay=wd),
}

# Each takes the optimiser and the steps of the whole run, and is stepped every batch.
SCHEDULES = {
    "constant": lambda o, n: optim.StepLR(o, step_size=n + 1),
    "cosine": lambda o, n: optim.CosineAnnealingLR(o, T_max=n),
    "step": lambda o, n: optim.StepLR(o, step_size=max(1, math.ceil(n / 3)), gamma=0.1),
    "exponential": lambda o, n: optim.ExponentialLR(o, gamma=0.01 ** (1 / n)),
    "warmup-cosine": lambda o, n: _warmup_cosine(o, n, max(1, n // 20)),
}


def _warmup_cosine(optimizer, steps, warmup):
    """Linear from a tenth to the full rate in ``warmup`` steps, then cosine to 0."""
    return optim.SequentialLR(
        optimizer,
        [
            optim.LinearLR(optimizer, 0.1, 1.0, warmup),
            optim.CosineAnnealingLR(optimizer, max(1, steps - warmup)),
        ],
        [warmup],
    )


@dataclass(frozen=True)
class Config:
    """What defines a run; None takes the model's own default.

    model, data: names of the registries (``data`` may be a folder or .npz file);
    epochs >= 0, batch >= 1; lr > 0; seed >= 0; schedule over the whole run: "constant",
    "cosine" to 0, "warmup-cosine", "step" (a tenth after each third) or "exponential"
    (to a hundredth).
    """

    model: str
    data: str | None = None
    epochs: int = 10
    batch: int = 64
    lr: float | None = None
    optimizer: str | None = None
    schedule: str = "cosine"
    weight_decay: float = 0.0
    seed: int = 0
    device: str = "cpu"

    def completed(self) -> "Config":
        """With the model's defaults filled in and every value checked."""
        if self.model not in models.MODELS:
            raise unknown_name("model", self.model, models.MODELS)
        entry = models.MODELS[self.model]
        config = replace(
            self,
            lr=entry.lr if self.lr is None else self.lr,
            optimizer=self.optimizer or entry.optimizer,
        )
        if config.optimizer not in OPTIMIZERS:
            raise unknown_name("optimizer", config.optimizer, OPTIMIZERS)
        if config.schedule not in SCHEDULES:
            raise unknown_name("schedule", config.schedule, SCHEDULES)
        for name, least in (
            ("epochs", 0),
            ("batch", 1),
            ("seed", 0),
            ("weight_decay", 0),
        ):
            value = getattr(config, name)
            kind = int | float if name == "weight_decay" else int
            if not isinstance(value, kind):
                noun = "an integer" if kind is int else "a number"
                raise ArgumentError(f"train: {name} must be {noun}; got {value!r}")
            if not least <= value < math.inf:
                raise ArgumentError(f"train: {name} must be >= {least}; got {value}")
        if not isinstance(config.lr, int | float) or not 0 < config.lr < math.inf:
            raise ArgumentError(f"train: lr must be > 0; got {config.lr!r}")
        backend.check_device(config.device)
        return config


def load_data(source: str | None) -> data.Dataset:
    """The data set of a registry name, or of a folder or .npz file."""
    if source is None or source in data.registry.SOURCES:
        return data.load(source)
    if not Path(source).exists():
        raise DataError(
            f"data: {source!r} must be an existing folder or .npz file, or one of "
            f"{', '.join(data.registry.SOURCES)}"
        )
    return data.load(folder=source)


def config_of(meta: dict, path) -> Config:
    """The `Config` stored in a checkpoint's meta."""
    stored = meta.get("config")
    known = {field.name for field in fields(Config)}
    if (
        not isinstance(stored, dict)
        or not stored.keys() <= known
        or "model" not in stored
    ):
        raise CheckpointError(
            f"{path}: must be the checkpoint of a minidl training run; "
            f"got config {stored!r:.60}"
        )
    return Config(**stored)
