"""TensorFlow as a job needs it: quiet, with the threads of the job, and with the same bits each time.

Shared with n2v-tf. Take `keras` and `tf` from here: what they read from the environment must be set before they load.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from contract.errors import DeviceMissing, JobRefused

if TYPE_CHECKING:
    from contract.job import Job

os.environ |= {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # its compiled part reads this when it is loaded
    "TF_ENABLE_ONEDNN_OPTS": "1",  # as in torch; bits depend on the family of the processor, and 3D takes half the time
}

import keras
import tensorflow as tf

__all__ = ["keras", "start", "tf"]


def start(job: Job) -> None:
    """Set up threads, determinism, device and random numbers; before the first operation of TensorFlow.

    Raises
    ------
    DeviceMissing
        When the job asks for cuda and TensorFlow finds no usable GPU.
    JobRefused
        When the job asks for bfloat16.
    """
    if job.precision != "float32":
        message = (
            f"precision: expected float32, as this network adds its output to its input and bfloat16 would round "
            f"that to 8 bits, got {job.precision}"
        )
        raise JobRefused(message)
    gpus = tf.config.list_physical_devices("GPU")
    if job.device == "cuda" and not gpus:
        built = "no usable GPU or driver" if tf.test.is_built_with_cuda() else "a TensorFlow built without CUDA"
        message = f"device cuda was asked for, this environment has {built}"
        raise DeviceMissing(message)
    if job.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus if job.device == "cuda" else ():
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(job.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    keras.utils.set_random_seed(job.seed)
