"""Lists of records in JSON files, one record a run that is done, and the runs that are not there yet."""

import json

from kerasgan.io import files


def read(path):
    """The records; none where nothing was run. Raises ValueError, a line that names the file, for a broken one."""
    if not path.exists():
        return []
    try:
        found = json.loads(path.read_text())
        if not all(isinstance(record, dict) for record in found):
            raise ValueError("a record is not a dictionary")
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is broken ({str(error).splitlines()[0]}); mend or delete it"
        ) from None
    return found


def complete(path, wanted, make):
    """Adds what `make(**fields)` returns, with the fields, for each of `wanted` that has no record yet.

    Runs take long: what another process has added meanwhile stays, but for the same run's.
    """
    for fields in wanted:
        if any(fields.items() <= record.items() for record in read(path)):
            print(f"{', '.join(f'{name} {value}' for name, value in fields.items())}: done")
            continue
        made = make(**fields)
        others = [record for record in read(path) if not fields.items() <= record.items()]
        files.write_json(path, [*others, fields | made])
