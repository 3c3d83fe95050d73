"""Make the pictures of the documentation: docs/pictures/*.jpg.

    python docs/make_pictures.py [CMU-1-Small-Region.svs]

Runs the demo in a temporary folder and takes its pictures. With OpenSlide's test slide (CC0) as argument,
makes the pictures of real tissue too.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from sac_wsi import open_slide, segment_slide
from sac_wsi.engine.demo import SHOWN, run_demo
from sac_wsi.geometry import Box
from sac_wsi.pictures.draw_run import draw_region, draw_slide
from sac_wsi.slide.thumbnail import thumbnail

PICTURES = Path(__file__).parent / "pictures"
MOST_BYTES = 300_000
REAL_REGION = Box(1550, 900, 2150, 1700)
CORE_PX, HALO_PX = 352, 80
"""Of tiles of 512 pixels with a halo of 20 µm at 0.25 µm per pixel: several fit into the picture."""


def save(name: str, image: Image.Image) -> None:
    """Write a JPEG of at most 900 pixels, small enough to be kept in the repository."""
    image = image.convert("RGB")
    image.thumbnail((900, 900), Image.Resampling.LANCZOS)
    path = PICTURES / f"{name}.jpg"
    image.save(path, quality=82, optimize=True)
    size = path.stat().st_size
    assert size < MOST_BYTES, f"{path} has {size} bytes, needed fewer than {MOST_BYTES}"
    print(f"{path.name}: {image.width} x {image.height}, {size // 1000} kB")


def draw_tiles(image: Image.Image) -> Image.Image:
    """Draw cores of tiles (lines) and what one tile reads (dashed) over the demo's picture of outlines."""
    image = image.convert("RGB")
    draw = ImageDraw.Draw(image)
    left, top = -SHOWN.x0 % CORE_PX, -SHOWN.y0 % CORE_PX
    for x in range(left, image.width, CORE_PX):
        draw.line([(x, 0), (x, image.height)], fill=(20, 60, 200), width=2)
    for y in range(top, image.height, CORE_PX):
        draw.line([(0, y), (image.width, y)], fill=(20, 60, 200), width=2)
    x0, y0 = left - HALO_PX, top - HALO_PX
    x1, y1 = left + CORE_PX + HALO_PX, min(top + CORE_PX + HALO_PX, image.height - 2)
    for at in range(0, x1 - x0, 16):
        for y in (y0, y1):
            draw.line([(x0 + at, y), (x0 + at + 8, y)], fill=(220, 90, 0), width=3)
    for at in range(0, y1 - y0, 16):
        for x in (x0, x1):
            draw.line([(x, y0 + at), (x, y0 + at + 8)], fill=(220, 90, 0), width=3)
    return image


def main() -> None:
    """Make all pictures that can be made."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run_demo(folder / "demo")
        with open_slide(folder / "demo" / "slide.tiff") as slide:
            save("demo_slide", Image.fromarray(thumbnail(slide, um_per_px=1.5)[0]))
        overlay = Image.open(folder / "demo" / "overlay.png")
        save("demo_outlines", overlay)
        save("demo_tiles", draw_tiles(overlay))
        save("demo_density", Image.open(folder / "demo" / "density.png"))
        for real in sys.argv[1:2]:
            run = segment_slide(real, folder / "real.geojson")
            save("real_outlines", Image.fromarray(draw_region(run, REAL_REGION)))
            save("real_density", Image.fromarray(draw_slide(run)))


if __name__ == "__main__":
    main()
