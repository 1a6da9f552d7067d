"""TensorFlow 1 behaviour; not for us."""


def enable_v1():
    raise NotImplementedError("the stand-in has no TensorFlow 1")
