// Rewrites as text: each .txt file here has a module, a rewrite, and what comes of it.
//
//   === rewrite      convert, or flatten (flatten_to_blocks)
//   === config       of convert: a quantization recipe in YAML
//   === input        the text form of a module
//   === expected     the text form of the result; of convert also its groups, attentions, problems
//
// LATHE_UPDATE_GRAPHS=1 graphs_test writes what comes out into the files.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "io/yaml.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "ops/staged_run.h"
#include "quantization/conversion.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(LATHE_SOURCE_DIR) / "tests/graphs";

std::vector<std::string> file_names() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".txt" && entry.path().stem() != "CMakeLists")
      names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

/// The text after "=== name" lines, by name; "" is what comes before the first.
std::map<std::string, std::string> read_sections(const fs::path& path) {
  std::ifstream file(path);
  std::map<std::string, std::string> sections;
  std::string line, name;
  while (std::getline(file, line)) {
    if (line.starts_with("=== ")) {
      name = line.substr(4);
    } else {
      sections[name] += line + "\n";
    }
  }
  return sections;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += " " + word;
  return text;
}

std::string convert_text(ir::Module& root, const std::string& recipe) {
  const auto config =
      quantization::parse_quant_config(io::parse_yaml(recipe, "config"), "config", io::parse_yaml);
  std::vector<std::string> problems;
  const quantization::Conversion conversion =
      quantization::convert(root, quantization::QuantizerResolver(config), {}, problems);
  ir::verify_tree(root);
  std::string text = ir::print(root);
  for (const auto& group : conversion.groups) {
    std::vector<std::string> paths;
    for (const size_t index : group) paths.push_back(conversion.layers[index].path);
    text += "group" + joined(paths) + "\n";
  }
  for (const auto& attention : conversion.attentions) {
    text += fmt::format("attention {}, keys of {}, values of {}\n", attention.path,
                        attention.key_producer, attention.value_producer);
  }
  for (const std::string& problem : problems) text += "problem " + problem + "\n";
  return text;
}

std::string flatten_text(const ir::Module& root) {
  const ir::GraphPtr graph = ops::flatten_to_blocks(root);
  ir::verify("", root, *graph);
  return ir::print(*graph);
}

std::string rewritten(std::map<std::string, std::string>& sections) {
  const ir::ModulePtr root = ir::parse_module(sections["input"]);
  ir::verify_tree(*root);
  if (sections["rewrite"] == "convert\n") return convert_text(*root, sections["config"]);
  if (sections["rewrite"] == "flatten\n") return flatten_text(*root);
  return "no rewrite is called " + sections["rewrite"];
}

/// Replaces what comes after "=== expected".
void update(const fs::path& path, const std::string& expected) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  const std::string marker = "=== expected\n";
  const size_t end = text.str().find(marker) + marker.size();
  std::ofstream(path) << text.str().substr(0, end) << expected;
}

class Graphs : public testing::TestWithParam<std::string> {};

TEST_P(Graphs, Rewrite) {
  const fs::path path = kFolder / (GetParam() + ".txt");
  std::map<std::string, std::string> sections = read_sections(path);
  ASSERT_TRUE(sections.contains("expected")) << path << " has no line \"=== expected\"";
  const std::string found = rewritten(sections);
  const char* wanted = std::getenv("LATHE_UPDATE_GRAPHS");
  if (wanted != nullptr && std::string(wanted) == "1") return update(path, found);
  EXPECT_EQ(found, sections["expected"]) << path;
}

INSTANTIATE_TEST_SUITE_P(Files, Graphs, testing::ValuesIn(file_names()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace lathe
