"""What the ways to make a program of an answer mean, and what stands of them in keys."""

from raysweep.prompts.answers import ways
from raysweep.prompts.answers.ways import Extract, way_of


def test_what_extract_means_of_chats_and_of_completions():
    assert way_of("auto", is_chat=True) is Extract.AUTO and way_of("auto", is_chat=False) is Extract.NONE
    for setting in ("none", "study"):
        assert way_of(setting, is_chat=True) is way_of(setting, is_chat=False) is Extract.NONE
    assert way_of("first", is_chat=False) is Extract.FIRST
    whole = [way for way in Extract if way.needs_whole_answers]
    assert whole == ["auto", "first", "last", "evalplus", *ways.PATCHES]


def test_patches_have_a_version_of_their_own_in_the_keys_of_results(monkeypatch):
    before = {way: way.key for way in Extract}
    assert before[Extract.NONE] == {} and before[Extract.LAST] == {"extract": f"last {ways.VERSION}"}
    monkeypatch.setattr(ways, "PATCH_VERSION", 7)
    assert {way for way in Extract if way.key != before[way]} == set(ways.PATCHES)
    assert Extract.HUNK.key == {"extract": "hunk 7"}
