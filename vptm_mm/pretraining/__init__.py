"""Pre-training in rounds: the tokens of each come from the one before it."""
