"""Fine-tuning: a pretrained network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlzoo.backbones import create_backbone
from tlzoo.methods.base import Method
from tlzoo.methods.conformance.scenario import SHAPE, Inputs, Scenario, Subject, normal, reordered
from tlzoo.methods.strategy import Strategy

__all__ = ["StrategyScenario"]

_D, _C = SHAPE["num_features"], SHAPE["num_classes"]


class StrategyScenario(Scenario):
    """A small pretrained network and a head on it."""

    def assemble(self, method: Method) -> Subject:
        """Prepare a small network, halfway through training."""
        assert isinstance(method, Strategy)
        layers = nn.Sequential(
            nn.Sequential(nn.Linear(_D, 6), nn.LayerNorm(6), nn.ReLU()), nn.Sequential(nn.Linear(6, 5), nn.ReLU())
        )
        backbone = method.prepare(create_backbone(layers, num_features=5, modality="features"))
        head = nn.Linear(backbone.num_features, _C)
        for progress in (0.0, 0.5):
            method.on_step(backbone, head, progress)
        return Subject(method, backbone=backbone, head=head)

    def inputs(self, *, seed: int = 1, dtype: torch.dtype = torch.float64, fit: bool = False) -> Inputs:
        """Return one labelled batch."""
        generator = torch.Generator().manual_seed(seed)
        return {"inputs": normal(generator, 6, _D, dtype=dtype), "labels": torch.arange(6) % _C}

    def loss(self, subject: Subject, inputs: Inputs) -> Tensor:
        """Return the cross-entropy plus the penalty."""
        features = subject.networks["backbone"](inputs["inputs"])
        logits = subject.networks["head"](features)
        penalty = subject.method.penalty(subject.networks["backbone"], subject.networks["head"], features=features)
        loss = F.cross_entropy(logits, inputs["labels"])
        return loss if penalty is None else loss + penalty

    def reached(self, subject: Subject, inputs: Inputs) -> list[Tensor]:
        """Return the parameters of the backbone that the strategy trains, or those of the head if there are none."""
        groups = subject.method.parameter_groups(subject.networks["backbone"], lr=0.1)
        trained = [parameter for group in groups for parameter in group["params"] if parameter.requires_grad]
        return trained or list(subject.networks["head"].parameters())

    def permuted(self, inputs: Inputs) -> Inputs:
        """Return the batch in another order."""
        return reordered(inputs, dict.fromkeys(inputs, 0))

    def hard(self) -> dict[str, Inputs]:
        """Return a batch of one."""
        return {"one sample": {name: value[:1] for name, value in self.inputs().items()}}
