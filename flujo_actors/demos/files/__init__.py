"""What the demos share about files: finding them, and reading them.

In reading order: `reading` takes one file, `finding` all in a folder, and `steps` is for steps that do such things.
"""
