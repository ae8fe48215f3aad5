"""OTTER: answers of all queries at once, such that classes are as frequent as they are said to be."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from tlzoo.functional.checks import check_choice, check_positive
from tlzoo.functional.label_shift import otter_shares
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.zeroshot.correction import Correction
from tlzoo.paper import Paper
from tlzoo.types import Sees

__all__ = ["OTTER"]

_SHARE = math.log(1e-6)


class OTTER(Correction):
    r"""Label distribution adaptation by optimal transport (Shin et al., NeurIPS 2024), https://arxiv.org/abs/2404.08461.

    .. math:: \min_{\gamma \ge 0} - \sum_{ic} \gamma_{ic} \ln p(c \mid x_i) \quad \text{with} \quad
        \gamma 1 = \tfrac{1}{B} 1, \; \gamma^\top 1 = \pi

    for the class proportions pi of the queries. Each is answered by the class that gets most of its mass. The plan
    is exact, and the same at any temperature of p.

    Args:
        num_features: D, for the base.
        num_embedding: A, for the base.
        base: name of the method to correct, or a compatibility.
        base_settings: settings of a base given by name.
        prior: pi: ``"equal"``, or the shares, one per candidate in order, which need not sum to 1. Either way it claims
            to know them (declares ``TARGET_PRIOR``, beside ``TEST_INPUTS``);
            :func:`tlzoo.functional.bbse_prior` and :func:`~tlzoo.functional.em_prior` estimate some.
        scale: inverse temperature of p, for the order of the classes that get no mass.

    Its scorer takes all queries at once, and returns log-probabilities: the shares of the plan, which are mixed with a
    millionth of p.

    >>> both = OTTER(base="cosine").bind(torch.eye(2), seen=torch.zeros(2).bool())
    >>> both(torch.tensor([[0.9, 0.1], [0.8, 0.2]])).argmax(dim=1).tolist()  # the second is the less certain one
    [0, 1]
    """

    paper = Paper(
        title="OTTER: Effortless Label Distribution Adaptation of Zero-shot Models",
        authors=("Shin", "Zhao", "Cromp", "Vishwakarma", "Sala"),
        venue="NeurIPS",
        year=2024,
        arxiv="2404.08461",
    )
    adds = frozenset({Sees.TEST_INPUTS, Sees.TARGET_PRIOR})
    sees = Compatibility.sees | adds
    variants = ({"base": "ridge"}, {"base": "ridge", "prior": (0.2, 0.5, 0.3)})

    def __init__(
        self,
        num_features: int | None = None,
        num_embedding: int | None = None,
        *,
        base: str | Compatibility,
        base_settings: Mapping[str, Any] | None = None,
        prior: Literal["equal"] | Sequence[float] = "equal",
        scale: float = 20.0,
    ) -> None:
        super().__init__(num_features, num_embedding, base=base, base_settings=base_settings)
        check_positive(scale=scale)
        if isinstance(prior, str):
            check_choice(prior, ("equal",), what="prior")
        elif isinstance(prior, (int, float)):
            raise TypeError(f"prior {prior!r}; expected equal or a share for each candidate")
        elif not prior or min(prior) <= 0:
            raise ValueError(f"prior {list(prior)}; expected a share > 0 for each candidate")
        self.prior, self.scale = prior, scale

    def corrected(self, scores: Tensor, seen: Tensor) -> Tensor:
        """Map scores (B, C) of all queries to log-probabilities (B, C).

        Raises:
            ValueError: the numbers of shares and candidates differ.
        """
        classes = scores.shape[1]
        prior = [1.0] * classes if isinstance(self.prior, str) else list(self.prior)
        if len(prior) != classes:
            raise ValueError(f"{len(prior)} prior shares for {classes} candidates; expected one each")
        logs = (self.scale * scores).log_softmax(dim=1)
        shares = otter_shares(logs, scores.new_tensor(prior))
        return torch.logaddexp(shares.log(), logs + _SHARE).log_softmax(dim=1)
