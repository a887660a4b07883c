"""How the samples write down their word lists."""


def words(text: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(text.split())
