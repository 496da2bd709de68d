"""Parity with Hugging Face's GPT-2, at odd shapes and random weights: no download."""

import json
import os
import pickle
import re
import resource
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

from simplegpt.cli import UserError
from simplegpt.config.schema import ModelConfig
from simplegpt.data.chat import CHAT_TEMPLATE, ChatMessage, encode_message, encode_prompt
from simplegpt.data.tokenizer import load_tokenizer
from simplegpt.export import main
from simplegpt.gpt2.folder import (
    TRANSPOSED,
    export_folder,
    from_hugging_face,
    load_folder,
)
from simplegpt.gpt2.gguf import export_gguf
from simplegpt.gpt2.hub import find_folder, reason
from simplegpt.model import GPT
from tests.simplegpt.models import random_gpt, save_checkpoint, train_tokenizer

FINE_TUNING = Path(__file__).parents[2] / "docs" / "fine-tuning.md"
SHAPES = [  # n_vocab, n_ctx, n_embd, n_head, n_layer, activation
    (97, 23, 15, 5, 3, "gelu_new"),
    (131, 40, 28, 7, 2, "gelu_new"),
    (53, 11, 9, 1, 5, "gelu_new"),
    (61, 17, 22, 11, 2, "gelu"),
]


@pytest.fixture(params=SHAPES, ids=lambda shape: "-".join(map(str, shape)))
def theirs(request: pytest.FixtureRequest) -> GPT2LMHeadModel:
    n_vocab, n_ctx, n_embd, n_head, n_layer, activation = request.param
    config = GPT2Config(
        vocab_size=n_vocab,
        n_positions=n_ctx,
        n_embd=n_embd,
        n_head=n_head,
        n_layer=n_layer,
        activation_function=activation,
        attn_pdrop=0.0,
        embd_pdrop=0.0,
        resid_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():  # biases and norms too, or errors in them stay unseen
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def folder(theirs: GPT2LMHeadModel, tmp_path: Path) -> Path:
    theirs.save_pretrained(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture
def ours(folder: Path) -> GPT:
    return load_folder(folder).gpt


def some_ids(ours: GPT, rows: int = 3) -> torch.Tensor:
    return torch.randint(ours.config.n_vocab, (rows, ours.config.n_ctx))


def test_logits_agree(theirs: GPT2LMHeadModel, ours: GPT) -> None:
    ids = some_ids(ours)
    torch.testing.assert_close(ours(ids), theirs(ids).logits, atol=1e-4, rtol=0)


def test_loss_and_every_gradient_agree(theirs: GPT2LMHeadModel, ours: GPT) -> None:
    ids = some_ids(ours)
    loss, expected = ours.loss(ids), theirs(ids, labels=ids).loss
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    loss.backward()
    expected.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        gradient = gradients.pop(f"transformer.{name}")
        gradient = gradient.T if name.endswith(TRANSPOSED) else gradient
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-4, rtol=1e-4, msg=name)
    assert not gradients


@torch.no_grad()
def test_greedy_text_agrees_token_for_token(theirs: GPT2LMHeadModel, ours: GPT) -> None:
    n_prompt = 4
    prompt = some_ids(ours, rows=1)[:, :n_prompt]
    n_new = ours.config.n_ctx - n_prompt
    expected = theirs.generate(prompt, max_new_tokens=n_new, do_sample=False)[0, n_prompt:]
    cache, ids, text = ours.new_cache(), prompt, []
    for _ in range(n_new):
        ids = ours(ids, cache=cache)[:, -1:].argmax(-1)
        text.append(ids.item())
    assert text == expected.tolist()


def test_export_is_read_by_transformers_with_the_same_logits(ours: GPT, tmp_path: Path) -> None:
    export_folder(ours, tmp_path / "export", tokenizer_name=None)
    back = GPT2LMHeadModel.from_pretrained(tmp_path / "export", dtype=torch.float32).eval()
    ids = some_ids(ours)
    torch.testing.assert_close(back(ids).logits, ours(ids), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_model_without_biases_exports_zeros_for_them(tmp_path: Path) -> None:
    config = ModelConfig(n_vocab=31, n_ctx=9, n_embd=12, n_head=3, n_layer=2, bias=False)
    ours = GPT(config).eval()
    export_folder(ours, tmp_path / "export", tokenizer_name="char")
    ids = some_ids(ours)
    for back in (
        GPT2LMHeadModel.from_pretrained(tmp_path / "export", dtype=torch.float32)
        .eval()(ids)
        .logits,
        load_folder(tmp_path / "export").gpt(ids),
    ):
        torch.testing.assert_close(back, ours(ids), atol=1e-4, rtol=0)
    assert load_folder(tmp_path / "export").tokenizer_name == "char"


TINY = GPT2Config(vocab_size=50_257, n_positions=4, n_embd=2, n_head=1, n_layer=1)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    GPT2LMHeadModel(TINY).save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_without_a_tokenizer_has_gpt2s_if_its_size_matches(tiny: Path) -> None:
    assert load_folder(tiny).tokenizer_name == "gpt2"


def test_a_folder_with_another_vocabulary_has_no_tokenizer(
    folder: Path, tiny: Path, tmp_path: Path
) -> None:
    assert load_folder(folder).tokenizer_name is None
    words = {f"wort{i}": i for i in range(50_257)}
    for file, content in {
        "vocab.json": words,
        "tokenizer.json": {"model": {"type": "BPE", "vocab": words}},
        "vocab.txt": "wort0",
    }.items():
        (tiny / file).write_text(json.dumps(content))
        assert load_folder(tiny).tokenizer_name is None
        (tiny / file).unlink()
    assert load_folder(tiny).tokenizer_name == "gpt2"


@pytest.mark.parametrize(
    ("name", "n_vocab", "text"),
    [
        ("gpt2", 50_257, "Hello  wörld\n\n it's 12345 \U0001f600 <s> \ttab \0end "),
        ("byte", 256, "Hello  wörld\n\n it's \U0001f600 \0 \r x "),
        ("char", 256, "Hello  wörld\n\n\0\xff it's ¼ \r\t "),
    ],
)
def test_transformers_reads_the_exported_tokenizer(
    tmp_path: Path, name: str, n_vocab: int, text: str
) -> None:
    gpt = GPT(ModelConfig(n_vocab=n_vocab, n_ctx=64, n_embd=2, n_head=1, n_layer=1))
    export_folder(gpt, tmp_path / "export", name)
    theirs, ours = AutoTokenizer.from_pretrained(tmp_path / "export"), load_tokenizer(name)
    ids = theirs(text)["input_ids"]
    assert ids == ours.encode(text)
    assert theirs.decode(ids) == text
    assert (len(theirs), theirs.eos_token_id) == (ours.n_vocab, ours.end_of_text)
    assert load_folder(tmp_path / "export").tokenizer_name == name
    (tmp_path / "export" / "config.json").write_text(
        (tmp_path / "export" / "config.json").read_text().replace("simplegpt_tokenizer", "x")
    )
    found = load_folder(tmp_path / "export").tokenizer_name
    # Of another program's folders: a byte-level BPE is read from its file.
    file = str(tmp_path / "export" / "tokenizer.json")
    assert found == {"gpt2": "gpt2", "byte": file, "char": None}[name]
    if found == file:
        assert load_tokenizer(file).encode(text) == ids


@pytest.mark.parametrize("name", ["gpt2", "file"])
def test_transformers_applies_the_exported_chat_template(tmp_path: Path, name: str) -> None:
    tokenizer = load_tokenizer("gpt2" if name == "gpt2" else train_tokenizer(tmp_path))
    gpt = GPT(ModelConfig(n_vocab=tokenizer.n_vocab, n_ctx=64, n_embd=2, n_head=1, n_layer=1))
    export_folder(gpt, tmp_path / "export", tokenizer.name, chat_template=CHAT_TEMPLATE)
    theirs = AutoTokenizer.from_pretrained(tmp_path / "export")
    contents = ["Be brief.", "Hello,\n  wörld ", "\nHi!\n\n1, 2", "/etc 's \U0001f600", "", "x"]
    roles = ["system", *["user", "assistant"] * 3]
    messages = [{"role": r, "content": c} for r, c in zip(roles, contents, strict=False)]
    ours = [ChatMessage.model_validate(message) for message in messages]
    ids = theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
    assert ids == encode_prompt(ours, tokenizer, 1000).ids
    dialogue = [token for message in ours for token in encode_message(message, tokenizer)]
    assert theirs.apply_chat_template(messages)["input_ids"] == dialogue
    assert load_folder(tmp_path / "export").chat_template == CHAT_TEMPLATE
    export_folder(gpt, tmp_path / "base", tokenizer.name)
    assert load_folder(tmp_path / "base").chat_template is None


@pytest.mark.parametrize("new_format", [True, False])
def test_bin_weights_of_any_torch_are_read_as_plain_tensors(tiny: Path, new_format: bool) -> None:
    expected = load_folder(tiny).gpt.state_dict()
    model = GPT2LMHeadModel.from_pretrained(tiny, dtype=torch.float32)
    (tiny / "model.safetensors").unlink()
    torch.save(
        model.state_dict(),
        tiny / "pytorch_model.bin",
        _use_new_zipfile_serialization=new_format,  # False: as torch before 1.6 did
    )
    read = load_folder(tiny).gpt.state_dict()
    assert read.keys() == expected.keys()
    assert all(torch.equal(read[name], expected[name]) for name in read)


def test_only_the_weight_file_or_what_its_index_names_is_read(tiny: Path) -> None:
    expected = load_folder(tiny).gpt.state_dict()
    tensors = load_file(tiny / "model.safetensors")
    stray = {name: tensor + 1 for name, tensor in tensors.items()}
    save_file(stray, tiny / "model-stray.safetensors")
    assert torch.equal(load_folder(tiny).gpt.wte.weight, expected["wte.weight"])

    (tiny / "model.safetensors").unlink()
    weight_map = {name: f"model-{i % 2}.safetensors" for i, name in enumerate(tensors)}
    for file in set(weight_map.values()):
        save_file({n: tensors[n] for n in tensors if weight_map[n] == file}, tiny / file)
    index = tiny / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    read = load_folder(tiny).gpt.state_dict()
    assert all(torch.equal(read[name], expected[name]) for name in expected)

    index.write_text(json.dumps({"weight_map": {"x": "../model.safetensors"}}))
    with pytest.raises(UserError, match=r"cannot read .*index\.json"):
        load_folder(tiny)


@pytest.mark.parametrize("values", [[1], {"a": 1}, {"a": torch.eye(2).to_sparse()}, "text"])
def test_hostile_bin_weights_are_one_message(tiny: Path, values: object) -> None:
    (tiny / "model.safetensors").unlink()
    torch.save(values, tiny / "pytorch_model.bin")
    with pytest.raises(UserError, match="not a weights file"):
        load_folder(tiny)
    (tiny / "pytorch_model.bin").write_bytes(pickle.dumps(Path.cwd, protocol=2))
    with pytest.raises(UserError, match="could run code"):
        load_folder(tiny)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_pipe_in_a_files_place_is_not_opened(tiny: Path, name: str) -> None:
    (tiny / name).unlink()
    os.mkfifo(tiny / name)
    with pytest.raises(UserError, match="Not a regular file"):
        load_folder(tiny)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "llama"}, "model_type is 'llama'"),
        ({"n_inner": 5}, "n_inner is 5"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx is True"),
        ({"activation_function": "relu"}, "activation_function is 'relu'"),
        ({"n_layer": 2}, "h.1.ln_1.weight is missing"),
        ({"n_layer": "x"}, "n_layer"),
        ({"n_positions": 5}, r"wpe.weight has shape \[4, 2\], expected \[5, 2\]"),
    ],
)
def test_a_folder_that_is_not_a_gpt2_is_one_message(
    tiny: Path, changes: dict[str, object], message: str
) -> None:
    edit_config(tiny, **changes)
    with pytest.raises(UserError, match=message):
        load_folder(tiny)


def test_damaged_or_missing_weights_are_one_message(tiny: Path) -> None:
    weights = tiny / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="damaged"):
        load_folder(tiny)
    weights.unlink()
    with pytest.raises(UserError, match="has no weights"):
        load_folder(tiny)
    (tiny / "config.json").write_text("{")
    with pytest.raises(UserError, match="cannot read"):
        load_folder(tiny)


def test_an_untied_output_layer_is_refused(tiny: Path) -> None:
    state = GPT2LMHeadModel(TINY).state_dict()
    state["lm_head.weight"] = state["lm_head.weight"] + 1
    with pytest.raises(ValueError, match="lm_head"):
        from_hugging_face(state)


def test_a_hub_that_cannot_be_reached_is_one_message() -> None:
    with pytest.raises(UserError, match="not on this machine"):
        find_folder("somebody/some-gpt-that-is-not-cached")


def test_a_failed_download_gives_the_system_s_reason() -> None:
    with pytest.raises(urllib.error.URLError) as failed:
        urllib.request.urlopen("http://127.0.0.1:1")
    wrapped = RuntimeError("HTTPSConnectionPool(host='hub'): Max retries exceeded")
    wrapped.__cause__ = failed.value
    assert reason(wrapped) == "Connection refused"


def test_export_command_writes_a_new_folder_only(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "new"
    assert main([str(folder), str(target)]) == 0
    names = sorted(path.name for path in target.iterdir())
    assert names == ["README.md", "config.json", "model.safetensors"]
    with pytest.raises(UserError, match="already exists"):
        main([str(folder), str(target)])


def test_model_card_has_the_runs_figures_and_config(tmp_path: Path) -> None:
    ckpts = tmp_path / "run" / "ckpts"
    ckpts.mkdir(parents=True)
    (tmp_path / "run" / "config.toml").write_text('output_dir = "models/run"\n')
    shape = ModelConfig(n_vocab=256, n_ctx=8, n_embd=8, n_head=2, n_layer=1)
    save_checkpoint(random_gpt(shape), ckpts)
    assert main([str(tmp_path / "run"), str(tmp_path / "my-model")]) == 0
    card = (tmp_path / "my-model" / "README.md").read_text()
    for fact in ("# my-model", "| optimizer steps | 12 |", "1.5000", 'output_dir = "models/run"'):
        assert fact in card


@pytest.mark.parametrize(
    ("tokenizer_name", "n_vocab"), [("gpt2", 50_304), ("byte", 256), ("char", 256)]
)
def test_llama_cpp_continues_a_gguf_with_the_same_greedy_text(
    tokenizer_name: str, n_vocab: int, tmp_path: Path
) -> None:
    xllamacpp = pytest.importorskip("xllamacpp")
    shape = ModelConfig(n_vocab=n_vocab, n_ctx=64, n_embd=64, n_head=4, n_layer=2, bias=False)
    gpt, path = random_gpt(shape), tmp_path / "model.gguf"
    export_gguf(gpt, path, tokenizer_name, "test")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(path), 64, False
    params.cpuparams.n_threads = 1
    prompt, n_new = "Hello é wörld, it's", 20
    answer = xllamacpp.Server(params).handle_completions(
        {"prompt": prompt, "n_predict": n_new, "temperature": 0, "ignore_eos": True}
    )
    tokenizer = load_tokenizer(tokenizer_name)
    ids = tokenizer.encode(prompt)
    assert answer["usage"]["prompt_tokens"] == len(ids)
    for _ in range(n_new):
        logits = gpt.next_logits(torch.tensor([ids]))[0, : tokenizer.n_vocab]
        ids.append(int(logits.argmax()))
    assert len(set(ids[-n_new:])) > 2  # or the text would prove little
    assert answer["choices"][0]["text"] == tokenizer.decode(ids[-n_new:])


def test_llama_cpp_applies_the_exported_chat_template(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    xllamacpp = pytest.importorskip("xllamacpp")
    shape = ModelConfig(n_vocab=50_257, n_ctx=64, n_embd=8, n_head=2, n_layer=1)
    gpt, path = random_gpt(shape), tmp_path / "model.gguf"
    export_gguf(gpt, path, "gpt2", "test", CHAT_TEMPLATE)
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.warmup = str(path), 64, False
    params.cpuparams.n_threads, params.use_jinja = 1, True
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hello "}]
    answer = xllamacpp.Server(params).handle_chat_completions(
        {"messages": messages, "max_tokens": 8, "temperature": 0}
    )
    ours = [ChatMessage.model_validate(message) for message in messages]
    tokenizer = load_tokenizer("gpt2")
    ids = encode_prompt(ours, tokenizer, 64).ids
    assert answer["usage"]["prompt_tokens"] == len(ids)
    for _ in range(8):
        ids.append(int(gpt.next_logits(torch.tensor([ids]))[0].argmax()))
    assert answer["choices"][0]["message"]["content"] == tokenizer.decode(ids[-8:])


def test_what_llama_cpp_does_not_have_is_refused(tmp_path: Path) -> None:
    shape = ModelConfig(n_vocab=256, n_ctx=8, n_embd=8, n_head=2, n_layer=1)
    exact = random_gpt(shape.model_copy(update={"activation": "gelu"}))
    with pytest.raises(UserError, match="activation"):
        export_gguf(exact, tmp_path / "a.gguf", "char", "a")
    with pytest.raises(UserError, match="tokenizers gpt2, byte and char"):
        export_gguf(random_gpt(shape), tmp_path / "a.gguf", None, "a")
    (tmp_path / "a.gguf").write_bytes(b"")
    with pytest.raises(UserError, match="already exists"):
        export_gguf(random_gpt(shape), tmp_path / "a.gguf", "char", "a")


def test_export_that_cannot_be_written_is_one_message_and_leaves_no_partial_file(
    folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/new"):
        main([str(folder), str(tmp_path / "file" / "new")])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as on a full disk
    try:
        with pytest.raises(UserError, match=r"cannot write .*new"):
            main([str(folder), str(tmp_path / "new")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "new").iterdir()) == []


def test_adapters_trained_by_peft_come_back_merged_as_in_the_docs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    monkeypatch.chdir(tmp_path)
    shape = ModelConfig(n_vocab=97, n_ctx=16, n_embd=16, n_head=2, n_layer=2)
    export_folder(random_gpt(shape), Path("my-gpt2"), tokenizer_name=None)
    ids = torch.randint(shape.n_vocab, (4, shape.n_ctx))

    def train_adapters(model: Any) -> None:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(3):
            model(ids, labels=ids).loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    (program,) = re.findall(r"```python\n(.*?)```", FINE_TUNING.read_text(), re.DOTALL)
    before, after = program.split("...  # train the adapters\n")
    scope: dict[str, Any] = {}
    exec(before, scope)
    train_adapters(scope["model"])
    expected = scope["model"].eval()(ids).logits
    exec(after, scope)
    merged = load_folder(Path("my-gpt2-merged")).gpt
    torch.testing.assert_close(merged(ids), expected, atol=1e-5, rtol=0)
    assert (merged(ids) - load_folder(Path("my-gpt2")).gpt(ids)).abs().max() > 0.1
