"""What data sets share: files that cannot be read, and what is said of them."""

from collections import defaultdict
from typing import Any

from mmengine.logging import MMLogger

from bas_mm.datasets.box_check import BoxCheck
from bas_mm.utils.images import image_size, why_unreadable
from bas_mm.utils.threads import run_parallel

ON_ERROR = ('raise', 'skip')

# Kinds of findings.
BOXES = 'boxes left out'
UNREADABLE = 'images that cannot be read, left out'
TWICE = 'images listed twice, taken once'


class CheckedData:
    """Images and boxes that are checked; nothing is left out in silence.

    A mixin of data sets, before the stock class.

    Attributes:
        on_error: What to do about an image that cannot be read, one that is
            listed twice, or a bad box: ``'raise'``, or ``'skip'``: leave it
            out, counted and named in the log; nothing takes its place.
        scan: Whether ``'skip'`` reads every image once, when the data set is
            loaded, to leave out those that cannot be read.
        findings: Kind to what was found, as it is logged.
        checks: Of the boxes, as they were read.
    """

    on_error: str = 'raise'
    scan: bool = True
    findings: dict[str, list[str]]
    checks: list[BoxCheck]

    def init_checks(self, on_error: str) -> None:
        """Start with nothing found.

        Raises:
            ValueError: If ``on_error`` is none of the two.
        """
        if on_error not in ON_ERROR:
            raise ValueError(
                f'`on_error` of {type(self).__name__} must be one of {ON_ERROR}, '
                f'but got {on_error!r}.'
            )
        self.on_error = on_error
        self.findings = defaultdict(list)
        self.checks = []
        self._said = False

    def full_init(self) -> None:
        """Load the data; then say what was found, a line for each kind.

        A transform that needs something of every image (it has
        ``check_images(paths)``) says now what it lacks.
        """
        super().full_init()  # type: ignore[misc]
        if self._said:
            return
        self._said = True
        self._ask_transforms()
        logger = MMLogger.get_current_instance()
        for kind, names in self.findings.items():
            more = ', ...' if len(names) > 5 else ''
            causes = [check.summary() for check in self.checks if check.cause()]
            likely = f' ({"; ".join(causes)})' if kind == BOXES and causes else ''
            logger.warning(
                f'{kind} ({len(names)}): {", ".join(names[:5])}{more}{likely}'
            )
            if more:
                logger.info('\n    '.join([f'All {kind}:', *names]))

    def _ask_transforms(self) -> None:
        """Let transforms of the pipeline check the images."""
        ours: Any = self  # what the stock data set has
        transforms = getattr(getattr(ours, 'pipeline', None), 'transforms', ())
        checks = [t.check_images for t in transforms if hasattr(t, 'check_images')]
        if checks:
            paths = [ours.get_data_info(i)['img_path'] for i in range(len(ours))]
            for check in checks:
                check(paths)

    def leave_unreadable(self, infos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Leave images out that cannot be read, if that is asked for.

        Args:
            infos: With ``img_path``.

        Returns:
            The infos of the others, all of them with ``on_error='raise'``.

        Raises:
            ValueError: If none is left.
        """
        if self.on_error == 'raise' or not self.scan:
            return infos
        paths = [info['img_path'] for info in infos]
        reasons = list(run_parallel(why_unreadable, paths))
        if any(reasons):
            self.findings[UNREADABLE] += [reason for reason in reasons if reason]
        kept = [info for info, reason in zip(infos, reasons) if not reason]
        if infos and not kept:
            raise ValueError(
                f'None of the {len(infos)} images of {type(self).__name__} can be '
                f'read, the first: {reasons[0]}'
            )
        return kept

    def note_twice(self, name: str, source: str) -> None:
        """Note an image that is listed twice.

        Raises:
            ValueError: If ``on_error`` is ``'raise'``.
        """
        if self.on_error == 'raise':
            raise ValueError(
                f'{source} lists the image `{name}` twice: take one out, or set '
                "on_error='skip' of the data set to take the first alone."
            )
        self.findings[TWICE].append(name)

    def size_of(self, path: str, turned: bool) -> tuple[int, int] | None:
        """Read the size of an image; None where it cannot be read.

        Whoever reads the image then says so, or leaves it out.
        """
        try:
            return image_size(path, turned)
        except (OSError, ValueError):
            return None

    def end_check(self, check: BoxCheck) -> None:
        """Raise what a check of boxes has found, or note it.

        Raises:
            ValueError: If there is a fault and ``on_error`` is ``'raise'``.
        """
        self.checks.append(check)
        if self.on_error == 'raise':
            check.raise_faults()
        if check.faults:
            self.findings[BOXES] += [f'{name} ({text})' for name, text in check.faults]
