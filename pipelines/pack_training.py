"""Pack crops and labels into one archive, for training without the original files.

    python pipelines/pack_training.py nuclei.zip --dsb stage1_train.zip \\
        --monuseg "MoNuSeg/Tissue Images" MoNuSeg/Annotations --tnbc TNBC/images TNBC/labels

Each dataset keeps whole patients for validation (DSB 2018 a random tenth, and another tenth for tests).
Of DSB 2018 only stained tissue is packed, unless --fluorescence is given. The manifest lists sources and
licences: MoNuSeg's and GlaS's forbid commercial use, also of weights that were trained on them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sac_wsi import SacWsiError
from sac_wsi.datasets.dsb import open_dsb, stained_only
from sac_wsi.datasets.folders import open_folders, open_tnbc
from sac_wsi.datasets.glas import open_glas
from sac_wsi.datasets.monuseg import open_monuseg
from sac_wsi.datasets.nuinsseg import open_nuinsseg
from sac_wsi.datasets.pack import CROP_PX, MAX_BYTES, QUALITY, write_pack
from sac_wsi.datasets.split import split_by_names, with_validation
from sac_wsi.errors import DataError

if TYPE_CHECKING:
    from sac_wsi.datasets.sample import DataSet


def chosen_sets(options: argparse.Namespace) -> list[DataSet]:
    """Return the requested datasets, complete, in a fixed order."""
    sets = []
    if options.monuseg:
        sets.append(open_monuseg(*options.monuseg))
    if options.tnbc:
        sets.append(open_tnbc(*options.tnbc))
    if options.dsb:
        dsb = open_dsb(options.dsb, seed=options.seed)
        sets.append(dsb if options.fluorescence else stained_only(dsb))
    if options.glas:
        sets.append(open_glas(options.glas))
    if options.nuinsseg:
        if len(options.nuinsseg) > 2:
            raise DataError(f"--nuinsseg has {len(options.nuinsseg)} folders: needed one or two.")
        data = open_nuinsseg(*options.nuinsseg)
        sets.append(split_by_names(data, options.val_organs, options.without_organs))
    if options.folders:
        images, labels = options.folders
        sets.append(
            open_folders(
                images,
                labels,
                name=options.name,
                mpp=options.mpp,
                group_pattern=options.group_pattern,
                licence=options.licence,
            )
        )
    return sets


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    made.add_argument("out", type=Path, help="the archive, a .zip")
    made.add_argument("--monuseg", nargs=2, type=Path, metavar=("IMAGES", "ANNOTATIONS"))
    made.add_argument("--tnbc", nargs=2, type=Path, metavar=("IMAGES", "LABELS"))
    made.add_argument("--dsb", type=Path, metavar="FOLDER_OR_ZIP")
    made.add_argument("--fluorescence", action="store_true", help="of DSB 2018 take all images")
    made.add_argument("--glas", type=Path, metavar="FOLDER", help="glands, not nuclei: pack them alone")
    made.add_argument(
        "--nuinsseg", nargs="+", type=Path, metavar="FOLDER", help="of the organs, or IMAGES LABELS"
    )
    made.add_argument(
        "--val-organs", nargs="+", default=[], metavar="ORGAN", help="of --nuinsseg, to validate on"
    )
    made.add_argument(
        "--without-organs", nargs="+", default=[], metavar="ORGAN", help="of --nuinsseg: 'mouse *'"
    )
    made.add_argument("--folders", nargs=2, type=Path, metavar=("IMAGES", "LABELS"), help="your own set")
    made.add_argument("--name", default="own", help="of --folders")
    made.add_argument("--mpp", type=float, help="microns per pixel of --folders")
    made.add_argument(
        "--group-pattern", default="", help=r"finds a patient in a name of --folders: '^(\d+)_'"
    )
    made.add_argument("--licence", default="unknown", help="of --folders")
    made.add_argument("--val-share", type=float, default=0.2, help="of the images, to validate on")
    made.add_argument("--group-by", default="", help="what to keep together: organ  [patients]")
    made.add_argument("--seed", type=int, default=0, help="of the splits")
    made.add_argument("--parts", nargs="+", default=["train", "val"], help="splits to pack  [train val]")
    made.add_argument(
        "--crop-px", type=int, default=CROP_PX, help=f"largest side of a crop; 0: whole  [{CROP_PX}]"
    )
    made.add_argument("--quality", default=str(QUALITY), help=f"JPEG quality, or `lossless`  [{QUALITY}]")
    made.add_argument("--max-mib", type=float, default=MAX_BYTES / 2**20, help="[45]")
    made.add_argument("--overwrite", action="store_true", help="replace an archive that exists")
    return made


def main() -> None:
    options = parser().parse_args()
    if options.out.exists() and not options.overwrite:
        sys.exit(f"{options.out} exists. Pass --overwrite to replace it, or give another name.")
    if options.quality != "lossless" and not options.quality.isdigit():
        sys.exit(f"--quality is {options.quality!r}. Needed 1 to 100, or lossless.")
    try:
        sets = [
            with_validation(data.grouped_by(options.group_by), options.val_share, options.seed).where(
                lambda s: s.split in options.parts
            )
            for data in chosen_sets(options)
        ]
        manifest = write_pack(
            options.out,
            sets,
            crop_px=options.crop_px,
            quality=None if options.quality == "lossless" else int(options.quality),
            max_bytes=int(options.max_mib * 2**20),
        )
    except SacWsiError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    for origin in manifest.origins:
        print(f"{origin.name}: {origin.images} images, {origin.crops} crops, {origin.licence}")
    print(f"{options.out}  {options.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
