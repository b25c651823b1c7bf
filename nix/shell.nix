# The development shell: every tool of scripts/tools.tsv at its pinned version, and what a developer's editor wants.
{
  lib,
  stdenv,
  mkShell,
  rust-analyzer,
  rustPlatform,
  nixfmt-tree,
  glibc,
  tools,
}:
mkShell {
  packages = tools ++ [
    rust-analyzer
    nixfmt-tree
  ];
  # For `just dist`: the static C library.
  buildInputs = lib.optionals stdenv.hostPlatform.isLinux [ glibc.static ];
  # For rust-analyzer.
  RUST_SRC_PATH = rustPlatform.rustLibSrc;
  # ./dev, called in here, takes what is here.
  AICLIPX_TOOLS = "path";
}
