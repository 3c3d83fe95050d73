"""One archive of crops and labels, for training without the original files.

A zip whose members are not compressed again: ``manifest.json``, and for each crop an image (JPEG without
chroma subsampling, or lossless WebP) and a label map (PNG of 16 bits, or a compressed .npy where ids
exceed them). The same images give the same bytes.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from sac_wsi.datasets.folder_or_zip import FolderOrZip, open_zip
from sac_wsi.datasets.pixels import read_labels, read_rgb
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample
from sac_wsi.errors import ConfigError, DataError
from sac_wsi.files.atomic import atomic_file
from sac_wsi.geometry import Box
from sac_wsi.settings.typed import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FORMAT = "sac-wsi-pack/1"
MANIFEST = "manifest.json"
MAX_BYTES = 45 * 2**20
CROP_PX = 512
QUALITY = 92
"""On MoNuSeg and TNBC 0.41 bytes per pixel, 43 dB, decoded in 12 ms per megapixel. Lossless WebP takes 1.16
bytes and 28 ms, PNG 1.6 bytes and 55 ms."""

_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
_LARGEST_PNG_ID = 65535


@dataclass(frozen=True)
class Crop:
    """One crop. ``box`` is its place in the image ``name``, in pixels: y0, x0, y1, x1.

    The names of the fields are the keys of the manifest.
    """

    dataset: str
    name: str
    group: str
    split: str
    mpp: float | None
    box: tuple[int, int, int, int]
    objects: int
    image: str
    labels: str
    about: dict[str, Any] = field(default_factory=dict)
    labels_off_yx: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Origin:
    """A dataset that the crops come from."""

    name: str
    source: str
    licence: str
    images: int
    crops: int


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``. ``quality`` None: lossless."""

    format: str
    quality: int | None
    crop_px: int
    origins: tuple[Origin, ...]
    crops: tuple[Crop, ...]


def write_pack(
    path: Path,
    datasets: Sequence[DataSet],
    *,
    crop_px: int = CROP_PX,
    quality: int | None = QUALITY,
    max_bytes: int = MAX_BYTES,
) -> Manifest:
    """Write the archive, completely or not at all.

    Args:
        path: The archive.
        datasets: The datasets to pack.
        crop_px: Largest side of a crop. Images are cut into even crops that cover them; 0 keeps them whole.
        quality: JPEG quality; None is lossless.
        max_bytes: Largest allowed size of the archive.

    Raises:
        DataError: The archive would be too large, or there is nothing to pack.
    """
    _refuse_unfit(datasets, crop_px, quality)
    with atomic_file(path, _is_pack) as file:
        manifest = _write(file, datasets, crop_px, quality)
        size = file.tell()
        if size > max_bytes:
            raise DataError(
                f"The pack has {size / 2**20:.1f} MiB; needed at most {max_bytes / 2**20:.1f}. "
                f"{'Pass --quality 92' if quality is None else 'Pass a lower --quality'}, or fewer images."
            )
    return manifest


def _is_pack(path: Path) -> bool:
    """Return whether a file is a pack; no other file is replaced."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


class Pack:
    """An archive, held in memory. Several threads can read from it."""

    def __init__(self, manifest: Manifest, members: FolderOrZip) -> None:
        self.manifest = manifest
        self._members = members
        self._crops = self._dataset()

    @classmethod
    def open(cls, path: Path) -> Pack:
        """Open an archive and check that it is complete."""
        if not path.is_file():
            raise DataError(f"There is no file {path}. Make it with `python pipelines/pack_training.py`.")
        members = open_zip(path)
        if MANIFEST not in members.names:
            raise DataError(
                f"{path} has no {MANIFEST}, so it is not a pack. Make one with pipelines/pack_training.py."
            )
        manifest = _manifest(members.read(MANIFEST), path)
        wanted = {name for crop in manifest.crops for name in (crop.image, crop.labels)}
        if lacking := sorted(wanted - set(members.names)):
            raise DataError(f"{path} lacks {lacking[0]}, which its manifest names: copy it again.")
        return cls(manifest, members)

    def __len__(self) -> int:
        return len(self.manifest.crops)

    def read(self, index: int) -> tuple[Rgb, Labels]:
        """Return image and labels of a crop."""
        return self._crops.read(index)

    def as_dataset(self) -> DataSet:
        """Return the crops as a dataset, which can be split, checked and drawn."""
        return self._crops

    def _dataset(self) -> DataSet:
        origins = self.manifest.origins
        return DataSet(
            self._members.source.stem,
            tuple(self._sample(crop) for crop in self.manifest.crops),
            str(self._members.source),
            "; ".join(dict.fromkeys(origin.licence for origin in origins)),
        )

    def part(self, split: str) -> DataSet:
        """Return the crops of one split."""
        return self._crops.part(split)

    def _sample(self, crop: Crop) -> Sample:
        return Sample(
            f"{crop.dataset}/{crop.name}@{crop.box[0]},{crop.box[1]}",
            f"{crop.dataset}/{crop.group}",
            partial(self._rgb, crop.image),
            partial(self._labels, crop.labels),
            crop.split,
            crop.mpp,
            {key: str(value) for key, value in crop.about.items()},
            crop.labels_off_yx,
        )

    def _rgb(self, member: str) -> Rgb:
        return read_rgb(self._members.read(member), self._member_name(member))

    def _labels(self, member: str, rgb: Rgb) -> Labels:
        data = self._members.read(member)
        if member.endswith(".npy.z"):
            return read_labels(
                _inflated(data, rgb, self._member_name(member)), ".npy", self._member_name(member)
            )
        return read_labels(data, ".png", self._member_name(member))

    def _member_name(self, member: str) -> str:
        return f"{member} in {self._members.source}"


def cut(shape_yx: tuple[int, int], crop_px: int) -> list[Box]:
    """Return even boxes of at most ``crop_px`` that partition the image; 0: one box.

    >>> [box.shape for box in cut((1000, 300), 512)]
    [(500, 300), (500, 300)]
    """
    edges = []
    for side in shape_yx:
        parts = -(-side // crop_px) if crop_px else 1
        edges.append([side * i // parts for i in range(parts + 1)])
    return [
        Box(y0, x0, y1, x1)
        for y0, y1 in zip(edges[0], edges[0][1:], strict=False)
        for x0, x1 in zip(edges[1], edges[1][1:], strict=False)
    ]


def _refuse_unfit(datasets: Sequence[DataSet], crop_px: int, quality: int | None) -> None:
    if not datasets or not all(map(len, datasets)):
        raise DataError("There is nothing to pack: needed datasets with images.")
    names = [data.name for data in datasets]
    if len(set(names)) < len(names):
        raise DataError(f"The datasets are called {', '.join(names)}: needed a different name for each.")
    if crop_px and crop_px < 64:
        raise DataError(f"Crops of {crop_px} px: needed at least 64, or 0 for whole images.")
    if quality is not None and not 1 <= quality <= 100:
        raise DataError(f"A quality of {quality}: needed 1 to 100, or none for lossless.")


def _write(file: BinaryIO, datasets: Sequence[DataSet], crop_px: int, quality: int | None) -> Manifest:
    crops: list[Crop] = []
    origins: list[Origin] = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for data in datasets:
            before = len(crops)
            for sample in data.samples:
                for crop, image, labels in _crops(data.name, sample, len(crops), crop_px, quality):
                    _put(archive, crop.image, image)
                    _put(archive, crop.labels, labels)
                    crops.append(crop)
            origins.append(
                Origin(data.name, _public(data.source), data.licence, len(data), len(crops) - before)
            )
        manifest = Manifest(FORMAT, quality, crop_px, tuple(origins), tuple(crops))
        _put(archive, MANIFEST, json.dumps(asdict(manifest), indent=1).encode(), zipfile.ZIP_DEFLATED)
    return manifest


def _crops(
    dataset: str, sample: Sample, first: int, crop_px: int, quality: int | None
) -> Iterator[tuple[Crop, bytes, bytes]]:
    rgb, labels = sample.read()
    whole = Box.of_shape((rgb.shape[0], rgb.shape[1]))
    for number, box in enumerate(cut(whole.shape, crop_px), first):
        part = labels[box.within(whole)]
        image, image_suffix = _image_bytes(rgb[box.within(whole)], quality)
        label, label_suffix = _label_bytes(part)
        yield (
            Crop(
                dataset,
                sample.name,
                sample.group,
                sample.split,
                sample.mpp,
                (box.y0, box.x0, box.y1, box.x1),
                int(np.count_nonzero(np.unique(part))),
                f"images/{number:06}{image_suffix}",
                f"labels/{number:06}{label_suffix}",
                dict(sample.about),
                sample.label_offset_yx,
            ),
            image,
            label,
        )


def _image_bytes(rgb: Rgb, quality: int | None) -> tuple[bytes, str]:
    data = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if quality is None:
        image.save(data, "WEBP", lossless=True, quality=50, method=2)
        return data.getvalue(), ".webp"
    image.save(data, "JPEG", quality=quality, subsampling=0, optimize=True)
    return data.getvalue(), ".jpg"


def _label_bytes(labels: Labels) -> tuple[bytes, str]:
    data = io.BytesIO()
    if labels.max() <= _LARGEST_PNG_ID:
        Image.fromarray(np.ascontiguousarray(labels, np.uint16)).save(data, "PNG", compress_level=9)
        return data.getvalue(), ".png"
    np.save(data, labels, allow_pickle=False)
    return zlib.compress(data.getvalue(), 9), ".npy.z"


def _inflated(data: bytes, rgb: Rgb, name: str) -> bytes:
    """Decompress labels, but no more bytes than labels of that image can have."""
    most = 4 * rgb.shape[0] * rgb.shape[1] + 4096
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        raise DataError(f"{name} is damaged: copy the pack again.") from None


def _put(archive: zipfile.ZipFile, name: str, data: bytes, how: int = zipfile.ZIP_STORED) -> None:
    entry = zipfile.ZipInfo(name, _FIXED_TIME)
    entry.compress_type = how
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _public(source: str) -> str:
    """Return the last part of the path, so that private folder names are not published."""
    return Path(source).name


def _manifest(data: bytes, path: Path) -> Manifest:
    try:
        found = json.loads(data)
        manifest = build(Manifest, found if isinstance(found, dict) else {})
    except (ValueError, TypeError, RecursionError, ConfigError) as error:
        raise DataError(f"The manifest of {path} is damaged ({error}): make the pack again.") from None
    if manifest.format != FORMAT:
        raise DataError(f"{path} is of format {manifest.format!r}. Needed {FORMAT!r}: make the pack again.")
    if not manifest.crops:
        raise DataError(f"{path} holds no crops: make the pack again.")
    return manifest
