"""Damage by seed: bits, cuts, splices and lengths of any file; structure of known formats."""

import gzip
import io
import json
import pickletools
import zipfile

import h5py

from kerasgan.io import checkpoint_file

EXTREMES = (0, -1, 2**31 - 1, 2**31, 2**32 - 1, 4 * 10**9, 2**63 - 1, 10**30)
HEADERS = [
    (b"(", b"(4000000000, "),
    (b"<f4", b"|O8"),
    (b"|u1", b"|O8"),
    (b"False", b"True "),
    (b"<f8", b"<U9"),
    (b"(", b"(("),
]
OPCODES = [ord(opcode.code) for opcode in pickletools.opcodes]


def damaged_bytes(data, random):
    """Applies one to four edits that ignore the file's format."""
    data = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        if not data:
            break
        place, kind = random.randrange(len(data)), random.randrange(7)
        if kind == 0:
            data[place] ^= 1 << random.randrange(8)
        elif kind == 1:
            data[place] = random.randrange(256)
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            start, count = random.randrange(len(data)), random.randrange(1, 65)
            data[place : place + count] = data[start : start + count]
        elif kind == 4:
            width = random.choice((1, 2, 4, 8))
            value = random.choice(EXTREMES) % 2 ** (8 * width)
            data[place : place + width] = value.to_bytes(width, "little")
        elif kind == 5:
            del data[place : place + random.randrange(1, 33)]
        else:
            data[place:place] = bytes(random.randrange(256) for _ in range(random.randrange(1, 17)))
    return bytes(data)


def damaged_json(content, random):
    """JSON with one value replaced, removed, repeated or nested."""
    places = []

    def walk(part):
        for key in part if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], (dict, list)):
                walk(part[key])

    content = json.loads(json.dumps(content))
    if isinstance(content, (dict, list)):
        walk(content)
    if not places:
        return random.choice((None, [], {}, 3, "text"))
    part, key = random.choice(places)
    kind = random.randrange(6)
    if kind == 0:
        part[key] = random.choice(
            (*EXTREMES, 0.5, None, True, "", "x" * 1000, [], {}, "../../etc", "builtins", "os")
        )
    elif kind == 1 and isinstance(part, dict):
        del part[key]
    elif kind == 2:
        part[key] = random.choice(places)[0]
        try:
            json.dumps(content)
        except ValueError:  # It contains itself.
            part[key] = None
    elif kind == 3:
        for _ in range(random.choice((3, 300))):
            part[key] = [part[key]]
    elif kind == 4:
        part[key] = {
            "class_name": random.choice(("Lambda", "TFSMLayer", "system", "Dense")),
            "config": {"units": -1},
            "module": random.choice(("os", "keras.layers", "builtins")),
            "registered_name": None,
        }
    else:
        part[key] = f"{part[key]}"
    return content


def damaged_pickle(data, random):
    """A pickle with an opcode replaced, put in or taken out."""
    data = bytearray(data)
    try:
        places = [place for _, _, place in pickletools.genops(bytes(data))]
    except ValueError:
        return damaged_bytes(data, random)
    place, code = random.choice(places), random.choice(OPCODES)
    kind = random.randrange(4)
    if kind == 0:
        data[place] = code
    elif kind == 1:
        data[place:place] = bytes([code])
    elif kind == 2:
        del data[place]
    else:
        data[place + 1 : place + 5] = random.choice(EXTREMES[:5]).to_bytes(
            8, "little", signed=True
        )[:4]
    return bytes(data)


def damaged_zip(data, random, inner=damaged_bytes):
    """A valid zip file in which one member is damaged."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as target:
        members = archive.namelist()
        hit = random.choice(members)
        for name in members:
            content = archive.read(name)
            if name == hit:
                content = (
                    of_kind(name, content, random)
                    if inner is damaged_bytes
                    else inner(content, random)
                )
            target.writestr(name, content, random.choice((0, 8)) if name == hit else 0)
    return made.getvalue()


def damaged_archive(data, random):
    """A valid gzip file of a tar archive whose headers or content are damaged."""
    content = bytearray(gzip.decompress(data))
    if random.random() < 0.3:
        return gzip.compress(damaged_bytes(bytes(content), random))
    place = random.randrange(500)  # The first header: name, mode, size, type, link and so on.
    content[place] = random.choice(b"\0/.01234567gxSLK\xff")
    header = bytearray(content[:512])
    header[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(header)  # The checksum of the header is right.
    return gzip.compress(bytes(content))


def damaged_header(data, random):
    """A file in NumPy's format whose header has another number or type."""
    start = data.index(b"{")
    end = data.index(b"\n", start)
    header = bytearray(data[start:end])
    for old, new in random.sample(HEADERS, 2):
        header = header.replace(old, new, 1)
    header = header[: end - start].ljust(end - start)
    return data[:start] + bytes(header) + data[end:]


def damaged_checkpoint(path, random):
    """A checkpoint with changed configuration, information or data, and a matching checksum."""
    with h5py.File(path, "r+") as file:
        key = random.choice(("network", "model", "info", "letter", "epoch", "data"))
        text = file.attrs.get(key)
        if key == "data":
            name = random.choice(sorted(file["weights"]))
            del file["weights"][name]
            shape = random.choice(((), (0,), (3_000_000_000,), (2, 2)))
            made = file["weights"].create_dataset(name, shape, random.choice(("f4", "S3", "i8")))
            made.attrs["path"] = "x"
        elif key in ("letter", "epoch"):
            file.attrs[key] = random.choice(("../x", "", "D", 3, -1, 2.5, [1, 2]))
        elif text:
            file.attrs[key] = json.dumps(damaged_json(json.loads(text), random))
        header = {name: file.attrs[name] for name in sorted(file.attrs) if name != "sha256"}
        try:
            header.update(version=int(header["version"]), epoch=int(header["epoch"]))
            values = [
                (d.attrs["path"], d[()])
                for d in (file["weights"][k] for k in sorted(file["weights"]))
                if d.size < 10**6
            ]
            file.attrs["sha256"] = checkpoint_file.checksum_of(header, values)
        except (TypeError, ValueError):
            pass


def of_kind(name, data, random):
    """Returns damage for the format of a file, or general damage."""
    try:
        if name.endswith((".json", ".jsonl")) and random.random() < 0.7:
            if name.endswith(".jsonl"):
                lines = data.decode().splitlines()
                index = random.randrange(len(lines))
                lines[index] = json.dumps(damaged_json(json.loads(lines[index]), random))
                return "\n".join(lines).encode()
            return json.dumps(damaged_json(json.loads(data), random)).encode()
        if name.endswith((".pickle", ".pkl", "legacy.pth")) and random.random() < 0.6:
            return damaged_pickle(data, random)
        if (
            name.endswith((".npz", ".pth", ".keras"))
            and data[:2] == b"PK"
            and random.random() < 0.6
        ):
            return damaged_zip(data, random)
        if name.endswith(".tar.gz") and random.random() < 0.7:
            return damaged_archive(data, random)
        if name.endswith(".npy") and random.random() < 0.4:
            return damaged_header(data, random)
    except (ValueError, KeyError):
        pass
    return damaged_bytes(data, random)
