"""The training loop: runs repeat, resume bit for bit, refuse what they cannot do."""

import dataclasses
import json

import numpy as np
import pytest

from minidl import storage, data, models, nn, train
from minidl.errors import (
    ArgumentError,
    BackendError,
    CheckpointError,
    DataError,
    MinidlError,
    UnknownNameError,
)
from minidl.train import Config, Trainer


@pytest.fixture(scope="module")
def images():
    """300 + 100 of the embedded images; 300 is no multiple of the batch size."""
    full = data.load()
    return data.Dataset(
        "small",
        full.x_train[:300],
        full.y_train[:300],
        full.x_test[:100],
        full.y_test[:100],
        full.classes,
    )


@pytest.fixture(autouse=True, scope="module")
def dropout_model():
    """A model that draws random numbers in every step: resuming must restore them."""

    @models.register_model("with-dropout")
    def with_dropout(shape=(1, 28, 28), classes=10):
        """A perceptron with dropout and batch norm."""
        return nn.Sequential(
            nn.Conv2d(1, 2, 5, stride=4),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(72, classes),
        )

    yield
    del models.MODELS["with-dropout"]


def losses(trainer):
    return trainer.losses.tobytes()


def without_speed(history):
    return [
        {k: v for k, v in row.items() if k != "images_per_second"} for row in history
    ]


def test_a_run_repeats_and_the_seed_matters(images):
    runs = []
    for seed in (3, 3, 4):  # one after the other: all draw from the one generator
        runs.append(Trainer(Config("with-dropout", epochs=2, seed=seed), images))
        assert runs[-1].fit()
    assert losses(runs[0]) == losses(runs[1]) != losses(runs[2])
    assert without_speed(runs[0].history) == without_speed(runs[1].history)


def test_training_learns(images):
    run = Trainer(Config("mlp", epochs=8), images)
    before = run.evaluate().accuracy
    run.fit()
    assert run.history[-1]["train_loss"] < 0.5 * run.history[0]["train_loss"]
    assert run.evaluate().accuracy > before + 0.3
    assert run.evaluate().confusion.sum() == len(images.x_test)


def test_the_recorded_loss_is_the_mean_over_batches(images):
    run = Trainer(Config("mlp", epochs=2), images)
    run.fit()
    steps = len(run.loader)
    assert run.losses.shape == (2 * steps,)
    for epoch, row in enumerate(run.history):
        part = run.losses[epoch * steps : (epoch + 1) * steps]
        assert row["train_loss"] == float(part.mean(dtype=np.float64))


PAIRS = [(name, "cosine") for name in sorted(train.OPTIMIZERS)]
PAIRS += [("adam", name) for name in sorted(train.SCHEDULES) if name != "cosine"]


@pytest.mark.parametrize("optimizer, schedule", PAIRS)
def test_resume_continues_bit_for_bit(images, tmp_path, optimizer, schedule):
    """Stopped in an epoch, saved, read back: the same losses as unbroken."""
    config = Config(
        "with-dropout", epochs=3, optimizer=optimizer, schedule=schedule, lr=1e-3
    )
    unbroken = Trainer(config, images)
    unbroken.fit()

    def stop(trainer):
        trainer.stop_requested = trainer.epoch == 1 and trainer.batch == 2

    broken = Trainer(config, images)
    assert not broken.fit(tmp_path, on_batch=stop)
    resumed, warning = Trainer.resume(tmp_path, images)
    assert warning is None and (resumed.epoch, resumed.batch) == (1, 2)
    assert resumed.fit(tmp_path)
    assert losses(resumed) == losses(unbroken)
    assert without_speed(resumed.history) == without_speed(unbroken.history)
    for a, b in zip(resumed.model.parameters(), unbroken.model.parameters()):
        assert a.data.tobytes() == b.data.tobytes()


def test_resume_falls_back_to_the_previous_checkpoint(images, tmp_path):
    Trainer(Config("mlp", epochs=2), images).fit(tmp_path)
    last = tmp_path / storage.LAST
    last.write_bytes(last.read_bytes()[:-7])
    resumed, warning = Trainer.resume(tmp_path, images)
    assert resumed.epoch == 1 and "previous" in warning


def test_resume_refuses_other_data_and_other_options(images, tmp_path):
    Trainer(Config("mlp", epochs=1), images).fit(tmp_path)
    other = dataclasses.replace(images, x_train=images.x_train[::-1].copy())
    with pytest.raises(CheckpointError, match="data must be"):
        Trainer.resume(tmp_path, other)
    with pytest.raises(ArgumentError, match="lr is 0.003 in this run"):
        Trainer.resume(tmp_path, images, lr=0.5)
    longer, _ = Trainer.resume(tmp_path, images, epochs=2, lr=3e-3)
    assert longer.fit() and len(longer.history) == 2


def test_a_foreign_checkpoint_is_refused(images, tmp_path):
    path = tmp_path / storage.LAST
    storage.save(path, {"x": np.zeros(2)}, {"something": "else"})
    with pytest.raises(CheckpointError, match="checkpoint of a minidl training run"):
        Trainer.resume(tmp_path, images)
    run = Trainer(Config("mlp", epochs=1), images)
    run.save(tmp_path)
    arrays, meta = storage.load(path)
    for missing in ("model.1.weight", "losses"):
        left = {k: v for k, v in arrays.items() if k != missing}
        storage.save(path, left, meta)
        with pytest.raises(CheckpointError, match=missing.removeprefix("model.")):
            Trainer.resume(tmp_path, images)


def test_a_diverging_run_stops_and_keeps_the_good_checkpoint(images, tmp_path):
    run = Trainer(
        Config("mlp", epochs=3, optimizer="sgd", schedule="constant", lr=1e-3), images
    )

    def explode(trainer):
        if trainer.epoch == 1:
            next(trainer.model.parameters()).data[...] = np.nan

    with pytest.raises(MinidlError, match="loss became nan at epoch 2, batch 2"):
        run.fit(tmp_path, on_batch=explode)
    resumed, _ = Trainer.resume(tmp_path, images)
    assert resumed.epoch == 1
    assert all(np.isfinite(p.data).all() for p in resumed.model.parameters())


def test_files_of_a_run(images, tmp_path):
    Trainer(Config("mlp", epochs=2), images).fit(tmp_path)
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert rows[0].startswith("epoch,lr,train_loss") and len(rows) == 3
    _, meta = storage.load(tmp_path / storage.LAST)
    assert json.loads(json.dumps(meta)) == meta
    assert (tmp_path / storage.PREVIOUS).exists()


def test_a_loaded_model_predicts_as_the_trained_one(images, tmp_path):
    run = Trainer(Config("with-dropout", epochs=1), images)
    run.fit(tmp_path)
    model, meta, warning = train.load_model(tmp_path)
    assert warning is None and not model.training
    result = train.evaluate(model, images.x_test, images.y_test, run.transform, 10)
    assert result.loss == run.evaluate().loss


@pytest.mark.parametrize(
    "change, error, words",
    [
        (dict(model="lenett"), UnknownNameError, "did you mean lenet"),
        (dict(optimizer="adamm"), UnknownNameError, "did you mean adam"),
        (dict(schedule="cosin"), UnknownNameError, "did you mean cosine"),
        (dict(batch=0), ArgumentError, "batch must be >= 1; got 0"),
        (dict(epochs=-1), ArgumentError, "epochs must be >= 0; got -1"),
        (dict(lr=0.0), ArgumentError, "lr must be > 0; got 0.0"),
        (dict(lr=float("nan")), ArgumentError, "lr must be > 0; got nan"),
        (dict(weight_decay=-1.0), ArgumentError, "weight_decay must be >= 0"),
        (dict(seed=-1), ArgumentError, "seed must be >= 0"),
        (dict(epochs=1.5), ArgumentError, "epochs must be an integer; got 1.5"),
        (dict(weight_decay="a"), ArgumentError, "must be a number; got 'a'"),
        (dict(lr="a"), ArgumentError, "lr must be > 0; got 'a'"),
        (dict(device="gpu"), ArgumentError, "'cpu' or 'cuda'; got 'gpu'"),
        (dict(data="/no/such"), DataError, "must be an existing folder"),
    ],
)
def test_bad_configurations(change, error, words):
    with pytest.raises(error, match=words):
        Trainer(dataclasses.replace(Config("mlp"), **change))


def test_cuda_without_a_gpu_names_the_remedy():
    from minidl import backend

    if backend.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(BackendError, match="not usable.*pip install 'minidl"):
        Trainer(Config("mlp", device="cuda"))


def test_models_adapt_to_other_images_and_refuse_small_ones():
    x = np.zeros((2, 3, 32, 32), np.float32)
    for name in ("mlp", "lenet"):
        assert models.create(name, (3, 32, 32), 7)(nn.Parameter(x)).shape == (2, 7)
    with pytest.raises(ValueError, match="at least 16x16; got \\(12, 28\\)"):
        models.create("lenet", (1, 12, 28))


def test_an_interrupt_in_another_thread_needs_no_signal_handler(images):
    """`fit` outside the main thread leaves signals alone and still trains."""
    import threading

    run, done = Trainer(Config("mlp", epochs=1), images), []
    thread = threading.Thread(target=lambda: done.append(run.fit()))
    thread.start()
    thread.join()
    assert done == [True]


@pytest.mark.parametrize(
    "name, stop",
    [("skipnet", 13), ("blockdrop", 8), ("metapruning", 8), ("routing", 3)],
)
def test_a_run_in_stages_resumes_bit_for_bit(name, stop, tmp_path):
    """Stopped within the stage that keeps the most: 5 batches are an epoch."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 1, 8, 8), np.uint8), np.arange(40) % 3
    images = data.Dataset("noise", x, y, x, y, ["a", "b", "c"])
    config = Config(model=name, epochs=3, batch=8)
    whole = Trainer(config, images)
    assert whole.fit()

    def interrupt(trainer):
        trainer.stop_requested = trainer.epoch * 5 + trainer.batch == stop

    assert not Trainer(config, images).fit(tmp_path, on_batch=interrupt)
    again, _ = Trainer.resume(tmp_path, images)
    assert again.epoch * 5 + again.batch == stop and again.fit()
    state = again.model.state_dict()
    for key, value in whole.model.state_dict().items():
        assert np.array_equal(value.data, state[key].data), key
    assert np.array_equal(whole.losses, again.losses)
