"""The report of methods side by side."""

import cv2
import numpy as np

from bas_mm.analysis.method_results import Results
from bas_mm.analysis.method_table import (
    BEST,
    BEST_TITLE,
    Study,
    comparable,
    less,
    make_cost_table,
    make_header,
    make_rows,
)
from bas_mm.analysis.methods import describe_budget
from bas_mm.analysis.report.document import Document, Drawing
from bas_mm.analysis.report.page import add_plots
from bas_mm.analysis.report.runs import CENTER, WHOLE, Column
from bas_mm.analysis.report.tables import MAIN


def build_report(study: Study, sheet: np.ndarray | None) -> Document:
    """Lay out the report.

    Args:
        study: The study, with at least one run.
        sheet: The methods on the same images, ``(H, W, 3)`` uint8 RGB.

    Returns:
        The report, ready to be written.
    """
    results = study.results
    document = Document('Methods: ' + ', '.join(m.name for m in results.done))
    if study.command:
        document.text(study.command)
    document.heading('Table')
    document.table(make_header(study), make_rows(study))
    document.text(_explain(study))
    document.bullets(study.all_notes())
    document.heading('Budgets')
    budgets = [describe_budget(method.cfg) for method in results.done]
    document.table(
        ['method', *budgets[0], 'seeds'],
        [
            [
                m.name,
                *budget.values(),
                ', '.join(map(str, sorted(results.runs[m.name]))),
            ]
            for m, budget in zip(results.done, budgets)
        ],
    )
    for other in study.against:
        _add_differences(document, study, other)
    if study.costs:
        _add_costs(document, study)
    if sheet is not None:
        document.heading('The same images')
        document.plots([_draw_sheet(sheet, results)])
    if results.done:
        columns: list[Column] = [
            next(iter(results.runs[method.name].values())) for method in results.done
        ]
        add_plots(document, [*columns, *study.results.baselines()])
        document.text('Curves and distributions are of the first seed of each method.')
    return document


def _explain(study: Study) -> str:
    """Say what the figures are."""
    sentences = [
        'Percent, mean ± standard deviation over seeds.',
        f'“{BEST_TITLE.capitalize()}”: the boxes of the test images chose the '
        'threshold; a bound of what a threshold can give, no result.',
        f'“{WHOLE.capitalize()}” and “{CENTER}” are image-independent baselines.',
    ]
    if study.results.bootstrap:
        sentences.append(
            'In brackets: 95 % intervals of differences, from '
            f'{study.results.bootstrap} resamples of the images. Both methods and all '
            'seeds have the same images drawn, so that runs are paired by seed and '
            'image; a figure is the mean over the seeds that both have.'
        )
    return ' '.join(sentences)


def _add_differences(document: Document, study: Study, other: str) -> None:
    """Add the differences of all methods to one, in all main figures."""
    names = [
        method.name
        for method in study.results.done
        if method.name != other and comparable(study, method.name, other)
    ]
    if not names:
        return
    keys = [*study.keys, BEST]
    document.heading(f'Differences to {other}')
    document.table(
        ['points', *(MAIN[key] for key in keys)],
        [[name, *(less(study, name, other, key) for key in keys)] for name in names],
    )


def _add_costs(document: Document, study: Study) -> None:
    """Add the costs in units."""
    first = study.against[0]
    document.heading('Cost')
    document.table(*make_cost_table(study.costs, first))
    document.text(
        'Time: median of training steps, without the loading of images, in turns with '
        f'steps of {first}. Memory: the peak of a step (weights, gradients, state of '
        'the optimizer, activations) as torch allocates it, on a CPU too; not that of '
        'the process. Deployed: parameters that a test reads.'
    )


def _draw_sheet(sheet: np.ndarray, results: Results) -> Drawing:
    code = cv2.imencode('.jpg', np.ascontiguousarray(sheet[..., ::-1]))[1]
    names = ', '.join(method.name for method in results.done)
    return Drawing(
        'methods.jpg',
        code.tobytes(),
        f'Rows: {names}, first seed. Red: ground truth. Green: the predicted box. '
        'Colors: the map.',
        'Images spread evenly over the test set',
    )
