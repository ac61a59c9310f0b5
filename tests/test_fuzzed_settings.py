"""Any --cfg-options and any plan is taken or refused by a text of ours."""

import copy

import yaml
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config

from vptm_mm.compare.plan import load_plan
from vptm_mm.engine.cfg_options import merge_cfg_options

from .conftest import ROOT
from .fuzzing import fuzz

CONFIGS = ROOT / 'configs'
CFG = Config.fromfile(CONFIGS / 'vptm_beitv2-tiny_digits.py')
COMPARE = CONFIGS / 'compare'
PLANS = [
    yaml.safe_load(path.read_text().replace('_base_: ', f'_base_: {COMPARE}/'))
    for path in sorted(COMPARE.glob('*.y*ml'))
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=5,
)


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


@fuzz(200)
@given(options=st.dictionaries(KEYS, VALUES, max_size=2))
def test_fuzzed_options(options):
    cfg = copy.deepcopy(CFG)
    try:
        merge_cfg_options(cfg, options)
    except ValueError as error:
        assert '--cfg-options' in str(error)  # noqa: PT017


@fuzz(200)
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


@fuzz(100)
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
