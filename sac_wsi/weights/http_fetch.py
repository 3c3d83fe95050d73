"""Complete a partial file over HTTP: what is there is not asked for again, what was dropped is resumed."""

from __future__ import annotations

import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
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
"""Called with the bytes there are and the bytes there will be, where that is known."""

_CHUNK = 1 << 18
_PASSING = {408, 429, 500, 502, 503, 504}
"""Answers that may be another one in a moment."""


@dataclass(frozen=True)
class Patience:
    """How often is tried, how long is waited between (doubled each time) and for the next byte."""

    tries: int = 6
    pause_s: float = 0.5
    timeout_s: float = 30.0


class _Dropped(Exception):
    """Worth another try; its text says what happened."""


def check_url(url: str) -> None:
    """Refuse what nothing can be fetched from, before anything is asked."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is none, half an IPv6 address
        good = False
    if not good or "@" in parts.netloc:
        raise RequestError(
            f"{show(url)} cannot be fetched from: needed http://HOST/PATH or https://HOST/PATH, without user "
            "and password. Or name a file or a folder."
        )


def show(url: str) -> str:
    """The address without what may be secret: user, password and query."""
    address, *_ = url.partition("?")
    return re.sub(r"//[^/]*@", "//", address)


def fetch_over_http(
    url: str, partial: PartialFile, size: int | None, on_progress: OnBytes, patience: Patience
) -> None:
    """Complete ``partial`` from ``url``. The bytes are checked by whoever knows their hash."""
    if partial.size and partial.size == _total(partial, size):
        return  # an earlier call was stopped between the last byte and the check
    for attempt in range(patience.tries):
        if attempt:
            time.sleep(patience.pause_s * 2 ** (attempt - 1))
        try:
            _receive(url, partial, size, on_progress, patience.timeout_s)
            return
        except _Dropped as dropped:
            reason = str(dropped)
    kept = f" {partial.size:,} bytes are kept." if partial.size else ""
    raise DownloadError(
        f"Cannot fetch {show(url)}: {reason} (tried {patience.tries} times).{kept} Run the same command "
        "to go on, or pass --from with another address, a file or a folder."
    )


def _total(partial: PartialFile, size: int | None) -> int | None:
    return size or (partial.version.total if partial.version else None)


def _receive(
    url: str, partial: PartialFile, size: int | None, on_progress: OnBytes, timeout_s: float
) -> None:
    with _ask(url, partial, timeout_s) as response:
        total = _begin(response, partial, size, url)
        on_progress(partial.size, total)
        while data := _next(response):
            _refuse_more(partial.size + len(data), size, url)
            partial.append(data)
            on_progress(partial.size, total)
    if total is not None and partial.size < total:
        raise _Dropped(f"the connection ended after {partial.size:,} of {total:,} bytes")


def _ask(url: str, partial: PartialFile, timeout_s: float) -> HTTPResponse:
    """The response to a request for what is missing."""
    request = urllib.request.Request(url, headers=_headers(partial))
    try:
        response: HTTPResponse = _OPENER.open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error.code, url, partial) from error
    except InvalidURL as error:
        raise RequestError(f"{show(url)} is no address: {error}.") from error
    except urllib.error.URLError as error:
        raise _not_reached(error.reason, url, partial) from error
    except (OSError, HTTPException) as error:
        raise _Dropped(_reason(error)) from error
    return response


def _next(response: HTTPResponse) -> bytes:
    try:
        return response.read1(_CHUNK)  # read() would lose what came before a drop
    except (OSError, HTTPException) as error:
        raise _Dropped(_reason(error)) from error


def _headers(partial: PartialFile) -> dict[str, str]:
    headers = {"Accept-Encoding": "identity", "User-Agent": "sac-wsi"}
    version = partial.version
    if partial.size and version:
        headers["Range"] = f"bytes={partial.size}-"
        strong = version.etag if version.etag and not version.etag.startswith("W/") else None
        if known := strong or version.last_modified:
            headers["If-Range"] = known
    return headers


def _refusal(code: int, url: str, partial: PartialFile) -> Exception:
    if code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and partial.size:
        partial.restart(Version())
        return _Dropped("the server does not have the part that is missing")
    known = code in set(HTTPStatus)
    answer = f"the server answered {code}{f' {HTTPStatus(code).phrase}' if known else ''}"
    if code in _PASSING:
        return _Dropped(answer)
    return DownloadError(
        f"Cannot fetch {show(url)}: {answer}. Check the address, or pass --from with another one, a file or "
        "a folder."
    )


def _not_reached(reason: object, url: str, partial: PartialFile) -> Exception:
    """Worth another try in the middle of a download; before it, most likely there is no way to the server."""
    if partial.size and not isinstance(reason, ssl.SSLCertVerificationError):
        return _Dropped(_reason(reason))
    return DownloadError(
        f"Cannot reach {show(url)}: {_reason(reason)}. Check the network, or pass --from with another "
        "address, a file or a folder."
    )


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "the server is silent"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


def _begin(response: HTTPResponse, partial: PartialFile, size: int | None, url: str) -> int | None:
    """Make the partial file fit what the server is about to send, and say how long the whole is."""
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        start, total = _content_range(response.headers)
    elif response.status == HTTPStatus.OK:
        start, total = 0, _whole_number(response.headers.get("Content-Length"))
    else:
        raise DownloadError(f"Cannot fetch {show(url)}: the server answered {response.status}.")
    if size is not None and total not in (None, size):
        raise DownloadError(
            f"{show(url)} is not the file: it has {total:,} bytes, needed {size:,}. Pass --from with another "
            "address, a file or a folder."
        )
    version = Version(response.headers.get("ETag"), response.headers.get("Last-Modified"), total)
    if response.status == HTTPStatus.OK:
        partial.restart(version)
    elif start != partial.size or partial.version is None or not partial.version.may_be(version):
        partial.restart(Version())
        raise _Dropped("the file on the server is another one than before")
    return total


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """First byte and length of the whole.

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


def _refuse_more(size_now: int, size: int | None, url: str) -> None:
    if size is not None and size_now > size:
        raise DownloadError(f"{show(url)} is not the file: more than the {size:,} bytes needed came.")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """From https only to https, from http to either, and nowhere else."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else ("http", "https")
        if urlsplit(newurl).scheme not in allowed:
            raise DownloadError(
                f"{show(req.full_url)} leads on to {show(newurl)}, which is not safe. Pass --from with "
                "another address, a file or a folder."
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Of the handlers that urllib would install (file, ftp, data ...), only those for HTTP."""
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
