"""Emoji adaptation between domains with different classes: partial and open-set."""

from __future__ import annotations

from tlzoo.data.class_settings import opened, partial
from tlzoo.data.datasets.emoji_tasks import emoji_adaptation
from tlzoo.data.tasks import DomainTask

__all__ = ["emoji_open", "emoji_partial"]


def emoji_partial(name: str, *, classes: str, source: str, target: str) -> DomainTask:
    """Build ``emoji/CLASSES:S->T:partial``: the target only has the first half of the source's classes.

    Args:
        name: name of the task.
        classes: ``category`` or ``subcategory``.
        source: vendor with labels.
        target: vendor to adapt to.
    """
    task = emoji_adaptation(name, classes=classes, source=source, target=target)
    return partial(task, range(task.num_classes // 2))


def emoji_open(name: str, *, classes: str, source: str, target: str) -> DomainTask:
    """Build ``emoji/CLASSES:S->T:open``: the source has the first half of the classes, the target all of them.

    In the target, all other classes become the last class, ``unknown``, of which the source has no example.

    Args:
        name: name of the task.
        classes: ``category`` or ``subcategory``.
        source: vendor with labels.
        target: vendor to adapt to.
    """
    task = emoji_adaptation(name, classes=classes, source=source, target=target)
    return opened(task, range(task.num_classes // 2))
