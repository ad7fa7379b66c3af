"""@com_google_protobuf from the distribution: the installed protoc, libprotobuf and the well-known types.

With it `proto_library` and `cc_proto_library` work as they do upstream.
"""

# Well-known type -> the ones it imports.
_WELL_KNOWN_TYPES = {
    "any": [],
    "api": ["source_context", "type"],
    "descriptor": [],
    "duration": [],
    "empty": [],
    "field_mask": [],
    "source_context": [],
    "struct": [],
    "timestamp": [],
    "type": ["any", "source_context"],
    "wrappers": [],
}

_BUILD = """package(default_visibility = ["//visibility:public"])

exports_files(["protoc"])

cc_library(
    name = "protobuf",
    linkopts = {link_options},
)

cc_library(
    name = "protobuf_lite",
    linkopts = {lite_link_options},
)

alias(
    name = "protobuf_headers",
    actual = ":protobuf",
)

# What Bazel's flag --proto_toolchain_for_cc names by default. Code for the well-known types is part of libprotobuf.
proto_lang_toolchain(
    name = "cc_toolchain",
    blacklisted_protos = [{well_known_protos}],
    command_line = "--cpp_out=$(OUT)",
    runtime = ":protobuf",
)
"""

_PROTO_LIBRARY = """
proto_library(
    name = "{name}_proto",
    srcs = ["google/protobuf/{name}.proto"],
    deps = [{deps}],
)
"""

def _installed(ctx, program):
    path = ctx.which(program)
    if path == None:
        fail("@%s: %s is not installed. `./bazelw` installs what tools/debian-packages.txt lists." % (ctx.name, program))
    return path

def _libs(ctx, module):
    answer = ctx.execute([_installed(ctx, "pkg-config"), "--libs", module])
    if answer.return_code != 0:
        fail("@%s: %s" % (ctx.name, answer.stderr))
    return [word.strip() for word in answer.stdout.split(" ") if word.strip()]

def _system_protobuf_repository_impl(ctx):
    ctx.symlink(_installed(ctx, "protoc"), "protoc")
    include = ctx.execute([_installed(ctx, "pkg-config"), "--variable=includedir", "protobuf"]).stdout.strip()
    build = _BUILD.format(
        link_options = _libs(ctx, "protobuf"),
        lite_link_options = _libs(ctx, "protobuf-lite"),
        well_known_protos = ", ".join(['":%s_proto"' % name for name in _WELL_KNOWN_TYPES]),
    )
    for name, imports in _WELL_KNOWN_TYPES.items():
        ctx.symlink("%s/google/protobuf/%s.proto" % (include, name), "google/protobuf/%s.proto" % name)
        build += _PROTO_LIBRARY.format(name = name, deps = ", ".join(['":%s_proto"' % dep for dep in imports]))
    ctx.file("BUILD.bazel", build, executable = False)
    ctx.file("WORKSPACE", "workspace(name = %r)\n" % ctx.name, executable = False)

system_protobuf_repository = repository_rule(
    implementation = _system_protobuf_repository_impl,
    local = True,
)
