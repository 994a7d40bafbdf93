"""Methods side by side: what is run of each."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from bas_mm.analysis.jobs import (
    Job,
    call,
    last_checkpoint,
    make_jobs,
    test,
    train,
    write_config,
)
from bas_mm.analysis.stages import (
    Planner,
    Stage,
    describe_stages,
    given_weights,
    make_stages,
    settings_of,
    training,
    write_stages,
)
from bas_mm.apis.model import learns
from bas_mm.localization import check_threshold
from bas_mm.utils.configs import (
    build_dataset,
    find_config,
    first_dataset,
    read_config,
    share_pseudo_labels,
)
from bas_mm.utils.overrides import merge_options
from bas_mm.visualization.sheet import spread_indices

#: Methods that others are compared with, by the first word of their configs.
REFERENCES = ('cam', 'bas')
#: Views that the dumps of the first seed keep, for drawings.
NUM_VIEWS = 200


class Method(NamedTuple):
    """A row of the table.

    Attributes:
        name: Its name.
        cfg: Its config, with the settings of all.
        jobs: From each seed to its job.
        settings: What a test changes in the config.
        notes: What is to be said of it.
        stages: From each seed to what is made before its training.
    """

    name: str
    cfg: Config
    jobs: Mapping[int, Job]
    settings: Mapping[str, Any] = {}
    notes: Sequence[str] = ()
    stages: Mapping[int, Sequence[Stage]] = {}

    def write_configs(self) -> None:
        """Write the configs of all its trainings, and of those before them.

        Raises:
            ValueError: If one was begun with another config.
        """
        for seed, job in self.jobs.items():
            before = self.stages.get(seed, ())
            write_stages(before, seed)
            write_config(self.cfg, settings_of(before), seed, job)

    def run(self, job: Job) -> None:
        """Train and test one of its jobs, after its stages.

        It leaves ``job.result``, the dump beside it (:func:`dump_path`), with
        views for the first seed alone, and a last checkpoint in ``job.folder``.

        Raises:
            RuntimeError: If a part of it fails.
        """
        seeds = {one.result: seed for seed, one in self.jobs.items()}
        seed = seeds[job.result]
        before = self.stages.get(seed, ())
        views = NUM_VIEWS if seed == next(iter(self.jobs)) else 0
        words = ['--dump', str(dump_path(job)), '--dump-views', str(views)]
        if self.settings:
            options = (f'{key}={value}' for key, value in self.settings.items())
            words += ['--cfg-options', *options]
        make_stages(before, job.env)
        with training(job):
            if self.trains:
                train(job)
            checkpoint, given = self.checkpoint(seed), given_weights(before)
            if given and checkpoint and not Path(checkpoint).exists():
                job.folder.mkdir(parents=True, exist_ok=True)
                call('calibrate', job, str(given), '--out', checkpoint)
            test(job, checkpoint, *words)

    @property
    def trains(self) -> bool:
        """Whether it has a training of its own."""
        given = any(given_weights(before) for before in self.stages.values())
        return not given and learns(self.cfg)

    def checkpoint(self, seed: int) -> str | None:
        """Give what is tested with a seed; None where the config has all weights."""
        if self.trains:
            return last_checkpoint(self.jobs[seed])
        if given_weights(self.stages.get(seed, ())) is None:
            return None
        return str(self.jobs[seed].folder / 'calibrated.pth')


def dump_path(job: Job) -> Path:
    """Where the test of a job keeps its maps.

    Example:
        >>> (job,) = make_jobs(['cam'], [0], 'out')['cam']
        >>> dump_path(job).as_posix()
        'out/cam-seed0.npz'
    """
    return job.result.with_suffix('.npz')


def name_methods(configs: Sequence[str]) -> list[str]:
    """Name configs by their first word, or whole where that is not enough.

    Raises:
        ValueError: If two have the same name.

    Example:
        >>> name_methods(['cam_vgg16_cub', 'configs/bas/bas_vgg16_cub.py'])
        ['cam', 'bas']
        >>> name_methods(['bas_vgg16_cub', 'bas_resnet50_cub'])
        ['bas_vgg16_cub', 'bas_resnet50_cub']
    """
    stems = [Path(config).stem for config in configs]
    for names in ([first_word(stem) for stem in stems], stems):
        if len(set(names)) == len(names):
            return names
    raise ValueError(
        f'Two of the configs have the same name, {sorted(stems)}: give --names.'
    )


def first_word(config: str) -> str:
    """Give the method that the name of a config begins with.

    Example:
        >>> first_word('configs/bas/bas_vgg16_cub.py')
        'bas'
    """
    return Path(config).stem.split('_')[0]


def choose_references(
    names: Sequence[str], configs: Sequence[str], given: Sequence[str] | None
) -> list[str]:
    """Choose the methods that all others are compared with.

    Args:
        names: Names of the methods.
        configs: Their configs.
        given: Names that are asked for.

    Returns:
        Those, or CAM and BAS, or the first.

    Raises:
        ValueError: If there is no such method.

    Example:
        >>> choose_references(['A', 'B'], ['adl_vgg16_cub', 'cam_vgg16_cub'], None)
        ['B']
    """
    for name in given or ():
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, cutoff=0)
            raise ValueError(
                f'--against {name}: there is no such method, only {", ".join(names)}; '
                f'did you mean {near[0]}?'
            )
    if given:
        return list(given)
    words = [first_word(config) for config in configs]
    found = [names[words.index(word)] for word in REFERENCES if word in words]
    return found or [names[0]]


def plan_methods(
    configs: Sequence[str],
    names: Sequence[str],
    seeds: Sequence[int],
    work_dir: str | Path,
    threshold: float | str = 'auto',
    data_root: str | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> list[Method]:
    """Read the configs of methods and say what is to be run; nothing is written.

    The heads get as many classes as the data has, unless an option says
    otherwise, and every training ends with a calibration.

    Args:
        configs: Files or names.
        names: Names of the methods.
        seeds: Seeds of each.
        work_dir: Folder of all.
        threshold: Where all maps are cut, see
            :func:`bas_mm.localization.cut_of`; 'config' leaves it to the configs.
        data_root: See :func:`bas_mm.utils.configs.set_data_root`.
        cfg_options: Settings of all configs that win.

    Raises:
        ValueError: If the threshold is not allowed, two methods have the same
            name, or they are not tested on the same images.
    """
    if threshold != 'config':
        try:
            check_threshold(threshold, option='--threshold')
        except ValueError as error:
            raise ValueError(f"{error} Those of the configs: 'config'.") from error
    options = {'num_classes_from_data': True, **(cfg_options or {})}

    def read(config: str) -> Config:
        cfg = read_config(config, data_root, options, 'train')
        cfg.num_classes_from_data = False  # as they were counted, also in the test
        hooks = cfg.setdefault('default_hooks', {})
        hooks.setdefault('calibrate', dict(type='bas_mm.CalibrateHook'))
        return cfg

    paths = [find_config(config) for config in configs]
    jobs = {}
    for name, group in make_jobs(names, seeds, work_dir).items():
        jobs[name] = {
            seed: job._replace(
                result=job.result.with_name(f'{job.result.stem}-{threshold}.json')
            )
            for seed, job in zip(seeds, group)
        }
    planner = Planner({path: jobs[n] for path, n in zip(paths, names)}, read, work_dir)
    methods = []
    for path, name in zip(paths, names):
        cfg = Config(planner.read(path).to_dict())
        settings, notes = cut_settings(cfg, name, threshold)
        before = {
            seed: planner.plan(path, seed, job) for seed, job in jobs[name].items()
        }
        cfg.merge_from_dict(settings_of(before[seeds[0]]))
        share_pseudo_labels(cfg)
        notes += describe_stages(name, before[seeds[0]])
        methods.append(Method(name, cfg, jobs[name], settings, notes, before))
    check_images(methods)
    return methods


def cut_settings(
    cfg: Config, name: str, threshold: float | str
) -> tuple[dict[str, Any], list[str]]:
    """Give the settings of a test that cuts all maps in the same way.

    Args:
        cfg: The config.
        name: Name of the method.
        threshold: The threshold of all; 'config' for the config's own.

    Returns:
        From dotted settings to values; and sentences on what is different here.
    """
    if threshold == 'config':
        return {}, []
    model, key = cfg.model, 'model.head'
    if 'localizer' in model:  # of two networks, that which says where
        model, key = model.localizer, 'model.localizer.head'
    try:
        merge_options(Config(cfg.to_dict()), {f'{key}.threshold': threshold})
    except ValueError:  # a head that has none
        note = (
            f'The head of {name} takes no threshold: its boxes are not cut from maps.'
        )
        return {}, [note]
    settings: dict[str, Any] = {f'{key}.threshold': threshold}
    percentile = model.head.get('percentile')
    if percentile is None:
        return settings, []
    settings[f'{key}.percentile'] = None
    note = (
        f'The percentile of {name} ({key}.percentile={percentile:g}) is out of use '
        'beside the common threshold.'
    )
    return settings, [note]


def check_images(methods: Sequence[Method]) -> None:
    """Check that all methods are tested on the same images.

    Raises:
        ValueError: If they are not, as far as a hundred of them tell.
    """
    seen: list[tuple[int, list[str]]] = []
    known = None
    for method in methods:
        loader = method.cfg.get('test_dataloader')
        settings = dict(first_dataset(loader), pipeline=[])
        if settings == known:
            continue  # need not be read again
        known = settings
        dataset = build_dataset(method.cfg, 'test', pipeline=[])
        chosen = spread_indices(len(dataset), 100)
        images = [dataset.get_data_info(i).get('img_path') for i in chosen]
        seen.append((len(dataset), images))
        if seen[-1] != seen[0]:
            counts = [f'{n} images, such as {x[-1]}' for n, x in (seen[0], seen[-1])]
            raise ValueError(
                f'{methods[0].name} and {method.name} are tested on different images '
                f'({counts[0]}; {counts[1]}): give configs of one data set, or point '
                'them at one folder with --data-root.'
            )


def describe_budget(cfg: Config) -> dict[str, str]:
    """Say what a training may spend.

    Example:
        >>> describe_budget(Config(dict(train_cfg=dict(max_epochs=9))))['epochs']
        '9'
    """
    train, loader = cfg.get('train_cfg') or {}, cfg.get('train_dataloader') or {}
    optimizer = (cfg.get('optim_wrapper') or {}).get('optimizer') or {}
    model = cfg.get('model') or {}
    # of two networks, that which says where
    backbone = (model.get('localizer') or model).get('backbone') or {}
    view = [
        one.get('crop_size', one.get('scale'))
        for one in first_dataset(loader).get('pipeline') or ()
        if one.get('crop_size', one.get('scale')) is not None
    ]
    return {
        'epochs': str(train.get('max_epochs', '–')),
        'batch size': str(loader.get('batch_size', '–')),
        'learning rate': str(optimizer.get('lr', '–')),
        'trunk': str(backbone.get('type', '–')).rsplit('.')[-1],
        'training view': str(view[-1]) if view else '–',
    }


def compare_budgets(methods: Sequence[Method]) -> list[str]:
    """Say where the budgets of methods differ, a sentence each.

    Example:
        >>> cfgs = [Config(dict(train_cfg=dict(max_epochs=n))) for n in (2, 9)]
        >>> compare_budgets([Method(x, c, {}) for x, c in zip('ab', cfgs)])
        ['Not the same epochs: 2 (a), 9 (b).']
    """
    budgets = {method.name: describe_budget(method.cfg) for method in methods}
    sentences = []
    for what in next(iter(budgets.values())):
        groups: dict[str, list[str]] = {}
        for name, budget in budgets.items():
            groups.setdefault(budget[what], []).append(name)
        if len(groups) > 1:
            texts = [f'{value} ({", ".join(who)})' for value, who in groups.items()]
            sentences.append(f'Not the same {what}: {", ".join(texts)}.')
    return sentences
