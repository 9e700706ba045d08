"""The commands and their options, a module for each group of them that changes together. Nothing is done here: a
command imports what does its work when it runs, so that `--help` and the completion of a word answer at once.
"""
