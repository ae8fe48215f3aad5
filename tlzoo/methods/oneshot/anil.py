"""ANIL: MAML in which only the head adapts."""

from __future__ import annotations

from tlzoo.methods.oneshot.maml import MAML, EpisodeLoss
from tlzoo.nn.batch_statistics import Statistics
from tlzoo.paper import Paper

__all__ = ["ANIL"]


class ANIL(MAML):
    """ANIL (Raghu, Raghu, Bengio & Vinyals, ICLR 2020), https://arxiv.org/abs/1909.09157.

    MAML in which only the head takes the inner steps; the loss of the queries trains all parameters.

    Args:
        rate: learning rate of the steps.
        steps: number of steps of gradient descent.
        loss: of an episode, see MAML.
        statistics: statistics of batch normalization, see MAML.
        head: prefix of the names of the head's parameters; ``OneShot`` calls it ``head``.

    Differs from the paper: ``statistics="support"`` by default.
    """

    paper = Paper(
        title="Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML",
        authors=("Raghu", "Raghu", "Bengio", "Vinyals"),
        venue="ICLR",
        year=2020,
        arxiv="1909.09157",
    )

    def __init__(
        self,
        *,
        rate: float = 0.01,
        steps: int = 5,
        loss: str | EpisodeLoss = "cross_entropy",
        statistics: Statistics = "support",
        head: str = "head",
    ) -> None:
        super().__init__(rate=rate, steps=steps, loss=loss, statistics=statistics)
        self.head = head

    def adapts(self, name: str) -> bool:
        """Return whether the parameter of that name belongs to the head."""
        return name.startswith(f"{self.head}.")
