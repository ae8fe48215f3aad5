"""Kinds of methods that the registry does not hold yet: their row alone will cover them, so the scenarios must run."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.conformance import CHECKS, check_method, scenarios
from tlzoo.methods.weighting import Weighting
from tlzoo.types import Need, Sees


class InverseNorms(Weighting):
    """Weights from the Gramian; num_tasks: T."""

    order = "gramian"

    def weigh(self, losses, gramian):
        return 1 / gramian.diagonal().clamp_min(1e-6)


class Attached(InverseNorms):
    """Forgets to detach; num_tasks: T."""

    def __init__(self, num_tasks):
        super().__init__(num_tasks)
        self.scores = nn.Parameter(torch.zeros(num_tasks))

    def weigh(self, losses, gramian):
        return self.scores.softmax(dim=0)


class Agreement(Weighting):
    """A direction that is no weighting; num_tasks: T."""

    order = "jacobian"

    def combine(self, jacobian):
        return jacobian.mean(dim=0) * (jacobian.sign().sum(dim=0).abs() == len(jacobian))


class OwnHead(Alignment):
    """Uses whatever there is; num_features: D; num_classes: C."""

    needs = frozenset({Need.INDICES, Need.DOMAINS, Need.VIEWS, Need.MODEL})

    def __init__(self, num_features, num_classes):
        super().__init__(num_features, num_classes)
        self.register_buffer("bank", torch.zeros(100))

    def make_head(self):
        return nn.Linear(self.num_features, self.num_classes + 1)

    def on_epoch(self, target):
        self.bank[target.indices] = target.logits.softmax(dim=1).amax(dim=1).detach()

    def term(self, source, target, context):
        confidence = (self.bank[target.indices] * target.logits.logsumexp(dim=1)).mean()
        of_domain = source.features[source.domains == 0].square().sum()
        consistency = F.mse_loss(target.views["strong"].logits, target.views["weak"].logits.detach().roll(1, 1))
        return {"loss": confidence + of_domain + consistency + context.model(target.features).logits.square().mean()}


class Trained(Compatibility):
    """A bilinear map by gradient steps; num_features: D; num_embedding: A; margin: of the hinge."""

    variants = ({}, {"margin": 0.5})

    def __init__(self, num_features, num_embedding, *, margin=0.1):
        super().__init__()
        self.margin, self.map = margin, nn.Linear(num_features, num_embedding, bias=False)

    def batch_loss(self, features, labels, class_embeddings):
        scores = self.map(features) @ class_embeddings.T
        right = scores.gather(1, labels.unsqueeze(1))
        return {"loss": (self.margin + scores - right).relu().sum(dim=1).mean()}

    def scorer(self, class_embeddings, seen):
        return lambda features: self.map(features) @ class_embeddings.T


class TargetAlone(Alignment):
    """Never sees the source; num_features: D; num_classes: C."""

    sees = frozenset({Sees.TARGET_INPUTS})

    def term(self, source, target, context):
        return {"loss": -(target.logits.softmax(1) * target.logits.log_softmax(1)).sum(1).mean()}


@pytest.mark.parametrize("cls", [InverseNorms, Agreement, OwnHead, Trained, TargetAlone])
def test_method_to_come(cls):
    check_method(cls)


def test_weights_with_gradient_are_caught():
    with pytest.raises(AssertionError, match="its weights carry a gradient; return them detached"):
        CHECKS["state_is_complete"](scenarios(Attached)[0])
