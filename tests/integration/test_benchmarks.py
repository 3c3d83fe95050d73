"""Load every benchmark script; take one training step with the script that uses most of the package."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.name for path in FOLDER.glob("*.py") if path.stem not in ("machine", "seam_peers"))
"""All but a library and a script that runs in its own environment."""


def run(*args):
    return subprocess.run([sys.executable, *args], capture_output=True, text=True, check=False, cwd=FOLDER)


HELP_OF_ALL = """
import contextlib, runpy, sys
for script in sys.argv[1:]:
    sys.argv = [script, "--help"]
    with contextlib.suppress(SystemExit):
        runpy.run_path(script, run_name="__main__")
"""
"""One process for all scripts: torch and numba are imported once."""


def test_every_script_loads():
    done = run("-c", HELP_OF_ALL, *SCRIPTS)
    assert done.returncode == 0, done.stderr
    assert [script for script in SCRIPTS if f"usage: {script}" not in done.stdout] == []


@pytest.mark.long
def test_training_takes_a_step():
    steps = run("training.py", "--rounds", "1", "--steps", "1", "--encoders")
    assert steps.returncode == 0, steps.stderr
    assert "| together |" in steps.stdout
    lora = run("-c", "import training; print(training.lora_step('vit_nano', True, 'cpu', 1))")
    assert lora.returncode == 0, lora.stderr
    assert "step_s" in lora.stdout
