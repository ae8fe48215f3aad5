"""Arrays that cross-validation hands on whole."""

from __future__ import annotations

from typing import Any

__all__ = ["Whole", "unwrapped"]


class Whole:
    """Target data in ``fit`` of a cross-validation, which cuts every argument that is as long as ``X`` along with it.

    >>> from sklearn.model_selection import cross_validate
    >>> import numpy as np
    >>> from tlzoo.estimators import DomainAdapter
    >>> X, y = np.eye(40)[:, :4] + np.arange(40)[:, None] % 2, np.arange(40) % 2
    >>> found = cross_validate(DomainAdapter("coral"), X, y, params={"X_target": Whole(X + 1)}, cv=2)
    >>> len(found["test_score"])
    2

    Args:
        value: the array or table.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Whole({type(self.value).__name__})"


def unwrapped(value: Any) -> Any:
    """Return what a :class:`Whole` holds, and anything else as it is."""
    return value.value if isinstance(value, Whole) else value
