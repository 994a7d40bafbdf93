"""The documentation says what is there: site, commands, options, links, nav."""

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bas_mm.commands import COMMANDS, build_parser
from bas_mm.utils.configs import list_configs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
PAGES = [ROOT / 'README.md', *sorted(DOCS.rglob('*.md'))]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
FENCE = re.compile(r'^( *)```(\w*)[^\n]*\n(.*?)^\1```$', re.M | re.S)
LINK = re.compile(
    r'\[[^\]]*\]\(\s*<?([^)\s>]+)[^)]*\)|<(?:img|a)[^>]*?(?:src|href)="([^"]+)"'
)
CONFIG = re.compile(r'(?:bas|cam)_[\w-]+_(?:cub|ilsvrc|toy|custom|imagenet)')


def shell_lines(text):
    """Give the words of each line of the shell blocks, continued lines joined."""
    for _, language, block in FENCE.findall(text):
        if language not in ('shell', 'bash', 'sh', 'console'):
            continue
        pending = ''
        for line in block.replace('\\\n', ' ').splitlines():
            pending += line + '\n'
            try:
                yield shlex.split(pending, comments=True)
            except ValueError:  # a quotation goes on in the next line
                continue
            pending = ''
        assert not pending, f'a quotation has no end: {pending}'


def find_commands(words):
    """Give name and arguments of each ``bas-mm`` command in a line."""
    words = [piece for word in words for piece in re.split(r'(;)$|^\$?(\()', word)]
    words = [word for word in words if word]
    for i, word in enumerate(words):
        rest = []
        door = re.fullmatch(r'(?:\./)?(tools/[\w./-]+\.py)', word)
        if door and (ROOT / door[1]).is_file():  # `python tools/train.py` and its like
            rest = re.findall(r"main\(\['([\w-]+)'", (ROOT / door[1]).read_text())
        elif words[max(i - 2, 0) : i + 1] != ['python', '-m', 'bas_mm']:
            if word != 'bas-mm':
                continue
        for word in words[i + 1 :]:
            if word in (';', '|', '||', '&', '&&', '>', '2>'):
                break
            rest.append(word.strip('[]') if word.startswith('[') else word.rstrip(')]'))
        yield (rest or [''])[0], rest[1:]


def check_command(name, words):
    """Say what is wrong with a command, ``''`` if nothing."""
    if name in ('--help', '--version', '-h'):
        return ''
    if name not in COMMANDS:
        return f'bas-mm has no command {name!r}'
    options = build_parser(name)._option_string_actions
    for i, word in enumerate(words):
        if not re.match(r'--?[a-zA-Z]', word):
            continue
        option, _, value = word.partition('=')
        if option not in options:
            return f'bas-mm {name} has no option {option}'
        choices = options[option].choices
        value = value or ''.join(words[i + 1 : i + 2])
        named = value.isupper() or value.startswith('$')  # a placeholder
        wrong = set(value.split('|')) - set(choices or value.split('|'))
        if choices and wrong and not named:
            return f'bas-mm {name} {option} cannot be {sorted(wrong)}'
    return ''


def check_shell(text):
    """List what is wrong with the shell blocks of a page."""
    faults = []
    for words in shell_lines(text):
        faults += [check_command(*command) for command in find_commands(words)]
        for word in words:
            if re.match(r'(tools|configs)/[\w./-]+$', word):
                if not (ROOT / word).exists():
                    faults.append(f'there is no {word}')
            elif CONFIG.fullmatch(word) and word not in list_configs():
                faults.append(f'there is no config {word}')
    return [fault for fault in faults if fault]


def anchors(page):
    """List the anchors of the headings of a page."""
    text = FENCE.sub('', page.read_text(encoding='utf-8'))
    heads = re.findall(r'^#+ (.*)$', text, re.M)
    bare = [re.sub(r'[`*]|\]\([^)]*\)|\[', '', head).strip() for head in heads]
    return {re.sub(r'[^\w\- ]', '', head).lower().replace(' ', '-') for head in bare}


def check_links(page, text):
    """List the local links and pictures of a page that lead nowhere."""
    faults = []
    text = re.sub(r'`[^`\n]*`', '', FENCE.sub('', text))
    for match in LINK.finditer(text):
        target = match[1] or match[2]
        if re.match(r'\w+:', target):
            continue
        path, _, anchor = target.partition('#')
        file = (page.parent / path).resolve() if path else page
        if not file.exists():
            faults.append(f'{target}: there is no such file')
        elif anchor and file.suffix == '.md' and anchor not in anchors(file):
            faults.append(f'{target}: there is no such heading')
    return faults


def nav_files(item):
    """List the files of a nav, or of a part of it."""
    if isinstance(item, str):
        return [item]
    parts = item.values() if isinstance(item, dict) else item
    return [file for part in parts for file in nav_files(part)]


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    for name in ('mkdocs', 'material', 'mkdocstrings', 'mkdocstrings_handlers'):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'{name} is not installed (the extra `docs`)')
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'WARNING -' not in done.stderr
    assert 'Weakly supervised' in (tmp_path / 'index.html').read_text()
    page = (tmp_path / 'api' / 'models' / 'index.html').read_text()
    assert 'id="bas_mm.models.SplitNeck"' in page
    for page in tmp_path.glob('api/*/index.html'):  # roles have become links
        bare = re.sub(r'<details.*?</details>', '', page.read_text(), flags=re.S)
        assert not re.search(r':(class|func|meth|attr|mod):', bare), page


@pytest.mark.parametrize('name', NAMES)
def test_commands_and_options_exist(name):
    assert check_shell((ROOT / name).read_text(encoding='utf-8')) == []


def test_commands_are_found_at_all():
    found = {
        name
        for page in PAGES
        for words in shell_lines(page.read_text(encoding='utf-8'))
        for name, _ in find_commands(words)
    }
    assert set(COMMANDS) <= found, 'every command has an example'


@pytest.mark.parametrize(
    'line, fault',
    [
        ('bas-mm trian CONFIG', 'no command'),
        ('bas-mm train CONFIG --sed 0', 'no option --sed'),
        ('bas-mm train CONFIG \\\n    --work-dirs DIR', 'no option --work-dirs'),
        ('for s in 0 1; do bas-mm train C --sead $s; done', 'no option --sead'),
        ('bas-mm train C --seed 0 && bas-mm test C D --ot x', 'no option --ot'),
        ('bas-mm train "a\nb" --sed=1', 'no option --sed'),
        ('bas-mm export C D --out x --format xml', 'cannot be'),
        ('python -m bas_mm browse C --split train|tset', 'cannot be'),
        ('bas-mm train bas_vgg61_cub', 'no config'),
        ('python tools/test.py C D --sho-dir x', 'no option --sho-dir'),
        ('bash tools/dist_trian.sh C 4', 'there is no tools'),
    ],
)
def test_wrong_commands_are_found(line, fault):
    (found,) = check_shell(f'```shell\n{line}\n```\n')
    assert fault in found


def test_right_commands_pass():
    lines = [
        'x=$(bas-mm train C --seed 0); bas-mm --version  # bas-mm trian',
        'bas-mm train CONFIG [--work-dir DIR] [--resume [CHECKPOINT]]',
        'bas-mm browse C --split train|val|test | tail -n 3',
    ]
    assert check_shell('```bash\n' + '\n'.join(lines) + '\n```\n') == []


@pytest.mark.parametrize('name', NAMES)
def test_links_and_pictures_exist(name):
    page = ROOT / name
    assert check_links(page, page.read_text(encoding='utf-8')) == []


def test_wrong_links_are_found():
    text = '[a](no.md) ![b](no.png) <img src="c.png"> [d](data.md#no) [e](#no)\n'
    assert len(check_links(DOCS / 'index.md', text)) == 5
    text = '[a](https://a.b) [b](data.md#your-own-images) `[c](no.md)`\n'
    assert check_links(DOCS / 'index.md', text) == []


def test_every_page_is_in_the_nav():
    config = yaml.safe_load((ROOT / 'mkdocs.yml').read_text(encoding='utf-8'))
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob('*.md')]
    assert sorted(nav_files(config['nav'])) == sorted(pages)


def test_docstrings_become_markdown():
    pytest.importorskip('griffe', reason='griffe is not installed (the extra `docs`)')
    path = DOCS / 'roles.py'
    spec = importlib.util.spec_from_file_location('roles', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.to_markdown('See :func:`~a.b.c` and :class:`D`.', {'D': 'a.D'}.get)
    assert '<autoref optional identifier="a.D"><code>D</code></autoref>' in text
    assert '<code>c</code>' in text
    assert module.to_markdown('Example:\n    x') == 'Examples:\n    x'
    assert '| term | value |' in module.to_markdown(
        '=== ===\nterm value\n=== ===\na  b\n=== ==='
    )
