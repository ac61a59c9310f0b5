"""Any option, plan or setting of a part is taken or refused by our text."""

import copy
import inspect
import math

import yaml
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from vptm_mm.compare.plan import load_plan
from vptm_mm.engine.cfg_options import merge_cfg_options
from vptm_mm.models import (
    AdaptedBackbone,
    AdaptFormerBackbone,
    BlockFeatures,
    FineTunedBackbone,
    FrozenFeatures,
    GateVPTBackbone,
    LoRABackbone,
    PrototypeVerbalizerHead,
    VPTBackbone,
    VPTMBackbone,
)

from .conftest import ENCODER, ROOT
from .fuzzing import fuzz

CONFIGS = ROOT / 'configs'
CFG = Config.fromfile(CONFIGS / 'vptm_beitv2-tiny_digits.py')
COMPARE = CONFIGS / 'compare'
PLANS = [
    yaml.safe_load(path.read_text().replace('_base_: ', f'_base_: {COMPARE}/'))
    for path in sorted(COMPARE.glob('*.y*ml'))
]


def values(integers):
    return st.recursive(
        st.none() | st.booleans() | integers | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
        ),
        max_leaves=5,
    )


VALUES = values(st.integers())
# A larger size would take the memory that it asks for.
SMALL = values(st.integers(-2, 4)) | st.sampled_from([2.0, 0.5, '0', '10'])
# Parts, and what they do not run without.
PARTS = {
    AdaptedBackbone: dict(encoder=ENCODER, readout=dict(type='ClsReadout')),
    AdaptFormerBackbone: dict(encoder=ENCODER),
    BlockFeatures: dict(encoder=ENCODER, block=0),
    FineTunedBackbone: dict(encoder=ENCODER, tuned='all'),
    FrozenFeatures: dict(encoder=ENCODER),
    GateVPTBackbone: dict(encoder=ENCODER),
    LoRABackbone: dict(encoder=ENCODER),
    PrototypeVerbalizerHead: dict(num_classes=3, in_channels=8),
    VPTBackbone: dict(encoder=ENCODER),
    VPTMBackbone: dict(encoder=ENCODER, visual_token='logits'),
}
OF_THE_HOST = ('cal_acc', 'init_cfg', 'loss', 'topk')
SETTINGS = [
    (part, name, needed.get(name, parameter.default))
    for part, needed in PARTS.items()
    for name, parameter in inspect.signature(part).parameters.items()
    if name not in OF_THE_HOST
]
KINDS = {float: (float, int), tuple: (list,)}


def keys(cfg, path=()):
    items = cfg.items() if isinstance(cfg, dict) else ()
    if isinstance(cfg, (list, tuple)):
        items = enumerate(cfg)
    for key, value in items:
        yield (*path, key)
        yield from keys(value, (*path, key))


KNOWN = sorted('.'.join(map(str, path)) for path in keys(CFG._cfg_dict))
KEYS = (
    st.sampled_from(KNOWN)
    | st.builds('{}.{}'.format, st.sampled_from(KNOWN), st.text(max_size=4))
    | st.text(max_size=8)
)


@fuzz(25)
@given(options=st.dictionaries(KEYS, VALUES, max_size=2))
def test_fuzzed_options(options):
    cfg = copy.deepcopy(CFG)
    try:
        merge_cfg_options(cfg, options)
    except ValueError as error:
        assert '--cfg-options' in str(error)  # noqa: PT017


@fuzz(50)
@given(setting=st.sampled_from(SETTINGS), value=SMALL)
def test_fuzzed_parts(setting, value):
    part, name, right = setting
    try:
        part(**{**PARTS[part], name: value})
    except (TypeError, ValueError) as error:
        assert name in str(error)  # noqa: PT017
    else:
        assert type(value) in KINDS.get(type(right), (type(right),))
        if isinstance(value, list):
            assert {type(one) for one in value} <= {type(right[0])}
        if isinstance(value, float):
            assert math.isfinite(value)


@fuzz(25)
@given(data=st.data())
def test_fuzzed_plans(data, tmp_path_factory):
    plan = copy.deepcopy(data.draw(st.sampled_from(PLANS)))
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(sorted(keys(plan), key=str)))
        node = plan
        for key in place[:-1]:
            node = node[key]
        node[place[-1]] = data.draw(VALUES)
    check_plan(yaml.safe_dump(plan), tmp_path_factory)


@fuzz(40)
@given(text=st.text())
def test_fuzzed_yaml(text, tmp_path_factory):
    check_plan(text, tmp_path_factory)


def check_plan(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / 'fuzzed.yaml'
    path.write_text(text, encoding='utf-8')
    try:
        load_plan(path, CONFIGS)
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert 'fuzzed.yaml' in text or 'there is no file' in text  # noqa: PT017
