"""Domain adaptation: methods that minimize a statistic of source and target."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("adaptation")
