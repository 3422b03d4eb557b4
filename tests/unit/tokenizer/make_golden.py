#!/usr/bin/env python3
"""Trains the small tokenizers of this folder and writes what the `tokenizers` package makes of the corpus.

    pip install tokenizers==0.23.3; python make_golden.py

data/corpus.bin.gz   the texts (make_corpus.py)
data/NAME.json.gz    a trained tokenizer
data/NAME.crc.gz     for each text the CRC-32 of digest(): a little-endian uint32
data/samples.txt.gz  for the first SAMPLES texts all ids: "NAME index ids..."
data/variants.json   components that are put into one tokenizer each, with their own CRC files (see VARIANTS)
"""
import base64
import gzip
import json
import pathlib
import struct
import zlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import charsmap_builder
import make_corpus

DATA = pathlib.Path(__file__).parent / "data"
SAMPLES = 250
VARIANT_STEP = 12  # variants are checked on every 12th text

LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
GPT4O = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
POSSESSIVE = (
    r"(?i:[sdmt]|ll|ve|re)(?=')|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)

ALPHABET = pre_tokenizers.ByteLevel.alphabet()


def byte_level_split(regex):
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(regex), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )


def bpe(texts, size, special, normalizer=None, pre_tokenizer=None, alphabet=(), model=None, **trainer):
    tokenizer = Tokenizer(model or models.BPE())
    if normalizer:
        tokenizer.normalizer = normalizer
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=list(alphabet), show_progress=False, **trainer),
    )
    return tokenizer


def change(tokenizer, **sections):
    """The tokenizer with fields of its JSON replaced; model=... updates fields of the model."""
    data = json.loads(tokenizer.to_str())
    for name, value in sections.items():
        if name == "model":
            data["model"].update(value)
        else:
            data[name] = value
    return Tokenizer.from_str(json.dumps(data))


def template(tokenizer, single, special):
    return processors.TemplateProcessing(single=single, pair=None, special_tokens=[(t, tokenizer.token_to_id(t)) for t in special])


def gpt2(texts):
    tokenizer = bpe(texts, 2000, ["<|endoftext|>"], None, pre_tokenizers.ByteLevel(add_prefix_space=False), ALPHABET)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def roberta(texts):
    tokenizer = bpe(texts, 1000, ["<s>", "<pad>", "</s>", "<unk>"], None, pre_tokenizers.ByteLevel(add_prefix_space=True), ALPHABET)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def llama3(texts):
    tokenizer = bpe(texts, 2000, ["<|begin_of_text|>", "<|endoftext|>"], None, byte_level_split(LLAMA3), ALPHABET)
    tokenizer.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template(tokenizer, "<|begin_of_text|> $A", ["<|begin_of_text|>"])]
    )
    tokenizer.decoder = decoders.ByteLevel()
    vocab = tokenizer.get_vocab()
    size = max(vocab.values()) + 1
    # Tokens that no merge makes: ignore_merges finds them.
    extra = {t: size + i for i, t in enumerate(["Ġscale", "ĠHerz", "Ùħ", "éĿĴé", "Ġblock."])  if t not in vocab}
    vocab.update(extra)
    return change(tokenizer, model={"ignore_merges": True, "vocab": vocab})


def qwen2(texts):
    tokenizer = bpe(texts, 2000, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], normalizers.NFC(), byte_level_split(QWEN2), ALPHABET)
    tokenizer.add_tokens([AddedToken("<tool_call>", normalized=False, special=False)])
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def smollm(texts):
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer = bpe(texts, 1500, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], None, pre, ALPHABET)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def gpt4o(texts):
    tokenizer = bpe(texts, 1500, ["<|endoftext|>"], None, byte_level_split(GPT4O), ALPHABET)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def possessive(texts):
    tokenizer = bpe(texts, 1000, [], None, byte_level_split(POSSESSIVE), ALPHABET)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


BYTES = [f"<0x{b:02X}>" for b in range(256)]
LLAMA_DECODER = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])


def llama2(texts):
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    words = pre_tokenizers.Split("▁", "merged_with_next")
    tokenizer = bpe(texts, 1600, ["<unk>", "<s>", "</s>"] + BYTES, normalizer, words, limit_alphabet=300)
    tokenizer.decoder = LLAMA_DECODER
    tokenizer.post_processor = template(tokenizer, "<s> $A", ["<s>"])
    added = [t for t in json.loads(tokenizer.to_str())["added_tokens"] if not t["content"].startswith("<0x")]
    return change(
        tokenizer, pre_tokenizer=None, added_tokens=added, model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"}
    )


def mistral(texts):
    """Metaspace "first", and no token for some bytes: unknown characters and byte tokens side by side."""
    pre = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer = bpe(texts, 1200, ["<unk>", "<s>", "</s>", "[INST]"] + BYTES[:0xE0], None, pre, limit_alphabet=200)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    added = [t for t in json.loads(tokenizer.to_str())["added_tokens"] if not t["content"].startswith("<0x")]
    return change(
        tokenizer,
        pre_tokenizer={"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        added_tokens=added,
        model={"byte_fallback": True, "fuse_unk": True, "unk_token": "<unk>"},
    )


def without_rare(texts, count):
    """The texts without all but the `count` most frequent characters: Unigram needs a token for each."""
    frequency = {}
    for text in texts:
        for c in text:
            frequency[c] = frequency.get(c, 0) + 1
    kept = set(sorted(sorted(frequency), key=lambda c: -frequency[c])[:count])
    return ["".join(c for c in text if c in kept) for text in texts]


def charsmap():
    rules = {"ﬁ": "fi", "①": "1", "Ⅷ": "VIII", "\t": " ", "\n": " ", "\r": " ", "\u00a0": " ", "\u3000": " ", "\u200b": " ", "\ufeff": "", "\xad": "",
             "e\u0301": "é", "a\u0300": "à", "ガ": "ガ", "ｶ": "カ", "ﾅ": "ナ", "“": "\"", "”": "\"", "’": "'", "…": "...", "🏳": "flag", "\u0001": "",
             "ａ": "a", "３": "3", "６": "6", "．": ".", "Å": "Å", "ß": "ss", "½": "1/2", "½¾": "?"}
    return base64.b64encode(charsmap_builder.build(rules)).decode()


def unigram(texts):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        without_rare(texts, 500), trainers.UnigramTrainer(vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False)
    )
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = template(tokenizer, "$A </s>", ["</s>"])
    data = json.loads(tokenizer.to_str())["normalizer"]
    data["normalizers"].insert(0, {"type": "Precompiled", "precompiled_charsmap": charsmap()})
    del data["normalizers"][1]
    return change(tokenizer, normalizer=data)


def unigram_bytes(texts):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKD(), normalizers.Lowercase(), normalizers.Strip(left=True, right=False), normalizers.StripAccents()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")])
    tokenizer.train_from_iterator(
        without_rare(texts, 300), trainers.UnigramTrainer(vocab_size=800, special_tokens=["<unk>", "<pad>"], unk_token="<unk>", show_progress=False)
    )
    vocab = json.loads(tokenizer.to_str())["model"]["vocab"]
    vocab += [[b, 0.0] for b in BYTES]
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="first")])
    return change(tokenizer, model={"byte_fallback": True, "vocab": vocab})


def word_piece(texts):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=2500, special_tokens=special, limit_alphabet=800, show_progress=False))
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def word_piece_cased(texts):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=30))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=True, handle_chinese_chars=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()])
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=1500, special_tokens=special, limit_alphabet=600, show_progress=False))
    tokenizer.post_processor = template(tokenizer, "[CLS] $0 [SEP]", ["[CLS]", "[SEP]"])
    tokenizer.decoder = decoders.WordPiece(cleanup=False)
    return tokenizer


def word_level(texts):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=2500, special_tokens=["[UNK]", "[PAD]"], show_progress=False))
    return tokenizer


def clip(texts):
    """BPE with a suffix, and words found rather than cut."""
    normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    pre = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer = bpe(texts, 1500, ["<|endoftext|>"], normalizer, pre, ALPHABET, models.BPE(end_of_word_suffix="</w>", unk_token="<|endoftext|>"),
                    end_of_word_suffix="</w>")
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    tokenizer.post_processor = processors.BertProcessing(("<|endoftext|>", 0), ("<|endoftext|>", 0))
    return tokenizer


def prefix_bpe(texts):
    """BPE with a prefix inside words, unknown characters and no fusing."""
    pre = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=False)])
    model = models.BPE(unk_token="[UNK]", continuing_subword_prefix="##", fuse_unk=False)
    tokenizer = bpe(texts, 1800, ["[UNK]"], normalizers.NFKD(), pre, model=model, continuing_subword_prefix="##", limit_alphabet=500)
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


TOKENIZERS = [gpt2, roberta, llama3, qwen2, smollm, gpt4o, possessive, llama2, mistral, unigram, unigram_bytes, word_piece, word_piece_cased,
              word_level, clip, prefix_bpe]


def split_variant(pattern, behavior, invert=False):
    kind = "Regex" if pattern.startswith("/") else "String"
    return {"type": "Split", "pattern": {kind: pattern.lstrip("/")}, "behavior": behavior, "invert": invert}


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def added(content, **flags):
    token = {"id": 0, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {**token, **flags}


def variants():
    """Sections that replace those of a tokenizer whose tokens are single characters, with a suffix at the end of a word: its ids show
    where the words end."""
    pre = {}
    for behavior in BEHAVIORS:
        pre["regex_" + behavior] = split_variant(r"/\s|e", behavior)
        pre["invert_" + behavior] = split_variant(r"/\p{L}+", behavior, True)
        pre["string_" + behavior] = split_variant("s", behavior)
        pre["punctuation_" + behavior] = {"type": "Punctuation", "behavior": behavior}
    for name, pattern in {
        "empty": "/", "space": r"/\s", "not_space": r"/\S+", "word": r"/\w+", "not_word": r"/[\W]+", "digit": r"/\d", "hex": r"/\h+", "boundary": r"/\b",
        "lazy": r"/a+?|\s*?\n", "optional": "/l{2}?", "repeat": "/[a-z]{2,3}+", "upto": "/e{,2}", "alternation": "/(?:the)(?i)s|T", "line": "/^.|.$",
        "dot": "/(?m:e.)", "intersection": r"/[\p{L}&&[^\p{Ll}aeiou]]+", "negated": r"/[^\P{L}]+", "han": r"/\p{Han}+|\p{^L}", "look": r"/(?<=[ae])(?=\p{L})",
        "backreference": r"/(\p{L})\1", "escapes": r"/\u0061|\x62|\t|\.|[\-\]\[]", "marks": r"/\p{M}+|\p{Lo}|\p{Mn}", "symbols": r"/[\p{P}\p{S}]+|\p{Z}|\p{Nd}|\p{Cf}",
        "hyphen": r"/[\s-]+|[a\-z]", "atomic": r"/(?>a|ab)c|\p{Lu}\p{Lt}?", "possessive": r"/\p{L}++\s?+", "not_boundary": r"/\B.", "ends": r"/\A.|.\z|\s\Z",
    }.items():
        pre["pattern_" + name] = split_variant(pattern, "Isolated")
    metaspace = {"type": "Metaspace", "replacement": "▁", "split": True}
    for scheme in ("always", "never", "first"):
        pre["metaspace_" + scheme] = {**metaspace, "prepend_scheme": scheme}
        pre["split_metaspace_" + scheme] = {"type": "Sequence", "pretokenizers": [
            split_variant(r"/\n", "Removed"), {"type": "Digits", "individual_digits": False}, {**metaspace, "prepend_scheme": scheme}]}
    pre["metaspace_letter"] = {"type": "Metaspace", "replacement": "e", "prepend_scheme": "first", "split": True}
    pre["whitespace"] = {"type": "Whitespace"}
    pre["whitespace_split"] = {"type": "WhitespaceSplit"}
    pre["bert"] = {"type": "BertPreTokenizer"}
    pre["digits"] = {"type": "Digits", "individual_digits": True}
    pre["fixed_length"] = {"type": "FixedLength", "length": 3}
    pre["delimiter"] = {"type": "CharDelimiterSplit", "delimiter": "é"}
    result = {name: {"pre_tokenizer": value} for name, value in pre.items()}
    norm = {name.lower(): {"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt", "ByteLevel")}
    for left in (False, True):
        for right in (False, True):
            norm[f"strip_{int(left)}{int(right)}"] = {"type": "Strip", "strip_left": left, "strip_right": right}
    for clean in (False, True):
        for chinese in (False, True):
            for accents in (None, False, True):
                norm[f"bert_{clean}_{chinese}_{accents}"] = {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": chinese,
                                                             "strip_accents": accents, "lowercase": chinese}
    norm["prepend"] = {"type": "Prepend", "prepend": "ab"}
    norm["replace_regex"] = {"type": "Replace", "pattern": {"Regex": r"^\s*|[aeiou]"}, "content": "_é"}
    norm["replace_string"] = {"type": "Replace", "pattern": {"String": "he"}, "content": ""}
    norm["replace_empty"] = {"type": "Replace", "pattern": {"String": ""}, "content": "-"}
    norm["precompiled"] = {"type": "Precompiled", "precompiled_charsmap": charsmap()}
    first = {**metaspace, "prepend_scheme": "first"}
    result.update({"normalizer_" + name: {"normalizer": value, "pre_tokenizer": first} for name, value in norm.items()})
    token_sets = {
        "plain": [added("the"), added("they"), added("hey"), added(" fox", special=True), added("é"), added("漢")],
        "strip": [added("[MASK]", lstrip=True, special=True), added("<s>", rstrip=True), added("</s>", lstrip=True, rstrip=True), added(" ", rstrip=True)],
        "word": [added("a", single_word=True), added("newtok", single_word=True), added("s", single_word=True, lstrip=True), added("[CLS]", single_word=True)],
        "normalized": [added("NewTok", normalized=True), added("The", normalized=True, special=True), added("ÉTÉ", normalized=True), added("<pad>", normalized=True, rstrip=True),
                       added("the", normalized=True), added("<s>", normalized=False, special=True)],
    }
    lower = {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"}]}
    for name, tokens in token_sets.items():
        result["added_" + name] = {"added_tokens": tokens, "pre_tokenizer": first}
        if name != "normalized":
            result["added_normalized_" + name] = {"added_tokens": [{**t, "normalized": True} for t in tokens], "normalizer": {"type": "NFC"}}
    result["added_normalized"] = {"added_tokens": [t for t in token_sets["normalized"] if t["content"] != "the"], "normalizer": lower}
    return result


def variant_base(texts):
    """Single characters, each with and without the suffix."""
    count = {}
    for text in texts:
        for c in text:
            count[c] = count.get(c, 0) + 1
    characters = sorted(sorted(count), key=lambda c: -count[c])[:700]
    vocab = {"[UNK]": 0}
    for c in characters:
        vocab[c] = len(vocab)
        vocab[c + "</w>"] = len(vocab)
    model = {"type": "BPE", "dropout": None, "unk_token": "[UNK]", "continuing_subword_prefix": None, "end_of_word_suffix": "</w>", "fuse_unk": False,
             "byte_fallback": False, "ignore_merges": False, "vocab": vocab, "merges": []}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": {"type": "BPEDecoder", "suffix": "</w>"}, "model": model}


def digest(tokenizer, text):
    """Ids without and with special tokens, and what these decode to, with and without special tokens."""
    plain, special = tokenizer.encode(text, add_special_tokens=False).ids, tokenizer.encode(text).ids
    data = struct.pack(f"<{len(plain)}q", *plain) + b"|" + struct.pack(f"<{len(special)}q", *special)
    for skip in (False, True):
        data += b"|" + (tokenizer.decode(special, skip_special_tokens=skip).encode() if special else b"")
    return zlib.crc32(data)


def write_gzip(name, data):
    (DATA / name).write_bytes(gzip.compress(data, 9, mtime=0))


def write_digests(name, tokenizer, texts):
    write_gzip(name, struct.pack(f"<{len(texts)}I", *(digest(tokenizer, text) for text in texts)))


def main():
    DATA.mkdir(exist_ok=True)
    make_corpus.write(DATA / "corpus.bin.gz")
    texts = [record.decode("utf-8", errors="replace") for record in make_corpus.records()]
    training = [text for text in texts if "\ufffd" not in text]
    samples = []
    for make in TOKENIZERS:
        tokenizer = make(training)
        write_gzip(make.__name__ + ".json.gz", tokenizer.to_str().encode())
        tokenizer = Tokenizer.from_str(tokenizer.to_str())
        write_digests(make.__name__ + ".crc.gz", tokenizer, texts)
        for i, text in enumerate(texts[:SAMPLES]):
            samples.append(" ".join(map(str, [make.__name__, i] + tokenizer.encode(text).ids)))
        print(make.__name__, tokenizer.get_vocab_size())
    write_gzip("samples.txt.gz", "\n".join(samples).encode() + b"\n")
    base = variant_base(training)
    write_gzip("variant_base.json.gz", json.dumps(base).encode())
    (DATA / "variants.json").write_text(json.dumps(variants(), indent=0, ensure_ascii=False) + "\n")
    digests = b""
    for name, sections in variants().items():
        tokenizer = Tokenizer.from_str(json.dumps({**base, **sections}))
        digests += struct.pack(f"<{len(texts[::VARIANT_STEP])}I", *(digest(tokenizer, text) for text in texts[::VARIANT_STEP]))
    write_gzip("variants.crc.gz", digests)


if __name__ == "__main__":
    main()
