"""The command line as a person meets it: screens, files, refusals, Ctrl-C."""

import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from minidl import backend, cli, data, storage


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """300 + 100 of the embedded images as an .npz file: a run takes a moment."""
    full = data.load()
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(
        path,
        x_train=full.x_train[:300, 0],
        y_train=full.y_train[:300],
        x_test=full.x_test[:100, 0],
        y_test=full.y_test[:100],
    )
    return str(path)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; returns (exit status, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*words):
        try:
            status = cli.main([str(w) for w in words])
        except SystemExit as end:  # argparse
            status = end.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def trained(small, tmp_path_factory):
    """The folder of a short finished run."""
    folder = tmp_path_factory.mktemp("trained")
    words = ["train", "mlp", "--data", small, "--epochs", "2", "--out", str(folder)]
    assert cli.main(words) == 0
    return folder


def test_help_names_the_commands(run):
    status, out, _ = run("--help")
    assert status == 0 and "train" in out and "predict" in out


@pytest.mark.process
def test_a_run_shows_and_writes_what_it_says(run, small, tmp_path):
    status, out, err = run(
        "train", "lenet", "--data", small, "--epochs", 2, "--batch", 50
    )
    assert (status, err) == (0, "")
    assert "lenet: 431,080 parameters" in out
    assert out.count("epoch ") == 2 and "confusion" in out
    assert re.search(r"test accuracy 0\.\d{4}\n", out)
    assert max(len(line) for line in out.splitlines()) <= 80
    folder = tmp_path / "runs" / "lenet"
    found = {p.name for p in folder.iterdir()}
    assert {"last.safetensors", "previous.safetensors", "history.csv"} <= found
    accuracy = float(re.search(r"test accuracy (\S+)", out)[1])
    rows = (folder / "history.csv").read_text().splitlines()
    assert round(float(rows[-1].split(",")[5]), 4) == accuracy


def test_a_second_run_does_not_overwrite_the_first(run, small, tmp_path):
    for _ in range(2):
        assert run("train", "mlp", "--data", small, "--epochs", 1)[0] == 0
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"mlp", "mlp-2"}
    status, _, err = run("train", "mlp", "--data", small, "--out", "runs/mlp")
    assert status == 2 and "--resume runs/mlp" in err


def test_resume_by_folder_and_extend(run, small, trained):
    status, out, _ = run("train", "--resume", trained, "--epochs", 3)
    assert status == 0 and "resuming" in out and "epoch 3/3" in out
    status, out, _ = run("train", "--resume", trained)
    assert status == 0 and "finished after 3 epochs" in out
    status, _, err = run("train", "--resume", trained, "--epochs", 1)
    assert status == 2 and "epochs must be >= 3, which are done; got 1" in err
    status, _, err = run("train", "--resume", trained, "--lr", "0.5")
    assert status == 2 and "lr is 0.003 in this run" in err
    status, _, err = run("train", "--resume", "nowhere")
    assert status == 2 and "nowhere" in err


def test_eval_agrees_with_training(run, trained):
    status, out, _ = run("eval", trained)
    assert status == 0
    _, meta = storage.load(trained / storage.LAST)
    shown = float(re.search(r"accuracy (\S+) on 100 images", out)[1])
    assert shown == meta["history"][-1]["test_accuracy"]
    assert max(len(line) for line in out.splitlines()) <= 80


def test_predict_draws_and_ranks(run, trained):
    status, out, _ = run("predict", trained, 3)
    assert status == 0 and "true class:" in out
    shares = [float(s) for s in re.findall(r"(\d+\.\d+)%", out)]
    assert len(shares) == 5 and shares == sorted(shares, reverse=True)


def test_predict_reads_a_png(run, trained, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    picture = np.repeat(data.load().x_test[3].transpose(1, 2, 0), 3, axis=2)
    image.imsave("same.png", picture)
    image.imsave("large.png", picture.repeat(3, axis=0).repeat(3, axis=1))
    ranks = [
        re.findall(r"(\S+) +(\S+)%", run("predict", trained, source)[1])
        for source in ("3", "same.png", "large.png")
    ]
    assert ranks[0] == ranks[1] == ranks[2]
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    status, _, err = run("predict", trained, "bad.png")
    assert status == 2 and "readable PNG" in err


def test_summary_and_lists(run):
    status, out, _ = run("summary", "lenet")
    assert status == 0 and "431,080" in out
    assert max(len(line) for line in out.splitlines()) <= 80
    assert "mlp" in run("train")[1]
    status, out, _ = run("data", "list")
    assert status == 0 and "fashion-mnist-mini" in out


REFUSALS = [
    (["train", "lenett"], "did you mean lenet"),
    (["train", "mlp", "--optimizer", "adamm"], "did you mean adam"),
    (["train", "mlp", "--data", "/no/such"], "must be an existing folder"),
    (["train", "mlp", "--batch", "0"], "batch must be >= 1; got 0"),
    (["train", "mlp", "--lr", "-1"], "lr must be > 0; got -1"),
    (["train", "mlp", "--device", "gpu"], "'cpu' or 'cuda'; got 'gpu'"),
    (["train", "mlp", "--epochs", "many"], "must be an integer; got 'many'"),
    (["train", "--resume"], "--resume must name a run's folder"),
    (["eval", "nowhere"], "nowhere"),
    (["predict", "nowhere", "3"], "nowhere"),
    (["summary", "lenet", "--shape", "1,28"], "must be C,H,W; got '1,28'"),
    (["summary", "lenet", "--shape", "1,8,8"], "at least 16x16"),
    (["data", "fetch"], "name must be given"),
    (["data", "fetch", "mnits"], "did you mean mnist"),
]


@pytest.mark.parametrize("words, says", REFUSALS, ids=lambda v: " ".join(v)[:40])
def test_refusals_are_one_sentence_and_exit_2(run, words, says):
    status, out, err = run(*words)
    assert status == 2 and says in err and "Traceback" not in err + out
    if err.startswith("minidl:"):
        assert err.count("\n") == 1


def test_debug_shows_the_traceback(run):
    from minidl.errors import UnknownNameError

    for words in (["--debug", "train", "lenett"], ["train", "lenett", "--debug"]):
        with pytest.raises(UnknownNameError):
            cli.main(words)


def test_cuda_without_a_gpu(run):
    if backend.is_available():
        pytest.skip("there is a GPU here")
    status, _, err = run("train", "mlp", "--device", "cuda")
    assert (
        status == 2 and "pip install 'minidl[cuda13]'" in err and err.count("\n") == 1
    )


def test_prediction_out_of_range(run, trained):
    status, _, err = run("predict", trained, 100)
    assert status == 2 and "must be in [0, 100); got 100" in err


def test_a_damaged_checkpoint_is_named(run, trained, tmp_path):
    broken = tmp_path / "broken.safetensors"
    content = bytearray((trained / storage.LAST).read_bytes())
    content[-100] ^= 1
    broken.write_bytes(content)
    status, _, err = run("eval", broken)
    assert status == 2 and "broken.safetensors" in err and "SHA-256" in err


def start(words, folder):
    code = "import sys; from minidl.cli import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_and_says_how_to_resume(small, tmp_path, number):
    process = start(["train", "mlp", "--data", small, "--epochs", "900"], tmp_path)
    with process:
        while not re.match("epoch +2/", process.stdout.readline()):
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err == ""
    assert "Continue with: minidl train --resume runs/mlp" in out
    _, meta = storage.load(tmp_path / "runs" / "mlp" / storage.LAST)
    epoch = meta["epoch"]
    assert epoch >= 2
    words = ["train", "--resume", "runs/mlp", "--epochs", str(epoch + 1)]
    with start(words, tmp_path) as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    at = f"epoch {epoch + 1}, batch {meta['batch'] + 1}"
    assert f"runs/mlp: resuming at {at}" in out


@pytest.mark.process
def test_a_closed_pipe_is_no_traceback(small, tmp_path):
    words = ["train", "mlp", "--data", small, "--epochs", "300"]
    with start(words, tmp_path) as process:
        process.stdout.readline()
        process.stdout.close()
        time.sleep(0.2)
        err = process.stderr.read()
    assert "Traceback" not in err


@pytest.mark.process
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_or_plain_output_is_no_traceback(unbuffered, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    code = "import sys; from minidl.cli import main; sys.exit(main())"
    words = [sys.executable, "-c", code, "summary", "mlp"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("minidl: OSError") and "Trace" not in done.stderr
    plain = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(words, env=plain, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and "Linear" in done.stdout
