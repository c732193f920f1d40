"""Checks of what constructors are given; every message names layer and argument."""

from ..errors import ArgumentError


def whole(where: str, name: str, value, least: int = 1) -> int:
    """``value`` if it is an integer >= ``least``."""
    if not hasattr(value, "__index__") or isinstance(value, bool) or value < least:
        raise ArgumentError(
            f"{where}: {name} must be an integer >= {least}; got {value!r}"
        )
    return int(value)


def number(where: str, name: str, value, low: float, high: float) -> float:
    """``value`` if it is a number in [low, high]."""
    real = hasattr(value, "__float__") or hasattr(value, "__index__")
    if not real or not low <= value <= high:
        raise ArgumentError(
            f"{where}: {name} must be a number in [{low}, {high}]; got {value!r}"
        )
    return value


def divides(where: str, groups, *, called: str = "groups", **channels: int) -> int:
    """``groups`` if it divides every one of the named ``channels``."""
    whole(where, called, groups)
    for name, count in channels.items():
        if count % groups:
            raise ArgumentError(
                f"{where}: {called} must divide {name} {count}; got {groups}"
            )
    return groups
