"""Predictions corrected for class priors: known, equal, or estimated from the queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice, check_counts, check_positive
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["ClassPrior"]


class ClassPrior(Correction):
    r"""New class priors for given predictions (Saerens et al., Neural Computation 2002), https://doi.org/10.1162/089976602753284446.

    The softmax of scale * s(x, c) counts as p(c | x) under equal priors. Under priors pi, the prediction is

    .. math:: p_\pi(c \mid x) \propto \pi_c \, p(c \mid x)

    Expectation maximization over the queries estimates pi: each iteration replaces it with the mean prediction under
    it.

    Args:
        num_features: D, for the base.
        num_embedding: A, for the base.
        base: name of the method to correct, or a compatibility.
        base_settings: settings of a base given by name.
        prior: ``"estimated"`` from all queries (declares ``TEST_INPUTS``); ``"equal"``: with a bias per class such that
            the mean prediction over all queries is equal for all classes (declares ``TEST_INPUTS`` and
            ``TARGET_PRIOR``, because it claims to know the priors); or the shares themselves, one per candidate in
            order, which need not sum to 1 (declares ``TARGET_PRIOR``; does not depend on other queries).
        scale: inverse temperature of the softmax.
        iterations: number of iterations of the estimate.

    >>> known = ClassPrior(base="cosine", prior=[1.0, 1.0], scale=1.0)
    >>> known.bind(torch.eye(2), seen=torch.zeros(2).bool())(torch.ones(1, 2)).softmax(dim=1).tolist()
    [[0.5, 0.5]]

    Differs from the paper: nothing is trained, so the original priors are taken as equal.
    """

    label = "class prior"
    paper = Paper(
        title="Adjusting the Outputs of a Classifier to New a Priori Probabilities: A Simple Procedure",
        authors=("Saerens", "Latinne", "Decaestecker"),
        venue="Neural Computation",
        year=2002,
        doi="10.1162/089976602753284446",
    )
    sees = Correction.sees | frozenset({Sees.TARGET_PRIOR})
    variants = (
        {"base": "ridge"},
        {"base": "ridge", "prior": "equal"},
        {"base": "ridge", "prior": (0.2, 0.5, 0.3)},
    )

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
        prior: Literal["estimated", "equal"] | Sequence[float] = "estimated",
        scale: float = 20.0,
        iterations: int = 50,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_positive(scale=scale)
        check_counts(iterations=iterations)
        if isinstance(prior, str):
            check_choice(prior, ("estimated", "equal"), what="prior")
        elif isinstance(prior, (int, float)):
            raise TypeError(f"prior {prior!r}; expected estimated, equal or a share for each candidate")
        elif not prior or min(prior) <= 0:
            raise ValueError(f"prior {list(prior)}; expected a share > 0 for each candidate")
        self.prior, self.scale, self.iterations = prior, scale, iterations
        self.sees = self.base.sees | _SEES.get(str(prior), frozenset({Sees.TARGET_PRIOR}))

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) to log-probabilities (B, C) under the prior.

        Raises:
            ValueError: the numbers of shares and candidates differ.
        """
        logits = self.scale * scores
        if not isinstance(self.prior, str):
            if len(self.prior) != scores.shape[1]:
                raise ValueError(f"{len(self.prior)} prior shares for {scores.shape[1]} candidates; expected one each")
            shares = torch.tensor(self.prior, dtype=scores.dtype, device=scores.device)
            return (logits + shares.log()).log_softmax(dim=1)
        bias = _estimated(logits, self.iterations) if self.prior == "estimated" else _balanced(logits, self.iterations)
        return (logits + bias).log_softmax(dim=1)


_SEES = {
    "estimated": frozenset({Sees.TEST_INPUTS}),
    "equal": frozenset({Sees.TEST_INPUTS, Sees.TARGET_PRIOR}),
}


def _mean_answer(logits: Tensor) -> Tensor:
    """Return the log of the mean softmax (C,) of logits (B, C)."""
    total: Tensor = logits.log_softmax(dim=1).logsumexp(dim=0)
    return total - torch.tensor(len(logits)).log().to(logits)


def _estimated(logits: Tensor, iterations: int) -> Tensor:
    """Return the log prior (C,) that equals the mean prediction under it."""
    log_prior = torch.zeros_like(logits[0]).log_softmax(dim=0)
    for _ in range(iterations):
        log_prior = _mean_answer(logits + log_prior)
    return log_prior


def _balanced(logits: Tensor, iterations: int) -> Tensor:
    """Return the bias (C,) under which the mean prediction is equal for all classes (Sinkhorn's iteration)."""
    bias = torch.zeros_like(logits[0])
    for _ in range(iterations):
        bias = bias - _mean_answer(logits + bias)
        bias = bias - bias.mean()
    return bias
