"""The variables that Ray reads when it is imported."""

import os

ENVIRONMENT = {
    'RAY_USAGE_STATS_ENABLED': '0',
    # By default its workers leave the cores to other programs.
    'RAY_worker_niceness': '0',
}


def prepare_ray(**more: str) -> None:
    """Set the variables that the user has not set."""
    for name, value in {**ENVIRONMENT, **more}.items():
        os.environ.setdefault(name, value)
