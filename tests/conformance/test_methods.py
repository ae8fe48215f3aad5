"""Every method of the registry, under every check. Nothing here names a method."""

import importlib
import inspect

import pytest

from tlzoo.methods.base import Method
from tlzoo.methods.compatibility import Compatibility
from tlzoo.methods.conformance import CHECKS, scenarios
from tlzoo.methods.domain_method import DomainMethod
from tlzoo.methods.episode_classifier import EpisodeClassifier
from tlzoo.methods.image_text_classifier import ImageTextClassifier
from tlzoo.methods.meta_learning import MetaLearner
from tlzoo.methods.strategy import Strategy
from tlzoo.methods.test_time import TestTime
from tlzoo.methods.text_compatibility import TextCompatibility
from tlzoo.methods.weighting import Weighting
from tlzoo.registry import FAMILIES, METHODS, create_method, list_methods, method_class

BASES = {
    "adaptation": (DomainMethod, TestTime),
    "confusion": DomainMethod,
    "multitask": Weighting,
    "oneshot": (EpisodeClassifier, ImageTextClassifier, MetaLearner),
    "zeroshot": (Compatibility, TextCompatibility),
    "finetuning": Strategy,
}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", METHODS)
def test_method(name, check):
    found = scenarios(name)
    assert found
    for scenario in found:
        CHECKS[check](scenario)


@pytest.mark.parametrize("name", METHODS)
def test_class_is_of_its_family(name):
    cls = method_class(name)
    assert issubclass(cls, BASES[name.split("/")[0]])
    assert cls.__module__ == f"tlzoo.methods.{name.replace('/', '.')}"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_exports_its_methods_and_nothing_else(family):
    package = importlib.import_module(f"tlzoo.methods.{family}")
    assert sorted(package.__all__) == sorted(METHODS[name] for name in list_methods(family))
    for name in list_methods(family):
        assert getattr(package, METHODS[name]) is method_class(name)
    public = {key for key, value in vars(package).items() if inspect.isclass(value) and issubclass(value, Method)}
    assert public == set(package.__all__)


@pytest.mark.parametrize("name", METHODS)
def test_created_by_full_and_bare_name(name):
    scenario = scenarios(name)[0]
    arguments = scenario.arguments()
    bare = name.split("/")[1]
    names = [name, bare] if sum(known.split("/")[1] == bare for known in METHODS) == 1 else [name]
    for spelled in names:
        assert type(create_method(spelled, **arguments)) is method_class(name)


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_setting_is_answered_with_the_known_ones(name):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'no_such_setting'; its settings are") as error:
        create_method(name, no_such_setting=1)
    assert str(error.value).startswith(f"{name}: ")
    for parameter in inspect.signature(method_class(name)).parameters:
        assert parameter in str(error.value)
