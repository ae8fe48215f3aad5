"""The one list of methods: a name, where its class lives, nothing imported until it is asked for.

Adding a method means its file, one row here, a reference test and a changelog line; the command line, the docs,
the conformance tests and suites follow from the row.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from tlzoo.spelling import nearest

if TYPE_CHECKING:
    from tlzoo.methods.base import Method

__all__ = [
    "FAMILIES",
    "METHODS",
    "accepted_settings",
    "create_method",
    "list_methods",
    "method_class",
    "registered_name",
    "resolve_name",
]

FAMILIES = ("adaptation", "confusion", "multitask", "oneshot", "zeroshot", "finetuning")

METHODS: dict[str, str] = {
    "adaptation/source_only": "SourceOnly",
    "adaptation/target_only": "TargetOnly",
    "adaptation/dan": "DAN",
    "adaptation/deep_coral": "DeepCORAL",
    "adaptation/jan": "JAN",
    "adaptation/dsan": "DSAN",
    "adaptation/cmd": "CMD",
    "adaptation/homm": "HoMM",
    "adaptation/safn": "SAFN",
    "adaptation/hafn": "HAFN",
    "adaptation/bsp": "BSP",
    "adaptation/bnm": "BNM",
    "adaptation/mcc": "MCC",
    "adaptation/entropy_minimization": "EntropyMinimization",
    "adaptation/information_maximization": "InformationMaximization",
    "adaptation/deep_jdot": "DeepJDOT",
    "adaptation/pseudo_label": "PseudoLabel",
    "adaptation/m3sda": "M3SDA",
    "adaptation/fixmatch": "FixMatch",
    "adaptation/self_ensembling": "SelfEnsembling",
    "adaptation/atdoc": "ATDOC",
    "adaptation/swd": "SWD",
    "adaptation/unaligned": "Unaligned",
    "adaptation/standardization": "Standardization",
    "adaptation/coral": "CORAL",
    "adaptation/subspace_alignment": "SubspaceAlignment",
    "adaptation/linear_ot": "LinearOT",
    "adaptation/adabn": "AdaBN",
    "adaptation/shot": "SHOT",
    "adaptation/nrc": "NRC",
    "adaptation/tent": "TENT",
    "adaptation/eata": "EATA",
    "adaptation/sar": "SAR",
    "adaptation/cotta": "CoTTA",
    "adaptation/t3a": "T3A",
    "adaptation/lame": "LAME",
    "confusion/dann": "DANN",
    "confusion/cdan": "CDAN",
    "confusion/domain_confusion": "DomainConfusionLoss",
    "confusion/mdd": "MDD",
    "confusion/symnets": "SymNets",
    "confusion/gvb": "GVB",
    "confusion/pada": "PADA",
    "confusion/iwan": "IWAN",
    "confusion/osbp": "OSBP",
    "confusion/mme": "MME",
    "confusion/vada": "VADA",
    "confusion/dirt_t": "DIRTT",
    "confusion/adda": "ADDA",
    "confusion/mcd": "MCD",
    "confusion/wdgrl": "WDGRL",
    "multitask/equal": "Equal",
    "multitask/fixed": "Fixed",
    "multitask/uncertainty": "Uncertainty",
    "multitask/uncertainty_softmax": "UncertaintySoftmax",
    "multitask/dwa": "DWA",
    "multitask/rlw": "RLW",
    "multitask/geometric": "Geometric",
    "multitask/imtl_l": "IMTLL",
    "multitask/famo": "FAMO",
    "multitask/stch": "STCH",
    "multitask/gradnorm": "GradNorm",
    "multitask/mgda": "MGDA",
    "multitask/pcgrad": "PCGrad",
    "multitask/gradvac": "GradVac",
    "multitask/graddrop": "GradDrop",
    "multitask/cagrad": "CAGrad",
    "multitask/imtl_g": "IMTLG",
    "multitask/imtl": "IMTL",
    "multitask/nash_mtl": "NashMTL",
    "multitask/aligned_mtl": "AlignedMTL",
    "multitask/config": "ConFIG",
    "multitask/upgrad": "UPGrad",
    "multitask/dual_proj": "DualProj",
    "multitask/fairgrad": "FairGrad",
    "multitask/sdmgrad": "SDMGrad",
    "multitask/excess_mtl": "ExcessMTL",
    "multitask/db_mtl": "DBMTL",
    "oneshot/protonet": "ProtoNet",
    "oneshot/simpleshot": "SimpleShot",
    "oneshot/matching_net": "MatchingNet",
    "oneshot/relation_net": "RelationNet",
    "oneshot/siamese": "Siamese",
    "oneshot/r2d2": "R2D2",
    "oneshot/metaoptnet": "MetaOptNet",
    "oneshot/feat": "FEAT",
    "oneshot/linear_baseline": "LinearBaseline",
    "oneshot/baseline_pp": "BaselinePP",
    "oneshot/logistic": "Logistic",
    "oneshot/finetune": "Finetune",
    "oneshot/bd_cspn": "BDCSPN",
    "oneshot/laplacian_shot": "LaplacianShot",
    "oneshot/label_propagation": "LabelPropagation",
    "oneshot/tim": "TIM",
    "oneshot/alpha_tim": "AlphaTIM",
    "oneshot/pt_map": "PTMAP",
    "oneshot/transductive_finetuning": "TransductiveFinetuning",
    "oneshot/maml": "MAML",
    "oneshot/fomaml": "FOMAML",
    "oneshot/anil": "ANIL",
    "oneshot/meta_sgd": "MetaSGD",
    "oneshot/reptile": "Reptile",
    "oneshot/setfit": "SetFit",
    "zeroshot/cosine": "Cosine",
    "zeroshot/ridge": "Ridge",
    "zeroshot/eszsl": "ESZSL",
    "zeroshot/sae": "SAE",
    "zeroshot/dap": "DAP",
    "zeroshot/conse": "ConSE",
    "zeroshot/devise": "DeViSE",
    "zeroshot/sje": "SJE",
    "zeroshot/ale": "ALE",
    "zeroshot/latem": "LatEm",
    "zeroshot/bilinear_softmax": "BilinearSoftmax",
    "zeroshot/dual_encoder": "DualEncoder",
    "zeroshot/feature_generation": "FeatureGeneration",
    "zeroshot/nli": "NLI",
    "zeroshot/csls": "CSLS",
    "zeroshot/inverted_softmax": "InvertedSoftmax",
    "zeroshot/class_prior": "ClassPrior",
    "zeroshot/calibrated_stacking": "CalibratedStacking",
    "zeroshot/tip_adapter": "TipAdapter",
    "finetuning/from_scratch": "FromScratch",
    "finetuning/linear_probe": "LinearProbe",
    "finetuning/full": "Full",
    "finetuning/gradual_unfreezing": "GradualUnfreezing",
    "finetuning/layerwise": "Layerwise",
    "finetuning/l2_sp": "L2SP",
    "finetuning/lora": "LoRA",
}
"""``family/name`` -> class in ``tlzoo.methods.<family>.<name>``."""


def list_methods(family: str | None = None) -> list[str]:
    """Return full method names, of one family or of all.

    >>> list_methods("oneshot")[:2]
    ['oneshot/protonet', 'oneshot/simpleshot']
    """
    if family is not None and family not in FAMILIES:
        raise ValueError(nearest(family, FAMILIES, kind="family"))
    return [name for name in METHODS if family in (None, name.split("/")[0])]


def resolve_name(name: str) -> str:
    """Return the full name of a method given by its full or its bare, unique name.

    Names joined by ``+`` are a composition, see :class:`tlzoo.methods.combined.Combined`.

    >>> resolve_name("mcc+dann")
    'adaptation/mcc+confusion/dann'
    """
    if "+" in name:
        return "+".join(resolve_name(part.strip()) for part in name.split("+"))
    if name in METHODS:
        return name
    full = [known for known in METHODS if known.split("/")[1] == name]
    if len(full) == 1:
        return full[0]
    if full:
        raise ValueError(f"{name!r} is the name of several methods; write {' or '.join(full)}")
    known = [*METHODS, *(full_name.split("/")[1] for full_name in METHODS)] if "/" not in name else METHODS
    raise ValueError(nearest(name, known, kind="method"))


def method_class(name: str) -> type[Method]:
    """Import and return the class of a method, or of a composition of several."""
    full = resolve_name(name)
    if "+" in full:
        combined: type[Method] = importlib.import_module("tlzoo.methods.combined").composition(tuple(full.split("+")))
        return combined
    family, short = full.split("/")
    cls: type[Method] = getattr(importlib.import_module(f"tlzoo.methods.{family}.{short}"), METHODS[full])
    return cls


def registered_name(cls: type[Method]) -> str:
    """Return the full name under which a class is registered, or the name of a class of the user's own."""
    module = cls.__module__.removeprefix("tlzoo.methods.").replace(".", "/")
    return module if METHODS.get(module) == cls.__name__ else cls.__name__


def accepted_settings(name: str, **offered: Any) -> dict[str, Any]:
    """Return those of the offered settings that the method's constructor takes.

    Modules offer what they know of a network's shape; a method without parameters of its own asks for none of it.

    >>> accepted_settings("protonet", num_features=512)
    {}
    >>> accepted_settings("simpleshot", num_features=512)
    {'num_features': 512}
    """
    taken = inspect.signature(method_class(name)).parameters
    return {setting: value for setting, value in offered.items() if setting in taken}


def create_method(name: str, **settings: Any) -> Method:
    """Build a method by name: ``create_method("dan", num_features=256, num_classes=8)``.

    Raises:
        ValueError: the name is unknown or ambiguous; the nearest names are in the message.
        TypeError: a setting is unknown to the method, or one without default is missing; its settings are in the
            message.
    """
    cls = method_class(name)
    signature = inspect.signature(cls)
    try:
        signature.bind_partial(**settings)  # what is unknown is worth saying before what is missing
        signature.bind(**settings)
    except TypeError as error:
        known = ", ".join(_shown(parameter) for parameter in signature.parameters.values()) or "none"
        raise TypeError(f"{resolve_name(name)}: {error}; its settings are {known}") from None
    return cls(**settings)


def _shown(parameter: inspect.Parameter) -> str:
    return parameter.name if parameter.default is parameter.empty else f"{parameter.name}={parameter.default!r}"
