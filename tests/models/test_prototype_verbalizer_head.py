import math

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from vptm_mm.models import PrototypeVerbalizerHead
from vptm_mm.nn import instance_loss, trainable_parameters


def make_head(**options) -> PrototypeVerbalizerHead:
    torch.manual_seed(0)
    options = {
        **dict(num_classes=4, in_channels=8, prototype_dim=6),
        **options,
    }
    return PrototypeVerbalizerHead(**options)


def labelled(*labels):
    return [DataSample().set_gt_label(label) for label in labels]


FEATS = (torch.randn(4, 8, generator=torch.Generator().manual_seed(0)),)


def test_pre_logits_and_scores():
    head = make_head()
    assert head.pre_logits(FEATS).shape == (4, 6)
    scores = head(FEATS)
    assert scores.shape == (4, 4)
    # Raw scores, not probabilities: cosines over tau = 0.1.
    assert scores.abs().max() <= 10 + 1e-4
    assert not torch.allclose(scores.sum(1), torch.ones(4))
    predictions = head.predict(FEATS, labelled(0, 1, 2, 3))
    torch.testing.assert_close(
        torch.stack([p.pred_score for p in predictions]), scores.softmax(1)
    )


def test_loss_is_cross_entropy_of_the_scores():
    head = make_head()
    losses = head.loss(FEATS, labelled(0, 1, 2, 3))
    expected = F.cross_entropy(head(FEATS), torch.arange(4))
    assert set(losses) == {'loss'}
    torch.testing.assert_close(losses['loss'], expected)


def test_soft_targets_of_mixup():
    head = make_head()
    scores = torch.softmax(torch.randn(4, 4), 1)
    samples = [DataSample().set_gt_score(score) for score in scores]
    losses = head.loss(FEATS, samples)
    expected = F.cross_entropy(head(FEATS), scores)
    torch.testing.assert_close(losses['loss'], expected)


def test_both_loss_terms():
    head = make_head(instance_loss_weight=0.5)
    losses = head.loss(FEATS, labelled(0, 0, 1, 1))
    expected = 0.5 * instance_loss(
        head.pre_logits(FEATS), torch.tensor([0, 0, 1, 1]), 0.1
    )
    torch.testing.assert_close(losses['loss_instance'], expected)
    assert losses['loss_instance'] > 0


def test_no_positive_pair_gives_zero_and_a_finite_gradient():
    head = make_head(instance_loss_weight=1.0)
    loss = head.loss(FEATS, labelled(0, 1, 2, 3))['loss_instance']
    assert loss.item() == 0
    loss.backward()
    assert not head.verbalizer.projection.weight.grad.any()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_mixed_images_take_no_part_in_the_instance_loss(dtype):
    head = make_head(instance_loss_weight=1.0)
    one_hot = torch.eye(4)[[0, 0, 1]]
    mixed = torch.tensor([[0.6, 0.4, 0, 0]])
    samples = [
        DataSample().set_gt_score(score)
        for score in torch.cat([one_hot, mixed]).to(dtype)
    ]
    loss = head.loss(FEATS, samples)['loss_instance']
    expected = instance_loss(
        head.pre_logits(FEATS)[:3], torch.tensor([0, 0, 1]), 0.1
    )
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize('learnable', [False, True])
def test_each_parameter_is_tuned(learnable):
    head = make_head(learnable_temperature=learnable)
    expected = {'verbalizer.projection.weight', 'verbalizer.prototypes'}
    if learnable:
        expected.add('verbalizer.log_temperature')
    assert set(trainable_parameters(head)) == expected
    assert set(dict(head.named_parameters())) == expected


def test_composes_with_a_backbone_of_the_host():
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='BN')),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                type='PrototypeVerbalizerHead', num_classes=5, in_channels=512
            ),
        )
    )
    losses = model.loss(torch.randn(2, 3, 64, 64), labelled(0, 4))
    losses['loss'].backward()
    assert losses['loss'].isfinite()
    assert model.predict(torch.randn(1, 3, 64, 64))[0].pred_score.shape == (5,)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(instance_loss_weight=math.nan), 'weight=nan must be finite'),
        (dict(num_classes=0), 'num_classes=0 must be an int >= 1'),
        (dict(in_channels=0), 'in_channels=0 must be an int >= 1'),
        (dict(temperature=-1.0), 'temperature=-1.0 must be positive'),
        (dict(instance_loss_weight=-0.1), 'instance_loss_weight=-0.1 must be'),
        (dict(prototype_init='mean'), "prototype_init='mean' must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make_head(**options)


@pytest.mark.parametrize('shape', [(2, 9), (2, 8, 4, 4)])
def test_bad_features(shape):
    with pytest.raises(ValueError, match=r'must be \(B, in_channels=8\); set'):
        make_head()((torch.randn(shape),))


def test_class_means_must_be_set_before_use():
    head = make_head(prototype_init='class_mean')
    assert head.pre_logits(FEATS).shape == (4, 6)
    for call in (
        lambda: head(FEATS),
        lambda: head.loss(FEATS, labelled(0, 1, 2, 3)),
    ):
        with pytest.raises(RuntimeError, match='ClassMeanPrototypesHook'):
            call()
    head.set_class_means(torch.randn(4, 6))
    assert head(FEATS).shape == (4, 4)
    other = make_head(prototype_init='class_mean')
    other.load_state_dict(head.state_dict())
    assert torch.equal(other(FEATS), head(FEATS))
