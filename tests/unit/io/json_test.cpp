#include "io/json.h"

#include <cmath>

#include "unit/io/hostile.h"
#include "unit/io/temporary_folder.h"

namespace lathe::io {
namespace {

using namespace std::string_literals;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}
void parse(std::span<const std::byte> bytes) {
  parse_json(text_of(bytes), "evil.json");
  parse_ordered_json(text_of(bytes), "evil.json");
}

TEST(Json, Values) {
  const nlohmann::json json = parse_json(
      R"( {"a": [1, -2, 18446744073709551615, 0.5, 1e-3, true, false, null, "x\u00fc\n"], "o": {"k": {}} } )",
      "t.json");
  EXPECT_EQ(json,
            (nlohmann::json{
                {"a", {1, -2, 18446744073709551615u, 0.5, 1e-3, true, false, nullptr, "x\u00fc\n"}},
                {"o", {{"k", nlohmann::json::object()}}}}));
  EXPECT_EQ(parse_json("3", "t.json"), 3);
}

TEST(Json, OrderIsKept) {
  const auto json = parse_ordered_json(R"({"z":1,"a":{"y":2,"b":3},"m":[]})", "t.json");
  EXPECT_EQ(dump_json(json, -1), R"({"z":1,"a":{"y":2,"b":3},"m":[]})");
  EXPECT_EQ(json["a"]["b"], 3);
  EXPECT_EQ(dump_json(parse_json(R"({"z":1,"a":2})", "t.json"), -1), R"({"a":2,"z":1})");
}

TEST(Json, PythonsNumbers) {
  const std::string text =
      R"({"limit":[0.0,Infinity,-Infinity,NaN],"NaN":"Infinity \" NaN","?":"??????"})";
  const auto json = parse_ordered_json(text, "t.json");
  EXPECT_EQ(json["limit"][1], std::numeric_limits<double>::infinity());
  EXPECT_EQ(json["limit"][2], -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(json["limit"][3].get<double>()));
  EXPECT_EQ(json["NaN"], "Infinity \" NaN");
  EXPECT_EQ(json["?"], "??????");
  EXPECT_EQ(dump_json(json, -1), text);
}

TEST(Json, DuplicateKeys) {
  const std::string text = R"({"o":[{"a":1,"b":2,"a":3}]})";
  const std::string message = data_error_of([&] { parse_json(text, "t.json"); });
  EXPECT_EQ(message, "t.json: o: key \"a\" is given twice");
  EXPECT_EQ(parse_json(text, "t.json", DuplicateKeys::kLastWins)["o"][0],
            (nlohmann::json{{"a", 3}, {"b", 2}}));
  EXPECT_EQ(dump_json(parse_ordered_json(text, "t.json", DuplicateKeys::kLastWins), -1),
            R"({"o":[{"a":3,"b":2}]})");
}

TEST(Json, ErrorsHaveLineAndColumn) {
  const std::string message =
      data_error_of([] { parse_json("{\n  \"a\": 1,\n  \"b\": x\n}", "config.json"); });
  EXPECT_TRUE(message.starts_with("config.json:3:8: not valid JSON: ")) << message;
  EXPECT_TRUE(data_error_of([] {
                parse_json("[Infinity,\n\"NaN\", }", "c").contains("x");
              }).starts_with("c:2:8: "));
}

TEST(Json, DepthLimit) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  parse(bytes_of(nested(kMaxJsonDepth)));
  EXPECT_NE(data_error_of([&] {
              parse(bytes_of(nested(kMaxJsonDepth + 1)));
            }).find("nested more than 200"),
            std::string::npos);
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  data_error_of([&] { parse(bytes_of(objects)); });
}

TEST(Json, Hostile) {
  expect_refused(
      {
          {"", "evil.json:1:1: not valid JSON"},
          {"{", "not valid JSON"},
          {"[1,]", "not valid JSON"},
          {"{\"a\":1,}", "not valid JSON"},
          {"{a:1}", "not valid JSON"},
          {"{'a':1}", "not valid JSON"},
          {"01", "not valid JSON"},
          {"1 2", "not valid JSON"},
          {"[1] // comment", "not valid JSON"},
          {"1e999", "number overflow"},
          {"\"\xff\"", "not valid JSON"},
          {"\"\xed\xa0\x80\"", "not valid JSON"},
          {"\"\\ud800\"", "not valid JSON"},
          {"\"a\nb\"", "not valid JSON"},
          {"\"unfinished", "not valid JSON"},
          {"[1]\0[2]"s, "a NUL byte"},
          {"{NaN:1}", "a number as a key"},
          {"{\"a\":1,\"a\":1}", "given twice"},
          {"[Infinityx]", "not valid JSON"},
          {"+Infinity", "not valid JSON"},
          {"NaN\"", "not valid JSON"},
          {std::string(1'000'000, '['), "nested more than"},
          {"\"" + std::string(10'000, 'x'), "not valid JSON"},
      },
      parse);
}

TEST(Json, MessagesStayShort) {
  EXPECT_LT(data_error_of([] { parse_json("[" + std::string(100'000, 'x'), "t.json"); }).size(),
            500u);
  EXPECT_LT(data_error_of([] { parse_json("[\"" + std::string(100'000, 'x'), "t.json"); }).size(),
            500u);
}

TEST(Json, TruncationsAndMutations) {
  const std::string file =
      R"({"a": [1, -2.5e3, true, null, NaN, "x\u00fc\n\ud83d\ude00"], "o": {"k": {}, "l": -Infinity}})";
  expect_truncations_refused(file, parse);
  EXPECT_GT(count_refused_mutations(file, parse), 100);
}

/// The time of 200,000 members must not grow with their square: with ordered_json's own look-up
/// this takes minutes.
TEST(Json, ManyMembers) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i)
    text += fmt::format("{}\"token{}\":{}", i == 0 ? "" : ",", i, i);
  text += "}";
  const auto json = parse_ordered_json(text, "vocab.json");
  EXPECT_EQ(json.size(), 200'000u);
  EXPECT_EQ(dump_json(json, -1), text);
}

TEST(Json, Files) {
  const TemporaryFolder folder;
  write_file(folder / "a.json", "{\"a\":1}");
  EXPECT_EQ(read_json(folder / "a.json")["a"], 1);
  EXPECT_EQ(read_ordered_json(folder / "a.json")["a"], 1);
  error_of(ErrorKind::kUser, [&] { read_json(folder / "b.json"); });
}

TEST(Json, DumpIndentsAsPython) {
  EXPECT_EQ(dump_json(parse_ordered_json(R"({"a":[1,2.0],"b":{},"c":[],"d":1e-05})", "t")),
            "{\n  \"a\": [\n    1,\n    2.0\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": 1e-05\n}");
}

TEST(Json, DumpRefusesInvalidText) {
  data_error_of([] { dump_json(nlohmann::json("\xff")); });
}

}  // namespace
}  // namespace lathe::io
