import sys

import pytest

from bas_mm.analysis import jobs
from tests.helpers.commands import call


@pytest.fixture
def done(monkeypatch):
    """What a study runs; in this process, so that a test is not mostly imports."""
    done = []

    def run(words, **kwargs):
        assert words[:3] == [sys.executable, '-m', 'bas_mm']
        done.append([words[3], *words[5:]])
        call(*words[3:])
        return 0

    monkeypatch.setattr(jobs, 'run_program', run)
    return done
