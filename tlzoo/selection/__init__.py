"""Validators that need no target label: they score a model by its predictions on unlabelled target inputs."""

from tlzoo.selection.health import COLLAPSED, health
from tlzoo.selection.source_validators import SOURCE_SCORES
from tlzoo.selection.validators import SCORES, scores

__all__ = ["COLLAPSED", "SCORES", "SOURCE_SCORES", "health", "scores"]
