"""Choose prompts of single nuclei as at inference: those of the prompter, with its basins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sac_wsi.model.points.prompts import expert_points
from sac_wsi.model.predict.torch_runner import map_values
from sac_wsi.model.predict.watershed import add_unseeded_basins, basins_of, has_votes, seeds_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sac_wsi.model.checkpoint.inference import PixelSettings


@dataclass(frozen=True)
class NucleusPrompts:
    """Prompts of K nuclei in a batch of B tiles.

    Attributes:
        owner: (K,) index of the tile of each.
        centre_xy: (K, 1, 2) its point prompt.
        basin: (K,) its number in ``basins``.
        basins: (B, side, side) the basins of all nuclei.
        true_id: (K,) label of the true nucleus under the prompt; 0: there is none.
    """

    owner: Tensor
    centre_xy: Tensor
    basin: Tensor
    basins: Tensor
    true_id: Tensor


def sample_nucleus_prompts(
    maps: Tensor, labels: Tensor, most: int, use: PixelSettings, rng: np.random.Generator
) -> NucleusPrompts:
    """Return random prompts: the prompter's, and a point in each true nucleus that has none of them.

    Args:
        maps: Logits of the prompter (B, maps, side, side).
        labels: The true nuclei (B, side, side).
        most: Largest number of prompts of a tile.
        use: The settings of inference.
        rng: Source of all random numbers.
    """
    values = map_values(maps.detach()).cpu().numpy()
    truth = labels.cpu().numpy()
    owner: list[int] = []
    centres: list[NDArray[np.int32]] = []
    basin, true_id = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)]
    basins = np.zeros(truth.shape, np.int32)
    for i, of_tile in enumerate(values):
        seeds_yx = seeds_of(of_tile, use)
        basins[i] = basins_of(of_tile[0], of_tile, None if has_votes(of_tile) else seeds_yx, use)
        own_yx = add_unseeded_basins(seeds_yx, basins[i])
        some_yx = rng.permutation(np.concatenate([own_yx, _missed(truth[i], own_yx, rng)]))[:most]
        y, x = some_yx.T
        owner += [i] * len(some_yx)
        centres.append(some_yx[:, ::-1])
        basin.append(basins[i, y, x])
        true_id.append(truth[i, y, x])
    device = maps.device
    return NucleusPrompts(
        owner=torch.tensor(owner, dtype=torch.long, device=device),
        centre_xy=torch.from_numpy(np.concatenate(centres).astype(np.float32)[:, None]).to(device),
        basin=torch.from_numpy(np.concatenate(basin)).to(device),
        basins=torch.from_numpy(basins).to(device),
        true_id=torch.from_numpy(np.concatenate(true_id)).to(device),
    )


def _missed(
    truth: NDArray[np.int32], own_yx: NDArray[np.int32], rng: np.random.Generator
) -> NDArray[np.int32]:
    """Return a point (y, x) in each true nucleus without a prompt, shape (K, 2)."""
    met = np.unique(truth[own_yx[:, 0], own_yx[:, 1]])
    missed = np.where(np.isin(truth, met), 0, truth)
    count = len(np.unique(missed[missed > 0]))
    return expert_points(missed, count, rng).xy[:, ::-1].astype(np.int32)
