"""Files that are whole or not there."""

import errno
from unittest import mock

import pytest

from bas_mm.utils.files import FreshPaths, write_atomic


def test_a_full_disk_keeps_the_older_file(tmp_path):
    path = tmp_path / 'a.json'
    write_atomic(path, b'old')

    class Full:
        def __init__(self, real):
            self.real = real

        def __enter__(self):
            return self

        def __exit__(self, *args):
            self.real.close()

        def write(self, content):
            self.real.write(content[:1])
            raise OSError(errno.ENOSPC, 'No space left on device')

    real_open = open
    with mock.patch('builtins.open', lambda *args, **kw: Full(real_open(*args, **kw))):
        with pytest.raises(
            OSError, match='3 bytes: the disk is full.*a.json'
        ) as caught:
            write_atomic(path, b'new')
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == b'old'
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']
    write_atomic(path, b'new')
    assert path.read_bytes() == b'new'


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='Cannot write 1 bytes'):
        write_atomic(tmp_path / 'file' / 'a.json', b'x')


def test_each_path_once_and_none_that_is_read(tmp_path):
    paths = FreshPaths(tmp_path, [tmp_path / 'A.jpg'])
    names = [
        paths(name, '.jpg').relative_to(tmp_path).as_posix()
        for name in ('a.png', 'a.bmp', 'sub/a', 'b.tar.gz')
    ]
    assert names == ['a_2.jpg', 'a_3.jpg', 'sub/a.jpg', 'b.tar.jpg']
