from pathlib import Path

import orjson

from breeder.baseline import paid_before


def test_another_breedings_answers_are_taken_over_without_their_cost_and_without_a_torn_line(tmp_path: Path):
    cache = tmp_path / "baseline.jsonl"
    cache.write_bytes(b'{"task":"a","text":"x","cost_usd":0.5}\n{"task":"b","text":null,"cost_usd":null}\n{"task":"c"')

    assert [orjson.loads(line) for line in paid_before(cache).splitlines()] == [
        {"task": "a", "text": "x", "cost_usd": 0.0},
        {"task": "b", "text": None, "cost_usd": 0.0},
    ]


def test_without_an_earlier_breeding_there_is_nothing_to_take_over(tmp_path: Path):
    assert paid_before(None) == b""
    assert paid_before(tmp_path / "missing.jsonl") == b""
