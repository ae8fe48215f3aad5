"""WiSE-FT: the mean of the weights before and after fine-tuning."""

from __future__ import annotations

from torch import Tensor, nn
from torch.optim import Optimizer

from tlzoo.functional.checks import check_shares
from tlzoo.functional.merging import interpolate_weights
from tlzoo.methods.finetuning.lp_ft import LPFT
from tlzoo.methods.kept_weights import KeptWeights
from tlzoo.paper import Paper
from tlzoo.types import Backbone

__all__ = ["WiSEFT"]


class WiSEFT(LPFT):
    r"""Weight-space ensembling (Wortsman et al., CVPR 2022), https://arxiv.org/abs/2109.01903.

    .. math:: (1 - \alpha) \theta_0 + \alpha \theta_1

    with the weights :math:`\theta_0` before and :math:`\theta_1` after fine-tuning of all parameters; the statistics of
    batch normalization likewise. Training goes on from :math:`\theta_1`; predictions are those of the mean.

    Differs from the paper: its head is made of class names, and :math:`\theta_0` is that zero-shot classifier. A head
    without names is trained first on the frozen backbone, as in LP-FT, and :math:`\theta_0` is the linear probe.

    Args:
        probe: share of the training in which the head trains alone.
        alpha: weight of the fine-tuned network.
    """

    label = "WiSE-FT"
    paper = Paper(
        title="Robust Fine-Tuning of Zero-Shot Models",
        authors=("Wortsman", "Ilharco", "Kim", "Li", "Kornblith", "Roelofs", "Gontijo-Lopes", "Hajishirzi"),
        venue="CVPR",
        year=2022,
        arxiv="2109.01903",
    )

    def __init__(self, *, probe: float = 0.5, alpha: float = 0.5) -> None:
        super().__init__(probe=probe)
        check_shares(alpha=alpha)
        self.alpha = alpha
        self.start = KeptWeights()

    def on_step(
        self, backbone: Backbone, head: nn.Module, progress: float, *, optimizer: Optimizer | None = None
    ) -> None:
        """Freeze the backbone until the probe is trained, then keep the weights once."""
        super().on_step(backbone, head, progress, optimizer=optimizer)
        if progress == 0:
            self.start.clear()
        if progress >= self.probe and not self.start.kept:
            self.start.keep(backbone, head)

    def answering(self, backbone: Backbone, head: nn.Module) -> dict[str, Tensor] | None:
        """Return the mean of the weights before and after fine-tuning; None before all parameters train."""
        if not self.start.kept:
            return None
        start, now = self.start.weights(backbone, head), KeptWeights.of(backbone, head)
        return interpolate_weights(start, now, self.alpha)
