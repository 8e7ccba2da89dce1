"""The `ditto` command, as a user types it."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ditto.compiled_program import Program
from ditto_compiler.calibration import Ranges


def ditto(*arguments, cwd, check=True):
    command = [sys.executable, "-m", "ditto_tools.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    if check:
        assert done.returncode == 0, done.stderr
    return done


def model(x, w):
    return jnp.tanh(x @ w), x.sum()


X = np.arange(6, dtype=np.float32).reshape(2, 3) / 8
W = np.ones((3, 2), np.float32) / 4


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "model.mlir").write_text(jax.jit(model).lower(X, W).as_text())
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "w.npy", W)
    np.savez(tmp_path / "both.npz", X, W)
    return tmp_path


def test_compile_calibrate_and_run(folder):
    ditto("calibrate", "model.mlir", "both.npz", "-o", "ranges.json", cwd=folder)
    assert Ranges.load(folder / "ranges.json").values["argument#0"] == pytest.approx(X.max())
    ditto("compile", "model.mlir", "-o", "model.ditto", "--ranges", "ranges.json", cwd=folder)
    assert Program.load(folder / "model.ditto").caller_inputs[0].shape == (2, 3)
    done = ditto("run", "model.ditto", "x.npy", "w.npy", "-o", "out.npz", cwd=folder)
    assert "bytes in" in done.stderr
    out = np.load(folder / "out.npz")
    for name, expected in zip(out.files, model(X, W), strict=True):
        np.testing.assert_allclose(out[name], expected, atol=1e-2)


def test_run_compiles_stablehlo_and_prints(folder):
    done = ditto("run", "model.mlir", "both.npz", "--policy", "uniform64", cwd=folder)
    printed = np.array(done.stdout.replace("[", " ").replace("]", " ").split(), float)
    np.testing.assert_allclose(printed, [*np.asarray(model(X, W)[0]).ravel(), X.sum()], atol=1e-2)


ERRORS = {
    "no such file": (("run", "absent.ditto"), "cannot read program file 'absent.ditto'"),
    "not a program": (("run", "x.npy"), "neither StableHLO text nor MLIR bytecode"),
    "damaged": (("run", "bad.ditto"), "'bad.ditto' is not a ditto program file"),
    "unknown policy": (
        ("compile", "model.mlir", "-o", "m.ditto", "--policy", "dito"),
        "did you mean 'ditto'?",
    ),
    "too few inputs": (("run", "model.mlir", "x.npy"), "takes 2 arrays, got 1"),
    "wrong shape": (("run", "model.mlir", "w.npy", "x.npy"), "expected shape (2, 3), got (3, 2)"),
    "not an array": (
        ("run", "model.mlir", "model.mlir", "w.npy"),
        "cannot read 'model.mlir' as .npy or .npz",
    ),
    "nowhere to write": (("compile", "model.mlir", "-o", "no/where.ditto"), "cannot write program file"),
    "nowhere for outputs": (
        ("run", "model.mlir", "both.npz", "-o", "no/where.npz"),
        "there is no folder 'no'",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_message(folder, name):
    (folder / "bad.ditto").write_bytes(b"PK not really")
    arguments, message = ERRORS[name]
    done = ditto(*arguments, cwd=folder, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (folder / "m.ditto").exists()


def test_simulate_reports_what_does_not_fit(folder):
    ditto("compile", "model.mlir", "-o", "model.ditto", "--policy", "uniform64", cwd=folder)
    done = ditto("simulate", "model.ditto", "both.npz", "-o", "out.npz", cwd=folder)
    assert done.stderr == ""
    np.testing.assert_allclose(np.load(folder / "out.npz")["arr_1"], X.sum(), atol=2**-12)
    np.savez(folder / "huge.npz", X * 0 + 2.0**43, W)
    done = ditto("simulate", "model.ditto", "huge.npz", cwd=folder, check=False)
    assert done.returncode == 1 and "stablehlo.dot_general" in done.stderr


def test_report_is_text_json_or_a_page(folder):
    ditto("compile", "model.mlir", "-o", "model.ditto", cwd=folder)
    assert "rounds" in ditto("report", "model.ditto", cwd=folder).stdout
    ditto("report", "model.ditto", "--format", "html", "-o", "report.html", cwd=folder)
    assert "<html" in (folder / "report.html").read_text()


def test_help_names_every_command():
    done = ditto("--help", cwd="/")
    names = "bench calibrate compile demo deposit digest doctor party receive report run simulate"
    for command in names.split():
        assert f"\n  {command} " in done.stdout
