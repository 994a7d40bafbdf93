"""Methods that were never trained, with dumps of chosen boxes."""

from mmengine.config import Config

from bas_mm.analysis.jobs import make_jobs
from bas_mm.analysis.method_results import Results
from bas_mm.analysis.methods import Method, dump_path
from tests.helpers.report import make_dump


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
        methods.append(Method(name, cfg, jobs, print))
    results = Results(methods, bootstrap)
    results.update()
    return results
