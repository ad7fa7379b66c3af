#include "k8sdns/cluster/finding.h"

#include "absl/strings/str_cat.h"

namespace k8sdns {

absl::string_view SeverityName(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "";
}

std::string Finding::ToString() const {
  std::string out = absl::StrCat(SeverityName(severity), " ", id, ": ");
  if (!kind.empty()) absl::StrAppend(&out, kind, " ");
  if (!namespace_.empty()) absl::StrAppend(&out, namespace_, "/");
  absl::StrAppend(&out, name);
  if (!field.empty()) absl::StrAppend(&out, name.empty() ? "" : " ", field);
  if (!kind.empty() || !name.empty() || !field.empty()) out += ": ";
  return absl::StrCat(out, what);
}

}  // namespace k8sdns
