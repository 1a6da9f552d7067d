"""The commands of `python -m pipeline`: what was made, why it is to be made again, what is damaged or superseded."""
