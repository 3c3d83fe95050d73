"""Define every error that a user can cause or meet.

    SacWsiError                 exit code 1: something failed
    ├── RequestError            exit code 2: the request was wrong, nothing was changed
    │   ├── SlideError          not a slide, truncated, no resolution
    │   ├── ConfigError         a config file or a --set that does not fit
    │   ├── OutputError         output exists, unwritable, wrong extension
    │   ├── DataError           labelled images that are missing, damaged, or do not fit together
    │   ├── CheckpointError     weights that are damaged, of another program, or do not fit
    │   └── InputChanged        slide or config differ from those of the run on disk
    ├── StoreError              a store that is incomplete, damaged, or not made by sac-wsi
    ├── DownloadError           a file that could not be downloaded, or is not the right one
    ├── WriteError              the disk is full or failing
    └── ReadError               a region of a slide could not be read

A message says what was found, what was needed and what to type. It never contains text from inside a slide
file, except the allowed properties of ``sac_wsi.slide.open``.
"""

from __future__ import annotations

INSTALL_TORCH = 'pip install "sac-wsi[torch]", or from a checkout pip install -c constraints.txt ".[torch]"'
"""What to type where PyTorch is needed and not installed."""


class SacWsiError(Exception):
    """Base class of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class RequestError(SacWsiError):
    """The request cannot be carried out as typed; nothing was changed."""

    exit_code = 2


class SlideError(RequestError):
    """The file is not a readable slide, or lacks something that is needed to read it."""


class ConfigError(RequestError):
    """A setting does not exist, or its value does not fit."""


class OutputError(RequestError):
    """An output exists, cannot be written, or has an unknown extension."""


class DataError(RequestError):
    """Labelled images are missing, damaged, or do not fit together."""


class CheckpointError(RequestError):
    """A weight file is damaged, of another program, or does not fit the model or the slide."""


class StoreError(SacWsiError):
    """A store is incomplete, damaged, or not made by sac-wsi."""


class DownloadError(SacWsiError):
    """A file could not be downloaded, or is not the right one."""


class WriteError(SacWsiError):
    """The disk is full or failing: other blocks would fail too; the same command continues later."""


class ReadError(SacWsiError):
    """A region of a slide could not be read, not even after the file was opened again."""


class InputChanged(RequestError):
    """The slide or the config differ from those of the run on disk."""
