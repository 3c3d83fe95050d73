"""The images that a config names, to learn from and to validate on."""

from __future__ import annotations

from pathlib import Path

from sac_wsi.train.config import TrainConfig
from sac_wsi.train.data.pack import Pack
from sac_wsi.train.images import Images, SyntheticImages

_VALIDATION_SEED = 1 << 16


def open_images(config: TrainConfig) -> tuple[Images, Images]:
    data = config.data
    if data.kind == "synthetic":
        made = SyntheticImages(data.images, data.side_px, config.mpp, seed=0)
        held_back = SyntheticImages(max(1, data.images // 4), data.side_px, config.mpp, _VALIDATION_SEED)
        return made, held_back
    pack = Pack.open(Path(data.path))
    return pack.part("train"), pack.part("val")
