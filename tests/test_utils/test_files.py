"""Files that are whole or not there."""

import errno
import re
from pathlib import Path
from unittest import mock

import pytest

from bas_mm.utils.files import FreshPaths, check_output, write_atomic


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


@pytest.mark.parametrize('error', [OSError(errno.EIO, 'no'), KeyboardInterrupt()])
def test_a_crash_before_the_swap_keeps_the_older_file(tmp_path, error):
    path = tmp_path / 'a.json'
    write_atomic(path, b'old')

    def crash(part, target):
        assert Path(part).read_bytes() == b'new' and Path(target) == path
        raise error

    with mock.patch('os.replace', crash), pytest.raises(type(error)):
        write_atomic(path, b'new')
    assert path.read_bytes() == b'old'


def test_an_output_is_tried_before_it_is_computed(tmp_path):
    (tmp_path / 'file').write_text('')
    (tmp_path / 'folder').mkdir()
    (tmp_path / 'link').symlink_to('gone')
    before = sorted(tmp_path.rglob('*'))
    for name, folder in (
        ('new.json', False),
        ('file', False),
        ('new/new/x.json', False),
        ('folder', True),
        ('new/new', True),
    ):
        check_output(tmp_path / name, '--out', folder)
    for name, folder, fault in (
        ('folder', False, 'it is a folder'),
        ('file/x.json', False, 'file is not a folder'),
        ('file/new/x.json', False, 'file is not a folder'),
        ('file', True, 'file is not a folder'),
        ('link/x.json', False, 'link is not a folder'),
    ):
        given = re.escape(str(tmp_path / name))
        with pytest.raises(OSError, match=f'^{given} cannot.*{fault}.*--out.$'):
            check_output(tmp_path / name, '--out', folder)
    assert sorted(tmp_path.rglob('*')) == before


def test_a_folder_that_takes_no_file(tmp_path):
    with mock.patch('tempfile.TemporaryFile', side_effect=OSError(30, 'Read-only')):
        with pytest.raises(OSError, match=r'takes no file \(Read-only\).*--out-dir.$'):
            check_output(tmp_path / 'new', '--out-dir', folder=True)


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
