"""Methods side by side: their figures over seeds."""

from collections.abc import Sequence

import numpy as np
from mmengine.config import Config

from bas_mm.analysis.jobs import Job, Metrics
from bas_mm.analysis.methods import Method, dump_path
from bas_mm.analysis.report.runs import CENTER, COLORS, WHOLE, Baseline, Column, Run
from bas_mm.analysis.side_by_side import draw_run, make_sheet
from bas_mm.evaluation import MapDump
from bas_mm.evaluation.bootstrap import quiet


class Results:
    """The figures of methods, from the dumps of their tests.

    Each dump is evaluated once, by the metrics of the report.

    Args:
        methods: The methods.
        bootstrap: Resamples of the images for the intervals; 0 for none.

    Attributes:
        runs: Of each method, the evaluated runs by seed.
    """

    def __init__(self, methods: Sequence[Method], bootstrap: int) -> None:
        self.methods = methods
        self.bootstrap = bootstrap
        self.runs: dict[str, dict[int, Run]] = {m.name: {} for m in methods}
        self._images: list[str] = []
        self._baselines: list[Baseline] = []

    def update(self) -> None:
        """Evaluate what has ended since the last time.

        Raises:
            ValueError: If a run was tested on other images than the first.
        """
        for i, method in enumerate(self.methods):
            for seed, job in method.jobs.items():
                if job.state == 'done' and seed not in self.runs[method.name]:
                    color = COLORS[i % len(COLORS)]
                    run = self._evaluate(method.name, color, job)
                    self.runs[method.name][seed] = run

    def _evaluate(self, name: str, color: str, job: Job) -> Run:
        dump = MapDump(dump_path(job))
        self._images = self._images or list(dump.entries)
        if set(self._images) != set(dump.entries):
            raise ValueError(
                f'{job.name} was tested on other images than the runs before it '
                f'({len(dump)} against {len(self._images)}): remove '
                f'{job.result} to test it anew.'
            )
        run = Run(name, color, dump, self._images)
        with quiet():  # the table itself shows what there is
            run.evaluate(self.bootstrap, 0)
        return run

    @property
    def done(self) -> list[Method]:
        """The methods with at least one run, in order."""
        return [method for method in self.methods if self.runs[method.name]]

    def seeds(self, name: str) -> list[int]:
        """Give the seeds of a method that are done."""
        return sorted(self.runs[name])

    def rows(self, name: str) -> list[Metrics]:
        """Give all figures of the runs of a method, a row for each seed."""
        runs = self.runs[name]
        return [dict(runs[seed].figures, seed=seed) for seed in self.seeds(name)]

    def pair(self, name: str, other: str) -> tuple[Column, Column]:
        """Give the means of two methods over the seeds that both have.

        Raises:
            ValueError: If they share none.
        """
        seeds = [seed for seed in self.seeds(name) if seed in self.runs[other]]
        if not seeds:
            raise ValueError(f'{name} and {other} share no seed.')
        ours, theirs = (
            average(one, [self.runs[one][seed] for seed in seeds])
            for one in (name, other)
        )
        return ours, theirs

    def baselines(self) -> list[Baseline]:
        """Evaluate the image-independent boxes on the images of the runs, once."""
        if not self._baselines:
            run = next(iter(self.runs[self.done[0].name].values()))
            self._baselines = [Baseline(WHOLE, run), Baseline(CENTER, run)]
            with quiet():
                for column in self._baselines:
                    column.evaluate(0, 0)
        return self._baselines

    def thresholds(self, name: str) -> list[float | str]:
        """Give where the maps of each run of a method were cut."""
        infos = [self.runs[name][seed].dump.info for seed in self.seeds(name)]
        return [info.get('threshold', '–') for info in infos]


def draw_methods(results: Results, num: int) -> np.ndarray:
    """Draw the first seed of each method on the same test images.

    Args:
        results: With at least one run.
        num: Number of images, spread evenly over the test set.

    Returns:
        The sheet, a row a method, ``(H, W, 3)`` uint8 RGB.
    """
    rows = []
    for method in results.done:
        cfg = Config(method.cfg.to_dict())
        cfg.merge_from_dict(dict(method.settings))
        seed = next(iter(results.runs[method.name]))
        cells, _ = draw_run(cfg, method.checkpoint(seed), num)
        rows.append(cells)
    return make_sheet(rows, [method.name for method in results.done])


def average(name: str, runs: Sequence[Column]) -> Column:
    """Average runs of different seeds on the same images.

    The figures are means over the runs; so are those on resampled images,
    where all runs have the same images drawn: an interval of the result is one
    over images, whose records of all seeds are drawn together.

    Args:
        name: Name of the result.
        runs: At least one, after ``evaluate`` with the same numbers.

    Example:
        >>> a, b = Column('a', 'red'), Column('a', 'red')
        >>> a.figures, b.figures = {'wsol/pxap': 50.0}, {'wsol/pxap': 60.0}
        >>> average('a', [a, b]).figures
        {'wsol/pxap': 55.0}
    """
    mean = Column(name, runs[0].color)
    for key in runs[0].figures:
        mean.figures[key] = float(np.mean([run.value(key) for run in runs]))
    for key in runs[0].resampled:
        if all(key in run.resampled for run in runs):
            mean.resampled[key] = np.mean([run.resampled[key] for run in runs], 0)
    mean.has = runs[0].has
    return mean
