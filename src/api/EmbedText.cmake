# cmake -DINPUT=text -DOUTPUT=file.cpp -P EmbedText.cmake: the text as an array of bytes, behind builtin_calibration_text().
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"api/builtin_text.h\"

namespace lathe::api {
namespace {
constexpr unsigned char kText[] = {
${bytes}};
}  // namespace

std::string_view builtin_calibration_text() { return {reinterpret_cast<const char*>(kText), sizeof(kText)}; }

}  // namespace lathe::api
")
