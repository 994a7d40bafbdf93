"""What a run says on the terminal; its log file keeps everything."""

import datetime
import logging
import re
import sys
from typing import Any

from mmengine.logging import MMLogger
from mmengine.runner import LogProcessor, Runner

from bas_mm.evaluation.quote import BASELINES, quoted

#: Packages that speak at length; what they say goes to the log file.
_CHATTY = ('mmengine', 'mmcv', 'mmpretrain')
#: But this is said: progress, and where weights come from.
_TOLD = re.compile('Auto resumed|resumed epoch|Load checkpoint from|best checkpoint')
#: Warnings that ask for nothing to be done.
_IDLE = re.compile(
    'is skipped since its requires_grad=False|deprecated|alias of|mmcv-lite|'
    'Distributed training is not used|no image to evaluate'
)


class Line(str):
    """A line of the log file, and what the terminal shows instead.

    Attributes:
        short (str): Empty where the terminal shows nothing.
    """

    short: str

    def __new__(cls, text: str, short: str) -> 'Line':
        """Make a line."""
        line = super().__new__(cls, text)
        line.short = short
        return line


class ConsoleFilter(logging.Filter):
    """Lets to the terminal what a person wants to read while a run goes on.

    Of the packages below this one, progress and warnings that ask for
    something; of anybody else everything.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is shown."""
        if isinstance(record.msg, Line):
            return bool(record.msg.short)
        text = record.getMessage()
        if record.levelno >= logging.ERROR:
            return True
        if record.levelno >= logging.WARNING:
            return not _IDLE.search(text)
        return not _speaker().startswith(_CHATTY) or bool(_TOLD.match(text))


class ConsoleFormatter(logging.Formatter):
    """Bare text; warnings and errors are called so."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the text of a record."""
        text = getattr(record.msg, 'short', None) or record.getMessage()
        if record.levelno >= logging.ERROR:
            return f'Error: {text}'
        return f'Warning: {text}' if record.levelno >= logging.WARNING else text


def _speaker() -> str:
    """Name the module that logs, as seen from a handler."""
    frame = sys._getframe(1)
    silent = ('logging', 'mmengine.logging', __name__)
    while frame.f_back and frame.f_globals.get('__name__', '').startswith(silent):
        frame = frame.f_back
    return str(frame.f_globals.get('__name__', ''))


def tidy_console(logger: MMLogger) -> None:
    """Let the terminal show only what is to be read, once for each logger."""
    for handler in logger.handlers:
        if type(handler) is logging.StreamHandler and not any(
            isinstance(one, ConsoleFilter) for one in handler.filters
        ):
            handler.addFilter(ConsoleFilter())
            handler.setFormatter(ConsoleFormatter())


class ShortLogProcessor(LogProcessor):
    """Gives the log file whole lines and the terminal short ones."""

    def get_log_after_iter(
        self, runner: Runner, batch_idx: int, mode: str
    ) -> tuple[dict, str]:
        """Give the figures of a step and their line."""
        tag, text = super().get_log_after_iter(runner, batch_idx, mode)
        size = self._get_dataloader_size(runner, mode)
        if mode != 'train':
            what = 'testing' if mode == 'test' else 'validating'
            return tag, Line(text, f'{what} {batch_idx + 1}/{size}')
        if self.by_epoch:
            step = f'epoch {tag["epoch"]}/{runner.max_epochs}, step '
            step += f'{batch_idx + 1}/{size}'
        else:
            step = f'step {runner.iter + 1}/{runner.max_iters}'
        return tag, Line(text, f'{step}: {_progress(tag, runner)}')

    def get_log_after_epoch(
        self, runner: Runner, batch_idx: int, mode: str, with_non_scalar: bool = False
    ) -> tuple[dict, str]:
        """Give the figures of an evaluation and their line.

        The terminal shows none of a test: its table follows.
        """
        tag, text = super().get_log_after_epoch(
            runner, batch_idx, mode, with_non_scalar
        )
        figures = {
            key.removeprefix(f'{mode}/'): value
            for key, value in tag.items()
            if isinstance(value, (int, float)) and not key.endswith('time')
        }
        short = '' if mode == 'test' else f'validated: {_figures(figures)}'
        return tag, Line(text, short)


def _progress(tag: dict[str, Any], runner: Runner) -> str:
    """Lay out the figures of a training step."""
    parts = [f'loss {tag["loss"]:.4f}'] if 'loss' in tag else []
    terms = [
        f'{key.removeprefix("loss_")} {value:.4f}'
        for key, value in tag.items()
        if key.startswith('loss_')
    ]
    if len(terms) > 1:
        parts[-1:] = [f'{" ".join(parts[-1:])} ({", ".join(terms)})']
    parts += [f'{key} {tag[key]:.3g}' for key in ('acc', 'fg_area') if key in tag]
    rate = tag.get('lr')
    parts += [] if rate is None else [f'lr {rate:.2g}']
    parts += [f'{tag["time"]:.2f} s a step'] if 'time' in tag else []
    eta = runner.message_hub.runtime_info.get('eta')
    if eta is not None:
        parts.append(f'{datetime.timedelta(seconds=int(eta))} to go')
    return ', '.join(parts)


def _figures(figures: dict[str, Any]) -> str:
    """Lay out the quoted figures in one line."""
    texts = []
    for name, value in quoted(figures).items():
        bare = name.removeprefix('wsol/')
        texts.append(f'{BASELINES.get(bare, bare)} {value:.2f}')
    return ', '.join(texts)


class ConsoleRunner(Runner):
    """mmengine's Runner with a terminal that is short enough to read."""

    def build_logger(self, *args: Any, **kwargs: Any) -> MMLogger:
        """Build the logger; the log file keeps what the terminal leaves out."""
        logger = super().build_logger(*args, **kwargs)
        tidy_console(logger)
        return logger

    def build_log_processor(self, log_processor: Any) -> LogProcessor:
        """Build what formats the log; one of another type stays."""
        if isinstance(log_processor, dict) and 'type' not in log_processor:
            return ShortLogProcessor(**log_processor)
        return super().build_log_processor(log_processor)
