"""A page on this machine: drop an image, see what is on it and where."""

import argparse

from bas_mm.apis.inferencer import WSOLInferencer
from bas_mm.apis.webapp import build_page, import_gradio
from bas_mm.utils.options import add_model_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_model_arguments(parser)
    parser.add_argument(
        '--host', default='127.0.0.1', help='where it listens (default: 127.0.0.1)'
    )
    parser.add_argument(
        '--port', type=int, default=7860, help='its port (default: 7860)'
    )


def run(args: argparse.Namespace) -> None:
    """Start the page and stay."""
    if not 0 < args.port < 65536:
        args.parser.error(f'--port must be 1 to 65535, got {args.port}')
    import_gradio()  # speaks before the model is loaded
    inferencer = WSOLInferencer(
        args.model, args.weights, args.device, show_progress=False
    )
    page = build_page(inferencer)
    try:
        page.launch(
            server_name=args.host,
            server_port=args.port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise OSError(
            f'The page cannot be served at {args.host}:{args.port}, it may be taken: '
            f'give another --port (or --host). {str(error).splitlines()[0]}'
        ) from error
    print(
        f'Open http://{args.host}:{args.port} in a browser; Ctrl+C ends it.', flush=True
    )
    page.block_thread()
