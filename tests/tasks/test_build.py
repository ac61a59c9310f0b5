"""A task gives the scores of its checkpoint, wherever it is loaded."""

import copy
import dataclasses
import shutil

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from mmpretrain import ImageClassificationInferencer, get_model
from PIL import Image
from torchvision.transforms import InterpolationMode

from vptm_mm.tasks import (
    SETTINGS_ENTRY,
    SHA256_ENTRY,
    VPTMTaskPool,
    frozen_init,
    load_classifier,
    load_state,
    make_task,
    read_checkpoint,
    read_task,
    task_state,
    write_task,
)
from vptm_mm.weights.checkpoint_file import fetch

from ..conftest import make_pretraining_model
from ..made_tasks import PIPELINE, make_classifier, make_config, task_of


@pytest.fixture(scope='module')
def model(checkpoint):
    return make_classifier(checkpoint, prompt_length=3, mask_grid=2)


@pytest.fixture
def path(model, tmp_path):
    path = tmp_path / 'task.safetensors'
    write_task(task_of(model), path)
    return path


@pytest.fixture
def fresh(model):
    """A classifier of the same config, with other random parts."""
    torch.manual_seed(99)
    return get_model(model._config)


def scores(model, images):
    with torch.no_grad():
        return model(images)


def test_scores_of_checkpoint_and_task_are_identical(
    model, path, images, tmp_path
):
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'whole.pth')
    # As DDP and torch.compile name them, in a bare state dict.
    names = {f'module._orig_mod.{k}': v for k, v in model.state_dict().items()}
    torch.save(names, tmp_path / 'compiled.pth')
    expected = scores(model, images)
    config = model._config
    for loaded in (
        load_classifier(config, path),
        load_classifier(config, tmp_path / 'whole.pth'),
        load_classifier(config, tmp_path / 'compiled.pth'),
        load_classifier(task_of(model)),
        get_model(config, str(path)),
    ):
        assert torch.equal(scores(loaded, images), expected)
        assert not loaded.training
    assert load_classifier(config, path)._dataset_meta['classes'] == tuple(
        f'class {i}' for i in range(5)
    )


def test_the_host_loads_a_task_without_a_warning(fresh, path, caplog, capsys):
    load_checkpoint(fresh, str(path))
    assert 'do not match' not in capsys.readouterr().out + caplog.text


def test_the_inferencer_takes_a_task_file(model, path, tmp_path):
    array = np.random.default_rng(0).integers(
        0, 256, (20, 24, 3), dtype=np.uint8
    )
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'whole.pth')
    one, two = (
        ImageClassificationInferencer(model._config, pretrained=str(file))(
            [array] * 3, batch_size=2
        )
        for file in (path, tmp_path / 'whole.pth')
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a['pred_scores'], b['pred_scores'])
    assert one[0]['pred_class'].startswith('class ')


def test_a_task_state_holds_what_is_not_frozen(model):
    state = task_state(model)
    frozen = {f'backbone.{k}' for k in model.backbone.frozen_state_dict()}
    assert not frozen & set(state)
    assert state[SHA256_ENTRY].shape == (32,)
    assert not any(k.startswith('backbone.encoder.') for k in state)
    with pytest.raises(ValueError, match='ResNet is not a frozen backbone'):
        task_state(
            get_model(
                Config(
                    dict(
                        model=dict(
                            type='ImageClassifier',
                            backbone=dict(type='ResNet', depth=18),
                        )
                    )
                )
            )
        )


def test_slim_checkpoints_of_before_have_no_settings(fresh, path):
    checkpoint = read_checkpoint(str(path))
    settings = checkpoint['state_dict'].pop(SETTINGS_ENTRY)
    load_state(fresh, checkpoint)
    checkpoint['state_dict'][SETTINGS_ENTRY] = settings[:-5]
    with pytest.raises(ValueError, match='a JSON object in bytes'):
        load_state(fresh, checkpoint)


def test_another_backbone_is_refused(model, path, tmp_path, checkpoint):
    other = make_pretraining_model()
    other.backbone.cls_token.data += 1
    torch.save(dict(state_dict=other.state_dict()), tmp_path / 'other.pth')
    digest = model.backbone.frozen_sha256
    config = make_config(tmp_path / 'other.pth', prompt_length=3, mask_grid=2)
    theirs = get_model(config).backbone.frozen_sha256
    assert theirs != digest
    for load in (load_classifier, get_model):
        with pytest.raises(
            ValueError, match=f'sha256 {digest}, and these have {theirs}'
        ):
            load(config, str(path))
    with pytest.raises(ValueError, match='the task was tuned on .* --weights'):
        load_classifier(task_of(model), weights=str(tmp_path / 'other.pth'))
    assert load_classifier(task_of(model), weights=str(checkpoint))


def test_a_backbone_without_weights_is_refused(path):
    config = make_config('x', prompt_length=3, mask_grid=2)
    config.model.backbone.init_cfg = None
    with pytest.raises(ValueError, match='has no pre-trained weights, or'):
        get_model(config, str(path))
    with pytest.raises(
        ValueError, match='VPTMBackbone has no pre-trained weights yet, or'
    ):
        load_classifier(config, path)


def test_an_encoder_of_another_configuration_is_refused(model, path):
    """Its tensors are the same, and nothing but the scores would show it."""
    config = copy.deepcopy(model._config)
    encoder = config.model.backbone.encoder
    for options, line in (
        (dict(layer_cfgs=dict(act_cfg=dict(type='ReLU'))), r'\) / ReLU\(\)'),
        (dict(norm_cfg=dict(type='LN', eps=1e-3)), 'eps=1e-06 / eps=0.001'),
    ):
        config.model.backbone.encoder = {**encoder, **options}
        for load in (load_classifier, get_model):
            with pytest.raises(ValueError, match=line):
                load(config, str(path))
        with pytest.raises(ValueError, match='of another configuration'):
            make_task(model, config)
    config.model.backbone.encoder = dict(encoder, drop_path_rate=0.1)
    assert load_classifier(config, path)


@pytest.mark.parametrize(
    ('options', 'line'),
    [
        (dict(prompt_length=4), '! backbone.prompt_tokens.prompts'),
        (dict(prompt_length=0), r'\+ backbone.prompt_tokens.prompts'),
        (dict(prompt_length=3, num_classes=4), '! head.verbalizer.proto'),
    ],
)
def test_another_architecture_is_refused(checkpoint, path, options, line):
    config = make_config(checkpoint, mask_grid=2, **options)
    with pytest.raises(ValueError, match=line):
        load_classifier(config, path)
    # MMPretrain alone would only warn.
    with pytest.raises(ValueError, match='does not fit'):
        get_model(config, str(path))


def test_names_of_classes(model, path):
    numbered = make_task(model, model._config)
    assert numbered.classes == ('0', '1', '2', '3', '4')
    loaded = load_classifier(model._config, path)
    of_the_file = make_task(loaded, model._config)
    assert of_the_file.classes == tuple(f'class {i}' for i in range(5))
    with pytest.raises(ValueError, match='num_classes=5, and it names 2'):
        make_task(model, model._config, ['a', 'b'])


def test_a_config_without_a_pipeline(model):
    config = model._config.copy()
    config.test_dataloader = None
    with pytest.raises(ValueError, match='no test_dataloader.dataset.pipe'):
        make_task(model, config)


WRAPPERS = [
    lambda one: one,
    lambda one: dict(type='RepeatDataset', dataset=one, times=2),
    lambda one: dict(type='ConcatDataset', datasets=[one, one]),
    lambda one: dict(type='ClassBalancedDataset', dataset=one),
]


@pytest.mark.parametrize('wrap', WRAPPERS)
@pytest.mark.parametrize(
    'steps',
    [
        [
            dict(type='Resize', scale=(40, 30), keep_ratio=True),
            dict(type='CenterCrop', crop_size=(16, 16)),
        ],
        [
            dict(type='NumpyToPIL', to_rgb=True),
            dict(
                type='torchvision/Resize',
                size=(16, 16),
                interpolation=InterpolationMode.BICUBIC,
            ),
            dict(type='PILToNumpy', to_bgr=True),
        ],
    ],
)
def test_a_pipeline_predicts_as_it_trains(model, tmp_path, steps, wrap):
    """Tuples, which JSON has no word for; transforms of torchvision."""
    image = tmp_path / 'image.png'
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(pixels).save(image)
    pipeline = [dict(type='LoadImageFromFile'), *steps, PIPELINE[-1]]
    config = copy.deepcopy(model._config)
    config.test_dataloader.dataset = wrap(
        dict(type='CustomDataset', pipeline=pipeline)
    )
    path = tmp_path / 'task.safetensors'
    write_task(make_task(model, config), path)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        packed = Compose(pipeline)(dict(img_path=str(image)))
    with torch.no_grad():
        (expected,) = model.test_step({k: [v] for k, v in packed.items()})
    (result,) = VPTMTaskPool.from_files([path]).predict([image], 'task')
    np.testing.assert_allclose(
        result['task']['pred_scores'], expected.pred_score, atol=1e-5
    )


def test_what_no_task_file_holds(model):
    config = copy.deepcopy(model._config)
    dataset = config.test_dataloader.dataset
    for step, message in (
        (dict(type='NoSuchTransform'), "'NoSuchTransform' in its pipeline"),
        (dict(type='Resize'), 'a preprocessing that cannot be built'),
        (dict(type='Resize', scale=model), 'a task file cannot hold Image'),
        ({0: 1, (1, 2): 3}, 'a task file cannot hold this: keys must be'),
    ):
        dataset.pipeline = [step]
        with pytest.raises(ValueError, match=message):
            make_task(model, config)


def test_weights_of_another_folder_are_found(
    model, checkpoint, tmp_path, monkeypatch
):
    """Beside the task, or in torch's cache."""
    config = copy.deepcopy(model._config)
    config.model.backbone.init_cfg.checkpoint = 'weights/beitv2-moved.pth'
    path = tmp_path / 'tasks' / 'birds.safetensors'
    path.parent.mkdir()
    write_task(make_task(model, config), path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    stored = tmp_path / 'cache' / 'hub' / 'checkpoints' / '0123' / 'x'
    with pytest.raises(FileNotFoundError, match='give their path by --weig'):
        VPTMTaskPool.from_files([path])
    for folder in (stored.parent, path.parent):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(checkpoint, folder / 'beitv2-moved.pth')
        assert VPTMTaskPool.from_files([path])
        assert load_classifier(read_task(path))
        (folder / 'beitv2-moved.pth').rename(tmp_path / 'put away')
    assert VPTMTaskPool.from_files([path], weights=str(checkpoint))


def test_weights_of_this_package_are_found(model):
    """Whatever folder of another machine the task names."""
    path = r'C:\weights\beitv2-tiny_digits.pth'
    task = dataclasses.replace(task_of(model), weights=path)
    assert frozen_init(task)['checkpoint'] == str(
        fetch('vptm_mm://beitv2-tiny_digits.pth')
    )


def test_a_config_without_test_images(model, path, images):
    config = copy.deepcopy(model._config)
    config.test_dataloader = None
    loaded = load_classifier(config, path)
    assert torch.equal(scores(loaded, images), scores(model, images))
    assert 'test_dataloader' in config


def test_missing_files(model, tmp_path):
    with pytest.raises(FileNotFoundError, match='no config at .*gone.py'):
        load_classifier(tmp_path / 'gone.py', 'x')
    with pytest.raises(FileNotFoundError, match='no checkpoint at .*gone.pth'):
        load_classifier(model._config, tmp_path / 'gone.pth')


@pytest.mark.parametrize(
    'content', [[1], dict(state_dict=[1]), dict(meta=3, state_dict={})]
)
def test_other_files_of_torch(content, tmp_path):
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='a.pth holds no checkpoint: a'):
        read_checkpoint(str(tmp_path / 'a.pth'))


def test_a_file_does_not_decide_what_is_imported_or_fetched(
    model, monkeypatch
):
    task = task_of(model)
    for name in ('os.system', 'builtins.print', 7, 'NoSuchHead'):
        with pytest.raises(ValueError, match=f'type={name!r} in its head, wh'):
            dataclasses.replace(task, head=dict(task.head, type=name))
    nested = dict(task.head, act_cfg=dict(type='os.system'))
    with pytest.raises(ValueError, match="type='os.system' in its head, whic"):
        dataclasses.replace(task, head=nested)

    monkeypatch.setattr(
        torch.hub, 'urlopen', lambda *args: pytest.fail('a download')
    )
    url = 'https://x.org/y.pth'
    with pytest.raises(ValueError, match=f'are at {url}; to download them'):
        load_classifier(dataclasses.replace(task, weights=url))
    with pytest.raises(ValueError, match='does not say where its pre-trained'):
        load_classifier(dataclasses.replace(task, weights=None))
