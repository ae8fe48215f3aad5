"""JDA: components whose mean, and whose mean in every class, is the same in both domains."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional.checks import check_counts
from tlzoo.functional.transfer_components import mean_contrasts
from tlzoo.methods.transfer_components import Kernel, TransferComponents, marginal_contrast, nearest_labels
from tlzoo.paper import Paper
from tlzoo.space import Choice, LogUniform, Space

__all__ = ["JDA"]


class JDA(TransferComponents):
    r"""Joint distribution adaptation (Long et al., ICCV 2013), https://doi.org/10.1109/ICCV.2013.274.

    As :class:`~tlzoo.methods.adaptation.tca.TCA`, but the means of every class are aligned, too:

    .. math:: M \propto C \, e_0 e_0^\top + \sum_{c=1}^{C} e_c e_c^\top

    with the contrast e_0 of the domains and e_c of class c. The target's classes are those of the nearest source
    example among the components of the round before. The factor C is that of the authors' script.

    Differs from the paper: the scale of components and rows is that of the authors' script, see the base class.

    Args:
        num_features: D.
        num_classes: C.
        rounds: how often components are found; the first round is TCA.
        dimensions: K.
        regularization: lambda.
        kernel: ``"linear"`` or ``"primal"``.
        unit_length: whether rows have length 1 before and after.
        standardize: whether each domain is standardized first.

    >>> generator = torch.Generator().manual_seed(0)
    >>> source, labels = torch.randn(40, 5, generator=generator), torch.arange(40) % 2
    >>> JDA(5, 2, dimensions=2).fit(source, source + 3, labels).transform_target(source).shape
    torch.Size([40, 2])
    """

    paper = Paper(
        title="Transfer Feature Learning with Joint Distribution Adaptation",
        authors=("Long", "Wang", "Ding", "Sun", "Yu"),
        venue="ICCV",
        year=2013,
        doi="10.1109/ICCV.2013.274",
    )
    supervised = True
    space = Space(dimensions=Choice((20, 50, 100, 200)), regularization=LogUniform(0.01, 100.0))
    variants = ({}, {"dimensions": 2, "kernel": "primal", "rounds": 2})

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        rounds: int = 10,
        dimensions: int = 100,
        regularization: float = 1.0,
        kernel: Kernel = "linear",
        unit_length: bool = True,
        standardize: bool = True,
    ) -> None:
        super().__init__(
            num_features,
            num_classes,
            dimensions=dimensions,
            regularization=regularization,
            kernel=kernel,
            unit_length=unit_length,
            standardize=standardize,
        )
        check_counts(rounds=rounds)
        self.rounds = rounds

    def fit_maps_by_class(self, source: Tensor, labels: Tensor, target: Tensor) -> None:
        """Find the components of source (N, D) with labels (N,) and target (M, D), in float64.

        Raises:
            ValueError: a side is empty, or nothing varies.
        """
        points, back = self.coordinates(*self.factors(source, target))
        answers: Tensor | None = None
        for _ in range(self.rounds):
            mapped = self.learn(points, self.contrasts(labels, answers, len(target), points), back)
            found = nearest_labels(mapped[: len(source)], labels, mapped[len(source) :])
            if answers is not None and torch.equal(found, answers):
                break  # the rounds to come would find the same components
            answers = found

    def contrasts(self, labels: Tensor, answers: Tensor | None, size: int, like: Tensor) -> Tensor:
        """Return E (N + M, P) for labels (N,) and the target's answers (M,), None in the first round."""
        domains = marginal_contrast(len(labels), size, like)
        if answers is None:
            return domains
        return torch.cat(
            [self.num_classes**0.5 * domains, mean_contrasts(labels, answers, self.num_classes).to(like)], dim=1
        )
