"""Task arithmetic: add what each task changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from tlzoo.functional import task_arithmetic
from tlzoo.functional.checks import check_positive
from tlzoo.methods.merging import Merging
from tlzoo.paper import Paper
from tlzoo.space import Space, Uniform

__all__ = ["TaskArithmetic"]


class TaskArithmetic(Merging):
    r"""Task arithmetic (Ilharco et al., ICLR 2023), https://arxiv.org/abs/2212.04089.

    .. math:: \theta_0 + \lambda \sum_t (\theta_t - \theta_0)

    from the weights after fine-tuning on each task. With :math:`\lambda = 1/T` it is the average of the networks.

    Differs from the paper: lambda is a setting, which the paper chooses on validation data; normalization statistics
    are averaged.

    Args:
        num_tasks: T.
        scale: lambda.
    """

    paper = Paper(
        title="Editing Models with Task Arithmetic",
        authors=("Ilharco", "Ribeiro", "Wortsman", "Gururangan", "Schmidt", "Hajishirzi", "Farhadi"),
        venue="ICLR",
        year=2023,
        arxiv="2212.04089",
    )
    space = Space(scale=Uniform(0.1, 1.0))

    def __init__(self, num_tasks: int, *, scale: float = 0.3) -> None:
        super().__init__(num_tasks)
        check_positive(scale=scale)
        self.scale = scale

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the start moved by all changes."""
        return task_arithmetic(start, states, scale=self.scale)
