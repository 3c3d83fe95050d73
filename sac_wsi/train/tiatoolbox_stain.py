"""The stains of a crop as TIAToolbox finds them (Macenko). Its import takes seconds, so it waits.

Not Vahadane's: TIAToolbox itself warns of what it finds (stains below 0, on many crops), and it draws from
numpy's global state. A crop without two plausible stains stays as it is: blank, grey, fluorescence.
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

from sac_wsi.datasets.modality import is_stained
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
    """ConfigError where TIAToolbox is not installed; does not import it."""
    if importlib.util.find_spec("tiatoolbox") is None:
        raise ConfigError(f"TIAToolbox, which changes the stain, is not installed: {_INSTALL}")


def normalised(crop: Rgb) -> Rgb:
    """With the stains of TIAToolbox's target image."""
    tools = _tools()
    stains = _stains(crop, tools)
    if stains is None:
        return crop
    normaliser = tools.normaliser(stains)
    normaliser.fit(crop.copy())  # rgb2od writes into what it is given
    if (normaliser.maxC_target < _LEAST_DENSITY).any():
        return crop
    normaliser.stain_matrix_target, normaliser.maxC_target = tools.target
    return np.asarray(normaliser.transform(crop.copy()), np.uint8)


def restained(crop: Rgb, amount: float, rng: np.random.Generator) -> Rgb:
    """More or less of each stain: by a factor of up to 1 ± amount, and half of that added."""
    factor, offset = rng.uniform(1 - amount, 1 + amount, 2), rng.uniform(-1, 1, 2) * amount / 2
    tools = _tools()
    stains = _stains(crop, tools)
    if stains is None:
        return crop
    # its own draws come from a generator that nobody can seed: it gets none to do
    augmentor = tools.augmentor("macenko", stains, sigma1=0, sigma2=0)
    augmentor.fit(crop.copy())
    tissue, density = augmentor.tissue_mask, augmentor.source_concentrations
    density[tissue] = density[tissue] * factor + offset
    return np.asarray(augmentor.augment(), np.uint8)


@dataclass(frozen=True)
class _Tools:
    """Of TIAToolbox; ``target`` are the stains of its target image and how dense they are."""

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
    with _LOADING:  # threads that import at once can see half a package
        return _load()


@lru_cache(maxsize=1)
def _load() -> _Tools:
    root, silence = logging.getLogger(), logging.NullHandler()
    root.addHandler(silence)  # or it sends every library's messages to stdout
    try:
        from tiatoolbox.data import stain_norm_target
        from tiatoolbox.tools.stainaugment import StainAugmentor
        from tiatoolbox.tools.stainextract import MacenkoExtractor
        from tiatoolbox.tools.stainnorm import CustomNormalizer, MacenkoNormalizer
    except ImportError as error:
        raise ConfigError(f"TIAToolbox cannot be imported ({error}): {_INSTALL}") from None
    finally:
        root.removeHandler(silence)
        logging.captureWarnings(False)  # it hides them in a log
    target = MacenkoNormalizer()
    target.fit(stain_norm_target())
    return _Tools(
        MacenkoExtractor(), CustomNormalizer, StainAugmentor, (target.stain_matrix_target, target.maxC_target)
    )
