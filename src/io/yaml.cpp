#include "io/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <map>
#include <optional>
#include <streambuf>
#include <string>
#include <unordered_set>
#include <vector>

#include "base/error.h"
#include "base/output_file.h"
#include "io/yaml_scalar.h"

namespace lathe::io {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kMaxYamlFile = size_t{16} << 20;
constexpr size_t kMaxDepth = 100;
/// Nodes plus bytes of text that anchors and aliases may copy, all together.
constexpr size_t kMaxCopied = size_t{4} << 20;
constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

/// An std::istream over text, without copying it.
class TextStream : private std::streambuf, public std::istream {
 public:
  explicit TextStream(std::string_view text) : std::istream(static_cast<std::streambuf*>(this)) {
    char* begin = const_cast<char*>(text.data());  // only read
    setg(begin, begin, begin + text.size());
  }
};

/// Builds a value from yaml-cpp's parse events.
class YamlBuilder : public YAML::EventHandler {
 public:
  explicit YamlBuilder(std::string_view source_name) : source_name_(source_name) {}

  Json take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) fail(mark, "a key expected");
    add(mark, {.value = nullptr, .size = 1}, anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (expects_key()) fail(mark, "an alias as a key is not supported");
    const auto place = anchors_.find(anchor);
    if (place == anchors_.end()) fail(mark, "an alias inside of what it names");
    count_copy(mark, place->second);
    add(mark, place->second, 0);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    if (expects_key()) {
      if (anchor != 0) fail(mark, "an anchor at a key is not supported");
      set_key(mark, tag, value);
    } else {
      add(mark, {.value = scalar(mark, tag, value), .size = 1 + value.size()}, anchor);
    }
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    push(mark, tag, "seq", Json::array(), anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    push(mark, tag, "map", Json::object(), anchor);
  }
  void OnSequenceEnd() override { pop(); }
  void OnMapEnd() override { pop(); }

  [[noreturn]] void fail(const YAML::Mark& mark, std::string_view what) const {
    throw_data("{}:{}:{}: not valid YAML: {}", source_name_, mark.line + 1, mark.column + 1, what);
  }

 private:
  struct Sized {
    Json value;
    size_t size;  // nodes and bytes of text in it
  };
  struct Frame {
    Sized sized;
    YAML::anchor_t anchor;
    YAML::Mark mark;
    std::optional<std::string> key;  // of the member that comes next
    std::unordered_set<std::string> seen;
  };

  bool expects_key() const {
    return !stack_.empty() && stack_.back().sized.value.is_object() &&
           !stack_.back().key.has_value();
  }

  void set_key(const YAML::Mark& mark, const std::string& tag, const std::string& key) {
    Frame& frame = stack_.back();
    if (key == "<<" && tag == "?") fail(mark, "merge keys (<<) are not supported");
    if (!frame.seen.insert(key).second) fail(mark, fmt::format("key \"{}\" is given twice", key));
    frame.sized.size += key.size();
    frame.key = key;
  }

  Json scalar(const YAML::Mark& mark, const std::string& tag, const std::string& text) const {
    if (tag == "?" || tag.empty()) return plain_yaml_scalar(text);
    if (tag == "!") return text;  // quoted
    const std::string_view name = std::string_view(tag).starts_with(kCoreTag)
                                      ? std::string_view(tag).substr(kCoreTag.size())
                                      : std::string_view();
    auto value = tagged_yaml_scalar(name, text);
    if (!value) fail(mark, fmt::format("tag {} does not fit \"{}\"", tag, text));
    return *std::move(value);
  }

  void push(const YAML::Mark& mark, const std::string& tag, std::string_view kind, Json container,
            YAML::anchor_t anchor) {
    if (expects_key()) fail(mark, "a key must be a scalar");
    if (stack_.size() >= kMaxDepth) fail(mark, fmt::format("nested more than {} deep", kMaxDepth));
    if (tag != "?" && tag != "!" && !tag.empty() &&
        tag != std::string(kCoreTag) + std::string(kind)) {
      fail(mark, fmt::format("unknown tag {}", tag));
    }
    stack_.push_back({{std::move(container), 1}, anchor, mark, std::nullopt, {}});
  }

  void pop() {
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    add(frame.mark, std::move(frame.sized), frame.anchor);
  }

  void count_copy(const YAML::Mark& mark, const Sized& sized) {
    copied_ += sized.size;
    if (copied_ > kMaxCopied) fail(mark, "its aliases make the document too large");
  }

  void add(const YAML::Mark& mark, Sized sized, YAML::anchor_t anchor) {
    if (anchor != 0) {
      count_copy(mark, sized);
      anchors_.insert_or_assign(anchor, sized);
    }
    if (stack_.empty()) {
      root_ = std::move(sized.value);
      return;
    }
    Frame& frame = stack_.back();
    frame.sized.size += sized.size;
    if (frame.sized.value.is_array()) {
      frame.sized.value.push_back(std::move(sized.value));
    } else {
      auto& object = frame.sized.value.get_ref<Json::object_t&>();
      // Appends past ordered_map's own look-up, which is linear.
      object.Json::object_t::Container::emplace_back(*std::move(frame.key), std::move(sized.value));
      frame.key.reset();
    }
  }

  std::string_view source_name_;
  Json root_;
  std::vector<Frame> stack_;
  std::map<YAML::anchor_t, Sized> anchors_;
  size_t copied_ = 0;
};

}  // namespace

nlohmann::ordered_json parse_yaml(std::string_view text, std::string_view source_name) {
  if (text.size() > kMaxYamlFile) throw_data("{}: larger than {} bytes", source_name, kMaxYamlFile);
  TextStream stream(text);
  YamlBuilder builder(source_name);
  try {
    YAML::Parser parser(stream);
    if (!parser.HandleNextDocument(builder)) return nullptr;
    YamlBuilder second(source_name);
    if (parser.HandleNextDocument(second))
      throw_data("{}: more than one YAML document", source_name);
  } catch (const YAML::Exception& error) {
    builder.fail(error.mark, error.msg);
  }
  return builder.take();
}

nlohmann::ordered_json read_yaml(const std::filesystem::path& path) {
  return parse_yaml(read_file(path, kMaxYamlFile), path.string());
}

}  // namespace lathe::io
