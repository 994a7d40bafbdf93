"""Bars on the terminal."""

from threading import Thread, active_count

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from bas_mm.utils import progress
from bas_mm.utils.progress import track


@pytest.fixture
def console(monkeypatch):
    """A terminal that keeps what is written."""
    console = Console(record=True, force_terminal=True, width=80)
    monkeypatch.setattr('rich.progress.get_console', lambda: console)
    return console


@pytest.mark.parametrize(
    'items, total, last',
    [([3, 1], None, '100%'), (iter([3, 1]), 4, ' 50%'), ([], None, '0%')],
)
def test_all_items_come_and_the_bar_says_how_far(console, items, total, last):
    wanted = [3, 1] if total or items else []
    assert list(track(items, 'Drawing', total)) == wanted
    shown = console.export_text().splitlines()[-1]
    assert shown.startswith('Drawing') and last in shown


def test_a_bar_of_unknown_length(console):
    assert list(track(iter(range(3)), 'Reading')) == [0, 1, 2]
    assert 'Reading' in console.export_text()


def test_it_is_drawn_now_and_then(console, monkeypatch):
    """Not for each of a million files."""
    drawn, refresh = [], Progress.refresh
    monkeypatch.setattr(
        Progress, 'refresh', lambda self: (drawn.append(1), refresh(self))
    )
    clock = iter(range(1000))
    monkeypatch.setattr(progress, 'monotonic', lambda: next(clock) * 0.01)
    list(track(range(200), 'Reading'))
    wanted = 200 * 0.01 / progress.PERIOD
    assert wanted * 0.8 < len(drawn) < wanted * 1.2 + 3


def test_a_bar_that_is_dropped_while_others_are_drawn(console):
    """As the garbage collector does; it must not wait for a thread."""
    threads = active_count()
    kept, *dropped = (track(range(9), name) for name in 'abc')
    assert [next(kept), *map(next, dropped)] == [0, 0, 0]
    assert active_count() == threads
    left = list(dropped)

    class Dropping(TextColumn):
        def render(self, task):
            if left:  # once in the drawing of this bar, once in that of the first
                left.pop().close()
            return super().render(task)

    def draw():
        with Progress(Dropping('d'), console=console, auto_refresh=False) as bar:
            bar.add_task('')

    thread = Thread(target=draw, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive() and not left
    assert [next(one, None) for one in dropped] == [None, None]
    assert next(kept) == 1
