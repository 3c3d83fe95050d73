"""Compute the losses from logits; names and equations are those of the paper.

``logits`` and ``target`` have one shape, (..., H, W); a target is a mask, or has values from 0 to 1.
Sums run over the pixels of each mask; the mean is then taken over the masks. All inputs are converted to
float32 or wider, and log-sigmoids of the logits are used: bfloat16 logits of ±50 give finite losses and
gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6
FOCAL_WEIGHT = 20.0  # SAM's focal : Dice
DICE_WEIGHT = 1.0
FORGIVEN_DISTANCE_PX = 4


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return Eq. 7, ``1 - 2·Σpg / (Σp² + Σg²)`` per mask, then the mean over masks.

    A small number in numerator and denominator makes the loss 0 where an empty mask is predicted empty.
    """
    logits, target = _wide(logits, target)
    p = torch.sigmoid(logits)
    overlap = (p * target).sum(dim=(-2, -1))
    sizes = (p.square() + target.square()).sum(dim=(-2, -1))
    return (1 - (2 * overlap + EPSILON) / (sizes + EPSILON)).mean()


def focal_loss(logits: Tensor, target: Tensor, gamma: float = 2.0, alpha: float = 0.25) -> Tensor:
    """Return Eq. 6, SAM's sigmoid focal loss: ``-α_t (1 - p_t)^γ log p_t``, the mean over all pixels.

    α_t is ``alpha`` inside the mask and ``1 - alpha`` outside.
    """
    logits, target = _wide(logits, target)
    # 1 - p_t from two sigmoids: subtracting p_t from 1 would lose precision where a prediction is good
    missed = torch.sigmoid(-logits) * target + torch.sigmoid(logits) * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return (weight * missed.pow(gamma) * _cross_entropy(logits, target)).mean()


def sam_loss(
    logits: Tensor, target: Tensor, focal_weight: float = FOCAL_WEIGHT, dice_weight: float = DICE_WEIGHT
) -> Tensor:
    """Return the weighted sum of focal and Dice loss, by default 20 : 1 as in SAM's training."""
    return focal_weight * focal_loss(logits, target) + dice_weight * dice_loss(logits, target)


def dice_ce_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return Dice loss plus mean binary cross-entropy, the usual DiceCE; compare ``dice_ce_as_printed``."""
    return dice_loss(logits, target) + _cross_entropy(*_wide(logits, target)).mean()


def dice_ce_as_printed(logits: Tensor, target: Tensor) -> Tensor:
    r"""Return Eq. 8 exactly as printed, per mask, then the mean over masks.

        1 - \frac{2 \sum_{i}^{N} p_{i} g_{i}}{\sum_{i}^{N} p_{i}^{2} + \sum_{i}^{N} g_{i}^{2}}
          - \sum_{i}^{N} g_{i} \log(p_{i})

    The cross-entropy has only its positive term, and is summed instead of averaged: it grows with the area
    of the mask, outweighs Dice, and is 0 where everything is predicted as foreground. For comparison only.
    """
    wide, mask = _wide(logits, target)
    positive = -(mask * functional.logsigmoid(wide)).sum(dim=(-2, -1)).mean()
    return dice_loss(logits, target) + positive


def prompter_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean binary cross-entropy (Eq. 3) of each map, summed over the maps; shapes (B, M, H, W).

    The centre and boundary maps are continuous and have the same loss as the foreground. Cross-entropy with
    a target g between 0 and 1 has its minimum exactly at p = g. Its gradient by the logit is p - g, which
    does not vanish where a map is confidently wrong, unlike that of a squared or smooth-L1 loss on p. No
    weight between different units has to be chosen. The minimum is the entropy of the targets, not 0. The
    sum instead of the mean gives the foreground the same gradient as a prompter of one map.
    """
    logits, target = _wide(logits, target)
    if logits.ndim != 4:
        raise ValueError(f"the prompter's loss got {tuple(logits.shape)}; needed (B, maps, H, W)")
    return _cross_entropy(logits, target).mean(dim=(0, 2, 3)).sum()


def forgiven(logits: Tensor, target: Tensor, above: float) -> Tensor:
    """Return the target with the prediction in its place where a nucleus without an outline may be.

    That is background at least ``FORGIVEN_DISTANCE_PX`` away from every outline where the foreground is
    predicted with a probability over ``above``. There the cross-entropy has no gradient.

    Args:
        logits: Predicted maps (B, M, H, W), the foreground first.
        target: Their targets.
        above: From this probability on; 1 forgives nothing.
    """
    if above >= 1:
        return target
    near = functional.max_pool2d(target[:, :1].float(), 2 * FORGIVEN_DISTANCE_PX + 1, 1, FORGIVEN_DISTANCE_PX)
    predicted = torch.sigmoid(logits.detach().float())
    sure = (predicted[:, :1] > above) & (near == 0)
    return torch.where(sure, predicted, target.float())


def offset_loss(offsets: Tensor, target: Tensor, inside: Tensor) -> Tensor:
    """Return the mean distance between offsets (B, 2, H, W) over the pixels of nuclei, 0 if there are none.

    Args:
        offsets: Predicted offsets.
        target: True offsets.
        inside: (B, 1, H, W) 1 on nuclei, 0 elsewhere.
    """
    offsets, target = _wide(offsets, target)
    apart = (offsets - target).abs().sum(dim=1, keepdim=True)
    return (apart * inside).sum() / inside.sum().clamp(min=1)


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the cross-entropy per pixel; torch uses log-sigmoids, so it is finite for all finite logits."""
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none")


def _wide(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both in float32 or wider; refuse different shapes, which torch would broadcast silently."""
    if logits.shape != target.shape or logits.ndim < 2:
        raise ValueError(
            f"logits of shape {tuple(logits.shape)} and target of shape {tuple(target.shape)}; "
            "needed one shape (..., H, W)"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return logits.to(dtype), target.to(dtype)
