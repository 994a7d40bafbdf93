"""Commands of ``bas-mm``, in the process of the test or in one of their own."""

import os
import random
import socket
import subprocess
import sys
from pathlib import Path

from mmengine.registry import DefaultScope

from bas_mm.commands import main

ROOT = Path(__file__).parents[2]
TOOLS = ROOT / 'tools'


def call(command, *words):
    """Run a command; it leaves no default scope behind."""
    try:
        main([command, *map(str, words)])
    finally:
        DefaultScope._instance_dict.clear()


def free_port():
    """Give a free port below those that systems hand out by themselves.

    It is used seconds later: one of those could be taken by then.
    """
    while True:
        port = random.SystemRandom().randint(20000, 32000)
        with socket.socket() as trial:
            if trial.connect_ex(('127.0.0.1', port)) != 0:
                return port


def run(folder, *command, code=0):
    """Run a program in a folder, without a GPU; it finds this package."""
    path = os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')])
    bin_dir = str(Path(sys.executable).parent)
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={
            **os.environ,
            'PYTHONPATH': path,
            'PATH': os.pathsep.join([bin_dir, os.environ['PATH']]),
            'PORT': str(free_port()),
            'OMP_NUM_THREADS': '1',
            'CUDA_VISIBLE_DEVICES': '',
            'COLUMNS': '80',
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
