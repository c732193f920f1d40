"""``minidl bench conv --explain SHAPE``: the algorithm taken for a shape, and why."""

from ..kernels import conv
from .shapes import Shape

PASSES = {
    "forward": "forward",
    "input": "input gradient",
    "weight": "weight gradient",
}


def explain(console, text: str) -> None:
    """Print what is chosen for the three passes, and the whole table of choices.

    Raises: ArgumentError for a SHAPE that makes no sense.
    """
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    shape = Shape.parse(text)
    sizes = [("x", shape.x), ("w", shape.w), ("y", shape.y)]
    console.print(
        f"{shape}\n"
        + "  ".join(f"{name} {'x'.join(map(str, size))}" for name, size in sizes)
        + f"  {shape.flop / 1e9:.3g} GFLOP, {shape.flop / shape.bytes:.1f} FLOP/byte",
        markup=False,
    )
    chosen = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("pass", "algorithm"):
        chosen.add_column(name, no_wrap=True)
    chosen.add_column("why", overflow="fold")
    for name, title in PASSES.items():
        choice = conv.choose(
            name,
            shape.x,
            shape.w,
            shape.stride,
            shape.pads,
            shape.dilation,
            shape.groups,
        )
        chosen.add_row(title, escape(choice.algorithm), escape(choice.reason))
    console.print(chosen)
    console.print()
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        title="all choices, the first that fits is taken",
        title_justify="left",
    )
    table.add_column("when", overflow="fold")
    table.add_column("algorithm", no_wrap=True)
    table.add_column("why", overflow="fold")
    for choice in conv.CHOICES:
        table.add_row(*map(escape, (choice.when, choice.algorithm, choice.reason)))
    console.print(table)
