"""A spaCy pipeline from a folder marks people, places and organisations; those here are made by the tests."""

from __future__ import annotations

import random
import socket
import sys
from pathlib import Path

import pytest

from registry.errors import ConfigError
from registry.settings import RedactionSettings
from router.redaction.redactor import RuleRedactor, redactor_of
from router.redaction.spans import find_spans, is_unbounded

spacy = pytest.importorskip("spacy", reason="spaCy, the [pii] extra, is not installed")

SENTENCES = (
    "{} wrote the letter .",
    "we met {} in {} .",
    "please ask {} about it .",
    "the train to {} was late .",
    "{} lives in {} now .",
)
PEOPLE = ("Ann Lee", "Bob Stone", "Carla Reyes", "Dmitri Volkov", "Eva Brandt")
PLACES = ("Lisbon", "Oslo", "Kyoto", "Leipzig", "Boston")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline with a named-entity model that learned five names and five towns by heart."""
    from spacy.training import Example
    from thinc.util import fix_random_seed

    fix_random_seed(7)
    pipeline = spacy.blank("en")
    recognizer = pipeline.add_pipe("ner")
    for label in ("PERSON", "GPE"):
        recognizer.add_label(label)
    rng = random.Random(7)
    examples = [Example.from_dict(pipeline.make_doc(text), {"entities": marks}) for text, marks in _marked(rng)]
    optimizer = pipeline.initialize(lambda: examples)
    for _ in range(3):
        rng.shuffle(examples)
        for start in range(0, len(examples), 8):
            pipeline.update(examples[start : start + 8], sgd=optimizer)
    folder: Path = tmp_path_factory.mktemp("model") / "tiny"
    pipeline.to_disk(folder)
    return folder


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pipeline that marks by a list: what it finds is certain."""
    pipeline = spacy.blank("en")
    patterns = [
        *({"label": "PERSON", "pattern": name} for name in PEOPLE),
        *({"label": "GPE", "pattern": name} for name in PLACES),
        {"label": "ORG", "pattern": "Acme Corp"},
        {"label": "MONEY", "pattern": "ten dollars"},
    ]
    pipeline.add_pipe("entity_ruler").add_patterns(patterns)
    folder: Path = tmp_path_factory.mktemp("model") / "ruled"
    pipeline.to_disk(folder)
    return folder


def _marked(rng: random.Random) -> list[tuple[str, list[tuple[int, int, str]]]]:
    rows = []
    for _ in range(40):
        for sentence in SENTENCES:
            person, place = (rng.choice(PEOPLE), "PERSON"), (rng.choice(PLACES), "GPE")
            chosen = [place] if "train" in sentence else [person, place][: sentence.count("{}")]
            text = sentence.format(*(word for word, _ in chosen))
            rows.append((text, [(text.index(word), text.index(word) + len(word), kind) for word, kind in chosen]))
    return rows


def with_model(folder: Path, **keys: object) -> RuleRedactor:
    return redactor_of(RedactionSettings(ner_model=folder, **keys))


def sent(text: str, redactor: RuleRedactor) -> object:
    return redactor.redact({"text": text}).body["text"]


def test_a_trained_model_finds_the_people_and_places_it_learned(trained: Path) -> None:
    redactor = with_model(trained)
    assert sent("we met Ann Lee in Oslo .", redactor) == "we met PIINAME1 in PIIPLACE1 ."
    assert sent("we met Ann Lee in Oslo .", with_model(trained)) == "we met PIINAME1 in PIIPLACE1 ."


def test_each_label_has_its_type_and_others_stay(ruled: Path) -> None:
    text = "Bob Stone of Acme Corp owes ten dollars to bob@corp.org in Kyoto"
    redactor = with_model(ruled)
    assert sent(text, redactor) == "PIINAME1 of PIIORG1 owes ten dollars to PIIEMAIL1@masked.invalid in PIIPLACE1"
    found = [span.detector for span in find_spans(text, redactor.detectors)]
    assert found == ["ner:PERSON", "ner:ORG", "email", "ner:GPE"]


def test_what_was_masked_comes_back(ruled: Path) -> None:
    text = 'Ann Lee (Oslo) wrote {"who": "Bob Stone \\ud83d"} and 😀 Eva Brandt'
    done = with_model(ruled).redact({"text": text})
    assert not any(name in str(done.body) for name in PEOPLE)
    assert done.masker.restore_json(done.body) == {"text": text}


def test_a_long_text_is_read_in_pieces_and_no_name_is_lost_at_their_edges(ruled: Path) -> None:
    names = [name for name in PEOPLE for _ in range(400)]
    lines, one_line = "\n".join(f"line with {name}" for name in names), " and ".join(names)
    for text in (lines, one_line):
        assert len(text) > 20_000
        found = [text[span.start : span.end] for span in find_spans(text, with_model(ruled).detectors)]
        assert found == names


def test_names_that_are_allowed_and_types_that_are_off_stay(ruled: Path) -> None:
    assert sent("Ann Lee in Oslo", with_model(ruled, allow=("ann lee",))) == "Ann Lee in PIIPLACE1"
    assert sent("Ann Lee in Oslo", with_model(ruled, off=("PIIPLACE",))) == "PIINAME1 in Oslo"


def test_a_model_says_that_nothing_bounds_it(ruled: Path) -> None:
    assert is_unbounded(with_model(ruled).detectors[-1])


def test_nothing_is_looked_up_in_the_network(ruled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> object:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert sent("Ann Lee", with_model(ruled)) == "PIINAME1"


def test_a_folder_without_a_pipeline_is_refused_by_name(tmp_path: Path) -> None:
    for folder in (tmp_path, Path("en_core_web_sm")):
        with pytest.raises(ConfigError, match=f"{folder} holds no spaCy pipeline"):
            with_model(folder)


@pytest.mark.parametrize(
    "config",
    [
        "nothing that can be read",
        "[nlp]\nlang = 'en'\npipeline = ['nothing']\n",
        '[nlp]\nlang = "en"\npipeline = ["ner"]\n[components.ner]\nfactory = "unheard_of"\n',
    ],
)
def test_a_broken_pipeline_is_refused(config: str, tmp_path: Path) -> None:
    (tmp_path / "config.cfg").write_text(config)
    (tmp_path / "meta.json").write_text("{}")
    with pytest.raises(ConfigError, match="cannot be loaded"):
        with_model(tmp_path)


def test_a_pipeline_that_marks_nobody_is_refused_as_it_would_mask_nothing(tmp_path: Path) -> None:
    pipeline = spacy.blank("en")
    pipeline.add_pipe("entity_ruler").add_patterns([{"label": "MONEY", "pattern": "ten"}])
    pipeline.to_disk(tmp_path)
    with pytest.raises(ConfigError, match="marks no people, places or organisations; its labels are MONEY"):
        with_model(tmp_path)


def test_a_missing_extra_is_told_with_its_remedy(ruled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(ConfigError, match=r"pip install 'modelbreeder\[pii\]'"):
        with_model(ruled)
