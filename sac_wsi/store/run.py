"""Give Python access to a finished run: provenance, nuclei, labels, exports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sac_wsi.errors import OutputError
from sac_wsi.export.features import uuid_text
from sac_wsi.export.formats import Form, export_form
from sac_wsi.store.columns import Table, open_array, plain_columns
from sac_wsi.store.outputs import find_store, is_export
from sac_wsi.store.provenance import read_provenance

if TYPE_CHECKING:
    import dask.array as da
    import pandas
    from numpy.typing import NDArray

    from sac_wsi.nuclei.table import NucleusRows
    from sac_wsi.store.label_pyramid import LabelFrame


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        store: Path of the store.
        outputs: Paths of the output files.
        run_id: Hash of all that decides the result.
        nuclei: Number of nuclei.
        tiles: Number of tiles by status: done, failed, skipped (no tissue).
        dropped: Number of dropped nuclei by reason.
        failures: Tiles that failed, with the reason.
        tissue_mm2: Area of the tissue.
        seconds: Seconds by stage, as far as this call did them.
        wall_seconds: Seconds of the whole call.
        workers: Number of tasks at a time.
        reused: True if the store was finished before.
        warnings: What the user should know.
    """

    store: str
    outputs: tuple[str, ...]
    run_id: str
    nuclei: int
    tiles: Mapping[str, int]
    dropped: Mapping[str, int]
    failures: tuple[tuple[int, str], ...]
    tissue_mm2: float
    seconds: Mapping[str, float]
    wall_seconds: float
    workers: int
    reused: bool
    warnings: tuple[str, ...] = ()

    @property
    def bottleneck(self) -> str | None:
        """The stage that took longest."""
        return max(self.seconds, key=lambda stage: self.seconds[stage]) if self.seconds else None

    def to_json(self) -> dict[str, Any]:
        """Return the summary as a dictionary, with the bottleneck."""
        return {**asdict(self), "bottleneck": self.bottleneck}


@dataclass(frozen=True)
class Run:
    """The result of `segment`. It needs neither the slide nor a model.

    >>> from tempfile import mkdtemp
    >>> from sac_wsi import segment_slide
    >>> from sac_wsi.testing import OracleSegmenter, SyntheticSlide
    >>> slide, folder = SyntheticSlide(seed=1, shape_yx=(600, 500)), Path(mkdtemp())
    >>> _ = slide.write_tiff(folder / "slide.tiff")
    >>> run = segment_slide(folder / "slide.tiff", folder / "n.geojson", segmenter=OracleSegmenter(slide))
    >>> run.nuclei["Area µm^2"].shape == (len(run.nuclei),)
    True
    >>> int(run.labels().max().compute()) == len(run.nuclei)
    True
    """

    store: Path
    summary: Summary | None = None

    @classmethod
    def open(cls, run: str | os.PathLike[str]) -> Run:
        """Open a run by its store, or by any output that names the store."""
        opened = cls(find_store(Path(run)))
        read_provenance(opened.store)
        return opened

    @property
    def provenance(self) -> dict[str, Any]:
        """How the store was made: slide, model, settings, counts."""
        return read_provenance(self.store)

    @property
    def nuclei(self) -> NucleiTable:
        """The nuclei, one column at a time."""
        return NucleiTable(Table(self.store))

    def labels(self, level: int = 0) -> da.Array:
        """Return a level of the label image as a lazy array: 0 is background, else the id of the nucleus."""
        import dask.array

        return dask.array.from_zarr(open_array(self.store, str(level)).array)

    @property
    def label_frame(self) -> LabelFrame:
        """Size and resolution of the label image."""
        from sac_wsi.store.label_pyramid import LabelFrame

        known = self.provenance["labels"]
        return LabelFrame(tuple(known["shape_yx"]), known["mpp"], known["frame_per_label"])

    @property
    def original_slide_path(self) -> Path:
        """Where the slide was when it was segmented."""
        return Path(self.store.parent / self.provenance["slide"]["path"])

    def slide_path(self, moved_to: Path | None = None) -> Path:
        """Return the path of the slide; raise OutputError if it is not there."""
        slide = moved_to or self.original_slide_path
        if not slide.exists():
            raise OutputError(f"The slide is not at {slide}. Pass --slide with its new path.")
        return slide

    def header(self, path: Path) -> dict[str, Any]:
        """Return what the export at ``path`` states about its origin."""
        known = self.provenance
        return {
            "store": os.path.relpath(self.store.absolute(), path.absolute().parent),
            **{key: known[key] for key in ("run_id", "version", "model", "counts")},
            "slide": {
                key: known["slide"][key]
                for key in ("fingerprint", "mpp", "mpp_source", "shape_yx", "origin_yx")
            },
        }

    def to_geojson(self, path: str | os.PathLike[str]) -> Path:
        """Write the nuclei as `.geojson`, `.geojson.gz` or `.zip`; only another export is replaced."""
        self.export(Path(path))
        return Path(path)

    def export(self, path: Path, may_replace: Callable[[Path], bool] = is_export) -> str | None:
        """Write one output in the format of its extension; return advice for the user, if there is any.

        Args:
            path: The file.
            may_replace: Asked if there is a file of that name when the output is complete.
        """
        if export_form(path) in (Form.TIFF, Form.PNG):
            from sac_wsi.export.label_image import write_label_image

            labels = open_array(self.store, "0")
            write_label_image(
                path, labels, self.header(path), mpp=self.label_frame.mpp, may_replace=may_replace
            )
            return None
        from sac_wsi.export.geojson import write_geojson

        rows = Table(self.store).batches()
        return write_geojson(path, rows, self.header(path), may_replace=may_replace).advice


@dataclass(frozen=True)
class NucleiTable:
    """The nuclei as columns: ``len(nuclei)``, ``nuclei["Area µm^2"]``, ``nuclei.columns``."""

    table: Table

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.table.column(name)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns and measurements."""
        return plain_columns()

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns, as a mapping does."""
        return plain_columns()

    def to_dataframe(self) -> pandas.DataFrame:
        """Return id, UUID, score and all measurements as a pandas data frame, a row for each nucleus."""
        try:
            import pandas
        except ModuleNotFoundError:
            raise OutputError("to_dataframe needs pandas: pip install pandas.") from None
        uuids = uuid_text(self["uuid"])
        texts = np.ascontiguousarray(uuids).view("S36").ravel().astype(str)
        plain = {name: self[name] for name in plain_columns() if name != "uuid" and self[name].ndim == 1}
        return pandas.DataFrame({"uuid": texts, **plain})

    def batches(self) -> Iterator[NucleusRows]:
        """Yield all columns, polygons and masks included, a few thousand nuclei at a time."""
        return self.table.batches()
