import collections
import os
import pickle

import numpy as np
import pytest

from kerasgan.datasets.pickles import load_pickle

ARRAY = np.arange(6, dtype="float32").reshape(2, 3)
# What Python 2 and numpy 1 write for [array([250, 7], uint8)], and for {'caf\xe9': 3}: text is
# bytes there.
PYTHON_2_ARRAY = (
    b"\x80\x02]q\x00cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03U\x01bq\x04\x87q\x05"
    b"Rq\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02u1q\tK\x00K\x01\x87q\nRq\x0b(K\x03U\x01|q\x0cNNNJ\xff\xff\xff\xff"
    b"J\xff\xff\xff\xffK\x00tq\rb\x89U\x02\xfa\x07q\x0etq\x0fba."
)
PYTHON_2_TEXT = b"\x80\x02}q\x00U\x04caf\xe9q\x01K\x03s."


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def write(tmp_path, content, protocol=2):
    path = tmp_path / "data.pickle"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_reads_what_data_are_made_of(tmp_path, protocol):
    data = {
        "arrays": [ARRAY, ARRAY.T, np.array(["a", "b"])],
        "number": np.float32(1.5),
        b"bytes": (b"\xff\x00", "é", 3, 0.5),
        "more": {1, 2},
        "ordered": collections.OrderedDict(b=1, a=2),
        "none": None,
    }
    read = load_pickle(write(tmp_path, data, protocol))
    assert list(read) == list(data) and list(read["ordered"].items()) == [("b", 1), ("a", 2)]
    for found, expected in zip(read["arrays"], data["arrays"], strict=True):
        np.testing.assert_array_equal(found, expected)
    assert [read[key] for key in ("number", b"bytes", "more")] == [
        data[key] for key in ("number", b"bytes", "more")
    ]


@pytest.mark.parametrize("encoding", ["latin1", "bytes"])
def test_reads_what_python_2_wrote(tmp_path, encoding):
    (array,) = load_pickle(write(tmp_path, PYTHON_2_ARRAY), list, encoding)
    assert (array.dtype, array.tolist()) == ("uint8", [250, 7])
    (key,) = load_pickle(write(tmp_path, PYTHON_2_TEXT), dict, encoding)
    assert key == {"latin1": "café", "bytes": b"caf\xe9"}[encoding]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "posix.system"),
        (eval, "eval"),
        (getattr, "getattr"),
        (np.fromfile, "fromfile"),
        (open, "open"),
    ],
)
def test_nothing_of_a_program_runs(tmp_path, protocol, function, name):
    trace = tmp_path / "ran"
    argument = f"touch {trace}" if function is os.system else f"open({str(trace)!r}, 'w')"
    path = write(tmp_path, [ARRAY, Evil(function, argument)], protocol)
    with pytest.raises(
        ValueError, match=f"data.pickle contains .*{name}; none of it was run"
    ) as raised:
        load_pickle(path)
    assert "\n" not in str(raised.value) and not trace.exists()


def test_what_is_no_whole_pickle(tmp_path):
    whole = pickle.dumps([ARRAY] * 3, 2)
    for content in (
        b"",
        whole[:-20],
        whole[: len(whole) // 2],
        b"<!DOCTYPE html><html>",
        b"version https://git-lfs",
    ):
        with pytest.raises(
            ValueError,
            match=rf"be complete; .*data.pickle \({len(content)} bytes\) cannot be read: ",
        ):
            load_pickle(write(tmp_path, content))
    huge = pickle.dumps(Evil(np.empty(0).__reduce__()[0], np.ndarray, (10**14,), b"b"), 2)
    with pytest.raises(ValueError, match="cannot be read: "):
        load_pickle(write(tmp_path, huge))
    with pytest.raises(ValueError, match="data.pickle must contain a dict; it contains a list"):
        load_pickle(write(tmp_path, [1]), dict)
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / "none.pickle")
