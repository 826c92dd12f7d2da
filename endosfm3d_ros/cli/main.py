"""Entry point of `endosfm3d`: finds the subcommands and turns known errors into one sentence."""

from __future__ import annotations

import importlib
import pkgutil
import signal
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

import endosfm3d_ros
import endosfm3d_ros.cli as commands
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.files.leftovers import sweep

NOTICE = "Research software: not a medical device, not for clinical use."


def show_version(asked: bool) -> None:
    """The version of the package, alone on standard output."""
    if asked:
        print(f"endosfm3d_ros {endosfm3d_ros.__version__}")
        raise typer.Exit


def build_app() -> typer.Typer:
    """The application with every module of this package that has a `register` function.

    Those modules import what they need inside the command, so `--help` stays quick.
    """
    app = typer.Typer(
        name="endosfm3d",
        help=f"Live 3-D scenes from endoscope video. {NOTICE}",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(program)
    for module in pkgutil.iter_modules(commands.__path__):
        register = getattr(
            importlib.import_module(f"{commands.__name__}.{module.name}"), "register", None
        )
        if register is not None:
            register(app)
    return app


def program(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Say it.")
    ] = False,
) -> None:
    """What is common to all commands; its help is that of the application."""


def main() -> None:
    """Run the command line; an `EndoError` prints its sentence and exits with 1.

    SIGTERM ends a command as Ctrl-C does, so that it too leaves nothing half-written.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sweep()
    for stream in (sys.stdout, sys.stderr):  # names of files need not be UTF-8
        stream.reconfigure(errors="surrogateescape")
    try:
        build_app()()
    except EndoError as error:
        console = Console(stderr=True, soft_wrap=True)
        console.print(f"[red]error:[/red] {escape(str(error))}", highlight=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
