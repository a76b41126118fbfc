"""Tables for LaTeX, with the model's symbols as mathematics."""

import re

Table = tuple[list[str], list[list[str]]]  # head, rows


def latex(table: Table, comment: str) -> str:
    """A booktabs table for ``\\input``; its first line is a comment."""
    head, rows = table
    wide = {"Claim", "Rule"}
    columns = "".join("p{6.5cm}" if name in wide else "l" if k == 0 else "r" for k, name in enumerate(head))
    lines = [f"% {comment}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule"]
    body = [[tex(cell) for cell in row] for row in (head, *rows)]
    lines += [f"{' & '.join(body[0])} \\\\", r"\midrule", *(f"{' & '.join(row)} \\\\" for row in body[1:])]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


GREEK = {"α": "alpha", "β": "beta", "γ": "gamma", "ε": "varepsilon", "η": "eta", "θ": "theta", "κ": "kappa", "λ": "lambda",
         "μ": "mu", "ν": "nu", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "varphi", "χ": "chi", "ω": "omega"}  # fmt: skip
SYMBOL = re.compile(
    "([A-Za-zα-ω\u0304\u0305]*[α-ω\u0304][0-9]?|[A-Za-z]+)_([A-Za-z0-9α-ω]+)|([α-ω][0-9]?)|([a-z]\u0304)"
)


def tex(text: str) -> str:
    """Plain text for LaTeX; symbols such as ε_γ become mathematics."""
    text = text.replace("%", r"\%").replace("&", r"\&")
    text = SYMBOL.sub(_mathematics, text)
    for plain, made in (("→", r"$\to$"), ("–", "--"), ("≤", r"$\le$"), ("∞", r"$\infty$"), (">", "$>$"), ("½", r"$\frac12$"),
                        ("Σ", r"$\Sigma$"), ("Λ", r"$\Lambda$"), ("Π", r"$\Pi$")):  # fmt: skip
        text = text.replace(plain, made)
    return text


def _mathematics(found: re.Match) -> str:
    base, below, greek, barred = found.groups()
    if base is None:
        return f"${_letters(greek or barred)}$"
    return f"${_letters(base)}_{{{_letters(below)}}}$"


def _letters(name: str) -> str:
    name = re.sub("(.)\u0304", lambda m: rf"\bar{{{m[1]}}}", name)
    digits = re.sub(r"([α-ω])([0-9])", r"\1_\2", name)
    whole = re.sub("([α-ω])(?=[A-Za-z])", r"\1 ", digits)
    whole = "".join(rf"\{GREEK[c]}" if c in GREEK else c for c in whole)
    return rf"\mathrm{{{whole}}}" if whole.isalpha() and len(whole) > 1 else whole
