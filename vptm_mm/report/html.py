"""Pieces of HTML; every text is escaped here, and nowhere else."""

from collections.abc import Iterable, Sequence
from html import escape
from math import sqrt

import numpy as np

from ..visualization.style import short_names


def section(title: str, *parts: str) -> str:
    """A part of the page, under a heading."""
    name = title.lower().replace(' ', '-')
    return (
        f'<section id="{escape(name)}"><h2>{escape(title)}</h2>'
        + '\n'.join(parts)
        + '</section>'
    )


def missing(text: str) -> str:
    """Say why something is not there."""
    return f'<p class="missing">{escape(text)}</p>'


def paragraph(text: str) -> str:
    """A paragraph."""
    return f'<p>{escape(text)}</p>'


def listing(texts: Iterable[str]) -> str:
    """A numbered list."""
    rows = ''.join(f'<li>{escape(text)}</li>' for text in texts)
    return f'<ol>{rows}</ol>'


def folded(title: str, content: str) -> str:
    """What is shown on a click; ``content`` is HTML."""
    return f'<details><summary>{escape(title)}</summary>{content}</details>'


def code(text: str) -> str:
    """Text as it was typed or written to a file."""
    return f'<pre><code>{escape(text)}</code></pre>'


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """A table of names and values."""
    body = ''.join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f'<td>{escape(str(value))}</td></tr>'
        for name, value in rows
    )
    return f'<div class="wide"><table class="pairs">{body}</table></div>'


def cards(rows: Iterable[tuple[str, str]]) -> str:
    """The few numbers that matter most."""
    body = ''.join(
        f'<div class="card"><b>{escape(value)}</b>{escape(name)}</div>'
        for name, value in rows
    )
    return f'<div class="cards">{body}</div>'


def bars(rows: Iterable[tuple[str, float, str]]) -> str:
    """A table of names, shares (0-1) as bars, and what they are of."""
    body = ''.join(
        f'<tr><th scope="row" title="{escape(name)}">{escape(name)}</th>'
        f'<td class="number">{100 * share:.1f} %</td>'
        f'<td class="bar"><i style="width:{100 * share:.1f}%"></i></td>'
        f'<td class="number">{escape(text)}</td></tr>'
        for name, share, text in rows
    )
    return f'<table class="bars">{body}</table>'


def heat_table(
    counts: np.ndarray,
    shares: np.ndarray,
    names: Sequence[str],
    with_counts: bool,
) -> str:
    """A confusion matrix: rows are true classes, columns predicted ones.

    Args:
        counts: Images, ``(K, K)``.
        shares: Of the true class, 0-1, ``(K, K)``.
        names: Of the K classes.
        with_counts: Whether cells hold numbers.
    """
    short = [escape(name) for name in short_names(names)]
    full = [escape(name) for name in names]
    head = ''.join(
        f'<th scope="col" title="{name}"><span>{text}</span></th>'
        for name, text in zip(full, short, strict=True)
    )
    body = []
    for row, (name, text) in enumerate(zip(full, short, strict=True)):
        cells = ''.join(
            # The square root shows rare confusions beside the diagonal.
            f'<td title="{name} taken for {full[column]}: {count}"'
            f' style="--heat:{sqrt(shares[row, column]):.2f}"'
            f'{" class=right" if row == column else ""}>'
            f'{count if with_counts and count else ""}</td>'
            for column, count in enumerate(counts[row].tolist())
        )
        body.append(f'<tr><th scope="row" title="{name}">{text}</th>{cells}')
    kind = 'heat' if with_counts else 'heat small'
    if all(len(name) < 3 for name in names):
        kind += ' flat'  # names that need not be turned
    return (
        f'<div class="wide"><table class="{kind}"><thead><tr><td></td>{head}'
        f'</tr></thead><tbody>{"</tr>".join(body)}</tr></tbody></table></div>'
    )


def gallery(rows: Iterable[tuple[str | None, Sequence[str]]]) -> str:
    """Pictures as data URIs, each with lines of text below."""
    body = []
    for uri, lines in rows:
        text = '<br>'.join(escape(line) for line in lines)
        picture = (
            f'<img src="{escape(uri)}" alt="">'
            if uri
            else '<div class="gone">no image</div>'
        )
        body.append(
            f'<figure>{picture}<figcaption>{text}</figcaption></figure>'
        )
    return f'<div class="gallery">{"".join(body)}</div>'


def panels(drawn: Iterable[tuple[str, str]]) -> str:
    """Curves side by side; each is a title and an SVG."""
    body = ''.join(
        f'<figure><figcaption>{escape(title)}</figcaption>{svg}</figure>'
        for title, svg in drawn
    )
    return f'<div class="panels">{body}</div>'
