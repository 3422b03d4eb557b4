#include "frontends/huggingface/gptq.h"

#include "frontends/huggingface/integer_weight.h"

namespace lathe::frontends {
namespace {

/// "gptq" stores zero points less one, "gptq_v2" as they are.
int zero_offset(const ConfigReader& section) {
  const char* key = section.has("checkpoint_format") ? "checkpoint_format" : "format";
  const std::string name = section.text_or(key, "gptq");
  if (name == "gptq") return 1;
  if (name == "gptq_v2") return 0;
  section.unsupported(key, "supported: gptq, gptq_v2");
}

/// Overrides of single modules: those that leave modules alone ("-:") need no reading.
void check_dynamic(const ConfigReader& section) {
  const auto dynamic = section.find_object("dynamic");
  if (!dynamic) return;
  for (const auto& [pattern, override] : dynamic->json().items()) {
    if (pattern.starts_with("-:")) continue;
    section.unsupported("dynamic", "supported: patterns that leave modules alone (\"-:\")");
  }
}

}  // namespace

QuantizedSource read_gptq(const ConfigReader& section, TensorStore& store, at::ScalarType dtype) {
  const int64_t bits = section.size_or("bits", 4);
  if (bits != 2 && bits != 4 && bits != 8) section.unsupported("bits", "supported: 2, 4, 8");
  check_dynamic(section);
  IntegerSource from{.method = "gptq"};
  from.layout = {.bits = static_cast<int>(bits), .zero_offset = zero_offset(section)};
  from.group_size = read_group_size(section);
  from.symmetric = section.flag_or("sym", false);
  from.in_order = !section.flag_or("desc_act", false);
  return read_integer_weights(from, section, store, dtype);
}

}  // namespace lathe::frontends
