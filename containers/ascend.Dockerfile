# An Ascend host's container: Python 3.9, TensorFlow 2.6.5, the plugin npu_device, this project.
# NEVER BUILT where it was written: it needs an image of Huawei's and a wheel of Huawei's. docs/ascend.md has the steps.
#
#   mkdir -p wheels      # put npu_device-2.6.5-py3-none-manylinux2014_<arch>.whl there (on aarch64 also TensorFlow 2.6.5's wheel)
#   docker build -f containers/ascend.Dockerfile --build-arg CANN_IMAGE=<image with CANN toolkit, ops and Python 3.9> -t tcc-ascend .
#
#   docker run --rm -it \
#       --device /dev/davinci0 --device /dev/davinci_manager --device /dev/devmm_svm --device /dev/hisi_hdc \
#       -v /usr/local/Ascend/driver:/usr/local/Ascend/driver:ro -v /usr/local/bin/npu-smi:/usr/local/bin/npu-smi:ro \
#       -v "$PWD/data:/project/data" tcc-ascend
ARG CANN_IMAGE
FROM ${CANN_IMAGE}

# what OpenCV loads, by the image's kind of Linux
RUN if command -v apt-get >/dev/null; then \
        apt-get update && apt-get install -y --no-install-recommends make libgl1 libglib2.0-0 && rm -rf /var/lib/apt/lists/*; \
    else \
        yum install -y make mesa-libGL glib2 && yum clean all; \
    fi

WORKDIR /project
COPY requirements-ascend.txt requirements-py39.lock ./
COPY wheels/ /tmp/wheels/
# TensorFlow first where its wheel is here (aarch64), then the packages, then the plugin, which must not pull in anything
RUN python3.9 -m venv .venv \
    && .venv/bin/python -m pip install --upgrade pip \
    && for wheel in /tmp/wheels/tensorflow*.whl; do \
           if [ -e "$wheel" ]; then .venv/bin/python -m pip install "$wheel" -c requirements-py39.lock; fi; \
       done \
    && .venv/bin/python -m pip install -r requirements-ascend.txt -c requirements-py39.lock \
    && .venv/bin/python -m pip install --no-deps /tmp/wheels/npu_device-*.whl \
    && rm -rf /tmp/wheels

COPY . .
ENV PATH=/project/.venv/bin:$PATH PYTHONPATH=/project

# CANN's variables (ASCEND_OPP_PATH, LD_LIBRARY_PATH, ...) are set by its script, whose place changed between releases
RUN printf '%s\n' '#!/bin/bash' \
        'for script in /usr/local/Ascend/cann/set_env.sh /usr/local/Ascend/ascend-toolkit/set_env.sh; do' \
        '    if [ -e "$script" ]; then source "$script"; break; fi' \
        'done' \
        'export LD_LIBRARY_PATH=/usr/local/Ascend/driver/lib64:/usr/local/Ascend/driver/lib64/driver:$LD_LIBRARY_PATH' \
        'exec "$@"' >/usr/local/bin/with-cann \
    && chmod +x /usr/local/bin/with-cann
ENTRYPOINT ["/usr/local/bin/with-cann"]
CMD ["luigi", "--module", "pipeline", "RunAll", "--local-scheduler", "--device-kind", "npu"]
