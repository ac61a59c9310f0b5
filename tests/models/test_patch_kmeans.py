import pytest
import torch
from mmpretrain.structures import DataSample

from vptm_mm.models import PatchKMeansTokenizer
from vptm_mm.models.tokenizers import kmeans_tokenizer

from ..conftest import make_pretraining_model


def test_describe_cuts_in_the_order_of_the_backbone():
    tokenizer = PatchKMeansTokenizer(2, patch_size=2)
    images = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    patches = tokenizer.describe(images)
    assert patches.shape == (2, 6, 12)
    expected = images[1, :, 2:4, 0:2].flatten()  # row 1, column 0
    assert torch.equal(patches[1, 3], expected)


def test_token_is_the_nearest_entry():
    torch.manual_seed(0)
    tokenizer = PatchKMeansTokenizer(7, patch_size=4)
    tokenizer.fit([torch.randn(200, 48)])
    images = torch.randn(3, 3, 8, 8)
    patches = tokenizer.describe(images)
    nearest = torch.cdist(patches, tokenizer.codebook[None]).argmin(-1)
    tokens = tokenizer(images)
    assert tokens.shape == (3, 4)
    assert tokens.dtype is torch.long
    assert torch.equal(tokens, nearest)


def test_no_entry_of_the_codebook_is_dead():
    """Many equal patches attract all centres but one or two."""
    torch.manual_seed(0)
    patches = torch.cat([torch.zeros(4000, 12), 5 * torch.randn(40, 12)])
    tokenizer = PatchKMeansTokenizer(30, patch_size=2)
    assert tokenizer.fit([patches]) == 30
    images = patches.view(-1, 3, 2, 2)
    assert len(tokenizer(images).unique()) == 30


def test_a_stream_is_fitted_to_the_end(monkeypatch):
    """What comes after the first chunk moves the codebook, too."""
    monkeypatch.setattr(kmeans_tokenizer, 'FIRST_CHUNK', 100)
    monkeypatch.setattr(kmeans_tokenizer, 'CHUNK', 50)
    torch.manual_seed(0)
    centres = 10 * torch.eye(3, 12)
    near = [(centres + 0.1 * torch.randn(3, 12)) for _ in range(400)]
    moved = [batch + 1 for batch in near]
    tokenizer = PatchKMeansTokenizer(3, patch_size=2)
    seen = []
    tokenizer.fit(seen.append(1) or b for b in near[:40] + moved)
    assert len(seen) == 440
    distance = torch.cdist(centres + 1, tokenizer.codebook).min(1).values
    assert distance.max() < 0.5


def test_trains_with_the_hosts_self_supervisor():
    model = make_pretraining_model()
    torch.manual_seed(0)
    images, targets = torch.randn(2, 2, 3, 16, 16)
    samples = []
    for _ in range(2):
        sample = DataSample()
        sample.mask = (torch.rand(4, 4) < 0.4).long()
        samples.append(sample)
    model.target_generator.fit([torch.randn(20, 48)])
    losses = model.loss([images, targets], samples)
    assert set(losses) == {'loss_1', 'loss_2'}
    sum(losses.values()).backward()
    assert model.backbone.mask_token.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (
            lambda: PatchKMeansTokenizer(1, 4),
            ValueError,
            'num_visual_tokens=1 must be an int >= 2',
        ),
        (
            lambda: PatchKMeansTokenizer(8, 2).fit([torch.randn(5, 12)]),
            ValueError,
            '5 patches cannot be grouped into num_visual_tokens=8',
        ),
        (
            lambda: PatchKMeansTokenizer(8, 2)(torch.randn(1, 3, 4, 4)),
            RuntimeError,
            'no codebook yet; add .*FitTokenizerHook',
        ),
        (
            lambda: PatchKMeansTokenizer(8, 3).describe(
                torch.randn(1, 3, 4, 4)
            ),
            ValueError,
            'do not divide into patches of 3 px',
        ),
        (
            lambda: PatchKMeansTokenizer(8, 2).describe(
                torch.randn(1, 1, 4, 4)
            ),
            ValueError,
            'in_channels=3; set patch_size',
        ),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_tokens_are_those_of_single_precision_under_amp():
    torch.manual_seed(0)
    tokenizer = PatchKMeansTokenizer(60, patch_size=2)
    tokenizer.fit([3 + torch.randn(2000, 12)])
    images = 3 + torch.randn(20, 3, 8, 8)
    expected = tokenizer(images)
    with torch.autocast('cpu', torch.bfloat16):
        half = (images.flatten(2)[0] @ images.flatten(2)[0].T).dtype
        tokens = tokenizer(images)
    assert half is torch.bfloat16  # it does something here
    assert torch.equal(tokens, expected)
