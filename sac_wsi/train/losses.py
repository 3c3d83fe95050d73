"""Losses on logits, as the paper names them.

``logits`` and ``target`` have one shape, (..., H, W); a target is a mask, or holds numbers from 0 to 1.
Sums run over the pixels of each mask; masks are then averaged. Everything is computed in float32 or wider
whatever comes in, from logits and log-sigmoids: bfloat16 logits of ±50 give finite losses and gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6
FOCAL_WEIGHT = 20.0  # SAM's focal : Dice
DICE_WEIGHT = 1.0


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Eq. 7, with squares below: ``1 - 2·Σpg / (Σp² + Σg²)`` per mask, then the mean over masks.

    A tiny number above and below the line makes an empty prediction of an empty mask a loss of 0.
    """
    logits, target = _wide(logits, target)
    p = torch.sigmoid(logits)
    overlap = (p * target).sum(dim=(-2, -1))
    sizes = (p.square() + target.square()).sum(dim=(-2, -1))
    return (1 - (2 * overlap + EPSILON) / (sizes + EPSILON)).mean()


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Eq. 6, SAM's sigmoid focal loss: ``-α_t (1 - p_t)^γ log p_t``, the mean over all pixels.

    α_t is ``alpha`` on the mask and ``1 - alpha`` off it.
    """
    logits, target = _wide(logits, target)
    # 1 - p_t from two sigmoids: subtracting p_t from 1 would lose the digits of a good prediction
    missed = torch.sigmoid(-logits) * target + torch.sigmoid(logits) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * missed.pow(gamma) * _cross_entropy(logits, target)).mean()


def sam_loss(
    logits: Tensor, target: Tensor, focal_weight: float = FOCAL_WEIGHT, dice_weight: float = DICE_WEIGHT
) -> Tensor:
    """Focal and Dice loss, 20 : 1 as SAM was trained."""
    return focal_weight * focal_loss(logits, target) + dice_weight * dice_loss(logits, target)


def dice_ce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Dice loss plus mean binary cross-entropy: what DiceCE means elsewhere; see the next function."""
    return dice_loss(logits, target) + _cross_entropy(*_wide(logits, target)).mean()


def dice_ce_as_printed(logits: Tensor, target: Tensor) -> Tensor:
    r"""Eq. 8 to the letter, per mask, then the mean over masks:

        1 - \frac{2 \sum_{i}^{N} p_{i} g_{i}}{\sum_{i}^{N} p_{i}^{2} + \sum_{i}^{N} g_{i}^{2}}
          - \sum_{i}^{N} g_{i} \log(p_{i})

    The cross-entropy has only its positive term, and it is summed, not averaged: it grows with the mask's
    area, outweighs Dice, and a prediction of foreground everywhere sets it to 0. Kept to compare.
    """
    wide, mask = _wide(logits, target)
    positive = -(mask * functional.logsigmoid(wide)).sum(dim=(-2, -1)).mean()
    return dice_loss(logits, target) + positive


def prompter_loss(logits: Tensor, target: Tensor) -> Tensor:
    """BxMxHxW: mean binary cross-entropy (Eq. 3) of each map, summed over the maps.

    The centre and boundary maps are continuous, and take the same loss as the foreground: cross-entropy
    with a target g between 0 and 1 is least exactly at p = g, and its slope in the logit is p - g, which
    does not fade where a map is confidently wrong, as that of a squared or smooth-L1 loss on p does; and
    no weight between unlike units has to be chosen. Its least value is the targets' entropy, not 0. Summed,
    not averaged, so that the foreground learns as with one map.
    """
    logits, target = _wide(logits, target)
    if logits.ndim != 4:
        raise ValueError(f"the prompter's loss got {tuple(logits.shape)}; needed (B, maps, H, W)")
    return _cross_entropy(logits, target).mean(dim=(0, 2, 3)).sum()


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Per pixel; torch's own is written with log-sigmoids, so it is finite for every finite logit."""
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _wide(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both in float32 or wider, of one shape: broadcasting would pair the wrong masks in silence."""
    if logits.shape != target.shape or logits.ndim < 2:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} and target of shape {tuple(target.shape)}; "
            "needed one shape (..., H, W)"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(dtype), target.to(dtype)
