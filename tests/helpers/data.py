"""Files of data sets."""

import json
import os
import os.path as osp

import cv2
import numpy as np


def write_image(*parts, size=(50, 40)):
    """Write a gray image of ``(width, height)`` pixels."""
    path = osp.join(*parts)
    os.makedirs(osp.dirname(path), exist_ok=True)
    assert cv2.imwrite(path, np.full(size[::-1], 99, np.uint8))


def write_text(*parts, text=''):
    """Write a text file."""
    path = osp.join(*parts)
    os.makedirs(osp.dirname(path), exist_ok=True)
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def voc(boxes, size=(50, 40)):
    """A Pascal-VOC annotation of boxes ``xyxy``."""
    objects = ''.join(
        '<object><name>n01</name><bndbox>'
        + ''.join(
            f'<{k}>{v}</{k}>' for k, v in zip(('xmin', 'ymin', 'xmax', 'ymax'), box)
        )
        + '</bndbox></object>'
        for box in boxes
    )
    return (
        f'<annotation><size><width>{size[0]}</width><height>{size[1]}'
        f'</height><depth>3</depth></size>{objects}</annotation>'
    )


def write_coco(root, boxes, name='b.json', size=(50, 40)):
    """Write a COCO json of boxes ``(file name, x, y, w, h)``."""
    names = sorted({box[0] for box in boxes})
    content = dict(
        images=[
            dict(id=i, file_name=file, width=size[0], height=size[1])
            for i, file in enumerate(names)
        ],
        annotations=[dict(image_id=names.index(box[0]), bbox=box[1:]) for box in boxes],
    )
    write_text(root, name, text=json.dumps(content))
