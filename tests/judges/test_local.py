"""A judge in this process, loaded from a folder that the tests write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavit_eval.errors import UsageError
from lavit_eval.judges.local import LocalJudge, folder_of
from lavit_eval.judges.parsing import read
from lavit_eval.judges.protocol import JudgeOptions, Refused

WORDS = ["<unk>", "<s>", "</s>", "USER:", "SYSTEM:", "JUDGE:", '{"pred":"yes",', '"score":4}', "so"]
CHAT = (
    "{% for m in messages %}{{ m.role.upper() }}: {{ m.content }} {% endfor %}"
    "{% if add_generation_prompt %}JUDGE:{% endif %}"
)
SAYS = {"JUDGE:": '{"pred":"yes",', '{"pred":"yes",': '"score":4}', '"score":4}': "</s>"}
"""Word -> the word that the made model says after it, whatever stands before."""


def write_judge(folder: Path, **config: int) -> Path:
    """Write a chat model without layers: its next word depends on the last one alone."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>", chat_template=CHAT
    )
    tokenizer.save_pretrained(folder)
    size = len(WORDS)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=size, hidden_size=16, intermediate_size=16, num_hidden_layers=0, num_attention_heads=1,
            num_key_value_heads=1, bos_token_id=1, eos_token_id=2, **{"max_position_embeddings": 512, **config},
        )
    )  # fmt: skip
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(size, 16))
        model.lm_head.weight.zero_()
        for before, after in SAYS.items():
            model.lm_head.weight[WORDS.index(after), WORDS.index(before)] = 1.0
    model.save_pretrained(folder)
    return folder


MESSAGES = [{"role": "system", "content": "Grade it."}, {"role": "user", "content": "so what"}]


def judge(folder: Path, **fields: object) -> LocalJudge:
    return LocalJudge(JudgeOptions(**{"model": str(folder), "kind": "transformers", "dtype": "float32", **fields}))


def test_a_folder_is_asked_greedily_and_known_by_its_files(tmp_path: Path) -> None:
    one = judge(write_judge(tmp_path / "made-judge"))
    reply = one.ask(MESSAGES, 64)
    assert read(reply.text, "yes_no_score").score == 4.0 and read(reply.text, "yes_no_score").right is True
    # SYSTEM: Grade it. USER: so what JUDGE:, then two words and the end.
    assert (reply.prompt_tokens, reply.completion_tokens, reply.served) == (7, 3, None)
    assert one.ask(MESSAGES, 64) == reply
    assert read(one.ask(MESSAGES, 1).text, "yes_no_score").failed == "it gives no score"
    identity = one.identity()
    assert (identity["kind"], identity["model"], identity["dtype"], identity["temperature"]) == (
        "transformers", "made-judge", "float32", 0,
    )  # fmt: skip
    assert str(tmp_path) not in json.dumps(identity)
    one.close()
    config = json.loads((tmp_path / "made-judge" / "generation_config.json").read_text())
    (tmp_path / "made-judge" / "generation_config.json").write_text(json.dumps({**config, "max_length": 99}))
    assert judge(tmp_path / "made-judge").identity()["digest"] != identity["digest"]


def test_what_does_not_fit_is_refused_alone(tmp_path: Path) -> None:
    one = judge(write_judge(tmp_path / "small", max_position_embeddings=16))
    assert one.ask(MESSAGES, 8).text
    with pytest.raises(Refused, match="takes 16 tokens, the request has 7 and its reply up to 64"):
        one.ask(MESSAGES, 64)


@pytest.mark.parametrize(
    ("remove", "lacks"),
    [("config.json", "config.json"), ("*.safetensors", "weights as .safetensors"), ("chat_template*", "chat template")],
)
def test_a_folder_that_is_no_chat_model_is_refused(tmp_path: Path, remove: str, lacks: str) -> None:
    folder = write_judge(tmp_path / "made")
    for path in folder.glob(remove):
        path.unlink()
    with pytest.raises(UsageError, match=f"cannot judge|can judge: it has no {lacks}"):
        folder_of(str(folder))


def test_weights_that_are_pickles_or_damaged_are_not_loaded(tmp_path: Path) -> None:
    folder = write_judge(tmp_path / "made")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UsageError, match="cannot be loaded as a judge"):
        judge(folder).ask(MESSAGES, 8)


def test_a_gpu_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    folder = write_judge(tmp_path / "made")
    with pytest.raises(UsageError, match="--judge-device cuda:0: there is no GPU here"):
        judge(folder, device="cuda:0")
