"""FOMAML: MAML without second derivatives."""

from __future__ import annotations

from torch import Tensor

from tlzoo.methods.oneshot.maml import MAML

__all__ = ["FOMAML"]


class FOMAML(MAML):
    """First-order MAML (Finn, Abbeel & Levine, ICML 2017), https://arxiv.org/abs/1703.03400.

    MAML with constant steps: the parameters get the gradient of the queries' loss at the adapted parameters.

    Args:
        rate: learning rate of the steps.
        steps: number of steps of gradient descent.
        loss: of an episode, see MAML.
        statistics: statistics of batch normalization, see MAML.

    Differs from the paper: ``statistics="support"`` by default.
    """

    second_order = False

    def moved(self, name: str, parameter: Tensor, slope: Tensor) -> Tensor:
        """Return a parameter after one step with a constant gradient."""
        return parameter - self.rate * slope.detach()
