"""``bas-mm webapp``."""

import sys
from unittest import mock

import pytest

from bas_mm.commands import webapp
from tests.helpers.commands import call
from tests.helpers.inference import make_files


def test_page_is_started(tmp_path, capsys, monkeypatch):
    make_files(tmp_path)
    pages, started = [], []

    class Page:
        def launch(self, **kwargs):
            started.append(kwargs)

    monkeypatch.setattr(webapp, 'import_gradio', lambda: None)
    monkeypatch.setattr(webapp, 'build_page', lambda i: pages.append(i) or Page())
    call('webapp', '--model', tmp_path / 'tiny.pth', '--port', 81, '--device', 'cpu')
    assert len(pages[0].classes) == 3
    assert started == [
        dict(server_name='127.0.0.1', server_port=81, share=False, quiet=True)
    ]
    assert 'http://127.0.0.1:81' in capsys.readouterr().out


def test_without_gradio(tmp_path):
    """Said before a model is loaded: there is none here."""
    with mock.patch.dict(sys.modules, gradio=None):
        with pytest.raises(SystemExit, match=r"ImportError: .*bas-mm\[webapp\]"):
            call('webapp', '--model', tmp_path / 'none.pth')
