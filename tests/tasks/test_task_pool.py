"""Many tasks on one backbone: each score is the single classifier's."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mmcv.transforms import Compose, LoadImageFromFile
from mmpretrain import ImageClassificationInferencer
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from vptm_mm.tasks import VPTMTaskPool, write_task

from ..conftest import ENCODER, NUM_VISUAL_TOKENS, make_pretraining_model
from ..made_images import KINDS
from ..made_tasks import make_classifier, task_of

# Prompts, blocks, masks, bias, tokens, class counts: all differ.
OPTIONS = {
    'shallow': dict(prompt_length=3),
    'long': dict(prompt_length=7, num_classes=3),
    'none': dict(prompt_length=0, num_classes=2),
    'other none': dict(prompt_length=0, num_classes=9),
    'late': dict(prompt_length=2, prompt_blocks=(2,)),
    'deep': dict(prompt_length=4, prompt_blocks=(0, 1, 2)),
    'gap': dict(prompt_length=2, prompt_blocks=(0, 2)),
    'four masks': dict(prompt_length=3, mask_grid=2, prompt_blocks=(1,)),
    'cls bias': dict(prompt_length=3, mask_bias='cls', prompt_bias='cls'),
    'after cls': dict(prompt_length=3, prompt_location='after_cls'),
    'logits': dict(prompt_length=1, visual_token='logits', mask_grid=2),
    'parts': dict(
        type='AdaptedBackbone',
        readout=dict(type='MaskReadout', mask_grid=2),
        tuning=dict(type='PromptTuning', prompt_length=5, prompt_blocks=(1,)),
        head=dict(type='LinearClsHead', num_classes=4, in_channels=64),
    ),
    'linear': dict(
        prompt_length=2,
        head=dict(type='LinearClsHead', num_classes=4, in_channels=16),
    ),
}


@pytest.fixture(scope='module')
def classifiers(checkpoint):
    return {
        name: make_classifier(checkpoint, seed, **options)
        for seed, (name, options) in enumerate(OPTIONS.items())
    }


@pytest.fixture
def pool(checkpoint, classifiers):
    pool = VPTMTaskPool(
        ENCODER,
        NUM_VISUAL_TOKENS,
        dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    for name, model in classifiers.items():
        assert pool.add(task_of(model), name) == name
    return pool


def make_images(count: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, 16, 16, generator=generator)


def check(pool, classifiers, images, tasks):
    results = pool(images, tasks)
    assert len(results) == len(images)
    for image, result, names in zip(images, results, tasks, strict=True):
        names = [names] if isinstance(names, str) else names
        assert list(result) == list(names)
        for name in names:
            with torch.no_grad():
                expected = classifiers[name](image[None])[0]
            # Cosines, divided by a temperature of 0.1: scores reach 10.
            scale = expected.abs().max().clamp(min=1).item()
            torch.testing.assert_close(
                result[name], expected, atol=1e-5 * scale, rtol=0
            )


def test_a_mixed_batch_equals_the_classifiers(pool, classifiers):
    names = list(OPTIONS)
    check(pool, classifiers, make_images(len(names)), names)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    tasks=st.lists(
        st.lists(st.sampled_from(list(OPTIONS)), min_size=1, unique=True),
        min_size=1,
        max_size=5,
    )
)
def test_any_batch_equals_the_classifiers(pool, classifiers, tasks):
    check(pool, classifiers, make_images(len(tasks)), tasks)


def test_the_frozen_blocks_run_once_for_a_batch(pool, monkeypatch):
    """And blocks before the first prompts once per image."""
    rows = []
    for layer in pool.encoder.layers:
        layer.ln1.register_forward_pre_hook(
            lambda module, args: rows.append(len(args[0]))
        )
    pool(make_images(4), ['shallow', 'long', 'deep', 'none'])
    assert rows == [4, 4, 4]
    rows.clear()
    # 'late' and both without prompts begin alike; 'shallow' does not.
    pool(make_images(1), [['late', 'none', 'other none', 'shallow']])
    assert rows == [2, 2, 3]
    rows.clear()
    pool(make_images(2), [['none', 'other none'], ['late']])
    assert rows == [2, 2, 2]


def test_tasks_come_and_go_without_touching_the_backbone(pool, classifiers):
    images = make_images(2)
    before = {k: v.data_ptr() for k, v in pool.state_dict().items()}
    expected = pool(images, 'deep')
    pool.remove('shallow')
    assert 'shallow' not in pool.tasks
    with pytest.raises(ValueError, match="'shallow' is not in the pool; it"):
        pool(images, 'shallow')
    pool.add(task_of(classifiers['shallow']), 'shallow')
    check(pool, classifiers, images, ['shallow', 'deep'])
    assert {k: v.data_ptr() for k, v in pool.state_dict().items()} == before
    for one, two in zip(expected, pool(images, 'deep'), strict=True):
        assert torch.equal(one['deep'], two['deep'])
    assert not any('prompt' in name for name in before)
    assert not any(p.requires_grad for p in pool.parameters())


def test_a_thousand_tasks_share_their_positions(checkpoint, classifiers):
    pool = VPTMTaskPool(
        ENCODER, init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))
    )
    task = task_of(classifiers['shallow'])
    for i in range(20):
        pool.add(task, f'task {i}')
    assert len({id(t.sequence) for t in pool.tasks.values()}) == 1
    assert pool.tasks['task 0'].num_bytes == task.num_bytes
    # A copy may be moved to another device: it shares nothing.
    other = copy.deepcopy(pool)
    other.add(task, 'late comer')
    own, late = (other.tasks[k].sequence for k in ('task 0', 'late comer'))
    assert late is own
    assert late is not pool.tasks['task 0'].sequence


def test_tasks_move_with_the_pool(pool, classifiers):
    pool.to(torch.float64)
    pool.add(task_of(classifiers['deep']), 'late comer')
    task = pool.tasks['shallow']
    assert task.prompt_tokens.prompts.dtype == torch.float64
    assert task.head.verbalizer.prototypes.dtype == torch.float64
    (result,) = pool(make_images(1).double(), [['late comer', 'shallow']])
    assert all(scores.isfinite().all() for scores in result.values())


def test_predict_equals_the_host_inferencer(pool, classifiers, tmp_path):
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 256, (20, 30 + i, 3), dtype=np.uint8) for i in range(3)
    ]
    names = ['shallow', 'four masks', 'deep']
    results = pool.predict(arrays, names)
    for array, name, result in zip(arrays, names, results, strict=True):
        inferencer = ImageClassificationInferencer(classifiers[name])
        (expected,) = inferencer(array)
        ours = result[name]
        np.testing.assert_allclose(
            ours['pred_scores'], expected['pred_scores'], atol=1e-5
        )
        assert ours['pred_label'] == expected['pred_label']
        assert ours['pred_class'] == f'class {ours["pred_label"]}'
    assert pool.predict([], []) == []


def test_predict_in_batches(pool, monkeypatch):
    sizes = []
    pool.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    images = list(
        np.random.default_rng(1).integers(0, 256, (5, 16, 16, 3), np.uint8)
    )
    expected = pool.predict(images, 'deep')
    found = pool.predict(images, 'deep', batch_size=2)
    assert sizes == [5, 2, 2, 1]
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(
            one['deep']['pred_scores'], two['deep']['pred_scores'], atol=1e-6
        )
    with pytest.raises(ValueError, match='batch_size=0 must be >= 1'):
        pool.predict(images, 'deep', batch_size=0)


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """A photo that is stored on its side, and other kinds of files."""
    folder = tmp_path_factory.mktemp('photos')
    pixels = np.random.default_rng(1).integers(0, 256, (8, 12, 3), np.uint8)
    image = Image.fromarray(pixels).resize((96, 64))
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6
    image.save(folder / 'photo.jpg', exif=on_its_side, quality=95)
    for name, mode in (('grey', 'L'), ('alpha', 'RGBA'), ('palette', 'P')):
        image.convert(mode).save(folder / f'{name}.png')
    return folder


@pytest.mark.parametrize('name', ['photo.jpg', 'grey.png', 'alpha.png'])
def test_files_and_pillow_equal_the_host_inferencer(
    pool, classifiers, photos, name
):
    path = photos / name
    (expected,) = ImageClassificationInferencer(classifiers['deep'])(str(path))
    for image in (path, str(path), Image.open(path)):
        (result,) = pool.predict([image], 'deep')
        np.testing.assert_allclose(
            result['deep']['pred_scores'], expected['pred_scores'], atol=1e-5
        )


@pytest.mark.parametrize(
    'options',
    [
        dict(color_type='color_ignore_orientation'),
        dict(imdecode_backend='pillow', to_float32=True),
    ],
)
@pytest.mark.parametrize('name', ['photo.jpg', 'palette.png'])
def test_a_task_keeps_the_options_of_its_loader(
    pool, classifiers, photos, name, options
):
    model = classifiers['deep']
    task = task_of(model)
    loader, *others = task.pipeline
    pipeline = [{**loader, **options}, *others]
    pool.add(dataclasses.replace(task, pipeline=pipeline), 'own')
    steps = Compose([TRANSFORMS.build(step) for step in pipeline])
    packed = steps(dict(img_path=str(photos / name)))
    packed = {key: [value] for key, value in packed.items()}
    with torch.no_grad():
        (expected,) = model.test_step(packed)
    (result,) = pool.predict([photos / name], [['deep', 'own']])
    np.testing.assert_allclose(
        result['own']['pred_scores'], expected.pred_score, atol=1e-5
    )
    if 'color_type' in options and name == 'photo.jpg':
        shares = [result[task]['pred_scores'] for task in ('own', 'deep')]
        assert np.abs(shares[0] - shares[1]).max() > 1e-2


@TRANSFORMS.register_module()
class LoadNumpyFile(LoadImageFromFile):
    """A loader of another package, for files that no decoder knows."""

    def transform(self, results):
        pixels = np.load(results['img_path'])
        size = pixels.shape[:2]
        return dict(results, img=pixels, img_shape=size, ori_shape=size)


def test_a_loader_of_another_package_loads(pool, classifiers, tmp_path):
    task = task_of(classifiers['deep'])
    pipeline = [dict(type='LoadNumpyFile'), *task.pipeline[1:]]
    pool.add(dataclasses.replace(task, pipeline=pipeline), 'own')
    pixels = np.random.default_rng(2).integers(0, 256, (20, 24, 3), np.uint8)
    np.save(tmp_path / 'pixels.npy', pixels)
    (result,) = pool.predict([tmp_path / 'pixels.npy'], 'own')
    (expected,) = pool.predict([pixels], 'deep')
    np.testing.assert_array_equal(
        result['own']['pred_scores'], expected['deep']['pred_scores']
    )


def test_images_of_another_type_are_refused(pool):
    with pytest.raises(TypeError, match='type Tensor must be a path, an arr'):
        pool.predict([torch.zeros(3, 4, 4)], 'deep')
    sixteen = Image.fromarray(np.zeros((4, 4), np.uint16))
    with pytest.raises(ValueError, match="mode 'I;16' has more than 8 bits"):
        pool.predict([sixteen], 'deep')


def test_images_go_to_the_device_of_the_pool(pool, classifiers):
    """The host's preprocessor keeps a device of its own."""
    pool.to('meta')
    pool.add(task_of(classifiers['deep']), 'late comer')
    pixels = np.zeros((20, 24, 3), np.uint8)
    for name in ('linear', 'late comer'):
        (inputs,) = pool.prepare(pixels, name).inputs
        assert inputs.device.type == 'meta'
    (scores,) = pool(inputs[None], 'linear')
    assert scores['linear'].device.type == 'meta'


def test_an_encoder_of_another_configuration(classifiers, checkpoint):
    """Tensors do not show it, and files before it was compared have it."""
    task = task_of(classifiers['shallow'])
    options = dict(layer_cfgs=dict(act_cfg=dict(type='ReLU')))
    pool = VPTMTaskPool(
        {**ENCODER, **options},
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    text = r"layers.0.ffn.layers.0.1: GELU\(approximate='none'\) / ReLU"
    with pytest.raises(ValueError, match=text):
        pool.add(task, 'x')
    backbone = copy.deepcopy(task.backbone)
    backbone['encoder'].update(options, drop_path_rate=0.1)
    assert pool.add(dataclasses.replace(task, backbone=backbone), 'x') == 'x'


def test_tasks_with_other_preprocessing_share_no_image(
    pool, classifiers, checkpoint
):
    model = classifiers['shallow']
    task = task_of(model)
    other = dict(task.data_preprocessor, mean=[0.0, 0.0, 0.0])
    pool.add(type(task)(**{**vars(task), 'data_preprocessor': other}), 'raw')
    image = np.full((16, 16, 3), 90, np.uint8)
    (result,) = pool.predict([image], [['shallow', 'raw', 'deep']])
    assert list(result) == ['shallow', 'raw', 'deep']
    shares = [result[n]['pred_scores'] for n in ('shallow', 'raw')]
    assert np.abs(shares[0] - shares[1]).max() > 1e-4


def test_from_files(classifiers, checkpoint, tmp_path):
    paths = []
    for name in ('shallow', 'logits'):
        paths.append(tmp_path / f'{name}.safetensors')
        write_task(task_of(classifiers[name]), paths[-1])
    pool = VPTMTaskPool.from_files(paths)
    check(pool, classifiers, make_images(2), ['shallow', 'logits'])
    assert pool.add(paths[0], 'again') == 'again'
    named = VPTMTaskPool.from_files(
        {'a': paths[0], 'b.c': paths[0]}, weights=str(checkpoint)
    )
    assert list(named.tasks) == ['a', 'b.c']
    named = VPTMTaskPool.from_files([f'a={paths[0]}', paths[0]])
    assert list(named.tasks) == ['a', 'shallow']
    assert named.add(f'again={paths[0]}') == 'again'
    with pytest.raises(ValueError, match='files is empty'):
        VPTMTaskPool.from_files([])
    with pytest.raises(ValueError, match="two task files are named 'shallow'"):
        VPTMTaskPool.from_files([paths[0], tmp_path / 'x' / paths[0].name])


def test_tasks_are_served_in_the_numbers_that_they_were_tuned_in(
    checkpoint, classifiers, tmp_path
):
    models = {
        # Prompts stand last, as in the pool: sums have the same order.
        name: make_classifier(
            checkpoint,
            dtype='bfloat16',
            prompt_location='after_mask',
            **OPTIONS[name],
        )
        for name in ('shallow', 'logits')
    }
    paths = [tmp_path / f'{name}.safetensors' for name in models]
    for model, path in zip(models.values(), paths, strict=True):
        write_task(task_of(model), path)
    pool = VPTMTaskPool.from_files(paths)
    for name in models:
        assert pool.tasks[name].head.verbalizer.prototypes.dtype == (
            torch.float32
        )
        check(pool, models, make_images(3), [name] * 3)
    text = "dtype='float32', and the pool has dtype='bfloat16'; build an"
    with pytest.raises(ValueError, match=text):
        pool.add(task_of(classifiers['shallow']), 'other')


def test_what_does_not_fit_is_refused(pool, classifiers, checkpoint, tmp_path):
    task = task_of(classifiers['shallow'])

    def changed(**fields):
        return type(task)(**{**vars(task), **fields})

    def with_backbone(**options):
        return changed(backbone={**task.backbone, **options})

    with pytest.raises(ValueError, match="'shallow' is in the pool already"):
        pool.add(task, 'shallow')
    with pytest.raises(ValueError, match='name=None must not be empty'):
        pool.add(task)
    with pytest.raises(ValueError, match='tensors of sha256 0{64}, and th'):
        pool.add(changed(frozen_sha256='0' * 64), 'new')
    kept = {k: v for k, v in task.tensors.items() if 'prompts' not in k}
    with pytest.raises(ValueError, match='- backbone.prompt_tokens.prompts'):
        pool.add(changed(tensors=kept), 'new')
    with pytest.raises(ValueError, match='! backbone.prompt_tokens.prompts'):
        pool.add(with_backbone(prompt_length=5), 'new')
    with pytest.raises(ValueError, match=r'prompt_blocks=\(7,\) must be in'):
        pool.add(with_backbone(prompt_blocks=[7]), 'new')
    with pytest.raises(
        ValueError, match="is 'FrozenFeatures'; a pool takes pr"
    ):
        pool.add(with_backbone(type='FrozenFeatures'), 'new')

    plain = VPTMTaskPool(
        ENCODER, init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))
    )
    with pytest.raises(ValueError, match='needs num_visual_tokens of'):
        plain.add(task_of(classifiers['logits']), 'new')
    with pytest.raises(ValueError, match='pool has no pre-trained weights'):
        VPTMTaskPool(ENCODER).add(task, 'new')

    other = tmp_path / 'other.pth'
    torch.save(dict(state_dict=_other_state()), other)
    stranger = VPTMTaskPool(
        ENCODER, init_cfg=dict(type='Pretrained', checkpoint=str(other))
    )
    with pytest.raises(
        ValueError, match=f'tensors of sha256 {task.frozen_sha256}'
    ):
        stranger.add(task, 'new')


def _other_state():
    model = make_pretraining_model()
    return {
        name: tensor + 0.1 if name == 'backbone.cls_token' else tensor
        for name, tensor in model.state_dict().items()
    }


def test_bad_batches_are_refused(pool, tmp_path):
    images = make_images(2)
    with pytest.raises(ValueError, match='3 tasks do not fit 2 images'):
        pool(images, ['shallow'] * 3)
    with pytest.raises(ValueError, match='must name one at least, and none'):
        pool(images, [['shallow', 'shallow'], ['deep']])
    with pytest.raises(ValueError, match='must name one at least'):
        pool(images, [[], ['deep']])
    with pytest.raises(ValueError, match="task 'dogs' is not in the pool"):
        pool(images, ['dogs', 'deep'])
    with pytest.raises(ValueError, match="task 'dogs' is not in the pool"):
        pool.remove('dogs')
    with pytest.raises(ValueError, match='input of shape'):
        pool(images[..., :8], 'deep')
    with pytest.raises(FileNotFoundError, match='No such .*missing.png'):
        pool.predict([tmp_path / 'missing.png'], 'deep')
    text = tmp_path / 'text.png'
    text.write_text('no image')
    with pytest.raises(ValueError, match='text.png: .* is not an image'):
        pool.predict([text], 'deep')
    short = tmp_path / 'short.jpg'
    short.write_bytes(KINDS['JPEG cut short'][1]())
    with pytest.raises(ValueError, match='short.jpg: .* its end is missing'):
        pool.predict([short], 'deep')
    with pytest.raises(ValueError, match=r'shape \(4, 4\) and type float64'):
        pool.predict([np.zeros((4, 4))], 'deep')
