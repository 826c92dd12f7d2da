"""What a long command is doing, with its time: one live line; without a terminal, many."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


@contextmanager
def live_progress(console: Console, title: str) -> Iterator[Callable[[str], None]]:
    """A function that shows what is being done; the line goes away at the end."""
    if not console.is_terminal:
        yield lambda text: console.print(f"{title}: {text}", soft_wrap=True, markup=False)
        return
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(escape(title))
        yield lambda text: progress.update(task, description=escape(f"{title}: {text}"))
