"""A line of progress on standard error, for work that lasts."""

import collections
from collections.abc import Iterable, Mapping
from typing import Any


class Bar:
    """Points done, points a second, the time that remains and the statuses so far."""

    def __init__(self, show: bool):
        self.total = 0
        self.statuses: collections.Counter[str] = collections.Counter()
        self.bar = None
        if show:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            rate, statuses = TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[statuses]}")
            columns = (MofNCompleteColumn(), BarColumn(), rate, TimeRemainingColumn(), statuses)
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=600)
            self.task = self.bar.add_task("points", total=0, rate="", statuses="")

    def __enter__(self) -> "Bar":
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def expect(self, points: int, earlier: Iterable[Mapping[str, Any]]) -> None:
        """So many points more; of them an earlier run has done some: counted, but not in the speed."""
        self.total += points
        done = 0
        for report in earlier:
            done += report["points"]
            self.statuses.update(report["statuses"])
        if self.bar is not None:
            self.bar.update(self.task, total=self.total)
            if done:
                self.bar.reset(self.task, completed=int(self.bar.tasks[0].completed) + done)

    def advance(self, report: Mapping[str, Any]) -> None:
        self.statuses.update(report["statuses"])
        if self.bar is not None:
            self.bar.advance(self.task, report["points"])
            speed = self.bar.tasks[0].speed
            rate = "" if not speed else f"{speed:,.3g} points/s"
            statuses = ", ".join(f"{name} {count:,}" for name, count in self.statuses.most_common())
            self.bar.update(self.task, rate=rate, statuses=statuses)
