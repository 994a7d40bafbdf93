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
    import_gradio()  # speaks before the model is loaded
    inferencer = WSOLInferencer(
        args.model, args.weights, args.device, show_progress=False
    )
    print(
        f'Open http://{args.host}:{args.port} in a browser; Ctrl+C ends it.', flush=True
    )
    build_page(inferencer).launch(
        server_name=args.host, server_port=args.port, share=False, quiet=True
    )
