"""Docstrings for the documentation site: from roles to links.

The docstrings name things by ``:class:`X```, in a form that editors and Python's
``help`` show well. The site is Markdown: here a role becomes a link where its
target is on the site, and code elsewhere.
"""

import re
from typing import Any

import griffe

ROLE = re.compile(r':(?:class|func|meth|attr|mod|data):`(~?)([\w.]+)`')
LINK = re.compile(r'`([^`<]+?)\s+<(https?://[^>]+)>`_')
MARK = re.compile(r'(?<=\S) ?::$', re.M)
EXAMPLE = re.compile(r'^Example:$', re.M)
TABLE = re.compile(r'^=+ =+\n(.*?)^=+ =+\n(.*?)^=+ =+$', re.M | re.S)


def to_markdown(text: str, resolve: Any = lambda name: name) -> str:
    r"""Turn what is not Markdown in a docstring into Markdown.

    Args:
        text: The docstring.
        resolve: From the name that a role holds to the full one.

    Example:
        >>> to_markdown('`paper <https://a.b>`_, as ::')
        '[paper](https://a.b), as:'
        >>> print(to_markdown('== ==\na  b\n== ==\n1  2 3\n== =='))
        | a | b |
        |---|---|
        | 1 | 2 3 |
    """

    def link(match: re.Match) -> str:
        short, name = match.groups()
        shown = name.rsplit('.', 1)[-1] if short else name
        return (
            f'<autoref optional identifier="{resolve(name)}">'
            f'<code>{shown}</code></autoref>'
        )

    def table(match: re.Match) -> str:
        head, *rows = (
            f'| {" | ".join(line.split(None, 1))} |'
            for line in (match[1] + match[2]).splitlines()
        )
        return '\n'.join([head, '|---|---|', *rows])

    text = TABLE.sub(table, text)
    text = LINK.sub(r'[\1](\2)', ROLE.sub(link, text))
    return MARK.sub(':', EXAMPLE.sub('Examples:', text))


class Roles(griffe.Extension):
    """Turns the docstrings of all objects into Markdown."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Turn the docstring of an object into Markdown."""
        if obj.docstring is None:
            return

        def resolve(name: str) -> str:
            scope: Any = obj
            while scope is not None:  # a method may name its neighbors
                try:
                    return scope.resolve(name)
                except griffe.NameResolutionError:
                    scope = scope.parent
            return name

        obj.docstring.value = to_markdown(obj.docstring.value, resolve)
