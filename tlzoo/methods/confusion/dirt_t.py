"""DIRT-T: without source data, move the decision boundary step by step into the gaps of the target."""

from __future__ import annotations

import torch
from torch import Tensor

from tlzoo.functional import divergence, entropy
from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.confusion.vada import VADA
from tlzoo.methods.source_free import SourceFree
from tlzoo.nn.memory_bank import Memory
from tlzoo.nn.virtual_adversary import VirtualAdversary
from tlzoo.space import LogUniform, Space
from tlzoo.types import Context, Losses, Need, Prediction

__all__ = ["DIRTT"]


class DIRTT(SourceFree):
    r"""Decision-boundary iterative refinement training with a teacher (Shu et al., ICLR 2018), https://arxiv.org/abs/1802.08735.

    It starts from a VADA model and minimizes on the target

    .. math::

        H(p(x)) + \mathrm{KL}\left(p(x) \parallel p(x + r)\right)
        + a \, \mathrm{KL}\left(q(x) \parallel p(x)\right)

    with r as in :class:`~tlzoo.methods.confusion.vada.VADA` and the predictions q of a teacher, the model of at most
    ``interval`` epochs ago. Only the teacher's predictions matter, so they are stored for the whole target instead of a
    second network.

    Differs from the paper: the loss is divided by lambda_t (``anchoring`` = beta / lambda_t), which makes no difference
    under Adam, but does under SGD. Teacher and model are not averaged over time.

    Args:
        num_features: D.
        num_classes: C.
        radius: length of perturbations, in units of the preprocessed inputs.
        anchoring: a, weight of the teacher.
        interval: epochs between teachers.
    """

    label = "DIRT-T"
    paper = VADA.paper
    revision = 2
    needs = frozenset({Need.MODEL, Need.INDICES})
    starts_from = "confusion/vada"
    space = Space(radius=LogUniform(0.5, 8.0), anchoring=LogUniform(0.1, 10.0))
    variants = ({"radius": 0.5}, {"radius": 0.5, "interval": 2})
    epoch: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        radius: float = 3.5,
        anchoring: float = 1.0,
        interval: int = 1,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(interval=interval)
        check_at_least(0, anchoring=anchoring)
        self.anchoring, self.interval = anchoring, interval
        self.adversary = VirtualAdversary(radius)
        self.teacher = Memory(logits=torch.zeros(0, num_classes))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))

    @property
    def transformable(self) -> bool:
        """It draws random numbers."""
        return False

    @property
    def order_matters(self) -> bool:
        """Whether order matters: the search for a perturbation starts from one random number per position."""
        return True

    def on_epoch(self, target: Prediction) -> None:
        """Every ``interval`` epochs, store the predictions for the whole target, logits (N, C), as the teacher's."""
        if int(self.epoch) % self.interval == 0:
            logits = at_least_float32(target.logits.detach())
            self.teacher.logits = logits.clone() if target.indices is None else logits[target.indices.argsort()]
        self.epoch.add_(1)

    def term(self, target: Prediction, context: Context) -> Losses:
        """Return the loss of ``target.logits`` (M, C) given the teacher's by ``target.indices`` (M,).

        Raises:
            ValueError: the model, the inputs, the indices or the teacher's predictions are missing.
        """
        answers = self.teacher.get_buffer("logits")
        if target.indices is None or int(target.indices.max()) >= len(answers):
            raise ValueError(
                f"dirt_t has the teacher's predictions for {len(answers)} examples and got indices {target.indices}; "
                "call on_epoch with the whole target first, and index the examples by their position in it"
            )
        change = self.adversary(context.model, target=target)["target"]
        uncertainty = entropy(target.logits).mean()
        moved = divergence(answers[target.indices], target.logits).mean()
        return {
            "loss": uncertainty + change.mean() + self.anchoring * moved,
            "entropy": uncertainty.detach(),
            "target_change": change.mean().detach(),
            "moved": moved.detach(),
        }
