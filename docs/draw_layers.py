"""Draw which folder of sac_wsi imports which: docs/architecture/layers.svg.

    python docs/draw_layers.py

The layers are those of tests/unit/test_layers.py, which also refuses every arrow that would point upwards.
The script needs nothing but Python, and the same tree gives the same picture, byte for byte.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sac_wsi"
LAYER_TEST = ROOT / "tests" / "unit" / "test_layers.py"
SVG = ROOT / "docs" / "architecture" / "layers.svg"

BOX_WIDTH, BOX_HEIGHT, GAP, LAYER_HEIGHT, MARGIN = 112, 34, 44, 104, 24
HUES = (210, 20, 130, 280, 45, 175, 330, 95, 250, 0, 150, 300)

Edge = tuple[str, str]


def read_layers() -> list[list[str]]:
    """Return the folders of each layer, lowest layer first, as the layer test lists them."""
    for node in ast.parse(LAYER_TEST.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "LAYERS":
            return [sorted(layer) for layer in ast.literal_eval(node.value)]
    raise SystemExit(f"{LAYER_TEST} has no list LAYERS")


def imported_folders(path: Path) -> Iterator[str]:
    """Yield the folder of each import of a file, imports under TYPE_CHECKING included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            first, *rest = name.split(".")
            if first == "sac_wsi" and rest:
                yield rest[0]


def read_edges(folders: set[str]) -> list[Edge]:
    """Return each pair of a folder and a folder that it imports, in alphabetical order."""
    edges = set()
    for path in PACKAGE.rglob("*.py"):
        folder = path.relative_to(PACKAGE).with_suffix("").parts[0]
        edges |= {(folder, other) for other in imported_folders(path)}
    return sorted((a, b) for a, b in edges if a != b and a in folders and b in folders)


def arrange(layers: list[list[str]], edges: list[Edge]) -> dict[str, tuple[float, float]]:
    """Return the centre (x, y) of each folder: layers are rows, and a folder stands over those it imports."""
    widest = max(len(layer) for layer in layers)
    middle = MARGIN + (widest * (BOX_WIDTH + GAP) - GAP) / 2
    places: dict[str, tuple[float, float]] = {}
    for row, layer in enumerate(layers):
        y = MARGIN + (len(layers) - 1 - row) * LAYER_HEIGHT + BOX_HEIGHT / 2

        def wish(folder: str) -> tuple[float, str]:
            below = [places[b][0] for a, b in edges if a == folder and b in places]
            return (sum(below) / len(below) if below else middle, folder)

        # single folders step aside, so that arrows between far layers do not run through their boxes
        shift = (row % 2 - 0.5) * (BOX_WIDTH + GAP)
        for i, folder in enumerate(sorted(layer, key=wish)):
            places[folder] = (middle + shift + (i - (len(layer) - 1) / 2) * (BOX_WIDTH + GAP), y)
    return places


def draw() -> tuple[str, list[Edge]]:
    """Return the picture as SVG, and the imports that it shows."""
    layers = read_layers()
    edges = read_edges({folder for layer in layers for folder in layer})
    places = arrange(layers, edges)
    left = min(x for x, _ in places.values()) - BOX_WIDTH / 2 - MARGIN
    right = max(x for x, _ in places.values()) + BOX_WIDTH / 2 + MARGIN
    height = 2 * MARGIN + (len(layers) - 1) * LAYER_HEIGHT + BOX_HEIGHT
    hue = {folder: HUES[i % len(HUES)] for i, folder in enumerate(sorted(places))}
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} 0 {right - left:.0f} {height:.0f}" '
        'font-family="sans-serif" font-size="14">',
        f"<title>Folders of sac_wsi and their {len(edges)} imports; all arrows point down</title>",
        f'<rect x="{left:.0f}" y="0" width="{right - left:.0f}" height="{height:.0f}" fill="white"/>',
        '<marker id="tip" viewBox="0 0 6 6" refX="6" refY="3" markerWidth="5" markerHeight="5" orient="auto">'
        '<path d="M0 0L6 3L0 6z" fill="#555"/></marker>',
    ]
    for importer, imported in edges:
        (x0, y0), (x1, y1) = places[importer], places[imported]
        y0, y1 = y0 + BOX_HEIGHT / 2, y1 - BOX_HEIGHT / 2
        bend = (y1 - y0) / 2
        lines.append(
            f'<path d="M{x0:.0f} {y0:.0f}C{x0:.0f} {y0 + bend:.0f} '
            f'{x1:.0f} {y1 - bend:.0f} {x1:.0f} {y1:.0f}" '
            f'fill="none" stroke="hsl({hue[importer]},60%,45%)" stroke-opacity="0.55" marker-end="url(#tip)">'
            f"<title>{importer} imports {imported}</title></path>"
        )
    for folder, (x, y) in sorted(places.items()):
        lines.append(
            f'<rect x="{x - BOX_WIDTH / 2:.0f}" y="{y - BOX_HEIGHT / 2:.0f}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="6" fill="hsl({hue[folder]},60%,94%)" '
            f'stroke="hsl({hue[folder]},60%,45%)"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle">{folder}</text>'
        )
    return "\n".join([*lines, "</svg>", ""]), edges


def main() -> None:
    """Write the picture and print how many imports it shows."""
    svg, edges = draw()
    SVG.write_text(svg, encoding="utf-8")
    folders = {folder for edge in edges for folder in edge}
    print(f"{len(edges)} imports between {len(folders)} folders -> {SVG.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
