"""Elements of HTML and SVG. Text is always escaped."""

from __future__ import annotations

from markupsafe import Markup

_VOID = ("img", "meta")


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """Return an element; ``class_`` and ``aria_label`` become ``class`` and ``aria-label``.

    Children that are not ``Markup`` are escaped.

    >>> print(tag("p", "a < b", tag("b", "c"), class_="note"))
    <p class="note">a &lt; b<b>c</b></p>
    """
    start = Markup(f"<{name}") + Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), str(value))
        for key, value in attributes.items()
    )
    if name in _VOID:
        return start + Markup(">")
    return start + Markup(">") + Markup("").join(children) + Markup(f"</{name}>")


def text(content: str, x: float, y: float, anchor: str = "start", **attributes: object) -> Markup:
    """Return an SVG text at (x, y); ``anchor`` is start, middle or end."""
    return tag("text", content, x=round(x, 1), y=round(y, 1), text_anchor=anchor, **attributes)


def standalone_svg(title: str, warning: list[str], size_xy: tuple[float, float], body: Markup) -> str:
    """Return a complete SVG file with a title and the lines of a warning above the drawing.

    ``size_xy`` is the size of the drawing in pixels.
    """
    top = 42 + 18 * len(warning)
    width, height = size_xy[0], size_xy[1] + top
    head = [text(title, 12, 22, font_size=15, font_weight=600)]
    head += [text(line, 12, 42 + 18 * i, fill="#b91c1c", font_weight=700) for i, line in enumerate(warning)]
    svg = tag(
        "svg",
        tag("rect", width=width, height=height, fill="#ffffff"),
        *head,
        tag("g", body, transform=f"translate(0 {top})"),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        font_family="system-ui, sans-serif",
        font_size=12,
        fill="#111827",
        role="img",
        aria_label=title,
    )
    return f"{svg}\n"
