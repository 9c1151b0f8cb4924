"""Names of data sets in files that earlier versions wrote."""

RENAMED = {"drawn_birds": "synthetic_birds"}  # Old -> current name.


def with_current_names(record: dict) -> dict:
    """Returns a copy of `record` in which old names of data sets are replaced by current ones.

    Args:
        record: Information stored in a checkpoint, the origin of a prepared data set, or the
            settings of a run. Only the values of `"dataset"`, `"data"` and `"source"` change.
    """
    renamed = {
        key: RENAMED[record[key]]
        for key in ("dataset", "data", "source")
        if isinstance(record.get(key), str) and record[key] in RENAMED
    }
    return {**record, **renamed}
