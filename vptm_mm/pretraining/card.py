"""The card of a pre-trained backbone: where it comes from, how good it is."""

import json
from pathlib import Path
from typing import Any

from ..report.run_folder import read_run
from ..weights import write_whole
from ..weights.download import file_sha256
from ..weights.encoder_config import encoder_config

REPORTS = (
    'masked_token_accuracy.json',
    'visual_tokens.json',
    'linear_probe*.json',
)


def write_card(folder: Path, export: str, made: dict[str, Any]) -> Path:
    """Write ``card.md`` beside a backbone, from what its run has left.

    Args:
        folder: Work dir of the run.
        export: Name of the file of the backbone.
        made: What the run does not know of itself, by name.

    Returns:
        The path of the card.

    Raises:
        FileNotFoundError: If there is no run in the folder.
        ValueError: If the file is not a backbone.
    """
    run = read_run(folder)
    record = run.record
    path = folder / export
    rows = {
        'file': f'{export}, {path.stat().st_size / 1e6:.2f} MB',
        'sha256': file_sha256(path),
        **_describe_encoder(path),
        **made,
        'images': record.get('images', {}).get('train'),
        'folder': record.get('folders', {}).get('train'),
        'command': f'`{record.get("command")}`',
        'seed': record.get('seed'),
        'started': record.get('started'),
        'starts': len(run.sessions),
        'iterations': max(
            (i for i, _ in run.scalars.get('time', [])), default=0
        ),
        'hours of iterations': _hours(run.scalars),
        'device': f'{record.get("device")}, {record.get("processes")} process',
        'versions': _join(record.get('versions', {})),
        'commit': record.get('commit'),
    }
    for pattern in REPORTS:
        for report in sorted(folder.glob(pattern)):
            rows[report.stem.replace('_', ' ')] = _join(
                json.loads(report.read_text())
            )
    lines = [f'# {path.stem}', '', '| | |', '|---|---|']
    lines += [f'| {name} | {value} |' for name, value in rows.items()]
    card = folder / 'card.md'
    write_whole(card, '\n'.join(lines) + '\n')
    return card


def _describe_encoder(path: Path) -> dict[str, str]:
    encoder, known = encoder_config(path)
    arch, size = encoder['arch'], encoder['img_size']
    return {
        'architecture': f'{arch["num_layers"]} blocks, width '
        f'{arch["embed_dims"]}, {arch["num_heads"]} heads, patches of '
        f'{encoder["patch_size"]} px',
        'reads': f'images of {size} x {size} px, {known}',
    }


def _hours(scalars: dict[str, list]) -> str:
    """Time of the logged iterations; the log names a mean of each interval."""
    points = scalars.get('time', [])
    last, seconds = 0, 0.0
    for iteration, mean in points:
        seconds += (iteration - last) * mean
        last = iteration
    return f'{seconds / 3600:.2f}'


def _join(values: dict[str, Any]) -> str:
    return ', '.join(
        f'{name} {f"{value:.4g}" if isinstance(value, float) else value}'
        for name, value in values.items()
    )
