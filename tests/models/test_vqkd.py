"""The tokenizer of BEiT v2: the host's encoder, and its training."""

import pytest
import torch
from mmpretrain.models import VQKD
from mmpretrain.registry import MODELS

from vptm_mm.models import VQKDTokenizer
from vptm_mm.nn import trainable_parameters

from ..conftest import ARCH, ENCODER, randomize, to_microsoft

# As MMPretrain's config has it: absolute positions, no layer scale.
PUBLISHED = dict(
    arch=ARCH,
    img_size=16,
    patch_size=4,
    out_type='featmap',
    with_cls_token=True,
    use_abs_pos_emb=True,
    use_rel_pos_bias=False,
    use_shared_rel_pos_bias=False,
    layer_scale_init_value=0.0,
)


def tokenizer_config(**options) -> dict:
    encoder = dict(arch=ARCH, img_size=16, patch_size=4, out_type='featmap')
    return dict(
        type='VQKDTokenizer',
        encoder_config=encoder,
        num_embed=10,
        embed_dims=6,
        **options,
    )


@pytest.fixture
def distiller(checkpoint):
    torch.manual_seed(0)
    return MODELS.build(
        dict(
            type='VQKDDistiller',
            tokenizer=tokenizer_config(decay=0.9),
            decoder=dict(arch={**ARCH, 'num_layers': 1}),
            teacher=dict(
                type='BlockFeatures',
                encoder=ENCODER,
                block=1,
                init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
            ),
            teacher_dims=16,
        )
    )


def as_mmselfsup(state: dict) -> dict:
    """Its quantizer had statistics that nothing reads."""
    weight = state['quantize.embedding.weight']
    return {
        **state,
        'quantize.embedding.cluster_size': torch.zeros(len(weight)),
        'quantize.embedding.embed_avg': weight.clone(),
    }


def as_microsoft(state: dict) -> dict:
    renamed = {
        'decoder.blocks.0.norm1.weight': torch.zeros(4),
        'decode_task_layer.0.weight': torch.zeros(4, 4),
        'teacher_model.visual.proj': torch.zeros(4, 4),
        'scaling_layer.shift': torch.zeros(1, 3, 1, 1),
    }
    for name, tensor in as_mmselfsup(state).items():
        if name.startswith('encoder.'):
            (name,) = to_microsoft(
                {name.replace('encoder', 'backbone', 1): tensor}
            )
            name = f'encoder.{name.replace("ln1.", "fc_norm.")}'
        renamed[name] = tensor
    return renamed


@pytest.mark.parametrize('layout', [dict, as_mmselfsup, as_microsoft])
def test_reads_published_layouts_and_gives_their_tokens(tmp_path, layout):
    host = VQKD(dict(PUBLISHED), num_embed=10, embed_dims=6)
    randomize(host)
    host.quantize.embedding.initted.fill_(1)
    host.eval()
    state = layout(host.state_dict())
    assert ('encoder.blocks.0.norm1.weight' in state) == (
        layout is as_microsoft
    )
    torch.save(dict(model=state), tmp_path / 'vqkd.pth')
    ours = VQKDTokenizer(
        dict(PUBLISHED),
        10,
        6,
        init_cfg=dict(
            type='Pretrained', checkpoint=str(tmp_path / 'vqkd.pth')
        ),
    ).eval()
    ours.init_weights()
    assert ours.is_fitted
    assert ours.num_visual_tokens == 10
    images = torch.randn(5, 3, 16, 16)
    tokens = ours(images)
    assert tokens.shape == (5, 16)
    # The host's codebook is not of length 1 here.
    weight = host.quantize.embedding.weight.data
    host.quantize.embedding.weight.data = torch.nn.functional.normalize(
        weight, dim=-1
    )
    ours.quantize.embedding.weight.data = host.quantize.embedding.weight.data
    assert torch.equal(ours(images), host(images))


def test_losses_fall_and_the_teacher_stays(distiller):
    torch.manual_seed(0)
    images = torch.randn(16, 3, 16, 16)
    tuned = trainable_parameters(distiller)
    assert not any(name.startswith('teacher.') for name in tuned)
    assert 'tokenizer.quantize.embedding.weight' not in tuned
    before = {k: v.clone() for k, v in distiller.teacher.state_dict().items()}
    optimizer = torch.optim.AdamW(tuned.values(), lr=3e-3)
    distiller.train()
    losses = []
    for _ in range(60):
        # Two views, as the pipelines of BEiT give them.
        found = distiller([torch.zeros(0), images], [], mode='loss')
        optimizer.zero_grad()
        sum(found.values()).backward()
        optimizer.step()
        losses.append(found['loss_distillation'].item())
    assert losses[-1] < 0.7 * losses[0]
    after = distiller.teacher.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    distiller.eval()
    assert len(distiller(images, []).unique()) > 3


def test_the_exported_tokenizer_gives_the_same_tokens(distiller, tmp_path):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 16, 16)
    distiller.train()
    distiller(images, [], mode='loss')
    distiller.eval()
    state = {
        name: tensor
        for name, tensor in distiller.state_dict().items()
        if name.startswith('tokenizer.')
    }
    torch.save(dict(state_dict=state), tmp_path / 'tokenizer.pth')
    read = MODELS.build(
        tokenizer_config(
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'tokenizer.pth')
            )
        )
    ).eval()
    assert torch.equal(read(images), distiller(images, []))
    del state['tokenizer.encode_task_layer.0.weight']
    torch.save(dict(state_dict=state), tmp_path / 'tokenizer.pth')
    with pytest.raises(ValueError, match=r'- encode_task_layer\.0\.weight'):
        VQKDTokenizer(
            **{
                k: v
                for k, v in tokenizer_config().items()
                if k not in ('type', 'init_cfg')
            },
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'tokenizer.pth')
            ),
        )


def test_an_untrained_tokenizer_does_not_run():
    tokenizer = MODELS.build(tokenizer_config())
    with pytest.raises(RuntimeError, match='VQ-KD tokenizer has not been'):
        tokenizer(torch.randn(1, 3, 16, 16))


def test_a_tokenizer_that_was_read_is_frozen(distiller, tmp_path):
    torch.manual_seed(0)
    distiller.train()
    distiller(torch.randn(4, 3, 16, 16), [], mode='loss')
    torch.save(
        dict(state_dict=distiller.tokenizer.state_dict()),
        tmp_path / 'tokenizer.pth',
    )
    read = MODELS.build(
        tokenizer_config(
            init_cfg=dict(
                type='Pretrained', checkpoint=str(tmp_path / 'tokenizer.pth')
            )
        )
    )
    before = {k: v.clone() for k, v in read.state_dict().items()}
    # Its owner is trained: the targets of pre-training do not move.
    torch.nn.Sequential(read).train()
    read(torch.randn(32, 3, 16, 16))
    assert not trainable_parameters(read)
    after = read.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
