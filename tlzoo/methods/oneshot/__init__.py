"""One-shot learning: support set in, query logits out; episode classifiers and meta-learners."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("oneshot")
