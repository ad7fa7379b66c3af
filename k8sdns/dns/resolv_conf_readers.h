// The three readers behind ResolvConf::ReadAs(). Private to this package.
#ifndef K8SDNS_DNS_RESOLV_CONF_READERS_H_
#define K8SDNS_DNS_RESOLV_CONF_READERS_H_

#include "absl/strings/string_view.h"
#include "k8sdns/dns/resolv_conf.h"

namespace k8sdns::dns {

// `text` is null if the file does not exist; then only defaults and the
// environment count.
ResolverSettings ReadAsGlibc(const absl::string_view* text,
                             const ResolverEnvironment& environment);
ResolverSettings ReadAsMusl(Library version, const absl::string_view* text,
                            const ResolverEnvironment& environment);
ResolverSettings ReadAsGo(const absl::string_view* text,
                          const ResolverEnvironment& environment);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_RESOLV_CONF_READERS_H_
