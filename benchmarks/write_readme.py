"""Writes into README.md what must not be typed by hand: the results from benchmarks/results, and the defaults of the configuration."""

import json
from pathlib import Path

from pydantic import BaseModel

from pipeline.configuration import Configuration

ROOT = Path(__file__).parents[1]


def results_table() -> str:
    """One row for each committed comparison with gensim."""
    lines = []
    for path in sorted((ROOT / "benchmarks" / "results").glob("against_gensim-*.json")):
        result = json.loads(path.read_text())
        figures, settings, machine = result["figures"], result["settings"], result["machine"]
        lines += [
            f"Skip-gram on `{result['corpus']}` ({result['text_bytes'] / 1e6:.0f} MB of text), {settings['dimensions']} dimensions,",
            f"window 5, 5 negatives, t 1e-4, min_count 5, {settings['epochs']} epochs, {settings['threads']} threads;",
            f"medians of {settings['seeds']} seeds.",
            f"{machine['cpu']}, {machine['cores']} cores; commit `{result['versions']['commit']}`.",
            "",
            f"| | corpus2vec | gensim {result['runs'][0]['gensim']['gensim']} | |",
            "|---|---:|---:|---:|",
            _row("training, words/s", figures, "words_per_s", "{:.2f} M", 1e6, f"**{figures['training_times_faster']:.1f} times**"),
            _row("text file to vectors", figures, "elapsed_s", "{:.0f} s", 1, f"**{figures['end_to_end_times_faster']:.1f} times**"),
            _row("analogies (30,000 candidates)", figures, "analogies", "{:.1f} %", 0.01, "mean"),
            _row("WordSim-353, Spearman's rho", figures, "wordsim353", "{:.3f}", 1, "mean"),
            "",
            "Our time from the text file includes Prefect's server, the store and the scores; the very first run, which compiles the",
            f"kernels and makes Prefect's database, took {result['runs'][0]['corpus2vec']['elapsed_s']:.0f} s. "
            f"Text to pairs takes {figures['text_to_pairs_s']:.1f} s",
            f"({figures['text_to_pairs_s_cold']:.1f} s when the kernels are compiled too), all processes together need "
            f"{figures['peak_memory_mb'] / 1000:.2f} GB at the peak,",
            f"and the store {figures['disk_mb']:.0f} MB.",
            "",
        ]
    return "\n".join(lines).strip()


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


def _row(name: str, figures: dict[str, float], key: str, form: str, unit: float, comment: str) -> str:
    ours, theirs = (form.format(figures[side] / unit) for side in (key, f"{key}_gensim"))
    return f"| {name} | {ours} | {theirs} | {comment} |"


def configuration_defaults() -> str:
    """The defaults as TOML, with the meaning of every key."""
    lines = ["```toml"]
    top = Configuration()
    for name, field in Configuration.model_fields.items():
        value = getattr(top, name)
        if isinstance(value, BaseModel):
            lines += ["", f"[{name}]"]
            for key, inner in type(value).model_fields.items():
                lines.append(_entry(key, getattr(value, key), inner.description or ""))
        else:
            lines.append(_entry(name, value, field.description or ""))
    return "\n".join([*lines, "```"])


def _entry(key: str, value: object, meaning: str) -> str:
    text = json.dumps(list(value) if isinstance(value, tuple) else value)
    return f"{key} = {text}".ljust(34) + f"# {meaning.split('`', maxsplit=1)[0].rstrip(' ;')}"


def main() -> None:
    """Replace each marked part of the README."""
    path = ROOT / "README.md"
    text = path.read_text()
    parts = {"results": results_table(), "configuration": configuration_defaults(), "demo": demo_output()}
    for name, content in parts.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        head, rest = text.split(begin, maxsplit=1)
        text = f"{head}{begin}\n{content}\n{end}{rest.split(end, maxsplit=1)[1]}"
    path.write_text(text)


if __name__ == "__main__":
    main()
