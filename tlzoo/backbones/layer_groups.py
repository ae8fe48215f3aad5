"""Ordered parts of networks, for freezing, unfreezing and layer-wise learning rates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torch import nn

from tlzoo.errors import InputError
from tlzoo.types import Backbone, LayerGroup

__all__ = ["groups_by_name", "layerwise_groups"]


def layerwise_groups(backbone: Backbone, lr: float, decay: float) -> list[dict[str, Any]]:
    r"""Return optimizer groups whose learning rate falls from the head to the stem (Howard & Ruder, ACL 2018).

    The rate of a layer group is :math:`\eta \, d^k` with the rate ``lr`` of the last group, the ``decay`` d, and the
    distance k from the last group. Frozen parameters and groups with only frozen parameters are omitted; the rates of
    the other groups stay the same.

    Args:
        backbone: network with ``layer_groups()``, stem first.
        lr: learning rate of the last group.
        decay: factor per group, in (0, 1]; 1 gives all groups the same rate.

    Raises:
        ValueError: ``decay`` is outside (0, 1] or ``lr`` is negative.

    >>> from tlzoo.backbones import create_backbone
    >>> [(g["name"], g["lr"]) for g in layerwise_groups(create_backbone("lenet"), lr=0.1, decay=0.5)]
    [('conv1', 0.025), ('conv2', 0.05), ('fc', 0.1)]
    """
    if not 0 < decay <= 1 or lr < 0:
        raise InputError(f"lr {lr} and decay {decay}; expected lr >= 0 and 0 < decay <= 1")
    groups = backbone.layer_groups()
    made = []
    for place, group in enumerate(groups):
        parameters = [p for module in group.modules for p in module.parameters() if p.requires_grad]
        if parameters:
            made.append({"params": parameters, "lr": lr * decay ** (len(groups) - 1 - place), "name": group.name})
    return made


def groups_by_name(
    network: nn.Module, group_of: Callable[[str], str], order: Sequence[str] | None = None
) -> tuple[LayerGroup, ...]:
    """Group a network by the names of its parameters.

    A group holds the largest modules whose parameters all belong to it. A new module holds the parameters that hang
    directly on a module of several groups (class tokens, position embeddings).

    Args:
        network: any module.
        group_of: maps a parameter's name to the name of its group.
        order: names of the groups, stem first; by default in the order of first appearance.
    """
    owners = {id(p): group_of(name) for name, p in network.named_parameters()}
    names = list(dict.fromkeys(owners.values())) if order is None else order
    parts: dict[str, list[nn.Module]] = {name: [] for name in names}
    for name, module in _cover(network, owners, set()):
        parts[name].append(module)
    return tuple(LayerGroup(name=name, modules=tuple(modules)) for name, modules in parts.items())


def _cover(module: nn.Module, owners: dict[int, str], seen: set[int]) -> Iterator[tuple[str, nn.Module]]:
    """Yield modules with their groups, so that each parameter is in exactly one; tied ones count where first met."""
    parameters = list(module.parameters())
    groups = {owners[id(p)] for p in parameters}
    if len(groups) == 1 and not any(id(p) in seen for p in parameters):
        seen.update(map(id, parameters))
        yield groups.pop(), module
        return
    for parameter in module.parameters(recurse=False):
        if id(parameter) not in seen:
            seen.add(id(parameter))
            yield owners[id(parameter)], nn.ParameterList([parameter])
    for child in module.children():
        yield from _cover(child, owners, seen)
