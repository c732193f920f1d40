"""The proof that a grader lets no known wrong answer pass: ``minidl author check``."""

import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from copy import copy
from dataclasses import dataclass, field
from multiprocessing import get_context

from . import author
from .answer import Unwritten
from .catalogue import Entry, read
from .checks import brisk
from .child import Job, closest, failures, first_failure, match, of_wrong
from .grader import Mistake

SEEDS, WRONG_SEEDS, LATE_SEEDS = 200, 20, 3
WRONGS = 5  # that every grader must know at least


@dataclass
class Proof:
    """What was found for one knock; ``faults`` is empty if all holds."""

    name: str
    faults: list[str] = field(default_factory=list)
    wrongs: int = 0
    killed: int = 0  # wrong answers that failed on every seed


def prove(entry: Entry, seeds=SEEDS, wrong_seeds=WRONG_SEEDS) -> Proof:
    """Stub in step and todo; solution right on all seeds; every wrong answer caught.

    A wrong answer must fail on each seed, and the diagnosis shown must be its own.
    Checks that are late are asked on a few seeds only, and after the first seeds the
    solution is called once for each input, not again and again.
    """
    proof = Proof(entry.name)
    job = Job(entry, entry.solution, 0)
    if not entry.exercise.is_file() or read(entry.exercise) != author.stub(entry):
        proof.faults.append("the exercise is not the solution's stub: author sync")
    if len(job.grader.hints) != 3:
        proof.faults.append(f"there must be 3 hints; got {len(job.grader.hints)}")
    entry.title, entry.stars, entry.minutes, entry.needs  # raise if malformed
    _prove_stub(job, proof)
    for seed in range(seeds):
        # That a second call gives the same does not depend on hundreds of draws.
        with nullcontext() if seed < WRONG_SEEDS else brisk():
            failed = _of(job, entry.text, seed, seed < LATE_SEEDS)
        for i, mistake in failed.items():
            check = job.grader.checks[i].name
            text = mistake.message.split("\n", 1)[0]
            proof.faults.append(f"the solution fails {check} with seed {seed}: {text}")
            break
    _prove_wrongs(job, proof, wrong_seeds)
    return proof


def _of(job, source, seed, late, name="solution") -> dict:
    """The failures of a text with a seed; a text that does not run fails the first."""
    other = job.with_source(source, f"<{name}>")
    other.seed = seed
    try:
        return failures(other, other.answer(), late)
    except Mistake as mistake:
        return {0: mistake}


def _prove_stub(job, proof):
    other = job.with_source(author.stub(job.entry), "<stub>")
    answer = other.answer()
    for check in job.grader.checks:
        try:
            other.ask(check, answer)
        except Unwritten:
            continue
        except Mistake as mistake:
            text = mistake.message.split("\n", 1)[0]
            proof.faults.append(
                f"the stub does not read as todo in {check.name}: {text}"
            )
        else:
            proof.faults.append(f"the stub passes {check.name}")


def _prove_wrongs(job, proof, seeds):
    wrongs = job.grader.wrongs
    proof.wrongs = len(wrongs)
    if len(wrongs) < WRONGS:
        proof.faults.append(f"there must be {WRONGS} wrong answers; got {len(wrongs)}")
    for wrong in wrongs:
        try:
            wrong.apply(job.entry.text)
        except ValueError as error:
            proof.faults.append(str(error))
            return
    alive, mistaken = set(), {}
    for seed in range(seeds):
        numbers = copy(job)
        numbers.seed, late = seed, seed < LATE_SEEDS
        firsts = [of_wrong(numbers, wrong, first_failure, late) for wrong in wrongs]
        for wrong, first in zip(wrongs, firsts):
            if first is None:
                if late or not _only_late(job, wrong):
                    alive.add(wrong.name)
                continue
            alike = [
                other
                for other, found in zip(wrongs, firsts)
                if found and found[0] == first[0] and match(found[1], first[1])
            ]
            if alike != [wrong]:
                known = [(w, of_wrong(numbers, w, failures, late)) for w in alike]
                shown = closest(dict(known)[wrong], known)
                if shown is not wrong:
                    mistaken.setdefault(wrong.name, (shown and shown.name, seed))
    proof.killed = len(wrongs) - len(alive)
    for name in sorted(alive):
        proof.faults.append(f"the wrong answer {name!r} passes")
    for name, (shown, seed) in mistaken.items():
        proof.faults.append(
            f"the wrong answer {name!r} is shown the diagnosis of {shown!r} "
            f"(seed {seed})"
        )


def _only_late(job, wrong) -> bool:
    """Whether a wrong answer is one that only a late check catches."""
    return of_wrong(job, wrong, first_failure, False) is None


def proof_of(entry: Entry, seeds: int, wrong_seeds: int) -> Proof:
    """`prove` where ``solutions`` can be imported; what it raises is a fault."""
    sys.path.insert(0, str(entry.root))
    try:
        with warnings.catch_warnings():  # wrong answers overflow, divide by zero, ...
            warnings.simplefilter("ignore")
            return prove(entry, seeds, wrong_seeds)
    except Exception as error:
        return Proof(entry.name, [f"{type(error).__name__}: {error}"])
    finally:
        sys.path.remove(str(entry.root))


def prove_all(entries, seeds=SEEDS, wrong_seeds=WRONG_SEEDS, workers=None):
    """The proofs, in order, each as soon as it is there; ``workers`` at a time."""
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = [pool.submit(proof_of, e, seeds, wrong_seeds) for e in entries]
        for job in jobs:
            yield job.result()
