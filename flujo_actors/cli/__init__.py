"""The command line, `flujo`.

app         the commands, and how errors become one line and an exit code
run         `flujo run`
demo        `flujo demo`
lens        `flujo lens`, a folder: a file for each command
ps          `flujo ps`: the runs that are going on
cancel      `flujo cancel`: stopping one, or a part of it
watch       `flujo watch`: showing one
going_on    finding one that is going on, and what to say of one that is not
loading     finding a pipeline in a user's file
inputs      what `--input` and `--context` stand for
execution   running a pipeline: interrupts, progress, the result, the exit code
progress    showing a run while it goes on
traces      showing a stored trace as a tree
tables      showing tables
database    which database file
text        showing values and times
"""

from flujo_actors.cli.app import main

__all__ = ["main"]
