#include "frontends/huggingface/auxiliary_files.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"

namespace lathe::frontends {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 18> kNames = {"added_tokens.json",
                                                     "chat_template.jinja",
                                                     "chat_template.json",
                                                     "generation_config.json",
                                                     "merges.txt",
                                                     "preprocessor_config.json",
                                                     "processor_config.json",
                                                     "sentencepiece.bpe.model",
                                                     "special_tokens_map.json",
                                                     "spiece.model",
                                                     "tekken.json",
                                                     "tokenizer.json",
                                                     "tokenizer.model",
                                                     "tokenizer_config.json",
                                                     "video_preprocessor_config.json",
                                                     "vocab.json",
                                                     "vocab.txt",
                                                     "LICENSE"};
constexpr std::array<std::string_view, 2> kExtensions = {".py", ".tiktoken"};

template <typename Range>
bool contains(const Range& range, std::string_view value) {
  return std::find(range.begin(), range.end(), value) != range.end();
}

}  // namespace

std::vector<ir::AuxiliaryFile> find_auxiliary_files(const fs::path& folder) {
  std::vector<ir::AuxiliaryFile> files;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    const bool wanted =
        contains(kNames, name) || contains(kExtensions, entry.path().extension().string());
    std::error_code not_regular;
    if (wanted && entry.is_regular_file(not_regular)) files.push_back({name, entry.path(), {}});
  }
  if (error) throw_user("{}: cannot list: {}", folder.string(), error.message());
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return files;
}

}  // namespace lathe::frontends
