"""Other devices, proved without one.

``Elsewhere`` is a device with values: passes, runs and files give there what
they give on the CPU, nothing mixes the two, and no step waits for a value.
``FakeTensorMode`` is a GPU without values: it casts and refuses as CUDA does,
under ``autocast``, too. Where there is a GPU, both are compared with it.
"""

import copy
import json
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn
from torch._subclasses import FakeTensorMode

from vptm_mm import models
from vptm_mm.demo import classify_and_show, write_examples
from vptm_mm.exporting.exported_classifier import ExportedClassifier
from vptm_mm.models import PrototypeVerbalizerHead
from vptm_mm.nn import trainable_parameters
from vptm_mm.tasks import VPTMTaskPool, load_classifier
from vptm_mm.visualization.attention import attention_maps
from vptm_mm.visualization.images import to_pixels
from vptm_mm.visualization.predictions import pre_logits, predict
from vptm_mm.visualization.prototypes import prototypes_of
from vptm_mm.visualization.tokens import (
    build_untuned,
    count_tokens,
    find_examples,
)

from .conftest import ARCH, ENCODER, NUM_VISUAL_TOKENS, ROOT
from .elsewhere import DEVICE, Elsewhere
from .engine.made_digits import digits_runner
from .made_tasks import make_classifier, task_of
from .models.test_vqkd import tokenizer_config
from .verbs.test_predict import TASK
from .verbs.test_tools import run as run_tool
from .visualization.made_batches import make_batches

pytestmark = pytest.mark.filterwarnings(
    'ignore:.*copying from a non-meta parameter', 'ignore:.*torch.cuda.amp'
)
DTYPES = [None, torch.float16]  # None without autocast
DEEP = dict(prompt_length=3, prompt_blocks=(0, 1, 2))
LOGITS = dict(visual_token='logits', num_visual_tokens=NUM_VISUAL_TOKENS)
BACKBONES = {
    'after cls': ('VPTMBackbone', dict(prompt_location='after_cls')),
    'late': ('VPTMBackbone', dict(prompt_blocks=(2,), mask_grid=2)),
    'deep': ('VPTMBackbone', dict(**DEEP, mask_bias='cls')),
    'no prompts': ('VPTMBackbone', dict(prompt_length=0, mask_bias='zero')),
    'logits': ('VPTMBackbone', LOGITS),
    'bfloat16': ('VPTMBackbone', dict(dtype='bfloat16')),
    'plain': ('VPTMBackbone', dict(speedups=())),
    'fused': ('VPTMBackbone', dict(speedups=('fused_attention',))),
    'grad-CAM': ('GradCAMBackbone', dict()),
    'VPT': ('VPTBackbone', dict(**DEEP, readout='patches', pool_grid=2)),
    'GateVPT': ('GateVPTBackbone', dict()),
    'LoRA': ('LoRABackbone', dict()),
    'AdaptFormer': ('AdaptFormerBackbone', dict()),
    'full': ('FineTunedBackbone', dict(tuned='all')),
    'linear': ('FrozenFeatures', dict(readout='patches')),
    'block': ('BlockFeatures', dict(block=1)),
}
TASKS = {
    'shallow': dict(prompt_length=3),
    'deep': dict(**DEEP, mask_bias='cls'),
    'late': dict(prompt_length=2, prompt_blocks=(2,), mask_grid=2),
    'none': dict(prompt_length=0, visual_token='logits'),
}
MIXED = [[*TASKS], 'deep', 'late', 'none']  # tasks of four images


@pytest.fixture(params=[DEVICE, pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request):
    return request.param


def on(device):
    return Elsewhere() if device == DEVICE else nullcontext()


def compare(use, device, tolerance=1e-4) -> None:
    """Compare what ``use`` returns on the CPU and on a device."""
    expected = use('cpu')
    with on(device):
        found = use(device)
    # A GPU rounds the numbers of a convolution.
    tolerance = max(tolerance, 5e-3 * (device == 'cuda'))
    for ours, wanted in zip(found, expected, strict=True):
        ours, wanted = torch.as_tensor(ours), torch.as_tensor(wanted)
        scale = wanted.nan_to_num().abs().max().clamp(min=1e-3).item()
        torch.testing.assert_close(
            ours, wanted, atol=tolerance * scale, rtol=0, equal_nan=True
        )


@contextmanager
def no_waiting(device):
    """What a step does must not wait for a value."""
    with on(device) as mode:
        count = len(mode.waits) if mode else 0
        yield
        assert not mode or not mode.waits[count:]


@contextmanager
def fake_gpu(amp):
    """A GPU without values; torch's own ``autocast`` asks for a real one."""
    if torch.__version__.startswith('2.6.'):
        pytest.skip('torch 2.6 asks CUDA for a stream')
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    before = torch.get_autocast_dtype('cuda')
    torch.set_autocast_enabled('cuda', amp is not None)
    torch.set_autocast_dtype('cuda', amp or before)
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        torch.set_autocast_enabled('cuda', False)
        torch.set_autocast_dtype('cuda', before)
        torch.__future__.set_overwrite_module_params_on_conversion(False)


def on_gpu(*tensors) -> bool:
    return all(tensor.device.type == 'cuda' for tensor in tensors)


@pytest.fixture
def init_cfg(checkpoint):
    return dict(type='Pretrained', checkpoint=str(checkpoint))


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(4, 3, 16, 16, generator=generator)


@pytest.fixture(params=BACKBONES)
def classifier(request, init_cfg):
    """A backbone, and a head on whatever it returns."""
    torch.manual_seed(0)
    name, options = BACKBONES[request.param]
    backbone = getattr(models, name)(ENCODER, init_cfg=init_cfg, **options)
    width = 16 * 16 if request.param == 'block' else backbone.out_channels
    head = PrototypeVerbalizerHead(
        *(5, width, 8), instance_loss_weight=0.5, learnable_temperature=True
    )
    return nn.ModuleList([backbone, nn.Flatten(), head])


def step(classifier, images):
    """Predicted scores, losses of plain and of mixed labels, features."""
    backbone, flat, head = classifier
    feats = (flat(backbone(images)[-1]),)
    labels = [DataSample().set_gt_label(i % 2) for i in range(4)]
    labels = [sample.to(images.device) for sample in labels]
    losses = head.loss(feats, labels)
    scores = [sample.pred_score for sample in head.predict(feats, labels)]
    return torch.stack(scores), sum(losses.values()), feats[-1]


def test_values_and_gradients(classifier, images, device):
    def use(device):
        model = copy.deepcopy(classifier).to(device)
        inputs = images.to(device)
        with no_waiting(device):
            scores, loss, feats = step(model, inputs)
            loss.backward()
        tuned = trainable_parameters(model).values()
        gradients = [p.grad for p in tuned if p.grad is not None]
        found = (scores, loss, feats, *gradients)
        return [tensor.detach().cpu() for tensor in found]

    # CPUs have a kernel of their own, which rounds otherwise.
    narrow = classifier[0].encoder.cls_token.dtype is torch.bfloat16
    compare(use, device, 0.1 if narrow else 1e-4)


@pytest.mark.parametrize('amp', DTYPES)
def test_a_gpu_without_values(classifier, images, amp):
    with fake_gpu(amp):
        scores, loss, _ = step(classifier.to('cuda'), images.to('cuda'))
        assert on_gpu(scores, loss)
        assert scores.dtype == loss.dtype == torch.float32


def test_mixed_labels(device):
    torch.manual_seed(0)
    head = PrototypeVerbalizerHead(
        *(5, 16, 8),
        instance_loss_weight=0.5,
        loss=dict(type='CrossEntropyLoss', use_soft=True),
    )
    feats, shares = torch.randn(4, 16), torch.eye(5)[[0, 1, 0, 1]]
    shares[3] = 0.2

    def use(device):
        samples = [DataSample().set_gt_score(s).to(device) for s in shares]
        losses = (
            copy.deepcopy(head).to(device).loss((feats.to(device),), samples)
        )
        return [loss.detach().cpu() for loss in losses.values()]

    compare(use, device)


@pytest.fixture
def pool(checkpoint, init_cfg):
    pool = VPTMTaskPool(ENCODER, NUM_VISUAL_TOKENS, init_cfg)
    for name, options in TASKS.items():
        pool.add(task_of(make_classifier(checkpoint, **options)), name)
    return pool


def test_a_pool(pool, images, device):
    def use(device):
        moved, inputs = copy.deepcopy(pool).to(device), images.to(device)
        with no_waiting(device):
            results = moved(inputs, MIXED)
        return [s.cpu() for one in results for s in one.values()]

    compare(use, device)


@pytest.mark.parametrize('amp', DTYPES)
def test_a_pool_on_a_gpu_without_values(pool, images, amp):
    with fake_gpu(amp):
        for scores in pool.to('cuda')(images.to('cuda'), MIXED):
            assert on_gpu(*scores.values())


def test_predictions_and_pictures_of_a_pool(pool, checkpoint, device):
    """As tools/predict.py and tools/demo.py ask for them."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2, 20, 30, 3), 'uint8')
    later = task_of(make_classifier(checkpoint, seed=1))

    def use(device):
        moved = copy.deepcopy(pool).to(device)
        moved.add(later, 'later')
        ((_, _, pictures),) = classify_and_show(moved, ['deep'], pixels[0])
        results = moved.predict(list(pixels), [[*TASKS], ['later']])
        shares = [r['pred_scores'] for one in results for r in one.values()]
        return [*shares, np.asarray(pictures[1][0]) / 255.0]

    compare(use, device)


def test_tokenizers(init_cfg, images, device):
    """Fitted or trained, then asked for tokens."""
    teacher = dict(
        type='BlockFeatures', encoder=ENCODER, block=1, init_cfg=init_cfg
    )
    vqkd = MODELS.build(
        dict(
            type='VQKDDistiller',
            tokenizer=tokenizer_config(decay=0.9),
            decoder=dict(arch={**ARCH, 'num_layers': 1}),
            teacher=teacher,
            teacher_dims=16,
        )
    )
    groups = (
        models.PatchKMeansTokenizer(12, 4),
        models.FeatureKMeansTokenizer(12, teacher, 16, 4),
    )

    def use(device):
        found = []
        inputs = images.to(device)
        for tokenizer in copy.deepcopy(groups):
            tokenizer.to(device)
            tokenizer.fit([tokenizer.describe(inputs).flatten(0, 1)])
            assert tokenizer.is_fitted
            with no_waiting(device):
                found.append(tokenizer(inputs))
        model = copy.deepcopy(vqkd).to(device)
        torch.manual_seed(0)  # of the first entries
        for _ in range(2):
            losses = model.train()(inputs, [], mode='loss')
            sum(losses.values()).backward()
        model.eval()
        with no_waiting(device):
            found.append(model(inputs, []))
        found += [p.grad for p in trainable_parameters(model).values()]
        return [tensor.detach().cpu() for tensor in found]

    compare(use, device)
    tokenizer = vqkd.tokenizer.eval()
    tokenizer.quantize.embedding.initted.fill_(1)
    assert tokenizer.is_fitted
    with fake_gpu(torch.float16):
        assert on_gpu(tokenizer.to('cuda')(images.to('cuda')))


def test_pictures(checkpoint, device):
    model = make_classifier(checkpoint, **TASKS['late'])
    untuned = build_untuned(model, model._config)

    def use(device):
        one, two = (copy.deepcopy(m).to(device) for m in (model, untuned))
        inputs = one.data_preprocessor(make_batches()[0])['inputs']
        maps = attention_maps(one.backbone, inputs)
        said = predict(one, make_batches(), pre_logits)
        counts = count_tokens(one, two, make_batches(), 5)
        examples = find_examples(one, two, make_batches(), [0, 1])
        return [
            *(value for part in maps for value in vars(part).values()),
            *vars(said).values(),
            *(counts.before, counts.after, *examples.values()),
            *(prototypes_of(one), to_pixels(one, inputs)),
        ]

    compare(use, device)


@pytest.fixture
def runs_elsewhere(monkeypatch):
    monkeypatch.setattr('mmengine.runner.runner.get_device', lambda: DEVICE)
    with Elsewhere():
        yield


def test_a_training_run_with_all_hooks(runs_elsewhere, tmp_path):
    """Checkpoint, task file and states; the two say the same."""
    runner = digits_runner(
        tmp_path,
        custom_hooks=[
            dict(type='EMAHook', momentum=0.1),
            dict(type='PrefixCacheHook', views=2, folder=f'{tmp_path}'),
        ],
        **{
            'default_hooks.scalars.interval': 1,
            'train_dataloader.dataset.indices': 24,
            'train_dataloader.batch_size': 12,
            'val_dataloader.dataset.indices': 8,
            'test_dataloader.dataset.indices': 8,
            'model.backbone.prompt_blocks': (1,),
            'model.head.prototype_init': 'discriminant',
        },
    )
    runner.train()
    (best,) = tmp_path.glob('best_*.pth')
    away = load_classifier(runner.cfg, best, device=DEVICE)
    (task,) = tmp_path.glob('*.task.safetensors')
    here = load_classifier(runner.cfg, task, device='cpu')
    inputs = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        found = away(inputs.to(DEVICE)).cpu()
        torch.testing.assert_close(found, here(inputs), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match=f'float32 on {DEVICE}; export wri'):
        ExportedClassifier(away)


def test_a_pre_training_run_with_all_hooks(runs_elsewhere, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs/pretrain/beitv2-tiny_digits.py')
    report = cfg.default_hooks.report
    for loader in (
        cfg.train_dataloader,
        report.masked_tokens,
        report.visual_tokens,
        *report.linear_probes.linear_probe.values(),
    ):
        loader.update(batch_size=16)
        loader.dataset.update(indices=32)
    cfg.model.target_generator.num_visual_tokens = 20
    cfg.model.head.num_embed = 20
    cfg.train_cfg.max_epochs = 1
    cfg.work_dir = str(tmp_path)
    Runner.from_cfg(cfg).train()
    for name in ('masked_token_accuracy', 'visual_tokens', 'linear_probe'):
        assert json.loads((tmp_path / f'{name}.json').read_text())
    assert (tmp_path / 'beitv2-tiny_digits.pth').is_file()


@pytest.mark.gpu
@pytest.mark.parametrize('dtype', [None, 'float16', 'bfloat16'])
@pytest.mark.parametrize('frozen', ['float32', 'bfloat16'])
def test_a_training_run_on_a_gpu(tmp_path, dtype, frozen):
    """As tools/train.py runs it, with and without ``--amp``."""
    options = {'model.backbone.dtype': frozen}
    if dtype is not None:
        options['optim_wrapper.type'] = 'AmpOptimWrapper'
        options['optim_wrapper.dtype'] = dtype
    runner = digits_runner(tmp_path, **options)
    runner.train()
    assert on_gpu(*runner.model.parameters())
    assert list(tmp_path.glob('*.task.safetensors'))


@pytest.mark.gpu
def test_predict_on_a_gpu(tmp_path):
    write_examples(tmp_path)
    tables = []
    for name in ('cpu', 'cuda'):
        where = ('--device', name, '--format', 'json', '--out', f'{name}.json')
        run_tool('predict.py', '.', '--task', TASK, *where, cwd=tmp_path)
        text = (tmp_path / f'{name}.json').read_text()
        tables.append(json.loads(text)['predictions'])
    for here, there in zip(*tables, strict=True):
        (one,), (other,) = here.pop('top'), there.pop('top')
        assert (here, one['class']) == (there, other['class'])
        assert abs(one['confidence'] - other['confidence']) < 0.01
