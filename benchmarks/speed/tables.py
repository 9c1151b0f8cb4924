"""Tables of compile times on three backends, of first samples, and of PyTorch as backend."""

from benchmarks.speed import backends as on_backends, sampling as of_presets, suite

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
POLICY_NAMES = {"float32": "", "mixed_bfloat16": ", bfloat16"}
NOT_RUN = "No results yet."


def backends() -> str:
    """Return the table of compile time, step time and memory, one row per recipe and policy."""
    records = suite.read(on_backends.RESULTS)
    if not records:
        return NOT_RUN
    lines = [
        f"| recipe | {' | '.join(NAMES.values())} |",
        "|---" * (len(NAMES) + 1) + "|",
    ]
    every = []
    for recipe, policies in records.items():
        for policy, found in policies.items():
            cells = [_backend_cell(found.get(name)) for name in NAMES]
            lines.append(f"| `{recipe}`{POLICY_NAMES[policy]} | {' | '.join(cells)} |")
            every += found.values()
    lines.append(
        "\nSeconds of tracing and compilation in the first step, mean time of a step, and peak "
        f"memory of the process, with {every[0]['threads']} threads. Each recipe has the model and "
        f"the batch size of its preset `{every[0]['preset']}`. On TensorFlow and PyTorch, bfloat16 "
        f"is Keras' policy `mixed_bfloat16`, as on JAX. {_about(every)}"
    )
    return "\n".join(lines)


def _backend_cell(record):
    if record is None:
        return "not measured"
    if "failed" in record:
        return record["failed"]
    return (
        f"{record['compile_seconds']:.1f} s, {record['step_ms']:.0f} ms, "
        f"{record['peak_mib']:.0f} MiB"
    )


def sampling() -> str:
    """Return the table of the times to the first sample and of the sampling rates."""
    records = suite.read(of_presets.RESULTS)
    if not records:
        return NOT_RUN
    lines = [
        "| preset | `import keras` | first sample | limit | images per second | to a file |",
        "|---|---|---|---|---|---|",
    ]
    every = []
    for preset, found in records.items():
        for backend, record in found.items():
            name = f"`{preset}`" + ("" if backend == "tensorflow" else f", {NAMES[backend]}")
            lines.append(
                f"| {name} | {record['import_keras']:.2f} s | {record['first_sample']:.2f} s "
                f"| {record['target']:.2f} s | {record['images_per_second']:.1f} "
                f"| {record['images_per_second_to_file']:.1f} |"
            )
            every.append(record)
    factor, seconds = of_presets.LIMIT
    lines.append(
        "\nSeconds from the start of Python, medians of "
        f"{every[0]['rounds']} processes. The limit is {factor} times `import keras` plus "
        f"{seconds} s. The rates are those of one call for {every[0]['images']} images; the files "
        f"are HDF5. {_about(every)}"
    )
    return "\n".join(lines)


def speed_torch() -> str:
    """Return the table of kerasgan with PyTorch as backend against eager PyTorch."""
    path = suite.results_of("torch")
    records = suite.read(path)
    if not records:
        return NOT_RUN
    lines = [
        "| case | PyTorch, eager | kerasgan on PyTorch | time relative to PyTorch (min to max) |",
        "|---|---|---|---|",
    ]
    for case, record in records.items():
        theirs, ours = (record["contestants"][name] for name in ("torch", "kerasgan"))
        ratio = record["ratios"]["torch / kerasgan"]
        lines.append(
            f"| `{case}` | {theirs['median_ms']:.0f} ms | {ours['median_ms']:.0f} ms "
            f"| {1 / ratio['median']:.2f} ({1 / ratio['max']:.2f} to {1 / ratio['min']:.2f}) |"
        )
    lines.append(f"\n{_about(list(records.values()))} `benchmarks/results/{path.name}`.")
    return "\n".join(lines)


def _about(records):
    """Machines and commands of records, as sentences."""
    machines = ", ".join(dict.fromkeys(record["machine"]["cpu"] for record in records))
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records))
    return f"Machine: {machines}. Command: {commands}."
