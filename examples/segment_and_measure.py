# %% [markdown]
# # Segment a slide and measure its nuclei
#
# Run it whole, `python examples/segment_and_measure.py slide.svs`, or cell by cell in an editor that knows
# `# %%` (VS Code, Spyder, PyCharm). Without an argument it segments the slide of `sac-wsi demo`. Results are
# in the folder `segment_and_measure/`.

# %% Segment
import json
import sys
from pathlib import Path

import numpy as np

import sac_wsi

slide = Path(sys.argv[1] if len(sys.argv) > 1 else "demo/slide.tiff")
folder = Path("segment_and_measure")
folder.mkdir(exist_ok=True)
run = sac_wsi.segment_slide(slide, folder / "nuclei.geojson")
assert run.summary is not None
print(f"{len(run.nuclei):,} nuclei in {run.summary.tissue_mm2:.2f} mm² of tissue")

# %% Measurements are columns: NumPy arrays with one value per nucleus
areas = run.nuclei["Area µm^2"]
circularity = run.nuclei["Circularity"]
stain = run.nuclei["Hematoxylin: Mean"]
for name, values in {"Area µm^2": areas, "Circularity": circularity, "Hematoxylin: Mean": stain}.items():
    low, middle, high = np.percentile(values, [5, 50, 95])
    print(f"{name:18} median {middle:7.2f}, 90 % lie in {low:.2f} to {high:.2f}")

# %% A histogram of the areas, in text
counts, edges = np.histogram(areas, bins=10)
for count, left in zip(counts, edges[:-1], strict=True):
    print(f"{left:6.0f} µm² {'#' * round(50 * count / counts.max())}")

# %% The labels are a lazy Dask array: only what is asked for is read
labels = run.labels()
corner = np.asarray(labels[:500, :500])
print(f"label image of {labels.shape[1]} x {labels.shape[0]} pixels")
print(f"{len(np.unique(corner)) - 1} nuclei in its corner")

# %% Keep the round nuclei, as GeoJSON for QuPath
features = json.loads((folder / "nuclei.geojson").read_text(encoding="utf-8"))["features"]
kept = [each for each in features if each["properties"]["measurements"]["Circularity"] > 0.9]
(folder / "round.geojson").write_text(
    json.dumps({"type": "FeatureCollection", "features": kept}), encoding="utf-8"
)
print(f"{len(kept):,} of {len(features):,} nuclei are round: {folder / 'round.geojson'}")
