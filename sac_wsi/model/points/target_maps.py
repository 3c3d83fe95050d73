"""Target maps of the prompter: three maps, all high in the middle of a nucleus, and offsets of centres.

``sac_wsi.model.points.prompts.nucleus_centres`` looks for peaks in them. Border pixels are at most half as
deep as an inner pixel, so the maps fall between two touching nuclei. The exception are nuclei at most two
pixels wide, which have border pixels only: two of them side by side can be found as one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sac_wsi.nuclei.label_maps import depth_px, label_centres, object_pixels, sequential, share_of_most

if TYPE_CHECKING:
    from numpy.typing import NDArray


OFFSET_PX = 16.0
"""Offsets are in units of so many pixels, so that they are about as large as the other maps."""


def target_maps(labels: NDArray[np.integer], offsets: bool = False) -> NDArray[np.float32]:
    """Return (3, h, w) foreground, centre and boundary of a label map (h, w); all 0 on the background.

    foreground  1
    centre      1 at the object's centre (``label_centres``), falling evenly with the distance to 0 at the
                object's farthest pixel
    boundary    ``depth_px`` divided by the largest depth of the object

    With ``offsets``, two more maps: y and x of the object's centre less those of the pixel, in units of
    ``OFFSET_PX``.

    Touching objects and the edge of the map count as border. Labels may have gaps.
    """
    labels = sequential(labels)
    flat, owner = object_pixels(labels)
    centre_yx, area_px = label_centres(labels)
    y, x = np.divmod(flat, labels.shape[1])
    distance = np.hypot(y - centre_yx[owner, 0], x - centre_yx[owner, 1])
    depth = depth_px(labels).ravel()[flat]

    maps = np.zeros((5 if offsets else 3, labels.size), np.float32)
    maps[0, flat] = 1
    maps[1, flat] = 1 - share_of_most(distance, owner, len(area_px))
    maps[2, flat] = share_of_most(depth, owner, len(area_px))
    if offsets:
        maps[3, flat] = (centre_yx[owner, 0] - y) / OFFSET_PX
        maps[4, flat] = (centre_yx[owner, 1] - x) / OFFSET_PX
    return maps.reshape(-1, *labels.shape)
