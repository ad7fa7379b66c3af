#include "k8sdns/journey/name_lookup.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "k8sdns/dns/findings.h"
#include "k8sdns/dns/zone_answers.h"

namespace k8sdns::journey {
namespace {

constexpr uint16_t kFirstClientPort = 40000;

// The Corefile of kubeadm: kubernetes cluster.local in-addr.arpa ip6.arpa
// { pods insecure; fallthrough in-addr.arpa ip6.arpa; ttl 30 }.
dns::CoreDnsOptions KubeadmOptions(const std::string& domain) {
  dns::CoreDnsOptions options;
  options.zones = {domain};
  options.pods = dns::CoreDnsOptions::Pods::kInsecure;
  options.fallthrough = {"in-addr.arpa", "ip6.arpa"};
  options.ttl = 30;
  return options;
}

std::string Describe(const dns::DnsResponse& r) {
  if (r.outcome == dns::DnsResponse::Outcome::kNoReply) return "no answer";
  std::vector<std::string> records;
  for (const dns::ResourceRecord& record : r.answer) {
    records.push_back(absl::StrCat(dns::RecordTypeName(record.type), " ",
                                   record.DataToString(), " (TTL ", record.ttl,
                                   " s)"));
  }
  if (!records.empty()) return absl::StrJoin(records, ", ");
  if (r.rcode == dns::Rcode::kNoError) return "NODATA";
  return std::string(dns::RcodeName(r.rcode));
}

// Answers the resolver's questions and keeps a step for each.
class Server {
 public:
  Server(const NameLookupWorld& world, IpAddress v4, IpAddress v6)
      : world_(world), pod_v4_(v4), pod_v6_(v6) {}

  absl::Status Start(DnsServerKind kind) {
    const auto upstream = [this](const dns::DnsQuestion& q) {
      if (world_.upstream) return world_.upstream(q);
      forwarded_ = true;
      dns::DnsResponse r;
      r.rcode = dns::Rcode::kServFail;
      r.recursion_available = true;
      return r;
    };
    const std::string& told = world_.node_dns.kubelet.cluster_domain;
    const std::string domain = told.empty() ? "cluster.local" : told;
    absl::StatusOr<dns::Zone> zone =
        kind == DnsServerKind::kCoreDns && world_.coredns
            ? dns::Zone::Create(world_.cluster, *world_.coredns, upstream)
            : MakeZone(world_.cluster, kind, domain, upstream);
    if (!zone.ok()) return zone.status();
    zone_ = std::make_unique<dns::Zone>(*std::move(zone));
    return absl::OkStatus();
  }

  dns::Answer Ask(const dns::Question& q) {
    LookupStep step;
    step.packet = PacketOf(q);
    step.delivery = Deliver(step.packet);
    dns::Answer answer;
    switch (step.delivery.fate) {
      case Delivery::Fate::kDelivered:
        answer = Serve(q, step);
        break;
      case Delivery::Fate::kUnreachable:
        answer = dns::Answer::Unreachable();
        step.answer = "unreachable";
        break;
      case Delivery::Fate::kDropped:
        answer = dns::Answer::Timeout();
        step.answer = "no answer";
        break;
      case Delivery::Fate::kElsewhere:
      case Delivery::Fate::kUnknown:
        answer = dns::Answer::Timeout();
        step.answer = "not known; taken as no answer";
        break;
    }
    steps_.push_back(std::move(step));
    return answer;
  }

  std::vector<LookupStep> TakeSteps() { return std::move(steps_); }

 private:
  Packet PacketOf(const dns::Question& q) const {
    const IpAddress& self = q.server.is_v4() ? pod_v4_ : pod_v6_;
    const SocketAddress from{self, kFirstClientPort};
    const SocketAddress to{q.server, 53};
    return q.transport == dns::Transport::kUdp ? Packet::Udp(from, to)
                                               : Packet::Tcp(from, to);
  }

  Delivery Deliver(const Packet& packet) const {
    if (world_.deliver) return world_.deliver(packet);
    for (const std::string& text : world_.node_dns.kubelet.cluster_dns) {
      if (IpAddress::ParseSloppy(text) == packet.dst) return {};
    }
    return {Delivery::Fate::kElsewhere, packet.dst.ToString()};
  }

  dns::Answer Serve(const dns::Question& q, LookupStep& step) {
    forwarded_ = false;
    absl::StatusOr<dns::DnsResponse> response =
        zone_->Answer(dns::ToDnsQuestion(q, step.packet.src));
    if (!response.ok()) {
      step.answer = std::string(response.status().message());
      return dns::Answer::WithRcode(static_cast<int>(dns::Rcode::kFormErr));
    }
    step.answer = forwarded_
                      ? "forwarded to a server that is not modelled; taken as "
                        "SERVFAIL"
                      : Describe(*response);
    return dns::ToAnswer(*response);
  }

  const NameLookupWorld& world_;
  IpAddress pod_v4_;
  IpAddress pod_v6_;
  std::unique_ptr<dns::Zone> zone_;
  std::vector<LookupStep> steps_;
  bool forwarded_ = false;
};

dns::ResolverHost HostOf(const Pod& pod, const std::string& resolv_conf) {
  dns::ResolverHost host;
  host.resolv_conf = dns::ResolvConf(resolv_conf);
  host.environment.hostname =
      pod.spec.hostname.empty() ? pod.metadata.name : pod.spec.hostname;
  host.default_route_v4 = false;
  for (const std::string& text : pod.Addresses()) {
    const auto ip = IpAddress::ParseSloppy(text);
    if (!ip) continue;
    host.addresses.push_back({*ip, ip->bits()});
    (ip->is_v4() ? host.default_route_v4 : host.default_route_v6) = true;
  }
  return host;
}

// The source address of what the Pod sends; the unspecified one if it has none
// of the family.
IpAddress FirstOf(const dns::ResolverHost& host, IpFamily family) {
  for (const dns::HostAddress& a : host.addresses) {
    if (a.address.family() == family) return a.address;
  }
  return family == IpFamily::kIpv4 ? IpAddress() : IpAddress::V6({});
}

std::vector<NameLookup::Origin> OriginsOf(const Pod& pod,
                                          const dns::NodeDns& node,
                                          const NameLookup& lookup) {
  const std::string policy =
      pod.spec.dns_policy.empty() ? "ClusterFirst" : pod.spec.dns_policy;
  const bool cluster =
      (policy == "ClusterFirst" && !pod.spec.host_network) ||
      (policy != "Default" && policy != "None" && policy != "ClusterFirst");
  const std::string extra =
      pod.spec.dns_config ? ", then the Pod's dnsConfig" : "";
  const std::string file =
      node.kubelet.resolv_conf.value_or("/etc/resolv.conf");
  const std::string base = policy == "None"
                               ? "the Pod's dnsConfig"
                               : absl::StrCat(file, " of the node", extra);
  std::vector<NameLookup::Origin> out;
  for (absl::string_view line : absl::StrSplit(lookup.resolv_conf, '\n')) {
    if (line.empty()) continue;
    std::string from = base;
    if (cluster && absl::StartsWith(line, "nameserver")) {
      from = absl::StrCat("clusterDNS of the kubelet", extra);
    } else if (cluster && absl::StartsWith(line, "search")) {
      from = absl::StrCat("dnsPolicy ", policy,
                          ": namespace and clusterDomain, then ", file,
                          " of the node", extra);
    } else if (cluster) {
      from = absl::StrCat("dnsPolicy ", policy, extra);
    }
    out.push_back({std::string(line), std::move(from)});
  }
  return out;
}

}  // namespace

DnsServerKind DetectDnsServer(const Cluster& cluster) {
  for (const Pod& pod : cluster.pods()) {
    for (const Container& c : pod.spec.containers) {
      if (absl::StrContains(c.image, "coredns")) return DnsServerKind::kCoreDns;
      if (absl::StrContains(c.image, "kube-dns") ||
          absl::StrContains(c.image, "kubedns")) {
        return DnsServerKind::kKubeDns;
      }
    }
  }
  return DnsServerKind::kCoreDns;
}

absl::StatusOr<dns::Zone> MakeZone(const Cluster& cluster, DnsServerKind kind,
                                   const std::string& domain,
                                   dns::Upstream upstream) {
  if (kind == DnsServerKind::kKubeDns) {
    dns::KubeDnsOptions options;
    options.domain = domain;
    return dns::Zone::Create(cluster, options, std::move(upstream));
  }
  return dns::Zone::Create(cluster, KubeadmOptions(domain),
                           std::move(upstream));
}

absl::StatusOr<NameLookup> LookUpName(const NameLookupWorld& world,
                                      const Pod& pod, absl::string_view name,
                                      const NameLookupOptions& options) {
  absl::StatusOr<dns::PodDns> settings = dns::FormPodDns(pod, world.node_dns);
  if (!settings.ok()) return settings.status();
  NameLookup out;
  out.settings = *std::move(settings);
  out.resolv_conf = out.settings.CopiesNodeFile()
                        ? world.node_dns.resolv_conf_text.value_or("")
                        : out.settings.ToResolvConf();
  out.origins = OriginsOf(pod, world.node_dns, out);
  out.library = options.library;
  out.server = world.server.value_or(DetectDnsServer(world.cluster));

  const dns::ResolverHost host = HostOf(pod, out.resolv_conf);
  if (host.addresses.empty()) {
    return absl::NotFoundError(absl::StrCat("Pod ", pod.metadata.namespace_,
                                            "/", pod.metadata.name,
                                            " has no address yet"));
  }
  Server server(world, FirstOf(host, IpFamily::kIpv4),
                FirstOf(host, IpFamily::kIpv6));
  const absl::Status started = server.Start(out.server);
  if (!started.ok()) return started;

  dns::LookupCall call;
  call.name = std::string(name);
  call.family = options.family;
  const dns::LookupTranscript t =
      dns::Resolve(call, host, options.library,
                   [&](const dns::Question& q) { return server.Ask(q); });
  std::vector<LookupStep> asked = server.TakeSteps();
  size_t next = 0;
  for (const dns::SentQuery& query : t.queries) {
    LookupStep step;
    if (query.malformed.empty() && next < asked.size()) {
      step = std::move(asked[next++]);
    } else {
      step.answer = "FORMERR";
    }
    step.query = query;
    step.packet.src_port =
        static_cast<uint16_t>(kFirstClientPort + query.socket);
    out.steps.push_back(std::move(step));
  }
  if (!t.results.empty()) out.result = t.results.back();
  out.elapsed_seconds = absl::ToDoubleSeconds(t.elapsed);
  out.packets = t.PacketCount();
  return out;
}

absl::StatusOr<std::vector<Finding>> CheckNames(
    const NameLookupWorld& world, const Pod& pod,
    const std::vector<std::string>& names) {
  std::vector<Finding> out;
  for (const std::string& name : names) {
    // The lookup itself says whether the Pod has a file and an address at all.
    absl::StatusOr<NameLookup> lookup = LookUpName(world, pod, name, {});
    if (!lookup.ok()) return lookup.status();
    const dns::ResolverHost host = HostOf(pod, lookup->resolv_conf);
    Server server(world, FirstOf(host, IpFamily::kIpv4),
                  FirstOf(host, IpFamily::kIpv6));
    const absl::Status started = server.Start(lookup->server);
    if (!started.ok()) return started;
    for (Finding& f : dns::CheckName(name, host, [&](const dns::Question& q) {
           return server.Ask(q);
         })) {
      f.kind = "Pod";
      f.namespace_ = pod.metadata.namespace_;
      f.name = pod.metadata.name;
      out.push_back(std::move(f));
    }
  }
  return out;
}

std::string NameLookup::ToString() const {
  std::string out = "/etc/resolv.conf of the Pod:\n";
  for (const Origin& o : origins) {
    absl::StrAppend(&out, "  ", o.line, "\n      from ", o.from, "\n");
  }
  for (const dns::KubeletEvent& e : settings.events) {
    absl::StrAppend(&out, "  kubelet: ", e.ToString(), "\n");
  }
  absl::StrAppend(&out, "queries (", dns::LibraryName(library), ", server ",
                  server == DnsServerKind::kKubeDns ? "kube-dns" : "CoreDNS",
                  "):\n");
  for (const LookupStep& s : steps) {
    absl::StrAppend(&out, "  ", s.query.ToString(), " -> ", s.answer, "\n");
  }
  absl::StrAppend(&out, "result: ", result.rc);
  for (const IpAddress& a : result.addresses) {
    absl::StrAppend(&out, " ", a.ToString());
  }
  absl::StrAppendFormat(&out, " after %.1f s and %d packets\n", elapsed_seconds,
                        packets);
  return out;
}

}  // namespace k8sdns::journey
