"""Tables of step times, sampling rates and several devices, from the result files."""

import json
import pathlib

from benchmarks.speed import (
    backends as on_backends,
    gpu as on_gpu,
    metrics,
    sampling as of_presets,
    step_memory as of_steps,
    suite,
    timing,
)

RESULTS = pathlib.Path(__file__).parents[1] / "results"

NAMES = {"tensorflow": "TensorFlow", "jax": "JAX", "torch": "PyTorch"}
POLICY_NAMES = {"float32": "", "mixed_bfloat16": ", bfloat16"}
NOT_RUN = "No results yet."
# Program of a record -> name in tables.
BASELINES = {
    "jax": "JAX",
    "torch": "PyTorch, eager",
    "torch_compiled": "PyTorch, compiled",
    "100 Langevin steps": "kerasgan, 100 Langevin steps",
    "its step": "its training step",
    "threads": "TFRecord, two threads",
    "kerasgan_jax": "kerasgan on JAX",
    "kerasgan_torch": "kerasgan on PyTorch",
}
# What `speed_summary` compares -> beginnings of the names of its cases.
GROUPS = {
    "training step of MnistGAN": ("mnist_gan_",),
    "training step of HDGAN": ("hdgan",),
    "training step of CoopNet": ("coopnet", "coopnet_lean"),
    "training step of StylEx": ("stylex_",),
    "training step of StyleGAN2": ("stylegan2", "stylegan2_"),
    "training step of ConditionalVAE": ("vae",),
    "training step of RealNVP": ("flow",),
    "AttFind, the search for StylEx attributes": ("attfind",),
    "scores and their features": tuple(metrics.CASES),
}


def speed_summary() -> str:
    """Return the table of the speed-ups of each group of cases."""
    records = suite.read()
    if not records:
        return NOT_RUN
    lines = ["| what | compared with | speed-up of the cases |", "|---|---|---|"]
    for group, names in GROUPS.items():
        cases = [
            case
            for case in records
            if case not in suite.SCALES
            and any(case.startswith(name) if name.endswith("_") else case == name for name in names)
        ]
        peers = {case: suite.best_peer(records[case]) for case in cases}
        ratios = [records[case]["ratios"][f"{peers[case]} / kerasgan"]["median"] for case in cases]
        if not cases:
            continue
        found = {BASELINES.get(peer, peer).partition(",")[0] for peer in peers.values()}
        programs = ", ".join(sorted(found, key=str.lower))
        span = " to ".join(dict.fromkeys(f"{value:.2f}" for value in (min(ratios), max(ratios))))
        lines.append(f"| {group} | {programs} | {span} |")
    return "\n".join(lines)


def speed() -> str:
    """Return the table of step times, one row per case, in the order of `suite.CASES`."""
    found = suite.read()
    if not found:
        return NOT_RUN
    order = [*suite.CASES, *(case for case in found if case not in suite.CASES)]
    records = {case: found[case] for case in order if case in found and case not in suite.SCALES}
    lines = [
        "| case | baseline | kerasgan | speed-up (min to max) | seconds to the first step "
        "| peak memory | share of matrix product rate |",
        "|---" * 7 + "|",
    ]
    for case, record in records.items():
        baseline = suite.best_peer(record)
        theirs, ours = record["contestants"][baseline], record["contestants"]["kerasgan"]
        ratio = record["ratios"][f"{baseline} / kerasgan"]
        peers = [
            f"{BASELINES.get(name, name)}: {measured['median_ms']:.0f} ms"
            for name, measured in record["contestants"].items()
            if name != "kerasgan"
        ] + [f"{BASELINES.get(name, name)}: fails" for name in record.get("failed", ())]
        lines.append(
            f"| `{case}` | {'; '.join(peers)} | {ours['median_ms']:.0f} ms "
            f"| {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) "
            f"| {_starts(record)} "
            f"| {theirs['peak_mib']:.0f} and {ours['peak_mib']:.0f} MiB | {_shares(record)} |"
        )
    record = next(iter(records.values()))
    sizes = ", ".join(f"{name} {size}" for name, size in suite.BATCH_SIZES.items())
    lines.append(
        "\nStep times are medians. The programs run alternately, in blocks of steps. The speed-up "
        "is the median of the ratios of their blocks, compared with the fastest other program. The "
        "seconds to the first step contain tracing and compilation, but no imports; their order "
        "is that of the programs, with kerasgan last. The peak memory is that of the fastest other "
        "program and of kerasgan. The last column is the number of floating-point operations of "
        "the PyTorch step, divided by the step time of PyTorch and of kerasgan, relative to the "
        "rate of a product of two matrices of 2,048 x 2,048. kerasgan often needs fewer operations "
        "than PyTorch, so its share can exceed 100 %.\n"
        f"\nBatch sizes: {sizes}. HDGAN has full width and three sizes. Each program has "
        f"{record['settings']['threads']} threads. kerasgan's StyleGAN2 and StylEx use one "
        "thread per operation (`TF_NUM_INTRAOP_THREADS=1`), its HDGAN runs one operation at a time "
        f"(`TF_NUM_INTEROP_THREADS=1`). Machines: {_processors(records)}.{_few(records)}\n"
        "\nCommand: `python -m benchmarks speed --steps=10 CASE`. `benchmarks/results/speed.json` "
        "has a record per case with commit and versions. Where a compilation failed, the record "
        "contains the reason."
    )
    return "\n".join(lines)


def _few(records):
    """Cases with fewer timed steps than usual, or another number of threads, as sentences."""
    usual = next(iter(records.values()))["settings"]["threads"]
    few = {
        f"`{case}`": record["contestants"]["kerasgan"]["steps"]
        for case, record in records.items()
        if record["contestants"]["kerasgan"]["steps"] < timing.USUAL_STEPS
    }
    single = [f"`{c}`" for c, record in records.items() if record["settings"]["threads"] != usual]
    parts = [f"{steps} timed steps: {case}." for case, steps in few.items()]
    if single:
        parts.append(f"One thread, with other work on the processor: {', '.join(single)}.")
    return "".join(f" {part}" for part in parts)


def _starts(record):
    """Seconds of the first step of each program, if measured."""
    starts = [
        f"{each['start']['first_step_seconds']:.1f}"
        for each in record["contestants"].values()
        if "start" in each
    ]
    return ", ".join(starts)


def _shares(record):
    """Share of the machine's matrix product rate that each program reaches, if measured."""
    share = record.get("arithmetic", {}).get("share")
    return f"{share['torch']:.0%} and {share['kerasgan']:.0%}" if share else ""


def scaling() -> str:
    """Return the table of kerasgan's step times at several sizes, one row per case."""
    records = suite.read()
    records = {case: record for case, record in records.items() if case in suite.SCALES}
    if not records:
        return NOT_RUN
    lines = [
        "| case | size | median step time | exponent |",
        "|---|---|---|---|",
    ]
    for case, record in records.items():
        times = [
            f"{size}: {measured['median_ms']:.0f} ms"
            for size, measured in record["contestants"].items()
        ]
        description, exponent = suite.SCALES[case][0], record["exponent"]
        lines.append(f"| `{case}` | {description} | {', '.join(times)} | {exponent:.2f} |")
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records.values()))
    lines.append(
        "\nStep times of kerasgan alone; the time grows like the size to the power of the "
        f"exponent. Machines: {_processors(records)}. Commands: {commands}."
    )
    return "\n".join(lines)


def gpu() -> str:
    """Return the table of the training steps on one GPU."""
    records = suite.read(RESULTS / "gpu.json")
    if not records:
        return NOT_RUN
    programs = list(on_gpu.PROGRAMS)
    lines = [
        f"| device | case | {' | '.join(BASELINES[name] for name in programs)} | published, A100 |",
        "|---" * (len(programs) + 3) + "|",
    ]
    for device, cases in records.items():
        for case, record in cases.items():
            cells = [f"`{device}`", f"`{case}`"]
            cells += [_gpu_cell(record, name) for name in programs]
            published = on_gpu.STYLEGAN2.get(record["settings"].get("size"), {}).get("published")
            lines.append(f"| {' | '.join([*cells, str(published or '')])} |")
    every = {record["command"] for cases in records.values() for record in cases.values()}
    commands = ", ".join(f"`{command}`" for command in sorted(every))
    lines.append(
        "\nSeconds per 1,000 images: median block, in parentheses the peak memory of the device "
        f"and the time of the first block with compilation. Commands: {commands}."
    )
    return "\n".join(lines)


def _gpu_cell(record, name):
    found = record["programs"].get(name)
    if not found:
        return "fails" if name in record["failed"] else "not measured"
    memory, first = found["peak_device_mib"], found["first_step_seconds"]
    size = f"{memory / 1024:.1f} GiB, " if memory else ""
    return f"{found['seconds_per_kimg']:.2f} ({size}{first:.0f} s)"


def _processors(records):
    """Processors of the cases; with several processors, the cases of each but the most frequent."""
    cases = {}
    for case, record in records.items():
        cases.setdefault(record["machine"]["cpu"], []).append(f"`{case}`")
    usual, *others = sorted(cases, key=lambda cpu: -len(cases[cpu]))
    parts = [f"{cpu} ({', '.join(cases[cpu])})" for cpu in others]
    return "; ".join([*parts, f"{usual} (all other cases)" if parts else usual])


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
    threads = every[0]["threads"]
    lines.append(
        "\nSeconds of tracing and compilation in the first step, mean time of a step, and peak "
        f"memory of the process, with {threads} thread{'s' * (threads > 1)}. Each recipe has the "
        f"model and the batch size of its preset `{every[0]['preset']}`. {_about(every)}"
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
        f"{every[0]['rounds']} processes. The limit, a target of this project, is {factor} times "
        f"`import keras` plus {seconds} s. The rates are those of one call for "
        f"{every[0]['images']} images; the files are HDF5. {_about(every)}"
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


def devices() -> str:
    """Return the table of the largest differences between one device and two."""
    path = RESULTS / "devices.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    lines = [f"| tiny model | {' | '.join(NAMES.values())} |", "|---" * (1 + len(NAMES)) + "|"]
    for model, records in sorted(found.items()):
        cells = [
            f"{records[name]['state']:.1e}" if name in records else "not measured" for name in NAMES
        ]
        lines.append("| " + " | ".join([f"`{model}`", *cells]) + " |")
    return "\n".join(lines)


def devices_speed() -> str:
    """Return the table of the throughput of two cores against one."""
    path = RESULTS / "devices_speed.json"
    if not path.exists():
        return "Not measured yet."
    lines = [
        "| case | throughput ratio (min to max) | without exchanges | exchanged per step "
        "| exchanges per step | machine |",
        "|---|---|---|---|---|---|",
    ]
    for case, record in json.loads(path.read_text()).items():
        ratio, machine = record["throughput_ratio"], record["machine"]["cpu"]
        bound = f"{record['bound']['median']:.2f}" if "bound" in record else "not measured"
        lines.append(
            f"| `{case}` | {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}) "
            f"| {bound} "
            f"| {record['bytes_per_step'] / 1e6:.2f} MB | {record['exchanges_per_step']:.0f} "
            f"| {machine} |"
        )
    return "\n".join(lines)


def score_memory() -> str:
    """Return the table of the memory of scores, one row per score."""
    record = suite.read(RESULTS / "score_memory.json")
    if not record:
        return NOT_RUN
    formulas = record["formulas"]
    sizes = sorted({int(size) for found in formulas.values() for size in found})
    lines = [
        f"| score | {' | '.join(f'{size:,} images' for size in sizes)} |",
        "|---" * (len(sizes) + 1) + "|",
    ]
    for name, found in formulas.items():
        cells = [
            f"{found[str(size)]['mib']:.3g} MiB" if str(size) in found else "" for size in sizes
        ]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    return "\n".join(lines)


def step_memory() -> str:
    """Return the table of the memory of training steps, one column per program of a case."""
    records = suite.read(of_steps.RESULTS)
    if not records:
        return NOT_RUN
    columns = {
        f"`{case}`, {'kerasgan' if program == 'kerasgan' else 'PyTorch'}": peaks
        for case, record in records.items()
        for program, peaks in record["peak_mib"].items()
    }
    lines = [f"| peak after | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
    for part in ("import", "building", "first step", "last step"):
        cells = [f"{peaks[part]:.0f}" for peaks in columns.values()]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    cells = [f"{peaks['last step'] - peaks['import']:.0f}" for peaks in columns.values()]
    lines.append(f"| last step minus import | {' | '.join(cells)} |")
    steps = ", ".join(f"`{case}` {record['steps']}" for case, record in records.items())
    lines.append(
        f"\nMiB. Number of steps: {steps}. TensorFlow runs one operation at a time. "
        f"{_about(list(records.values()))}"
    )
    return "\n".join(lines)


def _about(records):
    """Machines and commands of records, as sentences."""
    machines = ", ".join(dict.fromkeys(record["machine"]["cpu"] for record in records))
    commands = ", ".join(dict.fromkeys(f"`{record['command']}`" for record in records))
    return f"Machine: {machines}. Command: {commands}."
