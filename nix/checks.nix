# What `nix flake check` runs: pure checks on the pinned tools. What is timed or needs a whole machine is a package.
{
  pkgs,
  lib,
  packages,
  tools,
}:
let
  inherit (pkgs) stdenv;
  # The whole tree but what no check reads: tests hold justfile, scripts and Nix files to account too.
  tree = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.difference ../. (
      lib.fileset.unions (
        map lib.fileset.maybeMissing [
          ../target
          ../state
          ../dist
          ../evidence
          ../.tools
          ../.git
        ]
      )
    );
  };
  # A check is the package with another build phase: same crates, same compiler, no second list of either.
  cargo =
    name: command:
    packages.aiclipx.overrideAttrs (old: {
      pname = "aiclipx-${name}";
      src = tree;
      nativeBuildInputs = old.nativeBuildInputs ++ tools;
      buildPhase = ''
        runHook preBuild
        export HOME=$TMPDIR CARGO_TARGET_DIR=$TMPDIR/target
        ${command}
        runHook postBuild
      '';
      installPhase = "touch $out";
      dontFixup = true;
      postInstall = "";
    });
in
{
  inherit (packages) aiclipx;
  clippy = cargo "clippy" "cargo clippy --frozen --all-targets -- -D warnings";
  tests = cargo "tests" "cargo test --frozen";
  formatted =
    pkgs.runCommand "aiclipx-formatted"
      {
        nativeBuildInputs = [
          pkgs.cargo
          pkgs.rustfmt
          pkgs.just
        ];
      }
      ''
        cd ${tree}
        cargo fmt --check
        just --fmt --check --unstable
        touch $out
      '';
  shell-scripts = pkgs.runCommand "aiclipx-shell-scripts" { nativeBuildInputs = [ pkgs.shellcheck ]; } ''
    cd ${tree}
    shellcheck --external-sources dev .ci/run scripts/*.sh
    touch $out
  '';
}
// lib.optionalAttrs stdenv.hostPlatform.isLinux {
  inherit (packages) app image;
}
