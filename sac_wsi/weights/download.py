"""Download a file whose SHA-256 is known; it gets its name when it is complete and correct."""

from __future__ import annotations

from pathlib import Path

from sac_wsi.errors import DownloadError, OutputError, RequestError
from sac_wsi.files.atomic import sha256_of
from sac_wsi.weights.http_fetch import OnBytes, Retries, check_url, fetch_over_http, without_secrets
from sac_wsi.weights.partial_file import PartialFile, Version, open_partial

_CHUNK = 1 << 20


def fetch(
    source: str,
    target: Path,
    sha256: str,
    size: int | None,
    *,
    on_progress: OnBytes = lambda _done, _total: None,
    overwrite: bool = False,
    retries: Retries = Retries(),  # noqa: B008 - frozen
) -> Path:
    """Make ``target`` the file with this hash. An unfinished download is continued, a correct target is kept.

    Args:
        source: An http(s) address, a file, or a folder that has a file with the target's name.
        target: The path to write; its folder must exist.
        sha256: The hash that the file must have, in hexadecimal.
        size: Its length in bytes, if known.
        on_progress: Called with the bytes received and the bytes expected.
        overwrite: Replace a target that has another hash.
        retries: How often and how long to try.

    Raises:
        DownloadError: The file cannot be downloaded, or has another hash.
        OutputError: The target exists with another hash, or cannot be written.
        RequestError: ``source`` is not an address and not a file.
    """
    if _is_there(target, sha256, overwrite):
        return target
    local = None if "://" in source else _local_file(Path(source), target.name)
    if local is None:
        check_url(source)
    else:
        _check(local, sha256_of(local), local.stat().st_size, sha256, size)
    with open_partial(target) as partial:
        if local is None:
            fetch_over_http(source, partial, size, on_progress, retries)
        else:
            _copy(local, partial, on_progress)
        shown = without_secrets(source) if local is None else local
        try:
            _check(shown, partial.sha256(), partial.size, sha256, size)
        except DownloadError:
            partial.remove()
            raise
        partial.publish()
    return target


def _is_there(target: Path, sha256: str, overwrite: bool) -> bool:
    if not target.parent.is_dir():
        raise OutputError(f"There is no folder {target.parent}. Make it first: mkdir -p '{target.parent}'.")
    if not target.exists():
        return False
    if not target.is_file():
        raise OutputError(f"{target} exists and is not a file. Give another folder.")
    found = sha256_of(target)
    if found != sha256 and not overwrite:
        raise OutputError(
            f"{target} exists with SHA-256 {found}, needed {sha256}. Pass --overwrite to replace it, or give "
            "another folder."
        )
    return found == sha256


def _local_file(source: Path, name: str) -> Path:
    path = source / name if source.is_dir() else source
    if not path.is_file():
        raise RequestError(
            f"There is no file {path}. Pass --from with an http(s) address, the file, or a folder that "
            f"contains {name}."
        )
    return path


def _check(source: object, found: str, found_size: int, sha256: str, size: int | None) -> None:
    if found == sha256:
        return
    needed_size = "" if size is None else f" ({size:,} bytes)"
    raise DownloadError(
        f"{source} is not the right file: it has SHA-256 {found} ({found_size:,} bytes), needed "
        f"{sha256}{needed_size}. Run the same command to try again, or pass --from with another source."
    )


def _copy(source: Path, partial: PartialFile, on_progress: OnBytes) -> None:
    partial.restart(Version())
    total = source.stat().st_size
    with source.open("rb") as file:
        while data := file.read(_CHUNK):
            partial.append(data)
            on_progress(partial.size, total)
