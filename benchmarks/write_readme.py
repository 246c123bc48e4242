"""Writes into README.md what must not be typed by hand: the results from benchmarks/results, and the defaults of the configuration."""

import json
from pathlib import Path
from typing import Any

from pipeline.configuration import Configuration, Section

ROOT = Path(__file__).parents[1]


def results_table() -> str:
    """A table for each committed comparison with gensim, and that of the shards."""
    lines = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("against_gensim-*.json")):
        lines += _comparison(json.loads(path.read_text()))
    for path in sorted((ROOT / "benchmarks" / "results").glob("models-*.json")):
        speed = path.with_name(path.name.replace("models", "models_speed"))
        lines += _family(json.loads(path.read_text()), json.loads(speed.read_text()) if speed.exists() else {})
    parts = {name: ROOT / "benchmarks" / "results" / f"{name}.json" for name in ("cooccurrence", "glove", "softmax")}
    if all(path.exists() for path in parts.values()):
        lines += _others(**{name: json.loads(path.read_text()) for name, path in parts.items()})
    for path in sorted((ROOT / "benchmarks" / "results").glob("shards-*.json")):
        lines += _shards(json.loads(path.read_text()))
    preparation = ROOT / "benchmarks" / "results" / "preparation.json"
    if preparation.exists():
        lines += _preparation(json.loads(preparation.read_text()))
    inputs = ROOT / "benchmarks" / "results" / "inputs.json"
    if inputs.exists():
        lines += _inputs(json.loads(inputs.read_text())["figures"])
    counting = ROOT / "benchmarks" / "results" / "counting.json"
    if counting.exists():
        lines += _counting(json.loads(counting.read_text()))
    costs = ROOT / "benchmarks" / "results" / "costs.json"
    if costs.exists():
        lines += _costs(json.loads(costs.read_text())["figures"])
    return "\n".join(lines).strip()


def _preparation(result: dict[str, Any]) -> list[str]:
    """From the text to pairs."""
    found = result["figures"]
    one, two = found["1 threads"], found["2 threads"]
    peaks = " / ".join(str(mb) for mb in found["peak_mb with 2 threads"].values())
    speed = one["text_to_counted_tokens_mb_per_s"]
    return [
        f"Preparation of `{result['corpus']}` ({result['text_bytes'] / 1e6:.0f} MB), from the text to the pairs of 5 epochs on the disk,",
        f"kernels compiled, medians of {result['turns']} turns; commit `{result['versions']['commit']}`: {one['elapsed_s']:.1f} s with",
        f"one thread (tokenizing {one['tokenize']:.1f}, vocabulary {one['vocabulary']:.1f}, pairs {one['pairs']:.1f}),",
        f"{two['elapsed_s']:.1f} s with two, {found['one thread to two']:.2f} times.",
        f"A core takes {speed:.0f} MB of text a second to counted words on the disk.",
        f"The process has {peaks} MB at its peak for a quarter of the text, all, and four times as much (compiler and",
        f"libraries included); the artifacts of one epoch take {found['disk_to_text']:.2f} of the size of the text.",
        "",
    ]


def _inputs(found: dict[str, Any]) -> list[str]:
    """What it takes to read, and not to read."""
    many = found["1,000 small files"]
    speeds = {name: speed for name, speed in found["reading, MB of text a second of a core"].items() if name.startswith("a.")}
    listed = ", ".join(f"{name.removeprefix('a')} {speed:.0f}" for name, speed in speeds.items() if "," not in name)
    return [
        f"An unchanged corpus of {many['files']:,} small files is recognised in {many['unchanged_s']:.1f} s.",
        f"Reading, checking and hashing gives, in MB of text a second of a core: {listed}.",
        "",
    ]


def _counting(result: dict[str, Any]) -> list[str]:
    """Words and phrases counted, beside gensim."""
    lines = [
        f"Words and phrases of `{result['corpus']}` ({result['text_bytes'] / 1e6:.0f} MB), min_count 5, gensim's scores, threshold 10;",
        f"medians of {result['turns']} turns; both sides found the same words, counts, phrases, and scores to the bit; commit "
        f"`{result['versions']['commit']}`. Our step of phrases also joins and writes the text:",
        "",
        "| | gensim, s | one thread, s | to gensim | two threads, s | to gensim |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name in ("plain", "english connector words"):
        for case, found in result[name]["figures"].items():
            if case == "text to counted words" and name != "plain":
                continue
            one, two = found["1"], found["2"]
            lines.append(
                f"| {case}{'' if name == 'plain' else ', with connector words'} | {found['gensim_s']:.1f} | {one['elapsed_s']:.2f} "
                f"| **{one['to_gensim']:.1f} times** | {two['elapsed_s']:.2f} | **{two['to_gensim']:.1f} times** |"
            )
    little = result["plain"]["in 32 MB"]
    return [
        *lines,
        "",
        "With 32 MB for counting instead of 512",
        f"the phrases take {little['elapsed_s']:.1f} s instead of {little['elapsed_s in 512 MB']:.1f}, and the process grows by "
        f"{little['grew_mb']:.0f} MB instead of {little['grew_mb in 512 MB']:.0f}.",
        "",
    ]


def _others(cooccurrence: dict[str, Any], glove: dict[str, Any], softmax: dict[str, Any]) -> list[str]:
    """Counting, GloVe and the full softmax alone."""
    counted = cooccurrence["figures"]
    kernel, stage = counted["tokens_per_s_counting_kernel"], counted["by_threads"]["1"]["tokens_per_cpu_s"]
    cells = glove["cases"]["100 MB of Wikipedia, D 100"]["examples_per_s"]["1"] / 2
    products, training = ([case["2 threads"][f"{what}_to_peak"] for case in softmax["speed"]] for what in ("products", "training"))
    return [
        f"A core counts the co-occurrences of {kernel / 1e6:.1f} M tokens a second (window {counted['window']}),",
        f"{stage / 1e6:.1f} M with reading, merging, and writing {counted['bytes_a_cell']} bytes a cell. GloVe's kernel trains",
        f"{cells / 1e6:.1f} M cells a second a core, both directions of each. The matrix products of the full softmax run at",
        f"{min(products):.0%} to {max(products):.0%} of what BLAS does for large square matrices, and all of its training at",
        f"{min(training):.0%} to {max(training):.0%}, {len(training)} cases, two threads.",
        "",
    ]


def _costs(figures: dict[str, Any]) -> list[str]:
    """Compiling, memory, checkpoints, and noise drawn for every pair."""
    runs, compiling = figures["runs"], figures["compiling"]
    batch, window, pair = (runs[f"noise a {shared_by}"] for shared_by in ("batch", "window", "pair"))
    off = max(abs(run["projected_to_measured"] - 1) for run in runs.values())
    lines = [
        "Compiling takes "
        f"{compiling['5 negatives']['cold_s']:.0f} s for 5 negatives, {compiling['64 negatives']['cold_s']:.0f} s for 64, once.",
        "Noise drawn for every pair, as in word2vec, trains "
        f"{pair['words_per_s'] / 1e6:.1f} M words/s on the sample, drawn for every window {window['words_per_s'] / 1e6:.1f} M,",
        f"and for a batch of windows {batch['words_per_s'] / 1e6:.1f} M; analogies {pair['analogies']:.1%}, {window['analogies']:.1%} and "
        f"{batch['analogies']:.1%}. A checkpoint every second takes "
        f"{runs['a checkpoint every second']['checkpoints_share']:.1%} of the time. Memory while training, all processes together, is",
        f"projected by `plan` within {off:.1%} in {len(runs)} cases.",
    ]
    large = runs.get("3 million words by 300, shared")
    if large:
        lines[-1] += f" Three million words by 300 dimensions need {large['memory_mb'] / 1000:.1f} GB in shared mode."
    stopping = figures["stopping"]
    lines.append(
        f"A run that is told to stop ends, with a checkpoint, after {max(stopping.values()):.1f} s at most ({len(stopping)} ways)."
    )
    return [*lines, ""]


def _comparison(result: dict[str, Any]) -> list[str]:
    """The sentences and the table of one comparison with gensim."""
    figures, settings, machine, alone = result["figures"], result["settings"], result["machine"], result["training alone"]
    lines = [
        f"Skip-gram on `{result['corpus']}` ({result['text_bytes'] / 1e6:.0f} MB of text), **{settings['dimensions']} dimensions**,",
        f"window 5, 5 negatives, t 1e-4, min_count 5, {settings['epochs']} epochs, {settings['threads']} threads; medians of "
        f"{settings['seeds']} seeds, scores are means.",
        f"{machine['cpu']}, {machine['cores']} cores; commit `{result['versions']['commit']}`.",
        "",
        "| | training, words/s | to gensim | one thread to two | analogies | WordSim-353 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for side in ("gensim", "shared", "reproducible"):
        name, faster, scaling = f"gensim {result['runs'][0]['gensim']['gensim']}", "", ""
        if side != "gensim":
            name, faster = f"corpus2vec, {side}", f"**{figures[f'{side} to gensim']:.1f} times**"
            scaling = f"{alone[f'{side}, one thread to two']:.2f} times"
        lines.append(
            f"| {name} | {figures[f'words_per_s {side}'] / 1e6:.2f} M | {faster} | {scaling} "
            f"| {figures[f'analogies {side}']:.1%} | {figures[f'wordsim353 {side}']:.3f} |"
        )
    return [
        *lines,
        "",
        "One thread to two is of training alone, where reproducible training has "
        f"{alone['reproducible to shared']:.0%} of the speed of shared, with two shards instead of four "
        f"{alone['reproducible with two shards to shared']:.0%}. With Prefect's server",
        f"and the reading beside it, to which one thread leaves a core, it is {figures['shared, one thread to two']:.2f} and "
        f"{figures['reproducible, one thread to two']:.2f} times, and {figures['reproducible to shared']:.0%}.",
        f"From the text file to scored vectors: {figures['elapsed_s']:.0f} s with Prefect's server and the store, gensim "
        f"{figures['elapsed_s gensim']:.0f} s: **{figures['end to end to gensim']:.1f} times** faster. The first run",
        f"of all, which compiles the kernels and makes Prefect's database, took {result['runs'][0]['reproducible']['elapsed_s']:.0f} s. "
        f"Text to pairs takes {figures['text_to_pairs_s']:.1f} s ({figures['text_to_pairs_s cold']:.1f} s then),",
        f"all processes together need {figures['peak_memory_mb'] / 1000:.2f} GB at the peak, the store {figures['disk_mb']:.0f} MB.",
        "",
    ]


def _family(result: dict[str, Any], speed: dict[str, Any]) -> list[str]:
    """Every model and loss beside gensim's; speeds, where they were measured, are of a run of their own."""
    figures, timed_figures = result["figures"], speed.get("figures", {})
    commits = sorted({run[name]["commit"] for run in result["runs"] for name in run if name != "seed" and "gensim" not in name})
    lines = [
        f"The whole family on `{result['corpus']}`: {result['benchmark'].removeprefix('the whole family: ')};",
        f"{result['seeds']} seed{'s' * (result['seeds'] > 1)}, means of scores; commit `{'`, `'.join(commits)}`, "
        f"{result['machine']['cpu']}.",
        *([_speeds_of(speed)] if speed else []),
        "",
        f"| |{' words/s | to gensim |' * bool(speed)} analogies | gensim's | WordSim-353 | gensim's |",
        f"|---|{'---:|---:|' * bool(speed)}---:|---:|---:|---:|",
    ]
    for name, found in figures.items():
        if name.startswith("gensim: "):
            continue
        peer = figures.get(f"gensim: {name.removesuffix(', shared')}")
        theirs = (f"{peer['analogies']:.1%}", f"{peer['wordsim353']:.3f}") if peer else ("", "")
        cells = [f"{found['analogies']:.1%}", theirs[0], f"{found['wordsim353']:.3f}", theirs[1]]
        if speed:
            timed = timed_figures.get(name, {})
            words = f"{timed['words_per_s'] / 1e6:.2f} M" if timed else ""
            cells = [words, f"{timed['to gensim']:.1f} times" if "to gensim" in timed else "", *cells]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def _speeds_of(speed: dict[str, Any]) -> str:
    epochs = speed["benchmark"].split(" epochs")[0].split()[-1]
    return f"Speeds are medians of runs of {epochs} epochs; commit `{speed['versions']['commit']}`, {speed['machine']['cpu']}."


def _shards(result: dict[str, Any]) -> list[str]:
    """What shards cost in quality."""
    figures = result["figures"]
    rows = [
        f"| {shards} | {found['analogies']:.2%} | {-figures['points_lost'][shards] or 0.0:+.2f} | {found['wordsim353']:.3f} |"
        for shards, found in figures["means"].items()
    ]
    return [
        f"What shards cost, on `{result['corpus']}`, means of {result['seeds']} seeds; one shard is one sequential thread; commit "
        f"`{result['versions']['commit']}`:",
        "",
        "| shards | analogies | points | WordSim-353 |",
        "|---:|---:|---:|---:|",
        *rows,
        "",
    ]


def demo_output() -> str:
    """What the demo printed, and how long it took."""
    results = ROOT / "benchmarks" / "results"
    figures = json.loads((results / "demo.json").read_text())["figures"]
    return "\n".join(
        [
            "```",
            (results / "demo.txt").read_text().strip(),
            "```",
            "",
            f"That took {figures['demo_s']:.0f} s. The same again takes {figures['again_s']:.0f} s, nearly all of it Prefect's start:",
            f"nothing is computed. A question takes {figures['similar_s']:.1f} s.",
        ]
    )


def configuration_defaults() -> str:
    """The defaults as TOML, with the meaning of every key."""
    lines = ["```toml"]
    top = Configuration()
    for name, value in top:
        if isinstance(value, Section):
            meanings = value.meanings()
            lines += ["", f"[{name}]", *(_entry(key, one, meanings[key]) for key, one in value)]
        else:
            lines.append(_entry(name, value, top.meanings()[name]))
    return "\n".join([*lines, "```"])


def _entry(key: str, value: object, meaning: str) -> str:
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    return f"{key} = {text}".ljust(34) + f"# {meaning.split('`', maxsplit=1)[0].rstrip(' ;')}"


def written(text: str) -> str:
    """The README with each marked part made anew."""
    parts = {"results": results_table(), "configuration": configuration_defaults(), "demo": demo_output()}
    for name, content in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        head, rest = text.split(begin, maxsplit=1)
        text = f"{head}{begin}\n{content}\n{end}{rest.split(end, maxsplit=1)[1]}"
    return text


def main() -> None:
    """Write the README."""
    path = ROOT / "README.md"
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
