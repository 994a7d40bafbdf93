"""What a report holds, in order."""

from collections.abc import Sequence

import numpy as np

from bas_mm.analysis.report.document import Document
from bas_mm.analysis.report.drawings import add_drawings, add_samples
from bas_mm.analysis.report.plots import draw_plots
from bas_mm.analysis.report.runs import (
    CENTER,
    WHOLE,
    Baseline,
    Column,
    Run,
    load_runs,
)
from bas_mm.analysis.report.tables import (
    all_rows,
    difference_rows,
    main_keys,
    main_rows,
    run_rows,
    summary,
)
from bas_mm.evaluation.bootstrap import quiet


def build_report(
    paths: Sequence[str],
    names: Sequence[str],
    bootstrap: int = 1000,
    seed: int = 0,
    drawings: int = 6,
) -> tuple[Document, str]:
    """Evaluate dumps of tests and lay out their report.

    Args:
        paths: The dumps, see :class:`~bas_mm.evaluation.MapDump`.
        names: Their names, different from each other.
        bootstrap: Resamples for the intervals; 0 for none.
        seed: Of the resamples.
        drawings: How many best, worst and most different images each.

    Returns:
        The report; and a sentence on images that were left out, empty if there
        are none.

    Raises:
        FileNotFoundError: If a path is no finished dump.
        ValueError: If the runs cannot be compared.
    """
    runs, _, note = load_runs(paths, names)
    base = next((run for run in runs if run.has[:, 0].any()), runs[0])
    columns = [*runs, Baseline(WHOLE, base), Baseline(CENTER, base)]
    with quiet():  # the report itself says which boxes, masks, classes are missing
        for column in columns:
            column.evaluate(bootstrap, seed)
        document = Document('Localization: ' + ', '.join(names))
        add_overview(document, runs, bootstrap, note)
        add_figures(document, columns, bootstrap)
        add_plots(document, columns)
        if runs[0].has[:, 0].any() and drawings:
            document.heading('Drawings')
            if all(np.array_equal(run.has[:, 0], runs[0].has[:, 0]) for run in runs):
                add_drawings(document, runs, drawings)
            else:
                document.text(
                    'No drawings: the runs do not have boxes of the same images.'
                )
        elif drawings:
            document.heading('Drawings')
            add_samples(document, runs, 2 * drawings)
        document.heading('All figures')
        document.table(['', *(column.name for column in columns)], all_rows(columns))
    return document, note


def add_overview(
    document: Document, runs: Sequence[Run], bootstrap: int, note: str
) -> None:
    """Add what the runs are, on which images, and the summary."""
    document.table(['', *(run.name for run in runs)], run_rows(runs))
    boxes, masks = runs[0].has.sum(0)
    sentences = [note] if note else []
    sentences.append(
        f'{len(runs[0].images)} images, {boxes} with ground-truth boxes, '
        f'{masks} with masks.'
    )
    if bootstrap:
        sentences.append(
            f'In brackets: 95 % intervals, from {bootstrap} resamples of the images '
            '(percentile bootstrap; thresholds that are chosen on the data are '
            'chosen anew each time).'
        )
    if any(not np.array_equal(run.has, runs[0].has) for run in runs[1:]):
        sentences.append(
            'The runs do not have boxes and masks of the same images: their '
            'differences carry no interval.'
        )
    document.text(' '.join(sentences))
    document.heading('In short')
    document.bullets(summary(runs))


def add_figures(document: Document, columns: Sequence[Column], bootstrap: int) -> None:
    """Add the main figures and their differences."""
    runs = [column for column in columns if isinstance(column, Run)]
    keys = main_keys(runs)
    document.heading('Main figures')
    document.table(
        ['percent', *(column.name for column in columns)], main_rows(keys, columns)
    )
    document.text(
        f'“{WHOLE.capitalize()}” and “{CENTER}” (0.7 of each side) are '
        'image-independent baselines: what a method has above them, it has from '
        'the images.'
    )
    if not any(run.has[:, 0].any() for run in runs):
        return
    pairs: list[tuple[Column, Column]] = [(run, runs[0]) for run in runs[1:]]
    pairs += [(run, columns[-1]) for run in runs]
    document.heading('Differences')
    document.table(
        ['points', *(f'{a.name} − {b.name}' for a, b in pairs)],
        difference_rows(keys, pairs),
    )
    if bootstrap:
        document.text(
            'Both sides of a difference are resampled with the same images, so its '
            'interval is narrower than those of the sides suggest. Where it holds '
            '0, these images cannot tell the two apart.'
        )


def add_plots(document: Document, columns: Sequence[Column]) -> None:
    """Add the plots that the images allow."""
    document.heading('Curves and distributions')
    boxed = [column for column in columns if column.has[:, 0].any()]
    plots = draw_plots(boxed, {'boxes'}) if boxed else []
    masks = all(column.suite.peak.table for column in columns)
    if masks:
        plots += draw_plots(columns, {'masks'})
    if plots:
        document.plots(plots)
    if not masks:
        document.text(
            'There is no curve of pixel IoU, no PxAP and no Peak IoU: they need '
            'masks, which the images do not have.'
        )
