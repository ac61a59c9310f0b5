"""A plan is read strictly; flags change what it says."""

import pytest

from vptm_mm.compare.plan import load_plan, shown
from vptm_mm.compare.search import PRESETS, Search

from .made_plan import CONFIGS, SHORT, load, shipped

LORA = 'baselines/lora_beitv2-tiny_digits.py'
AXES = {
    'cifar10-backbones': ['epochs', 'tokens', 'shots', 'ways'],
    'cifar10-full': ['epochs', 'tokens', 'shots', 'ways'],
    'digits-kshot': ['shots'],
    'digits': ['prompt_length', 'prompt_blocks', 'prototype_dim'],
    'fgvc': [],
    'mini': [],
    'vtab': [],
}


def test_the_shortest_plan(tmp_path):
    plan = load(tmp_path, SHORT)
    assert plan.name == 'plan'
    assert plan.seeds == 5
    assert plan.search_on == ''
    (method,) = plan.methods
    assert method.config == CONFIGS / 'vptm_beitv2-tiny_digits.py'
    assert method.search == PRESETS['grow']
    assert plan.datasets[0].config is None


def test_shipped_plans():
    files = (CONFIGS / 'compare').glob('*.yml')
    assert {path.stem for path in files} == set(AXES)
    for name, axes in AXES.items():
        plan = shipped(name, axes=axes)
        assert [axis.name for axis in plan.axes] == axes
        assert plan.methods


@pytest.mark.parametrize(
    ('name', 'kind'), [('digits', '-tiny_digits'), ('fgvc', '_cub')]
)
def test_all_baselines_are_compared(name, kind):
    baselines = set((CONFIGS / 'baselines').glob(f'*{kind}.py'))
    assert len(baselines) == 12
    assert baselines <= {method.config for method in shipped(name).methods}


def test_what_entries_may_say(tmp_path):
    text = """
search: {preset: grid, learning_rate: [1e-2, 5e-2]}
search_on: a
methods:
  a: vptm_beitv2-tiny_digits.py
  b: {config: vptm_beitv2-tiny_digits.py, search: fixed}
datasets: {a: {final: {a.b: 1}, group: g}, 9: {config: vptm_beitv2_cub.py}}
axes:
  size: {small: {a: 1, b: 2}, 9: {b: 4, a: 3}}
  x: {a: [1e3, b]}
"""
    plan = load(tmp_path, text, axes=['size', 'x'])
    a, b = plan.methods
    assert a.search == Search((0.01, 0.05))
    assert b.search == PRESETS['fixed']
    assert plan.search_on == 'a'
    first, second = plan.datasets
    assert (first.final, first.group) == ({'a.b': 1}, 'g')
    assert (second.name, second.config.name) == ('9', 'vptm_beitv2_cub.py')
    size, x = plan.axes
    assert size.values == {'small': dict(a=1, b=2), '9': dict(a=3, b=4)}
    assert x.values == {'1000.0': {'a': 1000.0}, 'b': {'a': 'b'}}


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
    ('text', 'error'),
    [
        ('', 'the plan must be a mapping with the keys name, seeds'),
        ('methods: {}\ndatasets: {a: {}}', 'the plan is empty: methods: has'),
        (SHORT.replace('digits:\n', ''), 'the plan is empty: datasets: has'),
        (SHORT + 'sedes: 3', "keys name, seeds.*, and has {'sedes'}"),
        (SHORT + 'seeds: 0', 'seeds=0 must be a number >= 1'),
        (SHORT + 'search: bayes', "unknown preset 'bayes'"),
        (SHORT + '  more: {cfg: 1}', "data set 'more' must be .* has {'cfg'}"),
        (SHORT + 'a: [', 'is not YAML'),
        ('methods: {a: {}}\ndatasets: {a: {}}', "method 'a' has no config"),
        (
            SHORT.replace('VPTM: ', 'a: {own_model: 1, config: ').replace(
                '.py', '.py}'
            ),
            "method 'a': own_model=1 must be true or false",
        ),
        (SHORT + 'cfg_options: [a]', r"cfg_options=\['a'\] must map keys"),
        ('methods: {a: 3}\ndatasets: {a: {}}', "method 'a' must be a mapping"),
        ('_base_: a.yml\nsearch: {preset: tpe}', 'You may set `_delete_=True'),
    ],
)
def test_wrong_plans(tmp_path, text, error):
    (tmp_path / 'a.yml').write_text('search: grow')
    with pytest.raises(ValueError, match=f'plan.yml.*{error}'):
        load(tmp_path, text)


@pytest.mark.parametrize(
    ('axes', 'error'),
    [
        ('{y: {a: [1]}}', "unknown axis 'x'; the plan has y"),
        ('{x: 3}', "axis 'x': 3 must be one dotted key"),
        ('{x: {a: []}}', 'must be one dotted key'),
        ('{x: {s: {a: 1}, l: {b: 1}}}', 'for each label the same keys, as'),
        (
            '{methods: [LoRA], x: {a: [1]}}',
            "unknown method of axes 'LoRA'; the plan has VPTM",
        ),
    ],
)
def test_wrong_axes(tmp_path, axes, error):
    with pytest.raises(ValueError, match=error):
        load(tmp_path, f'{SHORT}axes: {axes}', axes=['x'])


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
    with pytest.raises(FileNotFoundError, match="data set 'no': no config at"):
        load(tmp_path, SHORT, datasets=['no'])


def test_methods_and_data_sets_are_chosen_by_name_or_file(tmp_path):
    text = SHORT + 'search: vpt'
    names = [LORA, 'VPTM']
    data = ['digits', 'vptm_beitv2_cub.py']
    plan = load(tmp_path, text, methods=names, datasets=data)
    assert [m.name for m in plan.methods] == [
        'lora_beitv2-tiny_digits',
        'VPTM',
    ]
    assert plan.methods[0].search == PRESETS['vpt']
    assert [one.name for one in plan.datasets] == ['digits', data[1][:-3]]
    assert plan.datasets[1].config == CONFIGS / data[1]
    with pytest.raises(ValueError, match='have one name; rename one'):
        load(tmp_path, text, methods=[LORA, f'my/{LORA}'])


def test_axes_compare_their_methods_or_the_chosen_ones():
    plan = shipped('digits', axes=['prototype_dim'])
    assert [m.name for m in plan.methods] == ['VPTM', 'VPT, shallow']
    assert [axis.name for axis in plan.axes] == ['prototype_dim']
    plan = shipped('digits', axes=['prompt_length'], methods=[LORA, 'VPTM'])
    names = [m.name for m in plan.methods]
    assert names == ['lora_beitv2-tiny_digits', 'VPTM']


def test_searches_that_are_changed(tmp_path):
    text = 'search: vpt\nmethods:\n  VPTM: vptm_beitv2-tiny_digits.py\n'
    text += '  untrained:\n    config: vptm_beitv2-tiny_digits.py\n'
    text += '    search: fixed\ndatasets: {digits: }'

    def searches(**changes):
        return [m.search for m in load(tmp_path, text, **changes).methods]

    vpt, fixed = PRESETS['vpt'], PRESETS['fixed']
    # What alone is not searched, as a method without training, stays so; the
    # rest of a search does, too.
    trained, untrained = searches(learning_rates=[5.0, 1.0])
    assert trained.learning_rate == (5.0, 1.0)
    assert trained.weight_decay == vpt.weight_decay
    assert untrained == fixed
    both = searches(search='grid', learning_rates=[5.0, 1.0])
    assert both == [Search((5.0, 1.0)), fixed]
    assert searches(search='fixed') == [fixed, fixed]


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (5, '5'),
        ([], 'none'),
        ([0, 1], '0, 1'),
        ((0, 1, 2, 3), '0-3'),
        ([0, 2, 4], '0, 2, 4'),
        ([0.5, 1.5, 2.5], '0.5, 1.5, 2.5'),
    ],
)
def test_values_as_tick_labels(value, text):
    assert shown(value) == text
