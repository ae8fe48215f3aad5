"""DeepEMD: the cost of moving a query's feature map onto that of a class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tlzoo.errors import InputError
from tlzoo.functional import memberships, transport_plans
from tlzoo.functional.checks import check_counts, check_positive
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.nn.random_stream import RandomStream
from tlzoo.paper import Paper
from tlzoo.space import LogUniform, Space

__all__ = ["DeepEMD"]

_LEAST = 1e-3 + 1e-5  # what the authors' code adds to a weight before and within the solver


class DeepEMD(EpisodeClassifier):
    r"""Earth mover's distance between feature maps (Zhang et al., CVPR 2020), https://arxiv.org/abs/2003.06777.

    .. math:: \text{logits}_c = \frac{T}{P} \sum_{i,j} x_{ij} \cos(\bar q_i, \bar s_{c,j}), \qquad
        x = \arg\min_{x \ge 0} \sum_{i,j} x_{ij} (1 - \cos(\bar q_i, \bar s_{c,j}))

    from the P places of a query's map to those of a class, centered over channels. The masses of places are the cross
    references of the two maps, :math:`\max(q_i^\top \operatorname{mean}_j s_{c,j}, 0)` and the like, scaled to sum to
    P. The plan is constant for the gradient, as in the authors' code. With more than one shot, the map of a class is
    the mean of its shots, then trained to classify them (the structured fully connected layer).

    Features are flattened maps, channels first, as ``conv4`` returns them: 1,600 features are 64 channels at 25 places.
    With one place, the distance is one minus the cosine of centered features.

    Every query and class is a linear program, solved on the CPU. One thread takes 25 ms for an episode of 5 classes and
    75 queries at one place, and 45 ms at 25 places. Several shots are far slower: a pass over 5 shots a class takes
    0.3 s at 25 places, so the authors' 100 passes take half a minute an episode.

    Differs from the paper: the variants on grids and crops of pictures and the feature pyramid are left out; POT solves
    the programs, OpenCV in the authors' code.

    Args:
        places: P, positions of a map; a divisor of the number of features.
        temperature: T.
        steps: passes over the support that train the maps of the classes, with more than one shot.
        lr: learning rate of these steps.
        batch_size: support items per step.
    """

    label = "DeepEMD"
    paper = Paper(
        title="DeepEMD: Few-Shot Image Classification with Differentiable Earth Mover's Distance and Structured "
        "Classifiers",
        authors=("Zhang", "Cai", "Lin", "Shen"),
        venue="CVPR",
        year=2020,
        arxiv="2003.06777",
    )
    space = Space(temperature=LogUniform(1.0, 100.0))
    variants = ({"steps": 2}, {"places": 2, "steps": 2})

    def __init__(
        self,
        *,
        places: int = 1,
        temperature: float = 12.5,
        steps: int = 100,
        lr: float = 0.1,
        batch_size: int = 4,
    ) -> None:
        super().__init__()
        check_counts(places=places, batch_size=batch_size)
        check_counts(low=0, steps=steps)
        check_positive(temperature=temperature, lr=lr)
        self.places, self.temperature, self.steps, self.lr, self.batch_size = places, temperature, steps, lr, batch_size
        self.random = RandomStream()

    @property
    def order_matters(self) -> bool:
        """Whether order matters: the steps of several shots draw items by place."""
        return self.steps > 0

    def answer(self, support: Tensor, support_labels: Tensor, query: Tensor, *, way: int) -> Tensor:
        """Map support (E, S, D), support_labels (E, S) and query (E, Q, D) to logits (E, Q, way)."""
        if support.shape[-1] % self.places:
            raise InputError(
                f"DeepEMD: features of width {support.shape[-1]} are no maps of {self.places} places; set places to "
                "the positions of the backbone's map"
            )
        support, query = (side.reshape(*side.shape[:2], -1, self.places) for side in (support, query))
        shares = memberships(support_labels, way, dtype=support.dtype)
        shares = shares / shares.sum(dim=1, keepdim=True)
        classes = torch.einsum("esw,escp->ewcp", shares, support)
        logits = []
        for shown, labels, own, asked in zip(support, support_labels, classes, query, strict=True):
            trained = own if len(shown) == way else self._trained(own, shown.detach(), labels)
            logits.append(self._similarity(asked, trained))
        return torch.stack(logits)

    def _trained(self, classes: Tensor, support: Tensor, labels: Tensor) -> Tensor:
        """Return the maps of the classes (way, C, P) after gradient steps on the support."""
        if not self.steps:
            return classes
        maps, generator = classes.detach().clone().requires_grad_(True), self.random.constant()
        optimizer = torch.optim.SGD([maps], lr=self.lr, momentum=0.9, dampening=0.9)
        with torch.enable_grad():
            for _ in range(self.steps):
                for rows in torch.split(torch.randperm(len(support), generator=generator), self.batch_size):
                    loss = F.cross_entropy(self._similarity(support[rows], maps), labels[rows])
                    (maps.grad,) = torch.autograd.grad(loss, [maps])
                    optimizer.step()
        return maps.detach()

    def _similarity(self, query: Tensor, classes: Tensor) -> Tensor:
        """Return the logits (Q, way) of maps (Q, C, P) for those of the classes (way, C, P)."""
        ours = torch.einsum("qcp,wc->qwp", query, classes.mean(dim=2)).clamp_min(0) + _LEAST
        theirs = torch.einsum("wcp,qc->qwp", classes, query.mean(dim=2)).clamp_min(0) + _LEAST
        first, second = (
            F.normalize(maps - maps.mean(dim=1, keepdim=True), dim=1, eps=1e-8) for maps in (query, classes)
        )
        cosines = torch.einsum("qcp,wcr->qwpr", first, second)
        pairs = (1 - cosines).flatten(0, 1), ours.flatten(0, 1), theirs.flatten(0, 1)
        plans = transport_plans(*pairs).view_as(cosines)  # masses sum to 1: P times these plans, divided by P
        return self.temperature * (plans * cosines).sum(dim=(2, 3))
