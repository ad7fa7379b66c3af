// The version of the library.
//
//   #if K8SDNS_VERSION_MAJOR == 0 && K8SDNS_VERSION_MINOR < 2
//
// Semantic versioning (https://semver.org). Within a major version: code that
// compiles against the public headers keeps compiling; the rules of a given
// Dialect and the fields of JSON and protobuf output keep their meaning; ids of
// findings and exit codes of commands stay. A new minor version adds, a new
// patch version corrects what differs from the systems that are modelled.
// Before 1.0 a minor version may change anything. Public are the headers that
// are installed, but for namespaces called `internal`.
#ifndef K8SDNS_VERSION_H_
#define K8SDNS_VERSION_H_

#define K8SDNS_VERSION_MAJOR 0
#define K8SDNS_VERSION_MINOR 1
#define K8SDNS_VERSION_PATCH 0
#define K8SDNS_VERSION "0.1.0"

#endif  // K8SDNS_VERSION_H_
