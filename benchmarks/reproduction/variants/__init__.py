"""Variants of the models that single claims of the training notes need; one file per paper."""
