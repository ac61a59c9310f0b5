"""Tokens at [MASK] are the predictor's; their examples are real patches."""

import pytest
import torch
from mmpretrain import get_model

from vptm_mm.visualization.images import to_pixels
from vptm_mm.visualization.tokens import (
    TokenCounts,
    build_untuned,
    count_tokens,
    find_examples,
    masked_log_probs,
    plot_tokens,
    shown_tokens,
)

from ..conftest import ENCODER, NUM_VISUAL_TOKENS
from ..made_tasks import make_classifier, make_config
from .made_batches import make_batches

K = 5


def both(checkpoint, **options):
    model = make_classifier(checkpoint, **options)
    return model, build_untuned(model, model._config)


@pytest.mark.parametrize('visual_token', ['hidden', 'logits'])
@pytest.mark.parametrize('mask_grid', [1, 2])
def test_counts_by_hand(checkpoint, visual_token, mask_grid):
    masks = mask_grid**2
    model = make_classifier(
        checkpoint,
        visual_token=visual_token,
        mask_grid=mask_grid,
        head=dict(
            type='LinearClsHead',
            num_classes=K,
            in_channels=masks
            * (16 if visual_token == 'hidden' else NUM_VISUAL_TOKENS),
        ),
    )
    untuned = build_untuned(model, model._config)
    counts = count_tokens(model, untuned, make_batches(), K)
    expected = torch.zeros(2, K, NUM_VISUAL_TOKENS, dtype=torch.long)
    for batch in make_batches(batch_size=1):
        inputs = model.data_preprocessor(batch, False)['inputs']
        (label,) = batch['data_samples'][0].gt_label
        with torch.no_grad():
            (after,) = model.backbone(inputs)
            (before,) = untuned(inputs)
            if visual_token == 'hidden':
                after = untuned.encoder.token_predictor(after.view(masks, -1))
        for part, logits in enumerate((before, after)):
            for token in logits.view(masks, -1).argmax(-1):
                expected[part, label, token] += 1
    assert torch.equal(counts.before, expected[0])
    assert torch.equal(counts.after, expected[1])
    assert not torch.equal(counts.before, counts.after)
    assert 0 <= counts.unchanged < 1


def test_top_and_changed_classes():
    before = torch.tensor([[4, 0, 1], [2, 2, 0], [0, 0, 0], [0, 5, 0]])
    after = torch.tensor([[3, 1, 1], [0, 0, 4], [0, 0, 0], [0, 5, 0]])
    counts = TokenCounts(before, after, 0.5)
    assert counts.top(0, after=False, limit=3) == [0, 2]
    assert counts.top(0, after=True, limit=2) == [0, 1]
    assert counts.changed_classes(1) == [1]
    # In their order, without the class that has no image.
    assert counts.changed_classes(9) == [0, 1, 3]


def test_each_patch_is_predicted_from_a_masked_place(checkpoint):
    _, untuned = both(checkpoint)
    inputs = torch.randn(2, 3, 16, 16)
    found = masked_log_probs(untuned, inputs)
    assert found.shape == (2, 16, NUM_VISUAL_TOKENS)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(2, 16))
    for row, column in ((1, 2), (2, 3), (0, 0)):
        mask = torch.zeros(2, 4, 4)
        mask[:, row % 2 :: 2, column % 2 :: 2] = 1
        states = untuned.encoder(inputs, mask)[:, 1:]
        logits = untuned.encoder.token_predictor(states[:, 4 * row + column])
        torch.testing.assert_close(
            found[:, 4 * row + column], logits.log_softmax(-1)
        )


def test_examples_are_the_patches_with_the_highest_probability(checkpoint):
    model, untuned = both(checkpoint)
    tokens = [3, 7]
    examples = find_examples(
        model, untuned, make_batches(batch_size=4), tokens, limit=2
    )
    (batch,) = make_batches(batch_size=10)
    inputs = model.data_preprocessor(batch, False)['inputs']
    pixels = torch.from_numpy(to_pixels(model, inputs))
    log_probs = masked_log_probs(untuned, inputs)
    for token in tokens:
        best, place = log_probs[..., token].max(1)
        for rank, image in enumerate(best.argsort(descending=True)[:2]):
            row, column = divmod(int(place[image]), 4)
            patch = pixels[image, 4 * row :][:4, 4 * column :][:, :4]
            assert torch.equal(examples[token][rank], patch)


@pytest.mark.parametrize('num_classes', [2, 30])
def test_picture(num_classes):
    before = torch.zeros(num_classes, 4, dtype=torch.long)
    after = before.clone()
    before[:, 0] = 4
    after[:, 3] = torch.arange(num_classes) % 5
    after[:, 1] = 4 - after[:, 3]
    counts = TokenCounts(before, after, 0.25)
    assert shown_tokens(counts) == [0, 1, 3]
    examples = {token: torch.rand(3, 8, 8, 3) for token in (0, 1, 3)}
    names = [f'c{i}' for i in range(num_classes)]
    figure = plot_tokens(counts, examples, names)
    left, right = figure.subfigs
    rows = [ax.get_ylabel() for ax in left.axes[::3]]
    # Those with the largest changes.
    assert len(rows) == min(num_classes, 20)
    assert set(rows) <= set(names)
    assert left.axes[0].get_title() == '0: 100%'
    assert right.axes[3].get_title() == '1: 75%'
    assert right.axes[4].get_title() == '3: 25%'
    assert '25% of all [MASK]s have the same' in figure.get_suptitle()


def test_how_many_tokens_there_are_is_read_from_the_file(checkpoint, tmp_path):
    model = make_classifier(checkpoint)
    config = make_config(checkpoint)
    del config.model.backbone['num_visual_tokens']  # 8192 by default
    untuned = build_untuned(model, config)
    assert untuned.encoder.token_predictor.out_features == NUM_VISUAL_TOKENS
    path = tmp_path / 'own.pth'  # has none: with 'hidden' it is not kept
    torch.save(dict(state_dict=model.state_dict()), path)
    config.model.backbone.init_cfg.checkpoint = str(path)
    with pytest.raises(ValueError, match='own.pth has no token predictor'):
        build_untuned(model, config)


def test_another_pre_training_file(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    content['state_dict']['backbone.cls_token'] += 1
    torch.save(content, tmp_path / 'other.pth')
    model = make_classifier(checkpoint)
    config = make_config(tmp_path / 'other.pth')
    theirs = get_model(config).backbone.frozen_sha256
    digests = rf'sha256 {model.backbone.frozen_sha256}\) .*\({theirs}\)'
    with pytest.raises(ValueError, match=digests):
        build_untuned(model, config)


def test_no_labels(checkpoint):
    model, untuned = both(checkpoint)
    with pytest.raises(ValueError, match='no true classes, by which tokens'):
        count_tokens(model, untuned, make_batches(labels=False), K)


def test_a_classifier_without_masks(checkpoint):
    config = make_config(checkpoint)
    config.model.backbone = dict(
        type='FrozenFeatures',
        encoder=ENCODER,
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    with pytest.raises(ValueError, match='FrozenFeatures adds no .MASK.'):
        build_untuned(get_model(config), config)
