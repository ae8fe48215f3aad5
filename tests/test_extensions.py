"""Objects of a user's own by import path, by registration and by entry point; what stands for their code in a hash."""

import subprocess
import sys
import textwrap

import pytest

from tlzoo import registry, user_code
from tlzoo.extensions import Extension, Extensions, import_object, is_import_path
from tlzoo.methods.adaptation import DAN
from tlzoo.registry import (
    EXTENSIONS,
    create_method,
    family_of,
    list_methods,
    method_class,
    register_method,
    resolve_name,
)

METHOD = """
    from tlzoo.methods.alignment import Alignment
    from tlzoo.methods.weighting import Weighting

    class Mine(Alignment):
        sees = Alignment.sees

    class Scales(Weighting):
        pass

    number = 3
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module of the user's own beside the tests; return what writes it again."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text=METHOD, name="users_own"):
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        sys.modules.pop(name, None)
        return file

    before = set(sys.modules)
    yield write
    for each in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[each], "__file__", "")):
            del sys.modules[each]


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("users_own:Mine", True),
        ("a.b:C.d", True),
        ("folder/with space/mine.py:Mine", True),
        ("emoji/category:google->windows", False),
        ("folder:art->clipart", False),
        ("digits:mnist5k->optdigits:3shot", False),
        ("adaptation/dan", False),
        ("1a:B", False),
    ],
)
def test_what_an_import_path_is(name, is_one):
    assert is_import_path(name) is is_one


def test_a_method_by_its_import_path(module):
    module()
    assert resolve_name("users_own:Mine") == "users_own:Mine"
    method = create_method("users_own:Mine", num_features=2, num_classes=3)
    assert type(method).__name__ == "Mine"
    assert method.name == "Mine"
    assert family_of("users_own:Mine") == "adaptation"
    assert family_of("users_own:Scales") == "multitask"
    assert resolve_name("users_own:Mine + mcc") == "users_own:Mine+adaptation/mcc"
    both = create_method("users_own:Mine+mcc", num_features=2, num_classes=3)
    assert list(both.alignments) == ["Mine", "mcc"]


def test_a_method_in_a_file(module, monkeypatch):
    file = module()
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path != str(file.parent)])
    monkeypatch.chdir(file.parent)
    assert method_class("users_own.py:Mine") is method_class(f"{file}:Mine") is sys.modules["users_own"].Mine
    with pytest.raises(ValueError, match=r"there is no file no\.py in "):
        method_class("no.py:Mine")
    module(name="json")
    with pytest.raises(ValueError, match=r"another module is called 'json' .*; rename the file"):
        method_class("json.py:Mine")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere_at_all:Mine", "there is no module 'nowhere_at_all'; run in the folder that contains it"),
        ("users_own:Mime", "users_own:Mime: unknown name in users_own 'Mime'; did you mean 'Mine'"),
        ("users_own.deep:Mine", r"there is no module 'users_own\.deep'"),
        ("broken:Mine", r"broken:Mine cannot be imported: ZeroDivisionError: division by zero"),
        ("wanting:Mine", r"wanting:Mine cannot be imported: No module named 'not_there'"),
    ],
)
def test_what_cannot_be_imported_says_why(module, path, message):
    module()
    module("1 / 0", name="broken")
    module("import not_there", name="wanting")
    with pytest.raises(ValueError, match=message):
        import_object(path)


def test_what_is_no_method(module):
    module()
    with pytest.raises(TypeError, match="users_own:number is no method but int; expected a subclass"):
        method_class("users_own:number")
    with pytest.raises(TypeError, match="no method but str"):
        register_method("adaptation/mine", str)


def test_registering_in_a_session():
    class Mine(DAN):
        pass

    assert register_method("confusion/mine", Mine) is Mine
    assert resolve_name("MINE") == resolve_name("confusion/Mine") == "confusion/mine"
    assert family_of("mine") == "confusion"
    assert create_method("mine", num_features=2, num_classes=3).name == "confusion/mine"
    assert list_methods("confusion")[-1] == "confusion/mine"

    @register_method("confusion/mine")
    class Again(DAN):
        pass

    assert method_class("mine") is Again
    with pytest.raises(ValueError, match="'adaptation/dan' is a method of tlzoo; choose another name"):
        register_method("adaptation/dan", Mine)
    with pytest.raises(ValueError, match="unknown family 'confused'; did you mean 'confusion'"):
        register_method("confused/mine", Mine)
    with pytest.raises(ValueError, match="'mine' is no name for a method; expected FAMILY/NAME"):
        register_method("mine", Mine)
    with pytest.raises(ValueError, match="'mine' is no import path"):
        register_method("adaptation/mine", "mine")
    register_method("adaptation/mine", Mine)
    with pytest.raises(ValueError, match="ambiguous; write confusion/mine or adaptation/mine"):
        resolve_name("mine")


def test_what_other_processes_can_find(module):
    module()
    mine = method_class("users_own:Mine")
    assert Extension("adaptation/mine", mine).reference == "users_own:Mine"
    assert Extension("adaptation/mine", "users_own:Mine").reference == "users_own:Mine"
    assert Extension("users_own:Mine", "users_own:Mine").reference == "users_own:Mine"
    assert Extension("adaptation/mine", "package:Mine", "package 1.0").reference == "adaptation/mine"

    class Local(DAN):
        pass

    assert Extension("adaptation/local", Local).path is None
    assert Extension("adaptation/local", Local).reference == "adaptation/local"


def origin(path):
    return Extension(path, path).origin


def test_the_origin_is_of_the_code_and_of_what_it_imports_beside_itself(module):
    module("from helper import help_me\nMine = 1")
    module("help_me = 1", name="helper")
    first = origin("users_own:Mine")
    assert first == origin("users_own:Mine")
    module("help_me = 2", name="helper")
    second = origin("users_own:Mine")
    module("from helper import help_me\nMine = 2")
    third = origin("users_own:Mine")
    module("other = 1", name="unrelated")
    assert len({first, second, third}) == 3
    assert origin("users_own:Mine") == third


def test_the_origin_of_a_module_in_a_package(module, tmp_path):
    module("from . import near\nfrom .deep.down import there\nimport elsewhere\nMine = 1", name="pack.age.mine")
    module("", name="pack.__init__")
    module("", name="pack.age.__init__")
    module("near = 1", name="pack.age.near")
    module("there = 1", name="pack.age.deep.down")
    module("import os", name="elsewhere")
    files = {tmp_path / "pack" / name for name in ("__init__.py", "age/__init__.py", "age/mine.py", "age/near.py")}
    found = user_code._with_imports(tmp_path / "pack/age/mine.py", tmp_path)
    assert found == files | {tmp_path / "pack/age/deep/down.py"}
    before = origin("pack.age.mine:Mine")
    assert "pack" not in sys.modules
    module("near = 2", name="pack.age.near")
    assert origin("pack.age.mine:Mine") != before


def test_the_origin_of_a_session_covers_what_the_class_uses(tmp_path):
    """As in a notebook: classes of ``__main__``, whose source is kept, and what they call there."""
    program = """
        from tlzoo.methods.alignment import Alignment
        from tlzoo.extensions import Extension
        def helper(x): return x * {factor}
        class Base(Alignment):
            scale = {scale}
        class Mine(Base):
            @property
            def term(self): return helper(2) * constant["by"]
        unrelated = {unrelated}
        constant = {{"by": {constant}}}
        print(Extension("adaptation/mine", Mine).origin, Extension("adaptation/mine", Mine).path)
    """

    def shown(**values):
        file = tmp_path / "session.py"
        file.write_text(
            textwrap.dedent(program.format(**({"factor": 1, "scale": 1, "unrelated": 1, "constant": 1} | values)))
        )
        return subprocess.run([sys.executable, file], capture_output=True, text=True, check=True).stdout

    first = shown()
    assert first.endswith(" None\n")
    assert shown(unrelated=2) == first
    assert len({first, shown(factor=2), shown(scale=2), shown(constant=2)}) == 4


def test_a_source_that_nothing_has_kept():
    """As in an interpreter: the code itself counts, wherever it was typed."""

    def typed(text):
        namespace = {"__name__": "typed_in"}
        exec(textwrap.dedent(text), namespace)
        return Extension("adaptation/typed", namespace["Typed"]).origin

    code = "class Typed:\n    scale = 1\n    def term(self, x):\n        return x * SCALE\nSCALE = 3"
    first = typed(code)
    assert first == typed(f"\n\n{code}")
    assert len({first, typed(code.replace("= 3", "= 4")), typed(code.replace("= 1", "= 2"))}) == 3
    assert typed(code.replace("x * SCALE", "x + SCALE")) != first


@pytest.fixture
def installed(module, tmp_path):
    """Install a package beside tlzoo: files and metadata, as pip leaves them."""
    module(METHOD, name="others_methods")
    info = tmp_path / "others-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1.2\n")
    (info / "RECORD").write_text("others_methods.py,,\n")
    (info / "entry_points.txt").write_text(
        "[tlzoo.methods]\nadaptation/theirs = others_methods:Mine\nadaptation/dan = others_methods:Mine\n"
    )
    EXTENSIONS.__dict__.pop("_installed", None)
    yield
    EXTENSIONS.__dict__.pop("_installed", None)


@pytest.mark.usefixtures("installed")
def test_a_package_registers_by_entry_points():
    assert "others_methods" not in sys.modules
    assert resolve_name("Theirs") == "adaptation/theirs"
    assert list_methods("adaptation")[-1] == "adaptation/theirs"
    assert "others_methods" not in sys.modules, "names alone import nothing"
    assert method_class("theirs").__module__ == "others_methods"
    assert method_class("dan") is DAN, "nobody takes over a built-in name"
    own = EXTENSIONS.get("theirs")
    assert own.reference == "adaptation/theirs"
    assert own.origin.startswith("others 1.2 ")
    assert registry.code_of("theirs+dan") == {"method adaptation/theirs": own.origin}
    assert user_code.distribution_of("others_methods") == "others 1.2"
    with pytest.raises(ValueError, match=r"'adaptation/theirs' is a method of others 1\.2; choose another name"):
        register_method("adaptation/theirs", "others_methods:Mine")


@pytest.mark.usefixtures("installed")
def test_an_installed_module_of_no_package_has_no_neighbors(module):
    module("import json, another\nMine = 1", name="alone")
    module("x = 1", name="another")
    before = origin("alone:Mine")
    module("x = 2", name="another")
    assert origin("alone:Mine") == before


def test_names_that_cannot_be_registered():
    things = Extensions("thing", built_in=lambda name: name == "taken")
    for name in ("a:B", "", " a"):
        with pytest.raises(ValueError, match="no name for a thing"):
            things.register(name, object())
    with pytest.raises(ValueError, match="'taken' is a thing of tlzoo"):
        things.register("taken", object())
