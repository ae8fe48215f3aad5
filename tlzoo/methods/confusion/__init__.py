"""Domain confusion: a network tells domains apart, and is fooled."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("confusion")
