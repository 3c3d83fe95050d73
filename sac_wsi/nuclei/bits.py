"""Packed masks: how every numba kernel reads a pixel of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@njit(inline="always")  # type: ignore[untyped-decorator,unused-ignore]
def bit_at(bits: NDArray[np.uint8], start: int, k: int) -> Any:
    """Pixel ``k`` (row-major in its box) of the mask whose bytes begin at ``start``."""
    return (bits[start + (k >> 3)] >> (7 - (k & 7))) & 1
