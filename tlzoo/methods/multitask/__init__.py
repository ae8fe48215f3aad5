"""Multitask learning: weightings of task losses or gradients."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("multitask")
