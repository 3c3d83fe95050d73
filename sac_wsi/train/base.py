"""Find the file of SAM's weights that a run starts from."""

from __future__ import annotations

from pathlib import Path

from sac_wsi.errors import CheckpointError
from sac_wsi.weights.catalogue import MODEL_FILES, find_model_file


def base_file(base: str) -> Path | None:
    """Return the file of SAM's weights, or None if ``base`` is empty.

    Args:
        base: A path, or the name of one of Meta's models that has been fetched.

    Raises:
        CheckpointError: There is no such file.
    """
    if not base:
        return None
    found = Path(base) if Path(base).is_file() else find_model_file(base)
    if found is None:
        fetch = next((m.name for m in MODEL_FILES if base in (m.name, m.file)), MODEL_FILES[0].name)
        raise CheckpointError(
            f"There is no file {base}. Run `sac-wsi models fetch {fetch}`, or pass --set base=FILE with "
            "SAM's weights, or --set 'base=\"\"' to start from random weights."
        )
    return found
