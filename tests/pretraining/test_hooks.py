"""Hooks of pre-training, on a real run over the digits."""

import json

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from vptm_mm.models import VPTMBackbone
from vptm_mm.pretraining import ExportWeightsHook, FitTokenizerHook
from vptm_mm.pretraining.measures import predict_masked_tokens

from ..conftest import ENCODER, ROOT, make_pretraining_model


@pytest.fixture
def pretraining_runner(tmp_path) -> Runner:
    cfg = Config.fromfile(ROOT / 'configs/pretrain/beitv2-tiny_digits.py')
    cfg.merge_from_dict(
        {
            'train_dataloader.dataset.indices': 64,
            'train_dataloader.batch_size': 32,
            'default_hooks.report.masked_tokens.dataset.indices': 32,
            'model.head.num_embed': 16,
            'model.target_generator.num_visual_tokens': 16,
            'train_cfg.max_epochs': 2,
            'param_scheduler.0.end': 1,
            'param_scheduler.1.begin': 1,
            'work_dir': str(tmp_path),
            'experiment_name': f'{tmp_path}',
        }
    )
    return RUNNERS.build(cfg)


def test_pre_training_makes_a_backbone_that_vptm_reads(
    pretraining_runner, tmp_path
):
    runner = pretraining_runner
    runner.train()
    assert runner.model.target_generator.is_fitted
    report = json.loads((tmp_path / 'masked_token_accuracy.json').read_text())
    assert report['images'] == 32
    assert report['masked_patches'] == 32 * 6
    assert 1 / 16 <= report['chance'] <= 1
    assert 0 <= report['accuracy'] <= 1
    encoder = dict(
        type='BEiTPretrainViT',
        arch={k: runner.cfg.arch[k] for k in runner.cfg.arch},
        img_size=32,
        patch_size=8,
    )
    backbone = VPTMBackbone(
        encoder,
        visual_token='logits',
        num_visual_tokens=16,
        init_cfg=dict(
            type='Pretrained',
            checkpoint=str(tmp_path / 'beitv2-tiny_digits.pth'),
        ),
    )
    ours = backbone.encoder.layers[0].attn.qkv.weight
    theirs = runner.model.backbone.layers[0].attn.qkv.weight
    assert torch.equal(ours, theirs.half().float())
    # The file of an interrupted run is read as well.
    VPTMBackbone(
        encoder,
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'epoch_2.pth')
        ),
    )


def test_a_resumed_pre_training_keeps_its_codebook(pretraining_runner):
    runner = pretraining_runner
    codebook = torch.randn_like(runner.model.target_generator.codebook)
    runner.model.target_generator.codebook.copy_(codebook)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    FitTokenizerHook().before_train(runner)
    assert torch.equal(runner.model.target_generator.codebook, codebook)


def test_masked_tokens_are_those_of_the_masked_patches():
    model = make_pretraining_model()
    model.target_generator.fit([torch.randn(50, 48)])
    images = torch.randn(2, 3, 16, 16)
    mask = torch.zeros(2, 4, 4, dtype=torch.long)
    mask[0, 1, 2] = mask[1, 3, 0] = 1
    predicted, true = predict_masked_tokens(model, images, images, mask)
    assert predicted.shape == (2,)
    tokens = model.target_generator(images)
    assert true.tolist() == [tokens[0, 6].item(), tokens[1, 12].item()]
    backbone = VPTMBackbone(
        ENCODER, prompt_length=0, visual_token='logits', num_visual_tokens=12
    )
    state = model.state_dict()
    renamed = {
        'neck.norm': 'encoder.ln1',
        'head.cls_head': 'token_predictor',
        'backbone': 'encoder',
    }
    for old, new in renamed.items():
        state = {
            (new + k[len(old) :] if k.startswith(old + '.') else k): v
            for k, v in state.items()
        }
    backbone.load_state_dict(state, strict=False)
    hidden = backbone.encoder(images, mask)[:, 1:]
    ours = backbone.encoder.token_predictor(hidden).argmax(-1)
    assert predicted.tolist() == [ours[0, 6].item(), ours[1, 12].item()]


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (
            lambda: ExportWeightsHook('a.pth', dtype='int8'),
            "dtype='int8' must be one of",
        ),
        (
            lambda: ExportWeightsHook('a.pth', part='head'),
            "part='head' must be one of",
        ),
    ],
)
def test_bad_options(call, message):
    with pytest.raises(ValueError, match=message):
        call()
