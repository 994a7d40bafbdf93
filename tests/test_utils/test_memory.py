"""Memory that a process keeps."""

import subprocess
import sys

import pytest

from bas_mm.engine import runner
from bas_mm.utils import memory
from tests.helpers.commands import call
from tests.helpers.tiny import write_config

# Page faults of blocks of 64 MB that are made and freed, after the first.
FAULTS = """
import resource, sys
import numpy as np
from bas_mm.utils.memory import keep_memory

if sys.argv[1] == 'keep' and not keep_memory():
    sys.exit('no glibc')
np.ones(2**23)
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(2**23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""


def count_faults(word):
    done = subprocess.run(
        [sys.executable, '-c', FAULTS, word], capture_output=True, text=True
    )
    if 'no glibc' in done.stderr:
        pytest.skip('the allocator is not that of glibc')
    return int(done.stdout)


def test_freed_blocks_are_used_again():
    assert count_faults('keep') < count_faults('hand back') / 10


def test_other_systems(monkeypatch):
    monkeypatch.setattr(memory.sys, 'platform', 'darwin')
    assert memory.keep_memory() is False


@pytest.mark.parametrize('kept', [True, False])
def test_setting(tmp_path, monkeypatch, kept):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, 'keep_memory', lambda: calls.append(1))
    calls = []
    write_config(tmp_path)
    call('train', 'bas.py', '--work-dir', 'w', '--no-validate')
    assert calls == [1]
    options = ['--cfg-options', f'env_cfg.keep_memory={kept}']
    call('train', 'bas.py', '--work-dir', 'w2', '--no-validate', *options)
    assert len(calls) == 1 + kept
