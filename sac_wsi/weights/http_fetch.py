"""Complete a partial file over HTTP: request only the missing bytes, and resume a dropped connection.

The standard library is used because resuming (Range, If-Range, a file that changed on the server) is most of
this code, and urllib3, requests, httpx and pooch leave it to their caller.
"""

from __future__ import annotations

import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from sac_wsi.errors import DownloadError, RequestError
from sac_wsi.weights.partial_file import PartialFile, Version

if TYPE_CHECKING:
    from email.message import Message

OnBytes = Callable[[int, int | None], None]
"""Called with the number of bytes received so far and the number expected, None if unknown."""

_CHUNK = 1 << 18
_TEMPORARY = {408, 429, 500, 502, 503, 504}
"""Status codes after which the same request may succeed a moment later."""
_INSTEAD = "pass --from with another address, a file or a folder."


@dataclass(frozen=True)
class Retries:
    """How often to try, and how long to wait.

    tries      requests in all
    pause_s    pause before the second request; each further pause is twice as long
    timeout_s  longest wait for the next byte
    """

    tries: int = 6
    pause_s: float = 0.5
    timeout_s: float = 30.0


class _TryAgain(Exception):
    """The request failed but may succeed later; the text says why it failed."""


def check_url(url: str) -> None:
    """Raise RequestError for a text that is not an http(s) address, before anything is requested."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # an invalid port, half an IPv6 address
        good = False
    if not good or "@" in parts.netloc:
        raise RequestError(
            f"{without_secrets(url)} is not an address to download from: needed http://HOST/PATH or "
            "https://HOST/PATH, without user and password. Or give a file or a folder."
        )


def without_secrets(url: str) -> str:
    """Return the address without user, password and query, which may be secret."""
    address, *_ = url.partition("?")
    return re.sub(r"//[^/]*@", "//", address)


def fetch_over_http(
    url: str, partial: PartialFile, size: int | None, on_progress: OnBytes, retries: Retries
) -> None:
    """Complete ``partial`` from ``url``; the caller checks the hash."""
    total = size or (partial.version.total if partial.version else None)
    if partial.size and partial.size == total:
        return  # an earlier call was stopped between the last byte and the check
    for attempt in range(retries.tries):
        if attempt:
            time.sleep(retries.pause_s * 2 ** (attempt - 1))
        try:
            _receive(url, partial, size, on_progress, retries.timeout_s)
            return
        except _TryAgain as failure:
            reason = str(failure)
    kept = f" {partial.size:,} bytes are kept." if partial.size else ""
    raise DownloadError(
        f"Cannot download {without_secrets(url)}: {reason} (tried {retries.tries} times).{kept} Run the same "
        f"command to continue, or {_INSTEAD}"
    )


def _receive(
    url: str, partial: PartialFile, size: int | None, on_progress: OnBytes, timeout_s: float
) -> None:
    with _request_missing(url, partial, timeout_s) as response:
        total = _prepare(partial, response, size, url)
        on_progress(partial.size, total)
        while data := _next_bytes(response):
            if size is not None and partial.size + len(data) > size:
                raise DownloadError(
                    f"{without_secrets(url)} is not the right file: more than the {size:,} bytes needed."
                )
            partial.append(data)
            on_progress(partial.size, total)
    if total is not None and partial.size < total:
        raise _TryAgain(f"the connection ended after {partial.size:,} of {total:,} bytes")


def _request_missing(url: str, partial: PartialFile, timeout_s: float) -> HTTPResponse:
    """Return the response to a request for the missing bytes."""
    request = urllib.request.Request(url, headers=_headers(partial))
    try:
        with _network_errors():
            response: HTTPResponse = _OPENER.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(error.code, url, partial) from error
    except urllib.error.URLError as error:
        raise _unreachable(error.reason, url, partial) from error
    except InvalidURL as error:
        raise RequestError(f"{without_secrets(url)} is not a valid address: {error}.") from error
    return response


def _next_bytes(response: HTTPResponse) -> bytes:
    with _network_errors():
        return response.read1(_CHUNK)  # read() would lose the bytes that arrived before a drop


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn a dropped connection into _TryAgain; leave what urllib says of the address and the answer."""
    try:
        yield
    except (urllib.error.URLError, InvalidURL):
        raise
    except (OSError, HTTPException) as error:
        raise _TryAgain(_reason(error)) from error


def _headers(partial: PartialFile) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "sac-wsi"}
    version = partial.version
    if partial.size and version:
        headers["Range"] = f"bytes={partial.size}-"
        strong = version.etag if version.etag and not version.etag.startswith("W/") else None
        if known := strong or version.last_modified:
            headers["If-Range"] = known
    return headers


def _refused(code: int, url: str, partial: PartialFile) -> Exception:
    if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size:
        partial.restart(Version())
        return _TryAgain("the server does not have the missing part")
    phrase = f" {HTTPStatus(code).phrase}" if code in set(HTTPStatus) else ""
    answer = f"the server answered {code}{phrase}"
    if code in _TEMPORARY:
        return _TryAgain(answer)
    return DownloadError(
        f"Cannot download {without_secrets(url)}: {answer}. Check the address, or {_INSTEAD}"
    )


def _unreachable(reason: object, url: str, partial: PartialFile) -> Exception:
    """Return the error to raise: try again in the middle of a download, give up before its first byte."""
    if partial.size and not isinstance(reason, ssl.SSLCertVerificationError):
        return _TryAgain(_reason(reason))
    return DownloadError(
        f"Cannot reach {without_secrets(url)}: {_reason(reason)}. Check the network, or {_INSTEAD}"
    )


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "the server sends nothing"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _prepare(partial: PartialFile, response: HTTPResponse, size: int | None, url: str) -> int | None:
    """Empty the partial file unless the response continues it; return the length of the whole file."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        start, total = _content_range(response.headers)
    elif response.status == HTTPStatus.OK:
        start, total = 0, _whole_number(response.headers.get("Content-Length"))
    else:
        raise DownloadError(f"Cannot download {without_secrets(url)}: the server answered {response.status}.")
    if size is not None and total not in (None, size):
        raise DownloadError(
            f"{without_secrets(url)} is not the right file: it has {total:,} bytes, needed {size:,}. "
            f"{_INSTEAD.capitalize()}"
        )
    version = Version(response.headers.get("ETag"), response.headers.get("Last-Modified"), total)
    if response.status == HTTPStatus.OK:
        partial.restart(version)
    elif start != partial.size or partial.version is None or not partial.version.compatible_with(version):
        partial.restart(Version())
        raise _TryAgain("the file on the server has changed")
    return total


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """Return the first byte of the response and the length of the whole file.

    >>> from email.message import Message
    >>> head = Message()
    >>> head["Content-Range"] = "bytes 5-9/10"
    >>> _content_range(head)
    (5, 10)
    """
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
    return (int(found[1]), _whole_number(found[2])) if found else (None, None)


def _whole_number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() else None


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects from https only to https, and from http to http or https."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the request that follows a redirect; raise DownloadError where it is not safe."""
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise DownloadError(
                f"{without_secrets(req.full_url)} redirects to {without_secrets(newurl)}, which is not safe. "
                f"{_INSTEAD.capitalize()}"
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener with only the HTTP handlers of those that urllib installs (no file, ftp, data)."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()
