"""Open a slide with OpenSlide, Pillow or TIAToolbox, tried in this order."""

from __future__ import annotations

import stat
from pathlib import Path

from openslide import OpenSlide, OpenSlideError

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import Slide, safe_name
from sac_wsi.slide.readers.members import dicom_candidates, dicom_files, mirax_files
from sac_wsi.slide.readers.openslide_reader import OpenSlideSlide
from sac_wsi.slide.readers.plain_reader import PlainSlide, is_plain
from sac_wsi.slide.readers.tiatoolbox_reader import SUFFIXES, TiaToolboxSlide
from sac_wsi.slide.resolution.mpp import check_override


def open_slide(path: str | Path, *, mpp: float | None = None) -> Slide:
    """Open a slide.

    Args:
        path: The file. For a DICOM series, one of its files or its folder.
        mpp: µm per level-0 pixel; overrides the value in the file.

    Raises:
        SlideError: The file cannot be read, or is not a slide.
    """
    path = Path(path)
    if mpp is not None:
        check_override(mpp)
    try:
        return _open(path, mpp)
    except OSError as error:
        raise SlideError(
            f"{safe_name(path)} cannot be read: {error.strerror or type(error).__name__}."
        ) from None


def _open(path: Path, mpp: float | None) -> Slide:
    _refuse_non_files(path)
    is_chunked = path.suffix.lower() in SUFFIXES
    if path.is_dir():
        return TiaToolboxSlide(path, mpp) if is_chunked else _open_dicom_folder(path, mpp)
    if path.suffix.lower() == ".mrxs":
        mirax_files(path)  # if its folder is missing, OpenSlide reports only an unknown format
    if vendor := _vendor(path):
        return OpenSlideSlide(path, path, vendor, mpp)
    if is_plain(path):
        return PlainSlide(path, mpp)
    if is_chunked:
        return TiaToolboxSlide(path, mpp)
    raise SlideError(
        f"{safe_name(path)} is not a slide: needed a format of OpenSlide (SVS, NDPI, MRXS, SCN, BIF, tiled "
        f"TIFF, DICOM), PNG, JPEG, TIFF, BMP, or one of TIAToolbox ({', '.join(SUFFIXES)})."
    )


def is_slide(path: Path) -> bool:
    """Return whether a reader accepts the file by its first bytes or its name; it may still be damaged."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    return _vendor(path) is not None or is_plain(path) or path.suffix.lower() in SUFFIXES


def _refuse_non_files(path: Path) -> None:
    """Raise SlideError for what is missing, empty or not a file; to open a FIFO would wait for ever."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise SlideError(
            f"{safe_name(path)} does not exist in {safe_name(path.parent.absolute())}/: check the path."
        ) from None
    if stat.S_ISDIR(status.st_mode):
        return
    if not stat.S_ISREG(status.st_mode):
        raise SlideError(f"{safe_name(path)} is a FIFO, device or socket, needed a slide file.")
    if status.st_size == 0:
        raise SlideError(f"{safe_name(path)} is empty: copy it again.")


def _vendor(path: Path) -> str | None:
    try:
        vendor: str | None = OpenSlide.detect_format(path)
    except OpenSlideError:
        return None
    return vendor


def _open_dicom_folder(folder: Path, mpp: float | None) -> Slide:
    slides = [file for file in dicom_candidates(folder) if _vendor(file) == "dicom"]
    if not slides:
        raise SlideError(f"{safe_name(folder)} is a folder without a DICOM slide: pass a slide file.")
    series = _series(slides[0])
    others = set(slides).difference(dicom_files(slides[0], series))
    if others:
        raise SlideError(
            f"{safe_name(folder)} contains more than one DICOM series: pass one file of the series you mean, "
            f"such as {safe_name(folder)}/{safe_name(slides[0])}."
        )
    return OpenSlideSlide(folder, slides[0], "dicom", mpp)


def _series(file: Path) -> str:
    try:
        with OpenSlide(file) as handle:
            return str(handle.properties["dicom.SeriesInstanceUID"])
    except OpenSlideError:
        raise SlideError(
            f"{safe_name(file)} belongs to a DICOM series that cannot be opened: copy all its files again."
        ) from None
