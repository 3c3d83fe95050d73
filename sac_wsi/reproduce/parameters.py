"""Table 6: parameters, counted on tensors that hold no memory.

No weights are needed, and no scale changes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sac_wsi.model.nets.sizes import Family


@dataclass(frozen=True)
class Parameters:
    trainable: int
    frozen: int
    total: int


def count(family: Family, encoder: str = "vit_h") -> Parameters:
    """As the paper counts them."""
    from sac_wsi.model.nets.counts import paper_counts

    found = paper_counts(family, encoder)
    return Parameters(found.trainable, found.frozen, found.total)
