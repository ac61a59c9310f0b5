"""Compares methods: search, final runs, tables and plots."""

try:
    import pandas  # noqa: F401
except ImportError as error:
    raise ImportError(
        f'tools/compare.py makes its tables with pandas ({error}). '
        "Run: pip install 'vptm_mm[sweep]'"
    ) from error
