"""Selection without target labels: validators of a model, signs of its health, and transferability of a backbone."""

from tlzoo.selection.health import COLLAPSED, health
from tlzoo.selection.importance import importance_weighted_validation
from tlzoo.selection.ranks import average_ranks
from tlzoo.selection.source_validators import SOURCE_SCORES
from tlzoo.selection.transferability import TRANSFERABILITY, gbc, h_score, leep, log_me, nce, trans_rate
from tlzoo.selection.validators import SCORES, matrix_norm, scores

__all__ = [
    "COLLAPSED",
    "SCORES",
    "SOURCE_SCORES",
    "TRANSFERABILITY",
    "average_ranks",
    "gbc",
    "h_score",
    "health",
    "importance_weighted_validation",
    "leep",
    "log_me",
    "matrix_norm",
    "nce",
    "scores",
    "trans_rate",
]
