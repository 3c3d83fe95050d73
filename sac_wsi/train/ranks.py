"""Train on several devices: torchrun starts one process for each and sets environment variables."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, distributed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@dataclass(frozen=True)
class Ranks:
    """The number of this process and of all processes; the first one validates, writes and reports."""

    rank: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        """Whether this is the first process."""
        return self.rank == 0

    def average(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes."""
        held = list(values)
        if self.count == 1 or not held:
            return
        flat = torch.cat([value.reshape(-1) for value in held])
        distributed.all_reduce(flat)
        flat /= self.count
        first = 0
        for value in held:
            value.copy_(flat[first : first + value.numel()].view_as(value))
            first += value.numel()

    def any(self, here: bool) -> bool:
        """Return whether ``here`` is true in at least one process."""
        if self.count == 1:
            return here
        flag = torch.tensor(float(here), device=self.device)
        distributed.all_reduce(flag)
        return bool(flag > 0)


@contextmanager
def join() -> Iterator[Ranks]:
    """Join the process group of torchrun, if there is one, and yield this process's place in it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    has_cuda = torch.cuda.is_available()
    if count == 1:
        yield Ranks(0, 1, "cuda" if has_cuda else "cpu")
        return
    local = int(os.environ["LOCAL_RANK"])
    if has_cuda:
        torch.cuda.set_device(local)
    # the others wait while the first one validates
    distributed.init_process_group("nccl" if has_cuda else "gloo", timeout=timedelta(hours=12))
    try:
        yield Ranks(distributed.get_rank(), count, f"cuda:{local}" if has_cuda else "cpu")
    finally:
        distributed.destroy_process_group()
