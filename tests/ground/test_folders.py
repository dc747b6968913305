"""Folders of files: whole or not at all, wherever they lie and whatever they are called; a refusal is one sentence."""

import errno
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from axiom.errors import ConfigError, DataError, StorageError
from axiom.folders import Folder, storage_errors

SIGNS = st.text(st.sampled_from("ab é#?%*[]{}:'\"~!$&()+,;=@\\|<>"), min_size=1, max_size=12)


@settings(deadline=None)
@given(st.lists(SIGNS, min_size=1, max_size=3))
def test_a_folder_of_any_name_is_just_that_folder(parts):
    with tempfile.TemporaryDirectory() as root:
        folder = Folder("/".join((root, *parts)))
        folder.write_bytes("x.json", b"1")
        assert folder.local
        assert folder.read_bytes("x.json") == b"1"
        assert Path(root).joinpath(*parts, "x.json").read_bytes() == b"1"
        assert folder.join("below").path == str(Path(root).joinpath(*parts, "below"))
        assert folder.names() == ["x.json"]
        folder.remove("x.json")
        assert not folder.exists("x.json")


@pytest.mark.parametrize("name", ["a::b", "a::b/c::d", "file://{}/a::b", "memory::x"])
def test_two_colons_do_not_name_another_place(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for place in ("one", "two"):
        Folder(name.format(tmp_path)).join(place).write_bytes("x.json", place.encode())
    assert sorted(path.read_text() for path in tmp_path.rglob("x.json")) == ["one", "two"]
    assert Folder(name.format(tmp_path)).names() == ["one", "two"]


def test_a_place_inside_another_is_refused():
    with pytest.raises(ConfigError, match="names a place inside another"):
        Folder("zip://inner::memory://file.zip")


def test_an_unknown_protocol_is_one_sentence():
    with pytest.raises(ConfigError, match="'gopher://x' cannot be used: Protocol not known"):
        Folder("gopher://x")


@pytest.mark.parametrize("url", ["memory://", "memory://deep/er/", "/", "~"])
def test_a_folder_s_address_may_end_in_any_way(url):
    below = Folder(url).join("a", "b")
    assert below.at("c").endswith("/a/b/c")
    assert "//" not in below.at("c").removeprefix("memory://")
    assert below.local == ("memory" not in url)


def test_a_file_in_the_way_is_named_and_not_tried_again(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for act in (
        lambda: Folder(str(tmp_path / "file")).write_bytes("x", b""),
        lambda: Folder(str(tmp_path / "file/deep/er")).write_bytes("x", b""),
        lambda: Folder(str(tmp_path)).write_bytes("folder", b""),
        lambda: Folder(str(tmp_path)).read_bytes("folder"),
        lambda: Folder(str(tmp_path)).digest("folder"),
        lambda: Folder(str(tmp_path / ("n" * 300))).write_bytes("x", b""),
    ):
        with pytest.raises(
            ConfigError, match=r"cannot be (written|read) \(.*; choose another folder with --root"
        ) as said:
            act()
        assert str(said.value).startswith(str(tmp_path)), "it names the place"


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        ("EACCES", ConfigError),
        ("EROFS", ConfigError),
        ("EIO", StorageError),
        ("ESTALE", StorageError),
        ("ENOSPC", StorageError),
        ("EDQUOT", StorageError),
    ],
)
def test_a_wrong_place_is_the_user_s_and_a_bad_disk_the_machine_s(number, kind):
    with pytest.raises(kind) as caught, storage_errors("here/it"):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))
    assert "here/it" in str(caught.value)


def test_what_is_missing_is_said_by_its_name(tmp_path):
    folder = Folder(str(tmp_path / "nowhere"))
    assert (folder.names(), folder.exists("x"), folder.digest("x")) == ([], False, None)
    with pytest.raises(DataError, match="nowhere/x does not exist"):
        folder.read_bytes("x")


def test_a_file_that_is_replaced_is_never_half_there(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_bytes("x", b"old" * 1000)
    before = (tmp_path / "x").stat().st_ino
    folder.write_bytes("x", b"new" * 1000)
    assert (tmp_path / "x").stat().st_ino != before, "another file was renamed over it"
    assert [path.name for path in Path(tmp_path).iterdir()] == ["x"]


def test_sweeping_removes_what_a_killed_writer_left_and_nothing_else(tmp_path):
    folder = Folder(str(tmp_path))
    folder.write_bytes("x", b"1")
    (tmp_path / ".tmp-abc").mkdir()
    (tmp_path / ".tmp-abc/part").write_bytes(b"2")
    folder.sweep()
    assert folder.names() == ["x"]


def test_a_place_is_tried_without_writing(tmp_path):
    (tmp_path / "file").write_text("x")
    Folder(str(tmp_path / "new/deep")).check_writable()
    Folder("memory://anywhere").check_writable()
    for place in ("file", "file/deep/er"):
        with pytest.raises(ConfigError, match=r"file cannot be written \(Not a directory\)"):
            Folder(str(tmp_path / place)).check_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("far", [True, False])
def test_a_file_is_downloaded_to_where_it_is_wanted(tmp_path, far):
    folder = Folder("memory://far" if far else str(tmp_path / "near"))
    folder.write_bytes("deep/er/x", b"data")
    folder.download("deep/er/x", tmp_path / "here/y")
    assert (tmp_path / "here/y").read_bytes() == b"data"
    with pytest.raises(StorageError, match="here/z cannot be written"):
        folder.download("none", tmp_path / "here/z")


@pytest.mark.parametrize("url", ["", "a\nb", "a\0b", "\x1b[0m"])
def test_an_address_that_no_terminal_can_show_is_refused(url):
    with pytest.raises(ConfigError, match="is empty or has a control character"):
        Folder(url)


def test_a_digest_is_that_of_the_whole_file(tmp_path):
    folder, data = Folder(str(tmp_path)), os.urandom(5 << 19)  # more than two blocks
    folder.write_bytes("x", data)
    assert folder.digest("x") == hashlib.sha256(data).hexdigest()


def test_a_far_folder_is_listed_swept_and_emptied_like_a_near_one():
    folder = Folder("memory://swept")
    for name in ("b", "a", ".tmp-mine"):
        folder.write_bytes(name, b"1")
    folder.sweep()
    assert folder.names() == [".tmp-mine", "a", "b"], "what another machine writes there is left alone"
    for name in folder.names():
        folder.remove(name)
    folder.remove("a")
    assert folder.names() == []
