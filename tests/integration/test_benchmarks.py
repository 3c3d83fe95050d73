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


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_loads(script):
    done = run(script, "--help")
    assert done.returncode == 0, done.stderr
    assert script in done.stdout


@pytest.mark.long
def test_training_takes_a_step():
    steps = run("training.py", "--rounds", "1", "--steps", "1", "--encoders")
    assert steps.returncode == 0, steps.stderr
    assert "| together |" in steps.stdout
    lora = run("-c", "import training; print(training.lora_step('vit_nano', True, 'cpu', 1))")
    assert lora.returncode == 0, lora.stderr
    assert "step_s" in lora.stdout
