"""Fine-tuning: strategies to train a pretrained network further."""

from tlzoo.registry import lazy_family

__all__, __getattr__, __dir__ = lazy_family("finetuning")
