"""Compares methods: a plan, its runs as trials of Optuna, tables and plots."""

from importlib.util import find_spec

_missing = [name for name in ('optuna', 'pandas') if find_spec(name) is None]
if _missing:
    raise ImportError(
        f'vptm compare needs {" and ".join(_missing)}. Run: pip install '
        "'vptm_mm[sweep]'"
    )
