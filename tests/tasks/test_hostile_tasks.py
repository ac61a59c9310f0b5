"""What a task file describes is data: no file of it reaches anything else."""

import copy
import dataclasses
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from vptm_mm.tasks import load_classifier, read_task
from vptm_mm.tasks import task as tasks
from vptm_mm.weights.checkpoint_file import TASK_KEY

from ..fuzzing import fuzz
from ..made_tasks import make_classifier, task_of


@pytest.fixture(scope='module')
def task(checkpoint):
    return task_of(make_classifier(checkpoint))


def changed(task, part, **options):
    """The same task with other options of its backbone, encoder or head."""
    name, _, inner = part.partition('.')
    cfg = copy.deepcopy(getattr(task, name))
    (cfg[inner] if inner else cfg).update(options)
    return dataclasses.replace(task, **{name: cfg})


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
    act_cfg = dict(act_cfg=dict(type=name))
    for part, options in (
        ('head', dict(type=name)),
        ('head', act_cfg),
        ('backbone', dict(type=name)),
        ('backbone.encoder', dict(type=name)),
        ('backbone.encoder', dict(layer_cfgs=[act_cfg])),
    ):
        with pytest.raises(
            ValueError, match=f"'{name}' in its {part}, which has no place"
        ):
            changed(task, part, **options)


@pytest.mark.parametrize('name', ['Albu', 'Albumentations'])
def test_transforms_that_call_other_packages(task, name):
    step = dict(type='RandomChoice', transforms=[[dict(type=name)]])
    for pipeline in ([dict(type=name)], [step]):
        with pytest.raises(ValueError, match=f"'{name}' in its pipeline, whi"):
            dataclasses.replace(task, pipeline=pipeline)


@pytest.mark.parametrize(
    ('part', 'options', 'message'),
    [
        ('head', dict(num_classes=10**5), 'num_classes=100000, and it names'),
        ('head', dict(prototype_dim=-1), 'a classifier that cannot be built'),
        ('head', dict(prototype_dim=9), '! head.verbalizer.prototypes'),
        ('head', dict(_scope_='mmdet'), "sets '_scope_' in its head, by whi"),
        ('head', dict(nonsense=1), 'a classifier that cannot be built'),
        ('backbone', dict(mask_grid=float('nan')), 'mask_grid=nan must be a'),
        ('backbone', dict(encoder=None), 'no backbone.encoder: None'),
        ('backbone.encoder', dict(type='Linear'), "'Linear' in its backbone"),
    ],
)
def test_what_cannot_be_built_is_refused(task, part, options, message):
    with pytest.raises(ValueError, match=message):
        load_classifier(changed(task, part, **options))


def test_nothing_of_a_task_is_evaluated(task, tmp_path):
    """MMPretrain runs the name of a type of numbers as code."""
    path = tmp_path / 'made'
    code = f'float32 if open({str(path)!r}, "w") else 0'
    step = dict(type='torchvision/ConvertImageDtype', dtype=code)
    with pytest.raises(ValueError, match='which must be the name of a type'):
        dataclasses.replace(task, pipeline=[step])
    assert not path.exists()


def test_nested_files(task):
    head = task.head
    for _ in range(2000):
        head = dict(num_classes=5, x=head)
    with pytest.raises(ValueError, match='is nested too deep'):
        dataclasses.replace(task, head=dict(task.head, x=head))


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


@fuzz(25)
@given(data=st.data())
def test_fuzzed_descriptions_are_built_or_refused(
    data, task, checkpoint, tmp_path_factory
):
    """With a right digest: somebody made the file so."""
    path = tmp_path_factory.getbasetemp() / 'fuzzed.safetensors'
    content = dict(
        model=dict(backbone=task.backbone, head=task.head),
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
    digest = tasks._sha256(text, task.tensors)
    metadata = {TASK_KEY: json.dumps(dict(content, sha256=digest))}
    save_file(task.tensors, path, metadata)
    try:
        read = read_task(path)
        model = load_classifier(read, weights=str(checkpoint))
    except ValueError as error:
        assert any(  # noqa: PT017
            word in str(error) for word in ('task', 'prompt', 'backbone')
        ), error
        return
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 16, 16)).shape == (1, 5)
