"""Names of all files of a store, so that nothing else in its folder is ever removed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sac_wsi.errors import OutputError, StoreError
from sac_wsi.files.ownership import first_foreign, remove_own
from sac_wsi.store.provenance import read_provenance

if TYPE_CHECKING:
    from pathlib import Path

_ARRAY = r"(?:\d+|tissue|tile_status|nuclei/\w+)"
_UNFINISHED = r"(?:\.[0-9a-f]{32}\.partial)?"
"""zarr's ending of a file that it has not finished."""
STORE_FILES = (
    rf"(?:(?:nuclei/|{_ARRAY}/)?zarr(?:\.json|{_UNFINISHED})"
    rf"|{_ARRAY}/c(?:/\d+)*{_UNFINISHED}"
    rf"|nuclei/|{_ARRAY}/|{_ARRAY}/c/(?:\d+/)*)"
)
"""Files and folders of a store, as a regular expression; folders end with a slash."""
_STORE_FILES = re.compile(STORE_FILES)


def refuse_foreign(store: Path) -> None:
    """Raise OutputError if a folder is not a store that sac-wsi wrote, or if it holds other files too."""
    try:
        read_provenance(store, any_format=True)
    except StoreError:
        raise OutputError(
            f"{store} was not written by sac-wsi, or is damaged: it is not replaced. Move it away, or give "
            "another --out."
        ) from None
    if name := first_foreign(store, _STORE_FILES):
        raise OutputError(
            f"{store} holds {name}, which sac-wsi did not write: it is not replaced. Move that file away, or "
            "give another --out."
        )


def remove_store(store: Path) -> None:
    """Remove a store; raise OutputError if it is not one, or holds other files too."""
    refuse_foreign(store)
    remove_own(store, _STORE_FILES)
