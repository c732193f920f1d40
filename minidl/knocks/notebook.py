"""``minidl.knocks.check("k039")``: a verdict in a notebook or a script."""

from ..errors import ArgumentError, MinidlError
from .catalogue import Entry, find

# Legible on a light page and on a dark one; text keeps the page's own colour.
COLOURS = {
    "solved": "#2e9e4f",
    "passed": "#2e9e4f",
    "wrong": "#d9534f",
    "todo": "#8a8f98",
    "skipped": "#c08a1e",
}
_runner = None


def grade(runner, entry: Entry, path=None, **options):
    """`Runner.grade`; once more if the process behind it had just died."""
    try:
        return runner.grade(entry, path, **options)
    except BrokenPipeError:
        return runner.grade(entry, path, **options)


class Checked:
    """One knock's verdict, as it is read.

    ``state``, ``points``, ``of``, ``results`` and ``seed`` are those of the
    `runner.Verdict` in ``verdict``; ``solved`` says in one word whether all is well.
    """

    def __init__(self, verdict, entry: Entry, note: str | None = None):
        self.verdict, self.entry, self.note = verdict, entry, note

    def __getattr__(self, name):
        if name.startswith("_") or name == "verdict":
            raise AttributeError(name)
        return getattr(self.verdict, name)

    @property
    def solved(self) -> bool:
        return self.verdict.state == "solved"

    @property
    def _again(self) -> str:
        return f'check("{self.entry.name}", seed={self.verdict.seed})'

    def __repr__(self) -> str:
        from . import messages

        text = messages.in_full(self.verdict, self.entry, again=self._again)
        return f"{text}\n{self.note}" if self.note else text

    def _repr_html_(self) -> str:
        import html

        from . import messages

        verdict, entry = self.verdict, self.entry
        rows = "".join(
            f'<div>{_badge(state)} <span style="color:inherit">'
            f"{html.escape(sentence)}</span></div>"
            for state, sentence in messages.checklist(verdict)
        )
        words = messages.explanation(verdict, entry, again=self._again)
        words = "\n\n".join(filter(None, [words, self.note]))
        block = (
            '<pre style="margin:8px 0 0;padding:8px;white-space:pre-wrap;'
            'color:inherit;background:rgba(128,128,128,.15)">'
            f"{html.escape(words)}</pre>"
        )
        return (
            '<div style="border-left:4px solid '
            f'{COLOURS[verdict.state]};padding:4px 12px;color:inherit">'
            f"<div><b>{html.escape(f'{entry.name} {entry.title}')}</b> "
            f"{_badge(verdict.state)} {verdict.points} of {verdict.of} points</div>"
            f"{rows}{block if words else ''}</div>"
        )


def _badge(state: str) -> str:
    return (
        f'<span style="display:inline-block;min-width:4em;text-align:center;'
        f'border-radius:3px;color:#fff;background:{COLOURS[state]}">{state}</span>'
    )


def check(name: str, source: str | None = None, seed: int | None = None) -> Checked:
    """Grade a knock's exercise, or ``source`` in its place, and return the verdict.

    The verdict on the exercise is kept in the learner's progress, that on ``source``
    is not; ``seed`` draws the same numbers again.

    Raises: UnknownNameError, with the nearest names; KnockError without knocks here.
    """
    from . import progress
    from .runner import Runner

    global _runner
    if source is not None and not isinstance(source, str):
        kind = type(source).__name__
        raise ArgumentError(f"check: source must be a text; got {kind}")
    entry = find(str(name))
    if _runner is None:
        _runner = Runner()
    verdict = grade(_runner, entry, seed=seed, source=source)
    note = None
    if source is None:
        try:
            note = progress.note(entry.root, {entry: verdict})
        except MinidlError as error:
            note = f"not noted in the progress: {error}"
    return Checked(verdict, entry, note)
