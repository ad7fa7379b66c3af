// /etc/resolv.conf, as each resolver library reads it.
//
//   ResolvConf file("nameserver 10.96.0.10\nsearch a.test b.test\n"
//                   "options ndots:5 timeout:2\n");
//   ResolverSettings glibc = file.ReadAs(Library::kGlibc2_36);
//   ResolverSettings musl = file.ReadAs(Library::kMusl1_2_5);
//   for (const IgnoredText& i : musl.ignored)
//     LOG << i.line << ": " << i.text << " (" << i.reason << ")";
//
// The libraries do not agree on what a line means: limits, comments, leading
// blanks, carriage returns, long lines and the spelling of options all differ.
// There is therefore no neutral parse; a ResolvConf is the text, and ReadAs()
// gives the settings that one library takes from it, with what it ignored.
// Nothing in a file is an error to a library, so nothing is one here.
//
// Sources: resolv.conf(5); glibc 2.36 resolv/res_init.c and resolv_conf.c;
// musl 1.1.24, 1.2.3 and 1.2.5 src/network/resolvconf.c; Go 1.22
// src/net/dnsconfig_unix.go. Checked against recordings of all of them.
//
// Reading costs time linear in the text. Const methods are thread-safe.
#ifndef K8SDNS_DNS_RESOLV_CONF_H_
#define K8SDNS_DNS_RESOLV_CONF_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/net/ip_address.h"

namespace k8sdns::dns {

// A resolver library at a version. The musl versions differ in ways that
// matter: 1.1.24 is Alpine 3.11, 1.2.3 Alpine 3.16, and 1.2.5 (Alpine 3.20)
// can fall back to TCP.
enum class Library { kGlibc2_36, kMusl1_1_24, kMusl1_2_3, kMusl1_2_5, kGo1_22 };

// "glibc/2.36", "musl/1.1.24", "musl/1.2.3", "musl/1.2.5", "go/1.22".
absl::string_view LibraryName(Library library);
// The inverse of LibraryName(). InvalidArgument for any other text.
absl::StatusOr<Library> ParseLibrary(absl::string_view name);
bool IsMusl(Library library);
// Every library, in the order of the enumeration.
std::vector<Library> AllLibraries();

// What a process has beside the file that changes how it is read.
struct ResolverEnvironment {
  // gethostname(): glibc and Go search its domain if the file has no search
  // list.
  std::string hostname = "web-0";
  // glibc reads LOCALDOMAIN and RES_OPTIONS; the others read no variable.
  std::map<std::string, std::string> variables;
  // The network interfaces that exist, for zones ("fe80::53%eth0").
  std::vector<std::string> interfaces = {"lo", "eth0"};
};

struct NameServer {
  // IPv4-mapped IPv6 addresses appear as the IPv4 address they stand for.
  IpAddress address;
  // The name of an interface, "" without one. Libraries that take a zone they
  // cannot resolve keep it in `bad_zone`: packets to it cannot be sent.
  std::string zone;
  bool bad_zone = false;

  friend bool operator==(const NameServer&, const NameServer&) = default;
};

// One entry of glibc's `sortlist`.
struct SortListEntry {
  uint32_t address = 0;  // host order
  uint32_t mask = 0;

  friend bool operator==(const SortListEntry&, const SortListEntry&) = default;
};

// Text of the file that a library passes over.
struct IgnoredText {
  int line = 0;  // counted from 1; 0 is an environment variable
  std::string text;
  std::string reason;
};

// What one library makes of a file and an environment.
struct ResolverSettings {
  Library library = Library::kGlibc2_36;
  // Never empty: without a usable line it is what the library falls back to.
  std::vector<NameServer> servers;
  // As written; "" and "." stand for the root where a library knows it.
  std::vector<std::string> search;
  // `search` is the domain of the host name, not of the file.
  bool search_from_hostname = false;
  int ndots = 1;            // 0 to 15
  int timeout_seconds = 5;  // as read: glibc keeps 0 and negative numbers
  int attempts = 2;         // as read: 0 is possible with glibc and musl
  bool rotate = false;
  bool edns0 = false;
  bool single_request = false;
  bool single_request_reopen = false;
  bool no_tld_query = false;
  bool use_vc = false;
  bool trust_ad = false;
  bool no_aaaa = false;
  std::vector<SortListEntry> sort_list;
  // Set if reading the file itself kills the process: "killed by signal 6".
  std::string death;
  std::vector<IgnoredText> ignored;

  // The settings as a resolv.conf that every library reads alike (as far as it
  // knows the options); settings that have their default are left out.
  std::string ToString() const;
};

class ResolvConf {
 public:
  // A file that does not exist.
  ResolvConf() = default;
  // The text is kept as it is. NUL bytes end a line for the C libraries.
  explicit ResolvConf(absl::string_view text) : text_(text) {}

  bool exists() const { return text_.has_value(); }
  // The text, byte for byte; "" if the file does not exist.
  absl::string_view text() const;

  ResolverSettings ReadAs(Library library,
                          const ResolverEnvironment& environment = {}) const;

  friend bool operator==(const ResolvConf&, const ResolvConf&) = default;

 private:
  std::optional<std::string> text_;
};

}  // namespace k8sdns::dns

#endif  // K8SDNS_DNS_RESOLV_CONF_H_
