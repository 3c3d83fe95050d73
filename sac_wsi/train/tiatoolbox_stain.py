"""Normalise and change the stains of a crop with TIAToolbox (Macenko).

TIAToolbox is imported on first use, because its import takes seconds.

Vahadane's method is not used: TIAToolbox warns of its results (negative stains on many crops), and it uses
numpy's global random state. A crop without two plausible stains (blank, grey, fluorescence) is not changed.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sac_wsi.datasets.image_type import is_stained
from sac_wsi.errors import ConfigError

if TYPE_CHECKING:
    from sac_wsi.datasets.sample import Rgb

Stains = NDArray[np.float64]
"""(2, 3) optical density of haematoxylin and eosin, rows of unit length."""

_INSTALL = 'pip install "sac-wsi[tiatoolbox]", or leave augment.tiatoolbox and augment.normalise at 0.'
_LOADING = Lock()

# measured on 150 crops of MoNuSeg: 12 to 33 degrees between the stains, 0.57 and more of each
_LEAST_DEGREES = 5.0
_LEAST_DENSITY = 0.2
_FEWEST_PIXELS = 256


def require() -> None:
    """Raise ConfigError if TIAToolbox is not installed; do not import it."""
    if importlib.util.find_spec("tiatoolbox") is None:
        raise ConfigError(f"TIAToolbox, which changes the stain, is not installed: {_INSTALL}")


def normalised(crop: Rgb) -> Rgb:
    """Return the crop with the stains of TIAToolbox's target image."""
    tools = _tools()
    stains = _stains(crop, tools)
    if stains is None:
        return crop
    normaliser = tools.normaliser(stains)
    normaliser.fit(crop.copy())  # rgb2od changes its argument
    if (normaliser.maxC_target < _LEAST_DENSITY).any():
        return crop
    normaliser.stain_matrix_target, normaliser.maxC_target = tools.target
    return np.asarray(normaliser.transform(crop.copy()), np.uint8)


def restained(crop: Rgb, amount: float, rng: np.random.Generator) -> Rgb:
    """Multiply each stain by a random factor of 1 ± amount, and add up to ± amount / 2."""
    factor, offset = rng.uniform(1 - amount, 1 + amount, 2), rng.uniform(-1, 1, 2) * amount / 2
    tools = _tools()
    stains = _stains(crop, tools)
    if stains is None:
        return crop
    # its random generator cannot be seeded, so its own random change is switched off
    augmentor = tools.augmentor("macenko", stains, sigma1=0, sigma2=0)
    augmentor.fit(crop.copy())
    tissue, density = augmentor.tissue_mask, augmentor.source_concentrations
    density[tissue] = density[tissue] * factor + offset
    return np.asarray(augmentor.augment(), np.uint8)


@dataclass(frozen=True)
class _Tools:
    """Classes of TIAToolbox; ``target`` are the stains of its target image and their densities."""

    extractor: Any
    normaliser: Any
    augmentor: Any
    target: tuple[Stains, Stains]


def _stains(crop: Rgb, tools: _Tools) -> Stains | None:
    if crop.shape[0] * crop.shape[1] < _FEWEST_PIXELS or not is_stained(crop):
        return None
    try:
        stains = np.asarray(tools.extractor.get_stain_matrix(crop))
    except ValueError:  # no tissue, or no two directions in it
        return None
    apart = np.degrees(np.arccos(np.clip(stains[0] @ stains[1], -1, 1)))
    return stains if (stains > 0).all() and apart >= _LEAST_DEGREES else None


def _tools() -> _Tools:
    with _LOADING:  # threads that import at the same time can see a partly imported package
        return _load()


@lru_cache(maxsize=1)
def _load() -> _Tools:
    root, silence = logging.getLogger(), logging.NullHandler()
    root.addHandler(silence)  # otherwise it prints the messages of all libraries
    try:
        from tiatoolbox.data import stain_norm_target
        from tiatoolbox.tools.stainaugment import StainAugmentor
        from tiatoolbox.tools.stainextract import MacenkoExtractor
        from tiatoolbox.tools.stainnorm import CustomNormalizer, MacenkoNormalizer
    except ImportError as error:
        raise ConfigError(f"TIAToolbox cannot be imported ({error}): {_INSTALL}") from None
    finally:
        root.removeHandler(silence)
        logging.captureWarnings(False)  # it redirects warnings to a log
    target = MacenkoNormalizer()
    target.fit(stain_norm_target())
    return _Tools(
        MacenkoExtractor(), CustomNormalizer, StainAugmentor, (target.stain_matrix_target, target.maxC_target)
    )
