"""Any changed checkpoint is read or refused by a text that names it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.logging import HistoryBuffer

from vptm_mm.tasks import read_checkpoint, require_fit

from ..fuzzing import fuzz
from ..made_tasks import make_classifier


@pytest.fixture(scope='module')
def model(checkpoint):
    return make_classifier(checkpoint)


@pytest.fixture(scope='module')
def whole(model, tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / 'epoch_1.pth'
    content = dict(
        state_dict=model.state_dict(),
        message_hub=dict(log_scalars=dict(loss=HistoryBuffer([1.0], [1]))),
        meta=dict(epoch=1, iter=4, seed=np.int64(3), array=np.arange(3.0)),
    )
    torch.save(content, path)
    return path


def change(data, content: bytes) -> bytes:
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        length = data.draw(st.integers(0, 4))
        content[start : start + length] = data.draw(st.binary(max_size=4))
    return bytes(content)


def read(path, model):
    try:
        require_fit(model, read_checkpoint(str(path)))
    except ValueError as error:
        text = str(error)
        assert path.name in text or 'the checkpoint does not fit' in text  # noqa: PT017


@fuzz(40)
@given(data=st.data())
def test_fuzzed_bytes(data, whole, model):
    path = whole.with_name('changed.pth')
    path.write_bytes(change(data, whole.read_bytes()))
    read(path, model)
