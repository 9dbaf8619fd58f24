"""Concepts as models of other tools: FiftyOne and CVAT, each in a file of its own that imports the tool when used."""
