import os

import pytest

from bas_mm.datasets import index_file
from bas_mm.datasets.index_file import IndexFile, index_folder, walk_folders
from bas_mm.datasets.packed import PackedInfos

OLD = 1_600_000_000


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(index_file, 'WORTH', 2)


@pytest.fixture
def source(tmp_path):
    path = tmp_path / 'list.txt'
    path.write_text('a\nb\n')
    os.utime(path, (OLD, OLD))
    return path


class Maker:
    """Makes infos of the lines of a file, and counts how often."""

    def __init__(self, source):
        self.source, self.times = source, 0

    def __call__(self):
        self.times += 1
        lines = self.source.read_text().split()
        return PackedInfos.pack(dict(img_path=line) for line in lines)

    def ask(self, **settings):
        found = IndexFile(settings).infos(self, lambda: [str(self.source)])
        return [info['img_path'] for info in found]


def test_made_once(source):
    maker = Maker(source)
    assert maker.ask() == maker.ask() == ['a', 'b'] and maker.times == 1
    assert [path.suffix for path in index_folder().iterdir()] == ['.index']
    assert maker.ask(other=1) == ['a', 'b'] and maker.times == 2


def test_made_anew_after_a_change(source):
    maker = Maker(source)
    maker.ask()
    source.write_text('a\nb\nc\n')
    os.utime(source, (OLD + 1, OLD + 1))
    assert maker.ask() == ['a', 'b', 'c'] and maker.times == 2
    assert maker.ask() == ['a', 'b', 'c'] and maker.times == 2
    assert len(list(index_folder().iterdir())) == 1  # the new one took its place


def test_a_change_that_keeps_the_time(source):
    maker = Maker(source)
    maker.ask()
    source.write_text('a\nb\nc\n')  # another size
    os.utime(source, (OLD, OLD))
    assert maker.ask() == ['a', 'b', 'c'] and maker.times == 2
    other = source.with_name('other')
    other.write_text('a\nb\nd\n')  # another file in its place
    os.utime(other, (OLD, OLD))
    os.replace(other, source)
    assert maker.ask() == ['a', 'b', 'd'] and maker.times == 3


def test_times_before_1970(source):
    maker = Maker(source)
    os.utime(source, (-1000, -1000))
    assert maker.ask() == maker.ask() == ['a', 'b'] and maker.times == 1


def test_what_changed_just_now_may_change_again(source):
    maker = Maker(source)
    os.utime(source)
    maker.ask(), maker.ask()
    assert maker.times == 2 and not index_folder().exists()


def test_few_images_and_no_sources_leave_no_file(source, monkeypatch):
    maker = Maker(source)
    assert IndexFile({}).infos(maker, lambda: [])[0] == dict(img_path='a')
    monkeypatch.setattr(index_file, 'WORTH', 3)
    maker.ask()
    assert not index_folder().exists()


@pytest.mark.parametrize('left', [0, 1, 30, -1])
def test_a_cut_file_is_made_anew(source, left, warnings):
    maker = Maker(source)
    maker.ask()
    (path,) = index_folder().iterdir()
    path.write_bytes(path.read_bytes()[:left])
    assert maker.ask() == ['a', 'b'] and maker.times == 2
    assert maker.ask() == ['a', 'b'] and maker.times == 2


def test_a_spoiled_file_is_said(source, warnings):
    maker = Maker(source)
    maker.ask()
    (path,) = index_folder().iterdir()
    path.write_bytes(b'no index')
    assert maker.ask() == ['a', 'b']
    assert 'cannot be read' in warnings[0] and 'made anew' in warnings[0]


@pytest.mark.skipif(not hasattr(os, 'geteuid'), reason='needs POSIX')
def test_a_folder_that_takes_no_file_costs_nothing(source, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', str(source))  # a file, not a folder
    maker = Maker(source)
    assert maker.ask() == maker.ask() == ['a', 'b'] and maker.times == 2


def test_home_without_a_setting(monkeypatch, tmp_path):
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert index_folder() == tmp_path / '.cache' / 'bas_mm'


def test_walk_folders(tmp_path):
    (tmp_path / 'root' / 'a' / 'b').mkdir(parents=True)
    (tmp_path / 'far' / 'c').mkdir(parents=True)
    (tmp_path / 'root' / 'link').symlink_to(tmp_path / 'far')
    found = {
        os.path.relpath(x, tmp_path / 'root')
        for x in walk_folders(str(tmp_path / 'root'))
    }
    assert found == {'.', 'a', 'a/b', 'link', 'link/c'}
