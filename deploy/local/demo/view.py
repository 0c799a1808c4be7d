"""The output of the demonstration: one line for each step; on a terminal a progress bar for long steps."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Step:
    """A running step; `advance` moves its bar, `result` is printed behind its name at the end."""

    def __init__(self, title: str, total: int | None, progress: Progress | None) -> None:
        self.result = ""
        self._progress = progress
        self._task = progress.add_task(title, total=total) if progress else None

    def advance(self, by: int = 1) -> None:
        """Count more items as done."""
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, by)

    def reach(self, completed: int) -> None:
        """Set the number of items that are done."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=completed)


class View:
    """Prints the story as it happens."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._began

    def chapter(self, title: str) -> None:
        """Print the title of a chapter."""
        self.console.print(f"\n[bold]{title}[/bold]")

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(f"  [dim]{self.elapsed:6.1f} s[/dim]  {text}", soft_wrap=True)

    @contextmanager
    def step(self, title: str, total: int | None = None) -> Iterator[Step]:
        """Run one step, with a live bar on a terminal, and print a line when it is done."""
        if not self.console.is_terminal:
            step = Step(title, total, None)
            yield step
        else:
            columns = (
                TextColumn("          {task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            with Progress(*columns, console=self.console, transient=True) as progress:
                step = Step(title, total, progress)
                yield step
        self.say(f"{title}: {step.result}" if step.result else title)
