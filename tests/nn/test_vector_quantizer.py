import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models.utils import NormEMAVectorQuantizer

from vptm_mm.nn import VectorQuantizer


def make_quantizer(entries: torch.Tensor, **options) -> VectorQuantizer:
    """A quantizer whose codebook has seen data."""
    quantizer = VectorQuantizer(*entries.shape, **options)
    quantizer.embedding.weight.data.copy_(F.normalize(entries, dim=-1))
    quantizer.embedding.initted.fill_(1)
    quantizer.cluster_size.fill_(10)
    return quantizer


def test_entry_of_the_smallest_angle():
    torch.manual_seed(0)
    quantizer = make_quantizer(torch.randn(9, 5)).eval()
    vectors = torch.randn(2, 3, 5)
    quantized, loss, ids = quantizer(vectors)
    weight = quantizer.embedding.weight
    expected = F.cosine_similarity(vectors[:, :, None], weight, dim=-1)
    assert torch.equal(ids, expected.argmax(-1))
    torch.testing.assert_close(quantized, weight[ids])
    apart = F.normalize(vectors, dim=-1) - weight[ids]
    torch.testing.assert_close(loss, apart.square().mean())


def test_state_and_tokens_are_those_of_the_host():
    torch.manual_seed(0)
    host = NormEMAVectorQuantizer(9, 5, beta=1.0, kmeans_init=False).eval()
    ours = VectorQuantizer(9, 5).eval()
    ours.load_state_dict(host.state_dict())
    assert ours.is_fitted
    vectors = torch.randn(4, 5, 2, 3)
    quantized, loss, ids = host(vectors)
    found = ours(vectors.permute(0, 2, 3, 1))
    assert torch.equal(found[2].flatten(), ids)
    torch.testing.assert_close(found[0].permute(0, 3, 1, 2), quantized)
    torch.testing.assert_close(found[1], loss)


def test_gradient_passes_as_if_nothing_was_replaced():
    """Of the decoder's loss; that of the quantizer pulls to the entry."""
    torch.manual_seed(0)
    quantizer = make_quantizer(torch.randn(7, 3).double(), beta=0.5)
    quantizer = quantizer.double().eval()
    vectors = torch.randn(6, 3, dtype=torch.float32, requires_grad=True)
    weights = torch.randn(6, 3)
    quantized, loss, ids = quantizer.float()(vectors)
    (gradient,) = torch.autograd.grad(
        (quantized * weights).sum() + loss, vectors
    )
    length = vectors.norm(dim=-1, keepdim=True)
    unit = vectors / length
    entry = quantizer.embedding.weight[ids]
    of_unit = weights + 0.5 * 2 * (unit - entry) / unit.numel()
    # Through the division by the length: what is across the vector.
    along = (of_unit * unit).sum(-1, keepdim=True) * unit
    torch.testing.assert_close(gradient, (of_unit - along) / length)


def test_codebook_follows_the_mean_direction():
    quantizer = make_quantizer(torch.eye(3), decay=0.75).train()
    vectors = torch.tensor([[4.0, 1, 0], [2.0, -0.2, 0], [0, 0.3, 0.9]])
    quantizer(vectors)
    first = F.normalize(F.normalize(vectors[:2], dim=-1).sum(0), dim=0)
    third = F.normalize(vectors[2], dim=0)
    expected = torch.stack(
        [
            F.normalize(0.75 * torch.eye(3)[0] + 0.25 * first, dim=0),
            torch.eye(3)[1],  # nothing fell on it
            F.normalize(0.75 * torch.eye(3)[2] + 0.25 * third, dim=0),
        ]
    )
    torch.testing.assert_close(quantizer.embedding.weight.data, expected)
    torch.testing.assert_close(
        quantizer.cluster_size, torch.tensor([8.0, 7.5, 7.75])
    )


def test_dead_entries_are_moved_to_vectors_of_the_batch():
    quantizer = make_quantizer(torch.eye(3), decay=0.5).train()
    vectors = torch.tensor([[1.0, 0.1, 0.0]]).repeat(20, 1)
    for _ in range(20):
        quantizer(vectors)
    target = F.normalize(vectors[0], dim=0)
    cosine = quantizer.embedding.weight @ target
    torch.testing.assert_close(cosine, torch.ones(3))


def test_starts_from_the_first_batch_of_training():
    torch.manual_seed(0)
    vectors = torch.randn(50, 4)
    books = []
    for _ in range(2):
        torch.manual_seed(3)
        quantizer = VectorQuantizer(6, 4).train()
        assert not quantizer.is_fitted
        quantizer(vectors)
        assert quantizer.is_fitted
        books.append(quantizer.embedding.weight.data)
    assert torch.equal(*books)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_embed=1), 'num_embed=1 must be an int >= 2'),
        (dict(num_embed=4, decay=1.0), r'decay=1\.0 must be in 0\.\.1'),
    ],
)
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        VectorQuantizer(embed_dims=3, **options)


def test_ids_are_those_of_single_precision_under_amp():
    torch.manual_seed(0)
    quantizer = VectorQuantizer(500, 8).train()
    vectors = torch.randn(2000, 8)
    quantizer(vectors)
    quantizer.eval()
    expected = quantizer(vectors)[-1]
    with torch.autocast('cpu', torch.bfloat16):
        ids = quantizer(vectors)[-1]
    assert torch.equal(ids, expected)
