#include "k8sdns/journey/drift_ipvs.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>
#include <variant>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "k8sdns/ipvs/ipvsadm_save.h"
#include "k8sdns/journey/drift_rules.h"

namespace k8sdns::journey {
namespace {

using Kind = DriftItem::Kind;

std::string AddressKey(Protocol protocol, const IpAddress& address,
                       uint16_t port) {
  return absl::StrCat(static_cast<int>(protocol), " ", address.ToString(), " ",
                      port);
}
std::string EndpointText(const IpAddress& address, uint16_t port) {
  return SocketAddress{address, port}.ToString();
}

void Note(Kind kind, absl::string_view where, std::string chain,
          std::string text, std::string actual, DriftGroup& group) {
  DriftItem item;
  item.kind = kind;
  item.where = std::string(where);
  item.chain = std::move(chain);
  item.text = std::move(text);
  item.actual = std::move(actual);
  group.items.push_back(std::move(item));
}

std::string ServiceName(const std::string& port) {
  return port.substr(0, port.find(':'));
}

// What an element is, apart from what a dump says about its use.
std::string MemberText(const netfilter::IpSet& set,
                       netfilter::IpSetElement element) {
  element.timeout_s.reset();
  element.packets = element.bytes = 0;
  element.comment.clear();
  element.skb.clear();
  netfilter::IpSet plain;
  plain.name = set.name;
  plain.type = set.type;
  plain.family = set.family;
  return netfilter::PrintIpsetElement(plain, element);
}

std::string SetSettings(const netfilter::IpSet& set) {
  return absl::StrCat(set.type, " family ",
                      set.family == IpFamily::kIpv4 ? "inet" : "inet6");
}

class SetComparison {
 public:
  SetComparison(const netfilter::IpSet& expected,
                const netfilter::IpSet& actual,
                const ServiceAddresses& services, Drift& drift)
      : expected_(expected),
        actual_(actual),
        services_(services),
        drift_(drift) {}

  void Run() {
    if (SetSettings(expected_) != SetSettings(actual_)) {
      DriftGroup& group = GroupOf("", drift_);
      group.explanations.push_back(
          absl::StrCat("set ", expected_.name, " is of another type"));
      Note(Kind::kChanged, "ipset", expected_.name, SetSettings(expected_),
           SetSettings(actual_), group);
      return;
    }
    std::map<std::string, const netfilter::IpSetElement*> want;
    for (const auto& e : expected_.elements)
      want[MemberText(expected_, e)] = &e;
    for (const auto& e : actual_.elements) {
      const std::string text = MemberText(actual_, e);
      if (want.erase(text) == 0) Tell(Kind::kStale, text, e);
    }
    for (const auto& [text, element] : want) {
      Tell(Kind::kMissing, text, *element);
    }
  }

 private:
  void Tell(Kind kind, const std::string& text,
            const netfilter::IpSetElement& element) {
    const bool bitmap = actual_.is_bitmap();
    const auto protocol = static_cast<Protocol>(element.protocol);
    std::string port =
        bitmap
            ? services_.PortOf(absl::EndsWith(expected_.name, "UDP")
                                   ? Protocol::kUdp
                                   : Protocol::kTcp,
                               nullptr, element.port)
            : services_.PortOf(protocol, &element.addresses[0], element.port);
    if (port.empty()) {
      // Node ports of SCTP and loop-back entries of endpoints.
      port = services_.PortOf(protocol, nullptr, element.port);
      const std::string of_endpoint =
          services_.PortOfEndpoint(element.addresses[0], element.port);
      if (!of_endpoint.empty()) port = of_endpoint;
    }
    const std::string service = ServiceName(port);
    DriftGroup& group =
        GroupOf(port.empty() ? absl::string_view("?") : service, drift_);
    group.explanations.push_back(absl::StrCat(
        "kube-proxy has not ", kind == Kind::kStale ? "removed " : "added ",
        text, kind == Kind::kStale ? " from set " : " to set ", expected_.name,
        port.empty() ? "" : absl::StrCat(" for ", port)));
    Note(kind, "ipset", expected_.name, text, "", group);
  }

  const netfilter::IpSet& expected_;
  const netfilter::IpSet& actual_;
  const ServiceAddresses& services_;
  Drift& drift_;
};

std::string ServerName(const ipvs::ServiceKey& key) {
  std::string out;
  ipvs::AppendService(key, out);
  return out;
}

// The line that makes the virtual server, without its newline.
std::string ServerLine(const ipvs::VirtualServer& server) {
  std::string out;
  ipvs::AppendVirtualServer('A', server, out);
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}
std::string RealServerLine(const ipvs::ServiceKey& key,
                           const ipvs::RealServer& server) {
  std::string out;
  ipvs::AppendRealServer('a', key, server, out);
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class ServerComparison {
 public:
  ServerComparison(const ServiceAddresses& services, Drift& drift)
      : services_(services), drift_(drift) {}

  void Missing(const ipvs::VirtualServer& server) {
    Whole(Kind::kMissingChain, "added", server);
    for (const ipvs::RealServer& r : server.real_servers) {
      Real(Kind::kMissing, server.key, r);
    }
  }
  void Stale(const ipvs::VirtualServer& server) {
    Whole(Kind::kStaleChain, "removed", server);
    for (const ipvs::RealServer& r : server.real_servers) {
      Real(Kind::kStale, server.key, r);
    }
  }

  void Compare(const ipvs::VirtualServer& want,
               const ipvs::VirtualServer& have) {
    const std::string port = PortOf(want.key);
    if (ServerLine(want) != ServerLine(have)) {
      DriftGroup& group = Group(want.key);
      group.explanations.push_back(absl::StrCat("virtual server ",
                                                ServerName(want.key), " of ",
                                                port, " has other settings"));
      Note(Kind::kChanged, "ipvs", ServerName(want.key), ServerLine(want),
           ServerLine(have), group);
    }
    for (const ipvs::RealServer& r : want.real_servers) {
      const int at = have.Find(r.address, r.port);
      if (at < 0) {
        Told(want.key, r, "added", port);
        Real(Kind::kMissing, want.key, r);
      } else if (!(have.real_servers[at] == r)) {
        DriftGroup& group = Group(want.key);
        group.explanations.push_back(absl::StrCat(
            "endpoint ", EndpointText(r.address, r.port), " of ", port,
            " has other settings on ", ServerName(want.key)));
        Note(Kind::kChanged, "ipvs", ServerName(want.key),
             RealServerLine(want.key, r),
             RealServerLine(want.key, have.real_servers[at]), group);
      }
    }
    for (const ipvs::RealServer& r : have.real_servers) {
      if (want.Find(r.address, r.port) >= 0) continue;
      if (r.weight == 0) {
        Group(want.key).explanations.push_back(
            absl::StrCat("kube-proxy waits for connections to endpoint ",
                         EndpointText(r.address, r.port), " of ", port,
                         " to end (weight 0): no drift"));
        Real(Kind::kDraining, want.key, r);
      } else {
        Told(want.key, r, "removed", port);
        Real(Kind::kStale, want.key, r);
      }
    }
  }

 private:
  std::string PortOf(const ipvs::ServiceKey& key) const {
    std::string port = services_.PortOf(key.protocol, &key.address, key.port);
    if (port.empty()) {
      port = services_.PortOf(key.protocol, nullptr, key.port);
    }
    return port.empty() ? ServerName(key) : port;
  }
  DriftGroup& Group(const ipvs::ServiceKey& key) {
    const std::string port = PortOf(key);
    const std::string service = ServiceName(port);
    return GroupOf(
        absl::StartsWith(port, "-") ? absl::string_view("?") : service, drift_);
  }
  void Whole(Kind kind, absl::string_view verb,
             const ipvs::VirtualServer& server) {
    DriftGroup& group = Group(server.key);
    const std::string port = PortOf(server.key);
    const std::string name = ServerName(server.key);
    group.explanations.push_back(
        absl::StrCat("kube-proxy has not ", verb, " virtual server ", name,
                     port == name ? "" : absl::StrCat(" of ", port)));
    Note(kind, "ipvs", name, ServerLine(server), "", group);
  }
  void Real(Kind kind, const ipvs::ServiceKey& key,
            const ipvs::RealServer& server) {
    Note(kind, "ipvs", ServerName(key), RealServerLine(key, server), "",
         Group(key));
  }
  void Told(const ipvs::ServiceKey& key, const ipvs::RealServer& server,
            absl::string_view verb, const std::string& port) {
    DriftGroup& group = Group(key);
    std::string text =
        absl::StrCat("kube-proxy has not ", verb, " endpoint ",
                     EndpointText(server.address, server.port), " of ", port);
    // Said once, though it may be so on several virtual servers.
    if (std::find(group.explanations.begin(), group.explanations.end(), text) ==
        group.explanations.end()) {
      group.explanations.push_back(std::move(text));
    }
  }

  const ServiceAddresses& services_;
  Drift& drift_;
};

}  // namespace

ServiceAddresses::ServiceAddresses(const Cluster& cluster) {
  for (const Service& s : cluster.services()) {
    const std::string name =
        absl::StrCat(s.metadata.namespace_, "/", s.metadata.name);
    std::set<IpAddress> addresses;
    auto add = [&](const std::string& text) {
      if (auto address = IpAddress::ParseSloppy(text)) {
        addresses.insert(*address);
      }
    };
    add(s.spec.cluster_ip);
    for (const std::string& ip : s.spec.cluster_ips) add(ip);
    for (const std::string& ip : s.spec.external_ips) add(ip);
    for (const LoadBalancerIngress& i : s.load_balancer_ingress) add(i.ip);
    for (const ServicePort& p : s.spec.ports) {
      const std::string port =
          p.name.empty() ? name : absl::StrCat(name, ":", p.name);
      for (const IpAddress& a : addresses) {
        by_address_.emplace(
            AddressKey(p.protocol, a, static_cast<uint16_t>(p.port)), port);
      }
      if (p.node_port != 0) {
        by_node_port_.emplace(
            absl::StrCat(static_cast<int>(p.protocol), " ", p.node_port), port);
      }
    }
  }
  for (const EndpointSlice& slice : cluster.endpoint_slices()) {
    const std::string name =
        absl::StrCat(slice.metadata.namespace_, "/", slice.ServiceName());
    for (const auto& p : slice.ports) {
      if (!p.port) continue;
      for (const Endpoint& e : slice.endpoints) {
        for (const absl::string_view text : e.addresses) {
          const auto address = IpAddress::ParseSloppy(text);
          if (!address) continue;
          by_endpoint_.emplace(absl::StrCat(address->ToString(), " ", *p.port),
                               name);
        }
      }
    }
  }
}

std::string ServiceAddresses::PortOf(Protocol protocol,
                                     const IpAddress* address,
                                     uint16_t port) const {
  if (address != nullptr) {
    auto it = by_address_.find(AddressKey(protocol, *address, port));
    return it == by_address_.end() ? "" : it->second;
  }
  auto it =
      by_node_port_.find(absl::StrCat(static_cast<int>(protocol), " ", port));
  return it == by_node_port_.end() ? "" : it->second;
}

std::string ServiceAddresses::PortOfEndpoint(const IpAddress& address,
                                             uint16_t port) const {
  auto it = by_endpoint_.find(absl::StrCat(address.ToString(), " ", port));
  return it == by_endpoint_.end() ? "" : it->second;
}

void CompareSets(const netfilter::IpSets& expected,
                 const netfilter::IpSets& actual,
                 const ServiceAddresses& services, Drift& drift) {
  for (const netfilter::IpSet& want : expected.sets) {
    drift.rules_compared += want.elements.size();
    const netfilter::IpSet* have = actual.Find(want.name);
    if (have != nullptr) {
      SetComparison(want, *have, services, drift).Run();
      continue;
    }
    DriftGroup& group = GroupOf("", drift);
    group.explanations.push_back(
        absl::StrCat("set ", want.name, " is missing, with ",
                     want.elements.size(), " members"));
    Note(Kind::kMissingChain, "ipset", want.name, SetSettings(want), "", group);
  }
  for (const netfilter::IpSet& have : actual.sets) {
    if (expected.Find(have.name) != nullptr) continue;
    if (absl::StartsWith(have.name, "KUBE-")) {
      DriftGroup& group = GroupOf("", drift);
      group.explanations.push_back(
          absl::StrCat("kube-proxy would not make set ", have.name));
      Note(Kind::kStaleChain, "ipset", have.name, SetSettings(have), "", group);
    } else {
      drift.foreign.push_back(
          {absl::StartsWith(have.name, "cali") ? "Calico" : "", "ipset", "",
           have.name, have.elements.size(), 0});
    }
  }
}

void CompareServers(const ipvs::Table& expected, const ipvs::Table& actual,
                    const std::vector<IpPrefix>& excluded,
                    const ServiceAddresses& services, Drift& drift) {
  ServerComparison comparison(services, drift);
  for (const ipvs::VirtualServer* want : expected.List()) {
    drift.rules_compared += 1 + want->real_servers.size();
    const ipvs::VirtualServer* have = actual.Find(want->key);
    if (have == nullptr) {
      comparison.Missing(*want);
    } else {
      comparison.Compare(*want, *have);
    }
  }
  for (const ipvs::VirtualServer* have : actual.List()) {
    if (expected.Find(have->key) != nullptr) continue;
    const bool foreign =
        have->key.fwmark != 0 ||
        std::any_of(excluded.begin(), excluded.end(), [&](const IpPrefix& p) {
          return p.Contains(have->key.address);
        });
    if (foreign) {
      drift.foreign.push_back({"", "ipvs", "", ServerName(have->key),
                               have->real_servers.size(), 0});
    } else {
      comparison.Stale(*have);
    }
  }
}

}  // namespace k8sdns::journey
