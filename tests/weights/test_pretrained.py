"""Both layouts load to the bit; whatever does not fit is refused by name."""

import argparse
import hashlib
import math
import pickle
import re
from pathlib import Path

import pytest
import torch
from mmpretrain.models.utils import resize_relative_position_bias_table
from safetensors.torch import save_file
from scipy import interpolate

from vptm_mm.models import (
    AdaptFormerBackbone,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    VPTMBackbone,
)
from vptm_mm.nn import tensors_sha256
from vptm_mm.nn.unfilled import FILLS, Unfilled
from vptm_mm.weights import load_file
from vptm_mm.weights.checkpoint_file import PACKAGED_FILES
from vptm_mm.weights.checkpoint_layouts import LAYOUTS
from vptm_mm.weights.encoder_config import encoder_config
from vptm_mm.weights.preprocessing import IMAGENET
from vptm_mm.weights.pretrained import _resize_offsets, count_visual_tokens

from ..conftest import (
    ARCH,
    ENCODER,
    NUM_VISUAL_TOKENS,
    ROOT,
    make_pretraining_model,
    randomize,
    to_microsoft,
)


def load(path, **options) -> VPTMBackbone:
    return VPTMBackbone(
        options.pop('encoder', ENCODER),
        prompt_length=2,
        num_visual_tokens=options.pop('num_visual_tokens', NUM_VISUAL_TOKENS),
        init_cfg=dict(type='Pretrained', checkpoint=str(path)),
        **options,
    )


def check_loaded(backbone, model):
    """Every frozen tensor is the host's, found through its own name."""
    state = model.state_dict()
    for name, tensor in backbone.frozen_state_dict().items():
        if name.startswith('encoder.ln1.'):
            source = name.replace('encoder.ln1', 'neck.norm')
        elif name.startswith('token_predictor.'):
            source = name.replace('token_predictor', 'head.cls_head')
        else:
            source = name.replace('encoder', 'backbone', 1)
        assert torch.equal(tensor, state[source]), name


@pytest.mark.parametrize('visual_token', ['hidden', 'logits'])
@pytest.mark.parametrize('layout', ['MMPretrain', 'Microsoft', 'early'])
def test_both_layouts(pretraining_model, tmp_path, layout, visual_token, log):
    state = pretraining_model.state_dict()
    if layout == 'Microsoft':
        content = dict(model=to_microsoft(state))
    else:
        if layout == 'early':
            state = {
                name.replace('patch_aggregation', 'cls_pt_layers'): tensor
                for name, tensor in state.items()
            }
        content = dict(state_dict=state, meta=dict(epoch=3))
    path = tmp_path / 'weights.pth'
    torch.save(content, path)
    backbone = load(path, visual_token=visual_token)
    check_loaded(backbone, pretraining_model)

    (report,) = log
    count = len(backbone.frozen_state_dict())
    assert f'loaded {count} of {count} frozen tensors' in report
    assert hashlib.sha256(path.read_bytes()).hexdigest() in report
    expected = 'Microsoft' if layout == 'Microsoft' else 'MMPretrain'
    assert f'layout {expected}' in report
    dropped = {
        'Microsoft': 'cls_pt_layers.0',
        'MMPretrain': 'neck.patch_aggregation',
        'early': 'neck.cls_pt_layers',
    }[layout]
    assert dropped in report
    assert ('token_predictor' in report) == (visual_token == 'hidden')
    assert 'resized none' in report


def test_our_own_checkpoint(build, tmp_path, images):
    backbone = build(visual_token='logits')
    state = {f'backbone.{k}': v for k, v in backbone.state_dict().items()}
    state['head.verbalizer.prototypes'] = torch.zeros(2, 2)
    torch.save(dict(state_dict=state), tmp_path / 'ours.pth')
    other = load(tmp_path / 'ours.pth', visual_token='logits')
    for name, tensor in backbone.frozen_state_dict().items():
        assert torch.equal(other.frozen_state_dict()[name], tensor)


def in_half_precision(state: dict) -> dict:
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


FORMS = {
    'old': lambda state: dict(model=state),
    'with_args': lambda state: dict(
        model=state, epoch=3, args=argparse.Namespace(lr=1)
    ),
    'ddp': lambda state: {f'module.{k}': v for k, v in state.items()},
    'ddp_in_model': lambda state: dict(
        model={f'module.{k}': v for k, v in state.items()}
    ),
    'compiled': lambda state: {f'_orig_mod.{k}': v for k, v in state.items()},
    'ddp_compiled': lambda state: {
        f'module._orig_mod.{k}': v for k, v in state.items()
    },
    'deepspeed': lambda state: dict(module=state, global_steps=7),
    'half': lambda state: dict(model=in_half_precision(state)),
    'safetensors': lambda state: state,
    'safetensors_named_bin': lambda state: state,
}


@pytest.mark.parametrize('layout', ['MMPretrain', 'Microsoft'])
@pytest.mark.parametrize('form', FORMS)
def test_forms_of_files(pretraining_model, tmp_path, form, layout):
    """As people have them, from torch, DDP, DeepSpeed, and others."""
    state = dict(pretraining_model.state_dict())
    state = to_microsoft(state) if layout == 'Microsoft' else state
    path = tmp_path / 'weights.pth'
    if form == 'safetensors':
        path = path.with_suffix('.safetensors')
    if form.startswith('safetensors'):
        save_file({k: v.clone() for k, v in state.items()}, path)
    else:
        torch.save(
            FORMS[form](state),
            path,
            _use_new_zipfile_serialization=form != 'old',
        )
    backbone = load(path, visual_token='logits')
    if form == 'half':
        pretraining_model = make_pretraining_model().half().float()
    check_loaded(backbone, pretraining_model)
    assert backbone.encoder.cls_token.dtype is torch.float32


def test_a_task_file_given_for_weights(tmp_path):
    path = ROOT / 'vptm_mm/checkpoints/vptm_beitv2-tiny_digits.safetensors'
    with pytest.raises(ValueError, match='is a task file: .*to load_from'):
        load(path)
    damaged = tmp_path / 'damaged.safetensors'
    damaged.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match='is not a readable checkpoint: it'):
        load(damaged)


@pytest.mark.needs('transformers')
@pytest.mark.parametrize('written', ['by save_pretrained', 'by torch.save'])
def test_transformers_layout(tmp_path, images, written):
    """Equal outputs, whichever of its two sets of names is in the file."""
    import transformers

    model = transformers.BeitForMaskedImageModeling(
        transformers.BeitConfig(
            vocab_size=NUM_VISUAL_TOKENS,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=16,
            patch_size=4,
            layer_norm_eps=1e-6,
            use_mask_token=True,
            use_shared_relative_position_bias=True,
        )
    ).eval()
    randomize(model)
    if written == 'by torch.save':
        path = tmp_path / 'model.pth'
        torch.save(model.state_dict(), path)
    else:
        model.save_pretrained(tmp_path)
        path = tmp_path / 'model.safetensors'
    backbone = load(path, visual_token='logits')
    mask = (
        torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0)) < 0.4
    )
    with torch.no_grad():
        expected = model(images, bool_masked_pos=mask.flatten(1)).logits
        states = backbone.encoder(images, mask)[:, 1:]
        logits = backbone.encoder.token_predictor(states)
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('img_size', [24, 32, 8])
def test_the_table_is_interpolated_for_another_grid(
    pretraining_model, checkpoint, log, img_size
):
    encoder = dict(ENCODER, img_size=img_size)
    backbone = load(checkpoint, encoder=encoder)
    side = img_size // 4
    table = backbone.encoder.rel_pos_bias.relative_position_bias_table
    source = pretraining_model.backbone.rel_pos_bias
    source = source.relative_position_bias_table
    assert table.shape == ((2 * side - 1) ** 2 + 3, 2)
    assert f'from 4x4 to {side}x{side} patches' in log[0]
    assert torch.equal(table[-3:], source[-3:])
    # Offset 0 is a knot of the old and of the new table.
    middle, old_middle = (len(t) // 2 - 1 for t in (table, source))
    torch.testing.assert_close(
        table[middle], source[old_middle], atol=1e-5, rtol=1e-5
    )
    (feature,) = backbone(torch.randn(1, 3, img_size, img_size))
    assert feature.isfinite().all()


@pytest.mark.parametrize('new', [5, 7, 11, 31])
def test_interpolated_as_the_host_does(monkeypatch, new):
    """To the bit, or tasks on such an encoder would not know it again."""

    class CubicInterp2d:
        """Of SciPy before 1.14, on a grid."""

        def __init__(self, x, y, z, kind):
            self.spline = interpolate.RectBivariateSpline(x, y, z.T)

        def __call__(self, x, y):
            return self.spline(x, y).T

    monkeypatch.setattr(interpolate, 'interp2d', CubicInterp2d)
    table = torch.randn(81, 3, generator=torch.Generator().manual_seed(0))
    expected = resize_relative_position_bias_table(9, new, table, 3)
    assert torch.equal(_resize_offsets(table, new), expected)


def without(state: dict, *names: str) -> dict:
    return {k: v for k, v in state.items() if k not in names}


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (
            lambda s: without(s, 'neck.norm.weight', 'neck.norm.bias'),
            {},
            r'- encoder\.ln1\.bias\n  - encoder\.ln1\.weight\nIs it a BEiT v2',
        ),
        (
            lambda s: without(s, 'head.cls_head.weight'),
            dict(visual_token='logits'),
            r"- token_predictor\.weight\n.*use visual_token='hidden'",
        ),
        (
            lambda s: without(s, 'backbone.mask_token'),
            {},
            r'- encoder\.mask_token\n.*no trained mask.*fine-tuned.*pt1k\.pth',
        ),
        (
            lambda s: {**s, 'backbone.extra': torch.zeros(1)},
            {},
            r'\+ encoder\.extra',
        ),
        (
            lambda s: {**s, 'teacher.weight': torch.zeros(1)},
            {},
            r'\+ teacher\.weight',
        ),
        (
            lambda s: s,
            dict(visual_token='logits', num_visual_tokens=9),
            r'! token_predictor\.weight: \(12, 16\) in the file, \(9, 16\) in '
            r'the model\n.*and num_visual_tokens, with it',
        ),
        (
            lambda s: s,
            dict(encoder=dict(ENCODER, patch_size=8, img_size=32)),
            r'! encoder\.patch_embed\.projection\.weight: \(16, 3, 4, 4\) in '
            r'the file, \(16, 3, 8, 8\)',
        ),
        (
            # BEiT v1, or a norm in the backbone beside the neck's.
            lambda s: {**s, 'backbone.ln1.weight': s['neck.norm.weight']},
            {},
            r'\+ backbone\.ln1\.weight\nIs it a BEiT v2',
        ),
        (
            lambda s: {**s, 'neck.norm.weight': torch.full((16,), torch.nan)},
            {},
            r'! encoder\.ln1\.weight: holds NaN or infinite values\nA run',
        ),
        (
            lambda s: s,
            dict(encoder=dict(ENCODER, layer_scale_init_value=0.0)),
            r'\+ encoder\.layers\.0\.gamma_1\n(.*\n)*.*layer_scale_init_value',
        ),
        (
            lambda s: {**to_microsoft(s), 'pos_embed': torch.zeros(1, 17, 16)},
            {},
            r'\+ pos_embed\nIs it a BEiT v2',
        ),
        (
            lambda s: {**s, 'backbone.mask_token': torch.zeros(1, 1, 16)},
            {},
            r'! encoder\.mask_token: is all zero, it was never trained\nIt h',
        ),
    ],
)
def test_files_that_do_not_fit(
    pretraining_model, tmp_path, change, options, message
):
    path = tmp_path / 'weights.pth'
    state = change(dict(pretraining_model.state_dict()))
    torch.save(dict(state_dict=state), path)
    with pytest.raises(ValueError, match=message) as error:
        load(path, **options)
    assert str(path) in str(error.value)


def test_a_deeper_file_lists_some_names_and_counts_the_rest(tmp_path):
    deep = make_pretraining_model(dict(ARCH, num_layers=6, depth=6))
    torch.save(dict(state_dict=deep.state_dict()), tmp_path / 'deep.pth')
    with pytest.raises(ValueError, match=r'\+ encoder\.layers\.3') as error:
        load(tmp_path / 'deep.pth')
    assert re.search(r'\.\.\. and \d+ more', str(error.value))


def test_historic_names(pretraining_model, tmp_path):
    state = {
        **pretraining_model.state_dict(),
        'neck.rel_pos_bias.relative_position_bias_table': torch.zeros(1),
    }
    torch.save(dict(state_dict=state), tmp_path / 'early.pth')
    check_loaded(load(tmp_path / 'early.pth'), pretraining_model)
    state = to_microsoft(pretraining_model.state_dict())
    state['cls_pt_lm_head.weight'] = torch.zeros(1)
    torch.save(dict(model=state), tmp_path / 'unshared.pth')
    check_loaded(load(tmp_path / 'unshared.pth'), pretraining_model)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path('was-run'),))


def test_damaged_and_foreign_files(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = checkpoint.read_bytes()
    cases = {
        'short.pth': whole[: len(whole) // 2],
        'empty.pth': b'',
        'text.pth': b'<html>404</html>',
        'code.pth': pickle.dumps(Malicious()),
    }
    for name, content in cases.items():
        Path(name).write_bytes(content)
        with pytest.raises(
            ValueError, match='is not a readable|is refused'
        ) as e:
            load(name)
        assert f'{name} ({len(content)} bytes, sha256 ' in str(e.value)
    assert not Path('was-run').exists()


def test_files_of_something_else(tmp_path):
    torch.save(dict(epoch=3), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='holds no state dict'):
        load(tmp_path / 'a.pth')
    torch.save([torch.zeros(1)], tmp_path / 'b.pth')
    with pytest.raises(ValueError, match='holds no state dict'):
        load(tmp_path / 'b.pth')
    torch.save(dict(state_dict={'fc.weight': torch.zeros(1)}), tmp_path / 'c')
    with pytest.raises(
        ValueError, match='is not a BEiT v2: none of the layouts'
    ):
        load(tmp_path / 'c')


def test_missing_file(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r'no pre-trained weights at .*gone\.pth.*--weights.*--cfg-opt',
    ):
        load(tmp_path / 'gone.pth')
    what_there_is = 'package has beitv2-mini_.*pth and beitv2-tiny_digits.pth'
    with pytest.raises(FileNotFoundError, match=what_there_is):
        load('vptm_mm://beitv2-tiny_cifar10.pth')


def test_file_addresses(pretraining_model, checkpoint):
    check_loaded(load(checkpoint.as_uri()), pretraining_model)


@pytest.mark.parametrize(
    'kind',
    [AdaptFormerBackbone, FineTunedBackbone, GateVPTBackbone, LoRABackbone],
)
def test_checkpoints_of_our_own_backbones(checkpoint, tmp_path, kind):
    options = dict(tuned='bias') if kind is FineTunedBackbone else {}
    tuned = kind(
        ENCODER,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
        **options,
    )
    state = {f'backbone.{k}': v for k, v in tuned.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    loaded = load(tmp_path / 'a.pth', visual_token='hidden')
    digest = tensors_sha256(tuned.frozen_state_dict())
    assert loaded.frozen_sha256 == digest
    # What is trained will not stay what was read.
    is_tuned = kind is FineTunedBackbone
    assert tuned.frozen_sha256 == (None if is_tuned else digest)
    with pytest.raises(ValueError, match="predictor; use visual_token='hid"):
        load(tmp_path / 'a.pth', visual_token='logits')


def test_checkpoints_that_are_a_path_or_none(pretraining_model, checkpoint):
    init_cfg = dict(type='Pretrained', checkpoint=checkpoint)
    check_loaded(VPTMBackbone(ENCODER, init_cfg=init_cfg), pretraining_model)
    with pytest.raises(TypeError, match='checkpoint=None must be a path or'):
        VPTMBackbone(ENCODER, init_cfg=dict(init_cfg, checkpoint=None))


def test_every_layout_has_a_marker_of_its_own(pretraining_model, build):
    state = pretraining_model.state_dict()
    ours = {f'backbone.{k}': v for k, v in build().state_dict().items()}
    by_name = {
        'Microsoft': to_microsoft(state),
        'MMPretrain': state,
        'transformers': ['beit.encoder.layer.0.layernorm_before.weight'],
        'VPTM': ours,
    }
    for layout in LAYOUTS:
        fitting = [
            name
            for name, keys in by_name.items()
            if any(re.fullmatch(layout.marker, key) for key in keys)
        ]
        assert fitting == [layout.name]


@pytest.mark.parametrize(
    'path', sorted(PACKAGED_FILES.glob('*.pth')), ids=lambda path: path.stem
)
def test_the_packaged_backbones(log, path, tmp_path):
    """They say what they are; half precision is read as single would be."""
    address = f'vptm_mm://{path.name}'
    encoder, known = encoder_config(address)
    options = dict(
        encoder=encoder,
        num_visual_tokens=count_visual_tokens(address),
        visual_token='logits',
    )
    backbone = load(address, **options)
    assert backbone.encoder.is_pretrained
    assert backbone.trained_with == known == IMAGENET
    assert path.stat().st_size < 12e6

    state = load_file(path)['state_dict']
    single = {name: tensor.float() for name, tensor in state.items()}
    torch.save(single, tmp_path / 'single.pth')
    assert load(tmp_path / 'single.pth', **options).frozen_sha256 == (
        backbone.frozen_sha256
    )
    del state['backbone.layers.5.ln2.weight']
    torch.save(state, tmp_path / 'less.pth')
    with pytest.raises(ValueError, match=r'- encoder.layers.5.ln2.weight'):
        load(tmp_path / 'less.pth', **options)


def test_nothing_is_filled_that_is_read_next(checkpoint, monkeypatch):
    """No random numbers for the encoder, and no gap in what is read."""

    def spoil(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in FILLS:
            with torch.no_grad():
                return (args or [kwargs['tensor']])[0].fill_(math.nan)
        return func(*args, **kwargs)

    state = torch.get_rng_state()
    weights = dict(type='Pretrained', checkpoint=str(checkpoint))
    FrozenFeatures(ENCODER, init_cfg=weights)
    assert torch.equal(torch.get_rng_state(), state)

    monkeypatch.setattr(Unfilled, '__torch_function__', spoil)
    backbone = load(checkpoint, visual_token='logits')
    for name, tensor in backbone.state_dict().items():
        assert tensor.isfinite().all(), name
    # Weights that come by load_state_dict later may be random until then.
    empty = VPTMBackbone(ENCODER, num_visual_tokens=NUM_VISUAL_TOKENS)
    assert empty.encoder.patch_embed.projection.weight.isfinite().all()
