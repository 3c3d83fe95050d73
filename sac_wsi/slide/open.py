"""Open a slide: OpenSlide first, then plain images, then whatever TIAToolbox reads besides."""

from __future__ import annotations

import stat
from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import Slide, shown
from sac_wsi.slide.readers.members import dicom_candidates, dicom_files, mirax_files
from sac_wsi.slide.readers.openslide_reader import OpenSlideSlide
from sac_wsi.slide.readers.plain_reader import PlainSlide, is_plain
from sac_wsi.slide.readers.tiatoolbox_reader import SUFFIXES, TiaToolboxSlide
from sac_wsi.slide.resolution.mpp import checked_override


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide; ``mpp`` (µm per level-0 pixel) overrides what the file says.

    A DICOM series may be named by its folder or by one of its files. SlideError if it cannot be read.
    """
    path = Path(path)
    if mpp is not None:
        checked_override(mpp)
    try:
        return _open(path, mpp)
    except OSError as error:
        raise SlideError(f"{shown(path)} cannot be read: {error.strerror or type(error).__name__}.") from None


def _open(path: Path, mpp: float | None) -> Slide:
    _refuse_non_files(path)
    is_chunked = path.suffix.lower() in SUFFIXES
    if path.is_dir():
        return TiaToolboxSlide(path, mpp) if is_chunked else _open_dicom_folder(path, mpp)
    if path.suffix.lower() == ".mrxs":
        mirax_files(path)  # without its folder OpenSlide only says that it does not know the format
    if vendor := _vendor(path):
        return OpenSlideSlide(path, path, vendor, mpp)
    if is_plain(path):
        return PlainSlide(path, mpp)
    if is_chunked:
        return TiaToolboxSlide(path, mpp)
    raise SlideError(
        f"{shown(path)} is no slide: needed a format of OpenSlide (SVS, NDPI, MRXS, SCN, BIF, tiled TIFF, "
        f"DICOM), PNG, JPEG, TIFF, BMP, or one of TIAToolbox ({', '.join(SUFFIXES)})."
    )


def is_slide(path: Path) -> bool:
    """Whether a reader claims the file, by its beginning or its name; it may still turn out to be damaged."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    return _vendor(path) is not None or is_plain(path) or path.suffix.lower() in SUFFIXES


def _refuse_non_files(path: Path) -> None:
    """Before anything opens it: opening a FIFO waits for a writer for ever."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError(
            f"{shown(path)} does not exist in {shown(path.parent.absolute())}/: check the path."
        ) from None
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise SlideError(f"{shown(path)} is a FIFO, device or socket, needed a slide file.")
    if status.st_size == 0:
        raise SlideError(f"{shown(path)} is empty: copy it again.")


def _vendor(path: Path) -> str | None:
    try:
        vendor: str | None = OpenSlide.detect_format(path)
    except OpenSlideError:
        return None
    return vendor


def _open_dicom_folder(folder: Path, mpp: float | None) -> Slide:
    slides = [file for file in dicom_candidates(folder) if _vendor(file) == "dicom"]
    if not slides:
        raise SlideError(f"{shown(folder)} is a folder and holds no DICOM slide: pass a slide file.")
    series = _series(slides[0])
    others = set(slides).difference(dicom_files(slides[0], series))
    if others:
        raise SlideError(
            f"{shown(folder)} holds more than one DICOM series: pass one file of the series you mean, "
            f"such as {shown(folder)}/{shown(slides[0])}."
        )
    return OpenSlideSlide(folder, slides[0], "dicom", mpp)


def _series(file: Path) -> str:
    try:
        with OpenSlide(file) as handle:
            return str(handle.properties["dicom.SeriesInstanceUID"])
    except OpenSlideError:
        raise SlideError(
            f"{shown(file)} begins a DICOM series that cannot be opened: copy all its files again."
        ) from None
