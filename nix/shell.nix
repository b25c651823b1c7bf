# The development shell: every tool of scripts/tools.tsv at its pinned version, what checks.nix runs, and what a developer's
# editor wants.
{
  lib,
  stdenv,
  linkFarm,
  mkShell,
  pkgsStatic,
  actionlint,
  cargo-audit,
  cargo-deny,
  deadnix,
  nixfmt,
  nixfmt-tree,
  rust-analyzer,
  rustPlatform,
  skopeo,
  statix,
  glibc,
  tools,
}:
mkShell {
  packages =
    tools
    ++ [
      actionlint
      cargo-audit
      cargo-deny
      deadnix
      nixfmt
      nixfmt-tree
      rust-analyzer
      skopeo
      statix
    ]
    # For `just containers`: alone in an image it must need nothing else. Without its hundreds of other names, which would hide
    # the real programs.
    ++ lib.optional stdenv.hostPlatform.isLinux (
      linkFarm "busybox" { "bin/busybox" = lib.getExe' pkgsStatic.busybox "busybox"; }
    );
  # For `just dist`: the static C library, behind the shared one. Found first it went into every program, which libgcc gave the
  # shared one besides, and what was built crashed at its start.
  buildInputs = lib.optionals stdenv.hostPlatform.isLinux [
    glibc.out
    glibc.static
  ];
  env = {
    # For rust-analyzer.
    RUST_SRC_PATH = rustPlatform.rustLibSrc;
    # ./dev, called in here, takes what is here.
    AICLIPX_TOOLS = "path";
  };
  # `aiclipx`, as the clone in which the shell was entered builds it.
  shellHook = ''
    clone=$(git rev-parse --show-toplevel 2>/dev/null) || clone=$PWD
    [ ! -x "$clone/scripts/bin/aiclipx" ] || export PATH=$clone/scripts/bin:$PATH
    unset clone
  '';
}
