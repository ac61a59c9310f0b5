"""Configs of the rounds of pre-training, derived from that of the first one.

A round trains a BEiT v2 on visual tokens. Those of the first round are groups
of pixels; later ones come from the backbone of the round before.
"""

import copy
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.models import BEiTViT

from ..checkpoints.download import sha256

TOKENS = ('patches', 'features', 'vqkd')
EXPORTS = ('ExportBackboneHook', 'ExportTokenizerHook')
# What belongs to masked visual token modelling, not to distillation.
OF_BEIT = ('FitTokenizerHook', 'MaskedTokenAccuracyHook', 'LinearProbeHook')
# Width of a codebook entry of VQ-KD.
ENTRY = 32


@dataclass(frozen=True)
class Step:
    """One training run of the whole.

    Args:
        name: Of its folder.
        make_config: Makes its config of the first round's config, the file
            that the last backbone was exported to, and the one that the
            last step exported.
    """

    name: str
    make_config: Callable[[Config, Path | None, Path | None], Config]


def plan_steps(
    cfg: Config, tokens: list[str], block: int | None = None
) -> list[Step]:
    """List the training runs of so many rounds.

    Args:
        cfg: Config of the first round.
        tokens: The kind of tokens of each round, of ``TOKENS``.
        block: Block of the last backbone whose states are read, counted from
            0; None for the middle one.

    Raises:
        ValueError: If a kind is unknown, the first round has a teacher, or
            the backbone has no such block.
    """
    unknown = sorted(set(tokens) - set(TOKENS))
    if unknown or not tokens:
        raise ValueError(f'tokens={tokens} must be of {TOKENS}.')
    if tokens[0] != 'patches':
        raise ValueError(
            f"tokens={tokens} must begin with 'patches': there is no backbone "
            'before the first round.'
        )
    layers = _arch(encoder_of(cfg))['num_layers']
    if block is not None and not 0 <= block < layers:
        raise ValueError(
            f'block={block} must be in 0..{layers - 1}: the backbone of the '
            f'config has {layers} blocks.'
        )
    steps = []
    for number, kind in enumerate(tokens, 1):
        if kind == 'vqkd':
            steps.append(
                Step(
                    f'{number}_vqkd-tokenizer',
                    lambda cfg, backbone, _: distillation(
                        cfg, _present(backbone), block
                    ),
                )
            )
        steps.append(Step(f'{number}_{kind}', _makers(block)[kind]))
    return steps


def export_name(cfg: Config) -> str:
    """Name of the file that a run leaves in its work dir.

    Raises:
        ValueError: If it exports none.
    """
    for hook in cfg.get('custom_hooks') or []:
        if hook['type'] in EXPORTS:
            return hook['filename']
    raise ValueError(
        f'the config must have one of {EXPORTS} in custom_hooks: the next '
        'round reads its file.'
    )


def settings(cfg: Config, read: Sequence[Path], flags: Sequence[str]) -> str:
    """All that decides what comes out of a step, as text of a config.

    Args:
        cfg: Config of the step.
        read: Files of earlier steps that it reads.
        flags: Of ``tools/train.py``.
    """
    notes = [f'Reads {path}, sha256 {sha256(path)}.' for path in read]
    if flags:
        notes.append(f'For tools/train.py {shlex.join(flags)}.')
    return ''.join(f'# {note}\n' for note in notes) + cfg.pretty_text


def patch_tokens(cfg: Config) -> Config:
    """The config as it is."""
    return copy.deepcopy(cfg)


def feature_tokens(cfg: Config, backbone: Path, block: int | None) -> Config:
    """Predict groups of features of a backbone."""
    cfg = copy.deepcopy(cfg)
    encoder = encoder_of(cfg)
    # The host's defaults.
    size, patch = encoder.get('img_size', 224), encoder.get('patch_size', 16)
    cfg.model.target_generator = dict(
        type='FeatureKMeansTokenizer',
        num_visual_tokens=cfg.model.head.num_embed,
        teacher=teacher(cfg, backbone, block),
        embed_dims=_arch(encoder)['embed_dims'],
        grid_size=size // patch,
        seed=cfg.model.target_generator.get('seed', 0),
    )
    # Frozen parameters of the teacher stay out of the optimizer.
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    return _normalize_as_the_backbone(cfg)


def vqkd_tokens(cfg: Config, tokenizer: Path) -> Config:
    """Predict the tokens of a tokenizer that was distilled."""
    cfg = copy.deepcopy(cfg)
    cfg.model.target_generator = _tokenizer(cfg)
    cfg.model.target_generator['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tokenizer)
    )
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    cfg.custom_hooks = [
        hook for hook in cfg.custom_hooks if hook['type'] != 'FitTokenizerHook'
    ]
    return _normalize_as_the_backbone(cfg)


def distillation(cfg: Config, backbone: Path, block: int | None) -> Config:
    """Train the tokenizer of BEiT v2 against a backbone."""
    cfg = copy.deepcopy(cfg)
    arch = _arch(encoder_of(cfg))
    cfg.model = dict(
        type='VQKDDistiller',
        tokenizer=_tokenizer(cfg),
        decoder=dict(arch={**arch, 'num_layers': 1}),
        teacher=teacher(cfg, backbone, block),
        teacher_dims=arch['embed_dims'],
        init_cfg=None,
    )
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    hooks = [h for h in cfg.custom_hooks if h['type'] not in OF_BEIT]
    cfg.custom_hooks = [
        dict(type='ExportTokenizerHook', filename='tokenizer.pth')
        if hook['type'] == 'ExportBackboneHook'
        else hook
        for hook in hooks
    ]
    return _normalize_as_the_backbone(cfg)


def encoder_of(cfg: Config) -> dict[str, Any]:
    """Config of the encoder alone, as ``VPTMBackbone`` takes it."""
    of_training = ('out_indices', 'final_norm', 'out_type', 'init_cfg')
    return {
        name: value
        for name, value in cfg.model.backbone.to_dict().items()
        if name not in (*of_training, 'drop_path_rate')
    }


def teacher(cfg: Config, backbone: Path, block: int | None) -> dict[str, Any]:
    """Config of the teacher: a block of the last round's backbone."""
    encoder = encoder_of(cfg)
    return dict(
        type='BlockFeatures',
        encoder=encoder,
        block=_arch(encoder)['num_layers'] // 2 if block is None else block,
        init_cfg=dict(type='Pretrained', checkpoint=str(backbone)),
    )


def _makers(block: int | None) -> dict[str, Callable]:
    return dict(
        patches=lambda cfg, backbone, last: patch_tokens(cfg),
        features=lambda cfg, backbone, last: feature_tokens(
            cfg, _present(backbone), block
        ),
        vqkd=lambda cfg, backbone, last: vqkd_tokens(cfg, _present(last)),
    )


def _tokenizer(cfg: Config) -> dict[str, Any]:
    encoder = encoder_of(cfg)
    del encoder['type']
    return dict(
        type='VQKDTokenizer',
        encoder_config={**encoder, 'out_type': 'featmap'},
        num_embed=cfg.model.head.num_embed,
        embed_dims=ENTRY,
    )


def _normalize_as_the_backbone(cfg: Config) -> Config:
    """Give the tokenizer's view the mean and deviation of the backbone's."""
    cfg.data_preprocessor.second_mean = cfg.data_preprocessor.mean
    cfg.data_preprocessor.second_std = cfg.data_preprocessor.std
    return cfg


def _arch(encoder: dict[str, Any]) -> dict[str, Any]:
    arch = encoder['arch']
    if isinstance(arch, str):
        return next(
            settings
            for names, settings in BEiTViT.arch_zoo.items()
            if arch in names
        )
    return arch


def _present(path: Path | None) -> Path:
    if path is None:
        raise ValueError('this round needs the file of the round before.')
    return path
