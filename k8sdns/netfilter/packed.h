// Numbers in ops: two bytes of alignment instead of four or eight, so that a
// struct has no holes and can be stored by its bytes. They read and assign as
// the plain number; `+x` where a function takes any type (absl::StrCat).
#ifndef K8SDNS_NETFILTER_PACKED_H_
#define K8SDNS_NETFILTER_PACKED_H_

#include <array>
#include <bit>
#include <cstdint>

namespace k8sdns::netfilter {

template <typename T>
class Packed {
 public:
  constexpr Packed() = default;
  // Implicit both ways: an op's field is written as the number it is.
  constexpr Packed(T value) : halves_(std::bit_cast<Halves>(value)) {}
  constexpr operator T() const { return std::bit_cast<T>(halves_); }

  constexpr Packed& operator|=(T value) { return *this = T{*this} | value; }
  constexpr Packed& operator&=(T value) { return *this = T{*this} & value; }

 private:
  using Halves = std::array<uint16_t, sizeof(T) / 2>;
  Halves halves_ = {};
};

}  // namespace k8sdns::netfilter

#endif  // K8SDNS_NETFILTER_PACKED_H_
