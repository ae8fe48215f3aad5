"""Fisher merging: average the networks by how much each weight matters to its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tlzoo.functional import fisher_merge
from tlzoo.functional.checks import check_at_least, check_counts, check_flags
from tlzoo.methods.kept_weights import KeptWeights
from tlzoo.methods.merging import Merging, TaskNetworks, class_scores
from tlzoo.nn.random_stream import RandomStream
from tlzoo.nn.task_heads import TaskHead, ValueHead
from tlzoo.paper import Paper

__all__ = ["Fisher"]


class Fisher(Merging):
    r"""Fisher merging (Matena & Raffel, NeurIPS 2022), https://arxiv.org/abs/2111.09832.

    .. math:: \theta_j = \frac{\sum_t F_{t,j} \theta_{t,j}}{\sum_t F_{t,j}}, \qquad
        F_t = \operatorname{E}_x \operatorname{E}_{y \sim p_t(y \mid x)} (\nabla \log p_t(y \mid x))^2

    See :func:`tlzoo.functional.fisher_merge`. Of each training input, one label is drawn from the network's own answer;
    values are answered with unit variance, for which the expectation is exact.

    Differs from the paper: labels of classes are drawn, where the authors' code sums over all classes; every network's
    diagonal has the floor, theirs only that of the target task; tasks weigh equally, theirs are searched on validation
    data; the number of inputs, 4,096 in theirs; normalization statistics are averaged.

    Args:
        num_tasks: T.
        examples: training inputs to look at, one at a time.
        floor: least entry of a diagonal.
        normalize: divide each network's diagonal by its norm.
    """

    label = "Fisher merging"
    paper = Paper(
        title="Merging Models with Fisher-Weighted Averaging",
        authors=("Matena", "Raffel"),
        venue="NeurIPS",
        year=2022,
        arxiv="2111.09832",
    )
    variants = ({"examples": 8}, {"examples": 8, "normalize": False})

    def __init__(self, num_tasks: int, *, examples: int = 256, floor: float = 1e-6, normalize: bool = True) -> None:
        super().__init__(num_tasks)
        check_counts(examples=examples)
        check_at_least(0, floor=floor)
        check_flags(normalize=normalize)
        self.examples, self.floor, self.normalize = examples, floor, normalize
        self.random, self.fishers = RandomStream(), KeptWeights()

    def learn(self, networks: TaskNetworks) -> None:
        """Keep the diagonal of each network's Fisher information."""
        generator = self.random.constant()
        places = networks.drawn(self.examples, generator)
        kept: dict[str, Tensor] = {}
        for task, (body, head) in enumerate(zip(networks.bodies, networks.heads, strict=True)):
            weights = dict(body.named_parameters())
            sums = {name: torch.zeros_like(weight) for name, weight in weights.items()}
            needed = {name: weight for name, weight in weights.items() if weight.requires_grad}
            for place in range(len(places)):
                output = head(body(networks.inputs(places[place : place + 1])))
                score = _log_likelihood(head, output, generator)
                gradients = torch.autograd.grad(score, list(needed.values()), allow_unused=True)
                for name, gradient in zip(needed, gradients, strict=True):
                    if gradient is not None:
                        sums[name] += gradient.square()
            kept |= {f"{task}.{name}": value / len(places) for name, value in sums.items()}
        self.fishers.replace(kept)

    def merge(self, start: Mapping[str, Tensor], states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Return the average by Fisher information."""
        if not self.fishers.kept:
            raise RuntimeError("Fisher: the Fisher information is not known yet; call fit first (Multitask.study)")
        values = iter(self.fishers.buffers())
        fishers = [{name: next(values) for name in start} for _ in states]
        return fisher_merge(states, fishers, floor=self.floor, normalize=self.normalize)


def _log_likelihood(head: TaskHead, output: Tensor, generator: torch.Generator) -> Tensor:
    """Return the log-likelihood, up to a constant, of a label drawn from the answer to one input."""
    if isinstance(head, ValueHead):  # E_y (y - f)^2 = 1 in units of the spread, so the square of this gradient is exact
        return output.sum() / head.spread
    rows = class_scores(head, output).log_softmax(dim=1)
    drawn = torch.multinomial(rows.detach().cpu().double().exp(), 1, generator=generator).to(rows.device)
    return rows.gather(1, drawn).sum()
