"""Words for messages."""

from bas_mm.utils.texts import plural


def test_one_and_several():
    assert [plural(n, 'run') for n in (0, 1, 2)] == ['0 runs', '1 run', '2 runs']
