"""Validators that need no target label: they score a model by its predictions on unlabelled target inputs."""

from tlzoo.selection.health import COLLAPSED, health
from tlzoo.selection.scores import SCORES, scores
from tlzoo.selection.source import SOURCE_SCORES

__all__ = ["COLLAPSED", "SCORES", "SOURCE_SCORES", "health", "scores"]
