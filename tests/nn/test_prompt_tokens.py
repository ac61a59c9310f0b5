import pytest
import torch

from vptm_mm.nn import PromptTokens


def test_first_block_inserts_and_later_ones_replace():
    prompts = PromptTokens(4, 2, (1, 3), depth=4)
    tokens = torch.randn(5, 7, 4)
    assert prompts(tokens, 0, start=3) is tokens
    inserted = prompts(tokens, 1, start=3)
    expected = prompts.prompts[0].expand(5, 2, 4)
    assert torch.equal(
        inserted, torch.cat([tokens[:, :3], expected, tokens[:, 3:]], 1)
    )
    assert prompts(inserted, 2, start=3) is inserted
    replaced = prompts(inserted, 3, start=3)
    expected = prompts.prompts[1].expand(5, 2, 4)
    assert torch.equal(
        replaced, torch.cat([tokens[:, :3], expected, tokens[:, 3:]], 1)
    )


def test_length_zero_has_no_parameter_and_changes_nothing():
    prompts = PromptTokens(4, 0, (), depth=4)
    tokens = torch.randn(1, 3, 4)
    assert not list(prompts.parameters())
    assert prompts(tokens, 0, start=1) is tokens


def test_initial_prompts_are_seeded_and_have_the_stated_width():
    initial = []
    for _ in range(2):
        torch.manual_seed(3)
        prompts = PromptTokens(64, 50, (0,), depth=4)
        prompts.reset_parameters(std=0.3)
        initial.append(prompts.prompts.detach())
    assert torch.equal(*initial)
    assert initial[0].std().item() == pytest.approx(0.3, rel=0.1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(length=-1),
            r'prompt_length=-1 must be an int >= 0; use 0',
        ),
        (dict(length=1, blocks=()), r'prompt_blocks=\(\) must be in 0\.\.3'),
        (
            dict(length=1, blocks=(1, 1)),
            r'prompt_blocks=\(1, 1\) .*none twice',
        ),
        (dict(length=1, blocks=(0, 2.5)), r'\(0, 2\.5\) .* one int'),
        (dict(length=True), 'prompt_length=True must be an int'),
        (dict(length=1, blocks=(-1,)), r'prompt_blocks=\(-1,\)'),
        (dict(length=1, blocks=(4,)), r'prompt_blocks=\(4,\) must be in 0'),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        PromptTokens(4, **{**dict(length=1, blocks=(0,), depth=4), **options})
