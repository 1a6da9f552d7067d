"""Tests see TensorFlow as the stages do: its environment is set before anything imports it."""

import os

from tcc.device import tensorflow_environment

for _name, _value in tensorflow_environment().items():
    os.environ.setdefault(_name, _value)
