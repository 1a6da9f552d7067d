from npu_device.train import optimizer as optimizer
