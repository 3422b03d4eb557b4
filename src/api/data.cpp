#include "lathe/data.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "api/builtin_text.h"
#include "api/model_inputs.h"
#include "base/error.h"
#include "base/output_file.h"
#include "io/json.h"

namespace lathe {
namespace {

constexpr int64_t kDefaultSeqLen = 512;

/// The text of one line of a .jsonl file: `text`, or the contents of `messages` with their roles.
std::string text_of_record(const nlohmann::json& record, const std::string& where) {
  if (record.is_object() && record.contains("text") && record["text"].is_string())
    return record["text"];
  if (!record.is_object() || !record.contains("messages") || !record["messages"].is_array()) {
    throw_data("{}: expected an object with \"text\" or \"messages\"", where);
  }
  std::string text;
  for (const nlohmann::json& message : record["messages"]) {
    const bool well_formed =
        message.is_object() && message.contains("content") && message["content"].is_string();
    if (!well_formed) throw_data("{}: expected messages with a \"content\" text", where);
    text += message.value("role", std::string("user")) + ": " +
            message["content"].get<std::string>() + "\n";
  }
  return text;
}

std::string read_jsonl(const std::string& path) {
  std::istringstream lines(read_file(path));
  std::string line;
  std::string text;
  for (int64_t number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = fmt::format("{}:{}", path, number);
    if (!text.empty()) text += "\n";
    text += text_of_record(io::parse_json(line, where, io::DuplicateKeys::kLastWins), where);
  }
  return text;
}

/// Cuts a stream of ids into blocks; a shorter rest is left out.
TokenBlocks cut(std::vector<int64_t> ids, const DataOptions& options, const std::string& source) {
  TokenBlocks blocks{.source = source};
  blocks.seq_len = options.seq_len;
  const auto available = static_cast<int64_t>(ids.size()) / blocks.seq_len;
  if (available == 0) {
    throw_data("{}: {} tokens are fewer than one block of {} (--seq-len)", source, ids.size(),
               blocks.seq_len);
  }
  blocks.samples = options.samples > 0 ? std::min(options.samples, available) : available;
  ids.resize(static_cast<size_t>(blocks.samples * blocks.seq_len));
  blocks.ids = std::move(ids);
  return blocks;
}

const Tensor& find_ids(const NamedTensors& tensors, const std::string& path) {
  const auto found = tensors.find("input_ids");
  if (found == tensors.end()) throw_data("{}: there is no tensor \"input_ids\"", path);
  const Tensor& ids = found->second;
  if (ids.dtype() != DType::kI64 || ids.shape().size() != 2) {
    throw_data("{}: input_ids must be int64 [N, L], found {} with {} dimensions", path,
               dtype_name(ids.dtype()), ids.shape().size());
  }
  return ids;
}

/// Rows of a [N, L] array, the first seq_len ids of each.
TokenBlocks take_rows(const Tensor& tensor, const DataOptions& options, const std::string& source) {
  const int64_t rows = tensor.shape()[0];
  const int64_t length = tensor.shape()[1];
  if (rows == 0 || length < 2)
    throw_data("{}: input_ids [{}, {}] hold no tokens to use", source, rows, length);
  TokenBlocks blocks{.source = source};
  blocks.seq_len = options.seq_len > 0 ? options.seq_len : length;
  if (blocks.seq_len > length) {
    throw_data("{}: input_ids [{}, {}] are shorter than --seq-len {}", source, rows, length,
               blocks.seq_len);
  }
  blocks.samples = options.samples > 0 ? std::min(options.samples, rows) : rows;
  blocks.ids.resize(static_cast<size_t>(blocks.samples * blocks.seq_len));
  const auto* bytes = static_cast<const char*>(tensor.data());  // not necessarily aligned
  for (int64_t row = 0; row < blocks.samples; ++row) {
    std::memcpy(blocks.ids.data() + row * blocks.seq_len, bytes + row * length * sizeof(int64_t),
                static_cast<size_t>(blocks.seq_len) * sizeof(int64_t));
  }
  return blocks;
}

void check_vocabulary(const TokenBlocks& blocks, int64_t vocab_size) {
  if (vocab_size <= 0) return;
  for (size_t i = 0; i < blocks.ids.size(); ++i) {
    const int64_t id = blocks.ids[i];
    if (id >= 0 && id < vocab_size) continue;
    throw_data("{}: token id {} of block {} is outside the model's vocabulary of {}", blocks.source,
               id, static_cast<int64_t>(i) / blocks.seq_len, vocab_size);
  }
}

TokenBlocks load_text(std::string_view text, const std::string& source, const Model& model,
                      const DataOptions& options) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw_data("{}: the file is empty", source);
  return cut(model.encode(text), options, source);
}

}  // namespace

TokenBlocks load_tokens(const std::string& path, const Model& model, const DataOptions& options) {
  const std::string extension = std::filesystem::path(path).extension().string();
  const Model::Impl& impl = model.impl();
  if (impl.model.has_graph() && !api::takes_text(impl)) {
    throw_user(
        "{}: {} takes {}, which token ids alone are not: give a .safetensors or .npz file "
        "with tensors of these names",
        path == "builtin" ? "builtin text" : path, model.architecture(),
        api::required_inputs(impl));
  }
  const std::optional<int64_t> longest = api::longest_sequence(impl);
  DataOptions cuts = options;  // of text, which has no length of its own
  if (cuts.seq_len == 0) cuts.seq_len = std::min(kDefaultSeqLen, longest.value_or(kDefaultSeqLen));
  TokenBlocks blocks;
  if (path == "builtin") {
    blocks = load_text(api::builtin_calibration_text(), "builtin text", model, cuts);
  } else if (extension == ".safetensors" || extension == ".npy" || extension == ".npz") {
    blocks = take_rows(find_ids(load_tensors(path), path), options, path);
  } else if (extension == ".jsonl") {
    blocks = load_text(read_jsonl(path), path, model, cuts);
  } else if (extension == ".txt") {
    blocks = load_text(read_file(path), path, model, cuts);
  } else {
    throw_user(
        "{}: data is read from .txt, .jsonl, .safetensors, .npy and .npz files, or \"builtin\"",
        path);
  }
  if (longest && blocks.seq_len > *longest) {
    throw_user("{}: blocks of {} tokens, {} takes {}: give --seq-len {}", path, blocks.seq_len,
               model.architecture(), *longest, *longest);
  }
  check_vocabulary(blocks, model.vocab_size());
  return blocks;
}

}  // namespace lathe
