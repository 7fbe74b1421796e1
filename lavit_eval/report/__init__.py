"""The HTML report of a run: one static folder that works by double click."""
