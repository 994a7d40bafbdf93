"""Put runs side by side: one page of figures, plots and pictures.

    python tools/analysis_tools/report.py RUN [RUN ...] --out report.html

RUN is what ``tools/test.py --dump`` wrote. The page, ``report.html``, holds
everything it shows; the same goes to ``report.md``, with its pictures in
``report_files``. Runs are compared on the images that all of them have. Two
columns look at nothing: the whole view and a centred box, as if they were
maps; a figure means something only beside them. Intervals are 95 % percentile
bootstraps over the images; those of a difference draw the same images for
both sides.
"""

import argparse
import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import bas_mm.evaluation as ev
import cv2
import matplotlib
import numpy as np
import torch
from bas_mm.evaluation.bootstrap import quiet
from bas_mm.localization import center_box, whole_box
from bas_mm.visualization import WSOLVisualizer
from mmpretrain.structures import DataSample

matplotlib.use('Agg')
from matplotlib import pyplot as plt  # noqa: E402

WHOLE, CENTER = 'whole view', 'centred box'
COLOURS = ('#2f6db3', '#d9781a', '#3a8f4d', '#8a55a8', '#b23a48', '#4a9aa5')
GREYS = {WHOLE: '#b0b0b0', CENTER: '#707070'}
STYLE = {
    'figure.figsize': (5.6, 3.5),
    'figure.dpi': 160,
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e4e4e4',
    'axes.axisbelow': True,
    'legend.frameon': False,
    'legend.fontsize': 9,
    'savefig.bbox': 'tight',
}
#: The figures of the short table and of the differences.
MAIN = {
    'wsol/top1_loc': 'Top-1 Loc',
    'wsol/top5_loc': 'Top-5 Loc',
    'wsol/gt_known': 'GT-known Loc',
    'wsol/gt_known_iou70': 'GT-known Loc at IoU 0.7',
    'wsol_best/gt_known': 'GT-known Loc, best threshold',
    'wsol/max_box_acc_v2': 'MaxBoxAccV2',
    'wsol/max_box_acc': 'MaxBoxAcc',
    'wsol/pxap': 'PxAP',
    'wsol/peak_iou': 'Peak IoU',
    'wsol/iou_median': 'Median IoU of right boxes',
    'wsol/top1_cls': 'Top-1 classification',
}
ERRORS = {
    'err_correct': ('correct', '#5aa469'),
    'err_part': ('part', '#f0c05a'),
    'err_more': ('more', '#7fb2dd'),
    'err_multi': ('several', '#b79ad0'),
    'err_other': ('other', '#c9c9c9'),
    'err_cls': ('wrong class', '#d9796f'),
}


@dataclass
class Run:
    """A column of the report: a dump, or a box that looks at nothing."""

    name: str
    colour: str
    samples: Callable[[], Iterable[dict]]
    dump: ev.MapDump | None = None
    metrics: dict[str, ev.WSOLMetric] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    drawn: dict[str, np.ndarray] = field(default_factory=dict)
    has: np.ndarray | None = None  # (n, 2) bool: boxes, mask

    def evaluate(self, num: int, seed: int) -> None:
        """Run the suite, and resample it ``num`` times."""
        self.metrics = dict(
            accuracy=ev.WSOLAccuracy(),
            best=ev.WSOLAccuracy('best', prefix='wsol_best'),
            max_box_acc=ev.MaxBoxAcc(),
            pxap=ev.PxAP(),
            peak=ev.PeakIoU(),
            errors=ev.LocErrors(),
            breakdown=ev.LocBreakdown(),
        )
        has = []
        for sample in self.samples():
            has.append(
                [sample.get(key) is not None for key in ('gt_bboxes', 'gt_seg_map')]
            )
            for metric in self.metrics.values():
                metric.process({}, [sample])
        self.has = np.array(has)
        for metric in self.metrics.values():
            self.figures.update(metric.evaluate(len(has)))
            if num:
                self.drawn.update(
                    {
                        f'{metric.prefix}/{key}': values
                        for key, values in ev.resample(metric, num, seed).items()
                    }
                )

    def text(self, key: str, digits: int = 1) -> str:
        """A figure and its interval."""
        value = self.figures.get(key)
        if value is None or np.isnan(value):
            return '–'
        if 'num_' in key or key.endswith('peak_t'):
            return f'{value:.0f}'
        if key.endswith(('_t', 'threshold')):
            return f'{value:.2f}'
        text = f'{value:.{digits}f}'
        if self.dump is not None and key in self.drawn:
            low, high = ev.interval(self.drawn[key])
            text += f' [{low:.1f}, {high:.1f}]'
        return text


class Page:
    """A document that can be written as HTML and as markdown."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.parts: list[tuple] = []

    def add(self, kind: str, *content) -> None:
        """Add a part.

        - ``head``, text
        - ``text``, text
        - ``list``, texts
        - ``table``, header, rows of texts; a row of one text is a heading
        - ``plot``, name, PNG, heading, caption
        - ``cards``, list of (heading, [(name, JPEG, caption), ...])
        """
        self.parts.append((kind, *content))

    def html(self) -> str:
        """The page as one file."""
        esc, out = html.escape, []

        def picture(data: bytes, kind: str, alt: str) -> str:
            code = base64.b64encode(data).decode()
            return f'<img src="data:image/{kind};base64,{code}" alt="{esc(alt)}">'

        for i, (kind, *content) in enumerate(self.parts):
            plots = [p[0] == 'plot' for p in self.parts]
            if kind == 'head':
                out.append(f'<h2>{esc(content[0])}</h2>')
            elif kind == 'text':
                out.append(f'<p>{esc(content[0])}</p>')
            elif kind == 'list':
                rows = ''.join(f'<li>{esc(x)}</li>' for x in content[0])
                out.append(f'<ul>{rows}</ul>')
            elif kind == 'table':
                header, rows = content
                out.append(
                    '<div class="scroll"><table><thead><tr>'
                    + ''.join(f'<th>{esc(x)}</th>' for x in header)
                    + '</tr></thead><tbody>'
                )
                for row in rows:
                    if len(row) == 1:
                        out.append(
                            f'<tr class="group"><th colspan="'
                            f'{len(header)}">{esc(row[0])}</th></tr>'
                        )
                        continue
                    out.append(
                        '<tr><th>'
                        + esc(row[0])
                        + '</th>'
                        + ''.join(f'<td>{_cell(x)}</td>' for x in row[1:])
                        + '</tr>'
                    )
                out.append('</tbody></table></div>')
            elif kind == 'plot':
                name, png, heading, caption = content
                if not (i and plots[i - 1]):
                    out.append('<div class="plots">')
                out.append(
                    f'<figure><h3>{esc(heading)}</h3>'
                    f'{picture(png, "png", heading)}'
                    f'<figcaption>{esc(caption)}</figcaption></figure>'
                )
                if i + 1 == len(plots) or not plots[i + 1]:
                    out.append('</div>')
            elif kind == 'cards':
                side = max(12, 9.5 * max(len(x) for _, x in content[0]))
                out.append(f'<div class="cards" style="--side: {side}rem">')
                for heading, pictures in content[0]:
                    tiles = ''.join(
                        f'<figure>{picture(jpg, "jpeg", caption)}'
                        f'<figcaption>{esc(caption)}</figcaption></figure>'
                        for _, jpg, caption in pictures
                    )
                    out.append(
                        f'<div class="card"><div class="tiles">{tiles}</div>'
                        f'<p>{esc(heading)}</p></div>'
                    )
                out.append('</div>')
        return TEMPLATE.format(title=esc(self.title), body='\n'.join(out))

    def markdown(self, folder: Path) -> str:
        """The page as text; its pictures are written to ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        out = [f'# {_md(self.title)}']

        def picture(name: str, data: bytes, alt: str) -> str:
            (folder / name).write_bytes(data)
            return f'![{_md(alt)}]({_url(folder.name)}/{_url(name)})'

        def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
            lines = [
                '| ' + ' | '.join(map(_md, header)) + ' |',
                '|---' * len(header) + '|',
            ]
            for row in rows:
                cells = list(map(_md, row))
                if len(row) == 1:
                    cells = [f'**{cells[0]}**'] + [''] * (len(header) - 1)
                lines.append('| ' + ' | '.join(cells) + ' |')
            return '\n'.join(lines)

        for kind, *content in self.parts:
            if kind == 'head':
                out.append(f'## {_md(content[0])}')
            elif kind == 'text':
                out.append(_md(content[0]))
            elif kind == 'list':
                out.append('\n'.join(f'- {_md(x)}' for x in content[0]))
            elif kind == 'table':
                out.append(table(*content))
            elif kind == 'plot':
                name, png, heading, caption = content
                out += [
                    f'### {_md(heading)}',
                    picture(f'{name}.png', png, heading),
                    _md(caption),
                ]
            elif kind == 'cards':
                for heading, pictures in content[0]:
                    out += [
                        _md(heading),
                        table([caption for _, _, caption in pictures], [])
                        + '\n| '
                        + ' | '.join(
                            picture(f'{name}.jpg', jpg, caption)
                            for name, jpg, caption in pictures
                        )
                        + ' |',
                    ]
        return '\n\n'.join(out) + '\n'


def _cell(text: str) -> str:
    """A number, and its interval small beneath it."""
    number, bracket, rest = text.partition(' [')
    if not bracket:
        return html.escape(text)
    return f'{html.escape(number)}<small>{html.escape("[" + rest)}</small>'


def _md(text: str) -> str:
    return re.sub(r'([\\`*_|<>#])', r'\\\1', text)


def _url(name: str) -> str:
    return name.replace(' ', '%20')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'runs', nargs='+', metavar='RUN', help='a dump of tools/test.py'
    )
    parser.add_argument(
        '--out', default='report.html', help='the page (default: report.html)'
    )
    parser.add_argument(
        '--names', nargs='+', help='names of the runs (default: their files)'
    )
    parser.add_argument(
        '--bootstrap',
        type=int,
        default=1000,
        metavar='N',
        help='resamples for the intervals; 0 for none (default: 1000)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of the resamples')
    parser.add_argument(
        '--pictures',
        type=int,
        default=6,
        metavar='N',
        help='best, worst and most different pictures each (default: 6)',
    )
    args = parser.parse_args()
    if Path(args.out).suffix not in ('.html', '.htm'):
        parser.error(f'--out needs a file that ends in .html, got {args.out}')
    if args.names is None:
        args.names = [
            Path(x).with_suffix('').name if x.endswith('.npz') else Path(x).name
            for x in args.runs
        ]
        if len(set(args.names)) < len(args.names):
            args.names = list(args.runs)
    if len(args.names) != len(args.runs):
        parser.error(f'--names has {len(args.names)} names for {len(args.runs)} runs')
    if len({*args.names, WHOLE, CENTER}) < len(args.names) + 2:
        parser.error(
            '--names must differ from each other and from '
            f'{WHOLE!r} and {CENTER!r}, got {args.names}'
        )
    if min(args.bootstrap, args.pictures) < 0:
        parser.error('--bootstrap and --pictures must be at least 0')
    return args


def load_runs(args: argparse.Namespace) -> tuple[list[Run], list[str], str]:
    """Open the dumps.

    Returns:
        The runs, the names of the images that all have, and a sentence on
        those that were left out.

    Raises:
        ValueError: If they share no image, or disagree about a label.
    """
    dumps = [ev.MapDump(path) for path in args.runs]
    names = [x for x in dumps[0].entries if all(x in dump.entries for dump in dumps)]
    sizes = ', '.join(f'{len(d)} ({name})' for d, name in zip(dumps, args.names))
    if not names:
        examples = ', '.join(repr(next(iter(d.entries), 'nothing')) for d in dumps)
        raise ValueError(
            f'The runs share no image, by name: they hold {sizes}, such as '
            f'{examples}. Reports are of runs on one data set; names are '
            'paths below --data-root.'
        )
    for name in names:
        labels = {str(dump.entries[name].get('labels')) for dump in dumps}
        if len(labels) > 1:
            raise ValueError(
                f'The runs disagree about the label of {name!r} '
                f'({sorted(labels)}): they are of different data sets.'
            )
    told = ''
    if any(len(dump) > len(names) for dump in dumps):
        told = (
            f'Not the same images: the runs hold {sizes}. All figures '
            f'are on the {len(names)} that they share.'
        )
    runs = [
        Run(
            name, COLOURS[i % len(COLOURS)], lambda dump=dump: dump.samples(names), dump
        )
        for i, (name, dump) in enumerate(zip(args.names, dumps))
    ]
    return runs, names, told


def blind_runs(first: Run) -> list[Run]:
    """The two boxes that look at nothing, as runs without classes."""

    def whole(sample: dict) -> tuple[np.ndarray, np.ndarray]:
        # One pixel in the corner is out, for a constant map means nothing.
        mask = np.ones(sample['img_shape'], np.float32)
        mask[0, 0] = 0
        return mask, whole_box(mask.shape)

    def center(sample: dict) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros(sample['img_shape'], np.float32)
        box = center_box(mask.shape)
        x0, y0, x1, y1 = np.round(box).astype(int)
        mask[y0:y1, x0:x1] = 1
        return mask, box

    def samples(look: Callable) -> Iterator[dict]:
        for sample in first.samples():
            sample.pop('pred_score', None)
            sample['pred_map'], sample['pred_bbox'] = look(sample)
            yield sample

    return [
        Run(name, GREYS[name], lambda look=look: samples(look))
        for name, look in ((WHOLE, whole), (CENTER, center))
    ]


def difference(run: Run, other: Run, key: str) -> tuple[str, str]:
    """``run - other`` with its paired interval, and what it says."""
    values = [x.figures.get(key, np.nan) for x in (run, other)]
    if np.isnan(values).any():
        return '–', ''
    diff = values[0] - values[1]
    text, says = f'{diff:+.1f}', ''
    if key in run.drawn and key in other.drawn and np.array_equal(run.has, other.has):
        low, high = ev.interval(run.drawn[key] - other.drawn[key])
        text += f' [{low:+.1f}, {high:+.1f}]'
        sure = low > 0 or high < 0
        says = (
            'more than chance' if sure else 'no more than chance: the interval holds 0'
        )
    return text, says


def map_source(info: dict) -> str:
    """Which classes' maps a run used, in words."""
    if 'topk' not in info:
        return 'not known'
    k = min(info['topk'], info.get('num_classes') or info['topk'])
    label = {'gt': 'ground-truth class', 'pred': 'predicted class'}[info['map_label']]
    if k == 1:
        return f'of the {label}'
    forced = f', the {label} among them' if info.get('force_label') else ''
    return f'mean of the {k} best classes{forced}'


def describe(runs: Sequence[Run], num: int) -> list[list[str]]:
    """Rows on what the runs are."""
    infos = [run.dump.info for run in runs]
    sizes = [
        {(x['width'], x['height']) for x in run.dump.entries.values()} for run in runs
    ]
    return [
        ['model', *(str(x.get('model', 'not known')) for x in infos)],
        ['config', *(Path(x.get('config', 'not known')).name for x in infos)],
        [
            'checkpoint',
            *(
                '/'.join(Path(x.get('checkpoint', 'not known')).parts[-2:])
                for x in infos
            ),
        ],
        ['map (map_label, topk)', *map(map_source, infos)],
        ['threshold', *(str(x.get('threshold', 'not known')) for x in infos)],
        [
            'view',
            *(
                f'{w}x{h}' if len(s) == 1 else 'several sizes'
                for s in sizes
                for w, h in [next(iter(s))]
            ),
        ],
        ['images', *(f'{num} of {len(run.dump)}' for run in runs)],
    ]


def summary(runs: Sequence[Run], center: Run) -> list[str]:
    """What the figures say, in sentences."""
    key, told = 'wsol/gt_known', []
    if np.isnan(runs[0].figures.get(key, np.nan)):
        return ['There are no ground-truth boxes: only classification.']
    blind = max(runs[0].figures[f'{key}_whole'], runs[0].figures[f'{key}_center'])
    for run in runs:
        told.append(
            f'{run.name}: GT-known Loc {run.text(key)} %, Top-1 Loc '
            f'{run.text("wsol/top1_loc")} %. The better of the boxes that '
            f'look at nothing has {blind:.1f} %.'
        )
    for run in runs[1:]:
        text, says = difference(run, runs[0], key)
        told.append(
            f'{run.name} against {runs[0].name}: {text} points of '
            'GT-known Loc' + (f', {says}.' if says else '.')
        )
    for run in runs:
        # A threshold from the ground truth is worth this much.
        gain = run.figures['wsol_best/gt_known'] - run.figures[key]
        told.append(
            f'{run.name} would gain {gain:.1f} points of GT-known Loc at the '
            f'threshold that is best for these images, '
            f'{run.figures["wsol_best/threshold"]:.2f}.'
        )
    return told


def all_rows(columns: Sequence[Run]) -> list[list[str]]:
    """Every figure of the suite, grouped by metric."""
    heads = dict(
        accuracy="One box an image, at the run's threshold (WSOLAccuracy)",
        best='The same at the best threshold of these images',
        max_box_acc='WSOL benchmark (MaxBoxAcc)',
        pxap='Pixels (PxAP)',
        peak='Pixels (PeakIoU)',
        errors='Error types (LocErrors)',
        breakdown='Fit and size (LocBreakdown)',
    )
    rows = []
    for name, head in heads.items():
        metric = columns[0].metrics[name]
        keys = [
            k
            for k in columns[0].figures
            if k.startswith(f'{metric.prefix}/') and _owner(k, columns[0]) == name
        ]
        if name == 'best':  # what the threshold does not change
            keys = [
                k for k in keys if 'cls' not in k.split('/')[1][:8] and 'num_' not in k
            ]
        # The boxes that look at nothing are columns of their own.
        keys = [k for k in keys if not re.search('known_(whole|center)', k)]
        if keys:
            rows.append([head])
            rows += [[k, *(run.text(k, 2) for run in columns)] for k in keys]
    return rows


def _owner(key: str, run: Run) -> str:
    """Which metric of the suite a figure comes from."""
    prefix, name = key.split('/')
    if prefix == 'wsol_best':
        return 'best'
    for start, owner in (
        ('max_box_acc', 'max_box_acc'),
        ('pxap', 'pxap'),
        ('peak', 'peak'),
        ('err_', 'errors'),
        ('iou_', 'breakdown'),
        ('gt_known_size', 'breakdown'),
        ('num_size', 'breakdown'),
        ('breakdown', 'breakdown'),
    ):
        if name.startswith(start):
            return owner
    return 'accuracy'


def save(figure) -> bytes:
    """A figure as PNG."""
    file = io.BytesIO()
    figure.savefig(file, format='png', metadata={'Software': None})
    plt.close(figure)
    return file.getvalue()


def plot_thresholds(page: Page, columns: Sequence[Run]) -> None:
    """GT-known against the threshold of the map."""
    figure, axes = plt.subplots()
    for run in columns:
        metric = run.metrics['best']
        table = metric.table
        hits = np.unpackbits(
            table['hits'][table['has_box']], axis=2, count=len(metric.thresholds) + 2
        )
        share = 100 * hits.mean(0)
        if run.dump is None:
            axes.axhline(
                run.figures['wsol/gt_known'],
                color=run.colour,
                ls='--',
                lw=1,
                label=run.name,
            )
            continue
        for level, ls in ((0.5, '-'), (0.7, ':')):
            row = share[metric.levels.tolist().index(level)]
            axes.plot(
                metric.thresholds,
                row[:-2],
                ls,
                color=run.colour,
                label=run.name if level == 0.5 else None,
            )
        used = run.dump.info.get('threshold')
        if used is not None:
            axes.plot(
                used,
                run.figures['wsol/gt_known'],
                'o',
                color=run.colour,
                mec='white',
                ms=8,
            )
    axes.set(
        xlabel='threshold of the map',
        ylabel='GT-known Loc (%)',
        xlim=(0, 1),
        ylim=(0, 100),
    )
    axes.legend()
    page.add(
        'plot',
        'thresholds',
        save(figure),
        'Accuracy against threshold',
        'Share of images whose box is right when all maps are cut at one '
        'threshold: at IoU 0.5 (solid) and 0.7 (dotted). The dot is the '
        "run's own threshold, dashed lines are boxes that look at nothing "
        '(IoU 0.5). A high, flat curve needs no lucky threshold.',
    )


def plot_pixels(page: Page, columns: Sequence[Run]) -> None:
    """Pixel IoU against the threshold (Fig. 9)."""
    figure, axes = plt.subplots()
    for run in columns:
        curve = run.metrics['peak'].curve
        if run.dump is None:
            axes.axhline(
                run.figures['wsol/peak_iou'],
                color=run.colour,
                ls='--',
                lw=1,
                label=run.name,
            )
            continue
        peak = int(curve.argmax())
        axes.plot(
            np.arange(256),
            curve,
            color=run.colour,
            label=f'{run.name}: {curve[peak]:.1f} at {peak}',
        )
        axes.plot(peak, curve[peak], 'o', color=run.colour, mec='white', ms=8)
    axes.set(
        xlabel='threshold of the map (0 to 255)',
        ylabel='pixel IoU (%)',
        xlim=(0, 255),
        ylim=(0, 100),
    )
    axes.legend()
    page.add(
        'plot',
        'pixels',
        save(figure),
        'Pixel IoU against threshold',
        'IoU of the pixels above the threshold with the masks, pooled over '
        'all images; the dot is Peak IoU and Peak T. A wide hill means a map '
        'that is high on the whole object and low elsewhere.',
    )


def plot_iou(page: Page, columns: Sequence[Run]) -> None:
    """Distribution of IoU (Fig. 8)."""
    figure, axes = plt.subplots()
    edges, top = np.linspace(0, 1, 21), 0
    axes.axvspan(0, 0.5, color='#f5f5f5', zorder=0)
    for run in columns:
        if run.name == WHOLE:
            continue
        iou = run.metrics['breakdown'].table['iou']
        count = 100 * np.histogram(iou, edges)[0] / len(iou)
        median = run.figures['wsol/iou_median']
        own = run.dump is not None
        top = max(top, count.max())
        axes.stairs(
            count,
            edges,
            color=run.colour,
            lw=1.8 if own else 1,
            label=f'{run.name}: median {median:.1f}',
        )
        if own:
            axes.stairs(count, edges, color=run.colour, alpha=0.12, fill=True)
            axes.axvline(median / 100, color=run.colour, ls='--', lw=1.2)
    axes.set(
        xlabel='IoU of the box with the ground truth',
        ylabel='images (%)',
        xlim=(0, 1),
        ylim=(0, top * (1.15 + 0.08 * len(columns))),
    )
    axes.legend(loc='upper left')
    page.add(
        'plot',
        'iou',
        save(figure),
        'How well boxes fit',
        'Distribution of IoU over the images; boxes right of the grey part '
        '(IoU above 0.5) count as right. Dashed: the median among the right '
        'boxes of a run, in the legend in percent.',
    )


def plot_size(page: Page, columns: Sequence[Run]) -> None:
    """Accuracy by the size of the object (Fig. 10)."""
    figure, axes = plt.subplots()
    keys = [k for k in columns[0].figures if '/gt_known_size_' in k]
    width = 0.8 / len(columns)
    for i, run in enumerate(columns):
        value = np.array([run.figures[k] for k in keys])
        x = np.arange(len(keys)) + (i - (len(columns) - 1) / 2) * width
        error = None
        if run.dump is not None and keys[0] in run.drawn:
            ends = np.array([ev.interval(run.drawn[k]) for k in keys]).T
            error = np.nan_to_num(np.abs(ends - value))
        axes.bar(
            x,
            np.nan_to_num(value),
            width * 0.92,
            color=run.colour,
            yerr=error,
            label=run.name,
            capsize=2,
            error_kw=dict(lw=1, ecolor='#333333'),
        )
    labels = []
    for key in keys:
        low, high = key.rsplit('_', 2)[1:]
        number = columns[0].figures[key.replace('gt_known_', 'num_')]
        labels.append(f'{low} to {high} %\n{number:.0f} images')
    axes.set_xticks(range(len(keys)), labels)
    axes.set(ylabel='GT-known Loc (%)', ylim=(0, 119), yticks=range(0, 101, 20))
    axes.grid(axis='x', visible=False)
    axes.legend(ncols=2, loc='upper center')
    page.add(
        'plot',
        'size',
        save(figure),
        'Accuracy by object size',
        'Share of right boxes by the share of the view that the largest '
        'ground-truth box takes. Large objects are easy for any large box: '
        'compare with the grey bars.'
        + (' Thin lines: 95 % intervals.' if columns[0].drawn else ''),
    )


def plot_errors(page: Page, columns: Sequence[Run]) -> None:
    """Kinds of errors."""
    figure, axes = plt.subplots(figsize=(5.6, 1.5 + 0.42 * len(columns)))
    left = np.zeros(len(columns))
    for key, (name, colour) in ERRORS.items():
        share = np.array([run.figures[f'wsol/{key}'] for run in columns])
        bars = axes.barh(
            range(len(columns)), share, 0.7, left, color=colour, label=name
        )
        axes.bar_label(
            bars,
            [f'{x:.0f}' if x >= 5 else '' for x in share],
            label_type='center',
            fontsize=9,
        )
        left += share
    axes.set_yticks(range(len(columns)), [run.name for run in columns])
    axes.invert_yaxis()
    axes.set(xlabel='images (%)', xlim=(0, 100))
    axes.grid(visible=False)
    axes.legend(ncols=3, loc='lower center', bbox_to_anchor=(0.45, 1))
    page.add(
        'plot',
        'errors',
        save(figure),
        'What became of the boxes',
        'Each image is of one kind. Part: the box lies in the object and '
        'misses the rest. More: it holds the object and too much besides. '
        'Several: it spans several objects. The boxes that look at nothing '
        'have no class, so none of theirs is wrong.',
    )


class Pictures:
    """Draws and chooses pictures."""

    def __init__(self, runs: Sequence[Run], names: Sequence[str]) -> None:
        self.runs = runs
        self.visualizer = WSOLVisualizer()
        # names of images with boxes, in the order of the records
        self.names = [x for x, has in zip(names, runs[0].has) if has[0]]
        self.iou = np.stack([r.metrics['breakdown'].table['iou'] for r in runs])
        self.kept = np.array(
            [self.view(runs[0], x) is not None for x in self.names], bool
        )

    def view(self, run: Run, name: str) -> np.ndarray | None:
        """The view of an image, from any run that kept it."""
        entry = run.dump.entries[name]
        for other in (run, *self.runs):
            view = other.dump.view(name)
            if view is not None and view.shape[:2] == (entry['height'], entry['width']):
                return view
        return None

    def draw(self, run: Run, name: str) -> bytes:
        """The view, map and boxes of a run, as JPEG."""
        (sample,) = run.dump.samples([name])
        data = DataSample()
        if 'gt_label' in sample:
            data.set_gt_label(torch.from_numpy(sample['gt_label']))
        if 'pred_score' in sample:
            data.set_pred_score(torch.from_numpy(sample['pred_score']))
        if 'pred_label' in sample:
            data.set_pred_label(torch.from_numpy(np.atleast_1d(sample['pred_label'])))
        for key in ('pred_map', 'pred_bbox', 'gt_bboxes'):
            if key in sample:
                setattr(data, key, sample[key])
        drawn = self.visualizer.draw(
            self.view(run, name), data, run.dump.info.get('classes')
        )
        code = cv2.imencode(
            '.jpg',
            np.ascontiguousarray(drawn[..., ::-1]),
            [cv2.IMWRITE_JPEG_QUALITY, 85],
        )[1]
        return code.tobytes()

    def add(self, page: Page, kind: str, order: np.ndarray) -> None:
        """Add the cards of the images at ``order``."""
        cards = []
        for i in order:
            pictures = [
                (
                    f'{kind}_{len(cards)}_{j}',
                    self.draw(run, self.names[i]),
                    f'{run.name}: IoU {self.iou[j, i]:.2f}',
                )
                for j, run in enumerate(self.runs)
            ]
            cards.append((self.names[i].rsplit('/')[-1], pictures))
        page.add('cards', cards)

    def add_all(self, page: Page, num: int) -> None:
        """Add best, worst and most different pictures."""
        index = np.flatnonzero(self.kept)
        num = min(num, -(-len(index) // 2))
        if not num:
            page.add(
                'text',
                'No pictures: the dumps keep no views of images '
                'with boxes (tools/test.py --dump-views).',
            )
            return
        text = (
            f'Chosen by IoU among {len(index)} images whose view is in '
            'the dumps: extremes, not the usual case. Red: ground truth. '
            'Green: the predicted box. Colours: the map, from blue (low) '
            'to red (high).'
        )
        page.add('text', text)
        iou = self.iou[:, index]
        if len(self.runs) > 1:
            spread = iou.max(0) - iou.min(0)
            page.add('head', 'Most different pictures')
            self.add(page, 'different', index[np.argsort(-spread, kind='stable')[:num]])
        order = np.argsort(-iou.mean(0), kind='stable')
        page.add('head', 'Best pictures')
        self.add(page, 'best', index[order[:num]])
        page.add('head', 'Worst pictures')
        self.add(page, 'worst', index[order[::-1][:num]])


def build_page(args: argparse.Namespace) -> Page:
    """Evaluate the runs and lay out the page."""
    runs, names, told = load_runs(args)
    if told:
        print(f'Warning: {told}')
    columns = [*runs, *blind_runs(runs[0])]
    for run in columns:
        run.evaluate(args.bootstrap, args.seed)
    center = columns[-1]
    boxes, masks = runs[0].has.sum(0)
    page = Page('Localization: ' + ', '.join(args.names))
    page.add('table', ['', *args.names], describe(runs, len(names)))
    text = f'{len(names)} images, {boxes} with ground-truth boxes, {masks} with masks.'
    if args.bootstrap:
        text += (
            f' In brackets: 95 % intervals, from {args.bootstrap} '
            'resamples of the images (percentile bootstrap; thresholds '
            'that are chosen on the data are chosen anew each time).'
        )
    if told:
        text = f'{told} {text}'
    if any(not np.array_equal(run.has, runs[0].has) for run in runs[1:]):
        text += (
            ' The runs do not have boxes and masks of the same images: '
            'their differences carry no interval.'
        )
    page.add('text', text)
    page.add('head', 'In short')
    page.add('list', summary(runs, center))

    page.add('head', 'Main figures')
    keys = [
        k for k in MAIN if any(not np.isnan(run.figures.get(k, np.nan)) for run in runs)
    ]
    page.add(
        'table',
        ['percent', *(run.name for run in columns)],
        [[MAIN[k], *(run.text(k) for run in columns)] for k in keys],
    )
    page.add(
        'text',
        f'“{WHOLE.capitalize()}” and “{CENTER}” (0.7 of each side) '
        'look at nothing: what a method has above them, it has seen.',
    )
    if boxes:
        pairs = [(run, runs[0]) for run in runs[1:]]
        pairs += [(run, center) for run in runs]
        page.add('head', 'Differences')
        page.add(
            'table',
            ['points', *(f'{a.name} − {b.name}' for a, b in pairs)],
            [[MAIN[k], *(difference(a, b, k)[0] for a, b in pairs)] for k in keys],
        )
        if args.bootstrap:
            page.add(
                'text',
                'Both sides of a difference are resampled with the '
                'same images, so its interval is narrower than those of the '
                'sides suggest. Where it holds 0, these images cannot tell '
                'the two apart.',
            )

    page.add('head', 'Curves and distributions')
    with plt.rc_context(STYLE):
        if boxes:
            plot_thresholds(page, columns)
        if all(run.metrics['peak'].table for run in columns):
            plot_pixels(page, columns)
        if boxes:
            plot_iou(page, columns)
            plot_size(page, columns)
            plot_errors(page, columns)
    if not all(run.metrics['peak'].table for run in columns):
        page.add(
            'text',
            'There is no curve of pixel IoU, no PxAP and no Peak '
            'IoU: they need masks, which the images do not have.',
        )

    if boxes and args.pictures:
        page.add('head', 'Pictures')
        if all(np.array_equal(run.has[:, 0], runs[0].has[:, 0]) for run in runs):
            Pictures(runs, names).add_all(page, args.pictures)
        else:
            page.add(
                'text', 'No pictures: the runs do not have boxes of the same images.'
            )
    page.add('head', 'All figures')
    page.add('table', ['', *(run.name for run in columns)], all_rows(columns))
    return page


TEMPLATE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light; }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 1rem; max-width: 68rem; background: #fff;
  color: #222; font: 1rem/1.5 system-ui, sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.2; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.2rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; }}
h3 {{ font-size: 1rem; margin: 0 0 .4rem; }}
p, ul {{ max-width: 46rem; }}
ul {{ padding-left: 1.2rem; }}
img {{ display: block; max-width: 100%; height: auto; }}
figure {{ margin: 0; }}
figcaption {{ font-size: .875rem; color: #444; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .9rem;
  font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .7rem; border-bottom: 1px solid #e6e6e6;
  text-align: right; vertical-align: top; }}
th {{ font-weight: 600; }}
tbody th {{ font-weight: 400; }}
th:first-child {{ text-align: left; padding-left: 0; }}
tr.group th {{ font-weight: 600; padding-top: 1rem; }}
small {{ display: block; color: #666; white-space: nowrap; }}
.plots {{ display: grid; gap: 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }}
.cards {{ display: grid; gap: 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, var(--side)), 1fr)); }}
.card p {{ margin: .1rem 0 0; font-size: .8rem; color: #666;
  overflow-wrap: anywhere; }}
.tiles {{ display: grid; gap: .4rem;
  grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }}
.tiles img {{ width: 100%; }}
@media print {{
  body {{ font-size: 10pt; max-width: none; padding: 0; }}
  h2, h3 {{ break-after: avoid; }}
  figure, .card, tr, li {{ break-inside: avoid; }}
  .scroll {{ overflow: visible; }}
  .plots {{ grid-template-columns: 1fr 1fr; gap: 1.2rem; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
'''


def main() -> None:
    """Write the page."""
    args = parse_args()
    with quiet():  # what lacks boxes, masks or classes is on the page
        page = build_page(args)
    out = Path(args.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(page.html(), encoding='utf-8')
    out.with_suffix('.md').write_text(
        page.markdown(out.with_name(f'{out.stem}_files')), encoding='utf-8'
    )
    print(f'{out} and {out.with_suffix(".md")}')


if __name__ == '__main__':
    main()
