"""Domain adaptation: a statistic of source and target is made small."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("adaptation")
