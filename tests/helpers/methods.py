"""Methods that were never trained, with dumps of chosen boxes."""

from mmengine.config import Config

from bas_mm.analysis.cost import Cost
from bas_mm.analysis.jobs import make_jobs
from bas_mm.analysis.method_results import Results
from bas_mm.analysis.method_table import Study, make_header, make_rows
from bas_mm.analysis.methods import Method, dump_path
from tests.helpers.report import RIGHT, WRONG, make_dump

R, W = RIGHT, WRONG
CAM = Cost(3_000_000, 2_500_000, 100.0, 800.0, 16, 'cpu')
BAS = Cost(3_100_000, 3_100_000, 150.0, None, 8, 'cpu')


def make_results(folder, bootstrap=0, info=(), **boxes):
    """Results of methods: for each, and each seed, the boxes of the images.

    A run of None is not done.

    Args:
        folder: Where the dumps go.
        bootstrap: Resamples.
        info: What is known of all runs.
        **boxes: By the names of the methods.
    """
    methods = []
    for name, runs in boxes.items():
        jobs = dict(enumerate(make_jobs([name], range(len(runs)), folder)[name]))
        for job, run in zip(jobs.values(), runs):
            if run is not None:
                names = [f'i{i}' for i in range(len(run))]
                make_dump(dump_path(job), names, run, options=dict(info=dict(info)))
                job.result.write_text('{}')
        cfg = Config(dict(train_cfg=dict(max_epochs=2)))
        methods.append(Method(name, cfg, jobs))
    results = Results(methods, bootstrap)
    results.update()
    return results


def make_study(folder, against=('cam',), costs=None, **options):
    """CAM with two seeds and BAS with one of two, on four images."""
    info = options.pop('info', dict(threshold=0.25, calibration=dict(area=0.5)))
    boxes = dict(cam=[[R, W, W, R], [W, W, W, R]], bas=[[R, R, R, R], None])
    results = make_results(folder, 50, info, **options.pop('boxes', boxes))
    return Study(results, against, 'auto', costs or {}, **options)


def as_table(study):
    """The rows, by their names and those of the columns."""
    header = make_header(study)
    return {row[0]: dict(zip(header, row)) for row in make_rows(study)}
