"""Compares methods: search, final runs, tables and plots."""
