"""What a task file describes is data: no file of it reaches anything else."""

import copy
import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from vptm_mm.tasks import VPTMTaskPool, classifier_of, read_task, task_file

from ..fuzzing import fuzz
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
        ('head', dict(num_classes=10**5), r'head .* not fit its tensors'),
        ('head', dict(prototype_dim=-1), 'a model.head that cannot be built'),
        ('head', dict(_scope_='mmdet'), "sets '_scope_', by which configs"),
        ('head', dict(nonsense=1), 'a model.head that cannot be built'),
        ('backbone', dict(mask_grid=float('nan')), 'mask_grid=nan must be a'),
        ('backbone', dict(encoder=None), 'no model.backbone.encoder: None'),
        ('backbone.encoder', dict(type='Linear'), "'Linear', which is not in"),
    ],
)
def test_what_cannot_be_built_is_refused(task, part, options, message):
    with pytest.raises(ValueError, match=message):
        classifier_of(changed(task, part, **options))


def test_a_pool_takes_no_head_of_another_size(task, checkpoint):
    pool = VPTMTaskPool(
        task.model['backbone']['encoder'],
        init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint)),
    )
    with pytest.raises(ValueError, match='does not fit its tensors'):
        pool.add(changed(task, 'head', num_classes=10**5), 'x')
    assert not pool.tasks


def test_nothing_of_a_task_is_evaluated(task, tmp_path):
    """MMPretrain runs the name of a type of numbers as code."""
    path = tmp_path / 'made'
    code = f'float32 if open({str(path)!r}, "w") else 0'
    step = dict(type='torchvision/ConvertImageDtype', dtype=code)
    with pytest.raises(ValueError, match='which must be the name of a type'):
        classifier_of(dataclasses.replace(task, pipeline=[step]))
    assert not path.exists()


def test_nested_files(task):
    model = copy.deepcopy(task.model)
    for _ in range(2000):
        model['head'] = dict(x=model['head'])
    with pytest.raises(ValueError, match='it is nested too deep'):
        classifier_of(dataclasses.replace(task, model=model))


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-100, 100)
    | st.just(2**70)
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
