"""Several devices: torchrun starts a process for each and says so in the environment."""

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
    """This process among its like. The first one validates, writes and talks."""

    rank: int
    count: int
    device: str

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, values: Iterable[Tensor]) -> None:
        """Each tensor becomes its mean over all processes."""
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
        """Whether it is so in one of the processes."""
        if self.count == 1:
            return here
        flag = torch.tensor(float(here), device=self.device)
        distributed.all_reduce(flag)
        return bool(flag > 0)


@contextmanager
def join() -> Iterator[Ranks]:
    """The process group, where torchrun has made one; else this process alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    has_cuda = torch.cuda.is_available()
    if count == 1:
        yield Ranks(0, 1, "cuda" if has_cuda else "cpu")
        return
    local = int(os.environ["LOCAL_RANK"])
    if has_cuda:
        torch.cuda.set_device(local)
    # the others wait while the first one looks at whole images
    distributed.init_process_group("nccl" if has_cuda else "gloo", timeout=timedelta(hours=12))
    try:
        yield Ranks(distributed.get_rank(), count, f"cuda:{local}" if has_cuda else "cpu")
    finally:
        distributed.destroy_process_group()
