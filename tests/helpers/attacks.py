"""What a new user does wrong, what is said of it, and the table of both.

``python -m tests.helpers.attacks`` tries all of it and prints what is said.
``--package DIR --keep FILE`` tries it on another clone and keeps what that says;
``--before FILE`` writes the table, ``tests/test_attacks/README.md``.
"""

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import traceback
from pathlib import Path

TABLE = Path(__file__).parents[1] / 'test_attacks' / 'README.md'
HEAD = """# Attacks

What a new user does wrong, or what goes wrong. `bas-mm` was called as the second
column says; the third is what the code before these checks ({commit}) answered, the
fourth what is answered now. Both were written by `python -m tests.helpers.attacks`,
{count} calls; `tests/test_attacks/test_table.py` does each again and compares. `…` is
a folder, or what was cut. "nothing of it": the run ended well, with a result.
"""
#: What an attack says is cut here.
LONGEST = 260


class Folder:
    """The good folder that attacks spoil, each a part of its own."""

    def __init__(self, root):
        from tests.helpers import tiny
        from tests.helpers.saved_maps import make_files

        self.root = root
        with contextlib.redirect_stdout(io.StringIO()):
            for method in ('BAS', 'CAM'):
                path = tiny.write_config(root, method)
                text = path.read_text().replace('max_epochs=2', 'max_epochs=1')
                path.write_text(text)
                tiny.save(path, root / f'{method.lower()}.pth')
        make_files(root)
        run(['train', f'{root}/cam.py', '--work-dir', f'{root}/run', '--seed', '0'])
        assert (root / 'run' / 'epoch_1.pth').is_file()

    def try_one(self, attack):
        """Spoil what an attack spoils, and call the command.

        Returns:
            Exit code and output.
        """
        make, words = attack[1:3]
        x = self.root / 'x'
        shutil.rmtree(x, ignore_errors=True)
        x.mkdir()
        if make:
            with contextlib.redirect_stdout(io.StringIO()):
                make(self.root, x)
        words = [word.format(b=self.root, x=x) for word in shlex.split(words)]
        code, text = run(words)
        for path, name in ((x, '…'), (self.root, '…'), (Path.cwd(), '.')):
            text = text.replace(str(path), name)
        return code, text


def run(words):
    """Call a command in this process.

    Returns:
        Exit code and output.
    """
    from mmengine.logging import MMLogger
    from mmengine.registry import DefaultScope

    from bas_mm.commands import main

    said, code = io.StringIO(), 0
    MMLogger._instance_dict.clear()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):
                said.write(f'{code}\n')
                code = 1
        except BaseException:
            said.write(traceback.format_exc())
            code = 1
        finally:
            DefaultScope._instance_dict.clear()
    MMLogger._instance_dict.clear()
    return int(code or 0), said.getvalue()


def answer(code, text, look):
    """Pick what is said of an attack.

    Args:
        code: The exit code.
        text: All output.
        look: A pattern of the line that is wanted; a group in it is the part
            that does not depend on other packages.

    Returns:
        That line, without what differs from run to run; else the last line of
        what failed, or that nothing is said.
    """
    text = re.sub(r'\x1b\[[0-9;]*m', '', text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    # the time, name and level of mmengine's lines
    lines = [re.sub(r'^\d\d/\d\d \S+ - \S+ - ', '', line) for line in lines]
    ends = [line for line in lines if re.match(r'(\w+\.)*\w+Error: |bas-mm .*: ', line)]
    pool = ends if code and ends else lines
    found = [match for line in pool if (match := re.search(look, line))]
    if found:
        said = f'{found[0].group(1)} …' if found[0].groups() else found[0].string
    elif code:
        said = (pool or ['nothing'])[-1]
        if any(line.startswith('Traceback') for line in lines):
            said = f'{len(lines)} lines of traceback, then: {said}'
    else:
        said = f'nothing of it, in {len(lines)} lines' if lines else 'nothing'
    said = re.sub(r'…/[^\s\'"`]*\.log', '….log', said)
    said = re.sub(r'\d{8}_\d{6}', '<time>', said)
    said = re.sub(r'\(\d+ bytes\)', '(n bytes)', said)
    said = said if len(said) <= LONGEST else f'{said[:LONGEST]} …'
    return f'{said} (exit {code})'


def cell(text):
    """Lay a text out as a cell of markdown."""
    return '`' + text.replace('|', '\\|').replace('`', "'") + '`'


def rows(before, now):
    """Lay out the table."""
    from tests.helpers.attack_list import ATTACKS

    for attack in ATTACKS:
        words = attack[2].format(b='…', x='…')
        yield (
            f'| {attack[0]} | {cell(words)} | {cell(before[attack[0]])} | '
            f'{cell(now[attack[0]])} |'
        )


def read_rows():
    """Read the last column of the table: from attacks to what is said now."""
    found = {}
    table = TABLE.read_text(encoding='utf-8').partition('\n## ')[0]
    for line in table.splitlines():
        cells = re.split(r'(?<!\\) \| ', line.strip('| '))
        if len(cells) == 4 and cells[3].startswith('`'):
            found[cells[0]] = cells[3]
    return found


def main():
    """Try all attacks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--package', help='the clone whose bas_mm is attacked')
    parser.add_argument('--keep', help='a json file for what is said')
    parser.add_argument('--before', help='what another clone said; writes the table')
    parser.add_argument('--commit', default='6efd86c', help='the commit of that clone')
    parser.add_argument('--only', default='', help='a pattern of names')
    args = parser.parse_args()
    if args.package:
        sys.path.insert(0, os.path.abspath(args.package))
    from tests.helpers.attack_list import ATTACKS

    now = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Folder(Path(name))
        for attack in ATTACKS:
            if re.search(args.only, attack[0]):
                try:
                    now[attack[0]] = answer(*folder.try_one(attack), attack[3])
                except Exception as error:  # another clone may not even begin
                    now[attack[0]] = f'not tried: {error}'
                print(f'{attack[0]}: {now[attack[0]]}', flush=True)
    if args.keep:
        Path(args.keep).write_text(json.dumps(now, indent=1))
    if args.before:
        before = json.loads(Path(args.before).read_text())
        lines = [
            HEAD.format(commit=args.commit, count=len(now)),
            '| what | call | before | now |',
            '|---|---|---|---|',
            *rows(before, now),
        ]
        tail = TABLE.read_text() if TABLE.is_file() else ''
        tail = tail[tail.index('\n## ') :] if '\n## ' in tail else ''
        TABLE.write_text('\n'.join(lines) + '\n' + tail)


if __name__ == '__main__':
    main()
