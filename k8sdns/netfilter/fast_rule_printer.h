// Prints the rules that dumps of nodes consist of without a call an op. What it
// does not know, or what is rarely met, it leaves to AppendOp(); what it prints
// is the same to the byte (iptables_save_test). Internal to the room.
#ifndef K8SDNS_NETFILTER_FAST_RULE_PRINTER_H_
#define K8SDNS_NETFILTER_FAST_RULE_PRINTER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "k8sdns/netfilter/extension.h"
#include "k8sdns/netfilter/ruleset.h"

namespace k8sdns::netfilter {

// Prints an op with the blank before it: the plain version.
void AppendOp(const PrintContext& context, OpView op, std::string* out);

// Text passes through a buffer that stays in the cache: `out` has all of it
// only after Flush().
class FastRulePrinter {
 public:
  FastRulePrinter(const PrintContext& context, std::string* out)
      : context_(context), out_(out) {}
  FastRulePrinter(const FastRulePrinter&) = delete;
  FastRulePrinter& operator=(const FastRulePrinter&) = delete;

  // The rules of the chains, one after another, each as a line "-A CHAIN ...".
  void PrintChains(const Table& table, const std::vector<ChainId>& chains);
  void Flush() {
    out_->append(buffer_, static_cast<size_t>(p_ - buffer_));
    p_ = buffer_;
  }

 private:
  class Ahead;

  // Longer texts are left to the plain version.
  static constexpr size_t kMostText = 256;
  // Of an op, or of the begin of a line.
  static constexpr size_t kMostPrinted = kMostText + 128;
  static constexpr size_t kBufferSize = 16 << 10;

  void Op(OpView op);
  // False: nothing was printed.
  bool Known(OpView op);
  bool Address(OpView op, const char (&option)[5]);
  bool Protocol(OpView op);
  bool Comment(OpView op);
  bool Ports(OpView op, const char (&name)[8]);
  bool Statistic(OpView op);
  void SetMark(OpView op);
  bool Dnat(OpView op);
  void Jump(OpView op);

  void MakeRoom() {
    if (p_ > buffer_ + kBufferSize - kMostPrinted) Flush();
  }
  template <size_t N>
  void Put(const char (&text)[N]) {
    std::memcpy(p_, text, N - 1);
    p_ += N - 1;
  }
  void PutText(absl::string_view text);
  void PutNumber(uint32_t value);
  void PutHex(uint32_t value);
  void PutIpv6(const Packed<uint32_t> (&words)[4]);

  const PrintContext& context_;
  std::string* out_;
  char* p_ = buffer_;
  char buffer_[kBufferSize];
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_FAST_RULE_PRINTER_H_
