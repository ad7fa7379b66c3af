// Any rule set and any packets: a node must give outcomes whose probabilities
// add up to 1, and the same ones from both matchers. Three lines choose the
// packets, a byte a field (see MakeArrival()); the rest is the dump.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/dataplane/linear_matcher.h"
#include "k8sdns/dataplane/matcher.h"
#include "k8sdns/dataplane/node_dataplane.h"
#include "k8sdns/netfilter/ipset_save.h"
#include "k8sdns/netfilter/iptables_save.h"

namespace {

using k8sdns::IpAddress;
using k8sdns::IpFamily;
using k8sdns::IpPrefix;
using k8sdns::Protocol;
using k8sdns::dataplane::Arrival;
using k8sdns::dataplane::Branch;
using k8sdns::dataplane::NodeConfig;
using k8sdns::dataplane::NodeDataplane;
using k8sdns::dataplane::NodePacket;

constexpr const char* kAddresses[2][8] = {
    {"192.168.10.11", "10.244.1.10", "10.244.1.20", "10.96.0.10", "8.8.8.8",
     "127.0.0.1", "224.0.0.1", "255.255.255.255"},
    {"fd00:10::11", "fd00:244::10", "fd00:244::20", "fd00:96::10",
     "2001:db8::8", "::1", "ff02::1", "fe80::1"}};

NodeConfig MakeNode() {
  NodeConfig node;
  node.interfaces.push_back({"eth0",
                             {*IpPrefix::Parse("192.168.10.11/24"),
                              *IpPrefix::Parse("fd00:10::11/64")},
                             true,
                             true});
  node.interfaces.push_back({"veth0", {}, true, false});
  auto route = [&](const char* prefix, const char* gateway,
                   const char* device) {
    k8sdns::dataplane::Route r;
    r.prefix = *IpPrefix::Parse(prefix);
    if (gateway != nullptr) r.gateway = IpAddress::Parse(gateway);
    r.device = device;
    node.routes.push_back(r);
  };
  route("10.244.1.0/24", nullptr, "veth0");
  route("fd00:244::/64", nullptr, "veth0");
  route("0.0.0.0/0", "192.168.10.1", "eth0");
  route("::/0", "fd00:10::1", "eth0");
  return node;
}

k8sdns::dataplane::IpSets MakeSets() {
  const auto sets = k8sdns::netfilter::ParseIpsetSave(
      "create a hash:ip\nadd a 10.244.1.10\n"
      "create b hash:ip,port\nadd b 10.96.0.10,tcp:80\n"
      "create c hash:net,iface\nadd c 10.0.0.0/8,eth0\n"
      "create d hash:net family inet6\nadd d fd00:244::/64\n");
  if (!sets.ok()) std::abort();
  auto loaded = k8sdns::dataplane::LoadSets(*sets);
  if (!loaded.ok()) std::abort();
  return *std::move(loaded);
}

// Bytes that are not there are 0.
Arrival MakeArrival(absl::string_view bytes, IpFamily family) {
  auto byte = [&](size_t i) {
    return i < bytes.size() ? static_cast<uint8_t>(bytes[i]) : uint8_t{0};
  };
  static constexpr Protocol kProtocols[] = {
      Protocol::kTcp,  Protocol::kUdp,  Protocol::kIcmp, Protocol::kIcmpv6,
      Protocol::kSctp, Protocol::kDccp, Protocol::kGre,  Protocol::kEsp};
  static constexpr uint16_t kPorts[] = {80, 53, 0, 65535, 30000, 443, 4789, 1};
  NodePacket packet;
  k8sdns::Packet& p = packet.header;
  const int v6 = family == IpFamily::kIpv6 ? 1 : 0;
  p.src = *IpAddress::Parse(kAddresses[v6][byte(1) % 8]);
  p.dst = *IpAddress::Parse(kAddresses[v6][byte(2) % 8]);
  p.protocol = kProtocols[byte(3) % 8];
  p.src_port = kPorts[byte(4) % 8];
  p.dst_port = kPorts[byte(5) % 8];
  p.tcp_flags = byte(6);
  p.icmp_type = byte(7);
  p.icmp_code = byte(8) % 16;
  p.ttl = byte(9);
  p.tos = byte(10);
  p.payload_size = static_cast<uint16_t>(byte(11) * 7);
  if (p.IsIcmp() && byte(12) % 2 == 1) {
    packet.quoted = p;
    std::swap(packet.quoted->src, packet.quoted->dst);
    packet.quoted->protocol = kProtocols[byte(13) % 8];
  }
  static constexpr const char* kDevices[] = {"eth0", "veth0", "lo", "eth9"};
  if (byte(0) % 5 == 4) return Arrival::Sent(packet, byte(14) % 2 == 0);
  return Arrival::On(kDevices[byte(0) % 5], packet);
}

bool Same(const Branch& a, const Branch& b) {
  return a.outcome == b.outcome && a.probability == b.probability &&
         a.after == b.after;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto* node = new NodeConfig(MakeNode());
  static const auto* sets = new k8sdns::dataplane::IpSets(MakeSets());
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  absl::string_view lines[3];
  for (absl::string_view& line : lines) {
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) return 0;
    line = text.substr(0, end);
    text.remove_prefix(end + 1);
  }
  const bool v6 = !lines[0].empty() && lines[0][0] == '6';
  const IpFamily family = v6 ? IpFamily::kIpv6 : IpFamily::kIpv4;
  if (!lines[0].empty()) lines[0].remove_prefix(1);
  k8sdns::netfilter::ParseOptions options;
  options.keep_unknown_extensions = true;
  options.max_rules = 200;
  auto rules = k8sdns::netfilter::ParseIptablesSave(text, family, options);
  if (!rules.ok()) return 0;
  const auto shared =
      std::make_shared<const k8sdns::netfilter::Ruleset>(*std::move(rules));
  const auto load =
      [&](std::shared_ptr<const k8sdns::dataplane::RuleMatcher> matcher) {
        return NodeDataplane(*node, v6 ? nullptr : matcher,
                             v6 ? matcher : nullptr, *sets);
      };
  NodeDataplane dataplane =
      load(std::make_shared<k8sdns::dataplane::LinearMatcher>(shared));
  NodeDataplane indexed = load(std::make_shared<k8sdns::dataplane::Matcher>(
      shared, k8sdns::dataplane::MatcherOptions{.min_indexed_rules = 1}));
  for (absl::string_view line : lines) {
    const Arrival arrival = MakeArrival(line, family);
    const std::vector<Branch> branches = dataplane.Match(arrival);
    const std::vector<Branch> other = indexed.Match(arrival);
    if (branches.empty() || branches.size() != other.size()) std::abort();
    double sum = 0;
    for (size_t i = 0; i < branches.size(); ++i) {
      if (!Same(branches[i], other[i])) std::abort();
      sum += branches[i].probability;
    }
    if (std::fabs(sum - 1) > 1e-6) std::abort();
    dataplane.Take(branches.back());
    indexed.Take(other.back());
    dataplane.Advance(100'000);
    indexed.Advance(100'000);
  }
  return 0;
}
