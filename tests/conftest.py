"""Tiny models and checkpoints, made by MMPretrain's own classes."""

import gc
import importlib.util
import logging
import multiprocessing
import re
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch
from mmengine.config import config
from mmengine.logging import MMLogger
from mmengine.runner import runner
from mmpretrain.registry import MODELS

import vptm_mm  # noqa: F401
from vptm_mm.models import VPTMBackbone

ROOT = Path(__file__).parents[1]

# Tests run side by side, a core each.
torch.set_num_threads(1)
# Each data set collects garbage; what was imported is none.
gc.freeze()
# They take seconds: versions of compilers in each run, and the layout of a
# config in each run and each checkpoint.
runner.collect_env = dict
config.FormatCode = lambda text, **_: (text, True)
# What processes of tests are forked from.
multiprocessing.set_forkserver_preload(['vptm_mm', 'mmpretrain.evaluation'])

# C 16, D 3, h 2, 4x4 patches of 4 px, V 12.
ARCH = dict(
    embed_dims=16,
    num_layers=3,
    depth=3,
    num_heads=2,
    feedforward_channels=32,
)
ENCODER = dict(type='BEiTPretrainViT', arch=ARCH, img_size=16, patch_size=4)
NUM_VISUAL_TOKENS = 12


def load_script(*path: str) -> ModuleType:
    """Import a script, named by its path from the root of the repository."""
    name = '_'.join(path).removesuffix('.py')
    spec = importlib.util.spec_from_file_location(name, ROOT.joinpath(*path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # data classes look their module up
    spec.loader.exec_module(module)
    return module


def randomize(module: torch.nn.Module, seed: int = 0) -> None:
    """Give every tensor values of its own, biases and norms included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(0.3 * noise + (tensor if tensor.dim() else 0))


def random_class_means(head: torch.nn.Module) -> None:
    """In place of the hook that takes them from training images."""
    if getattr(head, 'awaits_class_means', False):
        head.set_class_means(torch.randn_like(head.verbalizer.prototypes))


def make_pretraining_model(
    arch=ARCH, img_size=16, patch_size=4, num_visual_tokens=NUM_VISUAL_TOKENS
):
    """MMPretrain's BEiT v2 pre-training model, with our tokenizer."""
    depth = arch['depth']
    # Its values must not depend on which tests ran before.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = MODELS.build(
            dict(
                type='BEiT',
                backbone=dict(
                    type='BEiTPretrainViT',
                    arch=arch,
                    img_size=img_size,
                    patch_size=patch_size,
                    out_indices=[depth - 2, depth - 1],
                    final_norm=False,
                    out_type='raw',
                ),
                neck=dict(
                    type='BEiTV2Neck',
                    num_layers=1,
                    early_layers=depth - 1,
                    backbone_arch=arch,
                ),
                head=dict(
                    type='BEiTV2Head',
                    embed_dims=arch['embed_dims'],
                    num_embed=num_visual_tokens,
                    loss=dict(type='CrossEntropyLoss'),
                ),
                target_generator=dict(
                    type='PatchKMeansTokenizer',
                    num_visual_tokens=num_visual_tokens,
                    patch_size=patch_size,
                ),
            )
        )
    randomize(model)
    # As before its fit.
    model.target_generator.codebook.fill_(torch.nan)
    return model.eval()


def to_microsoft(state_dict: dict) -> dict:
    """Rename MMPretrain's keys into those of Microsoft's files."""
    renames = (
        (r'^backbone\.patch_embed\.projection', 'patch_embed.proj'),
        (r'^backbone\.layers\.(\d+)\.ln(\d)', r'blocks.\1.norm\2'),
        (r'^backbone\.layers\.(\d+)\.ffn\.layers\.0\.0', r'blocks.\1.mlp.fc1'),
        (r'^backbone\.layers\.(\d+)\.ffn\.layers\.1', r'blocks.\1.mlp.fc2'),
        (r'^backbone\.layers', 'blocks'),
        (r'^backbone\.', ''),
        (r'^neck\.norm', 'norm'),
        (r'^neck\.patch_aggregation', 'cls_pt_layers'),
        (r'^head\.cls_head', 'lm_head'),
    )
    renamed = {}
    for name, tensor in state_dict.items():
        if name.startswith(('target_generator.', 'data_preprocessor.')):
            continue
        for pattern, new in renames:
            if re.match(pattern, name):
                name = re.sub(pattern, new, name)
                break
        renamed[name] = tensor
    return renamed


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin files with slow tests, so that no process is left alone."""
    slow = Counter(
        item.path for item in items if item.get_closest_marker('slow')
    )
    items.sort(key=lambda item: -slow[item.path])


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker('gpu') and not torch.cuda.is_available():
        pytest.skip('no GPU')
    for marker in item.iter_markers('needs'):
        for module in marker.args:
            pytest.importorskip(module)


class CurrentStderr:
    """Writes to the stderr of the moment: each test has its own."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@pytest.fixture(autouse=True)
def log_as_before():
    """Keep the host's log from closed streams and levels of other tests."""
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler:  # not a file of a run
                handler.stream = CurrentStderr()
    logger = MMLogger.get_current_instance()
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope='session')
def pretraining_model():
    return make_pretraining_model()


@pytest.fixture(scope='session')
def checkpoint(pretraining_model, tmp_path_factory) -> Path:
    """A file in MMPretrain's layout."""
    path = tmp_path_factory.mktemp('weights') / 'beitv2.pth'
    torch.save(dict(state_dict=pretraining_model.state_dict()), path)
    return path


@pytest.fixture
def build(checkpoint):
    """Build a backbone on the tiny checkpoint."""

    def _build(seed: int = 0, **options) -> VPTMBackbone:
        torch.manual_seed(seed)
        options.setdefault('encoder', ENCODER)
        options.setdefault('num_visual_tokens', NUM_VISUAL_TOKENS)
        options.setdefault('prompt_length', 3)
        options.setdefault(
            'init_cfg', dict(type='Pretrained', checkpoint=str(checkpoint))
        )
        return VPTMBackbone(**options)

    return _build


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(
        2, 3, 16, 16, generator=torch.Generator().manual_seed(1)
    )


@pytest.fixture
def log(monkeypatch) -> list[str]:
    """What is logged at info level."""
    lines: list[str] = []
    monkeypatch.setattr(MMLogger.get_current_instance(), 'info', lines.append)
    return lines
