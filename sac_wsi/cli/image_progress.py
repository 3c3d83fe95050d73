"""A bar on stderr, where that is a terminal: image by image."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def image_progress(what: str, images: int) -> Iterator[Callable[[str], None]]:
    from tqdm import tqdm

    with tqdm(total=images, desc=what, unit="image", disable=None, leave=False) as bar:

        def on_image(_: str) -> None:
            bar.update()

        yield on_image
