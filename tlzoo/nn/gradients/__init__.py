"""Exact gradients of several tasks for shared parameters, cheaper than a Jacobian.

>>> import torch
>>> from torch import nn
>>> trunk, heads = nn.Linear(4, 3), [nn.Linear(3, 1), nn.Linear(3, 1)]
>>> tape = TaskTape(trunk.parameters())
>>> with tape:
...     features = tape.cut(trunk(torch.ones(2, 4)))
>>> losses = [head(features).square().mean() for head in heads]
>>> gradients = tape.gradients(losses, private=[p for head in heads for p in head.parameters()])
>>> tuple(gradients.gramian().shape)
(2, 2)
>>> gradients.deliver(torch.tensor([0.5, 0.5])).backward()  # J^T w for the trunk, and its own gradient for each head
>>> trunk.weight.grad is not None and heads[0].weight.grad is not None
True
"""

from tlzoo.nn.gradients.conflicts import conflicts
from tlzoo.nn.gradients.deliver import deliver
from tlzoo.nn.gradients.tape import GradientSpace, TaskTape
from tlzoo.nn.gradients.task_gradients import TaskGradients

__all__ = ["GradientSpace", "TaskGradients", "TaskTape", "conflicts", "deliver"]
