"""Domain confusion: methods that fool a network which distinguishes the domains."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("confusion")
