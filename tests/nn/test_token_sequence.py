"""Where tokens stand; their bias is tested with ``PaddedPositionBias``."""

import pytest
import torch

from vptm_mm.nn import TokenSequence

# 2x2 patches: the table has 3 * 3 offsets and three rows of [CLS].
TABLE = torch.arange(1.0, 13.0)[:, None]
CLS_TO_TOKEN, TOKEN_TO_CLS, CLS_TO_CLS = 10.0, 11.0, 12.0


def make(**options) -> TokenSequence:
    defaults = dict(
        grid_size=(2, 2),
        mask_grid=1,
        mask_bias='grid',
        prompt_length=2,
        prompt_location='after_patches',
        prompt_bias='zero',
    )
    return TokenSequence(**{**defaults, **options})


@pytest.mark.parametrize(
    ('location', 'start', 'mask'),
    [('after_cls', 1, 7), ('after_patches', 5, 7), ('after_mask', 6, 5)],
)
@pytest.mark.parametrize('prompt_bias', ['zero', 'cls'])
def test_places_in_the_sequence(location, start, mask, prompt_bias):
    sequence = make(prompt_location=location, prompt_bias=prompt_bias)
    assert sequence.prompt_start == start
    assert sequence.masks == slice(mask, mask + 1)
    (bias,) = sequence.prompted_bias(TABLE)
    assert bias.shape == (8, 8)
    prompts = range(start, start + 2)
    others = [i for i in range(8) if i not in prompts]
    # Without the prompts, it is the plain bias.
    (plain,) = sequence.plain_bias(TABLE)
    assert torch.equal(bias[others][:, others], plain)
    # [MASK] at the image's centre: the mean of four offsets to each patch.
    centre = TABLE[:9, 0].view(3, 3)
    assert plain[5, 1] == centre[1:, 1:].mean()
    assert plain[5, 4] == centre[:2, :2].mean()
    assert plain[0, 5] == CLS_TO_TOKEN
    assert plain[5, 0] == TOKEN_TO_CLS
    for prompt in prompts:
        if prompt_bias == 'zero':
            assert not bias[prompt].any()
            assert not bias[:, prompt].any()
        else:
            assert bias[prompt, mask] == CLS_TO_TOKEN
            assert bias[mask, prompt] == TOKEN_TO_CLS
            assert bias[prompt, 0] == bias[0, prompt] == CLS_TO_CLS


@pytest.mark.parametrize('mask_bias', ['zero', 'cls'])
def test_masks_without_a_place(mask_bias):
    (bias,) = make(mask_bias=mask_bias, mask_grid=2).plain_bias(TABLE)
    assert bias.shape == (9, 9)
    expected = 0 if mask_bias == 'zero' else CLS_TO_TOKEN
    assert (bias[5:, 1:5] == expected).all()
    expected = 0 if mask_bias == 'zero' else CLS_TO_CLS
    assert (bias[5:, 5:] == expected).all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(mask_bias='no'), "mask_bias='no' must be one of"),
        (dict(prompt_bias='grid'), "prompt_bias='grid' must be one of"),
        (dict(prompt_location='end'), "prompt_location='end' must be one of"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
