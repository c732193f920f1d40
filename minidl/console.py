"""What a person sees of a training run: progress, tables, curves and pictures in text.

On a terminal a progress bar moves; in a pipe there is one plain line an epoch.
"""

from pathlib import Path

import numpy as np

from . import pictures
from .errors import MinidlError


def make_console(stderr: bool = False):
    """A rich console; without a terminal its width is 80 columns."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=False)


class Progress:
    """The callbacks of `Trainer.fit` that show how it goes."""

    def __init__(self, console, trainer):
        self.console, self.trainer, self.bar, self.task = console, trainer, None, None

    def __enter__(self):
        if self.console.is_terminal:
            from rich.progress import (
                BarColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.text import Text

            class Lines(Progress):
                """The bar, and below it what the model's layers say of themselves."""

                def get_renderables(bar):
                    yield from super().get_renderables()
                    for status in (task.fields["status"] for task in bar.tasks):
                        if status:
                            text = f"  {status}"
                            yield Text(text, overflow="ellipsis", no_wrap=True)

            self.bar = Lines(
                TextColumn("epoch {task.fields[epoch]}"),
                BarColumn(bar_width=None),
                TextColumn("{task.fields[rate]:>6,.0f} images/s"),
                TextColumn(
                    "loss {task.fields[loss]:.3f}  acc {task.fields[accuracy]:.3f}"
                ),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
            )
            config, loader = self.trainer.config, self.trainer.loader
            self.task = self.bar.add_task(
                "train",
                total=config.epochs * len(loader),
                completed=self.trainer.epoch * len(loader) + self.trainer.batch,
                epoch=self._epoch(),
                status=self.trainer.status(),
                rate=0.0,
                loss=0.0,
                accuracy=0.0,
            )
            self.bar.start()
        return self

    def __exit__(self, *exc):
        if self.bar is not None:
            self.bar.stop()

    def _epoch(self):
        return f"{self.trainer.epoch + 1}/{self.trainer.config.epochs}"

    def on_batch(self, trainer):
        """Move the bar; read losses back only about ten times a second."""
        if self.bar is None:
            return
        task = self.bar.tasks[0]
        self.bar.update(self.task, advance=1)
        now = self.bar.get_time()
        if now - getattr(self, "shown", 0.0) > 0.1:
            self.shown = now
            loss, accuracy = trainer.progress()
            self.bar.update(
                self.task,
                epoch=self._epoch(),
                status=trainer.status(),
                loss=loss,
                accuracy=accuracy,
                rate=(task.speed or 0.0) * trainer.config.batch,
            )

    def on_epoch(self, row):
        """One line: what the epoch reached; one more where layers have a status."""
        epochs = self.trainer.config.epochs
        self.console.print(
            f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  "
            f"loss {row['train_loss']:.4f} acc {row['train_accuracy']:.4f}  "
            f"test loss {row['test_loss']:.4f} acc {row['test_accuracy']:.4f}  "
            f"{row['images_per_second']:,.0f} img/s"
        )
        if status := self.trainer.status():
            self.console.print(f"        {status}", markup=False)


def confusion_table(confusion: np.ndarray, classes: list[str]):
    """Rows are true classes, columns predictions; over 12 classes: the worst pairs."""
    from rich.table import Table

    if len(classes) > 12:
        table = Table("true", "predicted", "images", title="most frequent confusions")
        wrong = confusion - np.diag(np.diag(confusion))
        for at in np.argsort(wrong, axis=None)[::-1][:10]:
            i, j = np.unravel_index(at, wrong.shape)
            table.add_row(classes[i], classes[j], str(wrong[i, j]))
        return table
    table = Table(
        title="confusion (rows: true class, columns: predicted)",
        padding=(0, 0),
        collapse_padding=True,
    )
    table.add_column("", no_wrap=True)
    for name in classes:
        table.add_column(name[:4], justify="right", no_wrap=True)
    table.add_column("right", justify="right")
    for i, name in enumerate(classes):
        row = confusion[i]
        cells = [
            f"[bold]{n}[/]" if i == j else str(n) if n else "·"
            for j, n in enumerate(row)
        ]
        share = f"{row[i] / row.sum():.0%}" if row.sum() else "-"
        table.add_row(name[:12], *cells, share)
    return table


def save_curves(folder, history: list[dict]) -> Path | None:
    """Loss and accuracy by epoch as ``curves.png``; None without matplotlib."""
    try:
        figure = pictures.new_figure()
    except MinidlError:
        return None
    epochs = [row["epoch"] for row in history]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        for part, style in (("train", "--"), ("test", "-")):
            values = [row[f"{part}_{name}"] for row in history]
            axes.plot(epochs, values, style, marker="o", markersize=3, label=part)
        axes.set_xlabel("epoch")
        axes.set_title(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return pictures.save(figure, Path(folder) / "curves.png")


def draw_image(image: np.ndarray) -> str:
    """An image (C, H, W) of 0..255 as text: two rows of pixels a line."""
    shades = " ░▒▓█"
    gray = image.mean(axis=0)
    gray = gray[: len(gray) // 2 * 2]
    rows = (gray[0::2] + gray[1::2]) / 2
    return "\n".join("".join(shades[int(v * 4.99 / 255)] for v in row) for row in rows)
