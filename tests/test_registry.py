import importlib

import pytest

from tlzoo import registry
from tlzoo.paper import Paper
from tlzoo.registry import FAMILIES, METHODS, create_method, list_methods, method_class, resolve_name
from tlzoo.spelling import nearest


def paper(**changes):
    return Paper(**{"title": "T", "authors": ("One", "Two", "Three"), "venue": "V", "year": 2020} | changes)


def test_methods_by_family():
    assert list_methods() == list(METHODS)
    assert sorted(name for family in FAMILIES for name in list_methods(family)) == sorted(METHODS)
    with pytest.raises(ValueError, match="unknown family 'adaption'; did you mean 'adaptation'"):
        list_methods("adaption")


def test_names():
    assert resolve_name("dan") == resolve_name("adaptation/dan") == "adaptation/dan"
    assert resolve_name("DeepCORAL") == resolve_name("Deep-Coral") == "adaptation/deep_coral"
    assert resolve_name("tlzoo.methods.adaptation.dan:DAN") == "adaptation/dan"
    with pytest.raises(ValueError, match="unknown method 'depcoral'; did you mean 'deep_coral'"):
        resolve_name("depcoral")
    with pytest.raises(ValueError, match="unknown method 'mmd'; did you mean 'dan'"):
        resolve_name("mmd")
    with pytest.raises(ValueError, match=r"did you mean .*'adaptation/dan'"):
        resolve_name("adaptation/dam")
    with pytest.raises(ValueError, match="unknown method 'xyzzy'; none of the"):
        resolve_name("xyzzy")


def test_bare_names_of_built_in_methods_are_unique():
    shorts = [name.split("/")[1] for name in METHODS]
    assert len(set(shorts)) == len(shorts)


def test_a_row_is_one_line_of_a_familys_stub():
    for family in FAMILIES:
        package = importlib.import_module(f"tlzoo.methods.{family}")
        assert sorted(package.__all__) == sorted(cls for name, cls in METHODS.items() if name.startswith(f"{family}/"))
        assert all(getattr(package, cls).__name__ == cls for cls in package.__all__)
        assert set(package.__all__) < set(dir(package))
    with pytest.raises(AttributeError, match=r"module 'tlzoo.methods.confusion' has no attribute 'DAN'"):
        importlib.import_module("tlzoo.methods.confusion").DAN  # noqa: B018


def test_create_method():
    method = create_method("dan", num_features=4, num_classes=2, weight=0.5)
    assert type(method) is method_class("dan")
    assert method.weight == 0.5
    with pytest.raises(
        TypeError, match=r"adaptation/dan: got an unexpected keyword argument 'wieght'; its settings are"
    ):
        create_method("dan", wieght=1.0)
    with pytest.raises(TypeError, match=r"adaptation/dan: missing a required argument: 'num_features'"):
        create_method("dan")
    with pytest.raises(TypeError, match="its settings are none"):
        create_method("cosine", num_features=3)


def test_errors_of_a_constructor_are_its_own(monkeypatch):
    class Broken:
        def __init__(self, *, weight=1.0):
            raise TypeError("an argument about something else")

    monkeypatch.setattr(registry, "method_class", lambda _: Broken)
    with pytest.raises(TypeError, match=r"^an argument about something else$"):
        create_method("dan", weight=2.0)


def test_where_a_paper_is():
    assert paper(arxiv="2001.00001", doi="10.1/2", page="https://p").url == "https://arxiv.org/abs/2001.00001"
    assert paper(doi="10.1/2", page="https://p").url == "https://doi.org/10.1/2"
    assert paper(page="https://p").url == "https://p"
    assert paper().url is None


def test_citations():
    assert paper().citation == "One et al., V 2020"
    assert paper(authors=("One", "Two")).citation == "One and Two, V 2020"
    assert paper(authors=("One",)).citation == "One, V 2020"


def test_nearest():
    assert nearest("dna", ["dan", "dann", "mcc"], kind="method").endswith("did you mean 'dan' or 'dann'?")
    assert nearest("zzz", ["b", "a"], kind="thing") == "unknown thing 'zzz'; known are a, b"
    assert nearest("MC", ["mcc", "bnm"], kind="method") == "unknown method 'MC'; did you mean 'mcc'?"
    assert nearest("mmd", ["dan", "mme"], kind="method", related=["dan"]).endswith("did you mean 'dan' or 'mme'?")
    many = [f"method{n}" for n in range(500)]
    assert nearest("zz", many, kind="name") == "unknown name 'zz'; none of the 500 known ones is spelled like it"
