#include "frontends/gguf/gguf_tensors.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "base/error.h"
#include "frontends/mapped_tensor.h"

namespace lathe::frontends {
namespace {

struct NamePair {
  std::string_view gguf;
  std::string_view huggingface;
};

constexpr std::array kModelNames = {
    NamePair{"token_embd", "model.embed_tokens"},
    NamePair{"output_norm", "model.norm"},
    NamePair{"output", "lm_head"},
};

constexpr std::array kLayerNames = {
    NamePair{"attn_norm", "input_layernorm"},    NamePair{"attn_q", "self_attn.q_proj"},
    NamePair{"attn_k", "self_attn.k_proj"},      NamePair{"attn_v", "self_attn.v_proj"},
    NamePair{"attn_output", "self_attn.o_proj"}, NamePair{"attn_q_norm", "self_attn.q_norm"},
    NamePair{"attn_k_norm", "self_attn.k_norm"}, NamePair{"ffn_norm", "post_attention_layernorm"},
    NamePair{"ffn_gate", "mlp.gate_proj"},       NamePair{"ffn_up", "mlp.up_proj"},
    NamePair{"ffn_down", "mlp.down_proj"},
};

template <typename Table>
std::optional<std::string_view> look_up(const Table& table, std::string_view name) {
  for (const NamePair& pair : table) {
    if (pair.gguf == name) return pair.huggingface;
  }
  return std::nullopt;
}

bool is_layer_number(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// The plain types, which need no decoding.
std::optional<at::ScalarType> plain_type(io::GgmlType type) {
  switch (type) {
    case io::GgmlType::kF32:
      return at::kFloat;
    case io::GgmlType::kF16:
      return at::kHalf;
    case io::GgmlType::kBF16:
      return at::kBFloat16;
    default:
      return std::nullopt;
  }
}

struct GgufSlice {
  std::shared_ptr<const MappedFile> file;
  io::GgufTensorInfo info;

  std::span<const std::byte> blocks() const {
    return file->bytes().subspan(info.offset, info.bytes);
  }
};

at::Tensor dequantize(const GgufSlice& slice, at::ScalarType wanted) {
  if (const auto plain = plain_type(slice.info.type)) {
    return map_tensor(slice.file, slice.info.offset, *plain, slice.info.shape).to(wanted);
  }
  const bool to_bf16 = wanted == at::kBFloat16;
  const at::Tensor value = at::empty(slice.info.shape, to_bf16 ? wanted : at::kFloat);
  const auto count = static_cast<size_t>(value.numel());
  if (to_bf16) {
    io::dequantize_bf16(slice.info.type, slice.blocks(),
                        {static_cast<uint16_t*>(value.mutable_data_ptr()), count});
  } else {
    io::dequantize(slice.info.type, slice.blocks(), {value.mutable_data_ptr<float>(), count});
  }
  slice.file->release(slice.info.offset, slice.info.bytes);
  return value.to(wanted);
}

/// Rows (h, i, j) of the file, j the side of the rotated pair i, become rows (h, j, i).
at::Tensor separate_pairs(const at::Tensor& value, int64_t heads) {
  const int64_t pairs = value.size(0) / heads / 2;
  return value.view({heads, pairs, 2, -1}).transpose(1, 2).reshape(value.sizes());
}

/// Number of heads if the rows of this tensor are interleaved, else 0.
int64_t interleaved_heads(std::string_view name, const GgufRows& rows) {
  if (!rows.interleaved) return 0;
  if (name.find(".self_attn.q_proj.") != std::string_view::npos) return rows.num_heads;
  if (name.find(".self_attn.k_proj.") != std::string_view::npos) return rows.num_key_value_heads;
  return 0;
}

ir::ParameterPtr stored_bytes(const GgufSlice& slice) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(slice.info.bytes)};
  return std::make_shared<ir::Parameter>(at::kByte, shape, [slice, shape] {
    return map_tensor(slice.file, slice.info.offset, at::kByte, shape);
  });
}

}  // namespace

std::string huggingface_name(std::string_view gguf_name) {
  const size_t dot = gguf_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(gguf_name);
  const std::string_view stem = gguf_name.substr(0, dot);
  const std::string_view suffix = gguf_name.substr(dot + 1);
  if (const auto name = look_up(kModelNames, stem)) return fmt::format("{}.{}", *name, suffix);
  constexpr std::string_view kBlock = "blk.";
  const size_t end = stem.find('.', kBlock.size());
  if (stem.starts_with(kBlock) && end != std::string_view::npos) {
    const std::string_view number = stem.substr(kBlock.size(), end - kBlock.size());
    const auto name = look_up(kLayerNames, stem.substr(end + 1));
    if (name && is_layer_number(number)) {
      return fmt::format("model.layers.{}.{}.{}", number, *name, suffix);
    }
  }
  return std::string(gguf_name);
}

TensorStore open_gguf_store(const io::GgufFile& file, const GgufRows& rows, at::ScalarType dtype) {
  TensorStore store;
  for (const io::GgufTensorInfo& info : file.tensors()) {
    const GgufSlice slice{file.file(), info};
    const std::string name = huggingface_name(info.name);
    if (store.find(name) != nullptr) {
      throw_data("{}: two tensors are {}", file.path().string(), name);
    }
    const int64_t heads = interleaved_heads(name, rows);
    const auto read = [slice, heads](at::ScalarType wanted) {
      const at::Tensor value = dequantize(slice, wanted);
      return heads > 0 ? separate_pairs(value, heads) : value;
    };
    const size_t source = store.add_source(info.name, stored_bytes(slice));
    const bool is_float = io::can_dequantize(info.type);
    store.add({name,
               is_float ? dtype : at::kByte,
               info.shape,
               file.path().filename().string(),
               read,
               {source}});
  }
  return store;
}

}  // namespace lathe::frontends
