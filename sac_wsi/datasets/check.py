"""Find the problems of a dataset and compute its statistics.

A serious finding means that an image cannot be used for training, or that test scores would be invalid. Other
findings are worth a look.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sac_wsi.datasets.count_objects import count_objects
from sac_wsi.datasets.duplicates import content_hash, near_duplicates, perceptual_hashes
from sac_wsi.datasets.image_type import image_type_of
from sac_wsi.datasets.sample import DataSet, Labels, Rgb, Sample
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SMALL_PX = 10
"""Objects with fewer pixels are reported."""
LARGE_SHARE = 0.5
"""Objects that cover a larger share of the image are reported."""

_MOST_IDS = 5


@dataclass(frozen=True)
class Finding:
    """One problem: its kind, the image or group, and details."""

    kind: str
    where: str
    detail: str
    serious: bool


@dataclass(frozen=True)
class Summary:
    """Statistics of the readable images; None if there is nothing to measure."""

    images: int
    objects: int
    sizes: dict[str, int]
    splits: dict[str, int]
    groups: int
    modalities: dict[str, int]
    area_px: dict[str, float] | None
    area_um2: dict[str, float] | None
    stain_od: dict[str, dict[str, float]] | None


@dataclass(frozen=True)
class Report:
    """Findings and statistics of a dataset."""

    name: str
    licence: str
    findings: tuple[Finding, ...]
    summary: Summary

    @property
    def ok(self) -> bool:
        """Whether no finding is serious."""
        return not any(finding.serious for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result in one line."""
        serious = sum(finding.serious for finding in self.findings)
        rest = len(self.findings) - serious
        if not self.findings:
            return f"{self.name}: no problems"
        return f"{self.name}: {serious} serious, {rest} to look at"

    def to_json(self) -> dict[str, Any]:
        """Return the report as a dictionary of plain values."""
        return {
            "name": self.name,
            "licence": self.licence,
            "ok": self.ok,
            "findings": [asdict(finding) for finding in self.findings],
            "summary": asdict(self.summary),
        }


@dataclass(frozen=True)
class _Seen:
    """What is kept of an image after it was read."""

    sample: Sample
    size: str
    image_type: str
    stain_od: NDArray[np.float64] | None
    area_px: NDArray[np.int64]
    content: str
    hashes: NDArray[np.bool_]


def check_dataset(data: DataSet, on_image: Callable[[str], None] = lambda name: None) -> Report:
    """Read every image once and check it; ``on_image`` then receives its name."""
    findings = [Finding("unpaired", data.name, line, True) for line in data.missing]
    seen: list[_Seen] = []
    for sample in data.samples:
        try:
            rgb, labels = sample.read()
        except DataError as error:
            findings.append(Finding("unreadable", sample.name, str(error), True))
        else:
            found, seen_image = _check_image(sample, rgb, labels)
            findings += found
            seen.append(seen_image)
        on_image(sample.name)
    findings += _duplicates(seen) + _shared_groups(seen)
    return Report(data.name, data.licence, tuple(findings), _summary(seen))


def _check_image(sample: Sample, rgb: Rgb, labels: Labels) -> tuple[list[Finding], _Seen]:
    objects = count_objects(labels)
    image_type = image_type_of(rgb)
    seen = _Seen(
        sample,
        f"{rgb.shape[1]} x {rgb.shape[0]}",
        image_type,
        _mean_stain(rgb) if image_type == "stained" else None,
        objects.area_px,
        content_hash(rgb),
        perceptual_hashes(rgb),
    )

    def finding(kind: str, ids: Sequence[int], what: str) -> list[Finding]:
        named = ", ".join(map(str, ids[:_MOST_IDS])) + (", …" if len(ids) > _MOST_IDS else "")
        return [Finding(kind, sample.name, f"{len(ids)} {what}: {named}", False)] if len(ids) else []

    if not len(objects.ids):
        return [Finding("empty", sample.name, "the labels hold no object", False)], seen
    large = objects.ids[objects.area_px > LARGE_SHARE * labels.size].tolist()
    small = objects.ids[objects.area_px < SMALL_PX].tolist()
    return (
        finding("pieces", objects.split, "ids with more than one piece")
        + finding("small", small, f"ids with fewer than {SMALL_PX} pixels")
        + finding("large", large, "ids that cover more than half of the image"),
        seen,
    )


def _mean_stain(rgb: Rgb) -> NDArray[np.float64]:
    from sac_wsi.nuclei.stain import stain_density  # numba: not where the readers alone are needed

    return np.asarray(stain_density(rgb).mean(axis=(0, 1), dtype=np.float64))


def _duplicates(seen: Sequence[_Seen]) -> list[Finding]:
    findings = []
    for i, j, differ in near_duplicates([each.hashes for each in seen]):
        a, b = seen[i], seen[j]
        same = a.content == b.content
        # the same image in two splits makes test scores invalid
        across = a.sample.split != b.sample.split
        kind = ("duplicate" if same else "near-duplicate") + (" across splits" if across else "")
        what = "the same pixels as" if same else f"{differ:.0%} of the hash differ from"
        parts = f" ({a.sample.split or 'no split'}, {b.sample.split or 'no split'})" if across else ""
        findings.append(Finding(kind, a.sample.name, f"{what} {b.sample.name}{parts}", same and across))
    return findings


def _shared_groups(seen: Sequence[_Seen]) -> list[Finding]:
    splits: dict[str, set[str]] = defaultdict(set)
    for each in seen:
        splits[each.sample.group].add(each.sample.split)
    return [
        Finding("group across splits", group, f"stands in {', '.join(sorted(there))}", False)
        for group, there in sorted(splits.items())
        if len(there) > 1
    ]


def _summary(seen: Sequence[_Seen]) -> Summary:
    area_px = [each.area_px for each in seen]
    area_um2 = [each.area_px * each.sample.mpp**2 for each in seen if each.sample.mpp]
    stains = [each.stain_od for each in seen if each.stain_od is not None]
    return Summary(
        images=len(seen),
        objects=sum(map(len, area_px)),
        sizes=_counted(each.size for each in seen),
        splits=_counted(each.sample.split for each in seen if each.sample.split),
        groups=len({each.sample.group for each in seen}),
        modalities=_counted(each.image_type for each in seen),
        area_px=_spread(area_px),
        area_um2=_spread(area_um2),
        stain_od=_stain_spread(np.stack(stains)) if stains else None,
    )


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _spread(parts: Sequence[NDArray[Any]]) -> dict[str, float] | None:
    values = np.concatenate(parts) if parts else np.zeros(0)
    if not len(values):
        return None
    low, median, high = np.quantile(values, (0.05, 0.5, 0.95))
    return {"p05": float(low), "median": float(median), "p95": float(high)}


def _stain_spread(od: NDArray[np.float64]) -> dict[str, dict[str, float]]:
    """Return mean and standard deviation, over images, of an image's mean density."""
    return {
        stain: {"mean": float(od[:, i].mean()), "sd": float(od[:, i].std())}
        for i, stain in enumerate(("haematoxylin", "eosin"))
    }
