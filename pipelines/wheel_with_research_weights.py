"""Build hook of hatch: add the research-only weights to the wheel if an environment variable asks for them.

    SAC_WSI_RESEARCH_WEIGHTS=1 pip wheel --no-deps .

It needs a git checkout: the source archive does not have these weights either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "SAC_WSI_RESEARCH_WEIGHTS"
FOLDER = "sac_wsi/weights/research"


class ResearchWeights(BuildHookInterface):  # type: ignore[misc]
    """Adds the weights, whose licence is inside them, to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder of weights to the files of the wheel."""
        if os.environ.get(SWITCH) != "1" or version == "editable":
            return
        folder = Path(self.root) / FOLDER
        if not folder.is_dir():
            raise RuntimeError(f"{SWITCH} is 1, but there is no folder {FOLDER}. Build from a git checkout.")
        build_data["force_include"][str(folder)] = FOLDER
