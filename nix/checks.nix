# What `nix flake check` runs: pure checks on the pinned tools. What is timed or needs a whole machine is a package.
{
  pkgs,
  lib,
  packages,
  revision,
  tools,
}:
let
  inherit (pkgs) stdenv;
  # Chromium draws text with what fontconfig finds, and the sandbox has none.
  fonts = pkgs.makeFontsConf { fontDirectories = [ pkgs.dejavu_fonts ]; };
  # The whole tree but what no check reads: tests hold justfile, scripts and Nix files to account too.
  tree = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.difference ../. (
      lib.fileset.unions (
        map lib.fileset.maybeMissing [
          ../target
          ../state
          ../dist
          ../evidence/runs
          ../.tools
          ../.git
        ]
      )
    );
  };
  # What the compiler and its lints read: an edit of anything else compiles nothing anew.
  code = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../clippy.toml
      ../compose.yaml
      ../benches
      ../crates
      # A unit test of the model reads it when it is compiled.
      ../monitoring/grafana/dashboards/app-overview.json
      # Compiled in: what a tree means that names no service.
      ../monitoring/service.toml
      ../src
      ../tests
    ];
  };
  # A check is the package with another build phase: same crates, same compiler, no second list of either.
  cargo =
    {
      name,
      src,
      programs ? [ ],
      command,
    }:
    packages.aiclipx.overrideAttrs (old: {
      pname = "aiclipx-${name}";
      inherit src;
      nativeBuildInputs = old.nativeBuildInputs ++ programs;
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
  # Looks at the tree and leaves nothing. One command a line: in `a && b` the shell lets a failing `a` pass.
  look =
    {
      name,
      programs,
      command,
    }:
    pkgs.runCommand "aiclipx-${name}" { nativeBuildInputs = programs; } ''
      cp -r --no-preserve=mode ${tree} tree
      cd tree
      ${command}
      touch $out
    '';
in
{
  inherit (packages) aiclipx;
  clippy = cargo {
    name = "clippy";
    src = code;
    programs = [ pkgs.clippy ];
    command = "cargo clippy --frozen --all-targets -- -D warnings";
  };
  formatted = look {
    name = "formatted";
    programs = [
      pkgs.cargo
      pkgs.rustfmt
      pkgs.just
    ];
    command = ''
      cargo fmt --all --check
      just --fmt --check --unstable
    '';
  };
  shell-scripts = look {
    name = "shell-scripts";
    programs = [ pkgs.shellcheck ];
    command = "shellcheck --external-sources dev .ci/run scripts/bin/* scripts/*.sh";
  };
  nix-files = look {
    name = "nix-files";
    programs = [
      pkgs.nixfmt
      pkgs.statix
      pkgs.deadnix
    ];
    command = ''
      nixfmt --check flake.nix nix/*.nix
      statix check .
      deadnix --fail flake.nix nix
    '';
  };
  workflow = look {
    name = "workflow";
    programs = [
      pkgs.actionlint
      pkgs.shellcheck
    ];
    command = "actionlint .github/workflows/*.yml";
  };
  # What the stack loads, by the very programs that will load it.
  configuration = look {
    name = "configuration";
    programs = [
      packages.aiclipx
      pkgs.prometheus.cli
      pkgs.prometheus-alertmanager
      pkgs.prometheus-blackbox-exporter
      pkgs.vector
    ];
    command = ''
      export AICLIPX_HOME=$PWD
      promtool check config --lint=all --lint-fatal monitoring/prometheus/prometheus.yml
      promtool test rules monitoring/prometheus/rules/tests/*.yml
      amtool check-config monitoring/alertmanager/alertmanager.yml
      blackbox_exporter --config.check --config.file=monitoring/blackbox/blackbox.yml
      bash scripts/vector.sh required
      aiclipx check
    '';
  };
}
// lib.optionalAttrs stdenv.hostPlatform.isLinux {
  inherit (packages) app;
  # On the whole tree, which they hold to account, and to the end: the first that fails must not hide the rest. nixpkgs has
  # Chromium for Linux alone.
  tests = cargo {
    name = "tests";
    src = tree;
    programs = tools;
    # The scripts name their shell by /usr/bin/env, which the sandbox doesn't have, and call each other.
    command = ''
      patchShebangs --build dev scripts
      export FONTCONFIG_FILE=${fonts}
      cargo test --frozen --no-fail-fast
    '';
  };
  # What a reader of the image relies on, read from the image itself and not from the expression that made it.
  image =
    pkgs.runCommand "aiclipx-image-contract"
      {
        nativeBuildInputs = [ pkgs.jq ];
        expected = builtins.toJSON (
          import ./image-config.nix {
            inherit (packages.app) version;
            inherit revision;
          }
        );
        passAsFile = [ "expected" ];
      }
      ''
        mkdir image root
        tar -xzf ${packages.image} -C image
        said=image/$(jq -r '.[0].Config' image/manifest.json)
        diff <(jq -S .config "$said") <(jq -S . "$expectedPath")
        for layer in $(jq -r '.[0].Layers[]' image/manifest.json); do
          tar -tvf "image/$layer" --numeric-owner --full-time >> listing
          tar -xf "image/$layer" -C root
        done
        # One file, and the link that leads to it.
        [[ $(grep -c ^- listing) == 1 && $(grep -c ^l listing) == 1 ]] || { cat listing; exit 1; }
        if grep -v ' 19[78]0-01-0[12] ' listing; then
          echo 'these have a time of their own'
          exit 1
        fi
        size=$(stat -c %s ${packages.image})
        ((size <= 3000000)) || { echo "$size bytes compressed; 3 MB is the bound"; exit 1; }
        touch $out
      '';
}
