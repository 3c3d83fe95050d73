"""Only files and folders of known names are removed, whatever else lies between them."""

import os
import re
import shutil

from hypothesis import given
from hypothesis import strategies as st

from sac_wsi.files.ownership import claim_folder, first_foreign, is_in_own_folder, is_marked, mark, remove_own

OWN = re.compile(r"a|b/|b/\d")
NAMES = st.lists(st.sampled_from(["a", "b", "1", "c", "22"]), min_size=1, max_size=3).map("/".join)


@given(st.dictionaries(NAMES, st.sampled_from(["file", "folder", "link", "fifo"]), max_size=8))
def test_what_is_not_ours_stays(tmp_path_factory, entries):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "1").write_text("mine")
    root = tmp_path_factory.mktemp("root")
    for name, kind in entries.items():
        path = root / name
        if not all(parent.is_dir() for parent in path.parents) or os.path.lexists(path):
            continue
        if kind == "file":
            path.write_text("x")
        elif kind == "folder":
            path.mkdir()
        elif kind == "link":
            path.symlink_to(outside)
        else:
            os.mkfifo(path)
    found = {
        p.relative_to(root).as_posix() + ("/" if p.is_dir() and not p.is_symlink() else ""): p
        for p in root.rglob("*")
    }
    plain = {name for name, p in found.items() if not p.is_symlink() and not p.is_fifo()}
    foreign = {name for name in found if not (name in plain and OWN.fullmatch(name))}
    assert (first_foreign(root, OWN) == "") == (not foreign)
    remove_own(root, OWN)
    assert all(os.path.lexists(root / name) for name in foreign)
    assert (outside / "1").read_text() == "mine"
    assert root.exists() == bool(foreign)
    shutil.rmtree(root, ignore_errors=True)


def test_a_folder_is_marked_only_if_it_was_empty(tmp_path):
    claim_folder(tmp_path / "new")
    assert is_marked(tmp_path / "new")
    assert is_in_own_folder(tmp_path / "new" / "x")
    claim_folder(tmp_path / "new")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "photo.jpg").touch()
    claim_folder(tmp_path / "old")
    assert not is_marked(tmp_path / "old")


def test_a_link_is_no_mark(tmp_path):
    mark(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "made_by_sac_wsi").symlink_to(tmp_path / "made_by_sac_wsi")
    assert not is_marked(tmp_path / "other")
