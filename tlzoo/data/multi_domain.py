"""Several sources or targets, pooled from tasks with one source and one target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from tlzoo.data.example_set import ExampleSet
from tlzoo.data.tasks import DomainTask, Task
from tlzoo.errors import InputError, InputTypeError

__all__ = ["pooled_adaptation"]


def pooled_adaptation(
    name: str, *, sources: Sequence[str], targets: Sequence[str], load: Callable[[str, str], Task]
) -> DomainTask:
    """Build ``FAMILY:S1+S2->T1+T2`` from the tasks of one source and one target.

    Each domain contributes its examples from those tasks. ``domains`` of every set holds the domain of each example,
    counted from 0 in the order of the name.

    Args:
        name: of the task.
        sources: names of the domains with labels.
        targets: names of the domains to adapt to.
        load: returns the task of a source and a target.

    Raises:
        ValueError: a domain is repeated, or the tasks differ in classes.
        TypeError: one of them is not a domain task.
    """
    domains = [*sources, *targets]
    if twice := sorted({domain for domain in domains if domains.count(domain) > 1}):
        raise InputError(f"{name!r} names {', '.join(twice)} twice; a domain is one source or one target")
    of_source = [_checked(load(source, targets[0])) for source in sources]
    of_target = [of_source[0], *(_checked(load(sources[0], target)) for target in targets[1:])]
    first = of_source[0]
    for task in (*of_source, *of_target):
        if task.class_names != first.class_names:
            raise InputError(
                f"{first.name} and {task.name} differ in classes; only domains with the same classes can be pooled"
            )

    def together(tasks: Sequence[DomainTask], part: str) -> ExampleSet:
        return ExampleSet.pooled([getattr(task, part) for task in tasks])

    return replace(
        first,
        name=name,
        sources=tuple(dict.fromkeys(source for task in (*of_source, *of_target) for source in task.sources)),
        source_train=together(of_source, "source_train"),
        source_test=together(of_source, "source_test"),
        target_train=together(of_target, "target_train"),
        target_test=together(of_target, "target_test"),
        source_names=tuple(sources) if len(sources) > 1 else (),
        target_names=tuple(targets) if len(targets) > 1 else (),
    )


def _checked(task: Task) -> DomainTask:
    if not isinstance(task, DomainTask):
        raise InputTypeError(f"{task.name} is a task of kind {task.kind!r}; only domains of domain tasks can be pooled")
    return task
