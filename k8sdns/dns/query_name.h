// Names on their way into a query: what each library makes of the text it is
// given, and how a name is shown. Private to this package.
#ifndef K8SDNS_DNS_QUERY_NAME_H_
#define K8SDNS_DNS_QUERY_NAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace k8sdns::dns {

// Labels without the root, as bytes.
using Labels = std::vector<std::string>;

// The presentation form with a final dot; "." for the root. Bytes outside
// printable ASCII, dots in labels, quotes, backslashes are \ddd.
std::string ShowName(const Labels& labels);

// 1 for the root: a length octet a label and the final zero.
int WireSize(const Labels& labels);

// ns_name_pton() of glibc: backslash escapes, labels of at most 63 bytes,
// at most 255 on the wire, an empty label only at the end of a name that is
// not all dots. nullopt: the library refuses the name.
std::optional<Labels> GlibcName(absl::string_view text);
// res_hnok() of glibc on a name that GlibcName() took: letters, digits, '-'
// and '_' only, and no '-' in front.
bool GlibcHostNameOk(const Labels& labels);

// res_mkquery() of musl.
struct MuslQuery {
  bool ok = false;        // false: refused, nothing can be sent
  Labels labels;          // if it can be read
  std::string malformed;  // else the question section, in hex
};
// `checks_trailing_dots` is what 1.2.4 added: a name that ends in two dots is
// refused and no longer sent in a form that cannot be read.
MuslQuery MuslMakeQuery(absl::string_view name, uint16_t type,
                        bool checks_trailing_dots);
// is_valid_hostname() of musl: what may become a canonical name.
bool MuslHostNameOk(absl::string_view name);

// isDomainName() of Go.
bool GoIsDomainName(absl::string_view name);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_QUERY_NAME_H_
