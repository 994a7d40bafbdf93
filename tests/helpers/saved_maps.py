"""Maps, boxes, masks and scores in files, for the tests of their evaluation."""

import csv
import json

import cv2
import numpy as np

#: The mask of each image, and the size of the masks.
MASK, SIZE = np.s_[10:30, 20:50], (48, 64)


def make_files(folder):
    """Maps as folder and npz, boxes as csv and json, masks, scores.

    Six images of two classes; the last has no box, the first no mask.

    Returns:
        The maps by image, and the list in ``boxes.json``.
    """
    rng = np.random.default_rng(0)
    maps, images, scores = {}, [], {}
    mask = np.zeros(SIZE, np.uint8)
    mask[MASK] = 7
    for i in range(6):
        name = f'c{i % 2}/{i % 3}.jpg'  # file names that repeat
        x, y = rng.integers(0, 30, 2)
        maps[name] = rng.random((7, 7)).astype(np.float32)
        boxes = [[int(x), int(y), int(x) + 30, int(y) + 50]] * (1 + i % 2)
        image = dict(image=name, label=i % 2, width=60 + 10 * i, height=90)
        images.append(dict(image, boxes=[] if i == 5 else boxes))
        scores[name] = [0.2, 0.8]
        for file in (folder / 'maps' / name, folder / 'masks' / name):
            file.parent.mkdir(parents=True, exist_ok=True)
        np.save(folder / 'maps' / name.replace('.jpg', '.npy'), maps[name])
        if i:
            cv2.imwrite(str(folder / 'masks' / name.replace('jpg', 'png')), mask)
    np.savez(folder / 'maps.npz', **maps)
    np.savez(folder / 'scores.npz', **scores)
    (folder / 'boxes.json').write_text(json.dumps(images))
    with open(folder / 'boxes.csv', 'w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow('image label width height x0 y0 x1 y1'.split())
        for image in images:
            row = [image[k] for k in ('image', 'label', 'width', 'height')]
            for box in image['boxes'] or [[''] * 4]:
                writer.writerow(row + box)
    return maps, images
