#include "k8sdns/cli/picture.h"

namespace k8sdns::cli {

bool IsPicture(absl::string_view format) {
  return format == "dot" || format == "mermaid" || format == "svg" ||
         format == "html";
}

std::string Draw(const diagram::Diagram& diagram, absl::string_view format) {
  if (format == "dot") return diagram::ToDot(diagram);
  if (format == "mermaid") return diagram::ToMermaid(diagram);
  if (format == "svg") return diagram::ToSvg(diagram);
  return diagram::ToHtml(diagram.title, {&diagram, 1});
}

}  // namespace k8sdns::cli
