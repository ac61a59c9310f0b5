"""The configs of later rounds are those of the first, but for the tokens."""

import hashlib
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.registry import MODELS

from vptm_mm.models import FeatureKMeansTokenizer, VQKDDistiller
from vptm_mm.pretraining import rounds

from ..conftest import ROOT

DIGITS = ROOT / 'configs' / 'pretrain' / 'beitv2-tiny_digits.py'
BACKBONE = ROOT / 'vptm_mm' / 'checkpoints' / 'beitv2-tiny_digits.pth'


@pytest.fixture
def cfg():
    return Config.fromfile(DIGITS)


def test_steps_of_all_kinds(cfg):
    steps = rounds.plan_steps(cfg, ['patches', 'features', 'vqkd'])
    assert [step.name for step in steps] == [
        '1_patches',
        '2_features',
        '3_vqkd-tokenizer',
        '3_vqkd',
    ]


def test_what_may_change_while_a_round_goes_on(cfg, tmp_path):
    """What a resumed run follows; not what it learns from, nor what."""
    file = tmp_path / '1_patches.py'
    file.write_text(rounds.settings(cfg, [], ['--amp']))

    def can_go_on(flags=('--amp',), **options):
        now = Config.fromfile(DIGITS)
        now.merge_from_dict(options)
        text = rounds.settings(now, [], flags)
        return rounds.can_go_on(file, now, text)

    assert can_go_on(
        **{
            'train_cfg.max_epochs': 1000,
            'train_dataloader.batch_size': 32,
            'optim_wrapper.optimizer.lr': 1e-4,
            'param_scheduler.0.end': 1,
            'default_hooks.checkpoint.interval': 5,
        }
    )
    assert not can_go_on(**{'train_dataloader.dataset.split': 'val'})
    assert not can_go_on(**{'model.head.num_embed': 16})
    assert not can_go_on(flags=())


@pytest.mark.parametrize(('block', 'expected'), [(None, 3), (5, 5)])
def test_features_of_the_round_before(cfg, block, expected):
    before = cfg.pretty_text
    derived = rounds.feature_tokens(cfg, BACKBONE, block)
    assert cfg.pretty_text == before
    model = MODELS.build(derived.model)
    tokenizer = model.target_generator
    assert isinstance(tokenizer, FeatureKMeansTokenizer)
    assert tokenizer.teacher.backbone.readout.num_blocks == expected + 1
    assert tokenizer.teacher.backbone.encoder.is_pretrained
    assert tokenizer.num_visual_tokens == 256
    # Both views are normalised as the teacher was trained.
    preprocessor = derived.data_preprocessor
    assert preprocessor.second_mean == preprocessor.mean
    assert set(derived.default_hooks) == set(cfg.default_hooks)


def test_distillation_and_its_tokens(cfg):
    tokenizer, tokens = rounds.plan_steps(cfg, ['patches', 'vqkd'])[1:]
    derived = tokenizer.make_config(cfg, BACKBONE, BACKBONE)
    assert isinstance(MODELS.build(derived.model), VQKDDistiller)
    assert rounds.export_name(derived) == 'tokenizer.pth'
    hooks = derived.default_hooks
    assert hooks.fit_tokenizer is None
    assert hooks.report.masked_tokens is hooks.report.linear_probes is None
    assert hooks.report.visual_tokens == cfg.default_hooks.report.visual_tokens
    derived = tokens.make_config(cfg, BACKBONE, Path('tokenizer.pth'))
    tokenizer = derived.model.target_generator
    assert tokenizer.init_cfg.checkpoint == 'tokenizer.pth'
    assert derived.default_hooks.fit_tokenizer is None
    assert rounds.export_name(derived) == 'beitv2-tiny_digits.pth'
    # Of distilled tokens, and then of features, whose groups are to be found.
    later = rounds.plan_steps(derived)[1].make_config(derived, BACKBONE, None)
    assert later.default_hooks.fit_tokenizer.type == 'FitTokenizerHook'


def test_an_arch_of_the_host_by_its_name(cfg):
    cfg.model.backbone.arch = 'base'
    encoder = rounds.encoder_of(cfg)
    assert encoder['arch'] == 'base'
    _, tokenizer, _ = rounds.plan_steps(cfg, ['patches', 'vqkd'])
    model = tokenizer.make_config(cfg, BACKBONE, BACKBONE).model
    assert model.teacher.block == 6
    assert model.teacher_dims == 768


@pytest.mark.parametrize(
    ('tokens', 'message'),
    [
        (['features'], "must begin with 'patches', .* by PatchKMeansToken"),
        (['patches', 'vqkd', 'patches'], 'later rounds are of features, vqkd'),
    ],
)
def test_rounds_that_cannot_be(cfg, tokens, message):
    with pytest.raises(ValueError, match=message):
        rounds.plan_steps(cfg, tokens)


@pytest.mark.parametrize('block', [-1, 6])
def test_a_block_that_is_not_there(cfg, block):
    with pytest.raises(ValueError, match=rf'block={block} must be in 0\.\.5'):
        rounds.plan_steps(cfg, ['patches', 'features'], block)


def test_settings_name_what_decides(cfg, tmp_path):
    backbone = tmp_path / 'a.pth'
    backbone.write_bytes(b'weights')
    plain = rounds.settings(cfg, [], [])
    assert plain == cfg.pretty_text
    read = rounds.settings(cfg, [backbone], [])
    assert hashlib.sha256(b'weights').hexdigest() in read
    assert rounds.settings(cfg, [], ['--amp']) not in (plain, read)
    # They are a config all the same.
    path = tmp_path / 'a.py'
    path.write_text(rounds.settings(cfg, [backbone], ['--amp']))
    assert Config.fromfile(path).pretty_text == plain


def test_the_seed_of_the_tokens_stays(cfg):
    cfg.model.target_generator.seed = 7
    derived = rounds.feature_tokens(cfg, BACKBONE, None)
    assert derived.model.target_generator.seed == 7


def test_a_config_that_exports_nothing(cfg):
    cfg.default_hooks.export = None
    with pytest.raises(ValueError, match='must have default_hooks.export'):
        rounds.export_name(cfg)


@pytest.fixture
def taught(cfg):
    """A first round with another teacher, which wants larger images."""
    cfg.model.target_generator = dict(
        type='FeatureKMeansTokenizer',
        num_visual_tokens=256,
        teacher=dict(
            type='VisionTransformer',
            arch='small',
            init_cfg=dict(type='Pretrained', checkpoint='vit.pth'),
        ),
        embed_dims=384,
        grid_size=4,
    )
    held_out = cfg.default_hooks.report.visual_tokens
    for loader in (cfg.train_dataloader, held_out):
        loader.dataset.pipeline[0].second_size = 64
    return cfg


def test_a_first_round_of_another_teacher(taught):
    steps = rounds.plan_steps(taught)
    names = [step.name for step in steps]
    assert names == ['1_features', '2_features', '3_features']
    first = steps[0].make_config(taught, None, None)
    assert first.pretty_text == taught.pretty_text
    said = rounds.describe_tokens(first)
    assert said == 'features of VisionTransformer, arch small, vit.pth'
    second = steps[1].make_config(taught, BACKBONE, BACKBONE)
    said = rounds.describe_tokens(second)
    assert said == f'features of BlockFeatures, block 3, {BACKBONE}'
    # The backbone sees images of its own size.
    images = second.default_hooks.report.visual_tokens.dataset.pipeline[0]
    assert images.second_size == 32
    assert second.train_dataloader.dataset.pipeline[0].second_size == 32
    assert taught.train_dataloader.dataset.pipeline[0].second_size == 64


def test_another_teacher_is_distilled(taught):
    steps = rounds.plan_steps(taught, ['vqkd', 'features'])
    names = [step.name for step in steps]
    assert names == ['1_vqkd-tokenizer', '1_vqkd', '2_features']
    tokenizer = steps[0].make_config(taught, None, None)
    assert tokenizer.model.type == 'VQKDDistiller'
    assert tokenizer.model.teacher.type == 'VisionTransformer'
    assert tokenizer.model.teacher_dims == 384
    preprocessor = tokenizer.data_preprocessor
    assert preprocessor == taught.data_preprocessor
    round_cfg = steps[1].make_config(taught, None, Path('tokenizer.pth'))
    generator = round_cfg.model.target_generator
    assert generator.init_cfg.checkpoint == 'tokenizer.pth'
    assert round_cfg.data_preprocessor == preprocessor
    said = rounds.describe_tokens(round_cfg, tokenizer)
    assert said == 'vqkd of VisionTransformer, arch small, vit.pth'


def test_a_first_round_of_tokens_that_were_distilled_elsewhere(cfg):
    cfg.model.target_generator = rounds.vqkd_tokens(
        cfg, Path('vqkd.pth')
    ).model.target_generator
    steps = rounds.plan_steps(cfg)
    names = [step.name for step in steps]
    assert names == ['1_vqkd', '2_features', '3_features']
    assert rounds.describe_tokens(cfg) == 'vqkd'


def test_kept_tokens_are_one_round():
    cfg = Config.fromfile(DIGITS.with_name('beitv2-mini_tinyimagenet.py'))
    (step,) = rounds.plan_steps(cfg)
    assert step.name == '1_features'
    said = rounds.describe_tokens(step.make_config(cfg, None, None))
    assert said == (
        'features of TIMMBackbone, model_name tf_efficientnet_lite0'
    )
    with pytest.raises(
        ValueError, match='KeptTokens; later rounds are of no kind'
    ):
        rounds.plan_steps(cfg, ['features', 'features'])


def test_a_tokenizer_of_another_kind(cfg):
    cfg.model.target_generator = dict(type='DALLEEncoder')
    message = "type='DALLEEncoder' must be one of PatchKMeansTokenizer, "
    with pytest.raises(ValueError, match=message):
        rounds.plan_steps(cfg)
