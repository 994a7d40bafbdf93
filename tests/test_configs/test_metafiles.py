"""What describes the repository agrees with it: metafiles, citation, CI, changelog."""

import re
import runpy
from pathlib import Path
from unittest import mock

import pytest
import yaml
from mmengine.config import Config
from packaging.specifiers import SpecifierSet
from packaging.version import Version

import bas_mm

ROOT = Path(__file__).parents[2]
METHODS = sorted(
    path.name
    for path in (ROOT / 'configs').iterdir()
    if path.is_dir() and not path.name.startswith(('_', '.'))
)
CONFIGS = sorted(
    path.relative_to(ROOT).as_posix()
    for method in METHODS
    for path in (ROOT / 'configs' / method).glob('*.py')
)
LOCATION = ('Top-1 Loc', 'Top-5 Loc', 'GT-known Loc')
ACCURACY = ('Top 1 Accuracy', 'Top 5 Accuracy')
# in the order of the tables
OURS = (
    'GT-known Loc',
    'Top-1 Loc',
    'GT-known Loc (IoU 0.7)',
    'Top 1 Accuracy',
    'MaxBoxAccV2',
)
# of what is not trained and sees no label
WITHOUT_CLASSES = tuple(name for name in OURS if not name.startswith('Top'))


def read(name):
    return (ROOT / name).read_text(encoding='utf-8')


def load(name):
    return yaml.safe_load(read(name))


def setup_arguments():
    """What ``setup.py`` hands to setuptools."""
    with mock.patch('setuptools.setup') as setup:
        runpy.run_path(str(ROOT / 'setup.py'))
    return setup.call_args.kwargs


def models(method):
    return load(f'configs/{method}/metafile.yml')['Models']


def table_row(text, start):
    """Cells of the one table row that begins so, without bold type."""
    rows = [x for x in text.splitlines() if x.startswith(f'| {start} |')]
    assert len(rows) == 1, (start, rows)
    return [cell.strip(' *`') for cell in rows[0].strip('|').split('|')]


ENTRIES = {model['Name']: model for method in METHODS for model in models(method)}


def test_the_index_names_every_metafile():
    imported = load('model-index.yml')['Import']
    assert set(imported) == {f'configs/{m}/metafile.yml' for m in METHODS}
    assert len(imported) == len(METHODS)
    assert {'bas', 'cam'} <= set(METHODS)


def test_every_config_has_one_entry():
    named = [model['Config'] for method in METHODS for model in models(method)]
    assert sorted(named) == CONFIGS


@pytest.mark.parametrize('method', METHODS)
def test_collection(method):
    (collection,) = load(f'configs/{method}/metafile.yml')['Collections']
    assert collection['Name'] == method.upper()
    assert collection['README'] == f'configs/{method}/README.md'
    assert (ROOT / collection['README']).is_file()
    sources = r'https://(arxiv\.org/abs/|doi\.org/|openaccess\.thecvf\.com/)\S+'
    assert re.fullmatch(sources, collection['Paper']['URL'])
    assert collection['Paper']['Title']
    assert all(x['In Collection'] == collection['Name'] for x in models(method))


@pytest.mark.parametrize('name', ENTRIES)
def test_entry(name):
    entry = ENTRIES[name]
    assert Path(entry['Config']).stem == name
    assert set(entry) <= {'Name', 'In Collection', 'Config', 'Metadata', 'Results'}
    metadata = entry['Metadata']
    assert {'Backbone', 'Training Data'} <= set(metadata)
    assert set(metadata.get('Paper Results', ())) <= {*LOCATION, *ACCURACY}
    for result in entry.get('Results', ()):
        assert set(result) == {'Task', 'Dataset', 'Metrics'}
        assert result['Task'] == 'Weakly Supervised Object Localization'
        learns = 'Epochs' in metadata
        assert tuple(result['Metrics']) == (OURS if learns else WITHOUT_CLASSES)
        assert all(0 < value < 100 for value in result['Metrics'].values())
        # on a part of the data, and it says so
        assert re.search(r'\d train / \d[\d,]* test images$', result['Dataset'])


@pytest.mark.parametrize(
    'name', [n for n, e in ENTRIES.items() if 'Epochs' in e['Metadata']]
)
def test_metadata_is_that_of_the_config(name):
    metadata = ENTRIES[name]['Metadata']
    cfg = Config.fromfile(ROOT / ENTRIES[name]['Config'])
    assert metadata['Epochs'] == cfg.train_cfg.max_epochs
    batch = cfg.get('auto_scale_lr', {}).get('base_batch_size')
    assert metadata['Batch Size'] == (batch or cfg.train_dataloader.batch_size)


@pytest.mark.parametrize('name', ENTRIES)
def test_readme_of_the_method_has_the_figures(name):
    entry = ENTRIES[name]
    readme = read(Path(entry['Config']).with_name('README.md'))
    row = table_row(readme, f'`{name}`')
    if paper := entry['Metadata'].get('Paper Results'):
        assert row[2:] == [' / '.join(f'{paper[k]:.2f}' for k in LOCATION), 'not run']
    for result in entry.get('Results', ()):
        cells = row[-len(OURS) :]
        means = [re.fullmatch(r'(\d+\.\d) ± \d+\.\d|–', x)[1] for x in cells]
        found = {name: float(x) for name, x in zip(OURS, means) if x}
        assert found == result['Metrics']
        # ours are published with their commands
        pages = [ROOT / 'README.md', *(ROOT / 'docs').glob('*.md')]
        texts = [p.read_text(encoding='utf-8') for p in pages if p.is_file()]
        published = ' | '.join(cells)
        assert any(published in text.replace('**', '') for text in texts)


def test_citation():
    citation = load('CITATION.cff')
    assert citation['cff-version'] == '1.2.0' and citation['type'] == 'software'
    assert citation['title'] == 'bas_mm' and citation['message']
    assert citation['version'] == bas_mm.__version__
    assert citation['license'] == setup_arguments()['license']
    assert citation['authors'] == [dict(name='bas_mm contributors')]
    paper = citation['preferred-citation']
    assert paper['type'] == 'conference-paper' and paper['year'] == 2022
    assert [x['family-names'] for x in paper['authors']] == ['Wu', 'Zhai', 'Cao']
    (collection,) = load('configs/bas/metafile.yml')['Collections']
    assert paper['url'] == collection['Paper']['URL']
    assert paper['title'] == collection['Paper']['Title']


def test_changelog_begins_with_this_version():
    versions = re.findall(r'^## (\d+\.\d+\.\d+)', read('CHANGELOG.md'), flags=re.M)
    assert versions[0] == bas_mm.__version__
    assert versions == sorted(set(versions), key=Version, reverse=True)


@pytest.fixture(scope='module')
def workflow():
    return load('.github/workflows/ci.yml')


def steps(workflow):
    return [step for job in workflow['jobs'].values() for step in job['steps']]


def test_workflow_installs_extras_that_exist(workflow):
    known = setup_arguments()['extras_require']
    lines = '\n'.join(step.get('run', '') for step in steps(workflow)).splitlines()
    installs = [line for line in lines if re.search('pip install', line)]
    assert all('-c constraints.txt' in line for line in installs)
    sets = [set(x.split(',')) for x in re.findall(r'\.\[([\w,-]+)\]', str(installs))]
    used = set().union(*sets)
    assert used <= set(known)
    assert {'lite', 'onedl', 'pretrained', 'tests', 'docs'} <= used
    assert not any({'lite', 'onedl'} <= extras for extras in sets)


def test_workflow_runs_every_python(workflow):
    matrix = workflow['jobs']['tests']['strategy']['matrix']
    versions = matrix['python-version'] + [
        x['python-version'] for x in matrix['include']
    ]
    assert all(isinstance(x, str) for x in versions)  # 3.10 as a number is 3.1
    required = setup_arguments()['python_requires']
    assert all(version in SpecifierSet(required) for version in versions)
    assert min(versions, key=Version) == required.removeprefix('>=')
    minors = sorted({Version(version).minor for version in versions})
    assert minors == list(range(minors[0], minors[-1] + 1))
    for step in steps(workflow):
        if 'setup-python' in step.get('uses', ''):
            version = step['with']['python-version']
            assert version in ('${{ matrix.python-version }}', *versions)


def test_workflow_is_careful(workflow):
    assert workflow['permissions'] == dict(contents='read')
    assert workflow['concurrency']['cancel-in-progress'] is True
    for step in steps(workflow):
        assert ('uses' in step) != ('run' in step)
        if 'uses' in step:
            assert re.fullmatch(r'actions/[\w-]+@v\d+', step['uses'])
    assert all('timeout-minutes' in job for job in workflow['jobs'].values())


def test_hooks_before_a_commit_use_the_same_ruff():
    (version,) = re.findall(r'^ruff==(\S+)$', read('constraints.txt'), flags=re.M)
    hooks = [
        hook
        for repo in load('.pre-commit-config.yaml')['repos']
        for hook in repo['hooks']
    ]
    named = [x for hook in hooks for x in hook.get('additional_dependencies', ())]
    assert set(named) == {f'ruff=={version}'}
    assert {'ruff-check', 'ruff-format', 'mypy'} <= {hook['id'] for hook in hooks}
