// /etc/hosts as each library looks a name up in it. Private to this package.
#ifndef K8SDNS_DNS_HOSTS_FILE_H_
#define K8SDNS_DNS_HOSTS_FILE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/dns/resolver.h"

namespace k8sdns::dns {

struct HostsMatch {
  bool found = false;  // by Go: an address, whatever its family
  std::vector<IpAddress> addresses;
  std::string canonical_name;
  // musl: the name is there, but for the other family only. DNS is not asked.
  bool other_family_only = false;
};

// glibc nss_files with `multi on`: names compare without case; for kInet an
// IPv4-mapped address counts, and ::1 counts as 127.0.0.1.
HostsMatch GlibcHosts(absl::string_view text, absl::string_view name,
                      LookupFamily family);
// musl: lines of at most 511 bytes, case matters, `name` may contain blanks.
HostsMatch MuslHosts(absl::string_view text, absl::string_view name,
                     LookupFamily family, Library version,
                     const std::vector<std::string>& interfaces);
// Go: all addresses of the name.
HostsMatch GoHosts(absl::string_view text, absl::string_view name);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_HOSTS_FILE_H_
