"""Labelled images: the official layouts of the public datasets, their check, their split, and packs.

sample                         an image with its labels, read on demand; a dataset of them
monuseg, dsb, glas, nuinsseg, folders    the layouts; layouts opens one by its name
pixels, label_files            read image files and label files
aperio_xml, polygons           read annotations and draw them as labels
split                          parts that share no organ or patient
check                          problems of a dataset and its statistics; contact_sheet draws it
pack                           one archive for training without the original files
images                         images by index, as training reads them
"""

from typing import Literal, get_args

Layout = Literal["monuseg", "tnbc", "dsb", "glas", "nuinsseg", "folders", "pack"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
"""Names of the layouts."""
