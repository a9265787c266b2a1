"""Keras 3 as a subject: `KERAS_BACKEND=jax|torch python keras_epoch.py ROOT IMAGES float32|mixed_bfloat16`.

The notebook's model and optimizer; the images are one array in memory, and `fit` is given it whole.
"""

import sys

import keras
import numpy as np
from bench import serve

root, num_images, policy = sys.argv[1], int(sys.argv[2]), sys.argv[3]
keras.mixed_precision.set_global_policy(policy)
raw = f"{root}/MNIST/raw/train"
images = np.fromfile(f"{raw}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 28, 28)[:num_images]
x_BTI = ((images.transpose(0, 2, 1) / np.float32(255) - 0.5) / 0.5).astype(np.float32)
labels = np.fromfile(f"{raw}-labels-idx1-ubyte", np.uint8, offset=8)[:num_images].astype(np.int32)
model = keras.Sequential(
    [
        keras.Input((28, 28)),
        keras.layers.LSTM(100, return_sequences=True),
        keras.layers.LSTM(100),
        keras.layers.Dense(10, dtype="float32"),
    ]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adadelta(0.1), loss, metrics=["accuracy"])
serve(lambda: model.fit(x_BTI, labels, batch_size=64, epochs=1, verbose=0))
