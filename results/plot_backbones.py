"""Plot what a predicted token is worth beside features of the same backbone.

python results/plot_backbones.py results/backbones_runs.csv docs/pictures

Reads runs of ``configs/compare/cifar10-backbones.yml`` along its axes, and
plots a panel for each axis: differences of test accuracy, seed by seed,
between two readouts by the same head.
"""

import csv
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from matplotlib.figure import Figure

from vptm_mm.visualization.style import OKABE_ITO, write_png

PAIRS = (
    ('[MASK]', '[CLS]'),
    ('[MASK]', 'patches'),
    ('2x2 [MASK]', '2x2 patches'),
)
TITLES = {
    'epochs': 'epochs of pre-training',
    'tokens': 'tokens that were predicted',
    'shots': 'labelled images of each class',
    'ways': 'classes',
}


def main() -> None:
    """Read the runs and plot them."""
    source, folder = map(Path, sys.argv[1:])
    tests: dict = defaultdict(lambda: defaultdict(dict))
    with source.open(newline='') as file:
        for run in csv.DictReader(file):
            if run['axis'] and run['test']:
                accuracy = tests[run['axis']][run['value'], run['method']]
                accuracy[run['seed']] = float(run['test'])
    figure = Figure(figsize=(9, 7), layout='constrained')
    panels = figure.subplots(2, 2, sharey=True).flat
    for panel, (axis, title) in zip(panels, TITLES.items(), strict=True):
        values = list(dict.fromkeys(value for value, _ in tests[axis]))
        if all(value.isdigit() for value in values):
            values.sort(key=int)
        for colour, (one, other) in zip(OKABE_ITO, PAIRS, strict=False):
            differences = [
                [
                    accuracy - tests[axis][value, other][seed]
                    for seed, accuracy in tests[axis][value, one].items()
                ]
                for value in values
            ]
            panel.errorbar(
                range(len(values)),
                [statistics.mean(part) for part in differences],
                yerr=[
                    statistics.stdev(part) / len(part) ** 0.5
                    for part in differences
                ],
                color=colour,
                marker='o',
                capsize=3,
                label=f'{one} - {other}',
            )
        panel.axhline(0, color='0.6', linewidth=0.8)
        labels = [value.replace(', ', '\n') for value in values]
        panel.set_xticks(range(len(values)), labels)
        panel.margins(x=0.12)
        panel.set_xlabel(title)
        panel.grid(color='0.92')
    figure.supylabel('difference in test top-1 (points)')
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc='outside upper center', ncols=3, frameon=False
    )
    write_png(figure, folder / 'backbones.png')


if __name__ == '__main__':
    main()
