"""The training loop: seeded, interruptible, and resumed bit for bit.

A `Trainer` holds everything a run needs to continue: weights, optimiser, schedule,
generator, position in the epoch and the loss of every step. All of it goes into one
checkpoint, so a run that was killed and resumed computes what it would have computed.
"""

import csv
import hashlib
import io
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from .. import backend, data, files, models, random, storage
from ..errors import ArgumentError, CheckpointError, MinidlError
from ..tensor import Tensor
from .config import OPTIMIZERS, SCHEDULES, Config, config_of, load_data
from .evaluation import Evaluation, evaluate, load_weights


def _fingerprint(images: data.Dataset) -> str:
    """A digest by which a resumed run knows its data again."""
    digest = hashlib.sha256()
    for array in (images.x_train, images.y_train, images.x_test, images.y_test):
        digest.update(
            str(array.shape).encode() + array[:: max(1, len(array) // 500)].tobytes()
        )
    return digest.hexdigest()[:16]


class Trainer:
    """One run: built from a `Config`, or from a checkpoint by `Trainer.resume`."""

    def __init__(self, config: Config, images: data.Dataset | None = None):
        self.config = config = config.completed()
        self.images = load_data(config.data) if images is None else images
        random.manual_seed(config.seed)
        self.classes = len(self.images.classes)
        self.model = models.create(config.model, self.images.shape, self.classes)
        self.model.to(config.device)
        self.transform = data.transforms.ToFloat(self.images.mean, self.images.std)
        self.loader = data.DataLoader(
            self.images.x_train,
            self.images.y_train,
            config.batch,
            shuffle=True,
            seed=config.seed,
            transform=self.transform,
        )
        self.optimizer = OPTIMIZERS[config.optimizer](
            self.model.parameters(), config.lr, config.weight_decay
        )
        self.schedule = SCHEDULES[config.schedule](
            self.optimizer, max(1, config.epochs * len(self.loader))
        )
        self.epoch, self.batch = 0, 0  # the batch to be computed next
        self.history: list[dict] = []  # one row an epoch
        self.losses = np.zeros(0, np.float32)  # one an optimiser step, of past epochs
        self._new_epoch()
        self.stop_requested = False

    def _new_epoch(self):
        """Results of the running epoch stay on the device: reading them would wait."""
        xp = backend.xp_of(next(self.model.parameters()).data)
        self.epoch_losses = xp.zeros(len(self.loader), "float32")
        self.epoch_hits = xp.zeros(len(self.loader), "int64")
        self.epoch_lr = self.optimizer.param_groups[0]["lr"]

    @property
    def finished(self) -> bool:
        """Whether all epochs are done."""
        return self.epoch >= self.config.epochs

    def step(self, x: np.ndarray, y: np.ndarray) -> None:
        """One optimiser step on a batch; its loss and hits go to the epoch's record."""
        device = self.config.device
        images, labels = (Tensor(backend.asarray(a, None, device)) for a in (x, y))
        logits, loss = self.model.objective(images, labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.epoch_losses[self.batch] = loss.data
        self.epoch_hits[self.batch] = (logits.data.argmax(axis=1) == labels.data).sum()

    def progress(self) -> tuple[float, float]:
        """Mean loss and accuracy of the running epoch so far (waits for the GPU)."""
        n = max(1, self.batch)
        seen = max(1, min(n * self.config.batch, len(self.images.x_train)))
        losses = backend.asnumpy(self.epoch_losses[:n])
        return float(losses.mean(dtype=np.float64)), int(
            self.epoch_hits[:n].sum()
        ) / seen

    def status(self) -> str:
        """What the model's layers say of themselves, each word once."""
        words = dict.fromkeys(m.status() for m in self.model.modules())
        return ", ".join(filter(None, words))

    def run_epoch(self, on_batch=lambda trainer: None) -> dict | None:
        """Finish the running epoch and return its row of the history.

        Returns None if `stop_requested` came first. Raises: MinidlError when the loss
        is no longer finite.
        """
        start, first = time.perf_counter(), self.batch
        self.model.train()
        for module in self.model.modules():
            module.start_epoch(self.epoch, self.config.epochs)
        for x, y in self.loader.epoch(self.epoch, first):
            self.step(x, y)
            self.batch += 1
            if self.config.device == "cpu":
                self._check_losses(self.batch - 1)
            on_batch(self)
            if self.stop_requested:
                return None
        self._check_losses(0)
        seconds = time.perf_counter() - start
        loss, accuracy = self.progress()
        test = self.evaluate()
        row = {
            "epoch": self.epoch + 1,
            "lr": self.epoch_lr,
            "train_loss": loss,
            "train_accuracy": accuracy,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "images_per_second": (self.batch - first) * self.config.batch / seconds,
        }
        self.losses = np.concatenate([self.losses, backend.asnumpy(self.epoch_losses)])
        self.history.append(row)
        self.epoch, self.batch = self.epoch + 1, 0
        self._new_epoch()
        return row

    def _check_losses(self, start):
        losses = backend.asnumpy(self.epoch_losses[start : self.batch])
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            raise MinidlError(
                f"train: loss became {losses[bad[0]]} at epoch {self.epoch + 1}, batch "
                f"{start + bad[0] + 1}; try a lower lr (now {self.config.lr:g}); "
                "minidl.detect_anomaly() names the op"
            )

    def evaluate(self) -> Evaluation:
        """The model on the test images."""
        return evaluate(
            self.model,
            self.images.x_test,
            self.images.y_test,
            self.transform,
            self.classes,
            device=self.config.device,
        )

    def save(self, folder) -> Path:
        """Write checkpoint and ``history.csv`` into ``folder``; return the former."""
        path = Path(folder) / storage.LAST
        arrays = {f"model.{k}": v.data for k, v in self.model.state_dict().items()}
        state = self.optimizer.state_arrays()
        arrays |= {f"optimizer.{k}": v for k, v in state.items()}
        arrays |= {
            "losses": self.losses,
            "epoch_losses": self.epoch_losses,
            "epoch_hits": self.epoch_hits,
        }
        meta = {
            "config": asdict(self.config),
            "data": _fingerprint(self.images),
            "images": {
                "shape": list(self.images.shape),
                "classes": self.images.classes,
                "mean": list(self.images.mean),
                "std": list(self.images.std),
            },
            "epoch": self.epoch,
            "batch": self.batch,
            "epoch_lr": self.epoch_lr,
            "history": self.history,
            "optimizer": self.optimizer.state_scalars(),
            "schedule": self.schedule.state(),
            "random": random.get_state(),
        }
        arrays = {name: backend.asnumpy(array) for name, array in arrays.items()}
        storage.save(path, arrays, meta)
        files.atomic_write(Path(folder) / "history.csv", self.history_csv())
        return path

    def history_csv(self) -> str:
        """The history as CSV text, floats written so that they read back exactly."""
        out = io.StringIO()
        names = [
            "epoch",
            "lr",
            "train_loss",
            "train_accuracy",
            "test_loss",
            "test_accuracy",
            "images_per_second",
        ]
        rows = csv.DictWriter(out, names, lineterminator="\n")
        rows.writeheader()
        rows.writerows(self.history)
        return out.getvalue()

    @classmethod
    def resume(cls, path, images: data.Dataset | None = None, **changes):
        """A trainer that continues the checkpoint at ``path`` (a folder or a file).

        ``changes`` may move ``data`` or ``device`` and extend ``epochs``; whatever else
        defines the run stays as it was. Returns the trainer and a warning or None.
        """
        arrays, meta, _, warning = storage.resolve(path)
        config = config_of(meta, path)
        for name, value in changes.items():
            if name not in ("data", "device", "epochs") and value != getattr(
                config, name
            ):
                raise ArgumentError(
                    f"resume: {name} is {getattr(config, name)!r} in this "
                    f"run and cannot become {value!r}"
                )
        config, done = replace(config, **changes), meta.get("epoch", 0)
        if config.epochs < done:
            raise ArgumentError(
                f"resume: epochs must be >= {done}, which are done; got {config.epochs}"
            )
        trainer = cls(config, images)
        if meta.get("data") != _fingerprint(trainer.images):
            raise CheckpointError(
                f"resume: the data must be what {path} was trained on; "
                f"{trainer.images.name} differs from it"
            )
        trainer._restore(arrays, meta)
        return trainer, warning

    def _restore(self, arrays, meta):
        try:
            load_weights(self.model, arrays)
            state = {
                k.removeprefix("optimizer."): v
                for k, v in arrays.items()
                if k.startswith("optimizer.")
            }
            self.optimizer.load_state(state, meta["optimizer"])
            self.schedule.load_state(meta["schedule"])
            self.epoch, self.batch = meta["epoch"], meta["batch"]
            self.history, self.losses = meta["history"], arrays["losses"]
            self.epoch_lr = meta["epoch_lr"]
            self.epoch_losses[:] = backend.asarray(
                arrays["epoch_losses"], None, self.config.device
            )
            self.epoch_hits[:] = backend.asarray(
                arrays["epoch_hits"], None, self.config.device
            )
            random.set_state(meta["random"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"resume: checkpoint must hold a whole run; {error!r}"
            ) from error

    @contextmanager
    def interruptible(self):
        """Ctrl-C or SIGTERM: stop after the batch; twice: stop now."""

        def ask(signum, frame):
            if self.stop_requested:
                raise KeyboardInterrupt
            self.stop_requested = True

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def fit(
        self, folder=None, on_batch=lambda trainer: None, on_epoch=lambda row: None
    ):
        """Train to the end, saving into ``folder`` (if given) at the start, after every
        epoch and when interrupted; return whether the run finished."""
        with self.interruptible():
            if folder is not None:
                self.save(folder)
            while not self.finished and not self.stop_requested:
                row = self.run_epoch(on_batch)
                if folder is not None:
                    self.save(folder)
                if row is not None:
                    on_epoch(row)
        return self.finished
