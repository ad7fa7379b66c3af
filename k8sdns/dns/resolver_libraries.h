// One function for each family of libraries; Resolve() chooses. Private to
// this package.
#ifndef K8SDNS_DNS_RESOLVER_LIBRARIES_H_
#define K8SDNS_DNS_RESOLVER_LIBRARIES_H_

#include <vector>

#include "k8sdns/dns/resolv_conf.h"
#include "k8sdns/dns/resolver.h"
#include "k8sdns/dns/resolver_world.h"

namespace k8sdns::dns {

// Results are appended for each repetition until the process dies or the
// world runs out of patience. `order_varies` is set where the real library
// draws lots or races.
struct LibraryRun {
  const LookupCall& call;
  const ResolverHost& host;
  const ResolverSettings& settings;
  ResolverWorld& world;
  std::vector<LookupResult> results;
  bool order_varies = false;
};

void RunGlibc(LibraryRun& run);
void RunMusl(LibraryRun& run);
void RunGo(LibraryRun& run);

LookupResult ResultWithCode(absl::string_view rc);

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_RESOLVER_LIBRARIES_H_
