"""What a learner reads: one verdict in text."""

import textwrap

from .catalogue import Entry
from .runner import Result, Verdict

STYLES = {"passed": "green", "wrong": "red", "todo": "", "skipped": "yellow"}


def of_check(result: Result, verdict: Verdict, entry: Entry, first: bool) -> str:
    """Why one check failed; ``first``: with the diagnosis and what was printed."""
    lines = _why(result, verdict, f"{entry.name} {entry.title}: ", first)
    if first:
        again = f"pytest exercises -k {entry.name} --knock-seed {verdict.seed}"
        lines += ["", *_footer(entry, again)]
    return "\n".join(lines)


def _why(result: Result, verdict: Verdict, before: str, first: bool) -> list[str]:
    """The check in a sentence, and what is wrong; inputs are shown for the first."""
    message = result.message if first else result.message.split("\n  with\n")[0]
    lines = [textwrap.fill(f"{before}{result.sentence}", 78), "", message]
    if first and verdict.diagnosis:
        lines += ["", textwrap.fill(f"Probably: {verdict.diagnosis}.", 78)]
    if first and verdict.printed.strip():
        shown = verdict.printed.rstrip().split("\n")
        more = [f"  ... {len(shown) - 20} more lines"] if len(shown) > 20 else []
        lines += ["", "It printed:", *(f"  {line}" for line in shown[:20]), *more]
    return lines


def _footer(entry: Entry, again: str) -> list[str]:
    return [f"The same numbers again: {again}", f"A nudge: minidl hint {entry.name}"]


def summary(verdict: Verdict, entry: Entry) -> str:
    """One line: k021 Convolution by loops: wrong, 1 of 3 points."""
    points = f"{verdict.points} of {verdict.of} points"
    skipped = [r for r in verdict.results if r.state == "skipped"]
    note = f" ({len(skipped)} skipped: {skipped[0].message})" if skipped else ""
    return f"{entry.name} {entry.title}: {verdict.state}, {points}{note}"


def checklist(verdict: Verdict) -> list[tuple[str, str]]:
    """(state, sentence) of every check."""
    return [(result.state, result.sentence) for result in verdict.results]


def explanation(
    verdict: Verdict, entry: Entry, again: str | None = None, every: bool = False
) -> str:
    """Why it is not solved yet: the first wrong check, or ``every`` one; "" if it is.

    ``again``: the command that grades with the same numbers.
    """
    wrong = [r for r in verdict.results if r.state == "wrong"]
    if not wrong:
        waiting = dict.fromkeys(r.message for r in verdict.results if r.state == "todo")
        return "\n".join(waiting)
    said, parts = set(), []
    for result in wrong if every else wrong[:1]:
        if result.message in said:
            continue  # an error on import is that of every check
        said.add(result.message)
        parts.append("\n".join(_why(result, verdict, "", not parts)))
    if again:
        parts.append("\n".join(_footer(entry, again)))
    return "\n\n".join(parts)


def in_full(verdict: Verdict, entry: Entry, **options) -> str:
    """A verdict as plain text: its checks, what is wrong, and the sum."""
    lines = [f"  {state:<7}  {sentence}" for state, sentence in checklist(verdict)]
    words = explanation(verdict, entry, **options)
    return "\n".join(
        [*lines, *(["", words] if words else []), "", summary(verdict, entry)]
    )
