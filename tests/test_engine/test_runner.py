import argparse

import pytest
import torch.distributed as dist
from mmengine.config import Config

from bas_mm.engine import runner
from bas_mm.utils.options import add_runner_arguments


def parse(*argv):
    parser = argparse.ArgumentParser()
    parser.add_argument('config')
    add_runner_arguments(parser)
    return parser.parse_args(argv)


def loader(name):
    return dict(batch_size=1, num_workers=1, dataset=dict(type=name, data_root='old'))


@pytest.fixture
def config(tmp_path):
    def write(**fields):
        path = tmp_path / 'tiny.py'
        Config(dict(model=dict(type='M'), **fields)).dump(path)
        return str(path)

    return write


def test_start_config(config, tmp_path):
    path = config(train_dataloader=loader('A'), randomness=dict(seed=None))
    cfg = runner.start_config(parse(path))
    assert cfg.work_dir == './work_dirs/tiny'
    assert cfg.train_dataloader.dataset.data_root == 'old'
    assert cfg.randomness.seed is None
    cfg = runner.start_config(
        parse(path, '--work-dir', 'w', '--seed', '0', '--data-root', str(tmp_path))
    )
    assert (cfg.work_dir, cfg.randomness.seed) == ('w', 0)
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)


def test_a_config_by_its_name():
    cfg = runner.start_config(parse('bas_vgg16_cub'))
    assert cfg.model.type == 'bas_mm.BASClassifier'
    assert cfg.work_dir == './work_dirs/bas_vgg16_cub'


def test_work_dir_of_the_config_stays(config):
    path = config(work_dir='mine')
    assert runner.start_config(parse(path)).work_dir == 'mine'


def test_cfg_options_win(config, tmp_path):
    args = parse(
        config(train_dataloader=loader('A')),
        '--data-root',
        str(tmp_path),
        '--cfg-options',
        'train_dataloader.dataset.data_root=last',
        'train_dataloader.num_workers=0',
    )
    cfg = runner.start_config(args)
    runner.finish_config(cfg, args, 'train')
    assert cfg.train_dataloader.dataset.data_root == 'last'
    assert cfg.train_dataloader.persistent_workers is False


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_loader_defaults(config, monkeypatch, device):
    monkeypatch.setattr(runner, 'get_device', lambda: device)
    args = parse(config(train_dataloader=loader('A')))
    cfg = runner.start_config(args)
    runner.finish_config(cfg, args, 'train')
    assert cfg.train_dataloader.pin_memory is (device == 'cuda')
    assert cfg.train_dataloader.persistent_workers is True
    assert cfg.train_dataloader.collate_fn.type == 'default_collate'
    args.no_pin_memory = True
    runner.finish_config(cfg, args, 'train')
    assert cfg.train_dataloader.pin_memory is False


@pytest.mark.parametrize('device', ['cpu', 'cuda'])
def test_gloo_where_there_is_no_gpu(config, monkeypatch, device):
    started = []
    monkeypatch.setattr(runner, 'get_device', lambda: device)
    monkeypatch.setattr(runner.dist, 'init_process_group', started.append)
    args = parse(
        config(model_wrapper_cfg=dict(broadcast_buffers=True)), '--launcher', 'pytorch'
    )
    cfg = runner.start_config(args)
    runner.finish_config(cfg, args, 'train')
    assert cfg.model_wrapper_cfg.broadcast_buffers is True
    if device == 'cpu':
        assert started == ['gloo']
        assert cfg.env_cfg.dist_cfg.backend == 'gloo'
        assert cfg.model_wrapper_cfg.device_ids is None
    else:
        assert started == []
        assert 'env_cfg' not in cfg
        assert 'device_ids' not in cfg.model_wrapper_cfg


def test_a_process_leaves_its_group():
    runner.leave_group()  # none to leave
    store = dist.HashStore()
    dist.init_process_group('gloo', store=store, rank=0, world_size=1)
    assert dist.is_initialized()
    runner.leave_group()
    assert not dist.is_initialized()
