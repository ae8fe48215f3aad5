"""Google-style docstrings: descriptions of arguments, and text without markup for a terminal."""

from __future__ import annotations

import inspect
import re

__all__ = ["arguments", "summary", "without_markup"]

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields|Example|Examples|Note):\s*$")
_ARGUMENT = re.compile(r"^    (\*{0,2}\w+)(?: \([^)]*\))?: (.*)$")

_SIGNS = """
sum=sum prod=prod exp=exp log=log max=max min=min argmax=argmax det=det cos=cos tanh=tanh in=in sim=~ ell=ℓ cdot=·
times=× le=≤ leq=≤ ge=≥ geq=≥ ne=≠ neq=≠ approx=≈ propto=∝ infty=∞ pm=± odot=⊙ otimes=⊗ oplus=⊕ to=→ rightarrow=→
mapsto=↦ gets=← leftarrow=← top=ᵀ partial=∂ nabla=∇ mid=| lvert=| rvert=| lVert=‖ rVert=‖ Vert=‖ langle=⟨ rangle=⟩
ldots=... dots=... cdots=... alpha=α beta=β gamma=γ delta=δ epsilon=ε varepsilon=ε eta=η theta=θ kappa=κ lambda=λ mu=μ
nu=ν xi=ξ pi=π rho=ρ sigma=σ tau=τ phi=φ varphi=φ psi=ψ omega=ω Gamma=Γ Delta=Δ Theta=Θ Lambda=Λ Sigma=Σ Phi=Φ Psi=Ψ
Omega=Ω
"""
_WORDS = {"quad": "  ", "qquad": "   ", **dict(pair.split("=") for pair in _SIGNS.split())}
"""Commands of LaTeX that stand for a sign; all others go, and their argument stays."""


def summary(documented: object) -> str:
    """Return a docstring up to its first section."""
    lines = (inspect.getdoc(documented) or "").splitlines()
    end = next((place for place, line in enumerate(lines) if _SECTION.match(line)), len(lines))
    return "\n".join(lines[:end]).strip()


def without_markup(text: str) -> str:
    r"""Return a docstring as plain text: formulas indented, in Unicode as far as that goes, names without roles.

    >>> print(without_markup("Minimize\n\n.. math:: \\tfrac12 \\sum_i w_i^2\n\nover ``w``, see :func:`~tlzoo.load`."))
    Minimize
    <BLANKLINE>
        1/2 sum_i w_i^2
    <BLANKLINE>
    over w, see tlzoo.load.
    """
    blocks: list[str] = []
    for block in re.split(r"\n\s*\n", text):
        if blocks and blocks[-1] == ".. math::":
            blocks[-1] = _indented(block)
        elif block.lstrip().startswith(".. math::") and block.strip() != ".. math::":
            blocks.append(_indented(block.replace(".. math::", "", 1)))
        else:
            blocks.append(block.strip() if block.strip() == ".. math::" else block)
    plain = re.sub(r":math:`([^`]+)`", lambda found: _formula(found[1]), "\n\n".join(blocks))
    return re.sub(r":\w+:`~?([^`]+)`", r"\1", plain).replace("``", "")


def _indented(block: str) -> str:
    return "\n".join(f"    {line}" for line in _formula(block).splitlines() if line.strip())


def _formula(latex: str) -> str:
    """Return a formula of LaTeX as text."""
    text = re.sub(r"\\(?:left|right|big|Big|bigl|bigr|Bigl|Bigr)(?![a-zA-Z])|\\[,;:! ]|&", "", latex)
    text = text.replace("\\\\", "\n").replace("\\{", "\x01").replace("\\}", "\x02").replace("\\|", "‖")
    text = re.sub(r"(\\[dt]?frac)\s*(\d)", r"\1{\2}", text)  # the short form of single signs
    text = re.sub(r"(\\[dt]?frac\s*\{[^{}]*\})\s*(\d|\\?[a-zA-Z]+)", r"\1{\2}", text)
    group = r"\{([^{}]*)\}"
    for _ in range(6):  # from the inside outwards
        text = re.sub(rf"\\[dt]?frac\s*{group}\s*{group}", lambda f: f"{_whole(f[1])}/{_whole(f[2])}", text)
        text = re.sub(rf"\\sqrt\s*{group}", r"sqrt(\1)", text)
        text = re.sub(rf"\\(?![dt]?frac|sqrt)([a-zA-Z]+)\s*{group}", lambda f: _word(f[1]) + f[2], text)
        text = re.sub(r"([_^])\{([^{}]*)\}", lambda f: f[1] + _whole(f[2]), text)
    text = re.sub(r"\\([a-zA-Z]+)", lambda f: _word(f[1]), text).replace("^ᵀ", "ᵀ")
    text = re.sub(r"[{}\\]", "", text).replace("\x01", "{").replace("\x02", "}")
    return "\n".join(re.sub(r"(?<=\S) +", " ", line).strip() for line in text.splitlines())


def _word(command: str) -> str:
    return _WORDS.get(command, "")


def _whole(part: str) -> str:
    """Return a part in parentheses, unless it is one word or number."""
    return part if re.fullmatch(r"\d+|\\?[^\W\d]\w*", part.strip()) else f"({part.strip()})"


def arguments(cls: type) -> dict[str, str]:
    """Return the descriptions of all arguments in the docstrings of a class and its bases; the class comes first.

    >>> class Base:
    ...     '''A base.
    ...
    ...     Args:
    ...         width: of the features,
    ...             in numbers.
    ...     '''
    >>> class Own(Base):
    ...     '''Another.
    ...
    ...     Args:
    ...         depth: layers.
    ...     '''
    >>> arguments(Own)
    {'depth': 'layers.', 'width': 'of the features, in numbers.'}
    """
    found: dict[str, str] = {}
    for each in cls.__mro__:
        for name, text in _arguments(inspect.cleandoc(vars(each).get("__doc__") or "")).items():
            found.setdefault(name, text)
    return found


def _arguments(doc: str) -> dict[str, str]:
    found: dict[str, str] = {}
    inside, name = False, ""
    for line in doc.splitlines():
        if _SECTION.match(line):
            inside = line.startswith("Args")
        elif inside and (begun := _ARGUMENT.match(line)):
            name = begun[1]
            found[name] = begun[2]
        elif inside and line.startswith("        ") and name:
            found[name] += f" {line.strip()}"
        elif line and not line.startswith(" "):
            inside = False
    return found
