// tokenize_lines TOKENIZER TEXTS [--gguf FOLDER]: for each text (a little-endian uint32 length,
// then the bytes) one line: the ids without special tokens, those with them, and the CRC-32 of what
// these decode to without and with skip_special_tokens, separated by tabs. Times go to standard
// error. TOKENIZER is a tokenizer.json, or with --gguf a JSON object with the fields of
// GgufVocabulary; then tokenizer.json and tokenizer_config.json are written to FOLDER.
#include <fmt/format.h>
#include <zlib.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace lathe::tokenizer;

std::string read_all(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) lathe::throw_user("cannot open {}", path);
  return {std::istreambuf_iterator<char>(file), {}};
}

GgufVocabulary read_vocabulary(const std::string& text) {
  const auto json = nlohmann::json::parse(text);
  GgufVocabulary result;
  const auto read = [&](const char* name, auto& field) {
    if (json.contains(name)) json.at(name).get_to(field);
  };
  const auto read_optional = [&](const char* name, auto& field) {
    if (json.contains(name))
      field = json.at(name).get<typename std::decay_t<decltype(field)>::value_type>();
  };
  read("model", result.model);
  read("pre", result.pre);
  read("tokens", result.tokens);
  read("token_types", result.token_types);
  read("scores", result.scores);
  read("merges", result.merges);
  read_optional("bos_id", result.bos_id);
  read_optional("eos_id", result.eos_id);
  read_optional("unk_id", result.unk_id);
  read_optional("pad_id", result.pad_id);
  read_optional("add_bos", result.add_bos);
  read_optional("add_eos", result.add_eos);
  read_optional("add_space_prefix", result.add_space_prefix);
  read("chat_template", result.chat_template);
  return result;
}

Tokenizer load(int argc, char** argv) {
  const std::string text = read_all(argv[1]);
  if (argc < 5 || std::string_view(argv[3]) != "--gguf") return Tokenizer::from_json(text, argv[1]);
  const GgufVocabulary vocabulary = read_vocabulary(text);
  std::ofstream(std::string(argv[4]) + "/tokenizer.json") << tokenizer_json(vocabulary);
  std::ofstream(std::string(argv[4]) + "/tokenizer_config.json")
      << tokenizer_config_json(vocabulary);
  return Tokenizer::from_gguf(vocabulary, argv[1]);
}

std::vector<std::string> read_texts(const char* path) {
  const std::string bytes = read_all(path);
  std::vector<std::string> texts;
  for (size_t offset = 0; offset + 4 <= bytes.size();) {
    uint32_t size = 0;
    std::memcpy(&size, bytes.data() + offset, sizeof(size));
    texts.push_back(bytes.substr(offset + 4, size));
    offset += 4 + size;
  }
  return texts;
}

void print(const Tokenizer& tokenizer, const std::string& text) {
  const auto plain = tokenizer.encode(text, false), special = tokenizer.encode(text, true);
  const auto crc = [&](bool skip) {
    const std::string decoded = tokenizer.decode(special, skip);
    return crc32(0, reinterpret_cast<const Bytef*>(decoded.data()),
                 static_cast<uInt>(decoded.size()));
  };
  std::cout << fmt::format("{}\t{}\t{}\t{}\n", fmt::join(plain, " "), fmt::join(special, " "),
                           crc(false), crc(true));
}

void run(int argc, char** argv) {
  const auto start = std::clock();
  const Tokenizer tokenizer = load(argc, argv);
  const auto loaded = std::clock();
  const auto texts = read_texts(argv[2]);
  std::string all;
  for (const std::string& text : texts) all += text + "\n";
  const auto joined = std::clock();
  const size_t count = tokenizer.encode(all, false).size();
  const double seconds = static_cast<double>(std::clock() - joined) / CLOCKS_PER_SEC;
  std::cerr << fmt::format("load {:.3f} s; {} bytes as one text: {} ids, {:.1f} MB/s\n",
                           static_cast<double>(loaded - start) / CLOCKS_PER_SEC, all.size(), count,
                           static_cast<double>(all.size()) / 1e6 / seconds);
  for (const std::string& text : texts) print(tokenizer, text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::cerr << "usage: tokenize_lines TOKENIZER TEXTS [--gguf FOLDER]\n";
    return 2;
  }
  try {
    run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 3;
  }
  return 0;
}
