import pytest

from tlzoo.data.derived import derived_folder


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.setenv("TLZOO_HOME", str(tmp_path))
    calls = []

    def make(folder):
        calls.append(folder)
        (folder / "numbers.txt").write_text("1 2 3")

    return calls, make


def test_made_once_an_identity(made):
    calls, make = made
    folder = derived_folder("toy", "a", make)
    assert (folder / "numbers.txt").read_text() == "1 2 3"
    assert derived_folder("toy", "a", make) == folder
    assert len(calls) == 1
    assert derived_folder("toy", "b", make) != folder
    assert len(calls) == 2


@pytest.mark.parametrize("damage", ["truncate", "remove", "manifest"])
def test_what_is_not_whole_is_made_again(made, damage):
    calls, make = made
    folder = derived_folder("toy", "a", make)
    if damage == "truncate":
        (folder / "numbers.txt").write_text("1")
    elif damage == "remove":
        (folder / "numbers.txt").unlink()
    else:
        (folder / "manifest.json").write_text("{")
    assert (derived_folder("toy", "a", make) / "numbers.txt").read_text() == "1 2 3"
    assert len(calls) == 2


@pytest.mark.usefixtures("made")
def test_an_interruption_leaves_nothing(tmp_path):
    def interrupted(folder):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        derived_folder("toy", "a", interrupted)
    assert [path.name for path in (tmp_path / "derived").iterdir()] == [".locks"]
