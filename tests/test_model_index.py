"""MMPretrain's ModelHub knows our models by name."""

import numpy as np
import yaml
from mmengine.config import Config
from mmpretrain import (
    ImageClassificationInferencer,
    get_model,
    inference_model,
    list_models,
)

from vptm_mm.datasets import SklearnDigits

from .conftest import ROOT

INDEX = yaml.safe_load((ROOT / 'configs' / 'metafile.yml').read_text())


def test_every_main_config_is_listed():
    names = {path.stem for path in (ROOT / 'configs').glob('vptm_*.py')}
    assert names
    assert {model['Name'] for model in INDEX['Models']} == names
    assert set(list_models('vptm')) == names
    for model in INDEX['Models']:
        assert (ROOT / model['Config']).is_file()
        assert isinstance(Config.fromfile(ROOT / model['Config']).model, dict)


def test_names_work_as_of_any_model():
    """The embedded default, by name, with the task file of the package."""
    dataset = SklearnDigits(split='test', indices=100)
    images = [dataset.get_data_info(i)['img'] for i in range(100)]
    labels = [dataset.get_data_info(i)['gt_label'] for i in range(100)]
    name = 'vptm_beitv2-tiny_digits'
    results = ImageClassificationInferencer(name)(images, batch_size=50)
    right = np.mean([r['pred_label'] for r in results] == np.array(labels))
    assert right > 0.8

    one = inference_model(name, images[0])
    assert one['pred_class'] == results[0]['pred_class']
    model = get_model(name, pretrained=True)
    assert model._dataset_meta['classes'] == tuple('0123456789')
    folder_result = ImageClassificationInferencer(model)([images[0]])
    assert folder_result[0]['pred_label'] == one['pred_label']
