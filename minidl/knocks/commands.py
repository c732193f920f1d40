"""The knock commands of ``minidl``: thin, they call and print."""

import sys
from pathlib import Path

from ..errors import ArgumentError, MinidlError
from . import board as boards
from .catalogue import Entry, KnockError, all_knocks, find, root_of


def start(console) -> bool:
    """Show the board, if there are knocks; whether there are."""
    try:
        root = root_of()
    except KnockError:
        return False
    if not all_knocks(root):
        return False
    found = boards.gather(root)
    boards.draw(found, console)
    _say(found.warning)
    return True


def _say(warning: str | None) -> None:
    """Print progress' warning, if there is one; pipes carry what was asked for."""
    if warning:
        print(warning, file=sys.stderr)


def _root() -> Path:
    """Where the knocks are; says so if progress had to be set aside."""
    from . import progress

    root = root_of()
    _say(progress.load(root)[1])
    return root


def _note(root: Path, verdicts: dict) -> None:
    """Keep verdicts; that they cannot be kept changes nothing about them."""
    from . import progress

    try:
        _say(progress.note(root, verdicts))
    except MinidlError as error:
        _say(f"not noted in the progress: {error}")


def _list(args, console):
    found = boards.gather(root_of())
    boards.lines(boards.chosen(found, args.words), console)
    _say(found.warning)


def _hint(args, console):
    from . import show

    _say(show.hint(find(args.knock, _root()), console, args.all))


def _look(entry: Entry, args) -> bool:
    """Whether to show a solution: asked only if that spoils something."""
    from . import progress, show

    done, _ = progress.load(entry.root)
    row = done.get(entry.name)
    spoiled = progress.is_solved(entry, done) or (row is not None and row.revealed)
    if args.yes or spoiled or not show.at_terminal():
        return True
    return show.agreed(f"Show the solution of {entry.name} and mark it as revealed?")


def _reveal(args, console):
    from . import show

    entry = find(args.knock, _root())
    if not _look(entry, args):
        return 1
    said = show.seen(entry)
    show.reveal(entry, console)
    _say(said)


def _diff(args, console):
    from . import show

    entry = find(args.knock, _root())
    if not _look(entry, args):
        return 1
    said = show.seen(entry)
    show.difference(entry, console)
    _say(said)


def _reset(args, console):
    from . import progress, show

    entry = find(args.knock, _root())
    if not args.yes and show.written(entry):
        if not show.at_terminal():
            raise ArgumentError("reset: without a terminal to ask at, say --yes")
        if not show.agreed(f"Write the stub of {entry.name} back (yours is kept)?"):
            return 1
    backup = show.restore(entry)
    if backup is not None:
        show.plain(console, f"what was there is kept: {boards.shown(backup)}")
    show.plain(console, f"the stub is back: {boards.shown(entry.exercise)}")
    _say(progress.mark(entry.root, entry, state="todo", points=0, hints=0))


def _grade(args, console):
    from . import show
    from .notebook import grade
    from .runner import Runner

    root = root_of()
    entries = list(dict.fromkeys(find(name, root) for name in args.knocks))
    entries = entries or [_next_of(root)]
    runner, verdicts = Runner(), {}
    try:
        for entry in entries:
            show.heading(entry, console)
            with show.busy(console):
                options = {"seed": args.seed, "mine": args.mine}
                verdict = verdicts[entry] = grade(runner, entry, **options)
            again = f"minidl check {entry.name} --seed {verdict.seed}"
            show.verdict(verdict, entry, console, again, every=True)
            if entry is not entries[-1]:
                console.print()
    finally:
        runner.close()
        if verdicts:
            _note(root, verdicts)
    return int(any(verdict.state != "solved" for verdict in verdicts.values()))


def _next_of(root: Path) -> Entry:
    """The next knock. Raises: KnockError if none is left."""
    following = boards.gather(root).next()
    if following is None:
        raise KnockError("no knock is open: all are solved; 'minidl drill' drills one")
    return following


def _watch(args, console):
    from . import watch
    from .runner import Runner

    root = root_of()
    entry = find(args.knock, root) if args.knock else _next_of(root)
    runner = Runner()
    try:
        return watch.run(entry, runner, console)
    finally:
        runner.close()


def _drill(args, console):
    from . import drill, show

    root = _root()
    entry = drill.pending(root)
    if args.check:
        if entry is None:
            raise KnockError("drill: none is open; 'minidl drill' opens one")
        return _grade_drill(entry, args, console)
    if entry is not None and args.skip:
        backup = drill.put_by(entry)
        if backup is not None:
            show.plain(console, f"what was there is kept: {boards.shown(backup)}")
        entry = None
    if entry is None:
        entry = drill.pick(root, args.seed)
        drill.start(entry)
        show.plain(console, "Once more, from nothing:")
    else:
        show.plain(console, "This drill is still open (--skip leaves it):")
    show.heading(entry, console, drill.file_of(entry))
    show.plain(console, "\nWrite it there; then: minidl drill --check")


def _grade_drill(entry: Entry, args, console):
    from . import drill, show
    from .notebook import grade
    from .runner import Runner

    path, runner = drill.file_of(entry), Runner()
    show.heading(entry, console, path)
    try:
        with show.busy(console):
            verdict = grade(runner, entry, path, seed=args.seed)
    finally:
        runner.close()
    again = f"minidl drill --check --seed {verdict.seed}"
    show.verdict(verdict, entry, console, again)
    if verdict.state != "solved":
        return 1
    backup = drill.passed(entry)
    if backup is not None:
        show.plain(console, f"Still solved. It is kept as {boards.shown(backup)}")
    return 0


def author(args, console):
    """``minidl author new|sync|check``."""
    from . import author as tools

    root = root_of()
    if args.action == "new":
        if not args.names or not args.track:
            raise ArgumentError("author new: say a name and --track, for example k042")
        entry = tools.new(root, args.names[0], args.track, args.title)
        for path in (entry.solution, entry.grader, entry.exercise):
            console.print(str(path.relative_to(root)))
        return 0
    if args.action == "sync":
        written, left = tools.sync(root, args.force)
        for entry in written:
            console.print(f"{entry.exercise.relative_to(root)}: written")
        for entry in left:
            console.print(f"{entry.exercise.relative_to(root)}: begun, left alone")
        return 1 if left else 0
    return _check(args, console, root)


def _check(args, console, root: Path):
    from . import prove

    names = [find(name, root) for name in args.names]
    entries = names or all_knocks(root)
    seeds = args.seeds or prove.SEEDS
    wrong_seeds = min(args.seeds or prove.WRONG_SEEDS, prove.WRONG_SEEDS)
    wrongs = killed = bad = 0
    proofs = prove.prove_all(entries, seeds, wrong_seeds, args.workers)
    for entry, proof in zip(entries, proofs):
        wrongs, killed = wrongs + proof.wrongs, killed + proof.killed
        bad += bool(proof.faults)
        verdict = "FAULTY" if proof.faults else "ok"
        console.print(f"{entry.stem}: {verdict}, {proof.killed}/{proof.wrongs} killed")
        for fault in proof.faults:
            console.print(f"    {fault}", markup=False, soft_wrap=True)
    console.print(
        f"{len(entries)} knocks, {seeds} seeds each: {bad} faulty; wrong answers "
        f"killed on each of {wrong_seeds} seeds: {killed} of {wrongs}"
    )
    return 1 if bad else 0


def add(command) -> None:
    """Add the knock commands to the parser; ``command(name, run, help)`` makes one."""
    sub = command("list", _list, "List the knocks: plain lines, one each.")
    sub.add_argument(
        "words",
        nargs="*",
        metavar="TRACK|STATE",
        help="only these: c_convolution (or c), solved, wrong, todo, revealed, stale",
    )
    sub = command("check", _grade, "Grade knocks (default: the next one).")
    sub.add_argument("knocks", nargs="*", metavar="KNOCK", help="for example k021")
    _seed(sub)
    sub.add_argument(
        "--mine",
        action="store_true",
        help="what it builds on is yours where that is solved",
    )
    sub = command("watch", _watch, "Grade a knock on every save (default: the next).")
    sub.add_argument("knock", nargs="?", metavar="KNOCK")
    sub = command("hint", _hint, "Show the next hint of a knock.")
    sub.add_argument("knock", metavar="KNOCK")
    sub.add_argument("--all", action="store_true", help="show all hints")
    sub = command(
        "reveal", _reveal, "Show a knock's solution, and mark it as revealed."
    )
    _sure(sub)
    sub = command("diff", _diff, "Compare your answer with the solution: reveals it.")
    _sure(sub)
    sub = command("reset", _reset, "Write a knock's stub back; your text is kept.")
    _sure(sub)
    sub = command(
        "drill",
        _drill,
        "Solve again, in exercises/drill/, what was solved longest ago.",
    )
    sub.add_argument("--check", action="store_true", help="grade the open drill")
    sub.add_argument("--skip", action="store_true", help="leave it for another one")
    _seed(sub)
    sub = command("author", author, "Make and prove knocks (for their authors).")
    sub.add_argument("action", choices=["new", "sync", "check"])
    sub.add_argument("names", nargs="*", metavar="KNOCK")
    sub.add_argument("--track", help="folder of a new knock, for example e_fastfood")
    sub.add_argument("--title", default="title", help="rest of a new knock's file name")
    sub.add_argument("--seeds", type=int, help="check: how many (default 200)")
    sub.add_argument("--workers", type=int, help="check: processes (default: the CPUs)")
    sub.add_argument("--force", action="store_true", help="sync: also begun exercises")


def _seed(sub) -> None:
    sub.add_argument(
        "--seed", type=int, metavar="N", help="draw the same numbers again"
    )


def _sure(sub) -> None:
    sub.add_argument("knock", metavar="KNOCK")
    sub.add_argument("--yes", action="store_true", help="do not ask")
