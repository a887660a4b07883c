from hypothesis import given
from hypothesis import strategies as st

from breeder.templates import constant_trim, known_fingerprints
from registry.prompting import Prompt, fits, trimmed

LINES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_the_shared_beginning_and_end_are_trimmed_at_white_space():
    trim = constant_trim(
        [Prompt("sys", "Label it.\nText: carrot\nLabel:"), Prompt("sys", "Label it.\nText: cactus\nLabel:")]
    )
    assert (trim.system, trim.prefix, trim.suffix) == ("sys", "Label it.\nText: ", "\nLabel:")


def test_a_system_text_that_varies_is_kept():
    trim = constant_trim([Prompt("one", "a b"), Prompt("two", "a c")])
    assert trim.system is None


def test_a_prompt_with_another_system_text_does_not_fit():
    trim = constant_trim([Prompt("one", "a b"), Prompt("one", "a c")])
    assert fits(Prompt("one", "a d"), trim)
    assert not fits(Prompt("two", "a d"), trim)
    assert not fits(Prompt("", "a d"), trim)


@given(st.lists(LINES, min_size=2, max_size=6, unique=True), LINES, LINES)
def test_every_prompt_fits_its_own_trim_and_loses_only_what_is_constant(varying: list[str], before: str, after: str):
    prompts = [Prompt("", f"{before}\n{text}\n{after}") for text in varying]
    trim = constant_trim(prompts)
    for prompt in prompts:
        assert fits(prompt, trim)
        assert trim.prefix + trimmed(prompt, trim).user + trim.suffix == prompt.user
    assert len({trimmed(prompt, trim).user for prompt in prompts}) == len(varying)


def test_only_templates_that_recur_are_known():
    many = [Prompt("s", f"Route ticket {n}\nbody {n}") for n in range(50)]
    strays = [Prompt("s", f"{chr(97 + n)} stray\nbody") for n in range(4)]
    assert len(known_fingerprints([*many, *strays])) == 1


def test_prompts_of_one_line_have_no_template():
    assert known_fingerprints([Prompt("", f"turn {chr(97 + n % 26)}{n // 26 * 'x'} over") for n in range(60)]) == ()
