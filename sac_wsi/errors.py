"""Every error a user can cause or meet.

    SacWsiError                 exit code 1: something failed
    ├── RequestError            exit code 2: the request was wrong, nothing was touched
    │   ├── SlideError          not a slide, truncated, no resolution
    │   ├── ConfigError         a config file or a --set that does not fit
    │   ├── OutputError         output exists, unwritable, wrong extension
    │   ├── DataError           labelled images that are missing, damaged, or do not fit together
    │   ├── CheckpointError     weights that are damaged, foreign or do not fit
    │   └── InputChanged        slide or config differ from those of the run on disk
    ├── StoreError              a store that is incomplete, foreign or damaged
    ├── DownloadError           a file that could not be fetched, or is not the one that was needed
    ├── WriteError              the disk is full or failing
    └── ReadError               a region of a slide could not be read

A message says what was found, what was needed and what to type. It never holds text that came from
inside a slide file beyond the whitelisted properties of ``sac_wsi.slide.open``.
"""

from __future__ import annotations


class SacWsiError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns."""

    exit_code = 1


class RequestError(SacWsiError):
    """The request cannot be carried out as typed; nothing was touched."""

    exit_code = 2


class SlideError(RequestError):
    """The file is no slide that can be read, or lacks what is needed to read it."""


class ConfigError(RequestError):
    """A setting that does not exist or whose value does not fit."""


class OutputError(RequestError):
    """An output that exists, cannot be written, or whose extension is unknown."""


class DataError(RequestError):
    """Labelled images that are missing, damaged, or do not fit together."""


class CheckpointError(RequestError):
    """A file of weights that is damaged, foreign, or does not fit the model or the slide."""


class StoreError(SacWsiError):
    """A store that is incomplete, foreign or damaged."""


class DownloadError(SacWsiError):
    """A file that could not be fetched, or that is not the one that was needed."""


class WriteError(SacWsiError):
    """The disk is full or failing: no use in trying other blocks, but a rerun goes on."""


class ReadError(SacWsiError):
    """A region of a slide could not be read, even through a fresh handle."""


class InputChanged(RequestError):
    """The slide or the config differ from those of the run that is on disk."""
