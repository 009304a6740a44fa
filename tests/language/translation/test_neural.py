"""The neural engines, loaded as from the hub: tiny random models of both architectures."""

import json
from pathlib import Path

import pytest

from raysweep.errors import UsageError
from raysweep.language.translation import base, neural
from raysweep.language.translation.base import TRANSLATORS, resolve
from raysweep.records import Segment, Spec

pytest.importorskip("sacremoses", reason="the tokenizer of FSMT needs sacremoses")
pytest.importorskip("sentencepiece", reason="the tokenizer of Marian needs sentencepiece")
TEXTS = ["Sort the list.", "Return the largest of all numbers that are given.", "Check it now.", "No.", "Check it now."]


SIZE = {"d_model": 16, **{f"{part}_layers": 1 for part in ("encoder", "decoder")}}
SIZE |= {f"{part}_ffn_dim": 16 for part in ("encoder", "decoder")}
SIZE |= {f"{part}_attention_heads": 2 for part in ("encoder", "decoder")}


def fsmt(folder: Path) -> str:
    from transformers import FSMTConfig, FSMTForConditionalGeneration, FSMTTokenizer

    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,"
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *letters, *(f"{letter}</w>" for letter in letters)]
    for name in ("src", "tgt"):
        (folder / f"vocab-{name}.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("t h 10\n")
    files = [str(folder / f"vocab-{name}.json") for name in ("src", "tgt")]
    FSMTTokenizer(["en", "de"], *files, str(folder / "merges.txt")).save_pretrained(folder)

    vocabulary = {"langs": ["en", "de"], "src_vocab_size": len(tokens), "tgt_vocab_size": len(tokens)}
    FSMTForConditionalGeneration(FSMTConfig(**vocabulary, max_length=20, **SIZE)).save_pretrained(folder)
    return str(folder)


def marian(folder: Path) -> str:
    import sentencepiece
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    (folder / "text").write_text("\n".join(TEXTS * 20))
    for name in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "text"), model_prefix=str(folder / name), vocab_size=30, minloglevel=2
        )
        (folder / f"{name}.model").rename(folder / f"{name}.spm")
    pieces = sentencepiece.SentencePieceProcessor(str(folder / "source.spm"))
    tokens = [pieces.id_to_piece(at) for at in range(pieces.get_piece_size())]
    tokens = ["</s>", "<unk>", *(token for token in tokens if token not in ("</s>", "<unk>", "<s>")), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: at for at, token in enumerate(tokens)}))
    files = [str(folder / name) for name in ("source.spm", "target.spm", "vocab.json")]
    MarianTokenizer(*files).save_pretrained(folder)
    pad = len(tokens) - 1
    ids = {"pad_token_id": pad, "eos_token_id": 0, "decoder_start_token_id": pad, "bad_words_ids": [[pad]]}
    MarianMTModel(MarianConfig(vocab_size=len(tokens), **ids, **SIZE)).save_pretrained(folder)
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "make"), [("fsmt", fsmt), ("marian", marian)])
def test_two_models_translate_there_and_back_whatever_else_is_in_the_batch(name, make, tmp_path, monkeypatch):
    monkeypatch.setattr(neural, "MAX_TOKENS", 24)
    monkeypatch.setattr(neural, "BATCH", 2)
    folder = make(tmp_path)
    engine = TRANSLATORS.create(Spec(name, {"there": folder, "back": folder}))
    assert engine.lacks() == "" and engine.is_ready
    assert tmp_path.name in engine.fingerprint()["translator"] and "transformers" in engine.fingerprint()["translator"]
    monkeypatch.setattr(neural, "is_believable", lambda sentence, text: True)  # random models give nonsense
    together = engine.back_translate([[Segment(text, True)] for text in TEXTS])
    assert together == [engine.back_translate([[Segment(text, True)]])[0] for text in TEXTS]
    assert together[2] == together[4] and all(isinstance(text, str) for text in together)


def test_two_folders_of_the_same_name_differ_by_their_content(tmp_path):
    engines = []
    for at in ("one", "same", "other"):
        folder = tmp_path / at / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "fsmt"}))
        (folder / "model.safetensors").write_bytes(b"weights" + (at == "other") * b"!")
        engines.append(TRANSLATORS.create(Spec("fsmt", {"there": str(folder), "back": str(folder)})))
    one, same, other = (engine.fingerprint() for engine in engines)
    assert one == same != other


def test_a_hub_model_is_here_when_its_weights_are(tmp_path, monkeypatch):
    import huggingface_hub

    from raysweep.models import identity

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(identity, "hub_config", lambda name, revision: ({}, "c0ffee"))
    engine = TRANSLATORS.create(Spec("marian", {"there": "some/en-de", "back": "some/de-en"}))
    for step in ("config.json", "pytorch_model.bin"):
        assert not engine.is_ready
        for name in ("some--en-de", "some--de-en"):
            folder = tmp_path / f"models--{name}"
            (folder / "snapshots" / "c0ffee").mkdir(parents=True, exist_ok=True)
            (folder / "snapshots" / "c0ffee" / step).write_text("{}")
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / "main").write_text("c0ffee")
    assert engine.is_ready
    assert "en-de@c0ffee and de-en@c0ffee" in engine.fingerprint()["translator"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fsmt", r"facebook/wmt19-en-de .*`hf download facebook/wmt19-en-de`.*or take apertium"),
        (
            "auto",
            r"hf download facebook/wmt19-en-de.*fsmt, which also downloads.*apt install apertium apertium-eng-spa",
        ),
        ("apertum", "did you mean 'apertium'"),
    ],
)
def test_a_translator_that_is_not_here_is_reported_with_the_ways_out(monkeypatch, name, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(base, "_PREFERRED", ("fsmt",))
    with pytest.raises(UsageError, match=message):
        resolve(name)
