"""EM-Dirichlet: each class is a Dirichlet distribution of zero-shot predictions, fitted to all queries."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.methods.image_text_classifier import ImageTextClassifier, one_hot
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform
from tlzoo.types import Sees

__all__ = ["EMDirichlet"]

_EPSILON = 1e-15


class EMDirichlet(ImageTextClassifier):
    r"""EM-Dirichlet (Martin et al., CVPR 2024), https://arxiv.org/abs/2405.18437.

    Features are the zero-shot probabilities z of the classes. Alternates between Dirichlet distributions of the
    classes, fitted to the support by its labels and to the queries by their assignments u, and

    .. math::

        u_i = \operatorname{softmax}_c ( \ln \operatorname{Dir}(z_i \mid \alpha_c) + w (\ln \pi_c + 1) ), \qquad
        \pi_c = \tfrac{1}{Q} \sum_i u_{ic}

    whose second term favors few classes among the queries. The parameters alpha take steps of majorization and
    minimization. It asks for no balanced queries, but answers them together.

    Differs from the paper: a fixed number of inner steps, at most 1,000 in the authors' code; w is a setting, for which
    the paper takes the number of all classes over that of the classes among the queries; everything is in float64.

    Args:
        scale: tau, the factor of cosines; 30 in the authors' code.
        partition_weight: w.
        rounds: number of alternations.
        steps: inner steps in each.
    """

    label = "EM-Dirichlet"
    paper = Paper(
        title="Transductive Zero-Shot and Few-Shot CLIP",
        authors=("Martin", "Huang", "Shakeri", "Pesquet", "Ben Ayed"),
        venue="CVPR",
        year=2024,
        arxiv="2405.18437",
    )
    sees = ImageTextClassifier.sees | {Sees.TEST_INPUTS}
    space = Space(scale=LogUniform(5.0, 100.0), partition_weight=Uniform(0.0, 4.0))
    variants = ({"steps": 10, "rounds": 3}, {"steps": 10, "rounds": 3, "partition_weight": 0.0})

    def __init__(
        self, *, scale: float = 30.0, partition_weight: float = 1.0, rounds: int = 20, steps: int = 50
    ) -> None:
        super().__init__(scale=scale)
        check_at_least(0, partition_weight=partition_weight)
        check_counts(rounds=rounds, steps=steps)
        self.partition_weight, self.rounds, self.steps = partition_weight, rounds, steps

    def answer(self, support: Tensor, labels: Tensor, query: Tensor, texts: Tensor, *, way: int) -> Tensor:
        """Return the logits of the assignments."""
        guesses = [self.text_logits(side.double(), texts.double()).log_softmax(dim=-1) for side in (support, query)]
        shown, asked = ((guess.exp() + _EPSILON).log() for guess in guesses)
        targets = F.pad(one_hot(labels, way, shown), (0, texts.shape[1] - way))
        known, counts = targets.mT @ shown.detach(), targets.sum(dim=1).log()
        logits, share = asked, guesses[1].detach()
        alpha = torch.ones_like(share[:, :1]).expand(-1, texts.shape[1], -1)
        for _ in range(self.rounds):  # logarithms, because the queries may leave a class next to nothing
            amount = torch.logaddexp(counts, share.logsumexp(dim=1)).unsqueeze(1)
            means = known / amount.exp().mT.clamp_min(_EPSILON) + (share - amount).exp().mT @ asked.detach()
            alpha = self._fitted(alpha, means)
            prior = self.partition_weight * ((share.exp().mean(dim=1) + _EPSILON).log() + 1)
            norm = torch.lgamma(alpha.sum(dim=-1)) - torch.lgamma(alpha).sum(dim=-1)
            logits = asked @ (alpha - 1).mT + (norm + prior).unsqueeze(1)
            share = logits.detach().log_softmax(dim=-1)
        return logits.to(query)

    @torch.no_grad()
    def _fitted(self, alpha: Tensor, means: Tensor) -> Tensor:
        """Return the parameters (E, C, C) after steps towards the largest likelihood of mean logarithms (E, C, C)."""
        for _ in range(self.steps):  # in place: most of the time is in these elementwise steps
            shifted = alpha + 1
            linear, size = torch.digamma(shifted), shifted.lgamma_()
            size.addcmul_(alpha, linear, value=-1).div_(alpha)
            linear.add_(size, alpha=2).sub_(means).sub_(torch.digamma(alpha.sum(dim=-1, keepdim=True)))
            twice_bound = size.div_(alpha).mul_(-4)
            alpha = (2 * twice_bound).addcmul_(linear, linear).sqrt_().sub_(linear).div_(twice_bound)
        return alpha
