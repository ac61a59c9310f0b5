"""What of a plan is compared: methods, data sets and axes by name."""

import pytest

from vptm_mm.compare.plan_file import load_plan
from vptm_mm.compare.search import PRESETS

from .made_plan import CONFIGS, SHORT, load

LORA = 'baselines/lora_beitv2-tiny_digits.py'


def test_methods_are_chosen_by_name_or_file(tmp_path):
    plan = load(tmp_path, SHORT)
    names = [LORA, 'VPTM']
    chosen = plan.select_methods(names, (CONFIGS,))
    assert [m.name for m in chosen.methods] == [
        'lora_beitv2-tiny_digits',
        'VPTM',
    ]
    with pytest.raises(
        FileNotFoundError, match="'VPTN', the plan has VPTM: no"
    ):
        plan.select_methods(['VPTN'], (CONFIGS,))
    assert len(plan.select_methods(['VPTM', 'VPTM'], ()).methods) == 1
    copy = tmp_path / 'VPTM.py'
    copy.touch()
    with pytest.raises(ValueError, match="method 'VPTM' is there twice; ren"):
        plan.select_methods(['VPTM', str(copy)], (tmp_path,))


def test_an_added_method_has_the_search_of_the_plan(tmp_path):
    plan = load(tmp_path, SHORT + 'search: vpt')
    (method,) = plan.select_methods([LORA], (CONFIGS,)).methods
    assert method.search == plan.methods[0].search == PRESETS['vpt']
    plan = load(tmp_path, SHORT)
    (method,) = plan.select_methods([LORA], (CONFIGS,)).methods
    assert method.search == PRESETS['grow']


def test_axes_compare_the_chosen_methods():
    plan = load_plan(CONFIGS / 'compare' / 'digits.yml', CONFIGS)
    along = plan.select_methods([LORA, 'VPTM'], (CONFIGS,))
    names = [m.name for m in along.along(['prompt_length']).methods]
    assert names == ['lora_beitv2-tiny_digits', 'VPTM']


def test_data_sets_are_chosen_by_name(tmp_path):
    plan = load(tmp_path, SHORT)
    assert plan.select_datasets(['digits'], ()) == plan
    with pytest.raises(
        FileNotFoundError, match="data set 'digit', the plan has digits"
    ):
        plan.select_datasets(['digit'], (CONFIGS,))


def test_a_config_may_be_a_data_set(tmp_path):
    names = ['digits', 'vptm_beitv2_cub.py']
    chosen = load(tmp_path, SHORT).select_datasets(names, (CONFIGS,))
    assert [data.name for data in chosen.datasets] == ['digits', names[1][:-3]]
    assert chosen.datasets[1].config == CONFIGS / names[1]


def test_axes_are_chosen_by_name():
    plan = load_plan(CONFIGS / 'compare' / 'cifar10.yml', CONFIGS)
    along = plan.along(['prototype_dim'])
    assert [m.name for m in along.methods] == ['VPTM', 'VPT, shallow']
    assert [axis.name for axis in along.axes] == ['prototype_dim']
    with pytest.raises(ValueError, match="axis 'depth'; the plan has prompt_"):
        plan.along(['depth'])
