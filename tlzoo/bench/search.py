"""Search under one budget: the same number of trials for every row, selected without test labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tlzoo.bench.yaml_lines import Located
from tlzoo.space import Choice, Distribution, described, draw, read_distribution
from tlzoo.spelling import nearest

__all__ = ["Search", "read_search"]

_SAMPLERS = ("random", "tpe")


@dataclass(frozen=True, kw_only=True)
class Search:
    """The search settings of a group.

    Attributes:
        trials: number of settings to try per row; 0 without a search.
        rule: selects among them; empty for the protocol's default.
        space: setting of the module -> distribution, for all rows; a row's own settings override it.
        sampler: ``"random"``: independent draws; ``"tpe"``: each trial uses the validation scores of the earlier ones
            (:mod:`tlzoo.bench.tpe_search`).
        tuned_on: ``seed``, and ``task`` where it is another than the cell's own: settings are chosen there once and
            frozen, for all rows alike; empty where every cell is tuned on its own.
        place: location of ``trials`` or ``rule`` in the suite.
    """

    trials: int = 0
    rule: str = ""
    sampler: str = "random"
    space: Mapping[str, Distribution] = field(default_factory=dict)
    tuned_on: Mapping[str, Any] = field(default_factory=dict)
    place: Located | None = None

    def check(self, known: Mapping[str, list[str]]) -> None:
        """Refuse what a protocol cannot do; ``known`` are its ``rules`` and tunable ``module`` settings.

        Raises:
            SuiteError: the protocol does not have the rule, or a setting of the module cannot be searched.
        """
        if self.place is None:
            return
        if self.sampler != "random" and not self.trials:
            raise self.place.error(f"sampler {self.sampler} has nothing to sample; set trials: N")
        if self.tuned_on and not self.trials:
            raise self.place.error("tuned_on says where trials are run, and there are none; set trials: N")
        if self.rule and self.rule not in known["rules"]:
            raise self.place.error(f"{nearest(self.rule, known['rules'], kind='rule')}; rules must not use test labels")
        for name in self.space:
            if name not in known["module"]:
                raise self.place.error(nearest(name, known["module"] or ["none"], kind="module setting to search"))

    def of_cell(self, development: Mapping[str, Any]) -> dict[str, Any]:
        """Return the part of the search that a cell stores; ``development`` says where it is tuned."""
        sampler = "" if self.sampler == "random" else self.sampler
        given = {"trials": self.trials, "rule": self.rule, "sampler": sampler, "tuned_on": dict(development)}
        return {name: value for name, value in given.items() if value}

    def tried(
        self, method: str, own: Mapping[str, Distribution], written: Mapping[str, Any], *, seed: int
    ) -> tuple[dict[str, Any], bool]:
        """Return parameter -> its candidates, empty if there is nothing to try; and whether they are one a trial.

        Few values are all tried, in every combination, where the trials suffice. Otherwise the first trial is the row
        as it is written, as far as that is known, and the others are drawn. For a sampler that chooses on the way, it
        returns distributions as plain data instead.

        Args:
            method: full name of the method.
            own: search space of the row, which goes before the suite's.
            written: values without a search: of the suite's module settings, and the method's defaults.
            seed: seed of the run.
        """
        space = dict(sorted({**self.space, **own}.items()))
        options = {name: list(each.options) for name, each in space.items() if isinstance(each, Choice)}
        if len(options) == len(space) and grid_size(options) <= self.trials:
            return options, False
        if self.sampler != "random":
            return {name: described(each) for name, each in space.items()}, True
        drawn = {
            name: [draw(each, seed=seed, method=method, parameter=name, trial=trial) for trial in range(self.trials)]
            for name, each in space.items()
        }
        for name, values in drawn.items():
            values[:1] = [written.get(name, values[0])]
        return drawn, True


def read_search(parts: Mapping[str, Located], inherited: Search) -> Search:
    """Return the search of a group or suite from its keys ``trials``, ``rule``, ``space``, ``sampler``, ``tuned_on``.

    Args:
        parts: keys of the group or suite.
        inherited: the default for missing keys.

    Raises:
        SuiteError: a value has the wrong form.
    """
    given: dict[str, Any] = {name: getattr(inherited, name) for name in ("trials", "rule", "sampler")}
    given["space"] = dict(inherited.space)
    if "trials" in parts:
        given["trials"] = parts["trials"].scalar(int, what="trials", expected="a whole number")
        if given["trials"] < 0:
            raise parts["trials"].error(f"trials is {given['trials']}; expected at least 0")
    if "rule" in parts:
        given["rule"] = parts["rule"].scalar(str, what="rule", expected="the name of a validation rule")
    if "sampler" in parts:
        name = parts["sampler"].scalar(str, what="sampler", expected=f"one of {', '.join(_SAMPLERS)}")
        if name not in _SAMPLERS:
            raise parts["sampler"].error(nearest(name, _SAMPLERS, kind="sampler"))
        given["sampler"] = name
    given["tuned_on"] = _tuned_on(parts["tuned_on"]) if "tuned_on" in parts else dict(inherited.tuned_on)
    if "space" in parts:
        given["space"] |= {
            name: _distribution(item, name) for name, item in parts["space"].mapping(what="space").items()
        }
    own = next((parts[name] for name in ("rule", "trials", "space", "sampler", "tuned_on") if name in parts), None)
    return Search(**given, place=own or inherited.place)


def _tuned_on(place: Located) -> dict[str, Any]:
    parts = place.mapping(("seed", "task"), what="tuned_on")
    seed = parts["seed"].scalar(int, what="seed", expected="a whole number") if "seed" in parts else 0
    task = {"task": parts["task"].scalar(str, what="task", expected="the name of a task")} if "task" in parts else {}
    return {"seed": seed, **task}


def _distribution(place: Located, name: str) -> Distribution:
    data = place.plain()
    try:
        return read_distribution(data)
    except ValueError as error:
        raise place.error(f"space of {name}: {error}") from error


def grid_size(candidates: Mapping[str, Any]) -> int:
    """Count the combinations of a row's own candidates."""
    return math.prod(len(values) for values in candidates.values())
