"""Fine-tuning: ways to train a pretrained network on."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("finetuning")
