"""The tornado figure: which parameters move an outcome of an equilibrium the most."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from solver.plot.style import panels

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure


def tornado(
    statics: "xarray.Dataset",
    variable: str = "payoffs_elasticity",
    *,
    most: int = 12,
    columns: Literal[1, 2] = 1,
    **at: Any,
) -> "Figure":
    """Bars of a derivative or elasticity in every parameter, the longest at the top; those that are NaN are left out.

    :param statics: what ``comparative_statics`` returns.
    :param variable: one of its variables along "parameter".
    :param most: how many parameters are shown.
    :param columns: of a printed page: 1 (3.4 inches wide) or 2 (7 inches).
    :param at: a label for each further dimension with several, as in ``player="firm 1"``.
    :return: a matplotlib Figure; ``figure.savefig("x.pdf")``.
    :raises ValueError: if ``variable`` is not along "parameter", or a dimension is left open.
    """
    if variable not in statics or "parameter" not in statics[variable].dims:
        known = [str(name) for name, v in statics.data_vars.items() if "parameter" in v.dims]
        raise ValueError(f"variable = {variable!r} is not along 'parameter': give one of {', '.join(known)}")
    array = statics[variable].sel(at)
    left = [str(d) for d in array.dims if d != "parameter" and array.sizes[d] > 1]
    if left:
        raise ValueError(f"variable = {variable!r} has several labels along {left[0]}: choose one, as in {left[0]}=...")
    names, values = array.parameter.values, array.values.ravel()
    order = [k for k in np.argsort(np.abs(values))[::-1] if np.isfinite(values[k])][:most][::-1]
    about = [array.attrs.get("long_name", variable).replace("_", " "), *(str(label) for label in at.values())]
    with panels(1, columns, shape=0.25 + 0.06 * len(order)) as (figure, axes, _):
        colors = ["0.35" if values[k] >= 0 else "0.75" for k in order]
        axes[0].barh([str(names[k]) for k in order], values[order], color=colors, edgecolor="k", linewidth=0.5)
        axes[0].axvline(0, color="k", linewidth=0.6)
        axes[0].set_xlabel(", ".join(about))
    return figure
