"""A bar on the terminal."""

from collections.abc import Iterable, Iterator, Sized
from time import monotonic
from typing import TypeVar

from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

Item = TypeVar('Item')

#: Seconds between two drawings of a bar.
PERIOD = 0.1


def track(
    items: Iterable[Item], label: str, total: int | None = None
) -> Iterator[Item]:
    """Show how many items have been worked on.

    It is drawn by the thread that asks for the items: :func:`rich.progress.track`
    has threads of its own, waits for them when it ends, and so never ends where
    the garbage collector ends it while another bar is drawn.

    Args:
        items: The items.
        label: What is said before the bar.
        total: How many there are; by default their length, where they have one.

    Yields:
        The items.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    columns = (
        TextColumn('[progress.description]{task.description}'),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, auto_refresh=False) as progress:
        task = progress.add_task(label, total=total)
        due = monotonic() + PERIOD
        for item in items:
            yield item
            progress.advance(task)
            if monotonic() >= due:
                progress.refresh()
                due = monotonic() + PERIOD
