"""Serves many tasks on one backbone over HTTP, by Ray Serve.

Not imported here: the client needs nothing of the server.
"""
