import io
import tarfile
import zipfile

import pytest

from tlzoo.sources.archive import read_members, unpack, unpacked_problem
from tlzoo.sources.errors import SourceError


def wheel(path, members, *, mode=None):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            if mode is not None:
                info.external_attr = mode << 16
            file.writestr(info, content)
    return path


def sdist(path, *infos):
    with tarfile.open(path, "w:gz") as file:
        for info, content in infos:
            file.addfile(info, io.BytesIO(content))
    return path


def tar_info(name, *, kind=tarfile.REGTYPE, size=0, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, link
    return info


def test_only_wanted_members_are_unpacked(tmp_path):
    archive = wheel(tmp_path / "a.whl", {"pkg/data/a.txt": b"1", "pkg/code.py": b"2", "pkg/data/deep/b.txt": b"3"})
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(archive, ("pkg/data/*.txt",), folder)
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}
    assert found == {"pkg/data/a.txt": b"1", "pkg/data/deep/b.txt": b"3"}


def test_sdist_members(tmp_path):
    archive = sdist(tmp_path / "a.tar.gz", (tar_info("a-1.0/x/data.csv", size=2), b"ok"))
    assert list(read_members(archive, ["*/x/data.csv"])) == [("a-1.0/x/data.csv", b"ok")]


@pytest.mark.parametrize("name", ["/etc/a.txt", "../a.txt", "data/../../a.txt", "c:/a.txt", "data\\..\\a.txt"])
def test_members_that_leave_the_folder_are_refused(tmp_path, name):
    archive = sdist(tmp_path / "a.tar.gz", (tar_info(name, size=1), b"1"))
    with pytest.raises(SourceError, match="outside of its folder"):
        list(read_members(archive, ["*"]))


@pytest.mark.parametrize("name", ["/etc/a.txt", "../a.txt", "data/../../a.txt"])
def test_wheel_members_that_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(SourceError, match="outside of its folder"):
        unpack(wheel(tmp_path / "a.whl", {name: b"1"}), ("*",), tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    archive = sdist(tmp_path / "a.tar.gz", (tar_info("data/a.txt", kind=kind, link="/etc/passwd"), b""))
    with pytest.raises(SourceError, match="link or a device"):
        list(read_members(archive, ["data/*"]))


def test_links_in_wheels_are_refused(tmp_path):
    archive = wheel(tmp_path / "a.whl", {"data/a.txt": b"/etc/passwd"}, mode=0o120777)
    with pytest.raises(SourceError, match="link or a device"):
        list(read_members(archive, ["data/*"]))


def test_nothing_wanted_inside_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"holds nothing that matches b/\*"):
        unpack(wheel(tmp_path / "a.whl", {"a/x": b"1"}), ("b/*",), tmp_path)


def test_problems_of_an_unpacked_folder(tmp_path):
    archive = wheel(tmp_path / "a.whl", {"d/a": b"1", "d/b": b"2"})
    folder = tmp_path / "out"
    folder.mkdir()
    unpack(archive, ("d/*",), folder)
    assert unpacked_problem(archive, ("d/*",), folder) is None
    (folder / "d/a").write_bytes(b"x")
    assert "was changed" in unpacked_problem(archive, ("d/*",), folder)
    (folder / "d/a").unlink()
    assert "is missing" in unpacked_problem(archive, ("d/*",), folder)
    (folder / "d/a").symlink_to(folder / "d/b")
    assert "is missing" in unpacked_problem(archive, ("d/*",), folder)
    (folder / "d/a").unlink()
    (folder / "d/a").write_bytes(b"1")
    (folder / "d/c").write_bytes(b"3")
    assert "does not belong" in unpacked_problem(archive, ("d/*",), folder)
