"""One-shot learning: episode classifiers and meta-learners, from a support set to query logits."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("oneshot")
