"""What ``minidl bench SUITE`` accepts; light, since every command line loads it."""

import argparse
from collections.abc import Callable

SUITES = {
    "engine": "tiny ops, training steps, memory and start-up",
    "conv": "convolutions: dense, grouped, depthwise; a grid of 40 shapes",
    "shift": "channels moved by whole pixels",
    "fwht": "the fast Walsh-Hadamard transform",
    "fastfood": "trained Fastfood layers beside dense ones",
    "dynamic": "kernels mixed for each image, and blocks left out",
    "train": "whole training steps of networks: time and peak memory",
}


def add(bench: argparse.ArgumentParser, integer: Callable) -> None:
    """Give the command its suites and their options; ``integer`` parses a number."""
    suites = bench.add_subparsers(dest="suite", metavar="SUITE", required=True)
    for name, about in SUITES.items():
        suite = suites.add_parser(name, help=about, description=about.capitalize())
        option = suite.add_argument
        option(
            "--debug",
            action="store_true",
            default=argparse.SUPPRESS,
            help="show tracebacks",
        )
        option(
            "--rounds",
            type=integer,
            default=15,
            help="pairs of timings of each row (default 15)",
        )
        option("--json", metavar="FILE", help="also write the figures to FILE")
        option("--threads", type=integer, help="default: what minidl uses")
        if name == "engine":
            continue
        option("--plot", metavar="FILE.png", help="draw a roofline plot")
        option("--device", default="cpu", help="cpu (default) or cuda")
        if name == "conv":
            option(
                "--only", choices=["bars", "grid"], help="measure one of the two parts"
            )
            option(
                "--explain",
                metavar="SHAPE",
                help="only say which algorithm is taken and why; SHAPE like "
                "64x32x28x28,out=64,k=3,s=2,p=1,d=1,g=32",
            )
