#!/usr/bin/env bash
# Makes the seed corpora in corpus/ from the golden files of the unit tests and a few texts.
set -euo pipefail
cd "$(dirname "$0")"
golden=../unit/io/golden

seed() {  # seed NAME FILE...: copies small files
  mkdir -p "corpus/$1"
  cp "${@:2}" "corpus/$1/"
}
text() {  # text NAME FILE CONTENT
  mkdir -p "corpus/$1"
  printf '%s' "$3" > "corpus/$1/$2"
}

seed safetensors $golden/wheel.safetensors $golden/dtypes.safetensors
seed gguf $golden/wheel.gguf
seed npy $golden/f32.npy $golden/scalar.npy $golden/fortran.npy $golden/stored.npz $golden/deflated.npz
seed zip $golden/stored.npz $golden/deflated.npz
seed recipe ../../recipes/presets/{nvfp4,nvfp4_awq_lite,w4a8_awq_beta,fp8_2d_blockwise_weight_only}.yaml
text recipe keyed '{"quant_cfg": {"*weight_quantizer": {"num_bits": 8, "format": "fp8"}, "nn.Linear": {"*input_quantizer": {"num_bits": [4, 3]}}, "default": {"enable": false}}, "algorithm": "max"}'
text json config '{"a":[1,-2.5e3,true,null,NaN,"x\u00fc\n"],"o":{"k":{},"limit":[0.0,-Infinity]}}'
text json index '{"metadata":{"total_size":3},"weight_map":{"a":"model-00001-of-00002.safetensors"}}'
text yaml recipe $'# recipe\nformat: nvfp4\nlayers:\n  - {pattern: "*.lm_head", enable: false}\n  - clip: 1e-3\n'
text yaml anchors $'a: &x [1, !!str 2]\nb: *x\n? c\n: |\n  text\n'

# A tokenizer.json, the byte 0x1E and a text.
tokens='"added_tokens":[{"id":9,"content":"<s>","single_word":false,"lstrip":true,"rstrip":true,"normalized":false,"special":true},{"id":10,"content":"Ab","single_word":true,"lstrip":false,"rstrip":false,"normalized":true,"special":false}]'
bpe='"model":{"type":"BPE","unk_token":"?","byte_fallback":true,"fuse_unk":true,"vocab":{"?":0,"a":1,"b":2,"ab":3,"▁":4,"▁a":5,"<0x41>":6},"merges":[["a","b"],"▁ a"]}'
text tokenizer bpe "{\"version\":\"1.0\",$tokens,\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"},{\"type\":\"Prepend\",\"prepend\":\"▁\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":\"▁\"}]},\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},$bpe}"$'\x1e''ab <s> Ab A xé'
text tokenizer split "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(?i:'s)|[^\\\\r\\\\n\\\\p{L}]?\\\\p{L}+|\\\\p{N}{1,3}+|[a-z&&[^b]]|\\\\s+(?!\\\\S)\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}]},\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true},$bpe}"$'\x1e''ab 123'\''S  é'
text tokenizer unigram "{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"▁\",\"prepend_scheme\":\"first\",\"split\":true},\"normalizer\":{\"type\":\"Nmt\"},\"model\":{\"type\":\"Unigram\",\"unk_id\":0,\"byte_fallback\":true,\"vocab\":[[\"?\",0],[\"a\",-1.25],[\"▁\",-2e0],[\"<0x41>\",-3]]}}"$'\x1e''a aA'
text tokenizer wordpiece "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,\"strip_accents\":null,\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"s\",2],\"cls\":[\"c\",1]},\"decoder\":{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true},\"model\":{\"type\":\"WordPiece\",\"unk_token\":\"?\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":9,\"vocab\":{\"?\":0,\"c\":1,\"s\":2,\"a\":3,\"##b\":4}}}"$'\x1e''aB, 中é'
text tokenizer template "{\"pre_tokenizer\":{\"type\":\"Whitespace\"},\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"s\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],\"special_tokens\":{\"s\":{\"id\":\"s\",\"ids\":[1],\"tokens\":[\"s\"]}}},\"model\":{\"type\":\"WordLevel\",\"unk_token\":\"?\",\"vocab\":{\"?\":0,\"s\":1}}}"$'\x1e''s x'

# Archives of torch.export, their programs, and the pickles of torch 2.6's.
exported=../golden/torch_export
seed pt2 $exported/v2_11/trained_norm.pt2 $exported/v2_6/shared.pt2
member() {  # member NAME FILE ARCHIVE ENTRY
  mkdir -p "corpus/$1"
  unzip -p "$3" "$4" > "corpus/$1/$2"
}
member pt2_program trained_norm $exported/v2_11/trained_norm.pt2 '*models/model.json'
member pt2_program no_grad $exported/v2_11/no_grad.pt2 '*models/model.json'
member pt2_program number $exported/v2_11/number.pt2 '*models/model.json'
member pt2_program structures $exported/v2_11/structures.pt2 '*models/model.json'
member pt2_edit trained_norm $exported/v2_11/trained_norm.pt2 '*models/model.json'
member pt2_edit shared $exported/v2_6/shared.pt2 'serialized_exported_program.json'
member pt2_edit structures $exported/v2_11/structures.pt2 '*models/model.json'
state=$(mktemp)
unzip -p $exported/v2_6/dtypes.pt2 serialized_state_dict.pt > "$state"
member pickle state_dict "$state" '*/data.pkl'
rm "$state"
