"""Guards of strategies on a pretrained network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor

from tlzoo.methods.checks import check_output

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

__all__ = ["guard_penalty"]


def guard_penalty(penalty: Callable[..., Tensor | None]) -> Callable[..., Tensor | None]:
    """Check the penalty of a strategy."""

    @functools.wraps(penalty)
    def guarded(self: Method, backbone: Any, head: Any) -> Tensor | None:
        value = penalty(self, backbone, head)
        if value is not None:
            networks = {"backbone": backbone, "head": head}
            inputs = {f"{name}.{key}": p for name, network in networks.items() for key, p in network.named_parameters()}
            check_output(self, value, inputs, what="the penalty")
        return value

    return guarded
