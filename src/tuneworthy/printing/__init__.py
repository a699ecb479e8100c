"""What a person sees. One module for each group of verbs; `console` holds what they share.

With `--json`, standard output is for machines and people's text goes to standard error.
"""
