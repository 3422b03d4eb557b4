#include "frontends/open.h"

#include "base/error.h"
#include "frontends/gguf/gguf_model.h"
#include "frontends/huggingface/checkpoint.h"
#include "frontends/torch_export/open.h"

namespace lathe::frontends {
namespace {

namespace fs = std::filesystem;

constexpr const char* kReadable =
    "a folder with config.json and *.safetensors (Hugging Face), a .gguf file, or a .pt2 file "
    "(torch.export)";

bool has_file_with(const fs::path& folder, const char* extension) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == extension) return true;
  }
  if (error) throw_user("{}: cannot list: {}", folder.string(), error.message());
  return false;
}

/// The first folder in this one, by name, that has .safetensors files; "" if there is none.
std::string folder_with_tensors(const fs::path& folder) {
  std::string first;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    std::error_code error;
    const bool is_earlier = first.empty() || name < first;
    if (is_earlier && entry.is_directory(error) && has_file_with(entry.path(), ".safetensors"))
      first = name;
  }
  return first;
}

void check_folder(const fs::path& folder) {
  std::error_code error;
  if (has_file_with(folder, ".safetensors")) return;
  if (fs::exists(folder / "model.safetensors.index.json", error)) return;
  std::string hint;
  if (has_file_with(folder, ".gguf")) {
    hint = ": give the path of the .gguf file in this folder";
  } else if (const std::string below = folder_with_tensors(folder); !below.empty()) {
    hint = fmt::format(": {} has some, give the path of one such folder", below);
  }
  throw_user("{}: the folder has no *.safetensors; a model is {}{}", folder.string(), kReadable,
             hint);
}

}  // namespace

OpenedModel open_model(const fs::path& path, const OpenOptions& options) {
  if (options.dtype && *options.dtype != at::kFloat && *options.dtype != at::kBFloat16) {
    throw_user("a model can be opened in float32 or bfloat16, not in {}",
               c10::toString(*options.dtype));
  }
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) throw_user("{}: no such file or folder", path.string());
  if (fs::is_directory(status)) {
    check_folder(path);
    return open_huggingface(path, options);
  }
  if (path.extension() == ".gguf") return open_gguf(path, options);
  if (path.extension() == ".pt2") return open_torch_export(path, options);
  throw_user("{}: not a model that this build reads: {}", path.string(), kReadable);
}

}  // namespace lathe::frontends
