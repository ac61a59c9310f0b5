"""A plan is read strictly: each mistake is named."""

import pytest

from vptm_mm.compare.plan_file import load_plan, shown
from vptm_mm.compare.search import PRESETS

from .made_plan import CONFIGS, SHORT, load

PLANS = sorted((CONFIGS / 'compare').glob('*.yml'))


def test_the_shortest_plan(tmp_path):
    plan = load(tmp_path, SHORT)
    assert plan.name == 'plan'
    assert plan.seeds == 5
    (method,) = plan.methods
    assert method.config == CONFIGS / 'vptm_beitv2-tiny_digits.py'
    assert method.search == PRESETS['grow']
    assert plan.datasets[0].config is None


def test_shipped_plans_are_found():
    assert [path.name for path in PLANS] == [
        'cifar10-backbones.yml',
        'cifar10-full.yml',
        'cifar10-kshot.yml',
        'cifar10-round3-kshot.yml',
        'cifar10-round3.yml',
        'cifar10.yml',
        'digits-kshot.yml',
        'digits.yml',
        'fgvc.yml',
        'one-setting.yml',
        'vtab.yml',
    ]


def test_options_of_final_runs(tmp_path):
    text = SHORT.replace('digits:', 'digits: {final: {a.b: 1}}')
    assert load(tmp_path, text).datasets[0].final == {'a.b': 1}
    with pytest.raises(ValueError, match="'digits': final=3 must map names"):
        load(tmp_path, SHORT.replace('digits:', 'digits: {final: 3}'))


def test_values_of_an_axis_with_labels(tmp_path):
    text = SHORT + 'axes: {size: {small: {a: 1, b: 2}, 9: {b: 4, a: 3}}}'
    (axis,) = load(tmp_path, text).axes
    assert axis.values == {'small': dict(a=1, b=2), '9': dict(a=3, b=4)}
    assert axis.keys == ('a', 'b')


@pytest.mark.parametrize('path', PLANS, ids=lambda path: path.name)
def test_shipped_plans(path):
    plan = load_plan(path, CONFIGS)
    axes = [axis.name for axis in plan.axes]
    if path.name in ('cifar10-backbones.yml', 'cifar10-full.yml'):
        assert len(plan.methods) == 8
        assert axes == ['epochs', 'tokens', 'shots', 'ways']
        return
    assert len(plan.methods) >= 10
    if path.name in ('fgvc.yml', 'vtab.yml', 'one-setting.yml'):
        assert axes == []
        return
    if 'kshot' in path.name:
        assert axes == ['shots']
        left_out = 'round3' in path.name
        assert (len(plan.axes_methods) < len(plan.methods)) == left_out
    else:
        lines = ['prompt_length', 'prompt_blocks', 'prototype_dim']
        more = ['tokens', 'labels']
        assert axes == (more if 'round3' in path.name else lines)
        assert plan.axes_methods == ('VPTM', 'VPT, shallow')


@pytest.mark.parametrize(
    ('name', 'kind'), [('digits', '-tiny_digits'), ('fgvc', '_cub')]
)
def test_all_baselines_are_compared(name, kind):
    plan = load_plan(CONFIGS / 'compare' / f'{name}.yml', CONFIGS)
    baselines = set((CONFIGS / 'baselines').glob(f'*{kind}.py'))
    assert len(baselines) == 12
    assert baselines <= {method.config for method in plan.methods}


def test_a_plan_is_merged_into_its_base(tmp_path):
    more = 'name: base\nseeds: 3\nsearch: vpt\naxes: {x: {a: [1]}}'
    (tmp_path / 'below').mkdir()
    (tmp_path / 'base.yml').write_text(SHORT + more)
    (tmp_path / 'below' / 'middle.yml').write_text('_base_: ../base.yml')
    plan = load(tmp_path, '_base_: below/middle.yml\ndatasets: {cub: }\naxes:')
    assert plan.name == 'plan'  # a study of its own
    assert plan.seeds == 3
    assert plan.methods[0].search == PRESETS['vpt']
    assert [data.name for data in plan.datasets] == ['digits', 'cub']
    assert plan.axes == ()
    text = """
_base_: base.yml
search: {_delete_: true, preset: fixed}
datasets: {_delete_: true, cub: }
methods:
  a: {config: vptm_beitv2_cub.py, cfg_options: {model.head: {_delete_: true}}}
"""
    plan = load(tmp_path, text)
    assert [data.name for data in plan.datasets] == ['cub']
    assert [method.name for method in plan.methods] == ['VPTM', 'a']
    # That is for the config, not for the plan.
    assert plan.methods[1].cfg_options == {'model.head': {'_delete_': True}}


@pytest.mark.parametrize(
    ('base', 'text', 'error'),
    [
        ('a.yml', 'sedes: 3', "plan.yml: the plan: unknown key 'sedes'"),
        ('a.yml', 'search: grow', 'You may set `_delete_=True`'),
    ],
)
def test_wrong_bases(tmp_path, base, text, error):
    (tmp_path / 'a.yml').write_text(text)
    with pytest.raises(ValueError, match=error):
        load(tmp_path, f'_base_: {base}\nsearch: {{preset: tpe}}')


def test_numbers_may_be_written_as_in_python(tmp_path):
    text = SHORT + 'search: {preset: grid, learning_rate: [1e-2, 5e-2]}'
    plan = load(tmp_path, text + '\naxes: {x: {a: [1e3, b]}}')
    assert plan.search.learning_rate == (0.01, 0.05)
    assert plan.axes[0].values == {'1000.0': {'a': 1000.0}, 'b': {'a': 'b'}}


def test_a_method_may_have_its_own_search(tmp_path):
    text = """
search: vpt
methods:
  a: vptm_beitv2-tiny_digits.py
  b: {config: vptm_beitv2-tiny_digits.py, search: fixed}
datasets: {digits: {}}
"""
    a, b = load(tmp_path, text).methods
    assert a.search == PRESETS['vpt']
    assert b.search == PRESETS['fixed']


def test_one_data_set_may_choose_for_all(tmp_path):
    assert load(tmp_path, SHORT).search_on == ''
    plan = load(tmp_path, SHORT + 'search_on: digits')
    assert plan.search_on == 'digits'


@pytest.mark.parametrize(
    ('text', 'error'),
    [
        ('', 'the plan must be a mapping with the keys name, seeds'),
        (SHORT + 'search_on: [a, b]', r"search_on=\['a', 'b'\] must be one n"),
        ('methods: {}\ndatasets: {a: {}}', 'the plan is empty: methods: has'),
        (SHORT.replace('digits:\n', ''), 'the plan is empty: datasets: has'),
        (SHORT + 'sedes: 3', "unknown key 'sedes'; keys are name, seeds"),
        (SHORT + 'seeds: 0', 'seeds=0 must be a number >= 1'),
        (SHORT + 'search: bayes', "unknown preset 'bayes'"),
        (SHORT + '  more: {cfg: 1}', "data set 'more': unknown key 'cfg'"),
        (SHORT + 'cfg_options: 3', 'cfg_options=3 must map names'),
        (SHORT + 'a: [', 'plan.yml is not YAML'),
        ('methods: {a: {}}\ndatasets: {a: {}}', "method 'a' has no config"),
        ('methods: {a: 3}\ndatasets: {a: {}}', "method 'a' must be a mapping"),
        (
            SHORT + 'axes: {methods: [LoRA]}',
            "axes: unknown method 'LoRA'; the plan has VPTM",
        ),
        (SHORT + 'axes: {lr/wd: {a: [1]}}', "axis 'lr/wd' is a part of names"),
        (SHORT + 'axes: {length: 3}', "axis 'length': 3 must be one dotted"),
        (SHORT + 'axes: {x: {a: []}}', 'must be one dotted key'),
        (
            SHORT + 'axes: {x: {1: {a: 1, b: 1}, 2: {a: 2}}}',
            "axis 'x': '2' does not set b, as others do",
        ),
    ],
)
def test_wrong_plans(tmp_path, text, error):
    with pytest.raises(ValueError, match=error):
        load(tmp_path, text)


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='no plan at .*none.yml; see'):
        load_plan(tmp_path / 'none.yml', CONFIGS)
    base = 'plan.yml: .*none.yml" does not exist'
    with pytest.raises(FileNotFoundError, match=base):
        load(tmp_path, '_base_: none.yml')
    wrong = SHORT.replace('digits.py', 'digit.py')
    near = r'and vptm_mm has none of this name \(near: vptm_beitv2-tiny_dig'
    with pytest.raises(FileNotFoundError, match=near):
        load(tmp_path, wrong)
    text = SHORT.replace('digits:', 'digits: {config: none.py}')
    with pytest.raises(
        FileNotFoundError, match="data set 'digits': no config at"
    ):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        (SHORT + 'axes: [a]', r"the plan: axes=\['a'\] must map names"),
        (SHORT + 'search: [grow]', r"search: unknown preset \['grow'\]"),
        (SHORT + 'name: 3', 'the plan: name=3 must be one name'),
        (
            SHORT.replace('digits:', 'digits: {config: [a]}'),
            r"data set 'digits': config=\['a'\] must be one name",
        ),
        (
            'methods: {A: {config: [x]}}\ndatasets: {digits: }',
            r"method 'A': config=\['x'\] must be one name",
        ),
    ],
)
def test_values_of_the_wrong_kind_are_named(tmp_path, text, said):
    with pytest.raises(ValueError, match=f'plan.yml: {said}'):
        load(tmp_path, text)


def test_a_blank_name_is_that_of_the_file(tmp_path):
    assert load(tmp_path, SHORT + 'name:').name == 'plan'


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (5, '5'),
        ([0], '0'),
        ([], 'none'),
        ([0, 1], '0, 1'),
        ((0, 1, 2, 3), '0-3'),
        ([0, 2, 4], '0, 2, 4'),
        ('cls', 'cls'),
        (['cls', 'avg', 'max'], 'cls, avg, max'),
        ([0.5, 1.5, 2.5], '0.5, 1.5, 2.5'),
    ],
)
def test_values_as_tick_labels(value, text):
    assert shown(value) == text
