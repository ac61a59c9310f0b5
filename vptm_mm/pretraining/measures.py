"""How good a pre-trained model is: its tokens, and its states.

Symbols: B images; N patches; C embedding width; V visual tokens.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.dist import all_gather_object
from mmengine.model import BaseModel
from mmpretrain.registry import MODELS
from torch import Tensor
from torch.utils.data import DataLoader

from ..weights.encoder_config import encoder_config

MAX_PATCHES = 50_000  # of training images
# States of images, ``(B, C)`` for each readout.
Read = Callable[[Tensor], dict[str, Tensor]]


@torch.no_grad()
def masked_token_accuracy(
    model: BaseModel, loader: DataLoader
) -> dict[str, Any]:
    """Return the share of masked visual tokens that a model predicts.

    Chance is what the best constant answer reaches: the share of the most
    frequent token.

    Args:
        model: MMPretrain's ``BEiT`` with a ``BEiTV2Neck``.
        loader: Images with masks; each process reads a part of them.
    """
    predicted, true, count = [], [], 0
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        mask = torch.stack([s.mask for s in data['data_samples']])
        images, targets = data['inputs']
        answers, tokens = predict_masked_tokens(model, images, targets, mask)
        predicted.append(answers.cpu())
        true.append(tokens.cpu())
        count += len(mask)
    answers = torch.cat(all_gather_object(torch.cat(predicted)))
    truth = torch.cat(all_gather_object(torch.cat(true)))
    counts = truth.bincount()
    return dict(
        accuracy=(answers == truth).float().mean().item(),
        chance=(counts.max() / counts.sum()).item(),
        images=sum(all_gather_object(count)),
        masked_patches=len(truth),
        tokens_seen=int((counts > 0).sum()),
    )


@torch.no_grad()
def predict_masked_tokens(
    model: BaseModel, images: Tensor, targets: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Predicted and true token ids at the masked patches of a batch.

    Args:
        model: MMPretrain's ``BEiT`` with a ``BEiTV2Neck``.
        images: What the backbone sees, ``(B, 3, H * p, W * p)``.
        targets: What the tokenizer sees, same shape.
        mask: 1 where a patch is masked, ``(B, H, W)``.

    Returns:
        Two tensors of one entry a masked patch.
    """
    masked = mask.flatten(1).bool()  # (B, N)
    latent = model.backbone(images, mask)
    hidden, _ = model.neck(
        latent, rel_pos_bias=model.backbone.shared_rel_pos_bias
    )  # (B, N, C)
    predicted = model.head.cls_head(hidden[masked]).argmax(-1)
    return predicted, model.target_generator(targets)[masked]


def codebook_use(
    model: BaseModel, held_out: DataLoader, training: DataLoader
) -> dict[str, float]:
    """Describe the tokens of held-out images, and of training images.

    A few held-out images cannot hold all of a codebook.

    Args:
        model: MMPretrain's ``BEiT``, or a tokenizer that is distilled.
        held_out: All of its images are read.
        training: Read until there are ``MAX_PATCHES``, in each process.
    """
    size = _tokenizer(model).num_visual_tokens
    report = token_statistics(*_read_tokens(model, held_out), size)
    tokens, _ = _read_tokens(model, training, MAX_PATCHES)
    of_training = token_statistics(tokens, None, size)
    return report | {f'training_{k}': v for k, v in of_training.items()}


def token_statistics(
    tokens: Tensor, labels: Tensor | None, num_visual_tokens: int
) -> dict[str, float]:
    """Describe the tokens of some images.

    Args:
        tokens: Token ids, ``(B, N)``.
        labels: Class of each image, ``(B,)``, if known.
        num_visual_tokens: Codebook size V.

    Returns:
        ``images`` and ``patches``, how many there are; ``used``, the share of
        the codebook that occurs; ``perplexity``, e to the entropy of the
        tokens: V if all are equally frequent; with labels
        ``ami``, the adjusted mutual information of token and class of its
        image: 1 if each tells the other, about 0 if neither tells anything.
        Patches of one image are alike, so that few images raise it: compare
        tokens on the same images.
    """
    counts = tokens.flatten().bincount(minlength=num_visual_tokens)
    shares = counts / counts.sum()
    found = dict(
        images=len(tokens),
        patches=tokens.numel(),
        used=(counts > 0).float().mean().item(),
        perplexity=torch.special.entr(shares).sum().exp().item(),
    )
    if labels is not None:
        # Not at the top: it would take a third of the time of a start.
        from sklearn.metrics import adjusted_mutual_info_score

        found['ami'] = adjusted_mutual_info_score(
            labels.repeat_interleave(tokens.shape[1]).numpy(),
            tokens.flatten().numpy(),
        )
    return found


def linear_probe(
    model: BaseModel, read: Read, train: DataLoader, test: DataLoader
) -> dict[str, float]:
    """Return the accuracy of a linear classifier on frozen states.

    A logistic regression on standardised states, of [CLS] and of the averaged
    patches. A quick look at the backbone; it chooses no strength of
    regularisation.

    Args:
        model: MMPretrain's ``BEiT``, whose preprocessor normalises images.
        read: Reads states, ``states_of_model`` or ``states_of_file``.
        train: Labelled images to fit to.
        test: Labelled images to score on.

    Raises:
        ValueError: If an image has no label.
    """
    # Not at the top: it would take a third of the time of a start.
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    states, labels = _read_states(model, read, train)
    test_states, test_labels = _read_states(model, read, test)
    accuracies = {}
    for readout in states:
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=1000)
        )
        probe.fit(states[readout], labels)
        accuracies[readout] = probe.score(test_states[readout], test_labels)
    return accuracies


def states_of_model(model: BaseModel) -> Read:
    """Read the states of MMPretrain's ``BEiT``, no patch masked."""

    def read(images: Tensor) -> dict[str, Tensor]:
        nothing = images.new_zeros(
            len(images), *model.backbone.patch_resolution
        )
        tokens = model.backbone(images, nothing)[-1]  # (B, 1 + N, C)
        tokens = model.neck.norm(tokens)
        return dict(cls=tokens[:, 0], patches=tokens[:, 1:].mean(1))

    return read


def states_of_file(checkpoint: str, device: torch.device) -> Read:
    """Read the states of a pre-trained backbone, in its own size."""
    encoder, _ = encoder_config(checkpoint)
    backbones = {
        readout: MODELS.build(
            dict(
                type='FrozenFeatures',
                encoder=encoder,
                readout=readout,
                init_cfg=dict(type='Pretrained', checkpoint=checkpoint),
            )
        )
        .to(device)
        .eval()
        for readout in ('cls', 'patches')
    }

    def read(images: Tensor) -> dict[str, Tensor]:
        images = F.interpolate(
            images, (encoder['img_size'],) * 2, mode='bicubic', antialias=True
        )
        return {name: net(images)[0] for name, net in backbones.items()}

    return read


def _tokenizer(model: BaseModel) -> BaseModel:
    """The tokenizer of MMPretrain's ``BEiT``, or one that is distilled."""
    return getattr(model, 'target_generator', None) or model.tokenizer


@torch.no_grad()
def _read_tokens(
    model: BaseModel, loader: DataLoader, max_patches: float = math.inf
) -> tuple[Tensor, Tensor | None]:
    """Tokens and labels, if there are any, of the images of all processes."""
    tokens: list[Tensor] = []
    labels: list[Tensor] = []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        images = data['inputs']
        # BEiT's loaders give two views; the second is the tokenizer's.
        if not isinstance(images, Tensor):
            images = images[-1]
        tokens.append(_tokenizer(model)(images).flatten(1).cpu())
        labels += [
            sample.gt_label.cpu()
            for sample in data['data_samples']
            if 'gt_label' in sample
        ]
        max_patches -= tokens[-1].numel()
        if max_patches <= 0:
            break
    all_tokens = torch.cat(all_gather_object(torch.cat(tokens)))
    all_labels: list[Tensor] = sum(all_gather_object(labels), [])
    return all_tokens, torch.cat(all_labels) if all_labels else None


@torch.no_grad()
def _read_states(
    model: BaseModel, read: Read, loader: DataLoader
) -> tuple[dict[str, Tensor], Tensor]:
    """States of whole images by readout, and labels."""
    states, labels = [], []
    for batch in loader:
        data = model.data_preprocessor(batch, False)
        states.append(read(data['inputs'][0]))
        for sample in data['data_samples']:
            if 'gt_label' not in sample:
                raise ValueError(
                    'PretrainingReportHook read an image without a label for '
                    'a linear probe: its data sets need with_label=True.'
                )
            labels.append(sample.gt_label.cpu())
    by_readout = {
        name: torch.cat([state[name].cpu() for state in states])
        for name in states[0]
    }
    return by_readout, torch.cat(labels)
