"""From maps to boxes and masks: every convention of the project, once.

Pure functions on NumPy arrays (a map may also be a torch tensor on any
device); nothing here imports a model. Three words are used everywhere as
follows:

- *image*: the picture in a file, at its own size;
- *view*: what the model sees of it, after resize and crop;
- *map*: how much each place of a view belongs to the object, at any
  resolution and range.

Boxes are ``xyxy``, in pixels of the view unless another frame is named. The
box of a mask is max exclusive: one pixel at the origin is ``(0, 0, 1, 1)``.

References:
    - "Recipe": Wu, Zhai, Cao, "Background Activation Suppression for Weakly
      Supervised Object Localization", CVPR 2022, and its released protocol.
    - "Benchmark": Choe et al., "Evaluating Weakly Supervised Object
      Localization Methods Right", CVPR 2020.
    - SEM: Zhang et al., "Rethinking Localization Map: Towards Accurate Object
      Perception with Self-Enhancement Maps", arXiv 2006.05220.
    - PaS: Bae et al., "Rethinking Class Activation Mapping for Weakly
      Supervised Object Localization", ECCV 2020, "percentile as a standard".
"""

from bas_mm.localization.boxes import (
    best_iou,
    box_area,
    box_iou,
    box_overlap,
    center_box,
    map_components,
    map_to_bbox,
    map_to_bboxes,
    mask_to_bboxes,
    whole_box,
)
from bas_mm.localization.component_tree import (
    Components,
    contours,
    largest_components,
)
from bas_mm.localization.maps import (
    AUTO_SHARE,
    RULES,
    as_array,
    as_size,
    check_resize,
    check_threshold,
    cut_of,
    get_compare,
    normalize_map,
    quantize_map,
    resize_map,
    scale_map,
    view_map,
)
from bas_mm.localization.pseudo_mask import gaussian_prior, pseudo_mask
from bas_mm.localization.sweep import sweep_contours, sweep_largest, threshold_grid
from bas_mm.localization.view import ViewFrame

__all__ = [
    'AUTO_SHARE',
    'Components',
    'RULES',
    'ViewFrame',
    'as_array',
    'as_size',
    'best_iou',
    'box_area',
    'box_iou',
    'box_overlap',
    'center_box',
    'check_resize',
    'check_threshold',
    'contours',
    'cut_of',
    'gaussian_prior',
    'get_compare',
    'largest_components',
    'map_components',
    'map_to_bbox',
    'map_to_bboxes',
    'mask_to_bboxes',
    'normalize_map',
    'pseudo_mask',
    'quantize_map',
    'resize_map',
    'scale_map',
    'sweep_contours',
    'sweep_largest',
    'threshold_grid',
    'view_map',
    'whole_box',
]
