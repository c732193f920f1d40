"""Training runs: configured, seeded, saved, resumed bit for bit, evaluated."""

from .config import OPTIMIZERS, SCHEDULES, Config, load_data
from .evaluation import Evaluation, evaluate, load_model
from .trainer import Trainer

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Config",
    "Evaluation",
    "Trainer",
    "evaluate",
    "load_data",
    "load_model",
]
