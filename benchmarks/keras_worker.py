"""A process that runs Keras' ConvLSTM2D on one backend and tells what each call took.

Started by `keras_times`; reads one JSON line per request from standard input and answers with one.
"""

import json
import sys
import time
from typing import Any


def main() -> None:
    """Answer requests until standard input ends."""
    import keras
    import numpy as np

    models: dict[str, tuple[Any, Any, Any]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = json.dumps(request["case"])
        if key not in models:
            steps, batch, inputs, hidden, kernel, size = request["case"]
            frames = np.random.default_rng(0).normal(size=(batch, steps, size, size, inputs)).astype("float32")
            wanted = np.zeros((batch, steps, size, size, hidden), dtype="float32")
            layer = keras.layers.ConvLSTM2D(hidden, kernel, padding="same", return_sequences=True)
            model = keras.Sequential([keras.Input(frames.shape[1:]), layer])
            model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mse")
            models.clear()  # one case at a time in memory
            models[key] = model, frames, wanted
        model, frames, wanted = models[key]
        begun = time.perf_counter()
        if request["training"]:
            model.train_on_batch(frames, wanted)
        else:
            np.asarray(model.predict_on_batch(frames))
        sys.stdout.write(json.dumps(time.perf_counter() - begun) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
