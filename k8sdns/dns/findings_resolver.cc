// Findings about what resolver libraries make of a Pod's settings.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "k8sdns/dns/findings.h"

namespace k8sdns::dns {
namespace {

constexpr Library kMusl = Library::kMusl1_2_5;

Finding OfPod(const Pod& pod, absl::string_view field, absl::string_view id,
              Severity severity, std::string what, std::string why,
              std::string change) {
  Finding finding;
  finding.id = std::string(id);
  finding.severity = severity;
  finding.kind = "Pod";
  finding.namespace_ = pod.metadata.namespace_;
  finding.name = pod.metadata.name;
  finding.field = std::string(field);
  finding.what = std::move(what);
  finding.why = std::move(why);
  finding.change = std::move(change);
  return finding;
}

ResolverHost HostWith(const std::string& file) {
  ResolverHost host;
  host.resolv_conf = ResolvConf(file);
  host.addresses = {{IpAddress::V4(0x0AF40001), 24}};  // any Pod's
  return host;
}

// Two queries of one lookup leave from one socket.
bool SharesSourcePort(const LookupTranscript& transcript) {
  const auto& queries = transcript.queries;
  for (size_t i = 1; i < queries.size(); ++i) {
    if (queries[i].socket == queries[i - 1].socket &&
        queries[i].type != queries[i - 1].type &&
        queries[i].time == queries[i - 1].time &&
        queries[i].transport == Transport::kUdp) {
      return true;
    }
  }
  return false;
}

void CheckAmplification(const Pod& pod, const ResolverHost& host,
                        const DnsCheckOptions& options,
                        std::vector<Finding>& findings) {
  const std::string& name = options.example_name;
  const QueryAmplification cost =
      CountAmplification(name, name, host, Library::kGlibc2_36);
  if (cost.queries <= options.max_queries) return;
  const ResolverSettings settings =
      host.resolv_conf.ReadAs(Library::kGlibc2_36);
  findings.push_back(OfPod(
      pod, "spec.dnsConfig.options", "dns/query-amplification", Severity::kInfo,
      absl::StrCat("looking up ", name, " sends ", cost.queries, " queries (",
                   2 * cost.queries, " packets) where ", cost.needed, " (",
                   2 * cost.needed, ") would do: ndots:", settings.ndots,
                   " and ", settings.search.size(), " search domains"),
      "each name outside the cluster is first searched in every domain: load "
      "on the DNS servers, and that many chances to lose a packet",
      "set ndots to 1 or 2 in dnsConfig, or write such names with a final "
      "dot"));
}

void CheckConntrackRace(const Pod& pod, const ResolverHost& host,
                        const DnsCheckOptions& options,
                        std::vector<Finding>& findings) {
  LookupCall call;
  call.name = options.example_name;
  const LookupTranscript transcript = Resolve(
      call, host, Library::kGlibc2_36,
      [](const Question& question) { return Answer::Addresses(question, {}); });
  if (!SharesSourcePort(transcript)) return;
  findings.push_back(OfPod(
      pod, "spec.dnsConfig.options", "dns/conntrack-race", Severity::kInfo,
      "glibc sends A and AAAA queries from one source port at the same time",
      "when both race through NAT on the node, conntrack drops one, and the "
      "lookup takes 5 s longer",
      "set the option single-request-reopen (or single-request, or use-vc) in "
      "dnsConfig, or use a cache on the node"));
}

void CheckMusl(const Cluster& cluster, const Pod& pod, const PodDns& dns,
               const ResolverHost& host, const DnsCheckOptions& options,
               std::vector<Finding>& findings) {
  const ResolverSettings musl = host.resolv_conf.ReadAs(kMusl);
  const ResolverSettings glibc = host.resolv_conf.ReadAs(Library::kGlibc2_36);
  for (const IgnoredText& ignored : musl.ignored) {
    const bool line = absl::StartsWith(ignored.text, "search") ||
                      absl::StartsWith(ignored.text, "nameserver");
    const bool both = absl::c_any_of(glibc.ignored, [&](const IgnoredText& g) {
      return g.line == ignored.line && g.text == ignored.text;
    });
    if (!line || both) continue;
    findings.push_back(OfPod(
        pod, "spec.dnsConfig", "dns/musl-ignores-line", Severity::kWarning,
        absl::StrCat("/etc/resolv.conf:", ignored.line,
                     ": musl passes over it: ", ignored.reason),
        "in Alpine images short names are not searched at all",
        "shorten the search list to 254 characters a line"));
  }
  if (absl::c_linear_search(dns.searches, ".")) {
    findings.push_back(
        OfPod(pod, "spec.dnsConfig.searches", "dns/musl-search-root",
              Severity::kWarning, "the search list holds \".\"",
              "musl sends a malformed question for it, and the lookup fails "
              "in Alpine images",
              "remove \".\" from the search list"));
  }
  const Service* service =
      cluster.services().Find(options.service_namespace, options.service_name);
  if (service == nullptr || musl.servers.size() < 2) return;
  std::vector<std::string> vips = service->spec.cluster_ips;
  vips.push_back(service->spec.cluster_ip);
  std::vector<std::string> others;
  for (const NameServer& server : musl.servers) {
    const std::string text = server.address.ToString();
    if (!absl::c_linear_search(vips, text)) others.push_back(text);
  }
  if (others.empty() || others.size() == musl.servers.size()) return;
  findings.push_back(OfPod(
      pod, "spec.dnsConfig.nameservers", "dns/musl-parallel-servers",
      Severity::kWarning,
      absl::StrCat("besides cluster DNS, ", absl::StrJoin(others, ", "),
                   others.size() == 1 ? " is" : " are", " asked as well"),
      "musl asks all servers at once and takes the first answer: where the "
      "other server is faster, names of the cluster do not exist",
      "leave only cluster DNS in the list, and let it forward"));
}

// The most telling difference between a lookup that works and one that fails.
std::string WhyMuslFails(const ResolverHost& host,
                         const LookupTranscript& glibc,
                         const LookupTranscript& musl) {
  const auto over_tcp = [](const SentQuery& query) {
    return query.transport == Transport::kTcp;
  };
  if (absl::c_any_of(glibc.queries, over_tcp) &&
      absl::c_none_of(musl.queries, over_tcp)) {
    return "the answer is cut over UDP, and this version of musl does not ask "
           "again over TCP";
  }
  const ResolverSettings settings = host.resolv_conf.ReadAs(kMusl);
  for (const IgnoredText& ignored : settings.ignored) {
    if (absl::StartsWith(ignored.text, "search") ||
        absl::StartsWith(ignored.text, "nameserver")) {
      return absl::StrCat("musl passes over line ", ignored.line, " (",
                          ignored.reason, ")");
    }
  }
  if (absl::c_any_of(musl.queries, [](const SentQuery& query) {
        return !query.malformed.empty();
      })) {
    return "musl sends a malformed question";
  }
  const std::string& rc = musl.results.back().rc;
  if (rc == "EAI_AGAIN") {
    return "a server fails (SERVFAIL) or does not answer: musl gives up with "
           "the first such name, glibc goes on with the next";
  }
  if (rc == "EAI_NODATA" || rc == "EAI_NONAME") {
    if (settings.servers.size() > 1) {
      return "musl asks all servers at once and takes the first answer, or "
             "stops at a name that exists without an address; glibc goes on";
    }
    return "musl stops at a name that exists without an address, and does not "
           "search names with ndots dots; glibc goes on";
  }
  return absl::StrCat("musl ends with ", rc);
}

}  // namespace

std::vector<Finding> CheckPodResolver(const Cluster& cluster, const Pod& pod,
                                      const PodDns& dns,
                                      const DnsCheckOptions& options) {
  std::vector<Finding> findings;
  const ResolverHost host = HostWith(dns.ToResolvConf());
  CheckAmplification(pod, host, options, findings);
  CheckConntrackRace(pod, host, options, findings);
  CheckMusl(cluster, pod, dns, host, options, findings);
  return findings;
}

std::vector<Finding> CheckName(absl::string_view name, const ResolverHost& host,
                               const AnswerSource& answers) {
  LookupCall call;
  call.name = std::string(name);
  const LookupTranscript glibc =
      Resolve(call, host, Library::kGlibc2_36, answers);
  if (glibc.results.empty() || glibc.results.back().rc != "OK") return {};
  std::vector<Finding> findings;
  for (Library library :
       {Library::kMusl1_1_24, Library::kMusl1_2_3, Library::kMusl1_2_5}) {
    const LookupTranscript musl = Resolve(call, host, library, answers);
    if (musl.results.empty() || musl.results.back().rc == "OK") continue;
    Finding finding;
    finding.id = "dns/musl-fails";
    finding.severity = Severity::kWarning;
    finding.what = absl::StrCat(
        name, " resolves with ", LibraryName(Library::kGlibc2_36), " to ",
        glibc.results.back().addresses.empty()
            ? std::string("nothing")
            : glibc.results.back().addresses[0].ToString(),
        " and fails with ", LibraryName(library), " (", musl.results.back().rc,
        ")");
    finding.why = WhyMuslFails(host, glibc, musl);
    finding.change =
        "write the full name with a final dot, or repair the search list";
    findings.push_back(std::move(finding));
  }
  return findings;
}

}  // namespace k8sdns::dns
