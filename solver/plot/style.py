"""What all figures share: sizes for print, a style, colours and lines that survive grey print, and legends.

Nothing here touches pyplot: a Figure is made by itself, under ``rc_context(STYLE)``.
"""

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTHS = {1: 3.4, 2: 7.0}  # inches, by the columns of a journal's page
LETTERS = 15  # of a label to an inch, about; a legend's are smaller
STYLE: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.title_fontsize": 7,
    "figure.labelsize": 8,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "hatch.linewidth": 0.6,
    "pdf.fonttype": 42,  # letters stay letters
}
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
MOST = 6  # colours, or lines, that a reader can tell apart


def shades(count: int) -> list[Any]:
    """Colours for areas, in even steps of grey from light to dark; letters and lines can be read on the darkest."""
    from matplotlib import colormaps

    place = np.linspace(0, 1, 256)
    grey = colormaps["YlGnBu"](place)[:, :3] @ (0.299, 0.587, 0.114)
    return list(colormaps["YlGnBu"](np.interp(-np.linspace(0.96, 0.53, count), -grey, place)))


def strokes(count: int) -> list[dict[str, Any]]:
    """Colours and dashes for lines, from dark to middling."""
    from matplotlib import colormaps

    return [{"color": colormaps["cividis"](0.75 * k / max(count - 1, 1)), "ls": LINES[k]} for k in range(count)]


@contextmanager
def panels(
    count: int, columns: int, shape: float = 0.8
) -> Iterator[tuple["Figure", list["Axes"], tuple[float, float]]]:
    """A figure, ``count`` axes of it, at most ``columns`` + 1 in a row, and the inches that each has for its labels."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    if columns not in WIDTHS:
        raise ValueError(f"columns = {columns!r}: give 1 or 2, the columns of the page that the figure fills")
    rows = -(-count // (columns + 1))
    across = -(-count // rows)
    wide = (WIDTHS[columns] - 0.5) / across
    high = shape * min(wide, 3.4)
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTHS[columns], rows * (high + 0.3) + 0.3), layout="constrained")
        grid = list(figure.subplots(rows, across, squeeze=False).flat)
        for ax in grid[count:]:
            ax.remove()
        yield figure, grid[:count], (wide, high)


def share_axes(axes: Sequence["Axes"]) -> None:
    """Axes that show the same quantities: one range, labels and numbers at the outer axes alone."""
    across = axes[0].get_gridspec().ncols  # pyright: ignore[reportOptionalMemberAccess]
    limits = [ax.get_ylim() for ax in axes]
    for k, ax in enumerate(axes):
        ax.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
        if k % across:
            ax.set_ylabel("")
            ax.tick_params(labelleft=False)
        if k + across < len(axes):
            ax.set_xlabel("")
            ax.tick_params(labelbottom=False)


def legend(figure: "Figure", handles: Sequence[Any], title: str | None = None) -> None:
    """Below the axes, in as many columns as the figure's width holds, the figure growing by its height."""
    from matplotlib import rc_context

    if not handles:
        return
    room = int(figure.get_figwidth() * LETTERS * 8 / 7)
    for handle in handles:
        handle.set_label(textwrap.fill(handle.get_label(), room - 6))
    sizes = [max(map(len, handle.get_label().splitlines())) + 5 for handle in handles]
    count = next(n for n in range(len(handles), 0, -1) if n == 1 or sum(_widths(sizes, n)) <= room)
    text = textwrap.fill(title or "", room)
    lines = -(-sum(len(handle.get_label().splitlines()) for handle in handles) // count) + len(text.splitlines())
    figure.set_figheight(figure.get_figheight() + 0.16 * lines)
    look: dict[str, Any] = {"frameon": False, "handlelength": 1.8, "columnspacing": 1.2, "handletextpad": 0.6}
    with rc_context(STYLE):
        figure.legend(handles=handles, title=text, loc="outside lower center", ncols=count, **look)


def _widths(sizes: list[int], count: int) -> list[int]:
    """The widest entry of every column, filled from the top, the first ones by one more."""
    each, more = divmod(len(sizes), count)
    ends = [sum(each + (k < more) for k in range(n)) for n in range(count + 1)]
    return [max(sizes[start:end]) for start, end in itertools.pairwise(ends)]


def save(figure: "Figure", path: Path) -> list[Path]:
    """Write ``path``.pdf and ``path``.png, whole or not at all, the same bytes for the same figure; return their paths."""
    from matplotlib import rc_context

    kinds: dict[str, dict[str, Any]] = {"pdf": {"metadata": {"CreationDate": None}}, "png": {"dpi": 300}}
    paths = []
    for kind, options in kinds.items():
        target = path.with_name(f"{path.name}.{kind}")
        part = path.with_name(f".{path.name}.{kind}.part")
        try:
            with rc_context(STYLE):
                figure.savefig(part, format=kind, **options)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        paths.append(target)
    return paths
