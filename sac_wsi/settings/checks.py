"""Check the range of a setting; the message names the setting, its value and what was needed."""

from __future__ import annotations

import math

from sac_wsi.errors import ConfigError


def check_range(
    name: str,
    value: float,
    *,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    above: float | None = None,
    below: float | None = None,
) -> None:
    """Raise ConfigError if a number is not finite or not in a range.

    Args:
        name: The full name of the setting, such as ``grid.halo_um``.
        value: Its value.
        at_least: Smallest value that is allowed.
        at_most: Largest value that is allowed.
        above: The value must be greater than this.
        below: The value must be smaller than this.

    >>> check_range("sac.nms", 1.5, at_least=0, at_most=1)
    Traceback (most recent call last):
    sac_wsi.errors.ConfigError: sac.nms is 1.5: needed at least 0 and at most 1.
    """
    bounds = {"at least": at_least, "above": above, "at most": at_most, "below": below}
    inside = at_least <= value <= at_most and (above is None or value > above)
    if math.isfinite(value) and inside and (below is None or value < below):
        return
    limits = [f"{words} {b:g}" for words, b in bounds.items() if b is not None and math.isfinite(b)]
    raise ConfigError(f"{name} is {value}: needed {' and '.join(limits) or 'a finite number'}.")
