from pathlib import Path

import pytest

from kernels.noise import MAX_NEGATIVES
from kernels.text import MAX_WINDOW
from pipeline.choices import PhraseScorer
from pipeline.configuration import Configuration, Section
from pipeline.configuration_file import load_configuration, parse_configuration
from pipeline.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(text)
    return path


def test_configuration__defaults_stand_without_a_file() -> None:
    assert load_configuration(None) == Configuration()


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "configs").glob("*.toml")), ids=lambda path: path.name)
def test_configuration__shipped_files_are_valid_and_name_existing_text(path: Path) -> None:
    configuration = load_configuration(path)
    assert configuration.name != Configuration().name
    assert all(Path(name).exists() for name in configuration.corpus.paths)


def test_configuration__every_key_says_what_it_means() -> None:
    def keys(model: type[Section]):
        for name, field in model.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                yield from keys(field.annotation)
            else:
                yield model.__name__, name, model.meanings().get(name, "")

    assert [key for key in keys(Configuration) if not key[2]] == []


def test_configuration__cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Configuration().train.dimensions = 3


def test_load_configuration__paths_in_the_file_are_relative_to_the_file(tmp_path) -> None:
    path = write(
        tmp_path,
        '[corpus]\npaths = ["text.txt", "/abs/t.txt", "s3://b/t.txt"]\n[store]\npath = "here"\n'
        '[evaluate]\nanalogies = ["questions-words", "my.txt"]\n',
    )
    configuration = load_configuration(path)
    assert configuration.corpus.paths == (f"{tmp_path}/text.txt", "/abs/t.txt", "s3://b/t.txt")
    assert configuration.store.path == f"{tmp_path}/here"
    assert configuration.evaluate.analogies == ("questions-words", f"{tmp_path}/my.txt")


def test_load_configuration__paths_in_overrides_are_relative_to_the_working_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_configuration(None, ["corpus.paths=text.txt"]).corpus.paths == (f"{tmp_path}/text.txt",)


def test_load_configuration__overrides_are_stronger_than_the_file_and_keep_the_rest(tmp_path) -> None:
    path = write(tmp_path, 'name = "mine"\n[train]\ndimensions = 50\nnegatives = 7\n')
    configuration = load_configuration(path, ["train.dimensions=200", "phrases.scorer=npmi", "phrases.thresholds=[0.5]", "name=other"])
    assert (configuration.train.dimensions, configuration.train.negatives, configuration.name) == (200, 7, "other")
    assert configuration.phrases.scorer is PhraseScorer.NPMI
    assert configuration.phrases.thresholds == (0.5,)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.dimension=3", ["no configuration key 'train.dimension'", "Did you mean 'dimensions'?"]),
        ("dimensions=3", ["no configuration key 'dimensions'", "Did you mean 'train.dimensions'?"]),
        ("trian.dimensions=3", ["no configuration key 'trian'", "Did you mean 'train'?"]),
        ("train.dimensions=0", ["train.dimensions", "got:      0", "greater than or equal to 1", "Numbers in a vector"]),
        ("train.dimensions=many", ["train.dimensions", "'many'", "integer"]),
        ("train.learning_rate=0.00001", ["key train", "min_learning_rate is above learning_rate"]),
        ("train.model=word2vec", ["train.model", "'skip_gram', 'cbow', 'glove' or 'ppmi_svd'"]),
        ("phrases.scorer=best", ["phrases.scorer", "'word2vec', 'gensim' or 'npmi'"]),
        ("vocabulary.max_vocabulary=1", ["vocabulary.max_vocabulary", "at least 2"]),
        ("pairs.subsample=2", ["pairs.subsample", "less than or equal to 1"]),
        ("train=5", ["key train", "Train"]),
        ("name=../../etc", ["key name", "'../../etc'"]),
        ("train.dimensions", ["--set train.dimensions", "section.key=value"]),
        ("a.b.c=1", ["--set a.b.c=1", "section.key=value"]),
    ],
)
def test_load_configuration__a_wrong_override_is_explained(override: str, words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, [override])
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("key", ["cluster.checkpoint_s", "cluster.counting_mb", "train.learning_rate"])
def test_load_configuration__refuses_what_is_no_finite_number(key: str, tmp_path: Path) -> None:
    """JSON has no such number: the journal and the record of the run could not be written."""
    path = tmp_path / "c.toml"
    path.write_text("")
    with pytest.raises(ConfigurationError, match="finite"):
        load_configuration(path, [f"{key}=inf"])


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model=cbow", "noise_draws=per_pair"], "one example a window"),
        (["model=glove", "loss=nce"], "no loss to choose"),
        (["model=ppmi_svd", "frozen=input"], "frozen and initial are of skip_gram and cbow"),
        (["model=glove", "mode=shared"], "always reproducible"),
        (["loss=full_softmax", "mode=shared"], "always reproducible"),
        (["loss=full_softmax", "frozen=output"], "trains both sides"),
        (["frozen=output"], "needs train.initial"),
        (["loss=hierarchical_softmax", "initial=vectors.parquet"], "another tree"),
    ],
)
def test_load_configuration__what_cannot_be_combined_is_refused_with_the_reason(overrides: list[str], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(None, [f"train.{override}" for override in overrides])
    assert reason in str(caught.value)


def test_load_configuration__a_tree_has_no_output_vectors_to_score() -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        load_configuration(None, ["train.loss=hierarchical_softmax", "evaluate.vectors=sum"])
    assert "no output vectors" in str(caught.value)


def test_train__parameters_are_those_that_change_the_result() -> None:
    def parameters(**values: object) -> dict[str, object]:
        return parse_configuration({"train": values}).train.parameters()

    assert parameters() == parameters(cbow_hidden="sum") == parameters(learning_rate=0.025)
    assert parameters(model="cbow") == parameters(model="cbow", learning_rate=0.1)
    assert parameters(model="cbow") != parameters(model="cbow", cbow_hidden="sum")
    tree = {"loss": "hierarchical_softmax"}
    assert parameters(**tree) == parameters(**tree, negatives=9, noise="log_uniform", noise_power=0.5, noise_draws="per_pair")
    assert parameters(noise="log_uniform") == parameters(noise="log_uniform", noise_power=0.5) != parameters()
    assert parameters(mode="shared") == parameters(mode="shared", shards=9) != parameters()
    assert len({str(parameters(loss=loss)) for loss in ("negative_sampling", "nce", "hierarchical_softmax", "full_softmax")}) == 4


def test_load_configuration__npmi_thresholds_lie_in_its_range() -> None:
    with pytest.raises(ConfigurationError, match="cannot be used") as caught:
        load_configuration(None, ["phrases.scorer=npmi", "phrases.thresholds=[10]"])
    assert "between -1 and 1" in str(caught.value)


def test_load_configuration__a_missing_file_names_one_with_a_similar_name(tmp_path) -> None:
    write(tmp_path, "")
    with pytest.raises(ConfigurationError, match="does not exist") as caught:
        load_configuration(tmp_path / "rum.toml")
    assert "run.toml" in str(caught.value)


@pytest.mark.parametrize("content", [b"[train\n", b"\xff\xfe"], ids=["syntax", "encoding"])
def test_load_configuration__a_broken_file_is_explained(content: bytes, tmp_path) -> None:
    path = tmp_path / "run.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(path)


def test_parse_configuration__a_dump_gives_the_same_configuration() -> None:
    configuration = load_configuration(None, ["phrases.thresholds=[10.0, 5.0]", "train.dimensions=7", "name=x"])
    assert parse_configuration(configuration.model_dump(mode="json")) == configuration


def test_configuration__allows_what_the_kernels_can_do() -> None:
    for key, limit in (("train.negatives", MAX_NEGATIVES), ("pairs.window", MAX_WINDOW)):
        load_configuration(None, [f"{key}={limit}"])
        with pytest.raises(ConfigurationError):
            load_configuration(None, [f"{key}={limit + 1}"])


def test_load_configuration__of_a_run_keeps_how_its_text_was_tokenized(tmp_path) -> None:
    run = load_configuration(None, ["tokenize.lowercase=false", "evaluate.candidates=7"]).model_dump(mode="json")
    assert load_configuration(None, ["evaluate.candidates=9"], of_run=run).evaluate.candidates == 9
    path = write(tmp_path, "[evaluate]\ncandidates = 8\n")
    for configuration, candidates in ((load_configuration(None, of_run=run), 7), (load_configuration(path, of_run=run), 8)):
        assert configuration.evaluate.candidates == candidates
        assert not configuration.tokenize.lowercase
