"""A build hook of hatch: puts the weights for research into the wheel where somebody asks for it.

    SAC_WSI_RESEARCH_WEIGHTS=1 pip wheel --no-deps .

From a git checkout: the source archive has no such weights either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SWITCH = "SAC_WSI_RESEARCH_WEIGHTS"
FOLDER = "sac_wsi/weights/research"


class ResearchWeights(BuildHookInterface):  # type: ignore[misc]
    """Their licence then is part of what the wheel holds."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get(SWITCH) != "1" or version == "editable":
            return
        folder = Path(self.root) / FOLDER
        if not folder.is_dir():
            raise RuntimeError(f"{SWITCH} is 1 and there is no {FOLDER} here: build from a git checkout.")
        build_data["force_include"][str(folder)] = FOLDER
