"""A build hook of hatch, off by default: puts the weights for research into the wheel.

HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 pip wheel --no-deps .
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = "sac_wsi/weights/research"


class ResearchWeights(BuildHookInterface):  # type: ignore[misc]
    """Their licence then is part of what the wheel holds."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        build_data["force_include"][f"{self.root}/{FOLDER}"] = FOLDER
