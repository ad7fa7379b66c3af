// k8sdns resolve and k8sdns dig.
#include <ostream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "k8sdns/cli/commands.h"
#include "k8sdns/cli/inputs.h"
#include "k8sdns/dns/zone.h"
#include "k8sdns/journey/name_lookup.h"

namespace k8sdns::cli {
namespace {

absl::StatusOr<dns::LookupFamily> ReadFamily(const Args& args) {
  const std::string text = args.Get("family");
  if (text == "any") return dns::LookupFamily::kUnspec;
  if (text == "4") return dns::LookupFamily::kInet;
  if (text == "6") return dns::LookupFamily::kInet6;
  return absl::InvalidArgumentError(
      absl::StrCat("--family: found \"", text, "\", expected any, 4 or 6"));
}

}  // namespace

absl::StatusOr<std::optional<journey::DnsServerKind>> ReadDnsServer(
    const Args& args) {
  if (!args.Has("server")) return std::optional<journey::DnsServerKind>();
  const std::string text = args.Get("server");
  if (text == "coredns") return std::optional(journey::DnsServerKind::kCoreDns);
  if (text == "kube-dns") {
    return std::optional(journey::DnsServerKind::kKubeDns);
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--server: found \"", text, "\", expected coredns or kube-dns"));
}

absl::StatusOr<dns::Library> ReadLibrary(const Args& args) {
  absl::StatusOr<dns::Library> library = dns::ParseLibrary(args.Get("libc"));
  if (library.ok()) return library;
  std::string known;
  for (dns::Library l : dns::AllLibraries()) {
    absl::StrAppend(&known, known.empty() ? "" : ", ", dns::LibraryName(l));
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--libc: found \"", args.Get("libc"), "\", expected ", known));
}

int RunResolve(const Args& args, Streams streams) {
  if (args.positional().size() != 1 || !args.Has("from")) {
    return Fail(streams, "resolve: expected --from NAMESPACE/POD and one NAME");
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  const Pod* pod = FindPod(*cluster, args.Get("from"));
  if (pod == nullptr) {
    return Fail(streams,
                absl::StrCat("no Pod ", args.Get("from"), " in the cluster"));
  }
  absl::StatusOr<dns::NodeDns> node =
      LoadNodeDns(args, *cluster, *pod, streams);
  if (!node.ok()) return Fail(streams, node.status().message());
  journey::NameLookupWorld world{*cluster, *std::move(node)};
  absl::StatusOr<std::optional<journey::DnsServerKind>> server =
      ReadDnsServer(args);
  if (!server.ok()) return Fail(streams, server.status().message());
  world.server = *server;
  journey::NameLookupOptions options;
  absl::StatusOr<dns::Library> library = ReadLibrary(args);
  if (!library.ok()) return Fail(streams, library.status().message());
  options.library = *library;
  absl::StatusOr<dns::LookupFamily> family = ReadFamily(args);
  if (!family.ok()) return Fail(streams, family.status().message());
  options.family = *family;
  absl::StatusOr<journey::NameLookup> lookup =
      journey::LookUpName(world, *pod, args.positional()[0], options);
  if (!lookup.ok()) return Fail(streams, lookup.status().message());
  streams.out << lookup->ToString();
  return kOk;
}

int RunDig(const Args& args, Streams streams) {
  const std::vector<std::string>& words = args.positional();
  if (words.empty() || words.size() > 2) {
    return Fail(streams, "dig: expected NAME and perhaps TYPE");
  }
  absl::StatusOr<Cluster> cluster = LoadCluster(args.GetAll("file"), streams);
  if (!cluster.ok()) return Fail(streams, cluster.status().message());
  dns::DnsQuestion question;
  question.name = words[0];
  if (words.size() == 2) {
    const auto type = dns::ParseRecordType(words[1]);
    if (!type) {
      return Fail(streams, absl::StrCat("dig: found type \"", words[1],
                                        "\", expected A, AAAA, SRV, ..."));
    }
    question.type = *type;
  }
  absl::StatusOr<std::optional<journey::DnsServerKind>> kind =
      ReadDnsServer(args);
  if (!kind.ok()) return Fail(streams, kind.status().message());
  absl::StatusOr<dns::Zone> zone = journey::MakeZone(
      *cluster, kind->value_or(journey::DetectDnsServer(*cluster)),
      args.Get("domain"));
  if (!zone.ok()) return Fail(streams, zone.status().message());
  absl::StatusOr<dns::DnsResponse> response = zone->Answer(question);
  if (!response.ok()) return Fail(streams, response.status().message());
  streams.out << ";; " << dns::RcodeName(response->rcode)
              << (response->authoritative ? " aa" : "")
              << (response->truncated ? " tc" : "")
              << (response->recursion_available ? " ra" : "") << "\n";
  for (const auto* section :
       {&response->answer, &response->authority, &response->additional}) {
    for (const dns::ResourceRecord& record : *section) {
      streams.out << record.ToString() << "\n";
    }
  }
  return kOk;
}

}  // namespace k8sdns::cli
