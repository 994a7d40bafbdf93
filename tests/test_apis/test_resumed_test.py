import errno
import json
import os
import signal
import sys

import numpy as np
import pytest
import torch

from bas_mm.evaluation import DumpMaps, MapDump, partial_dump
from tests.helpers.commands import call, run
from tests.helpers.tiny import save, write_config

#: ``bas-mm`` in a process that is killed after so many images.
KILLED = """
import os, signal, sys
from bas_mm.commands import main
from bas_mm.evaluation import DumpMaps
measure, seen = DumpMaps.measure, []
def count(self, sample):
    if len(seen) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    seen.append(sample)
    return measure(self, sample)
DumpMaps.measure = count
main(sys.argv[2:])
"""


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """Config and checkpoint of a tiny model with a suite of metrics."""
    folder = tmp_path_factory.mktemp('tiny')
    config = write_config(folder)
    names = ('WSOLAccuracy', 'MaxBoxAcc', 'PxAP', 'PeakIoU', 'LocErrors')
    suite = ', '.join(f"dict(type='bas_mm.{name}')" for name in names)
    config.write_text(config.read_text() + f'test_evaluator = [{suite}]\n')
    return config, save(config, folder / 'bas.pth')


def test(trained, work_dir, *words):
    """Test, and give all figures."""
    call('test', *trained, '--work-dir', work_dir, *words)
    return json.loads((work_dir / 'metrics.json').read_text())


test.__test__ = False


@pytest.fixture
def batches(monkeypatch):
    """How many images pass the model together, each time."""
    from bas_mm.models import BASClassifier

    sizes, step = [], BASClassifier.test_step

    def count(self, data):
        sizes.append(len(data['inputs']))
        return step(self, data)

    monkeypatch.setattr(BASClassifier, 'test_step', count)
    return sizes


def assert_same(one, other):
    """Compare two dumps, every bit."""
    one, other = MapDump(one), MapDump(other)
    assert one.entries == other.entries and one.info == other.info
    for a, b in zip(one.samples(), other.samples(), strict=True):
        assert set(a) == set(b)
        for key in a:
            assert np.array_equal(a[key], b[key]), key
    views = [one.view(name) is None for name in one.entries]
    assert views == [other.view(name) is None for name in other.entries]


@pytest.mark.slow
@pytest.mark.parametrize('out', ['maps', 'maps.npz'])
def test_a_killed_test_goes_on(trained, tmp_path, batches, capsys, out):
    whole = test(trained, tmp_path / 'a', '--dump', tmp_path / 'a' / out)
    assert batches == [4, 4, 1]
    words = ('--work-dir', tmp_path / 'b', '--dump', tmp_path / 'b' / out)
    command = (sys.executable, '-c', KILLED, 6, 'test', *trained, *words)
    run(tmp_path, *command, code=-signal.SIGKILL)
    lines = tmp_path / 'b' / 'maps' / 'partial' / '0.jsonl'
    assert len(lines.read_text().splitlines()) == 6
    with lines.open('a') as file:
        file.write('{"image": "cut')
    with pytest.raises(FileNotFoundError, match='is no finished dump'):
        MapDump(tmp_path / 'b' / out)
    del batches[:]
    capsys.readouterr()
    assert test(trained, tmp_path / 'b', '--dump', tmp_path / 'b' / out) == whole
    assert (
        f'Going on after 6 images of {tmp_path / "b" / "maps"}'
        in capsys.readouterr().out
    )
    assert batches == [4, 1]  # the second batch was not whole
    assert_same(tmp_path / 'a' / out, tmp_path / 'b' / out)
    assert not list(tmp_path.rglob('*part*'))


@pytest.mark.parametrize('writes', [0, 3, 13, 17])
def test_a_full_disk_loses_nothing(trained, tmp_path, monkeypatch, batches, writes):
    whole = test(trained, tmp_path / 'a', '--dump', tmp_path / 'a' / 'd.npz')
    write, count = partial_dump.write_array, []

    def full(file, array):
        if len(count) == writes:
            raise OSError(errno.ENOSPC, 'Cannot write 9 bytes: the disk is full', 'x')
        count.append(file)
        write(file, array)

    with monkeypatch.context() as patch:
        patch.setattr(partial_dump, 'write_array', full)
        with pytest.raises(SystemExit, match='the disk is full') as error:
            test(trained, tmp_path / 'b', '--dump', tmp_path / 'b' / 'd.npz')
    assert len(str(error.value).splitlines()) == 1
    del batches[:]
    assert test(trained, tmp_path / 'b', '--dump', tmp_path / 'b' / 'd.npz') == whole
    # two files an image: map and scores
    assert sum(batches) == 9 - writes // 2 // 4 * 4
    assert_same(tmp_path / 'a' / 'd.npz', tmp_path / 'b' / 'd.npz')


@pytest.fixture
def stopped(trained, tmp_path, monkeypatch):
    """The place of a dump that an error left unfinished."""
    measure, seen = DumpMaps.measure, []

    def fail(self, sample):
        seen.append(sample)
        if len(seen) == 6:
            raise OSError(errno.EIO, 'Input/output error')
        return measure(self, sample)

    with monkeypatch.context() as patch:
        patch.setattr(DumpMaps, 'measure', fail)
        with pytest.raises(SystemExit):
            test(trained, tmp_path, '--dump', tmp_path / 'dump')
    return tmp_path / 'dump'


def test_another_test_is_refused(trained, stopped, tmp_path):
    config, checkpoint = trained
    torch.save(torch.load(checkpoint), tmp_path / 'other.pth')
    for words, named in (
        ((config, tmp_path / 'other.pth'), 'checkpoint'),
        ((*trained, '--cfg-options', 'model.head.topk=1'), 'config'),
        ((*trained, '--dump-views', 3), 'views'),
    ):
        with pytest.raises(SystemExit, match=rf'other settings \({named}\)') as error:
            call('test', *words, '--work-dir', tmp_path, '--dump', stopped)
        assert len(str(error.value).splitlines()) == 1
        assert '--dump' in str(error.value) and 'remove the folder' in str(error.value)
    assert (stopped / 'partial' / '0.jsonl').is_file()


def test_a_damaged_file_is_computed_again(trained, stopped, tmp_path, batches):
    whole = test(trained, tmp_path / 'a', '--dump', tmp_path / 'a' / 'dump')
    (broken, *_) = sorted((stopped / 'maps').rglob('*.npy'))
    os.truncate(broken, 20)
    del batches[:]
    assert test(trained, tmp_path, '--dump', stopped) == whole
    assert batches == [4, 4, 1]
    assert_same(tmp_path / 'a' / 'dump', stopped)


def test_metrics_that_need_more_than_a_dump_has_begin_anew(
    trained, stopped, tmp_path, batches
):
    words = ('--dump', stopped, '--out', tmp_path / 'all.pkl')
    test(trained, tmp_path, *words)
    assert batches == [4, 4, 1] and len(MapDump(stopped)) == 9
