"""Ways that are timed beside each other."""

import time

import pytest
import torch

from bas_mm.analysis.arms import Stopwatch, time_arms

CPU = torch.device('cpu')


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


class Owner:
    def long(self, seconds):
        spin(seconds)
        return 'done'


def test_the_times_are_those_of_the_work():
    calls = []

    def quick(watch):
        calls.append('quick')
        with watch.part('first'):
            spin(0.003)
        spin(0.001)

    def slow(watch):
        calls.append('slow')
        torch.zeros(256, 1024)  # 1 MiB
        spin(0.02)

    weights = [torch.zeros(512, 1024)]  # 2 MiB
    first, second = time_arms(dict(a=quick, b=slow), 3, 4, CPU, weights)
    assert calls[:6] == ['quick', 'slow'] * 3  # they alternate
    assert (first.name, second.name) == ('a', 'b')
    assert first.batch_size == second.batch_size == 4
    assert 0.004 <= first.seconds < 0.02 <= second.seconds
    assert 0.5 < first.parts['first'] < 1 and second.parts == {}
    assert 2 <= first.memory < 2.5 and 3 <= second.memory < 3.5


def test_methods_are_parts_for_a_while():
    owner, watch = Owner(), Stopwatch(CPU)
    own = owner.__dict__['other'] = lambda: 'own'
    with watch.over(owner, long='long', other='quick'):
        assert owner.long(0.003) == 'done' and owner.other() == 'own'
    assert 0.003 <= watch.seconds['long'] and 0 < watch.seconds['quick'] < 0.003
    assert vars(owner) == {'other': own}
    with pytest.raises(ZeroDivisionError), watch.part('failed'):
        1 / 0  # noqa: B018
    assert watch.seconds['failed'] > 0


def test_nothing_is_timed():
    with pytest.raises(ValueError, match=r'At least 1 step .*\(--steps\), got 0'):
        time_arms(dict(a=print), 0, 1, CPU, [])
