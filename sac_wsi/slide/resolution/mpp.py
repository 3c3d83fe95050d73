"""Choose among the resolutions that a file states, and report what was read if there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import SlideInfo, safe_name
from sac_wsi.slide.resolution.sources import Candidate, candidates, number, searched_names

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MPP_RANGE_UM = (0.05, 10.0)
"""Plausible for a microscope. Screens and printers have larger pixels: 72 dpi is 353 µm, 600 dpi is 42 µm."""
_ANISOTROPY = 0.01
_OBJECTIVE_TOLERANCE = 0.35
_UM_TIMES_OBJECTIVE = 10.0
"""Usual product of µm per pixel and objective: 0.25 µm at 40x, 0.5 µm at 20x."""
_OBJECTIVE_RANGE = (0.5, 200.0)


@dataclass(frozen=True, slots=True)
class Resolution:
    """The resolution of level 0 in µm per pixel, or None; its source; the properties that were read."""

    mpp: float | None
    source: str
    looked_in: tuple[str, ...]
    objective: float | None
    warnings: tuple[str, ...]


def resolve(
    properties: Mapping[str, str], vendor: str, path: Path, override: float | None = None
) -> Resolution:
    """Return the user's value if given, else the first plausible one in the properties.

    Args:
        properties: Properties of the file by name.
        vendor: Name of the format, for the list of properties that were read.
        path: The file, for messages.
        override: µm per pixel that the user gave.
    """
    stated = list(candidates(properties))
    chosen = next((c for c in stated if _plausible(c.x_um) and _plausible(c.y_um)), None)
    rejected = {c.source: _value(c) for c in stated if not (_plausible(c.x_um) and _plausible(c.y_um))}
    objective = _objective(properties)
    if override is not None:
        mpp, source = check_override(override), "--mpp"
    elif chosen:
        mpp, source = _square(chosen, path), chosen.source
    else:
        mpp, source = None, ""
    names = dict.fromkeys((*searched_names(properties, vendor), *(c.source for c in stated)))
    looked_in = tuple(f"{n} = {rejected[n]}" if n in rejected else n for n in names)
    warnings = [
        f"{n} = {v} is not a plausible microscope resolution and was ignored" for n, v in rejected.items()
    ]
    warnings += _contradiction(mpp, source, objective)
    if override is not None and chosen and abs(chosen.x_um / override - 1) > _ANISOTROPY:
        warnings.append(f"{chosen.source} says {_value(chosen)} per pixel, but --mpp {override:g} is used")
    return Resolution(mpp, source, looked_in, objective, tuple(warnings))


def check_override(mpp: float) -> float:
    """Return the user's resolution; raise SlideError if it is not plausible for a microscope."""
    if not _plausible(mpp):
        low, high = MPP_RANGE_UM
        raise SlideError(
            f"--mpp {mpp:g} is not a plausible microscope resolution: needed {low:g} to {high:g} microns per "
            "pixel. 40x is usually 0.25, 20x 0.5."
        )
    return float(mpp)


def require_mpp(info: SlideInfo) -> float:
    """Return micrometres per level-0 pixel; if unknown, raise SlideError and name the properties read."""
    if info.mpp is None:
        looked = f" (looked in {', '.join(info.mpp_looked_in)})" if info.mpp_looked_in else ""
        raise SlideError(
            f"{safe_name(info.path)} has no microns per pixel{looked}. "
            "Pass --mpp 0.25 (40x is usually 0.25, 20x 0.5)."
        )
    return info.mpp


def _plausible(mpp_um: float) -> bool:
    return MPP_RANGE_UM[0] <= mpp_um <= MPP_RANGE_UM[1]


def _value(candidate: Candidate) -> str:
    x, y = f"{candidate.x_um:.4g}", f"{candidate.y_um:.4g}"
    return f"{x} µm" if x == y else f"{x} x {y} µm"


def _square(candidate: Candidate, path: Path) -> float:
    x_um, y_um = candidate.x_um, candidate.y_um
    if abs(x_um - y_um) > _ANISOTROPY * min(x_um, y_um):
        raise SlideError(
            f"{safe_name(path)} has pixels that are not square: {candidate.source} says {x_um:g} x {y_um:g} "
            "µm, needed within 1 %. Pass --mpp 0.25 if you know better (40x is usually 0.25, 20x 0.5)."
        )
    return (x_um + y_um) / 2


def _objective(properties: Mapping[str, str]) -> float | None:
    power = number(properties.get("openslide.objective-power", properties.get("tiatoolbox.objective-power")))
    return power if _OBJECTIVE_RANGE[0] <= power <= _OBJECTIVE_RANGE[1] else None


def _contradiction(mpp: float | None, source: str, objective: float | None) -> list[str]:
    if mpp is None or objective is None:
        return []
    usual = _UM_TIMES_OBJECTIVE / objective
    if abs(mpp / usual - 1) <= _OBJECTIVE_TOLERANCE:
        return []
    return [f"a {objective:g}x objective usually gives {usual:g} µm/px, but {source} says {mpp:g}"]
