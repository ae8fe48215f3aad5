"""iLPC: propagate labels, keep the cleanest of each class as support, and repeat."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.functional import memberships, nearest_neighbors
from tlzoo.functional.checks import check_choice, check_counts, check_positive, check_shares
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space, Uniform
from tlzoo.types import Sees

__all__ = ["ILPC"]

_TINY = 1e-10
_MOMENTUM, _DECAY = 0.9, 5e-4
_CLOSE, _ROUNDS = 1e-6, 1000  # where the scaling of rows and columns ends


class ILPC(EpisodeClassifier):
    r"""Iterative label propagation and cleaning (Lazarou, Stathaki & Avrithis, ICCV 2021), https://arxiv.org/abs/2012.07962.

    Features are raised to a power, normalized, centered by all items of the episode, and normalized again. Labels
    spread over the graph of nearest neighbors,

    .. math::

        Z = (I - \alpha \mathcal{W})^{-1} Y, \qquad \mathcal{W} = D^{-1/2} (A + A^\top) D^{-1/2}, \qquad
        A_{ij} = [x_i^\top x_j]_+^3

    and the queries' rows of Z, as shares raised to the power T, are scaled until each query has one label and each
    class its number of queries. A softmax, which starts at the class means, is trained on these labels. The queries of
    each class whose loss was lowest on average over the training join the support; the others are labelled anew. The
    logits are the logarithms of a query's row when it joined. Transductive.

    Args:
        power: power of the features, which should not be negative; negative values count as zero.
        queries: ``"balanced"``: each class has the same number of queries, as in the paper's main tables;
            ``"unbalanced"``: no such assumption, and nothing is scaled.
        share: alpha, the share that an item takes from its neighbors.
        neighbors: number of neighbors of each item.
        sharpness: T.
        selected: queries of each class that join the support in a round.
        steps: steps of gradient descent on the softmax in each round.
        rate: their learning rate.

    Differs from the paper: the authors' code solves for Z by 20 steps of conjugate gradients, draws the softmax's
    biases, which start at zero here, and ends when a round would add fewer than five queries.

    >>> support, labels, query = torch.eye(2).unsqueeze(0), torch.tensor([[0, 1]]), torch.tensor([[[9.0, 0.0], [0, 9]]])
    >>> ILPC(steps=10)(support, labels, query, way=2).argmax(dim=-1).tolist()
    [[0, 1]]
    """

    label = "iLPC"
    paper = Paper(
        title="Iterative Label Cleaning for Transductive and Semi-Supervised Few-Shot Learning",
        authors=("Lazarou", "Stathaki", "Avrithis"),
        venue="ICCV",
        year=2021,
        arxiv="2012.07962",
    )
    sees = EpisodeClassifier.sees | {Sees.TEST_INPUTS}
    space = Space(share=Uniform(0.5, 0.95), sharpness=LogUniform(1.0, 5.0))
    variants = ({"steps": 20}, {"steps": 20, "queries": "unbalanced", "selected": 1})
    rotation_invariant = True

    def __init__(
        self,
        *,
        power: float = 0.5,
        queries: Literal["balanced", "unbalanced"] = "balanced",
        share: float = 0.8,
        neighbors: int = 15,
        sharpness: float = 3.0,
        selected: int = 3,
        steps: int = 1000,
        rate: float = 0.1,
    ) -> None:
        super().__init__()
        check_positive(power=power, sharpness=sharpness, rate=rate)
        check_choice(queries, ("balanced", "unbalanced"), what="queries")
        check_shares(above_zero=True, below_one=True, share=share)
        check_counts(neighbors=neighbors, selected=selected, steps=steps)
        self.power, self.queries, self.share, self.neighbors = power, queries, share, neighbors
        self.sharpness, self.selected, self.steps, self.rate = sharpness, selected, steps, rate

    def transform(self, features: Tensor) -> Tensor:
        """Return features (..., D) raised to the power and normalized."""
        return F.normalize((features.relu() + 1e-6) ** self.power, dim=-1)

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map transformed support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        memberships(support_labels, way, dtype=support.dtype)  # checks them
        items, shown = torch.cat([support, query], dim=1).double(), support.shape[1]
        items = F.normalize(items - items.mean(dim=1, keepdim=True), dim=-1)
        products = items @ items.mT
        reach, fixed = self._spread(products)[:, shown:], products.detach()
        labels = F.pad(support_labels, (0, query.shape[1]))
        known = torch.arange(items.shape[1], device=labels.device).expand_as(labels) < shown
        left = items.new_full((len(items), way), query.shape[1] / way)
        logits = items.new_zeros(*query.shape[:2], way)
        for _ in range(query.shape[1]):  # every round adds one query at least
            asked = ~known[:, shown:]
            rows = self._labelled(reach @ (F.one_hot(labels, way) * known.unsqueeze(-1)).to(reach), asked, left)
            labels = torch.cat([labels[:, :shown], torch.where(asked, rows.argmax(dim=-1), labels[:, shown:])], dim=1)
            own = F.one_hot(labels[:, shown:], way).bool() & asked.unsqueeze(-1)
            joining = own.clone()
            crowded = (own.sum(dim=1) > self.selected).any(dim=-1).nonzero()[:, 0]  # elsewhere all join
            if len(crowded):
                losses = self._losses(fixed[crowded], labels[crowded], known[crowded], way)[:, shown:]
                joining[crowded] = self._cleanest(losses, own[crowded])
            logits = torch.where(joining.any(dim=-1, keepdim=True), rows, logits)
            left = (left - joining.sum(dim=1)).clamp_min(0)
            known = torch.cat([known[:, :shown], ~asked | joining.any(dim=-1)], dim=1)
            if bool(known.all()):
                break
        return logits.to(query)

    def _spread(self, products: Tensor) -> Tensor:
        """Return the inverse (E, N, N) that spreads labels, for the inner products (E, N, N) of items."""
        edges = nearest_neighbors(products, self.neighbors) * products.clamp_min(0) ** 3
        edges = edges + edges.mT
        degrees = edges.sum(dim=2, keepdim=True).clamp_min(_TINY).sqrt()
        system = torch.eye(edges.shape[1]).to(edges) - self.share * edges / degrees / degrees.mT
        factor, _ = torch.linalg.cholesky_ex(system)  # NaN stays NaN, and is reported with its episode
        return torch.cholesky_inverse(factor)

    def _labelled(self, reached: Tensor, asked: Tensor, left: Tensor) -> Tensor:
        """Return the logarithms (E, Q, way) of the shares of classes, scaled to ``left`` (E, way) queries a class."""
        shares = reached / reached.sum(dim=-1, keepdim=True).clamp_min(_TINY)
        rows = self.sharpness * shares.clamp_min(_TINY).log()
        if self.queries == "unbalanced":
            return rows.log_softmax(dim=-1)
        plan = rows.detach().exp() * asked.unsqueeze(-1)
        scaled, before = plan, torch.zeros_like(plan[..., 0])
        for _ in range(_ROUNDS):
            sums = scaled.sum(dim=-1)
            moving = ((sums - before).abs().amax(dim=-1) > _CLOSE).view(-1, 1, 1)
            if not bool(moving.any()):
                break
            step = scaled / sums.unsqueeze(-1).clamp_min(_LEAST)
            step = step * (left / step.sum(dim=1).clamp_min(_LEAST)).unsqueeze(1)
            scaled, before = torch.where(moving, step, scaled), sums
        factors = (scaled / plan.clamp_min(_LEAST)).clamp_min(_LEAST)
        return rows + factors.log()

    @torch.no_grad()
    def _losses(self, products: Tensor, labels: Tensor, known: Tensor, way: int) -> Tensor:
        """Return the mean loss (E, N) of each item while a softmax is trained on all labels (E, N)."""
        targets = F.one_hot(labels, way).to(products).mT.contiguous()  # (E, way, N): a softmax over rows is fast
        members = targets * known.unsqueeze(1)
        means = members / members.sum(dim=-1, keepdim=True)
        lengths = (means * (means @ products)).sum(dim=-1, keepdim=True).clamp_min(_TINY).sqrt()
        weights, bias = means / lengths, torch.zeros_like(lengths)
        speed, drift, losses = torch.zeros_like(weights), torch.zeros_like(bias), torch.zeros_like(weights[:, 0])
        for _ in range(self.steps):
            scores = (weights @ products).add_(bias).log_softmax(dim=1)
            losses = losses - scores.gather(1, labels.unsqueeze(1))[:, 0] / self.steps
            wrong = scores.exp_().sub_(targets).div_(labels.shape[1])
            drift.mul_(_MOMENTUM).add_(wrong.sum(dim=-1, keepdim=True)).add_(bias, alpha=_DECAY)
            speed.mul_(_MOMENTUM).add_(wrong).add_(weights, alpha=_DECAY)
            weights.sub_(speed, alpha=self.rate)
            bias.sub_(drift, alpha=self.rate)
        return losses

    def _cleanest(self, losses: Tensor, own: Tensor) -> Tensor:
        """Return which queries (E, Q, way) have the lowest losses (E, Q) of their class, of those it has: ``own``."""
        order = losses.unsqueeze(-1).masked_fill(~own, torch.inf).argsort(dim=1, stable=True)
        return torch.zeros_like(own).scatter(1, order[:, : self.selected], True) & own


_LEAST = 1e-300
"""Least mass of a row or a column, which is divided by."""
