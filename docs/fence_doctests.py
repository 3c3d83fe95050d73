"""Show the doctests of docstrings as code: an extension of griffe (mkdocstrings)."""

from __future__ import annotations

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^(?P<indent> *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)


def fenced(text: str) -> str:
    """Return the text with each doctest, which ends at an empty line, in a fence.

    >>> print(fenced("Add.\\n\\n>>> 1 + 1\\n2").replace("`", "'"))
    Add.
    <BLANKLINE>
    '''python
    >>> 1 + 1
    2
    '''
    """
    return DOCTEST.sub(lambda m: f"{m['indent']}```python\n{m[0]}\n{m['indent']}```", text)


class FenceDoctests(griffe.Extension):
    """Put the doctests of every docstring in fences."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of an object, once all of it is loaded."""
        if obj.docstring is not None and "```" not in obj.docstring.value:
            obj.docstring.value = fenced(obj.docstring.value)
