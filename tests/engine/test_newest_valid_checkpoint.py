"""The newest valid checkpoint is the one to resume from."""

import os
import re

import pytest
import torch
from mmengine.logging import MMLogger

from vptm_mm.engine.newest_valid_checkpoint import find_newest_valid


def write(path, time, iteration):
    state = dict(prompts=torch.arange(10_000.0))
    torch.save(dict(state_dict=state, meta=dict(iter=iteration)), path)
    os.utime(path, ns=(time, time))
    return path


@pytest.fixture
def three(tmp_path):
    """In a copied folder, the order of time is any."""
    return [
        write(tmp_path / 'epoch_9.pth', 1_000_000_002, 90),
        write(tmp_path / 'epoch_10.pth', 1_000_000_001, 100),
        write(tmp_path / 'interrupted.pth', 1_000_000_000, 105),
    ]


@pytest.fixture
def warnings(monkeypatch):
    lines = []
    logger = MMLogger.get_current_instance()
    monkeypatch.setattr(logger, 'warning', lines.append)
    return lines


def test_the_last_iteration(three, warnings):
    assert find_newest_valid(three).name == 'interrupted.pth'
    assert find_newest_valid(three[:2]).name == 'epoch_10.pth'
    assert find_newest_valid([]) is None
    assert warnings == []


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    """One bit of a tensor, which torch.load does not notice."""
    middle = len(content) // 2
    changed = bytes([content[middle] ^ 1])
    return content[:middle] + changed + content[middle + 1 :]


def empty(content):
    return b''


def not_a_checkpoint(content):
    return b'<html>404</html>' * 100


@pytest.mark.parametrize('damage', [cut, flip, empty, not_a_checkpoint])
def test_a_damaged_one_is_reported_and_passed_over(three, warnings, damage):
    newest = three[2]
    content = damage(newest.read_bytes())
    newest.write_bytes(content)
    assert find_newest_valid(three).name == 'epoch_10.pth'
    (text,) = warnings
    pattern = rf'damaged checkpoint {newest} \({len(content)} bytes\): \S+'
    assert re.match(pattern, text)
    assert newest.read_bytes() == content


def test_a_link_that_leads_nowhere(three, warnings):
    three[2].unlink()
    three[2].symlink_to('gone.pth')
    assert find_newest_valid(three).name == 'epoch_10.pth'
    assert f'damaged checkpoint {three[2]}: ' in warnings[0]


def test_all_are_damaged(three, warnings):
    for path in three:
        path.write_bytes(cut(path.read_bytes()))
    with pytest.raises(ValueError, match='no checkpoint can be resumed from'):
        find_newest_valid(three)
    assert len(warnings) == 3
