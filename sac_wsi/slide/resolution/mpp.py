"""Which of the stated resolutions is believed, and what is said where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sac_wsi.errors import SlideError
from sac_wsi.slide.protocol import SlideInfo, shown
from sac_wsi.slide.resolution.sources import Candidate, candidates, number, places

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MPP_RANGE_UM = (0.05, 10.0)
"""What a microscope can mean. A screen or a printer means more: 72 dpi is 353 µm, 600 dpi is 42 µm."""
_ANISOTROPY = 0.01
_OBJECTIVE_TOLERANCE = 0.35
_UM_TIMES_OBJECTIVE = 10.0
"""0.25 µm at 40x, 0.5 µm at 20x."""
_OBJECTIVE_RANGE = (0.5, 200.0)


@dataclass(frozen=True, slots=True)
class Resolution:
    """The resolution of level 0 in µm per pixel, or None; where it came from; where it was looked for."""

    mpp: float | None
    source: str
    looked_in: tuple[str, ...]
    objective: float | None
    warnings: tuple[str, ...]


def resolve(
    properties: Mapping[str, str], vendor: str, path: Path, override: float | None = None
) -> Resolution:
    """The first plausible candidate, unless the user says better."""
    stated = list(candidates(properties))
    believed = next((c for c in stated if _plausible(c.x_um) and _plausible(c.y_um)), None)
    rejected = {c.source: _value(c) for c in stated if not (_plausible(c.x_um) and _plausible(c.y_um))}
    objective = _objective(properties)
    if override is not None:
        mpp, source = checked_override(override), "--mpp"
    elif believed:
        mpp, source = _square(believed, path), believed.source
    else:
        mpp, source = None, ""
    names = dict.fromkeys((*places(properties, vendor), *(c.source for c in stated)))
    looked_in = tuple(f"{n} = {rejected[n]}" if n in rejected else n for n in names)
    warnings = [f"{n} = {v} is no microscope's resolution and was ignored" for n, v in rejected.items()]
    warnings += _contradiction(mpp, source, objective)
    if override is not None and believed and abs(believed.x_um / override - 1) > _ANISOTROPY:
        warnings.append(
            f"{believed.source} says {_value(believed)} per pixel, and --mpp {override:g} was taken"
        )
    return Resolution(mpp, source, looked_in, objective, tuple(warnings))


def checked_override(mpp: float) -> float:
    """What the user typed, if a microscope can mean it."""
    if not _plausible(mpp):
        low, high = MPP_RANGE_UM
        raise SlideError(
            f"--mpp {mpp:g} is no microscope's resolution: needed {low:g} to {high:g} microns per pixel. "
            "40x is usually 0.25, 20x 0.5."
        )
    return float(mpp)


def require_mpp(info: SlideInfo) -> float:
    """Micrometres per level-0 pixel; SlideError says where they were looked for."""
    if info.mpp is None:
        looked = f" (looked in {', '.join(info.mpp_looked_in)})" if info.mpp_looked_in else ""
        raise SlideError(
            f"{shown(info.path)} has no microns per pixel{looked}. "
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
            f"{shown(path)} has pixels that are not square: {candidate.source} says {x_um:g} x {y_um:g} µm, "
            "needed within 1 %. Pass --mpp 0.25 if you know better (40x is usually 0.25, 20x 0.5)."
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
