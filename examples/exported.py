"""Classify photos by an exported file, without vptm_mm and MMPretrain.

    python examples/exported.py birds.onnx photo.jpg

The file is one of ``vptm export --preprocessing``. An ``.onnx`` needs
onnxruntime, a ``.pt2`` torch; both need numpy and opencv-python.
"""

import json
import sys

import cv2
import numpy as np

METHODS = {'bilinear': cv2.INTER_LINEAR, 'bicubic': cv2.INTER_CUBIC}


def prepare(path, pipeline):
    """Read a photo as (1, 3, H, W): uint8, BGR, turned as its EXIF says."""
    image = cv2.imread(path)
    for step in pipeline:
        kind, (height, width) = step['type'], image.shape[:2]
        if kind in ('LoadImageFromFile', 'LoadCheckedImage', 'PackInputs'):
            continue
        if kind == 'CenterCrop':
            side = step['crop_size']
            top, left = round((height - side) / 2), round((width - side) / 2)
            image = image[top : top + side, left : left + side]
            continue
        if kind == 'Resize' and not step.get('keep_ratio'):
            size = step['scale']  # the whole photo, squashed
        elif kind == 'ResizeEdge' and step.get('edge', 'short') == 'short':
            short = min(width, height)
            size = [step['scale'] * edge // short for edge in (width, height)]
        else:
            raise ValueError(f'prepare lacks this step: {step}')
        method = METHODS[step.get('interpolation', 'bilinear')]
        image = cv2.resize(image, size, interpolation=method)
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None])


def open_onnx(path):
    """Return what scores an image, and the description of the file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path)
    texts = session.get_modelmeta().custom_metadata_map
    keys = ('classes', 'pipeline', 'preprocessing')
    about = {key: json.loads(texts[key]) for key in keys}
    return lambda x: session.run(None, {'images': x})[0], about


def open_pt2(path):
    """Return the same of a program of torch; only open files you trust."""
    import torch

    extra = {'vptm_mm.json': ''}
    model = torch.export.load(path, extra_files=extra).module()
    about = json.loads(extra['vptm_mm.json'])

    def score(image):
        with torch.inference_mode():
            return model(torch.from_numpy(image)).numpy()

    return score, about


def main(path, *photos):
    """Print the class of each photo and its share."""
    opened = open_onnx(path) if path.endswith('.onnx') else open_pt2(path)
    score, about = opened
    if not about['preprocessing']:
        sys.exit(f'{path} was written without --preprocessing')
    classes = about['classes']
    for photo in photos:
        (scores,) = score(prepare(photo, about['pipeline']))
        shares = np.exp(scores - scores.max())
        shares /= shares.sum()
        print(photo, classes[shares.argmax()], shares.max())


if __name__ == '__main__':
    main(*sys.argv[1:])
