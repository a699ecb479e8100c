"""The local web app over a use-case folder. It shows and does what the command line shows and does."""
