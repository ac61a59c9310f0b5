"""What a task file describes is data: no file of it reaches anything else."""

import copy
import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from vptm_mm.checkpoints import (
    classifier_of,
    read_task,
    task_file,
    task_model,
    write_task,
)
from vptm_mm.models import VPTMTaskPool

from ..fuzzing import fuzz
from ..made_hostile import bombs, write_zip
from ..made_tasks import make_classifier, task_of


@pytest.fixture(scope='module')
def task(checkpoint):
    return task_of(make_classifier(checkpoint))


def changed(task, part, **options):
    model = copy.deepcopy(task.model)
    node = model
    for key in part.split('.'):
        node = node[key]
    node.update(options)
    return dataclasses.replace(task, model=model)


@pytest.mark.parametrize(
    'name',
    [
        'HuggingFaceClassifier',
        'ImageToImageRetriever',
        'LoRAModel',
        'Llava',
        'RAMOpenset',
        'TIMMBackbone',
        'CLIPGenerator',
    ],
)
def test_classes_that_do_more_than_compute(task, name):
    for part in ('head', 'backbone.encoder'):
        with pytest.raises(ValueError, match=f"'{name}' .*more than compute"):
            classifier_of(changed(task, part, type=name))
    for name in ('Albu', 'Albumentations'):
        hostile = dataclasses.replace(task, pipeline=[dict(type=name)])
        with pytest.raises(ValueError, match=f"'{name}' .*more than compute"):
            classifier_of(hostile)


@pytest.mark.parametrize(
    ('part', 'options', 'message'),
    [
        ('head', dict(num_classes=10**12), 'num_classes=1000000000000, and'),
        ('head', dict(num_classes=10**5), r'head .* not fit its tensors'),
        ('head', dict(prototype_dim=-1), 'a model.head that cannot be built'),
        ('head', dict(_scope_='mmdet'), "sets '_scope_', by which configs"),
        ('head', dict(nonsense=1), 'a model.head that cannot be built'),
        ('backbone', dict(prompt_length=10**6), 'there is 4,096'),
        ('backbone', dict(prompt_blocks=[10**9]), r'prompt_blocks=\[1000000'),
        ('backbone', dict(mask_grid=float('nan')), 'mask_grid=nan, and the'),
        ('backbone', dict(encoder=None), 'no model.backbone.encoder: None'),
        ('backbone.encoder', dict(img_size=16384), 'encoder of .* numbers; '),
        ('backbone.encoder.arch', dict(num_layers=10**6), 'there is 200'),
        ('backbone.encoder.arch', dict(embed_dims=10**9), 'there is 16,384'),
        ('backbone.encoder', dict(type='Linear'), "'Linear', which is not in"),
    ],
)
def test_absurd_sizes_are_refused(task, part, options, message):
    with pytest.raises(ValueError, match=message):
        classifier_of(changed(task, part, **options))


def test_a_pool_takes_no_absurd_head(task, checkpoint):
    pool = VPTMTaskPool(
        task.model['backbone']['encoder'],
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    with pytest.raises(ValueError, match='does not fit its tensors'):
        pool.add(changed(task, 'head', num_classes=10**5), 'x')
    pipeline = [dict(type='Resize', scale=[10**5, 10**5])]
    hostile = dataclasses.replace(task, pipeline=pipeline)
    with pytest.raises(ValueError, match='there is 4,096'):
        pool.add(hostile, 'x')
    assert not pool.tasks


def test_nested_and_crowded_files(task, tmp_path, monkeypatch):
    path = tmp_path / 'x.safetensors'
    model = copy.deepcopy(task.model)
    for _ in range(60):
        model['head'] = dict(x=model['head'])
    write_task(dataclasses.replace(task, model=model), path)
    with pytest.raises(ValueError, match='nested over 50 deep'):
        read_task(path)
    write_task(task, path)
    monkeypatch.setattr(task_file, 'MAX_TENSORS', 2)
    with pytest.raises(ValueError, match='it names 4 tensors; a task has few'):
        read_task(path)
    monkeypatch.setattr(task_file, 'MAX_HEADER', 10)
    with pytest.raises(ValueError, match='its header claims .* at most 10'):
        read_task(path)
    for name in ('storage', 'memo'):
        write_zip(path, bombs()[name])
        with pytest.raises(ValueError, match='is no readable task file'):
            read_task(path)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(['os.system', 'VPTMBackbone', 'LN', 'http://x/y', '/']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=8) | st.just('type'), inner)
    ),
    max_leaves=6,
)


def places(content, path=()):
    """Where something stands in a JSON object."""
    items = content.items() if isinstance(content, dict) else ()
    if isinstance(content, list):
        items = enumerate(content)
    for key, value in items:
        yield (*path, key)
        yield from places(value, (*path, key))


@fuzz(60)
@given(data=st.data())
def test_fuzzed_descriptions_are_built_or_refused(
    data, task, checkpoint, tmp_path_factory
):
    """With a right digest: somebody made the file so."""
    path = tmp_path_factory.getbasetemp() / 'fuzzed.safetensors'
    content = dict(
        model=task.model,
        classes=list(task.classes),
        data_preprocessor=task.data_preprocessor,
        pipeline=task.pipeline,
        frozen_sha256=task.frozen_sha256,
        version=task.version,
        format_version=1,
    )
    content = json.loads(json.dumps(content))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(sorted(places(content), key=str)))
        node = content
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = data.draw(VALUES)
    text = json.dumps(content)
    digest = task_file._sha256(text, task.tensors)
    metadata = {task_file.TASK_KEY: json.dumps(dict(content, sha256=digest))}
    save_file(task.tensors, path, metadata)
    try:
        read = read_task(path)
        model = classifier_of(read, weights=str(checkpoint))
    except ValueError as error:
        assert any(  # noqa: PT017
            word in str(error) for word in ('task', 'prompt', 'backbone')
        ), error
        return
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 5)


def test_limits_let_large_models_pass(task):
    """BEiT v2 large, ImageNet-21k, four masks that are read as logits."""
    for key, number in (
        ('num_classes', 21_841),
        ('in_channels', 4 * 8192),
        ('feedforward_channels', 6144),
        ('num_layers', 40),
        ('prompt_length', 200),
    ):
        task_model._require_modest(key, number, task_model.MAX_SIZE)
    large = dict(type='BEiTPretrainViT', arch='large', img_size=384)
    backbone = dict(task.model['backbone'], encoder=large)
    model = dict(task.model, backbone=backbone)
    task_model.require_small_encoder(dataclasses.replace(task, model=model))
