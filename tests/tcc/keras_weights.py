"""Files of weights in the layout that Keras wrote before its version 3, made with h5py alone.

h5py and TensorFlow are imported late: after the `six` of old versions, pytest 8 imports no further folder of tests.
"""

from __future__ import annotations

from tests.reference.models import filled_weight


def write_h5(path, layers):
    """Write {layer: {weight: array}}; a layer without weights stands in the file too, as Keras has it."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in layers]
        file.attrs["backend"] = b"tensorflow"
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/{weight}:0".encode() for weight in arrays]
            for weight, array in arrays.items():
                group.create_dataset(f"{layer}/{weight}:0", data=array)
    return path


def resnet_layers():
    """ResNet50V2 up to conv4_block3 as {layer: {weight: array}}, every weight following from its key."""
    from tcc.config import BackboneConfig
    from tcc.models import build_backbone

    layers = {"input_1": {}}
    for key, variable in build_backbone(BackboneConfig(name="resnet50v2")).named_variables().items():
        layer, weight = key.split("/")
        layers.setdefault(layer, {})[weight] = filled_weight(key, tuple(variable.shape))
    return layers
