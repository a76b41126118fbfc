"""What decides a claim: a rule of two thresholds that a reader can follow, and Sobol's indices."""

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from games.restriction.claims.verdicts import FAILS, HOLDS
from games.restriction.parameters import array_fields
from games.restriction.prior import Range

FEWEST = 6  # draws of either verdict, to fit a rule
CUTS = 9  # thresholds tried of a parameter
SYMBOLS = {item.name: item.metadata["symbol"] for item in array_fields()}


def names(ranges: Sequence[Range]) -> list[str]:
    """One for every row: the parameter, with its group."""
    return [row.parameter if row.group is None else f"{row.parameter}_{row.group}" for row in ranges]


def symbol(row: Range) -> str:
    own = SYMBOLS[row.parameter] + ("" if row.group is None else f"_{row.group}")
    return own if row.times is None else f"{own}/{SYMBOLS[row.parameter]}_{row.times}"


def rule(values: np.ndarray, verdict: np.ndarray, symbols: Sequence[str]) -> tuple[str, float, float]:
    """The best rule "holds" or "fails when a and b" of at most two thresholds, its accuracy, and that of no rule.

    Fitted to every second decided draw; both accuracies are measured on the others, the latter of always giving the
    verdict more frequent in the fit. No rule ("", nan, nan) where a verdict is too rare to fit one.

    :param values: of the parameters (draw, parameter).
    :param verdict: of each draw (draw,).
    """
    decided = np.flatnonzero((verdict == HOLDS) | (verdict == FAILS))
    fit, test = decided[::2], decided[1::2]
    holds = verdict == HOLDS
    if min(holds[fit].sum(), (~holds[fit]).sum()) < FEWEST:
        return "", np.nan, np.nan
    halves = _halves(values[fit])
    inside = np.array([_within(values, half) for half in halves])
    a = inside[:, fit].astype(float)
    true, all_ = (
        (a * holds[fit]) @ a.T,
        a @ a.T,
    )  # draws that hold, and all, where both conditions are met (diagonal: one)
    total = holds[fit].sum()
    right = (
        true + (len(fit) - total) - (all_ - true)
    )  # "holds there, fails elsewhere"; its reverse is right in the rest
    one = np.diagonal(right)
    best, value = _simplest(right, one, len(fit))
    condition, says = inside[list(set(best))].all(0), value
    accuracy = ((condition == says) == holds)[test].mean()
    usual = holds[fit].mean() >= 0.5
    words = " and ".join(_words(halves[k], symbols) for k in dict.fromkeys(best))
    return f"{'holds' if says else 'fails'} when {words}", float(accuracy), float((holds[test] == usual).mean())


def _simplest(right: np.ndarray, one: np.ndarray, total: int) -> tuple[tuple[int, int], bool]:
    """The best pair of conditions and what they say; a single one, (k, k), if two are right in no more than 1 % more."""
    found = []
    for says, table, single in ((True, right, one), (False, total - right, total - one)):
        i, j = np.unravel_index(table.argmax(), table.shape)
        k = int(single.argmax())
        found += [(table[i, j], (int(i), int(j)), says), (single[k] + 0.01 * total, (k, k), says)]
    _, best, says = max(found, key=lambda item: item[0])
    return best, says


def _halves(values: np.ndarray) -> list[tuple[int, bool, float]]:
    """(parameter, below, threshold): half-spaces at quantiles of what is fitted to."""
    cuts = np.unique(np.quantile(values, np.arange(1, CUTS + 1) / (CUTS + 1), axis=0), axis=0)
    return [
        (k, below, float(c)) for k in range(values.shape[1]) for c in np.unique(cuts[:, k]) for below in (True, False)
    ]


def _within(values: np.ndarray, half: tuple[int, bool, float]) -> np.ndarray:
    k, below, cut = half
    return values[:, k] <= cut if below else values[:, k] > cut


def _words(half: tuple[int, bool, float], symbols: Sequence[str]) -> str:
    k, below, cut = half
    return f"{symbols[k]} {'≤' if below else '>'} {cut:.2g}"


def sobol_indices(
    evaluate: Callable[[np.ndarray], np.ndarray], ranges: Sequence[Range], num: int, seed: int
) -> dict[str, np.ndarray]:
    """First-order and total Sobol indices of verdicts, with the half-widths of their 95 % intervals (Saltelli 2010).

    :param evaluate: verdicts (draw, claim) at uniform draws (draw, row); those that are not decided count as their mean.
    :param num: base draws, a power of two; ``num * (rows + 2)`` worlds are evaluated.
    :return: ``sobol_first``, ``sobol_total`` and each with ``_width``, (claim, row); nan where a verdict never varies.
    """
    from SALib.analyze import sobol as analyze
    from SALib.sample import sobol as sample

    if num < 2 or num & (num - 1):
        raise ValueError(f"sensitivity = {num}: give a power of two, or 0 for none")
    problem = {"num_vars": len(ranges), "names": names(ranges), "bounds": [[0.0, 1.0]] * len(ranges)}
    verdict = evaluate(sample.sample(problem, num, calc_second_order=False, seed=seed))
    keys = {"S1": "sobol_first", "S1_conf": "sobol_first_width", "ST": "sobol_total", "ST_conf": "sobol_total_width"}
    out = {name: np.full((verdict.shape[1], len(ranges)), np.nan) for name in keys.values()}
    for claim, v in enumerate(verdict.T):
        known = (v == HOLDS) | (v == FAILS)
        if not known.any() or np.ptp(v[known]) == 0:
            continue
        y = np.where(known, v, v[known].mean()).astype(float)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Constant values")  # of a rare verdict, in some resamples
            found = analyze.analyze(problem, y, calc_second_order=False, seed=seed)
        for key, name in keys.items():
            out[name][claim] = found[key]
    return out
