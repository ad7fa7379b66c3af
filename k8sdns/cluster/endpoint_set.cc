#include "k8sdns/cluster/endpoint_set.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace k8sdns::endpoints_internal {
namespace {

// Fields are joined by a byte that no value holds.
constexpr char kEnd = '\0';

auto PortTuple(const EndpointPort& p) {
  return std::make_tuple(p.name.value_or(""), p.port,
                         p.protocol.value_or(Protocol::kTcp), p.app_protocol);
}

bool IsDnsSubdomain(absl::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (absl::string_view label : absl::StrSplit(name, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (char c : label) {
      if (!absl::ascii_islower(c) && !absl::ascii_isdigit(c) && c != '-') {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

void SetDefaults(std::vector<EndpointPort>& ports) {
  for (EndpointPort& port : ports) {
    if (!port.name) port.name = "";
    if (!port.protocol) port.protocol = Protocol::kTcp;
  }
}

bool PortLess(const EndpointPort& a, const EndpointPort& b) {
  return PortTuple(a) < PortTuple(b);
}

std::string PortsKey(std::vector<EndpointPort> ports) {
  std::sort(ports.begin(), ports.end(), PortLess);
  std::string key;
  for (const EndpointPort& p : ports) {
    absl::StrAppend(&key, p.name.value_or(""), absl::string_view(&kEnd, 1),
                    p.port ? absl::StrCat(*p.port) : "any",
                    absl::string_view(&kEnd, 1),
                    static_cast<int>(p.protocol.value_or(Protocol::kTcp)),
                    p.app_protocol ? absl::StrCat("=", *p.app_protocol) : "",
                    absl::string_view(&kEnd, 1));
  }
  return key;
}

std::string EndpointKey(const Endpoint& endpoint) {
  const absl::string_view end(&kEnd, 1);
  std::vector<absl::string_view> addresses(endpoint.addresses.begin(),
                                           endpoint.addresses.end());
  std::sort(addresses.begin(), addresses.end());
  std::string key;
  for (absl::string_view a : addresses) absl::StrAppend(&key, a, end);
  absl::StrAppend(&key, end, endpoint.hostname.value_or(""), end);
  if (endpoint.target_ref) {
    absl::StrAppend(&key, endpoint.target_ref->namespace_.view(), end,
                    endpoint.target_ref->name.view());
  } else {
    absl::StrAppend(&key, end);
  }
  return key;
}

bool EqualBeyondKey(const Endpoint& a, const Endpoint& b) {
  return std::tie(a.node_name, a.zone, a.ready, a.serving, a.terminating,
                  a.target_ref) == std::tie(b.node_name, b.zone, b.ready,
                                            b.serving, b.terminating,
                                            b.target_ref);
}

std::string SlicePrefix(absl::string_view service) {
  // The API checks a prefix with its last dash taken for a letter.
  std::string as_name(service);
  if (!as_name.empty()) as_name.back() = 'a';
  as_name += "a";
  return IsDnsSubdomain(as_name) && IsDnsSubdomain(service)
             ? absl::StrCat(service, "-")
             : std::string(service);
}

void EndpointSet::Insert(Endpoint endpoint) {
  std::sort(endpoint.addresses.begin(), endpoint.addresses.end());
  auto [it, inserted] =
      index_.try_emplace(EndpointKey(endpoint), items_.size());
  if (inserted) {
    items_.push_back(std::move(endpoint));
  } else {
    items_[it->second] = std::move(endpoint);
  }
}

const Endpoint* EndpointSet::Find(const Endpoint& endpoint) const {
  auto it = index_.find(EndpointKey(endpoint));
  return it == index_.end() ? nullptr : &*items_[it->second];
}

std::optional<Endpoint> EndpointSet::Take(const Endpoint& endpoint) {
  auto it = index_.find(EndpointKey(endpoint));
  if (it == index_.end()) return std::nullopt;
  std::optional<Endpoint> taken = std::move(items_[it->second]);
  items_[it->second].reset();
  index_.erase(it);
  return taken;
}

Endpoint EndpointSet::PopFirst() {
  while (!items_[first_]) ++first_;
  return *Take(*items_[first_]);
}

}  // namespace k8sdns::endpoints_internal
