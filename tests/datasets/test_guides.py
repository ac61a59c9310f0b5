"""Each data set that a config reads says where to get it."""

import re
import shutil

import pytest
from mmengine.config import Config

from vptm_mm.datasets import StanfordDogs, check_data_roots
from vptm_mm.datasets.guides import FOLDERS, NEEDED

from ..conftest import ROOT
from ..made_datasets import MAKERS, make_stanford_cars, make_vtab

# One config of each data set.
CONFIGS = [
    *sorted((ROOT / 'configs').glob('vptm_beitv2_*.py')),
    ROOT / 'configs' / 'vtab' / 'vptm_beitv2_vtab-kitti.py',
]


def innermost(dataset: dict) -> dict:
    while 'dataset' in dataset:
        dataset = dataset['dataset']
    return dataset


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_config_has_a_guide(path, monkeypatch, tmp_path):
    gone = str(tmp_path / 'gone')
    for variable in MAKERS:
        monkeypatch.setenv(variable, gone)
    cfg = Config.fromfile(path)
    name = innermost(cfg.test_dataloader.dataset).type
    if name.startswith('BGRCIFAR'):  # the host downloads them
        check_data_roots(cfg)
        return
    source = 'docs/data.md' if name in NEEDED else 'Any folder of images will'
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        missing = re.escape(f'{name}: no {gone}.')
        with pytest.raises(FileNotFoundError, match=missing) as error:
            check_data_roots(cfg[loader])
        text = str(error.value)
        assert source in text
        assert f'{FOLDERS.get(name, name.upper() + "_ROOT")}=PATH' in text


@pytest.mark.parametrize('name', NEEDED)
def test_complete_folders_pass_and_others_do_not(name, tmp_path):
    root = MAKERS[f'{name.upper()}_ROOT'](tmp_path)
    cfg = dict(type=name, data_root=str(root), task='kitti')
    check_data_roots(cfg)
    for needed in NEEDED[name].format(task='kitti').split():
        path = root / needed.split('|')[-1]
        moved = path.rename(tmp_path / 'moved')
        with pytest.raises(FileNotFoundError, match=f'{name}: no .*{root}'):
            check_data_roots(cfg)
        moved.rename(path)


def test_one_of_two_layouts_is_enough(tmp_path):
    root = make_stanford_cars(tmp_path)
    shutil.rmtree(root / 'devkit')
    cfg = dict(type='StanfordCars', data_root=str(root))
    message = r'The folder must hold car_ims or cars_train, .* cars_annos\.mat'
    with pytest.raises(FileNotFoundError, match=message):
        check_data_roots(cfg)
    (root / 'cars_annos.mat').touch()
    check_data_roots(cfg)


def test_a_copied_config_is_led_to_its_folder():
    cfg = dict(type='ImageFolder', data_root='mine')
    with pytest.raises(FileNotFoundError, match='in which the run began'):
        check_data_roots(cfg)


def test_homes_are_read_by_those_that_read_them(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    root = make_vtab(tmp_path, ('dtd',))
    (tmp_path / 'cub').symlink_to(root)
    vtab = dict(type='VTAB1k', data_root='~/vtab-1k', task='dtd')
    check_data_roots(vtab)
    with pytest.raises(
        FileNotFoundError, match='CUB does not read ~ as the h'
    ):
        check_data_roots(dict(type='CUB', data_root='~/cub'))


def test_whole_configs_wrappers_and_classes_as_types():
    dogs = dict(type=StanfordDogs, data_root='gone')
    inside = [dict(type='TrainValSplit', dataset=dogs)]
    for cfg in Config(dict(train_dataloader=dict(dataset=dogs))), inside:
        with pytest.raises(FileNotFoundError, match='StanfordDogs: no .*gone'):
            check_data_roots(cfg)
    check_data_roots(dict(type='Mine', data_root='nowhere'))
    check_data_roots(None)
