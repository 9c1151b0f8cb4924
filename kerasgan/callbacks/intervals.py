"""Epoch intervals of callbacks that act every few epochs."""

import keras


def check_interval(every: int) -> int:
    """Returns `every`, or raises `ValueError` if it is less than one epoch."""
    if every < 1:
        raise ValueError(f"every must be at least 1 (epoch); received {every}")
    return every


def is_due(callback: keras.callbacks.Callback, epoch: int) -> bool:
    """Returns `True` if the callback acts after `epoch`, counted from 0. It does after the last."""
    return (epoch + 1) % callback.every == 0 or epoch + 1 == callback.params.get("epochs")
