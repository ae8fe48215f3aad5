"""DAP: predict each attribute, and score classes by their attributes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.base import fitted
from tlzoo.methods.compatibility import LearnedCompatibility
from tlzoo.paper import Paper
from tlzoo.types import Scorer

__all__ = ["DAP"]


class DAP(LearnedCompatibility):
    r"""Direct attribute prediction (Lampert et al., CVPR 2009; TPAMI 2014), https://doi.org/10.1109/TPAMI.2013.140.

    .. math:: s(x, c) = \sum_m \log p(a_m^c \mid x) - \log p(a_m^c)

    for a class c with attributes a. The prior of an attribute is its mean over the seen classes. A real-valued entry of
    a class embedding counts as the attribute "above the mean over the seen classes", as the paper binarizes it.

    Args:
        num_features: D.
        num_embedding: M, the number of attributes.
        penalty: penalty of the squared weights in each logistic regression, relative to the sum of losses.
        iterations: largest number of L-BFGS iterations, which solve all of them at once.

    >>> attributes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    >>> dap = DAP(2, 2, penalty=0.1).fit(attributes - 0.5, torch.arange(4), attributes)
    >>> dap.bind(attributes, seen=torch.ones(4).bool())(attributes - 0.5).argmax(dim=1).tolist()
    [0, 1, 2, 3]

    Differs from the paper: logistic regression on L2-normalized features instead of support vector machines with a
    fitted sigmoid. An attribute that all seen classes or none of them have is left out, because nothing can be learned
    about it.
    """

    paper = Paper(
        title="Attribute-Based Classification for Zero-Shot Visual Object Categorization",
        authors=("Lampert", "Nickisch", "Harmeling"),
        venue="TPAMI",
        year=2014,
        doi="10.1109/TPAMI.2013.140",
    )

    def __init__(self, num_features: int, num_embedding: int, *, penalty: float = 1.0, iterations: int = 100) -> None:
        super().__init__(num_features, num_embedding)
        check_positive(penalty=penalty)  # at 0 separable attributes have no solution
        check_counts(iterations=iterations)
        self.penalty, self.iterations = penalty, iterations
        self.reserve("weight", num_features + 1, num_embedding)
        self.reserve("threshold", num_embedding)
        self.reserve("prior", num_embedding)

    def learn(self, features: Tensor, labels: Tensor, class_embeddings: Tensor) -> None:
        """Fit the attributes' classifiers, in float64."""
        embeddings = class_embeddings.double()
        threshold = embeddings.mean(dim=0)
        attributes = (embeddings > threshold).double()
        x = _with_constant(F.normalize(features, dim=1).double())
        self.weight = _logistic(x, attributes[labels], self.penalty, self.iterations).to(features)
        self.threshold, self.prior = threshold.to(features), attributes.mean(dim=0).to(features)

    def scorer(self, class_embeddings: Tensor, seen: Tensor) -> Scorer:
        """Return the log-odds of the candidates' attributes."""
        weight, prior = fitted(self, "weight"), fitted(self, "prior")
        has = (class_embeddings > fitted(self, "threshold")).to(weight)
        known = (prior > 0) & (prior < 1)

        def score(features: Tensor) -> Tensor:
            logits = _with_constant(F.normalize(features, dim=1)) @ weight
            present = F.logsigmoid(logits) - prior.where(known, 0.5).log()
            absent = F.logsigmoid(-logits) - (1 - prior.where(known, 0.5)).log()
            return (present * known) @ has.T + (absent * known) @ (1 - has).T

        return score


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, features.new_ones(len(features), 1)], dim=1)


def _logistic(x: Tensor, targets: Tensor, penalty: float, iterations: int) -> Tensor:
    """Return the weights (D + 1, M) of penalized logistic regressions of targets (N, M); the constant is free."""
    x, targets = x.detach(), targets.detach()
    weight = x.new_zeros(x.shape[1], targets.shape[1]).requires_grad_()
    solver = torch.optim.LBFGS(
        [weight], max_iter=iterations, tolerance_grad=1e-7, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        losses = F.binary_cross_entropy_with_logits(x @ weight, targets, reduction="sum")
        # a tiny penalty keeps the constant finite if all targets agree
        value = losses + 0.5 * penalty * (weight[:-1].square().sum() + 1e-3 * weight[-1].square().sum())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    with torch.enable_grad():
        solver.step(objective)  # type: ignore[no-untyped-call]
    return weight.detach()
