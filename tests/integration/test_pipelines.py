import subprocess
import sys
from pathlib import Path

from sac_wsi.testing import SyntheticSlide, truncate
from sac_wsi.verify import verify_run

PIPELINES = Path(__file__).parents[2] / "pipelines"


def test_a_folder_of_slides_with_a_bad_one(tmp_path):
    slides, out = tmp_path / "slides", tmp_path / "out"
    slides.mkdir()
    for name in ("a", "b"):
        SyntheticSlide(seed=ord(name), shape_yx=(700, 800)).write_tiff(slides / f"{name}.tiff")
    truncate(slides / "b.tiff", 0.5)
    (slides / "notes.txt").write_text("no slide")
    command = [sys.executable, str(PIPELINES / "segment_folder.py"), str(slides), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "b.tiff" in done.stderr
    assert "notes" not in done.stderr
    assert "Traceback" not in done.stderr
    assert verify_run(out / "a.tiff.geojson").ok
