"""The sum of several alignments."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from tlzoo.methods.alignment import Alignment
from tlzoo.methods.checks import check_terms
from tlzoo.registry import accepted_settings, create_method, method_class, registered_name, short_name
from tlzoo.types import Context, Losses, Prediction

__all__ = ["Combined", "composition"]


class Combined(Alignment):
    """The sum of the terms of several alignments; it sees and needs what any of them does.

    In Python ``Combined(MCC(256, 8), DANN(256, 8))``; by name ``create_method("mcc+dann", num_features=256,
    num_classes=8, mcc={"temperature": 2.0})``, also in suites. At most one part may have its own head; weights of
    source examples multiply. Terms are logged under the name of their part.

    Args:
        parts: the alignments, of different classes and built for the same shape.

    Raises:
        ValueError: there is no part, two parts have the same class, or the shapes differ.
        TypeError: a part is not an :class:`~tlzoo.methods.alignment.Alignment` with a single loss.

    >>> from tlzoo.methods.adaptation import MCC, BNM
    >>> both = Combined(MCC(2, 3), BNM(2, 3))
    >>> both.name
    'adaptation/mcc+adaptation/bnm'
    """

    def __init__(self, *parts: Alignment) -> None:
        for part in parts:
            if not isinstance(part, Alignment):
                raise TypeError(f"{type(part).__name__} is no alignment of one loss; only those can be combined")
        shapes = {(part.num_features, part.num_classes) for part in parts}
        if len(shapes) != 1 or len({type(part) for part in parts}) < len(parts):
            given = ", ".join(f"{type(p).__name__}({p.num_features}, {p.num_classes})" for p in parts) or "nothing"
            raise ValueError(f"got {given}; expected alignments of different classes, built for one shape")
        super().__init__(*shapes.pop())
        self.alignments = nn.ModuleDict({_short(type(part)): part for part in parts})
        self.sees = frozenset().union(*(part.sees for part in parts))
        self.needs = frozenset().union(*(part.needs for part in parts))
        self.for_regression = all(part.for_regression for part in parts)  # type: ignore[misc]
        self.views = tuple(dict.fromkeys(view for part in parts for view in part.views))

    @property
    def name(self) -> str:
        """The registry names of the parts, joined by ``+``."""
        return "+".join(part.name for part in self._alignments.values())

    @property
    def order_matters(self) -> bool:
        """Whether the order of a batch matters to any part."""
        return any(part.order_matters for part in self._alignments.values())

    @property
    def transformable(self) -> bool:
        """Whether that of every part is."""
        return all(part.transformable for part in self._alignments.values())

    @property
    def _alignments(self) -> dict[str, Alignment]:
        return {name: part for name, part in self.alignments.items() if isinstance(part, Alignment)}

    def term(self, source: Prediction, target: Prediction, context: Context) -> Losses:
        """Return the sum of the parts' losses, and the logged values of each."""
        terms: dict[str, Tensor] = {}
        for name, part in self._alignments.items():
            own = part.term(source, target, replace(context, method=type(part).__name__))
            check_terms(part, own, {})
            terms["loss"] = terms["loss"] + own["loss"] if "loss" in terms else own["loss"]
            terms |= {f"{name}/{term}": value for term, value in own.items() if term != "loss"}
        return terms

    def make_head(self) -> nn.Module | None:
        """Return the head of the part that has its own.

        Raises:
            ValueError: several parts have one.
        """
        made = {name: part.make_head() for name, part in self._alignments.items()}
        heads = {name: head for name, head in made.items() if head is not None}
        if len(heads) > 1:
            raise ValueError(f"{' and '.join(heads)} each bring their own head; combine at most one of them")
        return next(iter(heads.values()), None)

    def source_weights(self, source: Prediction) -> Tensor | None:
        """Return the (B,) product of the parts' weights, or None if no part has any."""
        product: Tensor | None = None
        for part in self._alignments.values():
            weights = part.source_weights(source)
            if weights is not None:
                product = weights if product is None else product * weights
        return product

    def prepare(self, network: nn.Module) -> None:
        """Give the network to each part."""
        for part in self._alignments.values():
            part.prepare(network)

    def on_epoch(self, target: Prediction) -> None:
        """Give the whole target to each part."""
        for part in self._alignments.values():
            part.on_epoch(target)

    def after_step(self, network: nn.Module) -> None:
        """Let each part follow the network."""
        for part in self._alignments.values():
            part.after_step(network)

    def validate(self, progress: float, held_out: Callable[[], Prediction]) -> None:
        """Let each part look at held-out source examples."""
        for part in self._alignments.values():
            part.validate(progress, held_out)

    def answering(self, network: nn.Module) -> Mapping[str, Tensor] | None:
        """Return the weights of the first part that has its own."""
        found = (part.answering(network) for part in self._alignments.values())
        return next((weights for weights in found if weights is not None), None)


@lru_cache
def composition(names: tuple[str, ...]) -> type[Combined]:
    """Return the class that combines registered alignments; its arguments are a shape and the settings of each part.

    Args:
        names: full registry names.

    Raises:
        TypeError: one of them is not an alignment with a single loss.
        ValueError: one of them is repeated.
    """
    classes: dict[str, type[Alignment]] = {}
    for name in names:
        cls = method_class(name)
        if not issubclass(cls, Alignment):
            raise TypeError(f"{name} is no alignment of one loss; only those can be combined")
        classes[name] = cls
    if len(classes) < len(names):
        raise ValueError(f"{'+'.join(names)} names a method twice")
    shorts = {name: short_name(name) for name in names}

    def __init__(self: Combined, num_features: int, num_classes: int, **settings: Mapping[str, Any]) -> None:  # noqa: N807
        shape = {"num_features": num_features, "num_classes": num_classes}
        parts: list[Any] = [
            create_method(name, **accepted_settings(name, **shape) | dict(settings.get(short) or {}))
            for name, short in shorts.items()
        ]
        Combined.__init__(self, *parts)

    listed = "\n".join(f"        {short}: settings of ``{name}``, a mapping." for name, short in shorts.items())
    return type(
        "+".join(shorts.values()),
        (Combined,),
        {
            "__doc__": f"{' and '.join(shorts.values())}: their terms add.\n\n    Args:\n        num_features: D.\n"
            f"        num_classes: C.\n{listed}\n",
            "__module__": __name__,
            "__init__": __init__,
            "__signature__": _signature(shorts.values()),
            "__reduce__": lambda self: (_blank, (names,), self.__dict__),
            "sees": frozenset().union(*(cls.sees for cls in classes.values())),
            "needs": frozenset().union(*(cls.needs for cls in classes.values())),
            "for_regression": all(cls.for_regression for cls in classes.values()),
            "revision": sum(cls.revision for cls in classes.values()),  # it grows when one of them does
        },
    )


def _signature(parts: Any) -> inspect.Signature:
    kind = inspect.Parameter
    shape = [kind(name, kind.POSITIONAL_OR_KEYWORD, annotation=int) for name in ("num_features", "num_classes")]
    return inspect.Signature([*shape, *(kind(name, kind.KEYWORD_ONLY, default=None) for name in parts)])


def _blank(names: tuple[str, ...]) -> Combined:
    """Return an object without state for pickle to fill, because its class is created on the fly."""
    cls = composition(names)
    return cls.__new__(cls)


def _short(cls: type[Alignment]) -> str:
    return short_name(registered_name(cls))
