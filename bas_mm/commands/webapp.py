"""A page on this machine: drop an image, see what is on it and where."""

import argparse
import os
import tempfile

from bas_mm.apis.inferencer import WSOLInferencer
from bas_mm.apis.webapp import build_page, import_gradio, warn_open
from bas_mm.utils.options import (
    add_fast_argument,
    add_min_score_argument,
    add_model_arguments,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model_arguments(parser)
    parser.add_argument(
        '--host', default='127.0.0.1', help='where it listens (default: 127.0.0.1)'
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='its port (default: 7860)'
    )
    parser.add_argument(
        '--auth', metavar='USER:PASSWORD', help='ask for this name and password'
    )
    parser.add_argument(
        '--max-mb',
        type=int,
        default=20,
        metavar='N',
        help='megabytes that an uploaded file may have (default: 20)',
    )
    add_min_score_argument(parser)
    add_fast_argument(parser)


def read_auth(text: str | None) -> tuple[str, str] | None:
    """Read a name and a password.

    Raises:
        ValueError: If it is not both, with a colon between.

    Example:
        >>> read_auth('me:a:b'), read_auth(None)
        (('me', 'a:b'), None)
    """
    if text is None:
        return None
    user, _, password = text.partition(':')
    if not user or not password:
        raise ValueError('--auth must be USER:PASSWORD, both of them.')
    return user, password


def run(args: argparse.Namespace) -> None:
    """Start the page and stay."""
    if not 0 < args.port < 65536:
        args.parser.error(f'--port must be 1 to 65535, got {args.port}')
    if args.max_mb < 1:
        args.parser.error(f'--max-mb must be at least 1, got {args.max_mb}')
    auth = read_auth(args.auth)
    import_gradio()  # speaks before the model is loaded
    inferencer = WSOLInferencer(
        args.model, args.weights, args.device, show_progress=False, fast=args.fast
    )
    # what visitors upload lies here, and goes with the page
    with tempfile.TemporaryDirectory(
        prefix='bas_mm_page_', ignore_cleanup_errors=True
    ) as folder:
        os.environ['GRADIO_TEMP_DIR'] = folder
        serve(inferencer, args, auth)


def serve(
    inferencer: WSOLInferencer, args: argparse.Namespace, auth: tuple[str, str] | None
) -> None:
    """Show the page until it is ended.

    Raises:
        OSError: If the address cannot be had.
    """
    page = build_page(inferencer, args.min_score)
    try:
        page.launch(
            server_name=args.host,
            server_port=args.port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            auth=auth,
            max_file_size=f'{args.max_mb}mb',
        )
    except OSError as error:
        raise OSError(
            f'The page cannot be served at {args.host}:{args.port}, it may be taken: '
            f'give another --port (or --host). {str(error).splitlines()[0]}'
        ) from error
    if warning := warn_open(args.host, auth is not None):
        print(warning)
    print(
        f'Open http://{args.host}:{args.port} in a browser; Ctrl+C ends it.', flush=True
    )
    page.block_thread()
