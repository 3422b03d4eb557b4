#include "frontends/huggingface/name_pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace lathe::frontends {
namespace {

constexpr std::string_view kExpression = "re:";
constexpr uint32_t kMostSteps = 1'000'000;  // names have some hundred characters

std::string message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

std::shared_ptr<const void> compile(std::string_view expression, const std::string& source_name) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                    PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
  if (code == nullptr)
    throw_data("{}: the target \"re:{}\": {}", source_name, expression, message(error));
  return {code,
          [](const void* p) { pcre2_code_free(static_cast<pcre2_code*>(const_cast<void*>(p))); }};
}

}  // namespace

NamePattern::NamePattern(std::string text, const std::string& source_name)
    : text_(std::move(text)) {
  if (!text_.starts_with(kExpression)) return;
  code_ = compile(std::string_view(text_).substr(kExpression.size()), source_name);
}

bool NamePattern::matches(std::string_view name) const {
  if (code_ == nullptr) return text_ == name;
  const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data{
      pcre2_match_data_create(1, nullptr), &pcre2_match_data_free};
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{
      pcre2_match_context_create(nullptr), &pcre2_match_context_free};
  pcre2_set_match_limit(context.get(), kMostSteps);
  const int found = pcre2_match(static_cast<const pcre2_code*>(code_.get()),
                                reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0,
                                data.get(), context.get());
  if (found < 0 && found != PCRE2_ERROR_NOMATCH)
    throw_data("the target \"{}\" cannot be matched with {}: {}", text_, name, message(found));
  return found >= 0;
}

}  // namespace lathe::frontends
