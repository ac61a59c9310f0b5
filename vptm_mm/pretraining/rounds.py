"""Configs of the rounds of pre-training, derived from that of the first one.

A round trains a BEiT v2 on visual tokens. Those of the first round are what
its config says, as groups of pixels; later ones come from the backbone of the
round before.
"""

import copy
import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config
from mmpretrain.models import BEiTViT

from ..weights.download import file_sha256

# What the first round can predict, by the tokenizer of its config; without
# --tokens the first of them. A teacher of features can be distilled, too.
FIRST = dict(
    PatchKMeansTokenizer=('patches',),
    FeatureKMeansTokenizer=('features', 'vqkd'),
    KeptTokens=('features',),
    VQKDTokenizer=('vqkd',),
)
LATER = ('features', 'vqkd')
# Of default_hooks, what a resumed run does not change.
HOOKS = ('fit_tokenizer', 'report', 'export')
# Width of a codebook entry of VQ-KD.
ENTRY = 32


class Step(NamedTuple):
    """One training run of the whole.

    Args:
        name: Of its folder.
        make_config: Makes its config of the first round's config, the file
            that the last backbone was exported to, and the one that the
            last step exported; the first step reads none.
    """

    name: str
    make_config: Callable[[Config, Any, Any], Config]


def plan_steps(
    cfg: Config, tokens: list[str] | None = None, block: int | None = None
) -> list[Step]:
    """List the training runs of all rounds.

    Args:
        cfg: Config of the first round.
        tokens: The kind of tokens of each round, ``'patches'``,
            ``'features'`` or ``'vqkd'``; None for what the config predicts,
            then features twice, unless it predicts kept tokens.
        block: Block of the last backbone whose states are read, counted from
            0; None for the middle one.

    Raises:
        ValueError: If the first kind is not what the config predicts, a later
            one needs no backbone, or the backbone has no such block.
    """
    tokenizer = cfg.model.get('target_generator', {}).get('type')
    if tokenizer not in FIRST:
        raise ValueError(
            f'model.target_generator.type={tokenizer!r} must be one of '
            f'{", ".join(FIRST)}; train one round by vptm train.'
        )
    if tokens is None:
        more = 0 if tokenizer == 'KeptTokens' else 2
        tokens = [FIRST[tokenizer][0], *['features'] * more]
    # With kept tokens an image has no second view, which later rounds need.
    later = () if tokenizer == 'KeptTokens' else LATER
    if tokens[0] not in FIRST[tokenizer] or not {*tokens[1:]} <= {*later}:
        raise ValueError(
            f'tokens={tokens} must begin with '
            f'{" or ".join(map(repr, FIRST[tokenizer]))}, which the config '
            f'predicts by {tokenizer}; later rounds are of '
            f'{", ".join(later) or "no kind"}.'
        )
    layers = _arch(encoder_of(cfg))['num_layers']
    if block is not None and not 0 <= block < layers:
        raise ValueError(
            f'block={block} must be in 0..{layers - 1}: the backbone of the '
            f'config has {layers} blocks.'
        )
    steps = []
    for number, kind in enumerate(tokens, 1):
        if number == 1 and (kind != 'vqkd' or tokenizer == 'VQKDTokenizer'):
            steps.append(Step(f'1_{kind}', lambda cfg, *_: copy.deepcopy(cfg)))
        elif kind == 'features':
            steps.append(
                Step(
                    f'{number}_features',
                    lambda cfg, backbone, _: feature_tokens(
                        cfg, backbone, block
                    ),
                )
            )
        else:
            steps += _distilled(number, block)
    return steps


def describe_tokens(cfg: Config, distilled: Config | None = None) -> str:
    """Say what a round predicts: the kind of tokens, and of what.

    Args:
        cfg: Config of the round.
        distilled: Config of the run that its tokenizer comes from, if any.
    """
    generator = cfg.model.target_generator
    kind = FIRST[generator.type][0]
    if generator.type == 'KeptTokens':
        generator = cfg.kept_tokens.tokenizer
    source = (distilled.model if distilled else generator).get('teacher')
    if source is None:
        return kind
    words = [source['type']]
    for key in ('model_name', 'arch', 'block'):
        if isinstance(source.get(key), (str, int)):
            words.append(f'{key} {source[key]}')
    weights = source.get('init_cfg') or {}
    if 'checkpoint' in weights:
        words.append(weights['checkpoint'])
    return f'{kind} of {", ".join(words)}'


def export_name(cfg: Config) -> str:
    """Return the name of the file that a run leaves in its work dir.

    Raises:
        ValueError: If it exports none.
    """
    hook = (cfg.get('default_hooks') or {}).get('export')
    if not hook:
        raise ValueError(
            'the config must have default_hooks.export, an ExportWeightsHook: '
            'the next round reads its file.'
        )
    return hook['filename']


def settings(cfg: Config, read: Sequence[Path], flags: Sequence[str]) -> str:
    """Return all that decides the result of a step, as text of a config.

    Args:
        cfg: Config of the step.
        read: Files of earlier steps that it reads.
        flags: Of ``vptm train``.
    """
    notes = [f'Reads {path}, sha256 {file_sha256(path)}.' for path in read]
    if flags:
        notes.append(f'For vptm train {shlex.join(flags)}.')
    return ''.join(f'# {note}\n' for note in notes) + cfg.pretty_text


def can_go_on(before: Path, cfg: Config, text: str) -> bool:
    """Whether a step that was begun can be resumed with other settings.

    As long as they are of the optimizer, the schedule, the batch size, the
    length or the runtime's hooks: a resumed run follows its config there.

    Args:
        before: File of the config that it was begun with.
        cfg: Config of the step now.
        text: Its settings now.
    """
    content = before.read_text(encoding='utf-8')
    if _notes(content) != _notes(text):
        return False
    old, new = Config.fromfile(before).to_dict(), cfg.to_dict()
    for said in (old, new):
        hooks = said.pop('default_hooks', {})
        said['hooks'] = {name: hooks.get(name) for name in HOOKS}
        for key in ('train_cfg', 'optim_wrapper', 'param_scheduler'):
            said.pop(key, None)
        said['train_dataloader'].pop('batch_size')
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def _notes(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('# ')]


def feature_tokens(cfg: Config, backbone: Path, block: int | None) -> Config:
    """Predict groups of features of a backbone."""
    cfg = _see_as_the_backbone(cfg)
    encoder = encoder_of(cfg)
    size, patch = _size(encoder), encoder.get('patch_size', 16)
    cfg.model.target_generator = dict(
        type='FeatureKMeansTokenizer',
        num_visual_tokens=cfg.model.head.num_embed,
        teacher=block_features(cfg, backbone, block),
        embed_dims=_arch(encoder)['embed_dims'],
        grid_size=size // patch,
        seed=cfg.model.target_generator.get('seed', 0),
    )
    # A round that predicts distilled tokens fits none.
    if not cfg.default_hooks.get('fit_tokenizer'):
        cfg.default_hooks.fit_tokenizer = dict(type='FitTokenizerHook')
    # Frozen parameters of the teacher stay out of the optimizer.
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    return cfg


def vqkd_tokens(cfg: Config, tokenizer: Path) -> Config:
    """Predict the tokens of a tokenizer that was distilled."""
    cfg = copy.deepcopy(cfg)
    cfg.model.target_generator = _tokenizer(cfg)
    cfg.model.target_generator['init_cfg'] = dict(
        type='Pretrained', checkpoint=str(tokenizer)
    )
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    cfg.default_hooks.fit_tokenizer = None
    return cfg


def distillation(cfg: Config, teacher: dict[str, Any], width: int) -> Config:
    """Train the tokenizer of BEiT v2 against a teacher.

    Args:
        cfg: Config of the round.
        teacher: Config of the teacher, a backbone.
        width: Of the teacher's states.
    """
    cfg = copy.deepcopy(cfg)
    arch = _arch(encoder_of(cfg))
    cfg.model = dict(
        type='VQKDDistiller',
        tokenizer=_tokenizer(cfg),
        decoder=dict(arch={**arch, 'num_layers': 1}),
        teacher=teacher,
        teacher_dims=width,
        init_cfg=None,
    )
    cfg.optim_wrapper.constructor = 'TunedOptimWrapperConstructor'
    hooks = cfg.default_hooks
    hooks.fit_tokenizer = None
    if hooks.get('report'):  # the rest is of masked visual token modelling
        hooks.report.masked_tokens = hooks.report.linear_probes = None
    hooks.export = dict(
        type='ExportWeightsHook', filename='tokenizer.pth', part='tokenizer'
    )
    return cfg


def encoder_of(cfg: Config) -> dict[str, Any]:
    """Config of the encoder alone, as ``VPTMBackbone`` takes it."""
    of_training = ('out_indices', 'final_norm', 'out_type', 'init_cfg')
    return {
        name: value
        for name, value in cfg.model.backbone.to_dict().items()
        if name not in (*of_training, 'drop_path_rate')
    }


def block_features(
    cfg: Config, backbone: Path, block: int | None
) -> dict[str, Any]:
    """Config of the teacher: a block of the last round's backbone."""
    encoder = encoder_of(cfg)
    return dict(
        type='BlockFeatures',
        encoder=encoder,
        block=_arch(encoder)['num_layers'] // 2 if block is None else block,
        init_cfg=dict(type='Pretrained', checkpoint=str(backbone)),
    )


def _distilled(number: int, block: int | None) -> list[Step]:
    """Steps of a round on tokens that are distilled from a teacher.

    That of the first round is the config's, a later one the last backbone.
    """

    def distil(cfg: Config, backbone: Path, _: Path) -> Config:
        if number == 1:
            grouped = cfg.model.target_generator
            return distillation(cfg, grouped.teacher, grouped.embed_dims)
        teacher = block_features(cfg, backbone, block)
        width = _arch(encoder_of(cfg))['embed_dims']
        return distillation(_see_as_the_backbone(cfg), teacher, width)

    def predict(cfg: Config, _: Path, tokenizer: Path) -> Config:
        if number > 1:
            cfg = _see_as_the_backbone(cfg)
        return vqkd_tokens(cfg, tokenizer)

    return [
        Step(f'{number}_vqkd-tokenizer', distil),
        Step(f'{number}_vqkd', predict),
    ]


def _tokenizer(cfg: Config) -> dict[str, Any]:
    encoder = encoder_of(cfg)
    del encoder['type']
    return dict(
        type='VQKDTokenizer',
        encoder_config={**encoder, 'out_type': 'featmap'},
        num_embed=cfg.model.head.num_embed,
        embed_dims=ENTRY,
    )


def _see_as_the_backbone(cfg: Config) -> Config:
    """Give the tokenizer's view size, mean and deviation of the backbone's.

    What the first round predicts may want others.
    """
    cfg = copy.deepcopy(cfg)
    cfg.data_preprocessor.second_mean = cfg.data_preprocessor.mean
    cfg.data_preprocessor.second_std = cfg.data_preprocessor.std
    size = _size(encoder_of(cfg))
    _resize_second_views([cfg.train_dataloader, cfg.default_hooks], size)
    return cfg


def _resize_second_views(part: Any, size: int) -> None:
    if isinstance(part, dict):
        if 'second_size' in part:
            part['second_size'] = size
        part = list(part.values())
    if isinstance(part, (list, tuple)):
        for one in part:
            _resize_second_views(one, size)


def _size(encoder: dict[str, Any]) -> int:
    return encoder.get('img_size', 224)  # the host's default


def _arch(encoder: dict[str, Any]) -> dict[str, Any]:
    arch = encoder['arch']
    if isinstance(arch, str):
        return next(
            settings
            for names, settings in BEiTViT.arch_zoo.items()
            if arch in names
        )
    return arch
