"""Work in threads."""

from threading import Event

import pytest

from bas_mm.utils.threads import open_threads, run_ahead, run_parallel


def test_parallel_reading_keeps_the_order():
    assert list(run_parallel(str, range(99), workers=3)) == list(map(str, range(99)))


def test_work_ahead_is_bounded_and_in_order():
    begun = []

    def work(item):
        begun.append(item)
        return -item

    with open_threads(2) as pool:
        found = run_ahead(pool, work, iter(range(20)), ahead=3)
        assert not begun  # until the first is asked for
        for i in range(20):
            assert next(found).result() == -i
            assert len(begun) <= i + 4
        assert next(found, None) is None
    assert sorted(begun) == list(range(20))


def test_work_that_has_not_begun_is_dropped():
    gate, begun = Event(), []

    def work(item):
        begun.append(item)
        gate.wait(5)

    with pytest.raises(KeyboardInterrupt), open_threads(1) as pool:
        first, *others = run_ahead(pool, work, range(9), ahead=5)
        others[-1].add_done_callback(lambda _: gate.set())  # once all are dropped
        raise KeyboardInterrupt
    assert all(one.cancelled() for one in others)
    assert begun == ([] if first.cancelled() else [0])


@pytest.mark.parametrize('error', [OSError('x'), ValueError('y')])
def test_an_error_comes_where_its_item_is_asked_for(error):
    def work(item):
        if item == 1:
            raise error
        return item

    with open_threads() as pool:
        first, second, third = run_ahead(pool, work, range(3), ahead=9)
        assert first.result() == 0 and third.result() == 2
        with pytest.raises(type(error), match=str(error)):
            second.result()


def test_work_that_is_left_to_the_garbage_collector_is_not_waited_for():
    """It may wait for a lock that is held where the collector came in."""
    begun, gate, done = Event(), Event(), Event()

    def work(item):
        begun.set()
        assert gate.wait(20)
        done.set()

    def stream():
        with open_threads(1) as pool:
            pool.submit(work, 0)
            yield

    one = stream()
    next(one)
    assert begun.wait(20)
    one.close()
    assert not done.is_set()
    gate.set()
    assert done.wait(20)
