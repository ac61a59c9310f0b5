"""Compares methods: a plan, its runs as trials of Optuna, tables and plots."""
