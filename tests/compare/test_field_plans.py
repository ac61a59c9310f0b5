"""The plans on data sets of the field: all their pairs fit the data."""

from dataclasses import replace

import pytest
from mmpretrain.registry import MODELS

from vptm_mm.compare.pairs import make_pairs
from vptm_mm.datasets import VTAB1k
from vptm_mm.nn import Unfilled

from ..made_datasets import MAKERS, make_image_folder
from .made_plan import shipped

FGVC = dict(
    CUB=200, NABirds=555, Flowers102=102, StanfordDogs=120, StanfordCars=196
)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    names = [f'{name.upper()}_ROOT' for name in (*FGVC, 'VTAB1k')]
    return {name: str(MAKERS[name](folder)) for name in names}


@pytest.fixture
def load(roots, monkeypatch, tmp_path):
    """Reads a plan whose data are there, with weights of a few bytes."""
    weights = tmp_path / 'beitv2.pth'
    weights.write_bytes(b'weights')
    monkeypatch.setenv('VPTM_BEITV2_BASE', str(weights))
    for name, root in roots.items():
        monkeypatch.setenv(name, root)
    return shipped


def test_methods_on_fgvc(load):
    pairs = make_pairs(load('fgvc', datasets=['CUB']))
    assert len(pairs) == 20
    others = make_pairs(load('fgvc', methods=['VPTM', 'VPT, deep']))
    assert len(others) == 2 * 5
    for pair in pairs + others:
        head = pair.base.model.head
        assert head.num_classes == FGVC[pair.dataset.name]
        untrained = 'no training' in pair.method.name
        assert pair.base.train_cfg.max_epochs == (1 if untrained else 100)
        assert (head.type == 'LinearClsHead') == (
            not pair.method.name.startswith(('VPTM', 'verbalizer'))
        )


def test_tasks_of_vtab(load):
    assert load('vtab').methods == load('fgvc').methods
    pairs = make_pairs(load('vtab', methods=['VPTM']))
    classes = {pair.dataset.name: pair.base.model.head for pair in pairs}
    assert {k: v.num_classes for k, v in classes.items()} == VTAB1k.TASKS
    for pair in pairs:
        train = pair.base.train_dataloader.dataset
        assert (train.task, train.split) == (pair.dataset.name, 'train800')
        final = pair.final_config(0, {}, 0)
        assert final.train_dataloader.dataset.split == 'train800val200'
        assert final.val_dataloader is None


def test_methods_and_yardsticks_on_the_small_backbone(tmp_path, monkeypatch):
    photos = make_image_folder(tmp_path, classes=6)
    monkeypatch.setenv('IMAGE_FOLDER', str(photos))
    weights = tmp_path / 'mini.pth'
    weights.write_bytes(b'weights')
    plan = replace(
        shipped('mini', datasets=['TrashNet'], search_on=''),
        overrides={'model.backbone.init_cfg.checkpoint': str(weights)},
    )
    pairs = make_pairs(plan)
    assert len(pairs) == 17
    for pair in pairs:
        model = pair.base.model
        assert model.head.num_classes == 6
        if pair.method.name == 'teacher, linear':  # needs its weights
            continue
        if not pair.method.own_model:
            assert model.backbone.init_cfg.pop('checkpoint') == str(weights)
            model.backbone.init_cfg = None
        with Unfilled():
            built = MODELS.build(model)
        if hasattr(built.backbone, 'out_channels'):
            assert built.backbone.out_channels == model.head.in_channels
            assert len(built.backbone.encoder.layers) == 8
