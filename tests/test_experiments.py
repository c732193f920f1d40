"""Experiments: runs over seeds, verdicts on claims, and what a person sees of them."""

import csv
import io
import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

from minidl import cli, data, nn
from minidl.errors import MinidlError, MinidlWarning
from minidl.experiments import catalogue, show, study
from minidl.experiments.study import Claim, Experiment, Outcome, Variant


def table_text(table):
    from rich.console import Console

    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def outcome(name, *accuracies):
    found = Outcome(name, nn.Count(1, 2, 3), list(accuracies))
    found.losses = found.seconds = [1.0] * len(accuracies)
    return found


@pytest.mark.parametrize(
    "better, worse, least, word",
    [
        ((90, 91, 92), (80, 82, 81), 1, "supported"),
        ((90, 91, 92), (80, 82, 81), 20, "not shown"),  # less than the claim asks for
        ((80, 82, 81), (90, 91, 92), 0, "contradicted"),
        ((80, 92, 85), (82, 83, 84), 0, "not shown"),  # within the spread
        ((90,), (10,), 0, "not shown"),  # one seed has no spread
        ((85, 86), (85, 86), 0, "not shown"),
    ],
)
def test_a_claim_is_judged_by_pairs_of_seeds(better, worse, least, word):
    outcomes = {"a": outcome("a", *better), "b": outcome("b", *worse)}
    found, figures = study.verdict(Claim("It is better.", "a", "b", least), outcomes)
    assert found == word
    assert f"{np.mean(better):.1f} %" in figures and f"{len(better)} seeds" in figures


def test_what_the_seed_does_to_both_cancels():
    a, b = outcome("a", 50, 70, 90), outcome("b", 49, 69, 89)
    assert study.difference(a, b) == (1.0, 0.0)
    mean, error = study.difference(outcome("a", 3, 5), outcome("b", 1, 1))
    assert mean == 3 and math.isclose(error, 1)
    assert math.isnan(study.difference(outcome("a", 3), outcome("b", 1))[1])
    assert study.difference(outcome("a", 3, 5), outcome("b", 1))[0] == 2  # stopped


def test_a_claim_about_losses():
    a, b = outcome("a", 1, 1, 1), outcome("b", 9, 9, 9)
    a.losses, b.losses = [0.1, 0.2, 0.3], [0.4, 0.5, 0.7]
    claim = Claim("It is learned better.", "a", "b", loss=True)
    word, figures = study.verdict(claim, {"a": a, "b": b})
    assert word == "supported"
    assert figures == "a 0.200, b 0.533: -0.333 +- 0.033 over 3 seeds"
    other = Claim("The other way.", "b", "a", loss=True)
    assert study.verdict(other, {"a": a, "b": b})[0] == "contradicted"


def test_a_variant_may_have_images_of_its_own(tmp_path):
    seen = []

    def few(images, seed):
        seen.append(seed)
        return replace(images, x_train=images.x_train[:9], y_train=images.y_train[:9])

    def build(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

    batches = []

    class Counted(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = build(None, 2)

        def forward(self, x):
            batches.append((x.shape[0], self.training))
            return self.inner(x)

    experiment = Experiment(
        "own",
        "?",
        "nobody",
        (Variant("own", lambda shape, classes: Counted(), images=few),),
        (),
        epochs=1,
        seeds=2,
        batch=4,
    )
    study.run(experiment, images(), tmp_path)
    assert seen == [0, 1]
    trained = [n for n, training in batches[1:] if training]  # the first was counted
    assert trained == [4, 4, 1] * 2
    assert sum(n for n, training in batches if not training) >= 2 * len(images().x_test)


def images(count=64):
    """Two classes that brightness tells apart."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, count)
    x = rng.integers(0, 60, (count, 1, 8, 8)) + 120 * y[:, None, None, None]
    half = count // 2
    full = data.load(None)
    x = x.astype(full.x_train.dtype)
    return replace(
        full,
        x_train=x[:half],
        y_train=y[:half].astype(full.y_train.dtype),
        x_test=x[half:],
        y_test=y[half:].astype(full.y_test.dtype),
        classes=("dark", "light"),
    )


def tiny(shape, classes):
    return nn.Sequential(*nn.conv_bn(shape[0], 4, 3, 2), nn.GlobalAvgPool2d(),
                         nn.Linear(4, classes))  # fmt: skip


def unwise(shape, classes):
    warnings.warn("not what one would want", MinidlWarning, stacklevel=1)
    return nn.Sequential(nn.GlobalAvgPool2d(), nn.Linear(shape[0], classes))


EXPERIMENT = Experiment(
    "tiny",
    "which?",
    "nobody",
    (Variant("conv", tiny), Variant("none", unwise)),
    (Claim("A convolution helps.", "conv", "none"),),
    epochs=15,
    seeds=3,
    lr=3e-2,
    batch=8,
)


def test_every_variant_is_trained_from_every_seed(tmp_path):
    seen = []

    def report(name, seed, accuracy):
        rows = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
        seen.append((name, seed))
        assert len(rows) == len(seen)  # each run is written at once
        assert float(rows[-1]["test_accuracy"]) >= 0

    found = study.run(EXPERIMENT, images(), tmp_path, report=report)
    assert seen == [(n, s) for s in range(3) for n in ("conv", "none")]
    assert found["conv"].count == nn.count(tiny((1, 8, 8), 2), (1, 8, 8))
    assert found["conv"].mean > 90 and found["conv"].losses[-1] < 0.5
    again = study.run(EXPERIMENT, images(), tmp_path, seeds=1)
    assert again["conv"].accuracies == found["conv"].accuracies[:1]
    assert again["conv"].losses == found["conv"].losses[:1]


def test_a_variant_may_come_after_another(tmp_path):
    """What it is made of is the other's trained model, from the same seed."""
    built = []

    def same(model):
        built.append(model)
        return model

    chained = replace(
        EXPERIMENT,
        variants=(
            Variant("conv", tiny),
            Variant("as it is", same, after="conv", epochs=0),
            Variant("longer", same, after="as it is", epochs=2),
        ),
        claims=(),
        seeds=2,
        weigh=lambda model: 17,
    )
    found = study.run(chained, images(), tmp_path)
    conv, still, longer = found.values()
    assert still.accuracies == conv.accuracies
    assert all(map(math.isnan, still.losses))
    assert not any(map(math.isnan, longer.losses))
    assert {o.count.parameters for o in found.values()} == {17}
    assert built[-1] is built[-2]  # trained on, not anew
    assert built[-1] is not built[-3]  # each seed has its own
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert len(lines) == 7
    text = table_text(show.table(chained, found))
    assert "weights" in text and " - " in text


def test_seeds_and_quick(tmp_path):
    assert study.seeds_of(EXPERIMENT, False, None) == 3
    assert study.seeds_of(EXPERIMENT, True, None) == study.QUICK_SEEDS
    assert study.seeds_of(EXPERIMENT, True, 4) == 4
    with pytest.raises(MinidlError, match="seeds must be >= 1; got 0"):
        study.run(EXPERIMENT, images(), tmp_path, seeds=0)
    quick = show.sentences(EXPERIMENT, {}, True)
    assert len(quick) == 1 and "leave --quick out" in quick[0]


def test_all_claims_name_variants_and_all_variants_run_forwards():
    studies = [e for e in catalogue.EXPERIMENTS.values() if isinstance(e, Experiment)]
    assert len(studies) >= 6 and len(catalogue.EXPERIMENTS) >= 9
    for experiment in studies:
        names = [v.name for v in experiment.variants]
        assert len(set(names)) == len(names) and experiment.seeds >= 3
        for claim in experiment.claims:
            assert {claim.better, claim.worse} <= set(names)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MinidlWarning)
            for variant in experiment.variants:
                for shape in ((1, 28, 28), (3, 32, 32)):
                    assert experiment.count(variant, shape, 7).parameters > 0


def test_the_same_budget_is_the_same_budget():
    igc = catalogue.find("igc-budget")
    sizes = [nn.count(v.build((1, 28, 28), 10), (1, 28, 28)) for v in igc.variants]
    parameters = [s.parameters for s in sizes]
    assert max(parameters) / min(parameters) < 1.25
    outcomes = catalogue.find("shift-necessity").variants
    with_, without = (
        nn.count(outcomes[i].build((1, 28, 28), 10), (1, 28, 28)) for i in (2, 3)
    )
    assert with_ == without  # shift costs nothing


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(catalogue, "EXPERIMENTS", {"tiny": EXPERIMENT})
    monkeypatch.setattr("minidl.train.load_data", lambda source: images())

    def call(*words):
        return cli.main(list(words)), *capsys.readouterr()

    return call


def test_the_command_shows_table_sentence_and_picture(run, tmp_path):
    status, out, _ = run("experiment", "tiny")
    assert status == 0 and "seed 2: conv: " in out and "tiny: which?" in out
    assert "A convolution helps. Here: " in out and "over 3 seeds" in out
    folder = tmp_path / "runs" / "experiments" / "tiny"
    assert (folder / "results.csv").is_file()
    if "pip install" not in out:
        assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert max(map(len, out.splitlines())) <= 80
    status, out, _ = run("experiment", "tiny", "--quick", "--out", "here")
    assert status == 0 and "leave --quick out" in out and (tmp_path / "here").is_dir()


@pytest.mark.parametrize("runs, says", [(3, "so far"), (0, "nothing is done yet")])
def test_ctrl_c_shows_what_there_is(run, tmp_path, monkeypatch, runs, says):
    done, one = [], study._one

    def interrupted(*args):
        if len(done) == runs:
            raise KeyboardInterrupt
        done.append(args)
        one(*args)

    monkeypatch.setattr(study, "_one", interrupted)
    status, out, err = run("experiment", "tiny", "--out", "here")
    assert status == 130 and "Traceback" not in out + err
    assert "interrupted:" in out and says in out
    assert ("MAdds" in out) == (runs > 0)
    assert (tmp_path / "here" / "results.csv").exists() == (runs > 0)


def test_the_command_lists_and_refuses(run):
    status, out, _ = run("experiment")
    assert status == 0 and "tiny" in out and "which?" in out
    status, _, err = run("experiment", "tyni")
    assert status == 2 and "did you mean tiny" in err and err.count("\n") == 1
    status, _, err = run("experiment", "tiny", "--seeds", "0")
    assert status == 2 and "seeds must be >= 1; got 0" in err
