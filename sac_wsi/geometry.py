"""Integer boxes, half-open; the name of a variable says its frame (``box_level0``, ``box_frame``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle ``[y0, y1) x [x0, x1)`` in pixels of the frame that its variable names.

    >>> Box(0, 0, 4, 6).dilate(1)
    Box(y0=-1, x0=-1, y1=5, x1=7)
    """

    y0: int
    x0: int
    y1: int
    x1: int

    @classmethod
    def of_shape(cls, shape_yx: tuple[int, int]) -> Box:
        """Return the box of a whole image of this height and width."""
        return cls(0, 0, shape_yx[0], shape_yx[1])

    @property
    def height(self) -> int:
        """Height in pixels; 0 for an empty box."""
        return max(0, self.y1 - self.y0)

    @property
    def width(self) -> int:
        """Width in pixels; 0 for an empty box."""
        return max(0, self.x1 - self.x0)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.height, self.width

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.height * self.width

    @property
    def empty(self) -> bool:
        """Whether the box has no pixel."""
        return self.area == 0

    def shift(self, dy: int, dx: int) -> Box:
        """Return the box moved by ``dy`` and ``dx`` pixels."""
        return Box(self.y0 + dy, self.x0 + dx, self.y1 + dy, self.x1 + dx)

    def dilate(self, margin: int) -> Box:
        """Return the box with ``margin`` more pixels on every side."""
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def intersect(self, other: Box) -> Box:
        """Return the pixels that both boxes have; may be empty."""
        return Box(
            max(self.y0, other.y0),
            max(self.x0, other.x0),
            min(self.y1, other.y1),
            min(self.x1, other.x1),
        )

    def contains(self, other: Box) -> bool:
        """Return whether ``other`` lies in this box."""
        return self.y0 <= other.y0 and self.x0 <= other.x0 and self.y1 >= other.y1 and self.x1 >= other.x1

    def within(self, outer: Box) -> tuple[slice, slice]:
        """Return the slices that cut this box out of an array that covers ``outer``."""
        return (
            slice(self.y0 - outer.y0, self.y1 - outer.y0),
            slice(self.x0 - outer.x0, self.x1 - outer.x0),
        )
