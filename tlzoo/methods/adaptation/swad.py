"""SWAD: the mean of all weights between the end of convergence and the start of overfitting."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tlzoo.functional.checks import check_at_least, check_counts
from tlzoo.functional.precision import at_least_float32
from tlzoo.methods.alignment import Alignment
from tlzoo.methods.source_risk import domain_risks
from tlzoo.nn.memory_bank import Memory
from tlzoo.paper import Paper
from tlzoo.types import Context, Losses, Need, Prediction, Sees

__all__ = ["SWAD"]


class SWAD(Alignment):
    r"""Stochastic weight averaging, densely (Cha et al., NeurIPS 2021), https://arxiv.org/abs/2102.08604.

    The plain risk of the sources is trained, and predictions are those of the mean of the weights after every step from
    t_s to t_e. Training stops ``evaluations`` times to measure the loss l on held-out source examples, the mean over
    source domains: t_s is the first whose loss none of the next N_s - 1 falls below, and t_e the last before N_e in
    a row exceed the threshold

    .. math:: \frac{r}{N_s} \sum_{i = 0}^{N_s - 1} l_{s + i}

    A data module leaves the held-out examples out of the training batches. The target is never seen. Combine it with
    another method to average that one's weights: ``"source_coral+swad"``. It asks for a constant learning rate.

    Differs from the paper: t_s and t_e lie at evaluations, and weights between t_s and the evaluation before it count,
    as in the authors' code. That code also moves t_s back over evaluations below the threshold, and leaves its first
    segment out; the paper's algorithm, which is followed, does not. Without convergence, predictions are those of
    the mean since the last but one evaluation, as in the code. Running statistics of batch normalization are averaged
    with the weights, where the authors freeze them or compute them anew. Training goes on after t_e, and changes
    nothing.

    Args:
        num_features: D.
        num_classes: C.
        converged: N_s.
        patience: N_e.
        tolerance: r.
        evaluations: how often, in equal distances; the authors' 5,000 steps have 50.
    """

    paper = Paper(
        title="SWAD: Domain Generalization by Seeking Flat Minima",
        authors=("Cha", "Chun", "Lee", "Cho", "Park", "Lee", "Park"),
        venue="NeurIPS",
        year=2021,
        arxiv="2102.08604",
    )
    sees = frozenset({Sees.SOURCE_INPUTS, Sees.SOURCE_LABELS})
    needs = frozenset({Need.HELD_OUT})
    threshold: Tensor
    evaluated: Tensor
    exceeded: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        converged: int = 3,
        patience: int = 6,
        tolerance: float = 1.3,
        evaluations: int = 50,
    ) -> None:
        super().__init__(num_features, num_classes)
        check_counts(converged=converged, patience=patience, evaluations=evaluations)
        check_at_least(1, tolerance=tolerance)
        self.converged, self.patience = converged, patience
        self.tolerance, self.evaluations = tolerance, evaluations
        # sums of states, each with a last entry that counts them: since the last evaluation; of each segment from the
        # candidate of t_s on; up to the last evaluation below the threshold; and after it
        nothing = torch.zeros(0)
        self.sums = Memory(running=nothing, window=torch.zeros(0, 0), inside=nothing, pending=nothing)
        self.losses = Memory(window=torch.zeros(0, dtype=torch.float64))
        self.register_buffer("threshold", torch.tensor(torch.nan, dtype=torch.float64))
        self.register_buffer("evaluated", torch.zeros((), dtype=torch.int64))
        self.register_buffer("exceeded", torch.zeros((), dtype=torch.int64))

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return a zero loss."""
        zero: Tensor = source.logits.new_zeros(())
        return {"loss": zero}

    @torch.no_grad()
    def after_step(self, network: nn.Module) -> None:
        """Add the weights to those since the last evaluation."""
        values = [at_least_float32(value).flatten() for value in _state(network).values()]
        row = torch.cat([*values, values[0].new_ones(1)])
        self.sums.running = _sum(self.sums.get_buffer("running"), row)

    @torch.no_grad()
    def validate(self, progress: float, held_out: Callable[[], Prediction]) -> None:
        """Evaluate, where it is time."""
        due, before = int(progress * self.evaluations + 1e-9), int(self.evaluated)
        if due < before:
            self._forget()  # another training
        if due > int(self.evaluated):
            self.evaluated.fill_(due)
            self._judge(float(_risk(held_out())))

    @property
    def start_found(self) -> bool:
        """Whether the loss has converged."""
        return not bool(self.threshold.isnan())

    @property
    def end_found(self) -> bool:
        """Whether the weights overfit."""
        return int(self.exceeded) >= self.patience

    def answering(self, network: nn.Module) -> Mapping[str, Tensor] | None:
        """Return the mean weights; None before the first evaluation."""
        rows, inside = self.sums.get_buffer("window"), self.sums.get_buffer("inside")
        if not len(rows) and not len(inside):
            return None
        total = _sum(inside, self.sums.get_buffer("pending")) if len(inside) else rows[-1]
        state = _state(network)
        means = torch.split(total[:-1] / total[-1], [value.numel() for value in state.values()])
        return {name: mean.view_as(state[name]).to(state[name]) for name, mean in zip(state, means, strict=True)}

    def _judge(self, loss: float) -> None:
        """Take in the loss at the end of a segment."""
        segment = self.sums.get_buffer("running")
        self.sums.running = segment.new_zeros(0)
        if self.start_found:
            self._extend(segment, loss)
            return
        losses, rows = self.losses.get_buffer("window"), self.sums.get_buffer("window")
        if len(losses) and loss >= losses[0]:
            self.losses.window = losses = torch.cat([losses, losses.new_tensor([loss])])
            self.sums.window = rows = torch.cat([rows, segment[None]])
        else:
            self.losses.window = losses = losses.new_tensor([loss])
            self.sums.window = rows = segment[None]
        if len(losses) == self.converged:
            self.threshold.copy_(self.tolerance * losses.mean())
            for row, each in zip(rows, losses.tolist(), strict=True):
                self._extend(row, each)
            self.sums.window = rows[:0]

    def _extend(self, segment: Tensor, loss: float) -> None:
        """Take in a segment after t_s, unless t_e is found."""
        if self.end_found:
            return
        self.sums.pending = _sum(self.sums.get_buffer("pending"), segment)
        self.exceeded += 1
        if loss <= float(self.threshold):
            self.sums.inside = _sum(self.sums.get_buffer("inside"), self.sums.get_buffer("pending"))
            self.exceeded.zero_()
        if self.end_found or not int(self.exceeded):
            self.sums.pending = segment.new_zeros(0)

    def _forget(self) -> None:
        for name in ("window", "inside", "pending"):
            setattr(self.sums, name, self.sums.get_buffer(name)[:0])
        self.losses.window = self.losses.get_buffer("window")[:0]
        self.threshold.fill_(torch.nan)
        self.evaluated.zero_()
        self.exceeded.zero_()


def _state(network: nn.Module) -> dict[str, Tensor]:
    """Return the parameters of a network, detached, and the running statistics of its normalization."""
    normalizations = (nn.modules.batchnorm._NormBase,)
    statistics = {
        f"{prefix}.{name}" if prefix else name: value
        for prefix, module in network.named_modules()
        if isinstance(module, normalizations)
        for name, value in module.named_buffers(recurse=False)
        if value.is_floating_point()
    }
    return {**{name: value.detach() for name, value in network.named_parameters()}, **statistics}


def _sum(one: Tensor, other: Tensor) -> Tensor:
    """Return the sum of two rows, either of which may be empty."""
    return one + other if len(one) and len(other) else torch.cat([one, other])


def _risk(source: Prediction) -> Tensor:
    """Return the mean over domains of the mean cross-entropy."""
    domains = torch.zeros(len(source)) if source.domains is None else source.domains
    return domain_risks(source, [(domains == domain).nonzero().flatten() for domain in torch.unique(domains)]).mean()
