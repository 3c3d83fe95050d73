"""`sac-wsi models` as users call it: it fetches only the named file and keeps no wrong file."""

import functools
import hashlib
import http.server
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import sac_wsi.weights.catalogue
from sac_wsi.cli.models import command
from sac_wsi.weights.catalogue import ModelFile, known_model
from sac_wsi.weights.partial_file import partial_name

SUBCOMMANDS = ("list", "fetch", "describe", "verify")
SMALL = known_model("sam_vit_b")
WRONG = b"not a checkpoint"
BODY = b"weights" * 99_999
TINY = ModelFile(
    "tiny", "tiny.pth", "http://127.0.0.1:9/", len(BODY), hashlib.sha256(BODY).hexdigest(), "CC0-1.0"
)


class Handler(http.server.BaseHTTPRequestHandler):
    """/short: a file of another size; /unsaid: the same without its length; /stuck: the first bytes only."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Range"]))
        if self.path not in self.server.bodies:
            return self.send_error(404)
        self.send_response(200)
        body = self.server.bodies[self.path]
        length = {"/unsaid": None, "/stuck": SMALL.size}.get(self.path, len(body))
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", '"e"')
        self.end_headers()
        self.wfile.write(body)
        if self.path == "/stuck":
            self.server.released.wait(20)
        return None


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.asked, server.released = [], threading.Event()
        server.bodies = {"/short": WRONG, "/unsaid": WRONG, "/stuck": bytes(1000), "/tiny.pth": BODY}
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def here(tmp_path):
    """The environment of a user whose models are in an empty folder."""
    (tmp_path / "models").mkdir()
    return {**os.environ, "SAC_WSI_MODELS": str(tmp_path / "models"), "no_proxy": "127.0.0.1"}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A model that can be fetched whole, and the command in this process."""
    monkeypatch.setattr(sac_wsi.weights.catalogue, "MODEL_FILES", (TINY,))
    monkeypatch.setenv("SAC_WSI_MODELS", str(tmp_path / "deep" / "models"))
    return functools.partial(CliRunner().invoke, command, catch_exceptions=False)


def fetch(sac, source, cwd, *more, name="sam_vit_b"):
    return sac("models", "fetch", name, "--from", source, "--to", ".", *more, cwd=cwd)


# ---- help ----


@pytest.mark.parametrize("words", [(), *((name,) for name in SUBCOMMANDS)])
def test_every_subcommand_has_help_with_an_example(sac, tmp_path, words):
    shown = sac("models", *words, "--help", cwd=tmp_path).went_well().out
    assert " ".join(("sac-wsi models", *words)) in shown.split("Example:")[1]
    assert sac("models", *words, "-h", cwd=tmp_path).out == shown


def test_the_group_lists_its_commands(sac, tmp_path):
    shown = sac("models", "--help", cwd=tmp_path).went_well().out
    assert all(re.search(rf"^  {name}  +\w", shown, re.MULTILINE) for name in SUBCOMMANDS)


def test_help_list_and_fetch_import_no_large_packages(tmp_path, here):
    script = Path(sys.executable).with_name("sac-wsi")
    for words in (("--help",), ("fetch", "--help"), ("list",), ("fetch", "sam_vit_b", "--from", "nowhere")):
        line = [sys.executable, "-X", "importtime", script, "models", *words]
        done = subprocess.run(line, cwd=tmp_path, env=here, capture_output=True, text=True, check=False)
        loaded = set(re.findall(r"\| +(\w+)[\w.]*$", done.stderr, re.MULTILINE))
        assert "click" in loaded
        assert not loaded & {"numpy", "zarr", "numba", "dask", "torch"}, words


# ---- list ----


def test_list(sac, tmp_path, here):
    models = tmp_path / "models"
    (models / "sac.safetensors").write_bytes(b"12345")
    (models / "notes.txt").write_bytes(b"")
    (models / SMALL.file).touch()
    os.truncate(models / SMALL.file, SMALL.size)
    (models / known_model("sam_vit_l").file).write_bytes(WRONG)
    listed = sac.fresh("models", "list", "--json", cwd=tmp_path, env=here).went_well().json
    assert listed["folder"] == str(models)
    assert [m["name"] for m in listed["models"]] == ["sam_vit_b", "sam_vit_l", "sam_vit_h"]
    assert [m["present"] for m in listed["models"]] == [True, False, False]
    assert [m["found_size"] for m in listed["models"]] == [SMALL.size, len(WRONG), None]
    assert {m["licence"] for m in listed["models"]} == {"Apache-2.0"}
    assert listed["models"][2]["size"] == 2_564_550_879
    own = {"name": "sac", "path": str(models / "sac.safetensors"), "size": 5}
    assert listed["own"] == [{**own, "licence": "unknown", "non_commercial": False}]
    shown = sac.fresh("models", "list", cwd=tmp_path, env=here).went_well().out.splitlines()
    shown = shown[len(listed["shipped"]) :]
    assert len(shown) == 5
    assert re.fullmatch(r"sam_vit_b +375,042,383 bytes +Apache-2.0 +present", shown[1])
    assert shown[2].endswith("not the file, has 16 bytes: sac-wsi models fetch sam_vit_l --overwrite")
    assert shown[3].endswith("not here: sac-wsi models fetch sam_vit_h")
    assert re.fullmatch(r"sac +5 bytes +unknown +present", shown[4])


def test_list_where_there_is_no_folder(sac, tmp_path, here):
    here["SAC_WSI_MODELS"] = str(tmp_path / "no" / "such")
    listed = sac.fresh("models", "list", "--json", cwd=tmp_path, env=here).went_well().json
    assert not any(m["present"] for m in listed["models"])
    assert not (tmp_path / "no").exists()


# ---- fetch ----


def test_fetch(tiny, site, tmp_path):
    for _ in range(2):
        done = tiny(["fetch", "tiny", "--from", f"{site.url}/tiny.pth", "--json"])
        assert done.exit_code == 0, done.output
        fetched = json.loads(done.stdout)
        assert fetched["present"]
        assert Path(fetched["path"]) == tmp_path / "deep" / "models" / "tiny.pth"
        assert Path(fetched["path"]).read_bytes() == BODY
    assert site.asked == [("/tiny.pth", None)], "the second call found the file"
    assert "present" in tiny(["list"]).stdout


def test_fetch_prints_where_the_file_is(tiny, tmp_path):
    (tmp_path / "tiny.pth").write_bytes(BODY)
    (tmp_path / "to").mkdir()
    done = tiny(["fetch", "tiny", "--from", str(tmp_path), "--to", str(tmp_path / "to")])
    assert done.stdout == f"{tmp_path}/to/tiny.pth  699,993 bytes, SHA-256 as published, CC0-1.0\n"
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {"stage", "done", "total", "unit", "seconds"} == lines[-1].keys()
    assert lines[-1]["done"] == lines[-1]["total"] == len(BODY)


def test_fetch_of_another_file(sac, site, tmp_path):
    found = hashlib.sha256(WRONG).hexdigest()
    (tmp_path / "w").write_bytes(WRONG)
    work = tmp_path / "work"
    work.mkdir()
    for source in (f"{site.url}/unsaid", tmp_path / "w"):
        fetch(sac, source, work).refused(found, SMALL.sha256, "16 bytes", "375,042,383", code=1)
    fetch(sac, f"{site.url}/short", work).refused("has 16 bytes, needed 375,042,383", "--from", code=1)
    fetch(sac, f"{site.url}/no?key=secret", work).refused("404 Not Found", "/no:", code=1)
    assert not list(work.iterdir())


def test_fetch_from_a_place_without_the_file(sac, site, tmp_path):
    (tmp_path / "empty").mkdir()
    fetch(sac, "empty", tmp_path).refused(f"There is no file empty/{SMALL.file}", "--from")
    fetch(sac, "no/such", tmp_path).refused("There is no file no/such")
    fetch(sac, "ftp://127.0.0.1/x", tmp_path).refused("needed http")
    assert [p.name for p in tmp_path.iterdir()] == ["empty"]


def test_fetch_of_an_unknown_name(sac, tmp_path):
    fetch(sac, ".", tmp_path, name="sam_vit_x").refused(
        "Did you mean sam_vit_", "sam_vit_b, sam_vit_l, sam_vit_h"
    )
    fetch(sac, ".", tmp_path, name="../x").refused("Known models: sam_vit_b")
    done = sac("models", "ftech", "sam_vit_b", cwd=tmp_path)
    assert done.code == 2
    assert "ftech" in done.err


def test_fetch_to_a_place_that_cannot_hold_the_file(sac, site, tmp_path):
    url = f"{site.url}/stuck"
    sac("models", "fetch", "sam_vit_b", "--from", url, "--to", "no", cwd=tmp_path).refused("mkdir -p 'no'")
    (tmp_path / "file").write_bytes(b"")
    sac("models", "fetch", "sam_vit_b", "--from", url, "--to", "file", cwd=tmp_path).refused("no folder file")
    (tmp_path / SMALL.file).write_bytes(b"mine")
    fetch(sac, url, tmp_path).refused("exists", SMALL.sha256, "--overwrite")
    assert (tmp_path / SMALL.file).read_bytes() == b"mine"
    assert not site.asked


def test_fetch_to_an_unwritable_folder(sac, site, tmp_path):
    args = ("models", "fetch", "sam_vit_b", "--from", f"{site.url}/stuck", "--to", ".")
    done = sac(*args, cwd=tmp_path, calls=("open",), at=1, how="EACCES")
    done.refused(f"Cannot write {SMALL.file}", "Permission denied")
    assert not site.asked
    assert not list(tmp_path.iterdir())


def test_a_folder_of_models_that_cannot_be_made(sac, tmp_path, here):
    (tmp_path / "file").write_bytes(b"")
    here["SAC_WSI_MODELS"] = str(tmp_path / "file" / "models")
    sac.fresh("models", "fetch", "sam_vit_b", cwd=tmp_path, env=here).refused("--to", "SAC_WSI_MODELS")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_fetch_is_continued(sac, site, tmp_path, number):
    run = sac.start("models", "fetch", "sam_vit_b", "--from", f"{site.url}/stuck", "--to", ".", cwd=tmp_path)
    partial = partial_name(tmp_path / SMALL.file)
    until = time.monotonic() + 20
    while not (partial.exists() and partial.stat().st_size == 1000):
        assert time.monotonic() < until
        assert run.poll() is None
        time.sleep(0.01)
    run.send_signal(number)
    _, stderr = run.communicate(timeout=20)
    assert run.returncode == (-9 if number == signal.SIGKILL else 1)
    if number != signal.SIGKILL:
        assert "run the same command to continue" in stderr
    assert "Traceback" not in stderr
    fetch(sac, f"{site.url}/gone", tmp_path).refused("404", code=1)
    assert site.asked[-1] == ("/gone", "bytes=1000-")
    assert partial.stat().st_size == 1000


def test_a_full_disk(sac, site, tmp_path):
    site.bodies["/stuck"] = bytes(300_000)
    done = sac(
        "models", "fetch", "sam_vit_b", "--from", f"{site.url}/stuck", "--to", ".", cwd=tmp_path,
        largest_file=100_000,
    )  # fmt: skip
    done.refused("Cannot write", "Free some space", code=1)
    assert partial_name(tmp_path / SMALL.file).stat().st_size == 100_000


def test_a_terminal_shows_a_progress_bar(site, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    script = Path(sys.executable).with_name("sac-wsi")
    args = [script, "models", "fetch", "sam_vit_b", "--from", f"{site.url}/stuck", "--to", "."]
    with subprocess.Popen(args, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, text=True) as run:
        os.close(theirs)
        shown = b""
        while b"375M" not in shown:
            shown += os.read(ours, 4096)
        run.terminate()
        run.wait(20)
    os.close(ours)
    assert re.search(rb"fetch: .*\|.*/375M", shown)
    assert b'{"stage"' not in shown


# ---- describe and verify ----


def test_describe(tiny, monkeypatch):
    found = {
        "name": "sac", "parameters": 1_234_567, "whole": True, "mpp": 0.25, "from": None,
        "training": {"steps": 50_000, "data": ("a", "b"), "more": {"x": 1}},
    }  # fmt: skip
    asked = []

    def describe(*args):
        asked.append(args)
        return found

    monkeypatch.setitem(sys.modules, "sac_wsi.model.checkpoint.describe", SimpleNamespace(describe=describe))
    assert tiny(["describe", "sac", "--encoder", "vit_h"]).stdout.splitlines() == [
        "name: sac",
        "parameters: 1,234,567",
        "whole: yes",
        "mpp: 0.25",
        "from: unknown",
        "training:",
        "  steps: 50,000",
        "  data: a, b",
        "  more:",
        "    x: 1",
    ]
    assert json.loads(tiny(["describe", "x.safetensors", "--json"]).stdout)["parameters"] == 1_234_567
    assert asked == [("sac", "vit_h"), ("x.safetensors", None)]


def test_verify(tiny, monkeypatch, tmp_path):
    findings = ["tensor a is missing", "tensor b has NaN"]
    checkpoint = SimpleNamespace(verify=lambda path: findings if path.name == "bad" else [])
    monkeypatch.setitem(sys.modules, "sac_wsi.model.checkpoint.file", checkpoint)
    done = tiny(["verify", "bad"])
    assert (done.exit_code, done.stdout.splitlines()) == (1, findings)
    done = tiny(["verify", "good"])
    assert (done.exit_code, done.stdout) == (0, "good: no problems found\n")
