"""What runs say to a person, and what they leave for programs."""

import contextlib
import io
import json
import re
import shutil

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MMLogger

from bas_mm.engine.console import ConsoleFilter, tidy_console
from bas_mm.engine.summary_hook import (
    config_hash,
    data_fingerprint,
    find_versions,
    read_summary,
)
from bas_mm.evaluation import WSOLAccuracy
from bas_mm.evaluation.quote import left_out
from bas_mm.utils.errors import explain
from bas_mm.utils.setting_types import check_types
from tests.helpers.commands import call
from tests.helpers.tiny import write_config


def say(*words):
    """Run a command and give what it prints."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        call(*words)
    return said.getvalue()


#: A trunk that is frozen in part, and a rate of its own.
SMALL = {
    "type='bas_mm.MobileNetV1'": "type='ResNet', depth=18, base_channels=4, "
    "stem_channels=4, frozen_stages=1",
    "start='model.12'": "start='layer4'",
    'in_channels=1024': 'in_channels=32',
    'map_channels=512': 'map_channels=16',
    "optimizer=dict(type='SGD', lr=0.01)": "optimizer=dict(type='SGD', lr=0.01), "
    "paramwise_cfg=dict(custom_keys={'head.classifier': dict(lr_mult=10)})",
}


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A trained and tested tiny model: folder, and what was printed."""
    folder = tmp_path_factory.mktemp('run')
    config = write_config(folder)
    text = config.read_text().replace('max_epochs=2', 'max_epochs=1')
    for old, new in SMALL.items():
        assert old in text
        text = text.replace(old, new)
    config.write_text(text)
    trained = say('train', config, '--work-dir', folder / 'w', '--seed', 3)
    # two runs of one process and second would share a logger
    MMLogger._instance_dict.clear()
    words = (config, folder / 'w' / 'epoch_1.pth', '--work-dir', folder / 't')
    tested = say('test', *words, '--dump', folder / 'dump', '--bootstrap', 20)
    return folder, config, trained, tested


def fails(*words):
    """Run a command that fails and give its last words."""
    with pytest.raises(SystemExit) as error:
        say(*words)
    return str(error.value.code)


# --- training


def test_training_says_what_matters_in_twenty_lines(run):
    folder, _, said, _ = run
    head, _, rest = said.partition('work dir')
    assert len(head.splitlines()) <= 21
    for word in (
        'Training bas',
        'toy',
        '9 images to train and 9 to validate',
        'batches of 5, 2 steps an epoch',
        '3: ',
        'BASClassifier / ResNet / SplitNeck at layer4 / BASHead',
        'none: everything starts from random numbers',
        'backbone.conv1, backbone.bn1, backbone.layer1',
        'head.classifier x10',
        'AMCLoss alpha=0.5',
        'topk=2',
        '1 epoch',
        'SGD lr=0.01',
        'cpu, seed 3',
    ):
        assert word in head, word
    assert 'epoch 1/1, step 2/2: loss ' in rest and 'validated: ' in rest
    assert f'{folder / "w" / "epoch_1.pth"}' in rest
    assert len(said.splitlines()) < 32


@pytest.mark.parametrize(
    'chatter',
    [
        'is skipped since its requires_grad=False',
        'mmcv-lite',
        'deprecated',
        'Hooks will be executed',
        'default_scope =',
        'System environment',
        'paramwise_options',
        'Exp name',
        'Loads checkpoint by',
    ],
)
def test_chatter_stays_in_the_log_file(run, chatter):
    _, _, trained, tested = run
    assert chatter not in trained + tested


def test_the_log_file_keeps_everything(run):
    folder, *_ = run
    (log,) = (folder / 't').glob('*/*.log')
    assert 'Loads checkpoint by local backend from path: ' in log.read_text()
    (log,) = (folder / 'w').glob('*/*.log')
    text = log.read_text()
    for word in (
        'Hooks will be executed',
        'default_scope =',
        'System environment',
        'is skipped since its requires_grad=False',
        'paramwise_options',
    ):
        assert word in text
    assert re.search(r'Epoch\(train\) +\[1\]\[2/2\].*loss_bas: ', text)
    assert re.search(r'Epoch\(val\).*wsol/gt_known_whole: ', text)


def test_warnings_that_ask_for_something_are_shown(capsys):
    logger = MMLogger.get_instance('attack')
    tidy_console(logger)
    tidy_console(logger)
    (handler,) = logger.handlers
    assert sum(isinstance(one, ConsoleFilter) for one in handler.filters) == 1
    handler.stream = said = io.StringIO()
    logger.warning('backbone.a is skipped since its requires_grad=False')
    logger.warning('the maps vanish')
    logger.info('a hook of my own')
    logger.error('lost')
    assert said.getvalue() == (
        'Warning: the maps vanish\na hook of my own\nError: lost\n'
    )


# --- testing


def test_a_test_ends_in_a_short_table(run):
    folder, config, _, said = run
    table = [row.split() for row in said.splitlines() if row.startswith(' wsol/')]
    names = [row[0] for row in table]
    assert names[:4] == [
        f'wsol/{x}' for x in ('top1_loc', 'top5_loc', 'gt_known', 'top1_cls')
    ]
    assert names[-2:] == ['wsol/gt_known_whole', 'wsol/gt_known_center']
    assert len(table) <= 10 and len(said.splitlines()) < 25
    metrics = json.loads((folder / 't' / 'metrics.json').read_text())
    for row in table:
        assert f'{metrics[row[0]]:.2f}' in row
    low, high = metrics['wsol/gt_known_ci95']
    assert f'{low:.1f} to {high:.1f}' in said
    assert f'{folder / "t" / "metrics.json"}' in said


def test_all_prints_every_figure(run):
    folder, config, _, _ = run
    words = (config, folder / 'w' / 'epoch_1.pth', '--work-dir', folder / 'all')
    said = say('test', *words, '--all')
    metrics = json.loads((folder / 'all' / 'metrics.json').read_text())
    names = [row.split()[0] for row in said.splitlines() if row.startswith(' wsol/')]
    assert names == list(metrics)


def test_images_without_boxes_are_one_line(run):
    folder, config, _, _ = run
    words = (config, folder / 'w' / 'epoch_1.pth', '--work-dir', folder / 'bare')
    evaluators = ('WSOLAccuracy', 'MaxBoxAcc', 'LocErrors', 'LocBreakdown')
    text = config.read_text()
    text = text.replace("dict(type='bas_mm.LoadLocAnnotations', threshold=128)", '')
    text = text.replace(
        "test_evaluator = dict(type='bas_mm.WSOLAccuracy')",
        f"test_evaluator = [dict(type='bas_mm.' + x) for x in {evaluators}]",
    ).replace('val_evaluator = test_evaluator', '')
    text = text.replace(
        "dict(type='bas_mm.PackLocInputs')",
        "dict(type='bas_mm.PackLocInputs', algorithm_keys=())",
    )
    bare = folder / 'bare.py'
    bare.write_text(text + '\nval_cfg = val_dataloader = None\n')
    said = say('test', bare, *words[1:])
    told = [line for line in said.splitlines() if re.search(r'no.*\bbox', line)]
    assert len(told) == 2  # the warning, and the count
    assert 'Of 9 images, 9 have no box' in told[-1]


@pytest.mark.parametrize(
    'metrics, said',
    [
        ({'wsol/num_images': 3}, ''),
        (
            {'wsol/num_images': 3, 'wsol/pxap_num_no_mask': 2},
            'Of 3 images, 2 have no mask and are left out of the figures of masks.',
        ),
        ({'wsol/err_num_no_box': 1}, 'Images: 1 have no box'),
    ],
)
def test_what_is_left_out(metrics, said):
    assert left_out(metrics).startswith(said) and bool(said) == bool(left_out(metrics))


# --- errors of the user's


@pytest.mark.parametrize(
    'option, message',
    [
        (
            'model.head.num_class=3',
            r"'model.head' of the config has no 'num_class'; did you mean "
            r'model.head.num_classes\?',
        ),
        ('model.type=bas_mm.BASClasifier', r'did you mean bas_mm.BASClassifier\?'),
        ('model.head.loss.type=AMCLoss', r'did you mean bas_mm.AMCLoss\?'),
        ('optim_wrapper.optimizer.type=SDG', r'no optimizer .*did you mean SGD\?'),
        (
            "optim_wrapper.optimizer.lrr=1",
            r"has no .lrr.; did you mean .*optimizer.lr\?",
        ),
        ('train_cfg.max_epochs=abc', r'max_epochs. is a number \(1 in .*not text'),
        ('model.head=3', r'group of settings, not a number; give one of them, such as'),
        ('model.type=3', r'model.type. is text \(.bas_mm.BASClassifier'),
        ('train_dataloader.batch_size=0', 'batch_size'),
    ],
)
def test_settings_that_cannot_be(run, tmp_path, option, message):
    _, config, *_ = run
    said = fails('train', config, '--work-dir', tmp_path, '--cfg-options', option)
    assert len(said.splitlines()) == 1 and re.search(message, said), said


def test_what_a_class_takes_as_a_word_stays_allowed():
    cfg = Config(dict(head=dict(type='bas_mm.BASHead', threshold=0.2, topk=1)))
    check_types(cfg, {'head.threshold': 'otsu', 'head': None, 'new.path': 'x'})
    with pytest.raises(ValueError, match='--cfg-options head.topk=otsu'):
        check_types(cfg, {'head.topk': 'otsu'})


def test_a_traceback_is_kept_in_the_log_and_shown_on_demand(run, tmp_path):
    _, config, *_ = run
    option = 'model.head.in_channels=33'
    words = ('train', config, '--work-dir', tmp_path, '--cfg-options', option)
    said = fails(*words)
    log = re.search(r'traceback in (.*\.log)\)', said)[1]
    assert 'Traceback' in open(log).read() and 'in forward' in open(log).read()
    with pytest.raises(RuntimeError, match='channels'):
        say(*words, '--debug')


@pytest.mark.parametrize(
    'text, message',
    [
        ('model = dict(', r'bad.py is no Python, line 1: '),
        ("default_scope = 'mmpretrain'", 'bad.py has no `model`'),
        ("_base_ = ['gone.py']", 'gone.py'),
    ],
)
def test_configs_that_are_none(tmp_path, text, message):
    (tmp_path / 'bad.py').write_text(text)
    said = fails('train', tmp_path / 'bad.py', '--work-dir', tmp_path / 'w')
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    'words, message',
    [
        (['train', 'x.py', '--cfg-options', 'a.b', '3'], 'did you mean a.b=3?'),
        (['train', 'x.py', '--work-dri', 'w'], 'did you mean --work-dir?'),
        (['test', 'x.py', 'y.pth', '--bootstrp=3'], 'did you mean --bootstrap?'),
        (['eval-maps', 'm'], 'the following arguments are required: boxes'),
        (['train', 'x.py', '--seed', 'abc'], "invalid int value: 'abc'"),
    ],
)
def test_options_that_are_none_end_in_one_line(capsys, words, message):
    with pytest.raises(SystemExit):
        call(*words)
    said = capsys.readouterr().err
    assert message in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    'words',
    [
        ['eval-maps', 'gone', 'gone.csv'],
        ['train', 'gone.py'],
        ['test', 'gone.py', 'gone.pth'],
    ],
)
def test_files_that_are_not_there(words):
    said = fails(*words)
    assert said.startswith('FileNotFoundError: ') and 'gone' in said


def test_an_error_of_a_worker_is_what_the_worker_said():
    error = ValueError(
        'Caught ValueError in DataLoader worker process 1.\nOriginal Traceback (most '
        'recent call last):\n  File "x.py", line 3\nValueError: a.png is no image\n'
    )
    assert explain(error) == 'ValueError: a.png is no image'


def test_a_file_where_a_folder_is_needed(tmp_path):
    (tmp_path / 'out').write_text('')
    for path in (tmp_path / 'out', tmp_path / 'out' / 'in'):
        with pytest.raises(OSError) as found:
            path.mkdir(parents=True)
        assert re.search(
            "Error: '.*out.*' is a file or lies below one, and a folder is needed: "
            'choose another place',
            explain(found.value),
        )


# --- summary.json


def test_every_run_leaves_a_summary(run):
    folder, config, *_ = run
    trained = read_summary(folder / 'w' / 'summary.json')['train']
    tested = read_summary(folder / 't' / 'summary.json')['test']
    metrics = json.loads((folder / 't' / 'metrics.json').read_text())
    for one in (trained, tested):
        assert one['complete'] is True and one['config'] == str(config)
        assert one['versions'] == find_versions() and one['device'] == 'cpu'
        assert one['seconds'] > 0 and one['peak_memory']['process'] > 0
    assert trained['seed'] == 3 and trained['epochs'] == 1
    assert trained['checkpoint'] == str(folder / 'w' / 'epoch_1.pth')
    assert trained['figures']['wsol/num_images'] == 9
    assert tested['figures'] == metrics
    assert tested['checkpoint'] == str(folder / 'w' / 'epoch_1.pth')
    assert tested['training']['seed'] == 3
    assert tested['training']['config_hash'] == trained['config_hash']
    assert trained['data']['val'] == tested['data']['test']
    assert trained['data']['train']['images'] == 9


def test_an_earlier_checkpoint_does_not_get_the_whole_training(run, tmp_path):
    folder, config, *_ = run
    for name in ('epoch_0.pth', 'best.pth'):
        shutil.copy(folder / 'w' / 'epoch_1.pth', tmp_path / name)
        shutil.copy(folder / 'w' / 'summary.json', tmp_path)
        say('test', config, tmp_path / name, '--work-dir', tmp_path / 't')
        tested = read_summary(tmp_path / 't' / 'summary.json')['test']['training']
        assert tested['seed'] == 3 and 'seconds' not in tested
        assert tested['epochs'] == (0 if name == 'epoch_0.pth' else None)


def test_a_test_in_the_folder_of_the_training_keeps_its_summary(run):
    folder, config, *_ = run
    before = read_summary(folder / 'w' / 'summary.json')['train']
    say('test', config, folder / 'w' / 'epoch_1.pth', '--work-dir', folder / 'w')
    after = read_summary(folder / 'w' / 'summary.json')
    assert after['train'] == before and after['test']['complete']


def test_the_report_reads_it(run):
    folder, *_ = run
    out = folder / 'report.html'
    say('report', folder / 'dump', '--out', out, '--bootstrap', 0, '--pictures', 0)
    page = out.with_suffix('.md').read_text()
    tested = read_summary(folder / 'dump' / 'summary.json')['test']
    assert tested['config_hash'][:12] in page
    assert tested['data']['test']['fingerprint'][:12] in page
    assert re.search(r'seed of the training *\| *3', page)


def test_a_run_that_is_killed_leaves_an_open_summary(run, tmp_path):
    _, config, *_ = run
    text = config.read_text() + (
        "\ncustom_hooks = [dict(type='bas_mm.ClassCheckHook')]\n"
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01),"
        " clip_grad=dict(max_norm='x'))\n"
    )
    (tmp_path / 'bad.py').write_text(text)
    fails('train', tmp_path / 'bad.py', '--work-dir', tmp_path / 'w')
    assert read_summary(tmp_path / 'w' / 'summary.json')['train']['complete'] is False


def test_equal_experiments_have_equal_hashes():
    cfg = dict(model=dict(a=1), train_dataloader=dict(num_workers=2, batch_size=4))
    other = dict(train_dataloader=dict(num_workers=8, batch_size=4), model=dict(a=1))
    more = dict(cfg, work_dir='x', load_from='y.pth')
    first = config_hash(Config(cfg))
    assert first == config_hash(Config(other)) == config_hash(Config(more))
    assert first != config_hash(Config(dict(cfg, model=dict(a=2))))


def test_the_fingerprint_follows_the_data_and_not_its_place(tmp_path):
    class Data(list):
        data_root = ''

        def get_data_info(self, index):
            return self[index]

    def make(root, label=0, box=1.0, content=b'x'):
        (tmp_path / root).mkdir(exist_ok=True)
        (tmp_path / root / 'a.png').write_bytes(content)
        info = dict(img_path=str(tmp_path / root / 'a.png'), gt_label=label)
        data = Data([dict(info, gt_bboxes=torch.tensor([[0, 0, 1, box]]))])
        data.data_root = str(tmp_path / root)
        return data_fingerprint(data)

    assert make('here') == make('there')
    assert (
        len({make('a'), make('a', 1), make('a', 0, 2.0), make('a', 0, 1, b'xy')}) == 4
    )
    assert data_fingerprint([1]) is None


@pytest.mark.parametrize('content', [None, '', '[1]', '{"train": ', 'null'])
def test_a_summary_that_cannot_be_read_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / 'summary.json').write_text(content)
    assert read_summary(tmp_path / 'summary.json') == {}


# --- boards


def test_tensorboard_gets_scalars_and_the_grid(run, tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, config, *_ = run
    text = config.read_text() + (
        "\nvisualizer = dict(type='bas_mm.WSOLVisualizer', vis_backends=["
        "dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])\n"
        "custom_hooks = [dict(type='bas_mm.GridHook', num=4, cols=2)]\n"
    )
    (tmp_path / 'board.py').write_text(text)
    say('train', tmp_path / 'board.py', '--work-dir', tmp_path / 'w')
    (folder,) = (tmp_path / 'w').glob('*/vis_data')
    events = EventAccumulator(str(folder))
    events.Reload()
    assert 'loss' in events.Tags()['scalars']
    assert 'wsol/gt_known' in events.Tags()['scalars']
    assert events.Tags()['images'] == ['grid']


# --- open sets


def test_images_without_an_object_are_reported():
    metric = WSOLAccuracy(min_score=0.8)
    truth = dict(gt_label=[0], gt_bboxes=[[0, 0, 8, 8]], img_shape=(8, 8))
    for i, score in enumerate((0.9, 0.7)):
        sample = dict(truth, pred_bbox=[0, 0, 8, 8], pred_score=[score, 0.1])
        metric.process({}, [dict(sample, sample_idx=i)])
    metrics = metric.evaluate(2)
    assert metrics['wsol/num_images_no_object'] == 1
    assert metrics['wsol/gt_known'] == 50 and metrics['wsol/gt_known_whole'] == 100
    assert 'no object in 1' in left_out(metrics)
    with pytest.raises(ValueError, match='min_score=2 must be from 0 to 1'):
        WSOLAccuracy(min_score=2)
