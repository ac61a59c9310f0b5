"""A benchmark that starts servers."""

import csv

import pytest

from ..benchmarks.test_commands import run


@pytest.mark.needs('ray', 'fastapi', 'prometheus_client')
def test_a_server_under_load(tmp_path):
    """Batches of a server are mixed where its callers ask for many tasks."""
    quick = ('--quick', '--callers', 8, '--seconds', 1, '--rounds', 1)
    out = tmp_path / 'load.csv'
    run('serve', 'load', *quick, '--out', out)
    one, ten = csv.DictReader(out.read_text().splitlines())
    assert (one['tasks'], ten['tasks']) == ('1', '10')
    assert float(one['tasks in a batch']) == 1 < float(ten['tasks in a batch'])
    for row in (one, ten):
        assert float(row['images/s']) > 0
        assert float(row['p50 ms']) <= float(row['p99 ms'])
