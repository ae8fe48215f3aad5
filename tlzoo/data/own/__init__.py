"""Tasks on a user's own data: what :mod:`tlzoo.tasks` offers, and what a mapping in a suite stands for."""

from tlzoo.data.own.domain import domain, fine_tuning
from tlzoo.data.own.episodes import episodes
from tlzoo.data.own.multitask import multitask
from tlzoo.data.own.zero_shot import zero_shot

__all__ = ["domain", "episodes", "fine_tuning", "multitask", "zero_shot"]
