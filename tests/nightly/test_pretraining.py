"""Rounds that are stopped in other ways than in tests/tools."""

import signal

from ..tools.test_pretrain import ask_to_stop, kill_and_go_on


def test_killed_while_a_tokenizer_is_distilled(tmp_path):
    kill_and_go_on('vqkd', '2_vqkd-tokenizer', 'tokenizer.pth', tmp_path)


def test_a_signal_to_the_parent_alone(tmp_path):
    ask_to_stop(signal.SIGUSR1, tmp_path)
