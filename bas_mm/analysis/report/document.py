"""A document that is written as HTML and as markdown."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bas_mm.utils.files import write_atomic

FORMATS = {'.png': 'png', '.jpg': 'jpeg'}


@dataclass(frozen=True)
class Drawing:
    """A drawing or plot in a document.

    Args:
        file: Name of the file beside the markdown; ends in .png or .jpg.
        data: Its content.
        caption: What it shows.
        heading: Heading of a plot.
    """

    file: str
    data: bytes
    caption: str
    heading: str = ''

    @property
    def url(self) -> str:
        """The content as an address that needs no file.

        Example:
            >>> Drawing('a.jpg', b'abc', 'text').url
            'data:image/jpeg;base64,YWJj'
        """
        code = base64.b64encode(self.data).decode()
        return f'data:image/{FORMATS[Path(self.file).suffix]};base64,{code}'


@dataclass(frozen=True)
class Card:
    """Drawings that belong together, and what they are of."""

    heading: str
    drawings: Sequence[Drawing]


class Document:
    """Parts in order; nothing in them is markup.

    Args:
        title: The title.

    Attributes:
        parts: What the templates take: ``kind`` and content of each part.
        drawings: All drawings, in order.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[dict[str, Any]] = []
        self.drawings: list[Drawing] = []

    def heading(self, text: str) -> None:
        """Add a heading."""
        self.parts.append(dict(kind='heading', text=text))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(dict(kind='text', text=text))

    def bullets(self, texts: Sequence[str]) -> None:
        """Add a list."""
        self.parts.append(dict(kind='bullets', texts=texts))

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Add a table; a row of one text is a heading over the next rows."""
        self.parts.append(dict(kind='table', header=header, rows=rows))

    def plots(self, plots: Sequence[Drawing]) -> None:
        """Add plots, each with its heading."""
        self.parts.append(dict(kind='plots', plots=plots))
        self.drawings += plots

    def cards(self, cards: Sequence[Card]) -> None:
        """Add cards."""
        self.parts.append(dict(kind='cards', cards=cards))
        self.drawings += [drawing for card in cards for drawing in card.drawings]

    def html(self) -> str:
        """Write the document as one HTML file, its drawings inside.

        Example:
            >>> '<h1>A &amp; B</h1>' in Document('A & B').html()
            True
        """
        return self._render('report.html.j2', autoescape=True)

    def markdown(self, folder: str) -> str:
        r"""Write the document as markdown.

        Args:
            folder: Where the drawings lie, relative to the file.

        Example:
            >>> Document('A_B').markdown('files')
            '# A\\_B\n'
        """
        return self._render('report.md.j2', finalize=escape_markdown, folder=folder)

    def _render(self, template: str, folder: str = '', **options: Any) -> str:
        environment = Environment(
            loader=PackageLoader(__package__),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            **options,
        )
        return environment.get_template(template).render(
            title=self.title, parts=self.parts, folder=folder
        )

    def write(self, path: str | Path) -> list[Path]:
        """Write both forms; the drawings of the markdown into ``<name>_files``.

        Args:
            path: The HTML file; the markdown gets the same name with ``.md``.

        Returns:
            The HTML and the markdown file.
        """
        html = Path(path)
        folder = html.with_name(f'{html.stem}_files')
        for drawing in self.drawings:
            write_atomic(folder / drawing.file, drawing.data)
        write_atomic(html, self.html().encode())
        write_atomic(html.with_suffix('.md'), self.markdown(folder.name).encode())
        return [html, html.with_suffix('.md')]


def escape_markdown(value: object) -> str:
    r"""Escape what markdown or HTML would take for markup.

    Args:
        value: Any value of a template; markup that is declared safe stays.

    Example:
        >>> print(escape_markdown('<b>_a_</b>'), escape_markdown('[a](b)'))
        \<b\>\_a\_\</b\> [a]\(b)
    """
    if isinstance(value, Markup):
        return value
    return re.sub(r'([\\`*_|<>#]|(?<=\])\()', r'\\\1', str(value))
