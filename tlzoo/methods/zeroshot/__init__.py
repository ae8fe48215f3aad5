"""Zero-shot learning: compatibilities between features and class descriptions."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("zeroshot")
