"""The command line: parses, calls, and turns minidl's errors into one sentence."""

import argparse
import sys
from contextlib import suppress
from pathlib import Path

from . import __version__
from .backend import check_device
from .bench import options
from .errors import ArgumentError, MinidlError, ShapeError
from .experiments import commands as commands_of_experiments
from .knocks import commands as commands_of_knocks

UNSET = argparse.SUPPRESS  # options left out do not appear: a resumed run keeps its own


def _number(kind):
    def parse(text):
        try:
            return kind(text)
        except ValueError:
            noun = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"must be {noun}; got {text!r}") from None

    return parse


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(
        prog="minidl",
        description="Deep learning from first principles: train, evaluate, measure.",
    )
    top.add_argument("--version", action="version", version=f"minidl {__version__}")
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")

    def command(name, run, help, **options):
        sub = commands.add_parser(name, help=help, description=help, **options)
        sub.add_argument(
            "--debug", action="store_true", default=UNSET, help="show tracebacks"
        )
        sub.set_defaults(run=run)
        return sub

    train = command("train", _train, "Train a model; without MODEL, list the models.")
    train.add_argument("model", nargs="?", metavar="MODEL")
    train.add_argument(
        "--data",
        default=UNSET,
        help="data set name, folder or .npz file "
        "(default: the embedded fashion-mnist-mini)",
    )
    train.add_argument(
        "--epochs", type=_number(int), default=UNSET, help="default 10"
    )
    train.add_argument("--batch", type=_number(int), default=UNSET, help="default 64")
    train.add_argument(
        "--lr", type=_number(float), default=UNSET, help="learning rate"
    )
    train.add_argument(
        "--optimizer", default=UNSET, help="sgd, nesterov, rmsprop, adam or adamw"
    )
    train.add_argument(
        "--schedule",
        default=UNSET,
        help="constant, cosine (default), warmup-cosine, step or exponential",
    )
    train.add_argument("--weight-decay", type=_number(float), default=UNSET)
    train.add_argument("--seed", type=_number(int), default=UNSET, help="default 0")
    train.add_argument("--device", default=UNSET, help="cpu (default) or cuda")
    train.add_argument(
        "--out",
        metavar="DIR",
        help="folder of the run "
        "(default: runs/MODEL, or the next free runs/MODEL-2, ...)",
    )
    train.add_argument(
        "--resume",
        nargs="?",
        const="",
        metavar="DIR",
        help="continue the run in DIR (default: --out, or runs/MODEL)",
    )
    train.add_argument(
        "--mine",
        action="store_true",
        help="on your own convolution, pooling, batch norm, loss and optimiser, as far "
        "as their knocks are solved",
    )

    evaluate = command(
        "eval", _eval, "Evaluate a checkpoint on its data set's test images."
    )
    predict = command("predict", _predict, "Classify one image with a checkpoint.")
    for sub in (evaluate, predict):
        sub.add_argument("checkpoint", help="a run's folder or a .safetensors file")
        sub.add_argument("--data", help="data set name, folder or .npz file")
        sub.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    predict.add_argument("image", help="number of a test image, or a .png file")

    summary = command(
        "summary", _summary, "Show a model's layers, parameters and cost."
    )
    summary.add_argument("model", metavar="MODEL")
    summary.add_argument("--shape", default="1,28,28", help="C,H,W (default 1,28,28)")
    summary.add_argument("--classes", type=_number(int), default=10)

    sets = command("data", _data, "List the data sets, or fetch one.")
    sets.add_argument("action", choices=["list", "fetch"])
    sets.add_argument("name", nargs="?")
    sets.add_argument("--to", metavar="DIR", help="where to put the files")

    command("warmup", _warmup, "Compile all kernels ahead, for this machine.")

    commands_of_experiments.add(command, _number)
    commands_of_knocks.add(command)

    bench = command(
        "bench", _bench, "Measure minidl, against torch when it is installed."
    )
    options.add(bench, _number(int))
    return top


def _list_models(console):
    from rich.table import Table

    from . import models

    table = Table("model", "what it is", "optimizer", "lr", title="models to train")
    for entry in models.MODELS.values():
        table.add_row(entry.name, entry.about, entry.optimizer, f"{entry.lr:g}")
    console.print(table)


def _free_folder(model: str) -> Path:
    """runs/MODEL, or the first free runs/MODEL-k: no run is overwritten."""
    folder, k = Path("runs") / model, 2
    while folder.exists():
        folder, k = Path("runs") / f"{model}-{k}", k + 1
    return folder


def _train(args, console):
    if args.model is None and args.resume is None:
        return _list_models(console)
    if not args.mine:
        return _train_model(args, console)
    from .knocks import catalogue, mine

    with mine.installed(catalogue.root_of()) as lines:
        for line in lines:
            console.print(line)
        return _train_model(args, console)


def _train_model(args, console):
    from . import storage
    from .console import Progress, confusion_table, save_curves
    from .train import Config, Trainer

    names = (
        "model",
        "data",
        "epochs",
        "batch",
        "lr",
        "optimizer",
        "schedule",
        "weight_decay",
        "seed",
        "device",
    )
    given = {n: getattr(args, n) for n in names if getattr(args, n, None) is not None}
    if args.resume is not None:
        folder = Path(args.resume or args.out or Path("runs") / (args.model or ""))
        if not folder.is_dir():
            raise ArgumentError(
                f"train: --resume must name a run's folder; got {folder}"
            )
        trainer, warning = Trainer.resume(folder, **given)
        if warning:
            console.print(warning, style="yellow")
        at = f"resuming at epoch {trainer.epoch + 1}, batch {trainer.batch + 1}"
        done = f"finished after {trainer.epoch} epochs; --epochs continues it"
        console.print(f"{folder}: {done if trainer.finished else at}")
    else:
        config = Config(**given).completed()
        folder = Path(args.out) if args.out else _free_folder(config.model)
        if (folder / storage.LAST).exists():
            raise ArgumentError(
                f"train: --out must not hold a run yet; {folder} does: "
                f"continue it with --resume {folder}, or name another"
            )
        trainer = Trainer(config)
    config, images = trainer.config, trainer.images
    weights = sum(p.numel() for p in trainer.model.parameters())
    console.print(
        f"{config.model}: {weights:,} parameters; {images.name}: "
        f"{len(images.x_train):,} + {len(images.x_test):,} images"
    )
    console.print(
        f"{config.optimizer}, lr {config.lr:g} {config.schedule}, "
        f"batch {config.batch}, {config.epochs} epochs, seed {config.seed}, "
        f"{config.device}"
    )
    with Progress(console, trainer) as progress:
        finished = trainer.fit(folder, progress.on_batch, progress.on_epoch)
    picture = save_curves(folder, trainer.history) if trainer.history else None
    if not finished:
        console.print(f"stopped; saved. Continue with: minidl train --resume {folder}")
        return 130
    result = trainer.evaluate()
    console.print(confusion_table(result.confusion, images.classes))
    console.print(f"test accuracy {result.accuracy:.4f}")
    kept = f"{folder}: {storage.LAST}, history.csv"
    console.print(
        kept
        + (", curves.png" if picture else " (curves.png: pip install 'minidl\\[plot]')")
    )


def _loaded(args, console):
    """A checkpoint's model, its data and what prepares images for it."""
    from .data.transforms import ToFloat
    from .train import load_data, load_model

    model, meta, warning = load_model(args.checkpoint)
    if warning:
        console.print(warning, style="yellow")
    about = meta["images"]
    images = load_data(args.data or meta["config"]["data"])
    count = len(about["classes"])
    if list(images.shape) != about["shape"] or len(images.classes) != count:
        raise ShapeError(
            f"{args.command}: data must be {about['shape']} images of {count} "
            f"classes; got {list(images.shape)} of {len(images.classes)}"
        )
    model.to(check_device(args.device))
    return model, images, ToFloat(about["mean"], about["std"])


def _eval(args, console):
    from .console import confusion_table
    from .train import evaluate

    model, images, transform = _loaded(args, console)
    result = evaluate(
        model,
        images.x_test,
        images.y_test,
        transform,
        len(images.classes),
        device=args.device,
    )
    console.print(confusion_table(result.confusion, images.classes))
    console.print(
        f"{images.name}: test loss {result.loss:.4f}, accuracy "
        f"{result.accuracy:.4f} on {len(images.x_test):,} images"
    )


def _predict(args, console):
    from .console import draw_image
    from .predict import classify, read_image

    model, images, transform = _loaded(args, console)
    image, truth = read_image(args.image, images)
    console.print(draw_image(image), markup=False)
    if truth is not None:
        console.print(f"true class: {images.classes[truth]}")
    for share, k in classify(model, image, transform, args.device):
        console.print(
            f"{images.classes[k]:>14.14} {share:7.2%} {'█' * round(share * 40)}"
        )


def _summary(args, console):
    from . import models, nn

    try:
        shape = tuple(int(n) for n in args.shape.split(","))
    except ValueError:
        shape = ()
    if len(shape) != 3 or min(shape) < 1:
        raise ArgumentError(f"summary: --shape must be C,H,W; got {args.shape!r}")
    model = models.create(args.model, shape, args.classes)
    console.print(str(nn.summary(model, shape)), markup=False)


def _data(args, console):
    from . import data

    if args.action == "fetch":
        if not args.name:
            raise ArgumentError(
                "data fetch: a data set's name must be given; see data list"
            )
        from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

        with Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
        ) as bar:
            tasks = {}

            def show(file, done, total):
                if file not in tasks:
                    tasks[file] = bar.add_task(file)
                bar.update(tasks[file], completed=done, total=total)

            folder = data.fetch(args.name, args.to, show)
        console.print(f"{args.name} is in {folder}")
        return
    from rich.table import Table

    table = Table(title="data sets", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("images", no_wrap=True)
    table.add_column("where", overflow="fold")
    table.add_column("licence")
    for row in data.available():
        size = "x".join(map(str, row.shape))
        counts = f"{size}, {row.classes} classes\n{row.train:,} + {row.test:,}"
        table.add_row(row.name, counts, str(row.where), row.licence)
    console.print(table)


def _warmup(args, console):
    from . import warmup

    warmup.run(console)


def _bench(args, console):
    from .bench import explain, report

    if getattr(args, "explain", None) is not None:
        return explain.explain(console, args.explain)
    only = getattr(args, "only", None)
    parts = {"bars": only == "bars", "grid": only == "grid"} if only else {}
    return report.run(
        console,
        args.suite,
        rounds=args.rounds,
        json_file=args.json,
        plot_file=getattr(args, "plot", None),
        device=getattr(args, "device", "cpu"),
        threads=args.threads,
        **parts,
    )


def main(argv=None) -> int:
    """Run one command; 0 when it worked, 2 for an error (said in one sentence)."""
    top = parser()
    args = top.parse_args(argv)
    from .console import make_console

    if hasattr(sys.stdout, "reconfigure"):  # "?" where an encoding lacks a sign
        sys.stdout.reconfigure(errors="replace")
    try:
        if args.command is None:
            if not commands_of_knocks.start(make_console()):
                top.print_help()
            return 0
        status = args.run(args, make_console()) or 0
        sys.stdout.flush()  # here, where an error has a name, not when Python ends
        return status
    except MinidlError as error:
        if args.debug:
            raise
        print(f"minidl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("minidl: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        sys.stderr.close()
        return 141
    except (OSError, MemoryError) as error:  # standard output is full, memory too
        if args.debug:
            raise
        print(f"minidl: {type(error).__name__}: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # nor when Python ends: what it still holds is given up
            with suppress(OSError):
                sys.stdout.close()
        return 2
