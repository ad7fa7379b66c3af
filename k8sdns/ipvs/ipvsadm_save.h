// Reads and prints the text of `ipvsadm -S` and of `ipvsadm -R` (ipvsadm 1.31).
//
//   absl::StatusOr<ipvs::Table> table = ipvs::ReadIpvsadm(text, "ipvs.txt");
//   std::string again = ipvs::PrintIpvsadm(*table);
//
// A line is one command:
//
//   -A -t 10.96.0.10:80 -s rr -p 10800
//   -a -t 10.96.0.10:80 -r 10.244.1.10:8080 -m -w 1
//
// Read are the commands that change the table: -A -E -D (virtual servers), -a
// -e -d (real servers) and -C (all), with all their options, short or long. An
// option that is not known is kept as it was written, and printed again; a
// scheduler that is not known keeps its name.
//
// Errors (kInvalidArgument) name line and column, counted from 1 in bytes:
//
//   ipvs.txt:3:8: found "10.0.0.300:80", expected address[:port]
//
// All errors of a text are found, up to IpvsadmOptions::max_errors; the
// commands without errors are carried out. The functions are thread-safe.
#ifndef K8SDNS_IPVS_IPVSADM_SAVE_H_
#define K8SDNS_IPVS_IPVSADM_SAVE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "k8sdns/ipvs/virtual_server.h"

namespace k8sdns::ipvs {

// What stands behind names when `-n` is not given. A function that is not set
// knows no names.
struct NameService {
  std::function<std::optional<IpAddress>(absl::string_view host)> address_of;
  std::function<std::optional<uint16_t>(absl::string_view service,
                                        Protocol protocol)>
      port_of;
  std::function<std::optional<std::string>(const IpAddress&)> host_of;
  std::function<std::optional<std::string>(uint16_t port, Protocol protocol)>
      service_of;
};

struct IpvsadmOptions {
  // Names in the text that is read; null: a name is an error.
  const NameService* names = nullptr;
  // Limits.
  size_t max_bytes = size_t{1} << 30;
  size_t max_errors = 100;
};

absl::StatusOr<Table> ReadIpvsadm(absl::string_view text,
                                  absl::string_view file_name,
                                  const IpvsadmOptions& options = {});

// Carries out the commands of `text` on `table`.
absl::Status ApplyIpvsadm(absl::string_view text, absl::string_view file_name,
                          Table& table, const IpvsadmOptions& options = {});

struct IpvsadmPrintOptions {
  // As `ipvsadm -S` sorts them; else in the order of the table (--nosort).
  bool sorted = true;
  // Without `-n`: names where there are any; null: numbers.
  const NameService* names = nullptr;
};

std::string PrintIpvsadm(const Table& table,
                         const IpvsadmPrintOptions& options = {});

// The parts, each appended to `out`. A line ends with a newline.

// "-t 10.96.0.10:80", "-f 1 -6".
void AppendService(const ServiceKey& key, std::string& out,
                   const NameService* names = nullptr);
// "-A ..." or "-E ...": `command` is the letter.
void AppendVirtualServer(char command, const VirtualServer& server,
                         std::string& out, const NameService* names = nullptr);
// "-a ..." or "-e ..."
void AppendRealServer(char command, const ServiceKey& service,
                      const RealServer& server, std::string& out,
                      const NameService* names = nullptr);
// The line and those of its real servers.
void AppendWithRealServers(const VirtualServer& server, bool sorted,
                           std::string& out,
                           const NameService* names = nullptr);

}  // namespace k8sdns::ipvs

#endif  // K8SDNS_IPVS_IPVSADM_SAVE_H_
