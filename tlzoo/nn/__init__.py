"""Networks with state that methods and modules share.

>>> from tlzoo.nn import DomainDiscriminator
>>> sum(p.numel() for p in DomainDiscriminator(4, hidden=2).parameters())
27
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlzoo import lazy

if TYPE_CHECKING:
    from tlzoo.nn import gradients as gradients
    from tlzoo.nn import sharing as sharing
    from tlzoo.nn import task_heads as task_heads
    from tlzoo.nn.discriminator import DomainDiscriminator as DomainDiscriminator
    from tlzoo.nn.feature_classifiers import CLASSIFIERS as CLASSIFIERS
    from tlzoo.nn.feature_classifiers import LinearSVM as LinearSVM
    from tlzoo.nn.feature_classifiers import NearestNeighbor as NearestNeighbor
    from tlzoo.nn.logistic import LogisticClassifier as LogisticClassifier
    from tlzoo.nn.memory_bank import MemoryBank as MemoryBank
    from tlzoo.nn.network import Network as Network
    from tlzoo.nn.sharing import SHARING as SHARING
    from tlzoo.nn.task_heads import HEADS as HEADS
    from tlzoo.nn.virtual_adversary import VirtualAdversary as VirtualAdversary

_NAMES = {
    "CLASSIFIERS": "tlzoo.nn.feature_classifiers",
    "DomainDiscriminator": "tlzoo.nn.discriminator",
    "HEADS": "tlzoo.nn.task_heads",
    "LinearSVM": "tlzoo.nn.feature_classifiers",
    "LogisticClassifier": "tlzoo.nn.logistic",
    "MemoryBank": "tlzoo.nn.memory_bank",
    "NearestNeighbor": "tlzoo.nn.feature_classifiers",
    "Network": "tlzoo.nn.network",
    "SHARING": "tlzoo.nn.sharing",
    "VirtualAdversary": "tlzoo.nn.virtual_adversary",
    "gradients": "tlzoo.nn.gradients",
    "sharing": "tlzoo.nn.sharing",
    "task_heads": "tlzoo.nn.task_heads",
}

__all__ = [*_NAMES]

__getattr__, __dir__ = lazy.attach(__name__, _NAMES)
