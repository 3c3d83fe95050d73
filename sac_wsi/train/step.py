"""Do one training step: compute the loss and change the weights once."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sac_wsi.errors import SacWsiError
from sac_wsi.model.predict.torch_runner import arithmetic
from sac_wsi.train.objective import TrainingBatch, loss_of, on_device

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sac_wsi.model.nets.sac import SacModel
    from sac_wsi.train.config import ScheduleSettings, TrainConfig
    from sac_wsi.train.ranks import Ranks
    from sac_wsi.train.state import State


def take_step(
    state: State, passes: Iterable[TrainingBatch], config: TrainConfig, ranks: Ranks, learning_rate: float
) -> dict[str, float]:
    """Change the weights once and return the terms of the loss, each a mean over the passes.

    Args:
        state: Changed in place.
        passes: The batches of this step, one forward and backward pass each.
        config: The settings of the run.
        ranks: The processes that train together.
        learning_rate: The learning rate of this step.

    Raises:
        SacWsiError: The gradient is NaN or infinite; the weights are unchanged.
    """
    schedule, model = config.schedule, state.model
    model.train()
    if config.objective.part == "sac" and model.prompter is not None:
        model.prompter.eval()  # it is not trained: its batch norm keeps its statistics
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate
    state.optimiser.zero_grad(set_to_none=True)
    use = config.inference.in_pixels(config.mpp)
    means: dict[str, float] = {}
    for batch in passes:
        with arithmetic(ranks.device, config.schedule.bf16):
            terms = loss_of(model, on_device(batch, ranks.device), config.objective, use)
        total = torch.stack(list(terms.values())).sum() / schedule.accumulate
        total.backward()  # type: ignore[no-untyped-call]
        for name, value in terms.items():
            means[name] = means.get(name, 0.0) + float(value.detach()) / schedule.accumulate
    _share_gradients(model, ranks)
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip_norm)
    # a loss that is NaN or infinite gives such a gradient; the weights have not changed yet
    if ranks.any(not bool(torch.isfinite(norm))):
        raise nonfinite_loss(means, state.step)
    state.optimiser.step()
    state.step += 1
    state.follow(schedule.ema)
    return means


def _share_gradients(model: SacModel, ranks: Ranks) -> None:
    """Average gradients and statistics of batch norm over all devices."""
    if ranks.count == 1:
        return
    chosen = [p for p in model.parameters() if p.requires_grad]
    used = torch.tensor([float(p.grad is not None) for p in chosen], device=ranks.device)
    ranks.average([used])
    gradients: list[Tensor] = []
    for parameter, anywhere in zip(chosen, (used > 0).tolist(), strict=True):
        if anywhere:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
    ranks.average(gradients)
    ranks.average(value for value in model.buffers() if value.is_floating_point())


def learning_rate_at(step: int, steps: int, schedule: ScheduleSettings) -> float:
    """Return the learning rate of a step: a linear warm-up, then half a cosine down to 0."""
    if step < schedule.warmup_steps:
        return schedule.learning_rate * (step + 1) / schedule.warmup_steps
    done = (step - schedule.warmup_steps) / max(1, steps - schedule.warmup_steps)
    return schedule.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def nonfinite_loss(terms: dict[str, float], step: int) -> SacWsiError:
    """Return the error for a loss or gradient that is NaN or infinite."""
    means = ", ".join(f"{name} {value:g}" for name, value in terms.items())
    return SacWsiError(
        f"The loss or its gradient became NaN or infinite at step {step} ({means}). The last saved state is "
        "kept. Try a smaller schedule.learning_rate or schedule.clip_norm in another output_dir."
    )
