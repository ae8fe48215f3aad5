"""Validators that need no target label: they score a model by its predictions on unlabelled target inputs."""

from tlzoo.selection.scores import SCORES, scores

__all__ = ["SCORES", "scores"]
