"""Downloads from a server on this machine that imitates the faults of servers and networks."""

import errno
import hashlib
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from dataclasses import dataclass, field

import pytest

import sac_wsi.weights.partial_file
from sac_wsi.errors import DownloadError, OutputError, RequestError, WriteError
from sac_wsi.weights.catalogue import (
    MODEL_FILES,
    find_model_file,
    known_model,
    models_folder,
    own_model_files,
    shipped_path,
)
from sac_wsi.weights.download import fetch
from sac_wsi.weights.http_fetch import _OPENER, Retries, without_secrets
from sac_wsi.weights.partial_file import partial_name

BODY = bytes(range(256)) * 3000
HASH = hashlib.sha256(BODY).hexdigest()
QUICK = Retries(tries=4, pause_s=0.001, timeout_s=5)
HALF = len(BODY) // 2


@dataclass
class Site:
    """What the server does. Each item of a list is for one request; after the last one the server works."""

    body: bytes = BODY
    etag: str | None = '"one"'
    last_modified: str | None = None
    supports_ranges: bool = True
    supports_if_range: bool = True
    sends_length: bool = True
    cuts: list[int] = field(default_factory=list)
    resets: bool = False
    codes: list[int] = field(default_factory=list)
    redirects_to: str | None = None
    stalls_at: int | None = None
    after_first: dict = field(default_factory=dict)
    asked: list[str | None] = field(default_factory=list)
    if_range: list[str | None] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/file.bin"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        site = self.server.site
        site.asked.append(self.headers["Range"])
        site.if_range.append(self.headers["If-Range"])
        if self.path == "/moved":
            return self.bare(302, Location=site.redirects_to)
        if site.codes:
            return self.bare(site.codes.pop(0))
        self.serve(site)
        for name, value in site.after_first.items():
            setattr(site, name, value)
        return None

    def bare(self, code, **headers):
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def serve(self, site):
        start, changed = 0, self.headers["If-Range"] not in (None, site.etag, site.last_modified)
        if site.supports_ranges and self.headers["Range"] and not (changed and site.supports_if_range):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            if start >= len(site.body):
                return self.bare(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(site.body) - 1}/{len(site.body)}")
        if site.sends_length:
            self.send_header("Content-Length", str(len(site.body) - start))
        for name, value in (("ETag", site.etag), ("Last-Modified", site.last_modified)):
            if value:
                self.send_header(name, value)
        self.end_headers()
        return self.send_body(site, site.body[start:])

    def send_body(self, site, data):
        if site.stalls_at is not None:
            self.wfile.write(data[: site.stalls_at])
            site.released.wait(20)
        elif site.cuts:
            self.wfile.write(data[: site.cuts.pop(0)])
            if site.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Print nothing: in some tests the client disconnects early."""


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.site = Site(port=server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.site
        server.site.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file.bin"


def get(site, target, **options):
    options = {"sha256": HASH, "size": len(BODY), "retries": QUICK, **options}
    return fetch(
        options.pop("source", site.url), target, options.pop("sha256"), options.pop("size"), **options
    )


def complete(target):
    """Return whether the folder has the whole file and nothing else."""
    return target.read_bytes() == BODY and list(target.parent.iterdir()) == [target]


def nothing_left(target):
    return not list(target.parent.iterdir())


def cut_short(site, target, at=HALF):
    """Download until the server drops the connection after ``at`` bytes."""
    site.cuts = [at]
    with pytest.raises(DownloadError, match=f"{at:,} bytes are kept"):
        get(site, target, retries=Retries(tries=1))
    assert not target.exists()
    assert partial_name(target).read_bytes() == site.body[:at]
    site.asked.clear()


# ---- without faults ----


def test_fetched_once(site, target):
    seen = []
    assert get(site, target, on_progress=lambda *now: seen.append(now)) == target
    assert complete(target)
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert seen == sorted(seen)
    assert get(site, target) == target
    assert site.asked == [None], "the second call requests nothing"


def test_size_and_length_may_be_unknown(site, target):
    site.sends_length = False
    get(site, target, size=None)
    assert complete(target)


def test_the_file_has_the_usual_permissions(site, target):
    get(site, target)
    umask = os.umask(0)
    os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~umask


# ---- interrupted ----


@pytest.mark.parametrize("at", [1, HALF, len(BODY) - 1])
def test_the_next_call_requests_only_the_rest(site, target, at):
    cut_short(site, target, at)
    seen = []
    get(site, target, on_progress=lambda *now: seen.append(now))
    assert site.asked == [f"bytes={at}-"]
    assert site.if_range[-1] == '"one"'
    assert seen[0] == (at, len(BODY))
    assert complete(target)


def test_drops_are_resumed_within_a_call(site, target):
    site.cuts = [1000, 500, 20]
    get(site, target)
    assert site.asked == [None, "bytes=1000-", "bytes=1500-", "bytes=1520-"]
    assert complete(target)


def test_a_reset_connection_is_resumed(site, target):
    site.cuts, site.resets = [HALF], True
    get(site, target)
    assert len(site.asked) == 2
    assert complete(target)


def test_a_server_that_always_drops(site, target):
    site.cuts = [100] * 99
    with pytest.raises(DownloadError, match=r"400 of 768,000 bytes \(tried 4 times\). 400 bytes are kept"):
        get(site, target)
    assert len(site.asked) == 4
    assert not target.exists()
    site.cuts = []
    get(site, target)
    assert site.asked[-1] == "bytes=400-"
    assert complete(target)


def test_a_server_that_sends_nothing_is_tried_again(site, target):
    site.stalls_at = 1000
    with pytest.raises(DownloadError, match="sends nothing"):
        get(site, target, retries=Retries(tries=2, pause_s=0, timeout_s=0.2))
    assert site.asked == [None, "bytes=1000-"]
    site.stalls_at = None
    get(site, target)
    assert site.asked[-1] == "bytes=2000-"
    assert complete(target)


def test_an_interrupt_keeps_the_bytes_received(site, target):
    def stop(done, _total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(site, target, on_progress=stop)
    have = partial_name(target).stat().st_size
    assert 0 < have < len(BODY)
    get(site, target)
    assert site.asked == [None, f"bytes={have}-"]
    assert complete(target)


CHILD = """
import sys
from pathlib import Path
from sac_wsi.weights.download import fetch
fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
"""


def test_the_download_of_a_killed_process_is_continued(site, target):
    site.stalls_at = HALF
    child = subprocess.Popen([sys.executable, "-c", CHILD, site.url, str(target), HASH, str(len(BODY))])
    try:
        until = time.monotonic() + 20
        partial = partial_name(target)
        while not (partial.exists() and partial.stat().st_size == HALF):
            assert time.monotonic() < until
            assert child.poll() is None
            time.sleep(0.01)
        with pytest.raises(OutputError, match="Another process"):
            get(site, target)
    finally:
        child.kill()
        child.wait()
    site.stalls_at = None
    get(site, target)
    assert site.asked == [None, f"bytes={HALF}-"]
    assert complete(target)


def test_killed_between_the_last_byte_and_the_rename(site, target):
    cut_short(site, target)
    partial_name(target).write_bytes(BODY)
    get(site, target)
    assert not site.asked
    assert complete(target)


# ---- the file on the server has changed ----


def test_a_server_without_ranges_starts_over(site, target):
    site.supports_ranges = False
    cut_short(site, target)
    get(site, target)
    assert complete(target)


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"etag": '"old"'}, {"etag": '"new"'}),
        ({"etag": 'W/"old"'}, {"etag": 'W/"new"'}),
        ({"etag": None, "last_modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
         {"last_modified": "Tue, 02 Jan 2024 00:00:00 GMT"}),
    ],
    ids=["etag", "weak", "date"],
)  # fmt: skip
def test_a_changed_file_starts_over(site, target, before, after, heeds):
    site.supports_if_range = heeds
    vars(site).update(before, body=BODY[::-1])
    cut_short(site, target)
    vars(site).update(after, body=BODY)
    get(site, target)
    assert site.asked[0] == f"bytes={HALF}-"
    assert complete(target)


def test_a_file_that_changes_between_attempts(site, target):
    vars(site).update(body=BODY[::-1], cuts=[HALF], supports_if_range=False)
    site.after_first = {"body": BODY, "etag": '"two"'}
    get(site, target)
    assert site.asked == [None, f"bytes={HALF}-", None]
    assert complete(target)


def test_another_length_starts_over(site, target):
    vars(site).update(etag=None, body=BODY[::-1] + b"more")
    site.cuts = [HALF]
    with pytest.raises(DownloadError):
        get(site, target, size=None, retries=Retries(tries=1))
    site.body = BODY
    get(site, target)
    assert complete(target)


def test_a_file_that_became_shorter_starts_over(site, target):
    """The server answers 416."""
    vars(site).update(etag=None, body=BODY + BODY)
    site.cuts = [len(BODY) + 9]
    with pytest.raises(DownloadError):
        get(site, target, size=None, retries=Retries(tries=1))
    site.body = BODY
    get(site, target)
    assert site.asked == [None, f"bytes={len(BODY) + 9}-", None]
    assert complete(target)


@pytest.mark.parametrize("note", [None, b"", b"{", b"[1]", b'{"colour": 3}'])
def test_bytes_of_an_unknown_version_are_deleted(site, target, note):
    cut_short(site, target)
    path = partial_name(target).with_name(partial_name(target).name + ".json")
    assert json.loads(path.read_text())["etag"] == '"one"'
    path.unlink() if note is None else path.write_bytes(note)
    get(site, target)
    assert site.asked == [None]
    assert complete(target)


# ---- wrong files and servers that refuse ----


def test_corrupt_bytes_are_refused_and_nothing_is_left(site, target):
    site.body = b"x" + BODY[1:]
    found = hashlib.sha256(site.body).hexdigest()
    with pytest.raises(DownloadError, match=f"SHA-256 {found} .*needed {HASH} .768,000 bytes"):
        get(site, target)
    assert nothing_left(target)


def test_a_corrupt_first_half_is_found_at_the_end(site, target):
    cut_short(site, target)
    partial_name(target).write_bytes(BODY[: HALF - 1] + b"x")
    with pytest.raises(DownloadError, match="needed"):
        get(site, target)
    assert nothing_left(target)
    get(site, target)
    assert complete(target)


def test_another_size_is_refused_before_the_body_is_read(site, target):
    site.body = b"<html>log in first</html>"
    with pytest.raises(DownloadError, match="has 25 bytes, needed 768,000"):
        get(site, target)
    assert nothing_left(target)


def test_a_page_of_another_size_deletes_no_byte_received(site, target):
    cut_short(site, target)
    site.body, site.etag = b"<html>log in first</html>", None
    site.supports_ranges = False
    with pytest.raises(DownloadError, match="not the right file"):
        get(site, target)
    assert partial_name(target).read_bytes() == BODY[:HALF]


def test_an_endless_answer_is_cut_off(site, target):
    site.body, site.sends_length = BODY + b"more", False
    with pytest.raises(DownloadError, match="more than the 768,000 bytes"):
        get(site, target)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 416, 418, 499])
def test_a_refusal_is_reported_at_once(site, target, code):
    site.codes = [code] * 9
    with pytest.raises(DownloadError, match=f"answered {code}"):
        get(site, target)
    assert len(site.asked) == 1
    assert nothing_left(target)


def test_a_failing_server_is_tried_again(site, target):
    site.codes = [500, 503]
    get(site, target)
    assert complete(target)
    assert len(site.asked) == 3


def test_a_server_that_keeps_failing(site, target):
    site.codes = [500] * 9
    with pytest.raises(DownloadError, match=r"500 Internal Server Error \(tried 4 times\)"):
        get(site, target)
    assert len(site.asked) == 4
    assert nothing_left(target)


def test_no_server(site, target):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/file.bin"
        with pytest.raises(DownloadError, match="Cannot reach .*refused.*--from"):
            get(site, target, source=url)
    assert nothing_left(target)


@pytest.mark.parametrize(
    "url",
    ["ftp://h/f", "file:///etc/passwd", "data://x", "HTTPS://", "http://h:port/f", "http://[::1/f",
     "http://h:99999/f", "http://me:secret@h/f", "s3://bucket/file.bin"],
)  # fmt: skip
def test_invalid_addresses(site, target, url):
    with pytest.raises(RequestError, match="needed http") as caught:
        get(site, target, source=url)
    assert "secret" not in str(caught.value)
    assert nothing_left(target)


def test_a_space_in_an_address(site, target):
    with pytest.raises(RequestError, match="is not a valid address"):
        get(site, target, source=site.url + "?a b")


def test_secrets_are_not_shown():
    assert without_secrets("https://me:word@host/a/b.bin?token=5") == "https://host/a/b.bin"


# ---- redirects ----


def test_a_redirect_keeps_the_range(site, target):
    cut_short(site, target)
    site.redirects_to = site.url
    get(site, target, source=site.url.replace("file.bin", "moved"))
    assert site.asked == [f"bytes={HALF}-"] * 2
    assert complete(target)


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/f", "file:///etc/passwd", "gopher://h/"])
def test_redirects_to_other_protocols(site, target, place):
    site.redirects_to = place
    with pytest.raises(DownloadError):
        get(site, target, source=site.url.replace("file.bin", "moved"))
    assert nothing_left(target)


def test_a_redirect_loop(site, target):
    site.redirects_to = "/moved"
    with pytest.raises(DownloadError, match="302"):
        get(site, target, source=site.url.replace("file.bin", "moved"))
    assert len(site.asked) < 20


def test_no_redirect_from_https_to_http():
    (redirects,) = [h for h in _OPENER.handlers if isinstance(h, urllib.request.HTTPRedirectHandler)]

    def redirect(old, new):
        return redirects.redirect_request(urllib.request.Request(old), None, 302, "", {}, new)

    with pytest.raises(DownloadError, match="redirects to http://b/f, which is not safe"):
        redirect("https://a/f", "http://b/f?q")
    assert redirect("https://a/f", "https://b/f").full_url == "https://b/f"
    assert redirect("http://a/f", "https://b/f").full_url == "https://b/f"


def test_no_handler_for_anything_but_http():
    assert set(_OPENER.handle_open) <= {"http", "https", "unknown"}


# ---- a file, a folder ----


def test_from_a_file_or_a_folder(site, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    (folder / "file.bin").write_bytes(BODY)
    (folder / "other.name").write_bytes(BODY)
    for source in (folder / "file.bin", folder / "other.name", folder, f"{folder}/"):
        seen = []
        get(site, target, source=str(source), on_progress=lambda *now, seen=seen: seen.append(now))
        assert seen[-1] == (len(BODY), len(BODY))
        assert complete(target)
        target.unlink()
    assert not site.asked


def test_a_file_replaces_what_was_half_fetched(site, target, tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "f"
    source.write_bytes(BODY)
    cut_short(site, target)
    get(site, target, source=str(source))
    assert complete(target)


def test_wrong_local_files(site, target, tmp_path_factory):
    folder = tmp_path_factory.mktemp("source")
    for source in (folder, folder / "no.bin", "/dev/zero"):
        with pytest.raises(RequestError, match="There is no file"):
            get(site, target, source=str(source))
    (folder / "file.bin").write_bytes(b"wrong")
    found = hashlib.sha256(b"wrong").hexdigest()
    with pytest.raises(
        DownloadError, match=f"file.bin is not the right file: it has SHA-256 {found} .5 bytes"
    ):
        get(site, target, source=str(folder))
    assert nothing_left(target)


# ---- the target ----


def test_a_target_with_other_content(site, target):
    target.write_bytes(b"mine")
    with pytest.raises(OutputError, match=f"SHA-256 [0-9a-f]{{64}}, needed {HASH}. Pass --overwrite"):
        get(site, target)
    assert target.read_bytes() == b"mine"
    assert not site.asked
    site.codes = [404]
    with pytest.raises(DownloadError):
        get(site, target, overwrite=True)
    assert target.read_bytes() == b"mine", "kept until the right one is complete"
    get(site, target, overwrite=True)
    assert complete(target)


def test_impossible_targets(site, target, tmp_path):
    with pytest.raises(OutputError, match="mkdir -p"):
        get(site, tmp_path / "no" / "file.bin")
    target.mkdir()
    with pytest.raises(OutputError, match="is not a file"):
        get(site, target)
    assert not site.asked


def test_nothing_is_written_through_a_link(site, target, tmp_path):
    elsewhere = tmp_path / "precious"
    elsewhere.write_bytes(b"precious")
    partial_name(target).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="Cannot write"):
        get(site, target)
    assert elsewhere.read_bytes() == b"precious"


def test_a_full_disk(site, target, monkeypatch):
    """The bytes received stay, and the download continues when there is space."""
    limit = 100_000
    real = sac_wsi.weights.partial_file.io.FileIO

    class Small(real):
        def write(self, data):
            room = limit - self.tell()
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data[:room])

    monkeypatch.setattr(sac_wsi.weights.partial_file.io, "FileIO", Small)
    with pytest.raises(WriteError, match="No space left on device. Free some space"):
        get(site, target)
    assert len(site.asked) == 1
    assert partial_name(target).read_bytes() == BODY[:limit]
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    get(site, target)
    assert site.asked[-1] == f"bytes={limit}-"
    assert complete(target)


# ---- the catalogue ----


def test_the_catalogue():
    assert [model.name for model in MODEL_FILES] == ["sam_vit_b", "sam_vit_l", "sam_vit_h"]
    for model in MODEL_FILES:
        assert len(bytes.fromhex(model.sha256)) == 32
        assert model.url.startswith("https://")
        assert model.url.endswith(f"/{model.file}")
        assert known_model(model.name) is known_model(model.file) is model


def test_unknown_names():
    with pytest.raises(RequestError, match=r"Did you mean sam_vit_h\? Known models: sam_vit_b, sam_vit_l"):
        known_model("sam_vith")
    with pytest.raises(RequestError, match="'resnet' to download. Known models: sam_vit_b"):
        known_model("resnet")


def test_where_models_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("SAC_WSI_MODELS", raising=False)
    assert str(models_folder()) == "/home/me/.cache/sac-wsi/models"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(models_folder()) == "/home/me/.cache/sac-wsi/models"
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    assert str(models_folder()) == "/big/cache/sac-wsi/models"
    monkeypatch.setenv("SAC_WSI_MODELS", "~/weights")
    assert str(models_folder()) == "/home/me/weights"
    monkeypatch.setenv("SAC_WSI_MODELS", str(tmp_path))
    (tmp_path / "sac-tiny.safetensors").write_bytes(b"")
    assert find_model_file("sac-tiny") == shipped_path("sac-tiny", non_commercial=False)
    (tmp_path / "sac-tiny.safetensors").unlink()
    assert find_model_file("sam_vit_b") is None
    assert own_model_files() == []
    for name in ("sam_vit_b_01ec64.pth", "ours.safetensors"):
        (tmp_path / name).write_bytes(b"")
    assert find_model_file("sam_vit_b") == find_model_file("sam_vit_b_01ec64.pth")
    assert find_model_file("sam_vit_b") == tmp_path / "sam_vit_b_01ec64.pth"
    assert find_model_file("ours") == find_model_file("ours.safetensors") == tmp_path / "ours.safetensors"
    assert own_model_files() == [tmp_path / "ours.safetensors"]
    for name in ("", ".", "..", "../x", str(tmp_path / "ours"), "sam_vit_l"):
        assert find_model_file(name) is None
