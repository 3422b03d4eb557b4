# cmake -DROOT=recipes -DRECIPES=a|units/b -DOUTPUT=out.cpp -P EmbedRecipes.cmake: a .cpp that holds the recipes' texts.
string(REPLACE "|" ";" RECIPES "${RECIPES}")
set(table "")
foreach(recipe ${RECIPES})
  file(READ ${ROOT}/${recipe}.yaml text)
  string(FIND "${text}" ")recipe\"" clash)
  if(NOT clash EQUAL -1)
    message(FATAL_ERROR "${ROOT}/${recipe}.yaml contains the end of a raw string literal")
  endif()
  string(APPEND table "    {\"${recipe}\", R\"recipe(${text})recipe\"},\n")
endforeach()
file(WRITE ${OUTPUT} "// Made from recipes/ by EmbedRecipes.cmake.
#include <iterator>

#include \"quantization/config/presets.h\"

namespace lathe::quantization {

namespace {
constexpr EmbeddedRecipe kRecipes[] = {
${table}};
}  // namespace

std::span<const EmbeddedRecipe> embedded_recipes() { return kRecipes; }

}  // namespace lathe::quantization
")
