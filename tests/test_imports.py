"""What an import brings along, each in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

from tlzoo.registry import FAMILIES

HEAVY = [
    "pytorch_lightning",
    "lightning",
    "timm",
    "torchvision",
    "transformers",
    "pandas",
    "peft",
    "sklearn",
    "matplotlib",
]


def loaded_by(statement, *names):
    """Return those of ``names`` that a fresh interpreter holds after ``statement``."""
    program = f"{statement}\nimport json, sys\nprint(json.dumps([n for n in {list(names)!r} if n in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_package_itself_loads_no_torch():
    assert loaded_by("import tlzoo", "torch", "numpy", *HEAVY) == []


def test_names_load_no_torch():
    statement = "import tlzoo; tlzoo.list_methods(); tlzoo.list_tasks(); tlzoo.list_backbones()"
    assert loaded_by(statement, "torch", *HEAVY) == []


def test_a_subpackage_is_there_without_an_import_of_its_own():
    assert loaded_by("import tlzoo; tlzoo.functional.mmd, tlzoo.nn.Network", "torch", *HEAVY) == ["torch"]
    assert loaded_by("import tlzoo; tlzoo.methods.confusion.CDAN, tlzoo.methods.Alignment", *HEAVY) == []
    assert loaded_by("import tlzoo; tlzoo.run_suite, tlzoo.stats.iqm, tlzoo.bench.load_suite", "torch") == []


@pytest.mark.parametrize(
    "module",
    ["tlzoo.functional", "tlzoo.nn.network", "tlzoo.methods.base", "tlzoo.methods.conformance", "tlzoo.selection"],
)
def test_layers_below_lightning(module):
    assert loaded_by(f"import {module}", "torch", *HEAVY) == ["torch"]


def test_all_families_of_methods():
    statement = "\n".join(f"from tlzoo.methods.{family} import *" for family in FAMILIES)
    assert loaded_by(statement, "torch", *HEAVY) == ["torch"]


def test_an_import_changes_no_warning_filter():
    program = "import warnings, torch, pytorch_lightning; before = list(warnings.filters); import {}; "
    program += "assert warnings.filters == before, set(warnings.filters) - set(before)"
    for module in ("tlzoo.lit", "tlzoo.bench.protocols.domain"):
        subprocess.run([sys.executable, "-c", program.format(module)], check=True)


def test_the_public_names_are_there():
    statement = (
        "import tlzoo\nfor name in tlzoo.__all__: getattr(tlzoo, name)\nassert set(tlzoo.__all__) <= set(dir(tlzoo))"
    )
    assert loaded_by(statement, "pytorch_lightning") == ["pytorch_lightning"]


def test_a_name_that_is_not_there():
    import tlzoo

    with pytest.raises(AttributeError, match="module 'tlzoo' has no attribute 'DomainAdaption'"):
        tlzoo.DomainAdaption  # noqa: B018
